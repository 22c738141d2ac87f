"""From the files that a spec names to the local resources that YARN takes.

First everything is looked at: every path, every archive, every digest. Only if all is well is anything uploaded, each
content once and to a place named after its digest, which no later upload changes. A large environment that is put into
its cache by itself is looked through while it is on its way, and gets its name only if all is well.
"""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import cast

from knit_provider.yarn.bridge.base import LocalResource
from knit_provider.yarn.errors import ConfigurationError, PermissionDenied
from knit_provider.yarn.files import archives
from knit_provider.yarn.files.env_cache import EnvironmentCache, check_size, is_public
from knit_provider.yarn.files.local import Digests, inspect
from knit_provider.yarn.files.memo import Memo
from knit_provider.yarn.files.names import qualified, remote_name, tamed, uri_of
from knit_provider.yarn.files.packed import built, description, digest_of_packed
from knit_provider.yarn.files.parallel import GivenUp, in_parallel
from knit_provider.yarn.files.plans import (
    Prepared,
    Visibility,
    Wanted,
    is_missing,
    remote_kind,
    resource_of,
    wanted_of,
)
from knit_provider.yarn.files.port import Files, FileStatus, Moved
from knit_provider.yarn.files.use_marks import FRESH, UploadCache
from knit_provider.yarn.spec import ApplicationSpec
from knit_provider.yarn.spec.environment import is_local, local_path
from knit_provider.yarn.spec.files import FilesLike
from knit_provider.yarn.submission.staging import Paths

_log = logging.getLogger(__name__)

FilesArgument = FilesLike
"""What ``files=`` takes: a list of sources, or a mapping of name in the container to source."""

_LARGE = 64 * 1024 * 1024
# After so many seconds of uploads what was there is marked as used once more.
_LONG = FRESH / 4
DIGESTS = Digests(Memo())
"""Digests of what was uploaded, by this process and, of large files, by earlier ones."""


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


