from __future__ import annotations

import os
import socket
import threading
import traceback

import pytest
import requests.auth

from knit_provider.yarn.errors import (
    ApplicationNotFound,
    AuthenticationFailed,
    ClusterUnavailable,
    ConfigurationError,
    PermissionDenied,
)
from knit_provider.yarn.rest import answers

from .conftest import hang_up, ok, remote_exception, send

STANDBY_TEXT = b"This is standby RM. The redirect url is: /ws/v1/cluster\n"
NOBODY_TEXT = b"Can not find any active RM. Will retry in next 1 seconds.\nHA Zookeeper Connection State: null\n"


class TestWhoAsks:
    def test_simple_authentication_names_the_user(self, daemon, session_of):
        session_of(daemon.address).get_json("cluster/metrics", {"states": "RUNNING", "left_out": None})
        assert daemon.requests[0][1] == "/ws/v1/cluster/metrics?states=RUNNING&user.name=alice"
        assert "Authorization" not in daemon.requests[0][2]

    def test_a_password_goes_as_basic_authentication(self, daemon, session_of):
        session_of(daemon.address, password="s3cret").get_json("cluster/metrics")
        assert daemon.requests[0][2]["Authorization"] == "Basic YWxpY2U6czNjcmV0"

    def test_an_auth_object_takes_the_place_of_name_and_password(self, daemon, session_of):
        class Token(requests.auth.AuthBase):
            def __call__(self, request):
                request.headers["Authorization"] = "Negotiate abc"
                return request

        session_of(daemon.address, password="s3cret", auth=Token()).get_json("cluster/metrics")
        assert daemon.requests[0][2]["Authorization"] == "Negotiate abc"
        assert "user.name" not in daemon.requests[0][1]

    def test_a_netrc_is_not_consulted(self, daemon, session_of, tmp_path, monkeypatch):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login mallory password canary\n")
        monkeypatch.setenv("NETRC", str(netrc))
        session_of(daemon.address).get_json("cluster/metrics")
        assert "Authorization" not in daemon.requests[0][2]

    def test_cookies_of_one_daemon_do_not_reach_another(self, daemons, session_of):
        first, second = daemons
        first.answer = lambda h: send(h, 200, {}, Set_Cookie='hadoop.auth="u=alice&s=x"; Path=/')
        session = session_of(first.address)
        session.get_json("cluster/metrics")
        session.get_url(f"{second.url}/ws/v1/node")
        assert "Cookie" not in second.requests[0][2]

    def test_only_what_changes_something_carries_the_guard_against_forged_requests(self, daemon, session_of):
        session = session_of(daemon.address)
        session.get_json("cluster/metrics")
        session.request("PUT", "cluster/apps/application_1_0001/state", json={"state": "KILLED"})
        assert "X-XSRF-Header" not in daemon.requests[0][2]
        assert daemon.requests[1][2]["X-XSRF-Header"]
        assert daemon.requests[1][3] == b'{"state": "KILLED"}'

    def test_the_guards_name_is_the_clusters(self, daemon, session_of):
        key = "yarn.resourcemanager.webapp.rest-csrf.custom-header"
        session_of(daemon.address, pars={key: "X-Mine"}).request("POST", "cluster/apps/new-application")
        assert daemon.requests[0][2]["X-Mine"]


