"""A real Prefect server beside the real Hadoop, up from the first test here to the last."""

# ruff: noqa: E402 - Prefect reads the environment when it is first imported

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from devtools.prefect_server import PrefectServer
from tests.scratch import set_home

set_home("PREFECT_HOME")
_SERVER = PrefectServer(Path(os.environ["PREFECT_HOME"]))
# A fixture would come too late.
os.environ.update({name: value for name, value in _SERVER.env.items() if name.startswith("PREFECT_")})

pytest.importorskip("prefect")

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.logging.handlers import APILogHandler

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.prefect import YarnCredentials
from knit_provider.prefect.caller import flow_run_tag

USER = "alice"  # whom applications run as: somebody else than the user who runs the daemons
ALIVE = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs Prefect and a real cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.prefect)


# Not for the session: Airflow's tests come next, and two servers are too much for a small machine.
@pytest.fixture(scope="package", autouse=True)
def server() -> Iterator[PrefectServer]:
    """The running server; this process and all that it spawns talk to it."""
    with _SERVER:
        yield _SERVER
        # What this process has to say is said while there is somebody to hear it: later it would try for long.
        APILogHandler().flush()


@pytest.fixture(scope="package")
def client(server: PrefectServer) -> Iterator[SyncPrefectClient]:
    """Asks the server."""
    with get_client(sync_client=True) as made:
        yield made


@pytest.fixture(scope="package")
def credentials(cluster: LocalCluster, server: PrefectServer) -> YarnCredentials:
    """The cluster as a block, saved under the name ``yarn``."""
    host, _, port = cluster.rm_web.rpartition(":")
    block = YarnCredentials(host=host, port=int(port), login=USER, hadoop_conf_dir=str(cluster.conf_dir))
    block.save("yarn", overwrite=True)
    return block


@pytest.fixture
def knit(cluster: LocalCluster) -> Iterator[Knit]:
    """Looks at the cluster from outside, as the user whom the jobs run as."""
    with Knit(user=USER, hadoop_conf_dir=str(cluster.conf_dir), hadoop_home=str(cluster.hadoop_home)) as made:
        yield made


@pytest.fixture
def applications(knit: Knit) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Applications that a flow run started; what a failed test leaves of them is killed."""
    tags = set()

    def find(flow_run_id: UUID | str, *states: str) -> list[dict[str, Any]]:
        tags.add(flow_run_tag(flow_run_id))
        return knit.yarn_api.find(tags=[flow_run_tag(flow_run_id)], states=states or None)

    yield find
    for tag in tags:
        for app in knit.yarn_api.find(tags=[tag], states=ALIVE):
            knit.kill(app["id"])


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that containers wait for: they run on this machine."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    return tmp_path / "gate"
