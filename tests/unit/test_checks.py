"""Pre-flight checks where the test cluster cannot be brought to it: its answers are replayed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from knit_provider.yarn.checks import ContainerNeed, Requirements, run_checks
from knit_provider.yarn.errors import CheckFailed, ClusterUnavailable, ConfigurationError, KnitError, PermissionDenied
from knit_provider.yarn.files.port import Space

MODEST = Requirements(
    queue="default",
    am={"memory-mb": 256, "vcores": 1},
    services=(ContainerNeed("worker", {"memory-mb": 512, "vcores": 1}, 2),),
    user="alice",
)
LEAF = {"queueName": "default", "queuePath": "root.default", "queueType": "leaf", "state": "RUNNING"}


def node(memory=4096, vcores=4, state="RUNNING", used=0, **more):
    total = {"memory": memory, "vCores": vcores}
    return {
        "id": "n1:45454",
        "state": state,
        "totalResource": total,
        "usedMemoryMB": used,
        "availMemoryMB": memory - used,
        "availableVirtualCores": vcores,
        "usedVirtualCores": 0,
        **more,
    }


class Cluster:
    """Answers as a ResourceManager's REST interface does."""

    user = "alice"

    def __init__(self, nodes=None, queue=LEAF, limits=None, allowed=True):
        self._nodes = [node()] if nodes is None else nodes
        self._queue = queue
        self._limits = {"memory-mb": 8192, "vcores": 8} if limits is None else limits
        self._allowed = allowed

    def scheduler(self):
        return {"schedulerInfo": {"type": "capacityScheduler", "queueName": "root", "queues": {"queue": [self._queue]}}}

    def nodes(self):
        return self._nodes

    def max_allocation(self, queue=None):
        return self._limits

    def may_submit(self, queue, user=None):
        return self._allowed


class Folder:
    """A filesystem that refuses as it is told."""

    def __init__(self, error=None, space=None, home=True):
        self.error, self.space, self.home = error, space or Space(None, None, None), home
        self.made: list[str] = []

    def uri_home(self):
        return "hdfs://n/user/alice"

    def status(self, path):
        return SimpleNamespace() if self.home else None

    def mkdirs(self, path, mode="700"):
        if self.error is not None:
            raise self.error
        self.made.append(path)

    def delete(self, path, recursive=False):
        self.made.remove(path)

    def free(self, path):
        if isinstance(self.space, Exception):
            raise self.space
        return self.space


class TestWords:
    @pytest.mark.parametrize(
        ("tags", "words"),
        [
            (tuple(f"t{i}" for i in range(11)), "11 tags are more than the 10"),
            (("x" * 101,), "the tag 'x"),
            (("é",), "ASCII"),
            (("a,b",), "without commas"),
            (("",), "1 to 100"),
        ],
    )
    def test_tags_that_yarn_refuses(self, tags, words):
        with pytest.raises(CheckFailed, match=words):
            run_checks(replace(MODEST, tags=tags), Cluster())

    def test_a_type_that_yarn_cuts(self):
        with pytest.raises(CheckFailed, match="20 characters"):
            run_checks(replace(MODEST, app_type="x" * 21), Cluster())

    def test_what_is_just_allowed(self):
        assert run_checks(replace(MODEST, tags=tuple("x" * 99 + str(i) for i in range(10))), Cluster()) == []


class TestQueue:
    def test_an_acl_that_says_no(self):
        with pytest.raises(CheckFailed, match="user alice may not submit to the queue 'default'"):
            run_checks(MODEST, Cluster(allowed=False))

    def test_an_acl_that_says_nothing(self):
        assert run_checks(MODEST, Cluster(allowed=None)) == []

    def test_one_that_drains(self):
        with pytest.raises(CheckFailed, match="is DRAINING"):
            run_checks(MODEST, Cluster(queue={**LEAF, "state": "DRAINING"}))

    def test_one_that_submission_makes(self):
        users = {"queueName": "users", "queuePath": "root.users", "queueType": "parent", "state": "RUNNING"}
        cluster = Cluster(queue={**users, "autoCreationEligibility": "flexible"})
        assert run_checks(replace(MODEST, queue="root.users.alice"), cluster) == []
        with pytest.raises(CheckFailed, match="no queue"):
            run_checks(replace(MODEST, queue="root.users.alice"), Cluster(queue=users))


