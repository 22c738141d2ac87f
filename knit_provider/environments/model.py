"""What a build results in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PackedEnvironment:
    """One packed environment on this machine.

    Attributes:
        name: what ``list_envs`` shows.
        path: the local archive, absolute.
        digest: SHA-256 of the archive's bytes, hex. Archives are deterministic, so equal content has an equal digest.
        size: bytes of the archive.
        format: ``tar.gz``, ``tar`` or ``zip``.
        kind: ``conda``, ``prefix``, ``running``, ``venv``, ``uv`` or ``archive``.
        python: its Python's version, ``""`` if it has none.
        platform: conda's name of the platform, such as ``linux-64``.
        packages: ``name=version`` of each package.
        warnings: what will not work as it did where it was built, such as files that keep the build's prefix.
        reused: whether it came out of the local cache.
    """

    name: str
    path: str
    digest: str
    size: int
    format: str
    kind: str
    python: str = ""
    platform: str = ""
    packages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    reused: bool = False
