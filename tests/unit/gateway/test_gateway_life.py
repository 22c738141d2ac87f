"""A gateway never outlives its Python, and a dead one is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from knit_provider.yarn.bridge.base import SubmissionUncertain
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError
from knit_provider.yarn.gateway import registry
from knit_provider.yarn.gateway.java import find_java
from knit_provider.yarn.gateway.registry import Gateway
from knit_provider.yarn.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import eventually
from tests.unit.gateway.servers import BlackHole

SCRIPT = """
import os, subprocess, sys, time
from knit_provider.yarn.gateway.registry import Gateway
from knit_provider.yarn.gateway.settings import GatewaySettings
gateway = Gateway(GatewaySettings(
    user="alice", hadoop_home=sys.argv[1], conf=(("fs.defaultFS", "file:///"),), class_archive=False))
gateway.start()
"""


def run_python(body: str, hadoop_home: Path) -> subprocess.Popen[str]:
    """A Python of its own with a running ``gateway``, that then does ``body``."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT + body, str(hadoop_home)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def gone(pid: int) -> Callable[[], bool]:
    def is_gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return is_gone


def test_closing_it_ends_the_jvm(gateway: Gateway) -> None:
    pid = gateway.pid
    assert pid is not None
    gateway.close()
    assert gateway.pid is None
    assert not psutil.pid_exists(pid)


def test_it_ends_with_a_python_that_ends(hadoop_home: Path) -> None:
    process = run_python("print(gateway.pid, flush=True)", hadoop_home)
    pid = int(says(process))
    assert process.wait(60) == 0
    assert not psutil.pid_exists(pid)


def test_it_ends_with_a_python_that_is_killed(hadoop_home: Path) -> None:
    process = run_python("print(gateway.pid, flush=True); time.sleep(600)", hadoop_home)
    pid = int(says(process))
    process.kill()
    process.wait()
    eventually(gone(pid), "the JVM is gone")


def test_it_ends_even_where_somebody_else_holds_its_pipe_open(hadoop_home: Path) -> None:
    body = """
pipe = gateway._process._process.stdin.fileno()
holder = subprocess.Popen(["sleep", "600"], pass_fds=[pipe])
print(gateway.pid, holder.pid, flush=True)
time.sleep(600)
"""
    process = run_python(body, hadoop_home)
    pid, holder = map(int, says(process).split())
    try:
        process.kill()
        process.wait()
        eventually(gone(pid), "the JVM is gone")
        assert psutil.pid_exists(holder)
    finally:
        os.kill(holder, signal.SIGKILL)


def test_a_forked_child_has_no_share_in_it(hadoop_home: Path) -> None:
    body = """
def held():
    links = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            links[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            pass
    return links
home = gateway.call("fs.home")
process = gateway._process._process
fds = [s.fileno() for s in (process.stdin, process.stdout, process.stderr)]
fds += [connection._socket.fileno() for connection in gateway._client._idle]
shared = {held()[fd] for fd in fds}
jvm = gateway.pid
read, write = os.pipe()
child = os.fork()
if child == 0:
    left = shared & set(held().values())
    before = gateway.pid
    same_home = gateway.call("fs.home") == home
    os.write(write, repr((len(shared), left, before, same_home, gateway.pid != jvm)).encode())
    gateway.close()
    os._exit(0)
os.waitpid(child, 0)
print(os.read(read, 1000).decode())
print(gateway.pid == jvm, gateway.call("fs.home") == home, flush=True)
"""
    process = run_python(body, hadoop_home)
    assert says(process) == "(4, set(), None, True, True)"
    assert says(process) == "True True"
    assert process.wait(60) == 0


def test_ctrl_c_in_the_terminal_does_not_reach_it(gateway: Gateway) -> None:
    assert gateway.pid is not None
    assert os.getsid(gateway.pid) != os.getsid(0)


def test_killed_between_calls_the_next_call_has_a_new_one(gateway: Gateway) -> None:
    first = gateway.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: gateway.pid is None, "the end was noticed")
    assert gateway.call("hello")["user"] == "alice"
    assert gateway.pid not in (None, first)


@pytest.mark.parametrize("method", ["new_application", "submit"])
def test_killed_under_a_call(make_gateway: Callable[..., Gateway], method: str) -> None:
    with BlackHole() as hole:
        gateway = make_gateway({"yarn.resourcemanager.address": hole.address})
        gateway.start()
        pid = gateway.pid
        assert pid is not None

        def kill() -> None:
            hole.wait_for_visitor()
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        arguments = {
            "application_id": "application_1_0001",
            "name": "n",
            "queue": "q",
            "am": {"resources": {"memory": 64, "vcores": 1}, "command": "true"},
        }
        with pytest.raises(ClusterUnavailable, match=rf"process {pid}\) was killed by SIGKILL") as caught:
            gateway.call(method, **(arguments if method == "submit" else {}))
        killer.join()
    assert f"during {method}" in str(caught.value)
    assert isinstance(caught.value, SubmissionUncertain) == (method == "submit")
    if method == "submit":
        assert "application_1_0001 may have been submitted or not" in str(caught.value)
    assert gateway.call("hello")["user"] == "alice"


