"""What a container said, for people: which of its files are not its own words, and its last ones in an error."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knit_provider.yarn.errors import ApplicationFailed
from knit_provider.yarn.report import ApplicationReport

# Written by the NodeManager for itself.
NODEMANAGER_FILES = ("prelaunch.out", "prelaunch.err", "launch_container.sh", "directory.info")

_CONTAINER_ID = re.compile(r"container_[a-z0-9_]+")


def failing_container(report: ApplicationReport) -> str | None:
    """Id of the container that YARN's text about a failure names first, or None."""
    found = _CONTAINER_ID.search(report.diagnostics)
    return found.group() if found else None


def with_last_words(
    error: ApplicationFailed, report: ApplicationReport, container_id: str | None, tail: Sequence[str]
) -> ApplicationFailed:
    """The failure with the failing container's last lines of stderr, as far as YARN's text lacks them.

    Args:
        error: the failure.
        report: which it was made of.
        container_id: whose lines they are; None where it is not known.
        tail: the lines; may be empty.
    """
    if not tail or tail[-1] in report.diagnostics:
        return error
    whose = f" of {container_id}" if container_id else ""
    text = f"{error}\nLast lines of stderr{whose}:\n" + "\n".join(tail)
    return type(error)(text, app_id=error.app_id, exit_code=error.exit_code, report=error.report)
