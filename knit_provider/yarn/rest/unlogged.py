"""Tokens that WebHDFS wants in the address of a request, and that stay out of logs and of tracebacks all the same."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

_TOKEN = re.compile(r"(?i)\b(delegation=)[^&\s\"']+")
_LOGGER = "urllib3.connectionpool"


class _WithoutTokens(logging.Filter):
    """Writes ``delegation=...`` in place of a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.args:
            text = record.getMessage()
            if _TOKEN.search(text):
                record.msg, record.args = _TOKEN.sub(r"\1...", text), ()
        return True


def keep_tokens_out_of_logs() -> None:
    """Take tokens out of what ``urllib3`` logs of each request at the level DEBUG; called again, it changes nothing."""
    logger = logging.getLogger(_LOGGER)
    if not any(isinstance(known, _WithoutTokens) for known in logger.filters):
        logger.addFilter(_WithoutTokens())


def shown(cause: BaseException, url: str, params: Mapping[str, str] | None = None) -> BaseException | None:
    """What a traceback may show as the cause of a failure: nothing where the address, which it quotes, holds a token.

    Args:
        cause: the failure.
        url: what was asked for.
        params: what is added to it.
    """
    return None if _TOKEN.search(url) or "delegation" in (params or {}) else cause