def test_a_jvm_that_hangs_is_given_up(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    pid, client = gateway.pid, gateway._client
    assert pid is not None
    assert client is not None
    client._silence = 1.0
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ClusterUnavailable, match=rf"did not answer for 1 s and \(process {pid}\) was ended"):
        gateway.call("hello")
    assert not psutil.pid_exists(pid)
    assert gateway.call("hello")["user"] == "alice"


def test_equal_settings_share_a_jvm_and_others_do_not(hadoop_home: Path) -> None:
    def settings(user: str) -> GatewaySettings:
        return GatewaySettings(
            user=user, hadoop_home=str(hadoop_home), conf=(("fs.defaultFS", "file:///"),), class_archive=False
        )

    one, same, other = (registry.acquire(settings(user)) for user in ("alice", "alice", "bob"))
    try:
        assert one.gateway is same.gateway
        assert one.gateway is not other.gateway
        assert {lease.gateway.call("hello")["user"] for lease in (one, same, other)} == {"alice", "bob"}
        assert one.gateway.pid != other.gateway.pid
        one.close()
        assert same.gateway.pid is not None
    finally:
        for lease in (one, same, other):
            lease.close()
            lease.gateway.close()


def test_one_nobody_uses_ends_after_a_while(hadoop_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LINGER", 0.1)
    settings = GatewaySettings(user="carol", hadoop_home=str(hadoop_home), conf=(("fs.defaultFS", "file:///"),))
    lease = registry.acquire(settings)
    gateway = lease.gateway
    gateway.start()
    del lease
    eventually(lambda: gateway.pid is None, "the unused JVM ended")
    again = registry.acquire(settings)
    assert again.gateway is not gateway
    again.close()


def test_of_many_that_nobody_uses_the_oldest_end_at_once(hadoop_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MOST_UNUSED", 1)
    gateways = []
    for user in ("erin", "frank"):
        settings = GatewaySettings(
            user=user, hadoop_home=str(hadoop_home), conf=(("fs.defaultFS", "file:///"),), class_archive=False
        )
        lease = registry.acquire(settings)
        gateways.append(lease.gateway)
        lease.gateway.start()
        lease.close()
    first, second = gateways
    try:
        eventually(lambda: first.pid is None, "the older one ended")
        assert second.pid is not None
    finally:
        second.close()


def test_started_ahead_it_is_there_for_the_call(hadoop_home: Path) -> None:
    settings = GatewaySettings(
        user="dora", hadoop_home=str(hadoop_home), conf=(("fs.defaultFS", "file:///"),), class_archive=False
    )
    registry.prestart(settings)
    lease = registry.acquire(settings)
    try:
        eventually(lambda: lease.gateway.pid is not None, "it runs without a call")
    finally:
        lease.close()
        lease.gateway.close()


def test_a_jvm_that_does_not_start_is_quoted(tmp_path: Path, hadoop_home: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'Error: could not create the Java Virtual Machine' >&2\nexit 1\n")
    java.chmod(0o755)
    (tmp_path / "release").write_text('JAVA_VERSION="17.0.1"\n')
    gateway = Gateway(GatewaySettings(hadoop_home=str(hadoop_home), java_home=str(tmp_path), class_archive=False))
    with pytest.raises(
        ClusterUnavailable, match=r"did not start: it ended with exit code 1\. Its last words:\nError: could not create"
    ):
        gateway.call("hello")


def test_a_jvm_whose_agents_talk_first_is_understood(tmp_path: Path, hadoop_home: Path) -> None:
    real = find_java("3.5.0")
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'Agent loaded'\necho '{{not json'\nexec {real.executable} \"$@\"\n")
    java.chmod(0o755)
    (tmp_path / "release").write_text(f'JAVA_VERSION="{real.version}"\n')
    gateway = Gateway(GatewaySettings(hadoop_home=str(hadoop_home), java_home=str(tmp_path), class_archive=False))
    gateway.start()
    gateway.close()


def test_bad_settings_are_said_by_the_jvm_itself(make_gateway: Callable[..., Gateway]) -> None:
    with pytest.raises(ConfigurationError, match="principal and keytab go together"):
        make_gateway(principal="alice@REALM").start()


def test_a_missing_jar_says_how_to_build_it(
    make_gateway: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("knit_provider.yarn.gateway.command.JAR", tmp_path / "knit.jar")
    with pytest.raises(ConfigurationError, match=r"knit\.jar is missing.*make jar"):
        make_gateway().start()
