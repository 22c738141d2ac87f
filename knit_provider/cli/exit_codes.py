"""What the ``knit`` command exits with, so that scripts can act on it.

0: success. Else the exit code of the first container that failed, or one of these.
"""

from __future__ import annotations

from knit_provider.yarn.errors import (
    ApplicationFailed,
    ApplicationNotFound,
    AuthenticationFailed,
    CheckFailed,
    ClusterUnavailable,
    ConfigurationError,
    PermissionDenied,
    SubmissionRejected,
    WaitTimeout,
)

FAILED = 1
USAGE = 64
UNAVAILABLE = 69
REFUSED = 77
TIMEOUT = 124
INTERRUPTED = 130

_BY_TYPE: tuple[tuple[type[BaseException], int], ...] = (
    (ConfigurationError, USAGE),
    (ApplicationNotFound, USAGE),
    (WaitTimeout, TIMEOUT),
    (AuthenticationFailed, REFUSED),
    (PermissionDenied, REFUSED),
    (CheckFailed, REFUSED),
    (SubmissionRejected, REFUSED),
    (ClusterUnavailable, UNAVAILABLE),
    (KeyboardInterrupt, INTERRUPTED),
)


def exit_code(error: BaseException) -> int:
    """The exit code that stands for an error.

    >>> exit_code(WaitTimeout("too long"))
    124
    """
    if isinstance(error, ApplicationFailed):
        code = error.exit_code
        # YARN's own negative codes are no exit codes of a process.
        return code if code is not None and 0 < code < 256 else FAILED
    for kind, code in _BY_TYPE:
        if isinstance(error, kind):
            return code
    return FAILED
