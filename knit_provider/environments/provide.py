"""From whatever names an environment to its URI in HDFS: what the command, the operators and the tasks call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from knit_provider.environments.cache import PublishedEnvironment, publish
from knit_provider.environments.model import PackedEnvironment
from knit_provider.environments.sidecar import read_sidecar
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.files import archives
from knit_provider.yarn.files.local import inspect
from knit_provider.yarn.files.transfer import DIGESTS
from knit_provider.yarn.spec.environment import is_local, local_path

if TYPE_CHECKING:
    from knit_provider.environments.progress import Progress
    from knit_provider.yarn.connection import Connection


def provide(
    connection: Connection,
    source: str | None = None,
    *,
    packages: Sequence[str] = (),
    channels: Sequence[str] = (),
    name: str | None = None,
    format: str = "tar.gz",  # noqa: A002 - the builder's name for it
    ignore_editable: bool = False,
    ignore_missing: bool = False,
    refresh: bool = False,
    public: bool = False,
    allow_secrets: Sequence[str] = (),
    replication: int | None = None,
    upload_always: bool = False,
    progress: Progress | None = None,
) -> PublishedEnvironment:
    """Build an environment, unless it is built, and put it into HDFS, unless it is there.

    Args:
        connection: the cluster, as one user.
        source: ``conda://PREFIX_OR_NAME``, ``venv://PREFIX``, ``running``, the path of an ``environment.yml``,
            ``requirements.txt``, ``pyproject.toml``, ``uv.lock`` or explicit lock file, or a ready archive.
        packages: conda packages to build it of, in place of a source.
        channels: where the packages come from.
        name: what it is called; default after the source.
        format: of the archive: ``tar.gz`` (default), ``tar`` or ``zip``.
        ignore_editable, ignore_missing, refresh: as in :func:`knit_provider.environments.build.build`.
        public, allow_secrets, replication, upload_always: as in :func:`~knit_provider.environments.cache.publish`.
        progress: shows what is going on.

    Raises:
        ConfigurationError: neither or both of source and packages, or one that cannot be used.
        EnvironmentBuildError: it cannot be built; both caches are as they were.
        KnitError: it cannot be put into HDFS; see :func:`~knit_provider.environments.cache.publish`.
    """
    if bool(source) == bool(packages):
        raise ConfigurationError("give either a source or packages")
    if source and channels:
        raise ConfigurationError("channels= goes with packages=; a source names its own")
    options: dict[str, Any] = {
        "format": format,
        "ignore_editable": ignore_editable,
        "ignore_missing": ignore_missing,
        "refresh": refresh,
        "progress": progress,
    }
    if source and _is_archive(source):
        packed = packed_archive(source, name)
    elif source:
        packed = _build(source, options, name)
    else:
        from knit_provider.environments.create import create

        packed = create(name or "env", packages, channels=channels or None, **options)
    return publish(
        packed,
        connection,
        public=public,
        allow_secrets=allow_secrets,
        replication=replication,
        upload_always=upload_always,
        progress=progress,
    )


def packed_archive(path: str, name: str | None = None) -> PackedEnvironment:
    """A ready local archive as a packed environment.

    Raises:
        ConfigurationError: it cannot be read, or is no archive.
    """
    local = local_path(path).absolute()
    inspect(local)
    known = read_sidecar(local)
    if known is not None:
        return _named(known, name)
    kind = archives.kind_by_name(local.name) or archives.kind_by_content(local)
    digest, size = DIGESTS.of(local)
    return PackedEnvironment(name or archives.stem(local.name), str(local), digest, size, kind.lstrip("."), "archive")


def _is_archive(source: str) -> bool:
    return is_local(source) and archives.kind_by_name(source) is not None


def _build(reference: str, options: dict[str, Any], name: str | None) -> PackedEnvironment:
    from knit_provider.environments.build import build, source_of

    return _named(build(source_of(reference), **options), name)


def _named(env: PackedEnvironment, name: str | None) -> PackedEnvironment:
    return PackedEnvironment(**{**vars(env), "name": name}) if name else env
