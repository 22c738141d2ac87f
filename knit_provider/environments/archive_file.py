"""Writes one archive of an environment: the same content makes the same bytes.

Order, owners, times and the compressor's header are fixed. Files keep whether they are executable, and nothing else of
their mode. A .tar keeps symbolic links; a .zip holds copies, since YARN's unzip knows no links.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import stat
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from knit_provider.environments.bytecode import detached, is_cached_bytecode
from knit_provider.environments.gzipping import ParallelGzip
from knit_provider.environments.progress import Stage
from knit_provider.yarn.errors import EnvironmentBuildError

FORMATS = ("tar.gz", "tar", "zip")
GZIP_LEVEL = 4
_TIME = 315_532_800  # 1980-01-01, the first moment that a .zip can hold
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20
_ZIP64_FROM = 1 << 31
# Where a build's path is no secret and no trouble: what records an installation, and what Python corrects itself.
_BY_SHELL = re.compile(rb"""#!/bin/sh\n'''exec' ?"?(?P<program>/[^"\n]*?)"? "\$0" "\$@"(?: #|\n' )'''\n""")
_RECORDS = ("conda-meta/", ".dist-info/", ".egg-info/")


class _Digest:
    """Passes bytes on and keeps their digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._sha.update(data)
        self.size += len(data)
        return self._file.write(data)

    def hexdigest(self) -> str:
        return self._sha.hexdigest()


class ArchiveFile:
    """An archive that is being written. ``add`` and ``add_bytes`` are what conda-pack and venv-pack call.

    Attributes:
        keeps_prefix: files in which the build's prefix stands, each ``text`` or ``binary``.
        outward: links that lead out of the environment, with where they lead.
        broken: links that lead nowhere.
        digest, size: of the archive, once it is closed.
    """

    def __init__(self, path: Path, format: str, prefix: Path, stage: Stage) -> None:  # noqa: A002 - as callers say it
        """Begin it.

        Args:
            path: the file to write; replaced.
            format: one of ``FORMATS``.
            prefix: of the environment, so that links and mentions of it are recognized.
            stage: told of every file's bytes.
        """
        self.keeps_prefix: dict[str, str] = {}
        self.outward: list[tuple[str, str]] = []
        self.broken: list[str] = []
        self.digest, self.size = "", 0
        self._format = format
        self._path = path
        self._prefix = os.path.abspath(prefix)
        self._needle = os.fsencode(self._prefix)
        self._stage = stage
        self._names: set[str] = set()
        self._file = path.open("w+b")
        self._out = _Digest(self._file)
        self._gzip: ParallelGzip | None = None
        self._tar: tarfile.TarFile | None = None
        self._zip: zipfile.ZipFile | None = None
        if format == "zip":
            self._zip = zipfile.ZipFile(
                self._file, "w", zipfile.ZIP_DEFLATED, allowZip64=True, compresslevel=GZIP_LEVEL
            )
        else:
            self._gzip = ParallelGzip(self._out, GZIP_LEVEL) if format == "tar.gz" else None
            self._tar = tarfile.open(  # noqa: SIM115 - closed by close()
                fileobj=cast(Any, self._gzip or self._out), mode="w|", bufsize=_CHUNK, format=tarfile.PAX_FORMAT
            )

    # -- what packers call ------------------------------------------------------------------------------------------

    def add(self, source: str, target: str) -> None:
        """Add a file, a link or an empty folder as it is."""
        if not self._is_new(target):
            return
        try:
            status = os.lstat(source)
            if stat.S_ISLNK(status.st_mode):
                self._link(source, target)
            elif stat.S_ISDIR(status.st_mode):
                self._folder(target)
            elif stat.S_ISREG(status.st_mode):
                self._regular(source, target, status)
            # Sockets and pipes belong to somebody who runs; there is nothing to ship.
        except OSError as error:
            raise self._unreadable(source, error) from error
        self._stage.advance(status.st_size)

    def add_bytes(self, source: str, data: bytes, target: str) -> None:
        """Add a file of other content than it has; its mode is the source's."""
        if not self._is_new(target):
            return
        try:
            mode = os.stat(source).st_mode
        except OSError as error:
            raise self._unreadable(source, error) from error
        if target.startswith("bin/"):
            data = portable_script(data, self._needle)
        if self._needle in data and not _is_record(target):
            self.keeps_prefix[target] = "binary" if b"\0" in data else "text"
        self._write(target, len(data), mode, io.BytesIO(data))
        self._stage.advance(len(data))

    def close(self) -> None:
        """Write the end of it, and be sure that it is on disk.

        Raises:
            OSError: the disk is full, for instance.
        """
        if self._tar is not None:
            self._tar.close()
        if self._zip is not None:
            self._zip.close()
        if self._gzip is not None:
            self._gzip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._zip is not None:  # its writer goes back to fill in sizes
            self._file.seek(0)
            digest = hashlib.sha256()
            while chunk := self._file.read(_CHUNK):
                digest.update(chunk)
            self.digest, self.size = digest.hexdigest(), self._file.tell()
        else:
            self.digest, self.size = self._out.hexdigest(), self._out.size
        self._file.close()

    def abandon(self) -> None:
        """Let go of it and remove the file."""
        if self._gzip is not None:
            self._gzip.abandon()
        self._file.close()
        self._path.unlink(missing_ok=True)

    # -- members ----------------------------------------------------------------------------------------------------

    def _is_new(self, target: str) -> bool:
        if target in self._names:
            return False
        self._names.add(target)
        return True

    def _regular(self, source: str, target: str, status: os.stat_result) -> None:
        if is_cached_bytecode(target):
            data = detached(source)
            if data is not None:
                self._write(target, len(data), status.st_mode, io.BytesIO(data))
            return
        with open(source, "rb") as file:
            watched = file if _is_record(target) else _Watched(file, self._needle)
            self._write(target, status.st_size, status.st_mode, cast(IO[bytes], watched))
            if isinstance(watched, _Watched) and watched.found:
                self.keeps_prefix[target] = "binary" if watched.is_binary else "text"

    def _link(self, source: str, target: str) -> None:
        lead = os.readlink(source)
        if lead.startswith("/"):
            if lead == self._prefix or lead.startswith(self._prefix + "/"):
                lead = os.path.relpath(lead, os.path.dirname(os.path.join(self._prefix, target)))
            else:
                self.outward.append((target, lead))
        elif os.path.normpath(os.path.join(os.path.dirname(target), lead)).split("/")[0] == "..":
            raise EnvironmentBuildError(
                f"{os.path.join(self._prefix, target)} is a link to {lead}, outside the environment, and no node has "
                "what lies there. Replace it by what it leads to, or remove it"
            )
        if self._tar is not None:
            member = self._member(target, 0o777)
            member.type, member.linkname = tarfile.SYMTYPE, lead
            self._tar.addfile(member)
        elif (target, lead, sys.platlibdir) != ("lib64", "lib", "lib"):  # every package twice, and nobody looks there
            self._copy_of_link(target)

    def _copy_of_link(self, target: str) -> None:
        # A package's link may lead to another package's file, which lies in the prefix and not beside it.
        path = os.path.join(self._prefix, target)
        real = os.path.realpath(path)
        if not os.path.exists(real):
            self.broken.append(target)
        elif os.path.isdir(real):
            if (path + "/").startswith(real + "/"):
                raise EnvironmentBuildError(
                    f"{path} is a link to a folder that it lies in; a .zip would have no end. Use format='tar.gz', "
                    "which keeps links"
                )
            for inner in sorted(os.listdir(real)):
                self._names.discard(f"{target}/{inner}")
                self._zip_inner(os.path.join(path, inner), f"{target}/{inner}")
        else:
            self._regular(real, target, os.stat(real))

    def _zip_inner(self, path: str, target: str) -> None:
        if os.path.isdir(path) and not os.path.islink(path):
            for inner in sorted(os.listdir(path)):
                self._zip_inner(os.path.join(path, inner), f"{target}/{inner}")
        else:
            self.add(path, target)

    def _folder(self, target: str) -> None:
        if self._tar is not None:
            member = self._member(target, 0o755)
            member.type = tarfile.DIRTYPE
            self._tar.addfile(member)
        elif self._zip is not None:
            info = zipfile.ZipInfo(target.rstrip("/") + "/", _ZIP_TIME)
            info.create_system, info.external_attr = 3, (stat.S_IFDIR | 0o755) << 16 | 0x10
            self._zip.writestr(info, b"")

    def _write(self, target: str, size: int, mode: int, content: IO[bytes]) -> None:
        mode = 0o755 if mode & 0o111 else 0o644
        if self._tar is not None:
            member = self._member(target, mode)
            member.size = size
            self._tar.addfile(member, content)
            cast(Any, self._tar).members = []  # it would keep every one
        elif self._zip is not None:
            info = zipfile.ZipInfo(target, _ZIP_TIME)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | mode) << 16
            info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, size
            cast(Any, info)._compresslevel = GZIP_LEVEL  # open() takes no level, and the info's own default wins
            with self._zip.open(info, "w", force_zip64=size >= _ZIP64_FROM) as member_file:
                shutil.copyfileobj(content, member_file, _CHUNK)

    def _member(self, target: str, mode: int) -> tarfile.TarInfo:
        member = tarfile.TarInfo(target)
        member.mode, member.mtime = mode, _TIME
        return member

    def _unreadable(self, source: str, error: OSError) -> EnvironmentBuildError:
        if error.filename is None and error.errno is not None:  # the archive's side: no room, for instance
            return EnvironmentBuildError(f"the archive {self._path.name} cannot be written: {error.strerror}")
        return EnvironmentBuildError(
            f"{source} cannot be packed: {error.strerror or error}. Make it readable, or remove it; if something "
            "changes the environment, wait for that"
        )


