"""Logs of running and ended applications."""

from knit_provider.yarn.logs.chunk import LogChunk, LogCursor
from knit_provider.yarn.logs.collection import collect, collect_logs, print_logs
from knit_provider.yarn.logs.results import results
from knit_provider.yarn.logs.spool import LogText, SpooledLog
from knit_provider.yarn.logs.stream import stream

__all__ = [
    "LogChunk",
    "LogCursor",
    "LogText",
    "SpooledLog",
    "collect",
    "collect_logs",
    "print_logs",
    "results",
    "stream",
]
