"""What containers wrote to ``$KNIT_RESULT``.

The file lies in the container's log directory, so the cluster itself carries it: live through the NodeManager, and with
the aggregated logs afterwards. No container needs a way to the ApplicationMaster or to HDFS for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.errors import ClusterUnavailable
from knit_provider.yarn.logs.collection import NOT_AGGREGATED, collect

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.connection import Connection

RESULT_FILE = "knit-result.json"


def results(connection: Connection, app: Application) -> Any:
    """The value that the only container wrote, a list by index where there are several, None where nothing was written.

    A replaced container counts once, with what its last run wrote.

    Raises:
        KnitError: as :func:`combined`.
        ClusterUnavailable: the logs of a container cannot be had yet, so that what it wrote is not known. Where the
            cluster does not aggregate logs they are gone with the end, and what was in them counts as not written.
    """
    logs = collect(connection, app, only=RESULT_FILE)
    last = {(files.get("service"), files.get("index")): files for _, files in sorted(logs.items())}
    ours = [files for (service, _), files in last.items() if service is not None] or list(last.values())
    for files in ours:
        if files.get("problem", NOT_AGGREGATED) != NOT_AGGREGATED and RESULT_FILE not in files:
            raise ClusterUnavailable(f"what {files['id']} wrote to $KNIT_RESULT is not known: {files['problem']}")
    return combined(
        (container_id, files.get("service"), files.get("index"), files.get(RESULT_FILE))
        for container_id, files in logs.items()
    )


def combined(containers: Iterable[tuple[str, str | None, int | None, Any]]) -> Any:
    """The same out of (container id, service, index, text or None) of each container that ran.

    Raises:
        KnitError: if a text is not JSON, or larger than 48 KiB.
    """
    from knit_provider.yarn.application import parse_result

    found: dict[tuple[str, int], Any] = {}
    instances: set[tuple[str, int]] = set()
    for container_id, service, index, text in sorted(containers, key=lambda container: container[0]):
        if service is None or index is None:
            continue
        instances.add((service, index))
        if text is not None:
            found[service, index] = parse_result(str(text), container_id)
    if not found:
        return None
    if len(instances) == 1:
        return next(iter(found.values()))
    return [found.get(key) for key in sorted(instances)]
