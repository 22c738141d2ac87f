"""What the person who waits sees: lines in the log, or bars on a terminal."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from knit_provider.environments import progress
from knit_provider.environments.progress import BarProgress, LogProgress, progress_here


def test_lines_in_the_log_have_amount_speed_and_what_is_left(caplog, monkeypatch) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    with caplog.at_level(logging.INFO, "knit_provider.environments"):
        with LogProgress().stage("upload", 8_000_000) as stage:
            stage.advance(2_000_000)
        with LogProgress().stage("link", 3, unit="packages") as stage:
            stage.advance(3)
    first, done, linked, _ = (record.getMessage() for record in caplog.records)
    assert first.startswith("upload: 2.0 MB of 8.0 MB, ")
    assert "MB/s, " in first
    assert first.endswith(" s left")
    assert done.startswith("upload: done, 2.0 MB in ")
    assert linked == "link: 3 packages of 3 packages"


def test_a_stage_that_fails_is_not_called_done(caplog) -> None:
    caplog.set_level(logging.INFO, "knit_provider.environments")
    with pytest.raises(ValueError, match="no"), LogProgress().stage("pack"):
        raise ValueError("no")
    assert not caplog.records


def test_a_terminal_gets_bars_and_anything_else_lines(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(progress_here(), LogProgress)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    shown = progress_here()
    assert isinstance(shown, BarProgress)
    with shown.stage("pack", 4_000_000) as outer, shown.stage("solve"):
        outer.advance(1_000_000)
    assert "pack" in terminal.getvalue()
    assert "4.0 MB/4.0 MB" in terminal.getvalue()
