"""The one family of exceptions that knit-provider raises.

Every message names the thing that is wrong, the value it had and the way out. All of them descend from
:class:`KnitError`, which is a ``RuntimeError``, so one ``except KnitError`` covers the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KnitError(RuntimeError):
    """Base of every error that knit-provider raises on purpose."""


class ConfigurationError(KnitError, ValueError):
    """A parameter, a spec field, a file or a Hadoop setting is missing or has a value that cannot be used."""


class CheckFailed(KnitError):
    """The pre-flight checks found that the cluster would refuse the application. Nothing was submitted."""


class ClusterUnavailable(KnitError, ConnectionError):
    """A daemon could not be reached, or answered with something other than its own protocol."""


class AuthenticationFailed(KnitError):
    """The cluster did not accept who we say we are (HTTP 401, no ticket, bad keytab)."""


class PermissionDenied(KnitError, PermissionError):
    """The cluster knows who we are and does not allow the action (HTTP 403, HDFS modes, queue ACLs)."""


class SubmissionRejected(KnitError):
    """The ResourceManager refused the application; the message carries its diagnostics."""


class ApplicationNotFound(KnitError, LookupError):
    """Neither the ResourceManager nor the ledger knows this application id."""


class ApplicationFailed(KnitError):
    """The application ended with a final status other than SUCCEEDED.

    Attributes:
        app_id: YARN application id.
        exit_code: exit code of the first container that failed, or ``None`` where no container ran.
        report: the ResourceManager's last report, as a dict.
    """

    def __init__(
        self,
        message: str,
        *,
        app_id: str = "",
        exit_code: int | None = None,
        report: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.app_id = app_id
        self.exit_code = exit_code
        self.report = dict(report or {})


class ApplicationKilled(ApplicationFailed):
    """The application was killed, by a user, by its lease or by its lifetime; the message says which."""


class WaitTimeout(KnitError, TimeoutError):
    """A wait reached its deadline. The application was left as it is."""


class ApplicationMasterUnreachable(ClusterUnavailable):
    """The ApplicationMaster's control port did not answer; the message names ``host:port``."""


class EnvironmentBuildError(KnitError):
    """A Python environment could not be built, packed or verified."""
