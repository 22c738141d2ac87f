"""Dask clusters whose start or life is interrupted: no application is left that nobody owns, and none comes twice."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from distributed.core import Status

from knit_provider.dask import DaskYARNCluster, cluster, life, waiting
from knit_provider.dask.beginning import Beginning, GivenUp
from knit_provider.yarn.errors import ApplicationMasterUnreachable, WaitTimeout
from tests.hadoop.eventually import eventually
from tests.unit.dask.clusters import SlowKnit

LOCAL: dict[str, Any] = {"ip": "127.0.0.1", "dashboard_address": ":0", "scheduler_options": {"dashboard": False}}
REMOTE: dict[str, Any] = {"deploy_mode": "remote", "bound": False}


class TimedOut(BaseException):
    """As Airflow's, which is no Exception either, and is raised by a signal's handler."""


def time_out(*_: object) -> None:
    raise TimedOut


@pytest.fixture
def knit(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowKnit]:
    """The one that clusters make for themselves."""
    made = SlowKnit()
    monkeypatch.setattr(cluster, "Knit", lambda **_: made)
    handler = signal.signal(signal.SIGUSR1, time_out)
    yield made
    made.go.set()
    signal.signal(signal.SIGUSR1, handler)
    eventually(lambda: not any(t.name == "knit-dask-submit" for t in threading.enumerate()), every=0.05)


def interrupt(when: threading.Event, number: int = signal.SIGINT, then: Callable[[], Any] = lambda: None) -> None:
    """Send the signal to this process as soon as the event is set."""

    def wait() -> None:
        assert when.wait(60)
        os.kill(os.getpid(), number)
        then()

    threading.Thread(target=wait).start()


def gone(knit: SlowKnit, count: int = 1) -> None:
    """All that was submitted has ended, and the connection was closed after that."""
    eventually(lambda: knit.states == ["KILLED"] * count and knit.closed.is_set(), every=0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1], ids=lambda n: signal.Signals(n).name)
@pytest.mark.parametrize("where", [LOCAL, REMOTE], ids=["local", "remote"])
def test_the_constructor_while_it_submits(knit: SlowKnit, where: dict[str, Any], number: int) -> None:
    interrupt(knit.began, number, then=knit.go.set)
    with pytest.raises((KeyboardInterrupt, TimedOut)):
        DaskYARNCluster(n_workers=2, **where)
    gone(knit)


def test_the_connection_is_closed_before_the_event_loop_ends(knit: SlowKnit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster calls itself closed a moment before."""
    in_thread, abandon = life.Life._in_thread, life.Life._abandon

    async def slowly(self: life.Life, work: Callable[[], Any]) -> Any:
        await asyncio.sleep(0.2)
        return await in_thread(self, work)

    def late(self: life.Life) -> None:
        eventually(lambda: self.status == Status.closed, every=0.01)
        abandon(self)

    monkeypatch.setattr(life.Life, "_in_thread", slowly)
    monkeypatch.setattr(life.Life, "_abandon", late)
    interrupt(knit.began, then=knit.go.set)
    with pytest.raises(KeyboardInterrupt):
        DaskYARNCluster(n_workers=2, **REMOTE)
    assert knit.closed.is_set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1], ids=lambda n: signal.Signals(n).name)
def test_the_constructor_while_it_waits_for_the_scheduler(knit: SlowKnit, number: int) -> None:
    knit.go.set()
    interrupt(knit.asked, number)
    with pytest.raises((KeyboardInterrupt, TimedOut)):
        DaskYARNCluster(n_workers=2, **REMOTE)
    gone(knit)
    assert "interrupted" in knit.apps[0].why


