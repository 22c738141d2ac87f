"""Pre-flight checks against what a real cluster takes and refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.checks import ContainerNeed, Requirements, run_checks
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import CheckFailed, ClusterUnavailable
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.files.port import Files
from knit_provider.yarn.files.webhdfs import WebHDFS
from knit_provider.yarn.rest.yarn_api import YARNAPI

from .support import api_of

MODEST = Requirements(
    queue="default",
    am={"memory-mb": 256, "vcores": 1},
    services=(ContainerNeed("worker", {"memory-mb": 128, "vcores": 1}, 2),),
    user="alice",
    tags=("one",),
)


@pytest.fixture(scope="module")
def api(cluster: LocalCluster) -> YARNAPI:
    return api_of(cluster)


@pytest.fixture
def files_of(cluster: LocalCluster) -> Iterator[Callable[[str], Files]]:
    made: list[WebHDFS] = []

    def make(user: str) -> Files:
        conf = HadoopConf.load(hadoop_conf_dir=cluster.conf_dir)
        made.append(WebHDFS(conf.default_fs, NameNodes(conf.namenode_web_addresses(), user)))
        return made[-1]

    yield make
    for files in made:
        files.close()


def worker(**resources: int) -> Requirements:
    named = {"memory-mb": 128, "vcores": 1} | {key.replace("_", "-"): value for key, value in resources.items()}
    return replace(MODEST, services=(ContainerNeed("worker", named, 1),))


def test_what_fits_passes(api: YARNAPI, files_of: Callable[[str], Files]) -> None:
    files = files_of("alice")
    assert run_checks(MODEST, api, files) == []
    assert [s.path for s in files.list(f"{files.uri_home()}/.knitDeps") if ".check-" in s.path] == []


class TestQueues:
    @pytest.mark.parametrize(
        ("queue", "words"),
        [
            ("nowhere", r"no queue 'nowhere'.*default, other"),
            ("stopped", r"'stopped' is STOPPED.*default, other"),
            ("root", r"holds queues, not applications"),
            ("root.nowhere", r"no queue"),
        ],
    )
    def test_one_that_takes_nothing_is_refused(self, api: YARNAPI, queue: str, words: str) -> None:
        with pytest.raises(CheckFailed, match=words):
            run_checks(replace(MODEST, queue=queue), api)

    @pytest.mark.parametrize("queue", ["default", "root.default", "other"])
    def test_one_that_is_open_passes(self, api: YARNAPI, queue: str) -> None:
        assert run_checks(replace(MODEST, queue=queue), api) == []


class TestSizes:
    @pytest.mark.parametrize(
        ("requirements", "words"),
        [
            (worker(memory_mb=10**6), r"worker asks for 1000000 MiB, more than the \d+ MiB"),
            (worker(vcores=10**4), r"worker asks for 10000 vcores, more than the \d+ vcores"),
            (replace(MODEST, am={"memory-mb": 10**6, "vcores": 1}), "the ApplicationMaster asks for 1000000 MiB"),
            (
                replace(MODEST, services=(ContainerNeed("w", {"memory-mb": 1, "yarn.io/gpu": 1}),)),
                r"w asks for 1 yarn.io/gpu, a resource that the cluster does not define; it has memory-mb, vcores",
            ),
        ],
    )
    def test_what_the_cluster_would_refuse_is_refused(
        self, api: YARNAPI, requirements: Requirements, words: str
    ) -> None:
        with pytest.raises(CheckFailed, match=words):
            run_checks(requirements, api)

    def test_the_largest_container_passes(self, api: YARNAPI) -> None:
        limits = api.max_allocation("default")
        run_checks(worker(memory_mb=limits["memory-mb"], vcores=limits["vcores"]), api)

    def test_more_than_is_free_is_a_warning(self, api: YARNAPI, caplog: pytest.LogCaptureFixture) -> None:
        crowd = replace(MODEST, services=(ContainerNeed("worker", {"memory-mb": 1024, "vcores": 1}, 1000),))
        warnings = run_checks(crowd, api)
        assert any("wants 1024256 MiB in all" in warning for warning in warnings)
        assert warnings[0] in caplog.text


class TestFiles:
    def test_a_home_that_does_not_exist_is_refused(self, api: YARNAPI, files_of: Callable[[str], Files]) -> None:
        with pytest.raises(CheckFailed, match=r"/user/nobody-here does not exist.*hdfs_home="):
            run_checks(MODEST, api, files_of("nobody-here"))

    def test_a_home_of_somebody_else_is_refused(self, api: YARNAPI, files_of: Callable[[str], Files]) -> None:
        with pytest.raises(CheckFailed, match=r"nothing can be written below /user/bob/\.knitDeps"):
            run_checks(MODEST, api, files_of("alice"), "/user/bob/.knitDeps")

    def test_a_full_name_quota_is_refused(
        self, api: YARNAPI, files_of: Callable[[str], Files], home_with_quota: Callable[..., str]
    ) -> None:
        user = home_with_quota(namespacequota=1)
        with pytest.raises(CheckFailed, match=f"nothing can be written below .*/user/{user}/.knitDeps.*quota"):
            run_checks(MODEST, api, files_of(user))

    def test_a_space_quota_that_is_too_small_is_refused(
        self, api: YARNAPI, files_of: Callable[[str], Files], home_with_quota: Callable[..., str]
    ) -> None:
        user = home_with_quota(storagespacequota=10 * 2**20)
        files = files_of(user)
        assert run_checks(replace(MODEST, upload_bytes=3 * 2**20, replication=3), api, files) == []
        with pytest.raises(CheckFailed, match=f"space quota of .*/user/{user} leaves 10485760"):
            run_checks(replace(MODEST, upload_bytes=4 * 2**20, replication=3), api, files)

    def test_less_room_than_is_needed_is_a_warning(self, api: YARNAPI, files_of: Callable[[str], Files]) -> None:
        warnings = run_checks(replace(MODEST, upload_bytes=10**15), api, files_of("alice"))
        assert any("left" in warning for warning in warnings)


def test_a_cluster_that_is_down_is_named() -> None:
    with pytest.raises(ClusterUnavailable, match=r"127\.0\.0\.1:1 refused"):
        run_checks(MODEST, YARNAPI("127.0.0.1", 1))
