"""From the files that a spec names to the local resources that YARN takes.

First everything is looked at: every path, every archive, every digest. Only if all is well is anything uploaded, each
content once and to a place named after its digest, which no later upload changes.
"""

from __future__ import annotations

import logging
import re
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeGuard, TypeVar, cast
from urllib.parse import quote

from knit_provider.yarn.bridge.base import LocalResource
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.files import archives
from knit_provider.yarn.files.local import Digests, inspect
from knit_provider.yarn.files.port import Files, FileStatus
from knit_provider.yarn.spec import ApplicationSpec, File, Master, Service, parse_env
from knit_provider.yarn.spec.environment import is_local, local_path
from knit_provider.yarn.spec.files import ARCHIVE_SUFFIXES, FilesLike
from knit_provider.yarn.submission.scripts import ENV_LINK
from knit_provider.yarn.submission.staging import Paths

_log = logging.getLogger(__name__)
_A = TypeVar("_A")
_B = TypeVar("_B")

FilesArgument = FilesLike
"""What ``files=`` takes: a list of sources, or a mapping of name in the container to source."""

_PARALLEL = 4
_ODD = re.compile(r"[^A-Za-z0-9._-]")
DIGESTS = Digests()
"""Digests of this process's uploads."""

Visibility = Literal["PRIVATE", "APPLICATION", "PUBLIC"]