@pytest.mark.parametrize("where", [LOCAL, REMOTE], ids=["local", "remote"])
def test_a_cancelled_async_with(knit: SlowKnit, where: dict[str, Any]) -> None:
    async def use() -> None:
        async with DaskYARNCluster(n_workers=2, asynchronous=True, **where):
            raise AssertionError("it was never submitted")

    async def cancel() -> None:
        task = asyncio.ensure_future(use())
        await asyncio.to_thread(knit.began.wait, 60)
        task.cancel()
        asyncio.get_running_loop().call_later(0.1, task.cancel)  # as anyio does it, again and again
        asyncio.get_running_loop().call_later(0.2, knit.go.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(gone, knit)

    asyncio.run(cancel())


def test_an_async_with_that_is_cancelled_after_the_start(knit: SlowKnit, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cancel() -> None:
        made = DaskYARNCluster(n_workers=1, asynchronous=True, **LOCAL)
        entered = asyncio.Event()

        def never() -> asyncio.Future[None]:
            entered.set()
            return asyncio.get_running_loop().create_future()

        monkeypatch.setattr(made, "_correct_state", never)
        task = asyncio.ensure_future(made.__aenter__())
        await entered.wait()
        task.cancel()
        await asyncio.wait([task])
        await asyncio.to_thread(gone, knit)

    knit.go.set()
    asyncio.run(cancel())


def test_a_close_that_does_not_wait_for_the_upload(knit: SlowKnit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "CHANGE_SECONDS", 0.1)
    monkeypatch.setattr(life, "GIVE_UP_SECONDS", 0.1)
    made = DaskYARNCluster(**LOCAL)
    made.scale(2)
    assert knit.began.wait(60)
    made.close()
    assert (made.status, knit.states) == (Status.closed, [])
    knit.go.set()
    gone(knit)


def test_nothing_is_submitted_that_was_given_up_while_its_environment_was_built(knit: SlowKnit) -> None:
    building, built = threading.Event(), threading.Event()
    made = DaskYARNCluster(**LOCAL)

    def build() -> str:
        building.set()
        built.wait(60)
        return "hdfs:///env.tar.gz"

    made._build_env = build
    made.scale(1)
    assert building.wait(60)
    threading.Timer(0.2, built.set).start()
    made.close()
    assert not knit.began.is_set()
    gone(knit, 0)


def test_somebody_else_gives_it_up(knit: SlowKnit) -> None:
    def stop() -> bool:
        return not knit.began.is_set()

    threading.Timer(0.5, knit.go.set).start()
    with pytest.raises(GivenUp):
        DaskYARNCluster(n_workers=1, _wanted=stop, **REMOTE)
    gone(knit)


def test_a_cancelled_start_submits_once(knit: SlowKnit) -> None:
    async def twice() -> None:
        made = await DaskYARNCluster(asynchronous=True, **LOCAL)
        first = asyncio.ensure_future(made.start(2))
        await asyncio.to_thread(knit.began.wait, 60)
        first.cancel()
        await asyncio.wait([first])
        knit.go.set()
        await made.start(2)
        assert knit.states == ["ACCEPTED"]
        assert set(made.workers) == {"0", "1"}
        await made.close()

    asyncio.run(twice())
    gone(knit)


def test_an_interrupted_start_can_be_followed_by_another(knit: SlowKnit) -> None:
    made = DaskYARNCluster(**LOCAL)
    interrupt(knit.began)
    with pytest.raises(KeyboardInterrupt):
        made.start(2)
    knit.go.set()
    made.start(3)
    assert set(made.workers) == {"0", "1", "2"}
    assert knit.apps[0].changes == [{"add": [2], "remove": []}]
    made.close()
    gone(knit)


def test_a_close_that_was_cancelled_goes_on(knit: SlowKnit) -> None:
    async def twice() -> None:
        made = DaskYARNCluster(asynchronous=True, **LOCAL)
        await made
        closing = asyncio.ensure_future(made.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait_for(made.close(), 60)
        assert made.status == Status.closed

    asyncio.run(twice())
    gone(knit, 0)


def test_the_scheduler_ends_and_the_cluster_with_it(knit: SlowKnit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "LOOK_SECONDS", 0.1)
    knit.go.set()
    made = DaskYARNCluster(n_workers=1, idle_timeout="300 ms", **LOCAL)
    eventually(lambda: made.status == Status.closed, every=0.05)
    gone(knit)
    made.close()


def test_a_stopped_cluster_does_not_adapt(knit: SlowKnit) -> None:
    knit.go.set()
    made = DaskYARNCluster(**LOCAL)
    adaptive = made.adapt(minimum=1, interval="20 ms")
    eventually(lambda: knit.states == ["ACCEPTED"], every=0.05)
    made.stop()
    assert adaptive.state == "stopped"
    # What was under way when it was stopped.
    made.sync(adaptive.adapt)
    made.sync(made._correct_state)
    assert knit.states == ["KILLED"]
    made.close()


class TestTheSchedulersAddress:
    """Waiting for it while the ApplicationMaster waits for its own container."""

    class App:
        id = "application_1_0001"

        def __init__(self, *said: str) -> None:
            self.said = list(said)

        @property
        def kv(self) -> Any:
            state = self.said.pop(0) if len(self.said) > 1 else self.said[0]
            if state == "up":
                return SimpleNamespace(wait=lambda key, seconds: '{"address": "tls://node7:1"}')
            raise ApplicationMasterUnreachable(f"{state}: has not come up within 60 s")

        def report(self) -> Any:
            return SimpleNamespace(
                terminal=False,
                state=self.said[0] if self.said[0] != "up" else "RUNNING",
                queue="q",
                diagnostics="AM limit",
            )

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(waiting, "_PAUSE_SECONDS", 0.01)

    def ask(self, *said: str) -> str:
        app: Any = self.App(*said)
        knit: Any = SlowKnit()
        return waiting.address_of_scheduler(knit, app, {"memory-mb": 2048}, Beginning())

    def test_it_is_waited_for_beyond_am_timeout(self) -> None:
        assert self.ask("ACCEPTED", "ACCEPTED", "up") == "tls://node7:1"

    def test_the_reason_is_said_when_it_does_not_come(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(waiting, "SCHEDULER_SECONDS", 0.1)
        with pytest.raises(WaitTimeout, match=r"0 of 1 containers for it: .* is ACCEPTED; no node .*AM limit"):
            self.ask("ACCEPTED")

    def test_one_that_runs_and_cannot_be_reached_is_not_waited_for(self) -> None:
        with pytest.raises(ApplicationMasterUnreachable):
            self.ask("RUNNING")
