"""The checks before submission, for a spec."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from knit_provider.yarn.checks import ContainerNeed, Requirements, run_checks
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.files.transfer import needs_upload
from knit_provider.yarn.spec.environment import is_local, local_path, parse_env

if TYPE_CHECKING:
    from knit_provider.yarn.connection import Connection
    from knit_provider.yarn.spec import ApplicationSpec, Master, Resources, Service


def preflight(connection: Connection, spec: ApplicationSpec, tags: tuple[str, ...]) -> list[str]:
    """Refuse what the cluster would refuse; see :func:`~knit_provider.yarn.checks.run_checks`.

    Args:
        connection: the cluster.
        spec: the application.
        tags: all its tags, ours included.

    Returns:
        Warnings about what may pass by itself.
    """
    parts: list[Service | Master] = [spec.master, *spec.services.values()]
    sizes = {path: size for part in parts for path, size in _local_sizes(part)}
    requirements = Requirements(
        queue=spec.queue,
        am=_amounts(spec.master.resources),
        services=tuple(
            ContainerNeed(name, _amounts(service.resources), service.instances)
            for name, service in spec.services.items()
        ),
        name=spec.name,
        tags=tags,
        user=connection.user,
        upload_bytes=sum(sizes.values()),
        to_upload=lambda: sum(size for path, size in sizes.items() if _is_missing(connection, path)),
        replication=int(connection.conf["replication_factor"]),
    )
    return run_checks(requirements, connection.api, connection.files, connection.paths.base)


def _amounts(resources: Resources) -> dict[str, int]:
    return {"memory-mb": resources.memory, "vcores": resources.vcores, **resources.amounts()}


def _local_sizes(part: Service | Master) -> Iterator[tuple[str, int]]:
    """Local files and their sizes, as far as a look at them tells; a bad one is reported when it is shipped."""
    sources = [file.source for file in part.links.values()]
    if part.env is not None and parse_env(part.env).kind == "archive":
        sources.append(parse_env(part.env).value)
    for source in sources:
        if is_local(source):
            with contextlib.suppress(OSError):
                yield source, os.stat(local_path(source)).st_size


def _is_missing(connection: Connection, path: str) -> bool:
    with contextlib.suppress(ConfigurationError):
        return needs_upload(path, connection.files, connection.paths)
    return True


def check_staging(connection: Connection, spec: ApplicationSpec) -> None:
    """Make sure that the application is staged where a spec wants it.

    Attaching, the ledger and tidying up look where the Knit says, in other processes too, and not into the spec.

    Raises:
        ConfigurationError: it would be staged elsewhere.
    """
    wanted, ours = spec.staging, connection.staging
    if wanted is not None and wanted.rstrip("/") != (ours or "").rstrip("/"):
        raise ConfigurationError(
            f"staging: the spec says {wanted}, and this Knit stages into {ours or 'the default filesystem'}; give it "
            f"to the Knit, staging={wanted!r} (--staging {wanted} with the knit command), here and wherever the "
            "application is attached to"
        )
