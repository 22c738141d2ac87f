"""Which bridge serves a cluster: ``rest`` where it can do everything, else ``jvm``."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, ConfigurationError, KnitError
from knit_provider.yarn.files.choose import ChosenFiles
from knit_provider.yarn.spec.environment import scheme_of

if TYPE_CHECKING:
    from knit_provider.yarn.bridge.rest import RestBridge
    from knit_provider.yarn.gateway.settings import GatewaySettings

_log = logging.getLogger(__name__)
_lock = threading.Lock()
# One look per process, cluster and user: what a ResourceManager allows does not change from one submission to the next.
_known: dict[tuple[str, ...], ConfigurationError | None] = {}
_said: set[tuple[str, ...]] = set()


def why_not_rest(key: tuple[str, ...], staging: str, bridge: RestBridge) -> KnitError | None:
    """What keeps the ``rest`` bridge from serving a cluster, as the error that it would be, or None.

    Logs it, once per process, cluster and user.

    Args:
        key: names the cluster and the user.
        staging: the filesystem that applications are staged into, with its scheme.
        bridge: the one to try.

    Raises:
        ClusterUnavailable: the ResourceManager is away, so nobody can tell.
        AuthenticationFailed: it does not know who is asking.
    """
    # Aggregated logs need no look: where no history server gives them out, they are read out of HDFS.
    reason = _of_resource_manager(key, bridge) or _of_filesystem(staging, bridge)
    if reason is not None:
        with _lock:
            new = key not in _said
            _said.add(key)
        if new:
            _log.warning("submitting through a JVM, not by REST: %s", reason)
    return reason


def forget() -> None:
    """Look again, and say it again, at the next submission."""
    with _lock:
        _known.clear()
        _said.clear()


def needs_java(reason: KnitError, settings: GatewaySettings) -> None:
    """Make sure that the other bridge can be had.

    Raises:
        KnitError: it cannot; says why neither serves. Of the reason's class.
    """
    from knit_provider.yarn.gateway import command

    try:
        command.build(settings)
    except KnitError as e:
        raise type(reason)(f"nothing can be submitted by REST: {reason}; and not through a JVM: {e}") from e


def _of_resource_manager(key: tuple[str, ...], bridge: RestBridge) -> ConfigurationError | None:
    with _lock:
        if key in _known:
            return _known[key]
    reason = None
    try:
        bridge.new_application()
    except (ClusterUnavailable, AuthenticationFailed):
        # Nothing that a cluster allows or not: a moment later, or with a ticket, it may look different.
        raise
    except KnitError as e:
        reason = ConfigurationError(f"the ResourceManager takes no submission by REST: {e}")
    with _lock:
        return _known.setdefault(key, reason)


def _of_filesystem(staging: str, bridge: RestBridge) -> KnitError | None:
    """Not remembered here: a NameNode that is away now is not for ever, and the files have a memory of their own."""
    if scheme_of(staging) not in ("hdfs", "webhdfs", "swebhdfs"):
        return ConfigurationError(f"the filesystem {staging} is none of HDFS's, which only Hadoop's own classes speak")
    return bridge.files.why_gateway(staging) if isinstance(bridge.files, ChosenFiles) else None