class TestNodes:
    def test_unhealthy_ones_are_told(self):
        ill = node(state="UNHEALTHY", healthReport="1/1 local-dirs usable space is below\n")
        warnings = run_checks(MODEST, Cluster(nodes=[node(), ill]))
        assert warnings == ["1 of 2 nodes are unhealthy, n1:45454 for one: 1/1 local-dirs usable space is below"]

    def test_none_at_all_is_told(self):
        assert run_checks(MODEST, Cluster(nodes=[])) == [
            "the cluster has no running node now; the application waits until there is one"
        ]

    @pytest.mark.parametrize(
        "asked", [{"memory-mb": 5000, "vcores": 1}, {"memory-mb": 1, "vcores": 5}, {"memory-mb": 3000, "vcores": 3}]
    )
    def test_a_container_has_to_fit_one_node_in_everything(self, asked):
        """Knit asked whether some node had enough of the one or of the other."""
        nodes = [node(memory=4096, vcores=2), node(memory=2048, vcores=4)]
        requirements = replace(MODEST, services=(ContainerNeed("big", asked),))
        warnings = run_checks(requirements, Cluster(nodes=nodes))
        assert any(warning.startswith("no node of the cluster is large enough for big") for warning in warnings)

    def test_an_application_master_has_to_fit_now(self):
        """YARN refuses it at once, whatever its configured maximum."""
        with pytest.raises(CheckFailed, match="large enough for the ApplicationMaster"):
            run_checks(replace(MODEST, am={"memory-mb": 5000, "vcores": 1}), Cluster())

    def test_an_unhealthy_node_is_no_room(self):
        nodes = [node(memory=1024), node(memory=8192, state="LOST")]
        requirements = replace(MODEST, services=(ContainerNeed("big", {"memory-mb": 2000, "vcores": 1}),))
        assert any("large enough" in warning for warning in run_checks(requirements, Cluster(nodes=nodes)))

    def test_a_busy_cluster_is_told(self):
        warnings = run_checks(MODEST, Cluster(nodes=[node(used=3000)]))
        assert warnings == [
            "the application wants 1280 MiB in all and the cluster has 1096 MiB free now; part of it waits"
        ]

    def test_nodes_of_an_old_resource_manager(self):
        old = node()
        del old["totalResource"]
        assert run_checks(MODEST, Cluster(nodes=[old])) == []


class TestLimits:
    def test_named_resources(self):
        limits = {"memory-mb": 8192, "vcores": 8, "yarn.io/gpu": 2}
        gpus = {"memory-mb": 1, "vcores": 1, "yarn.io/gpu": 3}
        with pytest.raises(CheckFailed, match=r"3 yarn\.io/gpu, more than the 2"):
            run_checks(replace(MODEST, services=(ContainerNeed("w", gpus),)), Cluster(limits=limits))
        none = {"memory-mb": 1, "vcores": 1, "yarn.io/fpga": 0}
        assert run_checks(replace(MODEST, services=(ContainerNeed("w", none),)), Cluster(limits=limits)) == []

    def test_a_cluster_that_does_not_tell_its_limits_refuses_nothing(self):
        big = ContainerNeed("big", {"memory-mb": 10**6, "vcores": 1})
        assert run_checks(replace(MODEST, services=(big,)), Cluster(limits={})) != []


class TestFilesystem:
    def test_nothing_of_a_check_is_left(self):
        folder = Folder()
        run_checks(MODEST, Cluster(), folder)
        assert folder.made == ["hdfs://n/user/alice/.knitDeps"]

    @pytest.mark.parametrize("error", [PermissionDenied("no right"), ConfigurationError("the name quota is exceeded")])
    def test_what_refuses_a_write(self, error):
        with pytest.raises(CheckFailed, match=str(error)) as caught:
            run_checks(MODEST, Cluster(), Folder(error))
        assert "does not exist" not in str(caught.value)

    def test_a_home_that_is_missing(self):
        with pytest.raises(CheckFailed, match="hdfs://n/user/alice does not exist"):
            run_checks(MODEST, Cluster(), Folder(PermissionDenied("no"), home=False))

    def test_a_filesystem_that_is_down_is_that(self):
        with pytest.raises(ClusterUnavailable):
            run_checks(MODEST, Cluster(), Folder(ClusterUnavailable("refused")))

    @pytest.mark.parametrize(
        ("space", "refused", "warned"),
        [
            (Space(None, None, None), False, False),
            (Space(1000, 0, 300), False, False),
            (Space(1000, 0, 299), False, True),
            (Space(1000, 0, 1000, space_quota=400, space_used=100), False, False),
            (Space(1000, 0, 1000, space_quota=400, space_used=101), True, False),
            (Space(1000, 0, 1000, space_quota=-1, space_used=100), False, False),
            (KnitError("not told"), False, False),
        ],
    )
    def test_room(self, space, refused, warned):
        requirements = replace(MODEST, upload_bytes=100, replication=3)
        if refused:
            with pytest.raises(CheckFailed, match="space quota"):
                run_checks(requirements, Cluster(), Folder(space=space))
        else:
            assert bool(run_checks(requirements, Cluster(), Folder(space=space))) is warned
