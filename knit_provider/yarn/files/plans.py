"""What is to be shipped, what was found out about it, and the local resource it becomes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeGuard, cast

from knit_provider.yarn.bridge.base import LocalResource
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.files import archives
from knit_provider.yarn.files.names import uri_of
from knit_provider.yarn.files.port import FileStatus
from knit_provider.yarn.spec import File, Master, Service, parse_env
from knit_provider.yarn.submission.scripts import ENV_LINK

_log = logging.getLogger(__name__)

Visibility = Literal["PRIVATE", "APPLICATION", "PUBLIC"]


@dataclass(frozen=True)
class Wanted:
    """One thing to be shipped; equal ones are shipped once.

    Attributes:
        source: as the spec has it.
        kind: ``FILE``, ``ARCHIVE``, ``infer``, or ``BUILD`` for an environment that has to be packed first.
        visibility: YARN's.
        size, timestamp: of a remote file, where the spec says them.
        is_environment: whether it is a service's ``env``.
    """

    source: str
    kind: str
    visibility: str
    size: int = 0
    timestamp: int = 0
    is_environment: bool = False
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Prepared:
    """A local file that is ready to be uploaded: looked at, packed where needed, and digested.

    Attributes:
        source: the user's file or folder.
        path: what is uploaded for it, which is another file if it had to be packed.
        digest: SHA-256 of that.
        size: bytes of that.
        remote: where it goes.
        existing: what is there already; None where it has to be uploaded.
        is_archive: whether YARN unpacks it.
        is_environment: whether it goes to the cache of environments.
        public: whether everybody can read what is there already.
    """

    source: Path
    path: Path
    digest: str
    size: int
    remote: str
    existing: FileStatus | None
    is_archive: bool
    is_environment: bool = False
    public: bool = False


def wanted_of(part: Service | Master, where: str) -> dict[str, Wanted]:
    """What a service or the master wants shipped, by its name in the container."""
    wanted = {link: _of_file(file, f"{where}.files.{link}") for link, file in part.links.items()}
    if part.env is not None:
        reference = parse_env(part.env)
        if reference.kind != "python":
            kind = "BUILD" if reference.kind == "build" else "ARCHIVE"
            wanted[ENV_LINK] = Wanted(reference.value, kind, "PRIVATE", is_environment=True, where=f"{where}.env")
    return wanted


def _of_file(file: File, where: str) -> Wanted:
    return Wanted(file.source, file.type, file.visibility, file.size, file.timestamp, where=where)


def is_missing(plan: Prepared | LocalResource) -> TypeGuard[Prepared]:
    """Whether a file has to be uploaded."""
    return isinstance(plan, Prepared) and plan.existing is None


def resource_of(want: Wanted, plan: Prepared | LocalResource, uploaded: Mapping[str, FileStatus]) -> LocalResource:
    """What YARN is told of a file that is in place."""
    if isinstance(plan, LocalResource):
        return plan
    status = uploaded.get(plan.remote) or plan.existing
    assert status is not None
    return LocalResource(
        uri=uri_of(plan.remote),
        size=status.length,
        timestamp=status.modified_ms,
        type="ARCHIVE" if plan.is_archive else "FILE",
        visibility="PUBLIC" if plan.public else _visibility_of_upload(want),
    )


def remote_kind(want: Wanted) -> Literal["FILE", "ARCHIVE"]:
    """Whether YARN unpacks a remote file.

    Raises:
        ConfigurationError: it shall, and its name has not the ending of an archive.
    """
    by_name = archives.kind_by_name(want.source)
    if want.kind == "FILE" or (want.kind == "infer" and by_name is None):
        return "FILE"
    if by_name is None:
        raise ConfigurationError(
            f"{want.where}: {want.source} is to be unpacked, and YARN knows archives by the endings .zip, .tar, "
            ".tar.gz and .tgz; rename or repack it"
        )
    return "ARCHIVE"


def _visibility_of_upload(want: Wanted) -> Visibility:
    if want.visibility == "PUBLIC":
        _log.warning(
            "%s: %s is uploaded to the user's own folder, so it is PRIVATE and not PUBLIC; a public file has to lie "
            "where everybody can read it, and be given as a URI",
            want.where,
            want.source,
        )
        return "PRIVATE"
    return cast(Visibility, want.visibility)
