"""What a scheduler that shares out does to a cluster: named resources, a queue that is too small, preemption."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

import distributed
import pytest
from distributed import Client

from knit_provider import DaskYARNCluster
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.pytest_plugin import fail_on_leftovers
from knit_provider.yarn.errors import CheckFailed, KnitError, WaitTimeout
from knit_provider.yarn.rest.shapes import resource_of
from tests.dask.conftest import are
from tests.dask.test_faults import expected, total
from tests.hadoop.eventually import eventually
from tests.hadoop.support import api_of, submit_shell

_MONITOR = "yarn.resourcemanager.monitor.capacity.preemption"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One node of 3 GiB with two licences, and queues that take back at once what is theirs."""
    with LocalCluster(
        tempfile.mkdtemp(prefix="knit-test-"),
        temporary=True,
        nodes=1,
        hadoop_version=os.environ.get("KNIT_TEST_HADOOP_VERSION"),
        queues={"tiny": {"capacity": "1", "maximum-capacity": "1"}},
        overrides={
            "yarn.resource-types": "licences",
            "yarn.nodemanager.resource-type.licences": "2",
            "yarn.nodemanager.resource.memory-mb": "3072",
            "yarn.resourcemanager.scheduler.monitor.enable": "true",
            f"{_MONITOR}.monitoring_interval": "500",
            f"{_MONITOR}.max_wait_before_kill": "1000",
            f"{_MONITOR}.total_preemption_per_round": "1.0",
            f"{_MONITOR}.natural_termination_factor": "1.0",
            f"{_MONITOR}.max_ignored_over_capacity": "0.0",
        },
    ) as found:
        yield found
        fail_on_leftovers(found)


def test_named_resources_are_granted_or_the_reason_is_said(
    make: Callable[..., DaskYARNCluster], cluster: LocalCluster
) -> None:
    with pytest.raises((CheckFailed, KnitError), match=r"3 licences.* 2"):
        make(n_workers=1, container_resources={"licences": 3}).wait_for_workers(1, timeout=180)
    with pytest.raises(CheckFailed, match=r"1 yarn.io/gpu, a resource that the cluster does not define"):
        make(n_workers=1, container_resources={"yarn.io/gpu": 1})
    dask = make(
        n_workers=3,
        nanny=False,
        memory=256,
        container_resources={"licences": 1},
        worker_options={"resources": {"licences": 1}},
    )
    dask.wait_for_workers(2, timeout=120)
    (node,) = api_of(cluster).nodes()
    assert resource_of(node["usedResource"])["licences"] == 2, node
    with pytest.raises(WaitTimeout, match=r"2 of 3 workers .*no node has .*1 licences free.* 0 licences"):
        dask.wait_for_workers(3, timeout=1)
    assert "2 of 3 workers" in dask._repr_html_()
    with Client(dask) as client:
        assert client.submit(pow, 7, 2, resources={"licences": 1}).result(60) == 49


def test_a_queue_that_grants_nothing_is_told(make: Callable[..., DaskYARNCluster]) -> None:
    waiting = make(n_workers=1, queue="tiny", checks=False)
    with pytest.raises(WaitTimeout, match=r"0 of 1 workers are there .* is ACCEPTED.*tiny"):
        waiting.wait_for_workers(1, timeout=1)


def test_what_is_preempted_comes_back(make: Callable[..., DaskYARNCluster], cluster: LocalCluster) -> None:
    dask = make(n_workers=3, nanny=False, queue="other")
    dask.wait_for_workers(3, timeout=120)
    names = dask.observed
    # 1280 MiB are free. The queue has a right to 2100, and asks for it.
    asker = submit_shell(cluster, "sleep 600", memory=1792)
    try:
        with Client(dask) as client:
            future = total(client)
            gone = eventually(
                lambda: [c for c in dask.application.containers() if c["state"] == "PREEMPTED"], seconds=60
            )
            assert {(c["service"], c["exit_code"]) for c in gone} == {("dask.worker", -102)}
            eventually(lambda: len(dask.observed) == 3 - len(gone))
            api_of(cluster).kill(asker)
            assert future.result(180) == expected()
            are(dask, 3)
            assert dask.observed == names, "each is replaced under its name"
            distributed.wait(client.map(abs, range(9)))
    finally:
        api_of(cluster).kill(asker)