@dataclass(frozen=True)
class Shipped:
    """An application's files, where containers can get them.

    Attributes:
        services: service -> name in the container -> file.
        master: name in the ApplicationMaster's container -> file.
        uploaded: local paths that had to be uploaded.
    """

    services: Mapping[str, Mapping[str, LocalResource]]
    master: Mapping[str, LocalResource]
    uploaded: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wanted:
    """One thing to be shipped; equal ones are shipped once.

    Attributes:
        source: as the spec has it.
        kind: ``FILE``, ``ARCHIVE`` or ``infer``.
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
class _Local:
    """A local file that is ready to be uploaded: looked at, packed where needed, and digested.

    Attributes:
        source: the user's file or folder.
        path: what is uploaded for it, which is another file if it had to be packed.
        digest: SHA-256 of that.
        size: bytes of that.
        remote: where it goes.
        existing: what is there already; None where it has to be uploaded.
        is_archive: whether YARN unpacks it.
    """

    source: Path
    path: Path
    digest: str
    size: int
    remote: str
    existing: FileStatus | None
    is_archive: bool


class Transfer:
    """Ships files to one cluster. Use it as a context manager: it packs folders into a temporary one.

    Args:
        files: the cluster's filesystems.
        paths: the user's folders.
        upload_always: upload also what is there already.
        replication: copies of each block; None is the filesystem's default.
    """

    def __init__(
        self, files: Files, paths: Paths, *, upload_always: bool = False, replication: int | None = None
    ) -> None:
        self._files = files
        self._paths = paths
        self._upload_always = upload_always
        self._replication = replication
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def ship(self, spec: ApplicationSpec, package_files: Mapping[str, Path] | None = None) -> Shipped:
        """Ship all files of an application.

        Args:
            spec: the application.
            package_files: further local files for the ApplicationMaster, by their name there.

        Raises:
            ConfigurationError: a file cannot be shipped as it is; the message names it, and nothing was uploaded.
        """
        services = {name: _wanted(service, f"services.{name}") for name, service in spec.services.items()}
        master = _wanted(spec.master, "master")
        for link, path in (package_files or {}).items():
            master[link] = _Wanted(str(path), "FILE", "PRIVATE", where=link)
        containers = [*services.values(), master]
        every = list(dict.fromkeys(want for links in containers for want in links.values()))
        local = [want for want in every if is_local(want.source)]
        remote = [want for want in every if not is_local(want.source)]
        found = dict(zip(remote, _in_parallel(self._remote, remote), strict=True))
        ready = dict(zip(local, _in_parallel(self._inspected, local), strict=True))
        planned = [self._planned(links, found, ready) for links in containers]
        # Two sources with one content and name are one upload.
        todo = {plan.remote: plan for links in planned for plan in links.values() if _is_missing(plan)}
        statuses = dict(zip(todo, _in_parallel(self._upload, list(todo.values())), strict=True))
        resources = [
            {link: _resource(links[link], plan, statuses) for link, plan in plans.items()}
            for links, plans in zip(containers, planned, strict=True)
        ]
        return Shipped(
            services=dict(zip(services, resources, strict=False)),
            master=resources[-1],
            uploaded=tuple(str(plan.source) for plan in todo.values()),
        )

    def _planned(
        self, links: Mapping[str, _Wanted], found: Mapping[_Wanted, LocalResource], ready: Mapping[_Wanted, _Local]
    ) -> dict[str, _Local | LocalResource]:
        """What each of one container's links will be, no two of them the same file: YARN would make only one link."""
        taken: dict[str, str] = {}
        result: dict[str, _Local | LocalResource] = {}
        for link, want in links.items():
            plan: _Local | LocalResource = found[want] if want in found else ready[want]
            if isinstance(plan, LocalResource):
                other = taken.get(plan.uri)
                if other is not None:
                    raise ConfigurationError(
                        f"{want.where}: {want.source} is {other!r} in the same container already, and YARN makes one "
                        f"link only to one file; give it once, and begin the script with: ln -s {other} {link}"
                    )
                taken[plan.uri] = link
            else:
                copy = 1
                while plan.remote in taken:
                    copy += 1
                    plan = self._copy(ready[want], copy)
                taken[plan.remote] = link
            result[link] = plan
        return result

    def _copy(self, prepared: _Local, number: int) -> _Local:
        folder, _, name = prepared.remote.rpartition("/")
        remote = f"{folder}/{number}/{name}"
        return replace(prepared, remote=remote, existing=self._existing(prepared.path, remote, prepared.size))

    def needs_upload(self, path: str) -> bool:
        """Whether the content of a local file or folder is not in the cluster yet; False for a URI elsewhere."""
        if not is_local(path):
            return False
        if self._upload_always:
            return True
        return self._inspected(_Wanted(path, "infer", "PRIVATE", where=path), scan=False).existing is None

    def _remote(self, want: _Wanted) -> LocalResource:
        """A file that lies on a Hadoop filesystem, used where it is."""
        kind = _remote_kind(want)
        uri, size, timestamp = want.source, want.size, want.timestamp
        if not (size and timestamp) or re.match(r"[^:]+:///", uri):
            status = self._files.status(want.source)
            if status is None:
                raise ConfigurationError(f"{want.where}: there is no {want.source}")
            if status.is_dir:
                raise ConfigurationError(
                    f"{want.where}: {want.source} is a folder; YARN ships files and archives. Pack it into a .tar.gz"
                )
            uri = _qualified(want.source, status.path)
            size, timestamp = size or status.length, timestamp or status.modified_ms
        return LocalResource(_uri(uri), size, timestamp, kind, cast(Visibility, want.visibility))

    def _inspected(self, want: _Wanted, scan: bool = True) -> _Local:
        """Look at a local file or folder, and pack it if that is needed."""
        path = local_path(want.source)
        try:
            status = inspect(path)
        except ConfigurationError as error:
            raise ConfigurationError(f"{want.where}: {error}" if want.where != want.source else str(error)) from error
        name = path.name or "folder"
        if path.is_dir():
            return self._folder(want, path, name)
        kind = None
        if want.kind == "ARCHIVE" or (want.kind == "infer" and archives.kind_by_name(name)):
            kind = archives.kind_by_name(name) or archives.kind_by_content(path)
        prepared = self._prepared(path, _remote_name(name, kind), is_archive=kind is not None)
        # What is there as an archive was looked through before it got there. A .zip with links is there as another one.
        if kind is None or (kind != ".zip" and (prepared.existing is not None or not scan)):
            return prepared
        if not archives.scan(path, kind, is_environment=want.is_environment):
            return prepared
        packed = self._room_for(f"{name}.tar.gz", 4 * status.st_size)
        archives.zip_to_tar(path, packed)
        return replace(self._prepared(packed, _remote_name(name, ".tar.gz"), is_archive=True), source=path)

    def _folder(self, want: _Wanted, path: Path, name: str) -> _Local:
        if want.is_environment:
            raise ConfigurationError(
                f"{want.where}: {path} is a folder; env= takes a packed environment. Pack it with conda-pack "
                f"(conda-pack -p {path} -o env.tar.gz) or venv-pack, and give the archive"
            )
        if want.kind == "FILE":
            raise ConfigurationError(f"{want.where}: {path} is a folder, which type: FILE excludes")
        packed = self._room_for(f"{name}.tar.gz", 0)
        archives.pack_folder(path, packed)
        return replace(self._prepared(packed, _remote_name(name, ".tar.gz"), is_archive=True), source=path)

    def _prepared(self, path: Path, name: str, *, is_archive: bool) -> _Local:
        digest, size = DIGESTS.of(path)
        # Never over what is there: running applications were promised its modification time.
        again = f"/{uuid.uuid4().hex}" if self._upload_always else ""
        remote = f"{self._paths.cache}/{digest}{again}/{name}"
        return _Local(path, path, digest, size, remote, self._existing(path, remote, size), is_archive)

    def _existing(self, path: Path, remote: str, size: int) -> FileStatus | None:
        if self._upload_always:
            return None
        existing = self._files.status(remote)
        if existing is not None and existing.length != size:
            raise ConfigurationError(
                f"{existing.path} has {existing.length} bytes where the {size} of {path} belong: somebody changed the "
                "cache. Remove that file, or use upload_always=True"
            )
        return existing

    def _upload(self, prepared: _Local) -> FileStatus:
        _log.debug("uploading %s (%d bytes) to %s", prepared.path, prepared.size, prepared.remote)
        return self._files.put(prepared.path, prepared.remote, prepared.digest, self._replication)

    def _room_for(self, name: str, size: int) -> Path:
        """A new path in the temporary folder."""
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="knit-pack-")
        folder = Path(tempfile.mkdtemp(dir=self._temporary.name))
        free = archives.free_bytes(folder)
        if free < size:
            raise ConfigurationError(
                f"packing {name} takes up to {size} bytes in {folder.parent}, where {free} are free; make room or set "
                "TMPDIR"
            )
        return folder / _ODD.sub("_", name)

    def __enter__(self) -> Transfer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None


