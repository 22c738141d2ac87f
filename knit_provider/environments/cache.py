"""The cache of packed environments in HDFS: what is there, what goes there, and what is removed again.

Where they lie, and how use and removal keep out of each other's way, is in :mod:`knit_provider.yarn.files.env_cache`
and :mod:`knit_provider.yarn.files.use_marks`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from knit_provider.environments.exposure import check_exposable
from knit_provider.environments.model import PackedEnvironment
from knit_provider.yarn.errors import KnitError, PermissionDenied
from knit_provider.yarn.files import archives
from knit_provider.yarn.files.env_cache import (
    DESCRIPTION,
    CachedEnvironment,
    EnvironmentCache,
    open_to_readers,
    parents_of,
    split_root,
)
from knit_provider.yarn.files.port import Files, FileStatus, RemoteFileNotFound
from knit_provider.yarn.files.transfer import Transfer
from knit_provider.yarn.files.use_marks import GRACE
from knit_provider.yarn.submission.housekeeping import ended
from knit_provider.yarn.submission.staging import Paths, open_base
from knit_provider.yarn.submission.sweep import remove_unfinished, sweep, used_digests

if TYPE_CHECKING:
    from knit_provider.environments.progress import Progress
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)

DAY = 24 * 3600.0
UNUSED_AGE = 30 * DAY
"""Seconds since its last use after which an environment is pruned unless told otherwise."""

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MANY = 100_000
_PARALLEL = 8
# A folder without an archive is of an upload that was broken off, once nobody can be at it any more.
_UNFINISHED_AGE = DAY


@dataclass(frozen=True)
class PublishedEnvironment:
    """An environment in HDFS.

    Attributes:
        name: what it was called when it was published.
        digest: SHA-256 of the archive, hex.
        size: bytes of the archive.
        created: when it got there.
        last_used: when an application with it was last submitted, to the hour.
        uri: of the archive; what ``env=`` takes.
        public: whether everybody may read it.
        uploaded: whether this call brought it there; False in a list.
        packages: ``name=version`` of its packages, as far as its builder wrote them down.
    """

    name: str
    digest: str
    size: int
    created: datetime
    last_used: datetime
    uri: str
    public: bool = False
    uploaded: bool = False
    packages: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """``name, digest, size, created, last_used, uri``."""
        return {key: getattr(self, key) for key in ("name", "digest", "size", "created", "last_used", "uri")}


@dataclass(frozen=True)
class PrunedEnvironments:
    """What :func:`prune` did.

    Attributes:
        removed: environments that are gone.
        in_use: environments that would have been, but for an application that uses them, or used them just now.
        kept: all others that are still there.
    """

    removed: tuple[PublishedEnvironment, ...]
    in_use: tuple[PublishedEnvironment, ...]
    kept: tuple[PublishedEnvironment, ...]

    @property
    def freed(self) -> int:
        """Bytes of the removed archives, without their copies."""
        return sum(env.size for env in self.removed)


def publish(
    env: PackedEnvironment,
    connection: Connection,
    *,
    public: bool = False,
    replication: int | None = None,
    upload_always: bool = False,
    allow_secrets: Sequence[str] = (),
    progress: Progress | None = None,
) -> PublishedEnvironment:
    """Put a packed environment into HDFS, unless its content is there already.

    Args:
        env: from :func:`knit_provider.environments.build.build`, or made of a ready archive.
        connection: the cluster, as one user.
        public: let everybody read it, so that all users of a node share what is unpacked of it (default False). The
            folders above it, up to the user's home, become enterable for all (not readable). Refused if the archive
            holds what looks like a secret.
        replication: copies of each block; default the configuration's.
        upload_always: upload also what is there; the copy lies beside it (default False).
        allow_secrets: with ``public``, patterns of paths in the archive that are no secrets, such as
            ``"lib/*/tests/*.pem"``.
        progress: shows the upload.

    Raises:
        ConfigurationError: it cannot be read, holds what must not be unpacked or (with ``public``) a secret, or the
            quota is exceeded.
        PermissionDenied: the user may not write there, or may not open a folder above it.
        ClusterUnavailable: HDFS cannot be reached or has no room.
    """
    files, paths = connection.files, connection.paths
    if public:
        check_exposable(env.path, allow_secrets)
    open_base(files, paths, connection.user)
    if replication is None:
        replication = connection.conf.short("replication_factor")
    with (
        _upload_stage(progress, env.size) as moved,
        Transfer(files, paths, upload_always=upload_always, replication=replication, moved=moved) as transfer,
    ):
        archive, digest, uploaded = transfer.environment(env.path, env.name)
    if public:
        _open_to_all(files, archive, connection.user)
    found = EnvironmentCache(files, paths.envs).look(digest)
    used_ms = max(archive.modified_ms, found.used_ms if found else 0)
    return PublishedEnvironment(
        env.name,
        digest,
        archive.length,
        _moment(archive.modified_ms),
        _moment(used_ms),
        archive.path,
        public=public or open_to_readers(archive),
        uploaded=uploaded,
        packages=env.packages,
    )


def list_published(connection: Connection) -> list[PublishedEnvironment]:
    """The user's environments in HDFS, the last used first."""
    found = _all(connection.files, connection.paths)
    return [env for env, _ in sorted(found, key=lambda pair: -pair[1].used_ms)]


