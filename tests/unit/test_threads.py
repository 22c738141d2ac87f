"""Threads whose work is done whoever stops waiting for it, and an interrupt of who waits."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import threading

import pytest

from knit_provider.yarn.threads import answer, begin

_wanted = contextvars.ContextVar("wanted", default="")


def test_it_goes_on_while_who_waits_is_cancelled_again_and_again() -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(60)
        done.set()

    async def cancel() -> None:
        async def wait() -> None:
            await asyncio.wrap_future(begin(work, "a-test"))

        task = asyncio.ensure_future(wait())
        while not task.done():
            await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()
        assert not done.is_set()
        go.set()

    asyncio.run(cancel())
    assert done.wait(60)


def test_it_has_the_callers_context_and_gives_what_comes_of_it() -> None:
    _wanted.set("an answer")
    assert begin(_wanted.get, "a-test").result(60) == "an answer"
    with pytest.raises(ZeroDivisionError):
        begin(lambda: 1 / 0, "a-test").result(60)


def test_where_there_are_no_more_threads_it_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert begin(threading.get_ident, "a-test").result(0) == threading.get_ident()


def test_an_interrupt_that_comes_right_before_python_blocks_is_heeded() -> None:
    """Nothing wakes the wait then: a signal wakes what it finds blocked."""
    go = threading.Event()
    future = begin(lambda: go.wait(30), "a-test")
    threading.Timer(0.2, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        answer(future)
    assert not future.done()
    go.set()
    assert answer(future)
