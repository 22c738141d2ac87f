"""YARNAPI where a real ResourceManager cannot be brought to it: several of them, gateways, slow ends, lost answers."""

from __future__ import annotations

import json
import sys

import pytest

from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError
from knit_provider.yarn.rest.yarn_api import YARNAPI

from .conftest import remote_exception, send

APP = "application_1454900586318_0004"


def info(state: str):
    return lambda h: send(h, 200, {"clusterInfo": {"haState": state, "state": "STARTED"}})


class TestKnitsSignature:
    def test_the_example_of_the_documentation(self):
        api = YARNAPI("proxy.server.org", 9999, gateway_path="/default/resourcemanager")
        assert api.url == "http://proxy.server.org:9999/default/resourcemanager/ws/v1/"
        assert (api.rm, api.rm_port, api.gateway_path) == ("proxy.server.org", 9999, "/default/resourcemanager")

    def test_default_ports(self):
        assert YARNAPI("h").host_port == "h:8088"
        assert YARNAPI("h", scheme="https").host_port == "h:8090"

    def test_positions(self):
        api = YARNAPI("h", 1, "https", "/gw", False, "alice", "secret")
        assert (api.scheme, api.gateway_path, api.username) == ("https", "/gw", "alice")
        assert (api.auth.username, api.auth.password) == ("alice", "secret")

    def test_no_file_is_read_for_a_host_that_is_given(self, monkeypatch):
        monkeypatch.setenv("HADOOP_CONF_DIR", "/no/such/directory")
        assert YARNAPI("h", 1).host_port == "h:1"
        with pytest.raises(ConfigurationError, match="HADOOP_CONF_DIR"):
            YARNAPI()

    @pytest.mark.parametrize(
        "arguments",
        [
            {"rm": ""},
            {"rm": "h", "rm_port": 0},
            {"rm": "h", "rm_port": "x"},
            {"rm": "h", "scheme": "ftp"},
            {"rm": "http://h"},
            {"rm": "h", "timeout": -1},
        ],
    )
    def test_what_cannot_be_used_is_refused(self, arguments):
        with pytest.raises(ConfigurationError):
            YARNAPI(**arguments)

    def test_auth_and_timeout_can_be_changed(self, daemon):
        api = YARNAPI("127.0.0.1", int(daemon.address.split(":")[1]))
        api.auth = ("bob", "pw")
        api.timeout = 2
        api.cluster_metrics()
        assert daemon.requests[0][2]["Authorization"].startswith("Basic ")
        with pytest.raises(ConfigurationError):
            api.timeout = -1

    def test_kerberos_says_what_it_needs(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "gssapi", None)
        with pytest.raises(ConfigurationError, match="gssapi"):
            YARNAPI("h", 1, kerberos=True)


class TestSeveralResourceManagers:
    def test_the_actives_information_is_given(self, daemons, session_of):
        standby, active = daemons
        standby.answer, active.answer = info("STANDBY"), info("ACTIVE")
        api = YARNAPI(session=session_of(standby.address, active.address))
        assert api.cluster_info()["haState"] == "ACTIVE"
        assert api.ha_state() == {standby.url: "STANDBY", active.url: "ACTIVE"}

    def test_one_that_is_down_is_named(self, daemons, session_of):
        active, dead = daemons
        active.answer = info("ACTIVE")
        dead.stop()
        found = YARNAPI(session=session_of(active.address, dead.address)).ha_state()
        assert found[active.url] == "ACTIVE"
        assert "refused" in found[dead.url]


class TestOneThatRecovers:
    """It answers before it has read what it knew; who believes that starts a job twice."""

    @pytest.fixture
    def recovering(self, daemon, session_of):
        """An API, and what its ResourceManager says of itself."""
        says = {"haState": "INITIALIZING"}

        def answer(handler):
            if handler.path.startswith("/ws/v1/cluster/info"):
                info(says["haState"])(handler)
            elif APP in handler.path and says["haState"] == "ACTIVE":
                send(handler, 200, {"app": {"id": APP, "state": "RUNNING"}})
            elif APP in handler.path:
                remote_exception(handler, 404, "NotFoundException", "app not found")
            else:
                send(handler, 200, {"apps": {"app": [{"id": APP}]}})

        daemon.answer = answer
        return YARNAPI(session=session_of(daemon.address)), says

    def test_says_of_no_application_that_it_is_forgotten(self, recovering):
        api, says = recovering
        with pytest.raises(ClusterUnavailable, match="has not recovered its applications"):
            api.status(APP)
        says["haState"] = "ACTIVE"
        assert api.status(APP)["state"] == "RUNNING"

    def test_takes_no_kill_for_one_of_an_application_that_nobody_knows(self, recovering):
        api, _ = recovering
        with pytest.raises(ClusterUnavailable, match="has not recovered its applications"):
            api.kill(APP, timeout=0)

    def test_has_no_list_by_tags(self, recovering):
        api, says = recovering
        with pytest.raises(ClusterUnavailable, match="has not recovered its applications"):
            api.find(tags=["one"])
        says["haState"] = "ACTIVE"
        assert [app["id"] for app in api.find(tags=["one"])] == [APP]