def prune(
    connection: Connection,
    older_than: float | None = UNUSED_AGE,
    keep_bytes: int | None = None,
    *,
    public: bool = False,
    now: Callable[[], float] = time.time,
) -> PrunedEnvironments:
    """Remove environments that nobody needs any more.

    Never removed is what an application with a staging folder uses, on any cluster that shares the filesystem, and what
    was used in the last three hours: somebody may be about to submit.

    Args:
        connection: the cluster, as one user.
        older_than: seconds since its last use after which one goes (default 30 days); None: age is no reason.
        keep_bytes: bytes of archives that may stay; if there are more, the longest unused go first. Default no limit.
        public: remove public ones too (default False): whether other users' applications use them is not known.
        now: the time in seconds since the epoch.

    Raises:
        KnitError: a live application's spec cannot be read, so that it is not known what is in use; nothing is removed.
    """
    files, paths, began = connection.files, connection.paths, time.monotonic()
    sweep(files, paths, lambda app_id: ended(connection, app_id), limit=_MANY, now=now)
    # Before the environments are looked at: whoever submits from now on has marked his less than an hour ago.
    used = used_digests(files, paths)
    found = sorted(_all(files, paths), key=lambda pair: pair[1].used_ms)
    total = sum(env.size for env, _ in found)
    cache = EnvironmentCache(files, paths.envs, now)
    removed, in_use, kept = [], [], []
    for env, folder in found:
        aged = older_than is not None and folder.idle(now()) > older_than
        if not (aged or (keep_bytes is not None and total > keep_bytes)) or (env.public and not public):
            kept.append(env)
        elif (
            env.digest in used
            or folder.idle(now()) <= GRACE
            or time.monotonic() - began > GRACE / 3
            or not cache.remove(env.digest)
        ):
            in_use.append(env)
        else:
            removed.append(env)
            total -= env.size
    _remove_unfinished(files, paths, cache, now)
    return PrunedEnvironments(tuple(removed), tuple(in_use), tuple(kept))


def _remove_unfinished(files: Files, paths: Paths, cache: EnvironmentCache, now: Callable[[], float]) -> None:
    """Remove what uploads that were broken off have left."""
    remove_unfinished(files, paths.envs, now())
    for digest in _digests(files, paths):
        found = cache.look(digest)
        if found is not None and found.archive is None and found.idle(now()) > _UNFINISHED_AGE:
            cache.remove(digest, _UNFINISHED_AGE)


def _digests(files: Files, paths: Paths) -> list[str]:
    try:
        entries = files.list(paths.envs, _MANY)
    except RemoteFileNotFound:
        return []
    names = (entry.path.rstrip("/").rpartition("/")[2] for entry in entries if entry.is_dir)
    return [name for name in names if _DIGEST.fullmatch(name)]


def _all(files: Files, paths: Paths) -> list[tuple[PublishedEnvironment, CachedEnvironment]]:
    cache = EnvironmentCache(files, paths.envs)

    def one(digest: str) -> tuple[PublishedEnvironment, CachedEnvironment] | None:
        found = cache.look(digest)
        if found is None or found.archive is None:
            return None
        archive, described = found.archive, _described(files, found)
        env = PublishedEnvironment(
            str(described.get("name") or archives.stem(archive.path.rpartition("/")[2])),
            digest,
            archive.length,
            _moment(archive.modified_ms),
            _moment(found.used_ms),
            archive.path,
            public=open_to_readers(archive),
            packages=tuple(described.get("packages") or ()),
        )
        return env, found

    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="knit-envs") as pool:
        return [pair for pair in pool.map(one, _digests(files, paths)) if pair is not None]


def _described(files: Files, found: CachedEnvironment) -> dict[str, Any]:
    if not found.described:
        return {}
    with contextlib.suppress(KnitError, ValueError):
        described = json.loads(files.read(f"{found.folder}/{DESCRIPTION}"))
        if isinstance(described, dict):
            return described
    return {}


def _open_to_all(files: Files, archive: FileStatus, user: str) -> None:
    """Make an archive readable for all, and the folders above it enterable; the archive comes last."""
    root, path = split_root(archive.path)
    for parent in reversed(parents_of(path)):
        found = files.status(root + parent)
        mode = int(found.permission, 8) if found is not None else 0o777
        if found is None or mode & 0o001:
            continue
        try:
            files.set_mode(root + parent, f"{mode | 0o011:o}")
        except PermissionDenied as error:
            raise PermissionDenied(
                f"{archive.path} cannot be made public: {parent} belongs to {found.owner} and is closed to others, and "
                f"{user} may not change that ({error}). Publish below another folder, with hdfs_home="
            ) from error
    files.set_mode(archive.path, "644")


@contextlib.contextmanager
def _upload_stage(progress: Progress | None, size: int) -> Iterator[Callable[[int], object] | None]:
    if progress is None:
        yield None
        return
    with progress.stage("upload", size) as stage:
        yield stage.advance


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def as_json(env: PublishedEnvironment) -> dict[str, Any]:
    """All fields, with times as ISO 8601 text."""
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in asdict(env).items()
        if key != "uploaded"
    }
