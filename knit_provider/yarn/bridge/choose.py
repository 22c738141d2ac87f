"""Which bridge serves a cluster: ``rest`` where it can do everything, else ``jvm``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, ConfigurationError, KnitError
from knit_provider.yarn.spec.environment import scheme_of

if TYPE_CHECKING:
    from knit_provider.yarn.bridge.rest import RestBridge
    from knit_provider.yarn.gateway.settings import GatewaySettings

_log = logging.getLogger(__name__)
_lock = threading.Lock()
# One look per process, cluster and user: what a cluster allows does not change from one submission to the next.
_known: dict[tuple[str, ...], str | None] = {}


def why_not_rest(key: tuple[str, ...], staging: str, bridge: RestBridge) -> str | None:
    """What keeps the ``rest`` bridge from serving a cluster, or None.

    Args:
        key: names the cluster and the user.
        staging: the filesystem that applications are staged into, with its scheme.
        bridge: the one to try.

    Raises:
        ClusterUnavailable: the ResourceManager or the NameNode is away, so nobody can tell.
        AuthenticationFailed: they do not know who is asking.
    """
    with _lock:
        if key in _known:
            return _known[key]
    reason = _look(staging, bridge)
    with _lock:
        if key not in _known:
            _known[key] = reason
            if reason is not None:
                _log.warning("submitting through a JVM, not by REST: %s", reason)
    return reason


def forget() -> None:
    """Look again at the next submission."""
    with _lock:
        _known.clear()


def needs_java(reason: str, settings: GatewaySettings) -> None:
    """Make sure that the other bridge can be had.

    Raises:
        ConfigurationError: it cannot; says why neither serves.
    """
    from knit_provider.yarn.gateway import command

    try:
        command.build(settings)
    except KnitError as e:
        raise ConfigurationError(f"nothing can be submitted by REST: {reason}; and not through a JVM: {e}") from e


def _look(staging: str, bridge: RestBridge) -> str | None:
    scheme = scheme_of(staging)
    if scheme not in ("hdfs", "webhdfs", "swebhdfs"):
        return f"the filesystem {staging} is none of HDFS's, which only Hadoop's own classes speak"
    # Aggregated logs need no look: where no history server gives them out, they are read out of HDFS.
    return _refused(bridge.new_application, "the ResourceManager takes no submission by REST") or _refused(
        lambda: bridge.files.status("/"), f"{staging} cannot be reached without Hadoop's own classes"
    )


def _refused(call: Callable[[], object], what: str) -> str | None:
    try:
        call()
    except (ClusterUnavailable, AuthenticationFailed):
        # Nothing that a cluster allows or not: a moment later, or with a ticket, it may look different.
        raise
    except KnitError as e:
        return f"{what}: {e}"
    return None