class TestProxies:
    def test_loopback_ignores_the_environments_proxy(self, daemon, session_of, monkeypatch, free_port):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
        monkeypatch.setenv("no_proxy", "")
        assert session_of(daemon.address).get_json("cluster/metrics")

    def test_other_hosts_go_through_it(self, daemon, session_of, monkeypatch):
        monkeypatch.setenv("http_proxy", daemon.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert session_of("rm.invalid:8088").get_json("cluster/metrics")
        assert daemon.requests[0][1].startswith("http://rm.invalid:8088/ws/v1/cluster/metrics")

    def test_a_failure_says_that_a_proxy_was_between(self, session_of, monkeypatch, free_port):
        monkeypatch.setenv("http_proxy", f"http://bob:s3cret@127.0.0.1:{free_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(ClusterUnavailable, match=f"through the proxy 127.0.0.1:{free_port} of") as caught:
            session_of("rm.invalid:8088").get_json("cluster/metrics")
        assert "s3cret" not in str(caught.value)


class TestOneResourceManager:
    def test_nothing_listens(self, session_of, free_port):
        with pytest.raises(ClusterUnavailable, match=f"127.0.0.1:{free_port} refused the connection"):
            session_of(f"127.0.0.1:{free_port}").get_json("cluster/metrics")

    def test_an_unknown_host(self, session_of, monkeypatch):
        monkeypatch.setenv("no_proxy", "*")
        with pytest.raises(ClusterUnavailable, match=r"host name of http://no-such-host\.invalid:8088 is unknown"):
            session_of("no-such-host.invalid:8088").get_json("cluster/metrics")

    def test_nothing_configured_says_what_was_looked_for(self, session_of, free_port):
        with pytest.raises(ClusterUnavailable, match=r"nothing says where the ResourceManager is.*hadoop_conf_dir="):
            session_of(pars={"rm_port": free_port}).get_json("cluster/metrics")

    def test_a_connection_that_fails_once_is_tried_again(self, daemon, session_of):
        def first_hangs_up(handler):
            if len(daemon.requests) == 1:
                hang_up(handler)
            else:
                ok(handler)

        daemon.answer = first_hangs_up
        assert session_of(daemon.address).get_json("cluster/metrics")
        assert len(daemon.requests) == 2

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_a_server_error_is_tried_again_a_few_times(self, daemon, session_of, status):
        daemon.answer = lambda h: remote_exception(h, status, "WebApplicationException", "out of luck")
        with pytest.raises(ClusterUnavailable, match="out of luck"):
            session_of(daemon.address).get_json("cluster/metrics")
        assert len(daemon.requests) == 3

    def test_a_submission_that_may_have_arrived_is_not_repeated(self, daemon, session_of):
        daemon.answer = lambda h: hang_up(h)
        with pytest.raises(ClusterUnavailable, match="may have taken effect"):
            session_of(daemon.address).request("POST", "cluster/apps", json={})
        assert len(daemon.requests) == 1

    def test_a_submission_that_cannot_have_arrived_is(self, daemons, session_of, free_port):
        _, live = daemons
        session_of(f"127.0.0.1:{free_port}", live.address).request("POST", "cluster/apps", json={})
        assert len(live.requests) == 1

    def test_silence_ends_with_the_time_limit(self, session_of):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(ClusterUnavailable, match="said nothing"):
                session_of(address, timeout=0.5).get_json("cluster/metrics")

    def test_an_answer_that_trickles_ends_with_the_time_limit(self, daemon, session_of):
        stop = threading.Event()

        def trickle(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            while not stop.wait(0.05):
                handler.wfile.write(b" ")
                handler.wfile.flush()

        daemon.answer = trickle
        try:
            with pytest.raises(ClusterUnavailable, match="too slowly"):
                session_of(daemon.address, timeout=0.5).get_json("cluster/metrics")
        finally:
            stop.set()

    @pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x01\x02\xff" * 10 + b"\r\n"])
    def test_a_port_that_does_not_speak_http(self, session_of, greeting):
        with socket.create_server(("127.0.0.1", 0)) as server:

            def greet():
                for _ in range(3):
                    try:
                        connection = server.accept()[0]
                    except OSError:
                        return
                    with connection:
                        connection.sendall(greeting)
                        connection.recv(1000)

            threading.Thread(target=greet, daemon=True).start()
            with pytest.raises(ClusterUnavailable, match=r"not HTTP.*right port"):
                session_of(f"127.0.0.1:{server.getsockname()[1]}").get_json("cluster/metrics")

    def test_https_at_an_http_port(self, daemon, session_of):
        with pytest.raises(ClusterUnavailable, match="TLS with https://127"):
            session_of(daemon.address, scheme="https").get_json("cluster/metrics")


class TestAnswersThatAreNotYarns:
    def test_a_page_is_quoted_as_a_reader_sees_it(self, daemon, session_of):
        page = b"<!DOCTYPE html><html><head><title>x</title></head><body><h1>Welcome to nginx!</h1></body></html>"
        daemon.answer = lambda h: send(h, 200, page, "text/html")
        with pytest.raises(ClusterUnavailable, match="'Welcome to nginx!'") as caught:
            session_of(daemon.address).get_json("cluster/metrics")
        assert f"{daemon.url}/ws/v1/cluster/metrics" in str(caught.value)

    def test_http_that_knows_no_such_path(self, daemon, session_of):
        daemon.answer = lambda h: send(h, 404, b"<html><body>Not found</body></html>", "text/html")
        with pytest.raises(ClusterUnavailable, match="web port of a ResourceManager"):
            session_of(daemon.address).get_json("cluster/apps/application_1_0001")

    @pytest.mark.parametrize("body", [b"", b'{"apps": {"app": [{"id": "appl', b"[1, 2]", b"null", b"\xff\xfe", b"NaN"])
    def test_what_is_not_a_json_object_is_not_an_answer(self, daemon, session_of, body):
        daemon.answer = lambda h: send(h, 200, body, "application/json")
        with pytest.raises(ClusterUnavailable, match="JSON was due"):
            session_of(daemon.address).get_json("cluster/apps")

    def test_an_answer_cut_short_is_not_taken_for_a_whole_one(self, daemon, session_of):
        def cut(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b'{"apps": null}')
            handler.close_connection = True

        daemon.answer = cut
        with pytest.raises(ClusterUnavailable, match="broke off its answer after 14 "):
            session_of(daemon.address).get_json("cluster/apps")

    def test_an_endless_answer_is_not_read_to_its_end(self, daemon, session_of, monkeypatch):
        monkeypatch.setattr("knit_provider.yarn.rest.transport.LARGEST_ANSWER", 2**20)

        def endless(handler):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            try:
                while True:
                    handler.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
            except OSError:
                handler.close_connection = True

        daemon.answer = endless
        with pytest.raises(ClusterUnavailable, match="more than 1 MiB"):
            session_of(daemon.address).get_json("cluster/apps")

    def test_first_words_are_few(self):
        assert len(answers.first_words("word " * 10**6)) <= 120


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "name", "path", "error"),
        [
            (404, "NotFoundException", "cluster/apps/application_1_0001/state", ApplicationNotFound),
            (404, "NotFoundException", "cluster/queues/x", ConfigurationError),
            (403, "ForbiddenException", "cluster/apps/application_1_0001/state", PermissionDenied),
            (401, "AuthenticationException", "cluster/metrics", AuthenticationFailed),
            (400, "BadRequestException", "cluster/apps/application_1_0001", ConfigurationError),
        ],
    )
    def test_the_clusters_words_are_passed_on(self, daemon, session_of, status, name, path, error):
        daemon.answer = lambda h: remote_exception(h, status, name, "java.lang.Exception: the cluster's words")
        with pytest.raises(error, match="the cluster's words") as caught:
            session_of(daemon.address).get_json(path)
        assert "java.lang" not in str(caught.value)
        assert len(daemon.requests) == 1

    def test_an_unknown_application_is_not_called_failed(self, daemon, session_of):
        daemon.answer = lambda h: remote_exception(h, 404, "NotFoundException", "app not found")
        with pytest.raises(ApplicationNotFound, match=r"application_1_0001.*does not mean that it failed"):
            session_of(daemon.address).get_json("cluster/apps/application_1_0001")

    @pytest.mark.parametrize(("scheme", "words"), [("Negotiate", "kinit"), ("Basic", "password=")])
    def test_a_refused_user_is_told_what_is_wanted(self, daemon, session_of, scheme, words):
        daemon.answer = lambda h: send(h, 401, b"Authentication required", WWW_Authenticate=f"{scheme} realm=x")
        with pytest.raises(AuthenticationFailed, match=f"user alice.*{words}"):
            session_of(daemon.address).get_json("cluster/metrics")


class TestHighAvailability:
    @pytest.fixture
    def pair(self, daemons, session_of):
        standby, active = daemons
        return standby, active, session_of(standby.address, active.address)

    def test_a_standby_that_redirects_is_followed_to_the_active(self, pair):
        standby, active, session = pair
        standby.answer = lambda h: send(h, 307, STANDBY_TEXT, Location=f"{active.url}{h.path}")
        assert session.get_json("cluster/metrics")
        assert session.active_address == active.url

    @pytest.mark.parametrize(
        "answer",
        [
            lambda h: send(h, 307, NOBODY_TEXT, Refresh="1;url=/ws/v1/cluster/metrics?next=1"),
            lambda h: send(h, 307, STANDBY_TEXT),
            lambda h: send(h, 200, NOBODY_TEXT),
            lambda h: send(h, 200, b"<html><body>This is standby RM. </body></html>", "text/html"),
            lambda h: send(h, 307, STANDBY_TEXT, Location="http://internal-name.invalid:8088/ws/v1/cluster/metrics"),
            lambda h: send(h, 503, b"starting"),
            lambda h: hang_up(h),
        ],
    )
    def test_the_other_one_is_asked_whatever_a_standby_says(self, pair, answer):
        standby, active, session = pair
        standby.answer = answer
        assert session.get_json("cluster/metrics")
        assert len(active.requests) == 1

    def test_a_dead_one_is_passed_over(self, daemon, session_of, free_port):
        session = session_of(f"127.0.0.1:{free_port}", daemon.address)
        assert session.get_json("cluster/metrics")

    def test_the_active_is_remembered(self, pair):
        standby, active, session = pair
        standby.answer = lambda h: send(h, 307, STANDBY_TEXT)
        for _ in range(3):
            session.get_json("cluster/metrics")
        assert (len(standby.requests), len(active.requests)) == (1, 3)

    def test_a_failover_is_noticed(self, pair):
        first, second, session = pair
        session.get_json("cluster/metrics")
        first.answer = lambda h: send(h, 307, STANDBY_TEXT)
        session.get_json("cluster/metrics")
        assert session.active_address == second.url

    def test_a_submission_is_passed_on_by_a_standby(self, pair):
        standby, active, session = pair
        standby.answer = lambda h: send(h, 307, STANDBY_TEXT, Location=f"{active.url}{h.path}")
        session.request("POST", "cluster/apps", json={"application-id": "x"})
        assert active.requests[0][3] == b'{"application-id": "x"}'

    def test_one_that_hangs_leaves_time_for_the_others(self, daemon, session_of):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            session = session_of(f"127.0.0.1:{silent.getsockname()[1]}", daemon.address, timeout=2)
            assert session.get_json("cluster/metrics")

    @pytest.mark.parametrize(
        "nobody",
        [
            lambda h: send(h, 307, NOBODY_TEXT, Refresh="1;url=/"),
            lambda h: send(h, 307, b"", Refresh="1;url=/"),
            lambda h: send(h, 307, b""),
        ],
    )
    def test_a_takeover_during_the_call_is_waited_for(self, pair, nobody):
        first, second, session = pair
        first.answer = nobody
        second.answer = lambda h: ok(h) if len(second.requests) > 1 else nobody(h)
        assert session.get_json("cluster/metrics")

    def test_a_takeover_that_takes_its_time_is_waited_for_as_long_as_the_call_may_take(self, pair):
        first, second, session = pair
        first.stop()
        second.answer = lambda h: ok(h) if len(second.requests) > 8 else send(h, 307, NOBODY_TEXT, Refresh="1;url=/")
        session.request("POST", "cluster/apps", json={"application-id": "x"})
        assert len(second.requests) == 9

    def test_one_that_fails_is_no_takeover(self, pair):
        first, second, session = pair
        first.answer = lambda h: send(h, 307, STANDBY_TEXT)
        second.answer = lambda h: send(h, 503, b"out of order")
        with pytest.raises(ClusterUnavailable, match="503"):
            session.get_json("cluster/metrics")
        assert len(second.requests) == 3

    def test_no_active_one_names_them_all(self, daemons, session_of):
        first, second = daemons
        session = session_of(first.address, second.address, timeout=1)
        first.answer = lambda h: send(h, 307, NOBODY_TEXT, Refresh="1;url=/")
        second.stop()
        with pytest.raises(ClusterUnavailable, match="no active ResourceManager") as caught:
            session.get_json("cluster/metrics")
        assert f"{first.url} is a standby and knows no active one" in str(caught.value)
        assert f"{second.url} refused the connection" in str(caught.value)

    def test_a_redirect_to_a_host_that_is_not_configured_is_not_followed(self, daemons, session_of):
        standby, stranger = daemons
        standby.answer = lambda h: send(h, 307, STANDBY_TEXT, Location=f"{stranger.url}{h.path}")
        with pytest.raises(ClusterUnavailable, match=f"names {stranger.address}.*rm_addresses="):
            session_of(standby.address, password="canary").get_json("cluster/metrics")
        assert stranger.requests == []

    def test_names_of_this_machine_are_one_host(self, pair):
        standby, active, session = pair
        by_name = active.url.replace("127.0.0.1", "LocalHost")
        standby.answer = lambda h: send(h, 307, STANDBY_TEXT, Location=f"{by_name}{h.path}")
        assert session.get_json("cluster/metrics")
        assert session.active_address == active.url

    def test_a_redirect_to_a_login_page_is_not_followed(self, daemons, session_of):
        gateway, stranger = daemons
        gateway.answer = lambda h: send(h, 302, b"", Location=f"{stranger.url}/login?originalUrl=x")
        with pytest.raises(ClusterUnavailable, match="/login"):
            session_of(gateway.address).get_json("cluster/metrics")
        assert stranger.requests == []

    def test_a_redirect_to_https_says_so(self, daemon, session_of):
        daemon.answer = lambda h: send(h, 302, b"", Location=f"https://127.0.0.1:8090{h.path}")
        with pytest.raises(ClusterUnavailable, match="give scheme='https'"):
            session_of(daemon.address).get_json("cluster/metrics")


class TestGateway:
    """A gateway's path is found in both of its forms, and kept."""

    @pytest.mark.parametrize(
        ("given", "served"),
        [
            ("/gw/resourcemanager", "/gw/resourcemanager/ws/v1/"),
            ("/gw/resourcemanager/", "/gw/resourcemanager/ws/v1/"),
            ("/gw/resourcemanager", "/gw/resourcemanager/v1/"),
            ("/gw/resourcemanager/ws/v1", "/gw/resourcemanager/ws/v1/"),
            ("/gw/resourcemanager/ws/v1/", "/gw/resourcemanager/ws/v1/"),
            ("/gw/resourcemanager/v1", "/gw/resourcemanager/v1/"),
        ],
    )
    def test_both_forms(self, daemon, session_of, given, served):
        def answer(handler):
            if handler.path.startswith(served):
                ok(handler)
            else:
                send(handler, 404, b"<html><body>Not found</body></html>", "text/html")

        daemon.answer = answer
        session = session_of(daemon.address, gateway_path=given)
        for _ in range(2):
            assert session.get_json("cluster/metrics")
        assert daemon.paths[-1] == f"{served}cluster/metrics"
        assert len(daemon.requests) <= 3

    def test_the_root_of_the_resource_manager_is_beside_it(self, daemon, session_of):
        session_of(daemon.address, gateway_path="/gw/rm/ws/v1").get_json("/conf")
        assert daemon.paths == ["/gw/rm/conf"]

    def test_an_unknown_application_behind_a_gateway(self, daemon, session_of):
        daemon.answer = lambda h: remote_exception(h, 404, "NotFoundException", "app not found")
        with pytest.raises(ApplicationNotFound):
            session_of(daemon.address, gateway_path="/gw/rm").get_json("cluster/apps/application_1_0001")

    @pytest.mark.parametrize("path", ["gw/rm", "/gw/../x", "/gw?x", "http://h/gw", "/g w"])
    def test_what_is_no_path_is_refused(self, session_of, path):
        with pytest.raises(ConfigurationError, match="gateway_path"):
            session_of("h:1", gateway_path=path)


class TestSharing:
    def test_threads_share_a_session(self, daemon, session_of):
        session = session_of(daemon.address)
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(session.get_json("cluster/metrics"))) for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 16

    def test_a_fork_does_not_share_its_parents_connection(self, daemon, session_of):
        session = session_of(daemon.address)
        session.get_json("cluster/metrics")
        ports = []
        daemon.answer = lambda h: (ports.append(h.client_address[1]), ok(h))
        session.get_json("cluster/metrics")
        # Not multiprocessing's child: that one ends like an interpreter, and stumbles over the parent's other threads.
        if (child := os.fork()) == 0:
            try:
                session.get_json("cluster/metrics")
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        session.get_json("cluster/metrics")
        assert ports[0] == ports[2] != ports[1]

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5", True])
    def test_a_time_limit_is_a_number_of_seconds(self, session_of, timeout):
        with pytest.raises(ConfigurationError, match="timeout"):
            session_of("h:1", timeout=timeout)

    def test_secrets_are_in_no_print(self, session_of):
        assert "canary" not in repr(session_of("h:1", password="canary"))