class TestIdentity:
    def conf(self, *pairs):
        return {"properties": [{"key": k, "value": v, "resource": r} for k, v, r in pairs]}

    def answers(self, conf_answer):
        def answer(handler):
            if handler.path.startswith("/conf"):
                conf_answer(handler)
            else:
                send(handler, 200, {"clusterInfo": {"haState": "ACTIVE"}})

        return answer

    @pytest.mark.parametrize(
        ("pairs", "identity"),
        [
            ([("yarn.resourcemanager.address", "rm.internal:8050", "yarn-site.xml")], "rm.internal_8050"),
            ([("yarn.resourcemanager.address", "0.0.0.0:8032", "yarn-default.xml")], "0.0.0.0_8032"),
            (
                [
                    ("yarn.resourcemanager.ha.enabled", "true", "yarn-site.xml"),
                    ("yarn.resourcemanager.ha.rm-ids", "a,b", "yarn-site.xml"),
                    ("yarn.resourcemanager.cluster-id", "prod", "yarn-site.xml"),
                    ("yarn.resourcemanager.address", "rm1:8032", "programmatically"),
                ],
                "prod",
            ),
        ],
    )
    def test_it_is_what_the_resource_manager_says(self, daemon, session_of, pairs, identity):
        daemon.answer = self.answers(lambda h: send(h, 200, self.conf(*pairs)))
        session = session_of(daemon.address, pars={"yarn.resourcemanager.address": "alias:1"})
        assert YARNAPI(session=session).rm_identity() == identity

    @pytest.mark.parametrize(
        "withheld",
        [lambda h: remote_exception(h, 403, "X", "no"), lambda h: send(h, 404, b"<html>no</html>", "text/html")],
    )
    def test_where_it_is_withheld_the_configuration_says_it(self, daemon, session_of, withheld):
        daemon.answer = self.answers(withheld)
        session = session_of(daemon.address, pars={"yarn.resourcemanager.address": "alias:1"})
        assert YARNAPI(session=session).rm_identity() == "alias_1"

    def test_a_passing_failure_gives_no_second_name(self, daemon, session_of):
        api = YARNAPI(session=session_of(daemon.address, pars={"yarn.resourcemanager.address": "alias:1"}))
        daemon.answer = lambda h: send(h, 503, b"restarting")
        with pytest.raises(ClusterUnavailable):
            api.rm_identity()
        daemon.answer = self.answers(
            lambda h: send(h, 200, self.conf(("yarn.resourcemanager.address", "rm:1", "yarn-site.xml")))
        )
        assert api.rm_identity() == "rm_1"


class TestKilling:
    def states(self, daemon, *states):
        left = list(states)

        def answer(handler):
            if handler.command == "PUT":
                send(handler, 202, {"state": "RUNNING"})
            else:
                send(handler, 200, {"state": left.pop(0) if len(left) > 1 else left[0]})

        daemon.answer = answer

    @pytest.mark.parametrize(
        ("states", "killed"),
        [(["RUNNING", "RUNNING", "KILLED"], True), (["RUNNING", "FINISHED"], False), (["FAILED"], False)],
    )
    def test_only_the_state_at_the_end_counts(self, daemon, session_of, states, killed):
        self.states(daemon, *states)
        assert YARNAPI(session=session_of(daemon.address)).kill(APP) is killed
        assert json.loads(daemon.requests[0][3]) == {"state": "KILLED"}

    def test_one_that_does_not_end_is_waited_for_no_longer_than_said(self, daemon, session_of):
        self.states(daemon, "RUNNING")
        assert YARNAPI(session=session_of(daemon.address)).kill(APP, timeout=0.3) is False

    def test_the_order_is_given_again_when_its_answer_was_lost(self, daemon, session_of):
        def answer(handler):
            if len(daemon.requests) == 1:
                send(handler, 503, b"restarting")
            else:
                send(handler, 200, {"state": "KILLED"})

        daemon.answer = answer
        assert YARNAPI(session=session_of(daemon.address)).kill(APP) is True


def test_lists_in_every_shape(daemon, session_of):
    api = YARNAPI(session=session_of(daemon.address))
    for answer in ({"apps": {}}, {"apps": None}, {}):
        daemon.answer = lambda h, answer=answer: send(h, 200, answer)
        assert api.apps == []
    daemon.answer = lambda h: send(h, 200, {"apps": {"app": {"id": APP}}})
    assert api.apps == [APP]
    daemon.answer = lambda h: send(h, 200, {"nodes": None})
    assert api.nodes() == []