def portable_script(data: bytes, prefix: bytes) -> bytes:
    """A script whose interpreter's path was too long or too odd for ``#!``, so that /bin/sh was told to find it.

    Installers write that wherever the environment's path has a space or is long; packers know only the plain form.
    """
    found = _BY_SHELL.match(data)
    if found is None or not found["program"].startswith(prefix):
        return data
    name = found["program"].rsplit(b"/", 1)[-1]
    return b"#!/usr/bin/env " + name + b"\n" + data[found.end() :]


class _Watched:
    """A file that is read, and looked through for some bytes on the way."""

    def __init__(self, file: IO[bytes], needle: bytes) -> None:
        self._file = file
        self._needle = needle
        self._tail = b""
        self.found = self.is_binary = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.is_binary = self.is_binary or b"\0" in data
        if not self.found:
            joined = self._tail + data
            self.found = self._needle in joined
            self._tail = joined[-len(self._needle) :]
        return data


def _is_record(target: str) -> bool:
    return target.endswith(".pyc") or any(part in target for part in _RECORDS)


def files_below(folder: Path) -> Iterator[str]:
    """Every file, link and empty folder below a folder, as paths relative to it, in a fixed order."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        base = os.path.relpath(root, folder)
        here = "" if base == "." else base + "/"
        for name in sorted(files + [name for name in folders if os.path.islink(os.path.join(root, name))]):
            yield here + name
        if not folders and not files and here:
            yield base