class Transfer:
    """Ships files to one cluster. Use it as a context manager: it packs folders into a temporary one.

    Args:
        files: the cluster's filesystems.
        paths: the user's folders.
        upload_always: upload also what is there already.
        replication: copies of each block; None is the filesystem's default.
        moved: told of the bytes of environments on their way; see :meth:`~knit_provider.yarn.files.port.Files.put`.
    """

    def __init__(
        self,
        files: Files,
        paths: Paths,
        *,
        upload_always: bool = False,
        replication: int | None = None,
        moved: Moved | None = None,
    ) -> None:
        self._files = files
        self._paths = paths
        self._upload_always = upload_always
        self._replication = replication
        self._moved = moved
        self._name = ""
        self._envs = EnvironmentCache(files, paths.envs)
        self._uploads = UploadCache(files, paths.cache)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._given_up = threading.Event()

    def ship(self, spec: ApplicationSpec, package_files: Mapping[str, Path] | None = None) -> Shipped:
        """Ship all files of an application.

        Args:
            spec: the application.
            package_files: further local files for the ApplicationMaster, by their name there.

        Raises:
            ConfigurationError: a file cannot be shipped as it is; the message names it, and nothing was uploaded.
        """
        began = time.monotonic()
        services = {name: wanted_of(service, f"services.{name}") for name, service in spec.services.items()}
        master = wanted_of(spec.master, "master")
        for link, path in (package_files or {}).items():
            master[link] = Wanted(str(path), "FILE", "PRIVATE", where=link)
        containers = [*services.values(), master]
        every = list(dict.fromkeys(want for links in containers for want in links.values()))
        local = [want for want in every if want.kind == "BUILD" or is_local(want.source)]
        remote = [want for want in every if want not in local]
        found = dict(zip(remote, in_parallel(self._remote, remote), strict=True))
        ready = dict(zip(local, in_parallel(self._inspected, local), strict=True))
        planned = [self._planned(links, found, ready) for links in containers]
        # Two sources with one content and name are one upload.
        todo = {plan.remote: plan for links in planned for plan in links.values() if is_missing(plan)}
        statuses = dict(zip(todo, in_parallel(self._upload, list(todo.values()), self._given_up), strict=True))
        if time.monotonic() - began > _LONG:
            # In all that time nobody shall have removed what was there, or came there first.
            plans = {plan.remote: plan for links in planned for plan in links.values() if isinstance(plan, Prepared)}
            gone = [
                plan
                for plan, found in zip(plans.values(), in_parallel(self._used, list(plans.values())), strict=True)
                if found is None
            ]
            statuses |= zip(
                (plan.remote for plan in gone), in_parallel(self._upload, gone, self._given_up), strict=True
            )
        resources = [
            {link: resource_of(links[link], plan, statuses) for link, plan in plans.items()}
            for links, plans in zip(containers, planned, strict=True)
        ]
        return Shipped(
            services=dict(zip(services, resources, strict=False)),
            master=resources[-1],
            uploaded=tuple(str(plan.source) for plan in todo.values()),
        )

    def environment(self, source: str, name: str = "") -> tuple[FileStatus, str, bool]:
        """Put one packed environment into its cache, or find it there.

        Args:
            source: the local archive.
            name: what it is called in HDFS; default as its file.

        Returns:
            The archive in HDFS, the digest it goes by there, and whether it had to be uploaded. The digest is another
            one than the local archive's if that is a ``.zip`` with symbolic links, which YARN would not keep: it
            becomes a ``.tar.gz``.
        """
        self._name = name
        want = Wanted(source, "ARCHIVE", "PRIVATE", is_environment=True, where=source)
        path = local_path(source)
        kind = archives.kind_by_name(path.name) or ""
        large_tar = kind in (".tar", ".tar.gz") and path.is_file() and path.stat().st_size >= _LARGE
        plan = self._inspected(want, scan=not large_tar, name=name)
        if plan.existing is not None:
            return plan.existing, plan.digest, False
        if not large_tar:
            return self._upload(plan), plan.digest, True
        with ThreadPoolExecutor(1, thread_name_prefix="knit-scan") as pool:
            scan = pool.submit(archives.scan, path, kind, is_environment=True)
            return self._upload(plan, scan.result), plan.digest, True

    def _planned(
        self, links: Mapping[str, Wanted], found: Mapping[Wanted, LocalResource], ready: Mapping[Wanted, Prepared]
    ) -> dict[str, Prepared | LocalResource]:
        """What each of one container's links will be, no two of them the same file: YARN would make only one link."""
        taken: dict[str, str] = {}
        result: dict[str, Prepared | LocalResource] = {}
        for link, want in links.items():
            plan: Prepared | LocalResource = found[want] if want in found else ready[want]
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

    def _copy(self, prepared: Prepared, number: int) -> Prepared:
        folder, _, name = prepared.remote.rpartition("/")
        remote = f"{folder}/{number}/{name}"
        return replace(
            prepared, remote=remote, existing=self._existing(prepared.path, prepared.digest, remote, prepared.size)
        )

    def needs_upload(self, path: str) -> bool:
        """Whether the content of a local file or folder is not in the cluster yet; False for a URI elsewhere."""
        if not is_local(path):
            return False
        if self._upload_always:
            return True
        plan = self._inspected(Wanted(path, "infer", "PRIVATE", where=path), scan=False)
        if plan.existing is not None:
            return False
        found = self._envs.look(plan.digest) if plan.is_archive else None
        return found is None or found.archive is None

    def _remote(self, want: Wanted) -> LocalResource:
        """A file that lies on a Hadoop filesystem, used where it is."""
        kind = remote_kind(want)
        uri, size, timestamp = want.source, want.size, want.timestamp
        cached = EnvironmentCache.of_uri(self._files, want.source) if want.is_environment else None
        found = None
        if cached is not None:
            with contextlib.suppress(PermissionDenied):  # somebody else's, which is public
                found = cached[0].use(cached[1])
        if not (size and timestamp) or re.match(r"[^:]+:///", uri):
            archive = found.archive if found else None
            status = archive if archive and archive.path == want.source else self._files.status(want.source)
            if status is None:
                raise ConfigurationError(f"{want.where}: there is no {want.source}")
            if status.is_dir:
                raise ConfigurationError(
                    f"{want.where}: {want.source} is a folder; YARN ships files and archives. Pack it into a .tar.gz"
                )
            uri = qualified(want.source, status.path)
            size, timestamp = size or status.length, timestamp or status.modified_ms
            if cached is not None and is_public(self._files, status):
                want = replace(want, visibility="PUBLIC")
        return LocalResource(uri_of(uri), size, timestamp, kind, cast(Visibility, want.visibility))

    def _inspected(self, want: Wanted, scan: bool = True, name: str = "") -> Prepared:
        """Look at a local file or folder, and pack it if that is needed."""
        path = built(want.source) if want.kind == "BUILD" else local_path(want.source)
        try:
            status = inspect(path)
        except ConfigurationError as error:
            raise ConfigurationError(f"{want.where}: {error}" if want.where != want.source else str(error)) from error
        if path.is_dir():
            return self._folder(want, path, path.name or "folder")
        kind = None
        if want.kind in ("ARCHIVE", "BUILD") or (want.kind == "infer" and archives.kind_by_name(path.name)):
            kind = archives.kind_by_name(path.name) or archives.kind_by_content(path)
        name = f"{tamed(name)}{kind}" if name else path.name
        prepared = self._prepared(want, path, remote_name(name, kind), is_archive=kind is not None)
        # What is there as an archive was looked through before it got there.
        if kind is None or prepared.existing is not None or (kind != ".zip" and not scan):
            return prepared
        facts = DIGESTS.facts(path)
        if facts is not None and facts.as_tar is not None:
            as_tar = self._placed(want, path, *facts.as_tar, remote_name(name, ".tar.gz"), is_archive=True)
            if as_tar.existing is not None:
                return as_tar
        if not archives.scan(path, kind, is_environment=want.is_environment):
            return prepared
        packed = self._room_for(f"{path.name}.tar.gz", 4 * status.st_size)
        archives.zip_to_tar(path, packed)
        made = self._prepared(want, packed, remote_name(name, ".tar.gz"), is_archive=True)
        if facts is not None:
            DIGESTS.learn(path, facts.digest, (made.digest, made.size))
        return replace(made, source=path)

    def _folder(self, want: Wanted, path: Path, name: str) -> Prepared:
        if want.is_environment:
            raise ConfigurationError(
                f"{want.where}: {path} is a folder; env= takes a packed environment. Pack it with conda-pack "
                f"(conda-pack -p {path} -o env.tar.gz) or venv-pack, and give the archive"
            )
        if want.kind == "FILE":
            raise ConfigurationError(f"{want.where}: {path} is a folder, which type: FILE excludes")
        packed = self._room_for(f"{name}.tar.gz", 0)
        archives.pack_folder(path, packed)
        return replace(self._prepared(want, packed, remote_name(name, ".tar.gz"), is_archive=True), source=path)

    def _prepared(self, want: Wanted, path: Path, name: str, *, is_archive: bool) -> Prepared:
        digest, size = digest_of_packed(path, DIGESTS) if want.is_environment else DIGESTS.of(path)
        return self._placed(want, path, digest, size, name, is_archive=is_archive)

    def _placed(self, want: Wanted, path: Path, digest: str, size: int, name: str, *, is_archive: bool) -> Prepared:
        if want.is_environment:
            return self._environment(path, digest, size, name)
        # Never over what is there: running applications were promised its modification time.
        again = f"/{uuid.uuid4().hex}" if self._upload_always else ""
        remote = f"{self._paths.cache}/{digest}{again}/{name}"
        return Prepared(path, path, digest, size, remote, self._existing(path, digest, remote, size), is_archive)

    def _environment(self, path: Path, digest: str, size: int, name: str) -> Prepared:
        found = self._envs.look(digest) if self._upload_always else self._envs.use(digest)
        archive = found.archive if found else None
        if archive is None or self._upload_always:
            remote = self._envs.place(digest, name, beside=archive is not None)
            return Prepared(path, path, digest, size, remote, None, is_archive=True, is_environment=True)
        check_size(archive, path, size)
        public = is_public(self._files, archive)
        return Prepared(path, path, digest, size, archive.path, archive, True, is_environment=True, public=public)

    def _existing(self, path: Path, digest: str, remote: str, size: int) -> FileStatus | None:
        existing = self._uploads.use(digest, remote)
        if existing is None or self._upload_always:
            return None
        check_size(existing, path, size)
        return existing

    def _used(self, prepared: Prepared) -> FileStatus | None:
        """What is there, marked as used again; None if it is gone."""
        if not prepared.is_environment:
            return self._uploads.use(prepared.digest, prepared.remote)
        self._envs.use(prepared.digest)
        return self._files.status(prepared.remote)

    def _upload(self, prepared: Prepared, approved: Callable[[], object] | None = None) -> FileStatus:
        _log.debug("uploading %s (%d bytes) to %s", prepared.path, prepared.size, prepared.remote)
        if not prepared.is_environment:
            return self._files.put(prepared.path, prepared.remote, prepared.digest, self._replication, self._go_on)
        return self._envs.put(
            prepared.path,
            prepared.remote,
            prepared.digest,
            replication=self._replication,
            description=description(prepared.source, prepared.digest, self._name),
            moved=self._count,
            approved=approved,
        )

    def _count(self, moved: int) -> None:
        self._go_on(moved)
        if self._moved is not None:
            self._moved(moved)

    def _go_on(self, _moved: int) -> None:
        """Called at each piece of an upload: end it where nobody waits for it any more."""
        if self._given_up.is_set():
            raise GivenUp

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
        return folder / tamed(name)

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
