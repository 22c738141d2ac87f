"""Turns what the gateway says went wrong into the product's errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from knit_provider.yarn.bridge.base import SubmissionUncertain
from knit_provider.yarn.errors import (
    ApplicationNotFound,
    AuthenticationFailed,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
    SubmissionRejected,
)
from knit_provider.yarn.files.port import RemoteFileExists, RemoteFileNotFound
from knit_provider.yarn.proxy_user import with_way_out

_CLASSES: Mapping[str, Callable[[str], KnitError]] = {
    "PermissionDenied": PermissionDenied,
    "AuthenticationFailed": AuthenticationFailed,
    "ClusterUnavailable": ClusterUnavailable,
    "SubmissionRejected": SubmissionRejected,
    "ApplicationNotFound": ApplicationNotFound,
    "FileNotFound": RemoteFileNotFound,
    "FileExists": RemoteFileExists,
    "Deadline": ClusterUnavailable,
    "InvalidInput": ConfigurationError,
}


def to_error(error: Mapping[str, Any], application_id: str | None = None) -> KnitError:
    """The exception for an error object of the gateway.

    Args:
        error: with ``type``, ``message``, ``java``, and ``uncertain`` where an application may or may not run.
        application_id: the application that the call was about.
    """
    message = str(error.get("message"))
    if error.get("uncertain"):
        return uncertain(message, application_id or "")
    make = _CLASSES.get(str(error.get("type")))
    if make is None:
        return KnitError(f"{message} ({error.get('java')})")
    return with_way_out(make(message))


def uncertain(message: str, application_id: str) -> SubmissionUncertain:
    """Nobody knows whether the ResourceManager took the application."""
    return SubmissionUncertain(
        f"{message.rstrip('.')}. {application_id} may have been submitted or not: look it up before you submit again.",
        app_id=application_id,
    )