def needs_upload(path: str, files: Files, paths: Paths) -> bool:
    """Whether the cluster lacks the content of a local file or folder; see :meth:`Transfer.needs_upload`."""
    with Transfer(files, paths) as transfer:
        return transfer.needs_upload(path)


def _wanted(part: Service | Master, where: str) -> dict[str, _Wanted]:
    wanted = {link: _of_file(file, f"{where}.files.{link}") for link, file in part.links.items()}
    if part.env is not None:
        reference = parse_env(part.env)
        if reference.kind == "build":
            tool = "conda-pack" if reference.value.lower().startswith("conda") else "venv-pack"
            raise ConfigurationError(
                f"{where}.env: {reference.value} has to be packed before it can be shipped: run {tool} on it and give "
                "the archive, as in env='env.tar.gz'"
            )
        if reference.kind == "archive":
            wanted[ENV_LINK] = _Wanted(reference.value, "ARCHIVE", "PRIVATE", is_environment=True, where=f"{where}.env")
    return wanted


def _of_file(file: File, where: str) -> _Wanted:
    return _Wanted(file.source, file.type, file.visibility, file.size, file.timestamp, where=where)


def _is_missing(plan: _Local | LocalResource) -> TypeGuard[_Local]:
    return isinstance(plan, _Local) and plan.existing is None


def _resource(want: _Wanted, plan: _Local | LocalResource, uploaded: Mapping[str, FileStatus]) -> LocalResource:
    if isinstance(plan, LocalResource):
        return plan
    status = plan.existing or uploaded[plan.remote]
    return LocalResource(
        uri=_uri(plan.remote),
        size=status.length,
        timestamp=status.modified_ms,
        type="ARCHIVE" if plan.is_archive else "FILE",
        visibility=_visibility_of_upload(want),
    )


def _qualified(source: str, found: str) -> str:
    """A source with the filesystem that it was found in: a node's default one may be another."""
    path = re.sub(r"^[^:/]+:(//[^/]*)?", "", source)
    root = re.match(r"[^:/]+://[^/]*", found)
    return (root.group() if root else "") + path


def _remote_kind(want: _Wanted) -> Literal["FILE", "ARCHIVE"]:
    by_name = archives.kind_by_name(want.source)
    if want.kind == "FILE" or (want.kind == "infer" and by_name is None):
        return "FILE"
    if by_name is None:
        raise ConfigurationError(
            f"{want.where}: {want.source} is to be unpacked, and YARN knows archives by the endings .zip, .tar, "
            ".tar.gz and .tgz; rename or repack it"
        )
    return "ARCHIVE"


def _visibility_of_upload(want: _Wanted) -> Visibility:
    if want.visibility == "PUBLIC":
        _log.warning(
            "%s: %s is uploaded to the user's own folder, so it is PRIVATE and not PUBLIC; a public file has to lie "
            "where everybody can read it, and be given as a URI",
            want.where,
            want.source,
        )
        return "PRIVATE"
    return cast(Visibility, want.visibility)


def _remote_name(name: str, kind: str | None) -> str:
    """A name that no node and no shell misreads, with the ending by which YARN knows an archive."""
    ending = next((end for end in ARCHIVE_SUFFIXES if name.lower().endswith(end)), "")
    if kind is None:
        # An archive that is shipped as a plain file was not looked through; it must not be taken for one that was.
        kind = ".file" if ending else ""
    else:
        name = name[: len(name) - len(ending)]
    return (_ODD.sub("_", name)[-100:].lstrip(".-") or "file") + kind


def _uri(path: str) -> str:
    """A URI as Java reads it, of a path as Hadoop's shell writes it."""
    scheme, found, rest = path.partition("://")
    if not found:
        return quote(path, safe="/:@!$&'()*+,;=~", errors="surrogateescape")
    authority, slash, name = rest.partition("/")
    return f"{scheme}://{authority}{slash}{quote(name, safe='/:@!$&()*+,;=~', errors='surrogateescape')}"


def _in_parallel(action: Callable[[_A], _B], values: Sequence[_A]) -> list[_B]:
    """Apply ``action`` to several values at once; the first failure, in the values' order, is raised."""
    if len(values) < 2:
        return [action(value) for value in values]
    with ThreadPoolExecutor(min(_PARALLEL, len(values)), thread_name_prefix="knit-files") as pool:
        return list(pool.map(action, values))
