"""How much is tried: little and always the same by ``make test``, much and other things each time by ``make fuzz``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

LONG = int(os.environ.get("KNIT_FUZZ_EXAMPLES", "0"))
"""Examples for each test; 0 for those few that ``make test`` has time for."""


def tries(few: int) -> settings:
    """Settings for a test that is given ``few`` examples under ``make test``."""
    return settings(
        max_examples=LONG or few,
        derandomize=not LONG,
        database=settings().database if LONG else None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )


def refusal(call: Callable[[], Any], kind: type[Exception]) -> Exception | None:
    """The error of a kind that a call ends in; None where it succeeds. Every other error is passed on."""
    try:
        call()
    except kind as error:
        return error
    return None
