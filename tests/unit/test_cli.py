"""What the ``knit`` command does about its terminal, its pipes and what it could not finish."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from knit_provider.cli.main import main
from knit_provider.cli.output import print_lines
from knit_provider.cli.signals import terminated_like_interrupted
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.logs import LogChunk
from knit_provider.yarn.logs.lines import WholeLines

COMMAND = [sys.executable, "-c", "from knit_provider.cli.main import main; main(prog_name='knit')"]


@pytest.mark.parametrize("words", [["run", "--help"], ["kill", "--help"]])
def test_a_reader_that_has_seen_enough_is_no_failure(words: list[str]) -> None:
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 0


def test_what_the_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    def shows(knit: Knit, app_id: str) -> bool:
        return True

    monkeypatch.setattr(Knit, "kill", shows)
    done = CliRunner(charset="latin-1").invoke(main, ["kill", "--rm", "127.0.0.1:1", "application_1_0001→"])
    assert done.exit_code == 0, done.exception
    assert done.stdout == "application_1_0001\\u2192 KILLED\n"


@pytest.mark.parametrize(
    ("killed", "state", "code", "words"),
    [
        (True, "", 0, "application_1_0001 KILLED"),
        (False, "KILLED", 0, "application_1_0001 KILLED"),
        (False, "FINISHED", 1, "had ended before: FINISHED"),
        (False, "RUNNING", 124, "was told to end and is still RUNNING"),
    ],
)
def test_a_kill_says_what_became_of_it(
    killed: bool, state: str, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Knit, "kill", lambda self, app_id: killed)
    monkeypatch.setattr(Knit, "runtime_status", lambda self, app_id: state)
    where = ["kill", "--rm", "127.0.0.1:1", "application_1_0001"]
    done = CliRunner().invoke(main, where)
    assert done.exit_code == code
    assert words in done.output
    done = CliRunner().invoke(main, [*where, "--json"])
    assert done.exit_code == code
    assert json.loads(done.stdout)["killed"] is (code == 0)


def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminated_like_interrupted():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("owned", "killed"), [([], ["application_1_0001"]), (["--app-id", "application_1_0001"], [])])
def test_a_submission_whose_id_cannot_be_told_is_ended(
    owned: list[str], killed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(Knit, "submit", lambda self, spec, **given: "application_1_0001")
    monkeypatch.setattr(Knit, "kill", lambda self, app_id: ended.append(app_id))
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"services": {"w": {"script": "true", "resources": {"memory": 128, "vcores": 1}}}}))
    with monkeypatch.context() as closed:
        closed.setattr("knit_provider.cli.applications.click.echo", Mock(side_effect=[BrokenPipeError, None]))
        done = CliRunner().invoke(main, ["submit", str(spec), "--rm", "127.0.0.1:1", *owned])
    assert done.exit_code == 1 or owned
    assert ended == killed


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_what_ends_a_command_ends_it_in_order(signum: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen([*COMMAND, "list", "--rm", address], stderr=subprocess.PIPE, text=True)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signum)
            _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == "knit: interrupted"


def test_a_command_outside_the_main_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(CliRunner().invoke, main, ["--version"]).result().exit_code == 0
    assert signal.getsignal(signal.SIGTERM) is before


class _Told:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def _told_while_it_is_deleted() -> None:
    told = _Told()
    del told


def _told_as_a_reference_goes() -> None:
    told = threading.Event()
    watched = weakref.ref(told, lambda _: signal.raise_signal(signal.SIGTERM))
    del told
    assert watched() is None


@pytest.mark.parametrize("tell", [_told_while_it_is_deleted, _told_as_a_reference_goes])
def test_an_interrupt_that_python_throws_away_comes_a_moment_later(tell: Callable[[], None]) -> None:
    with terminated_like_interrupted():
        tell()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(30)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_lines_of_several_containers_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    lines = WholeLines()

    def show(chunk: LogChunk) -> None:
        print_lines(chunk, lines.add(chunk))

    for index, text in ((0, "a"), (1, "x\ny"), (0, "b\r\n\nc"), (1, "z\n"), (0, "d")):
        show(LogChunk(f"container_{index}", "w", index, "stdout", text))
    show(LogChunk("container_0", "w", 0, "stderr", "oh"))
    for rest in lines.rest():
        print_lines(rest, [rest.text])
    said = capsys.readouterr()
    assert said.out == "[1] x\n[0] ab\r\n[0] \n[1] yz\n[0] cd\n"
    assert said.err == "[0] oh\n"
