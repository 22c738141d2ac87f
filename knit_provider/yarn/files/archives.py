"""Archives for containers: what is in them is looked at before they are shipped, and folders are packed into them.

YARN unpacks .zip, .tar, .tar.gz and .tgz. Its unzip turns symbolic links into small files; its untar keeps them.
"""

from __future__ import annotations

import gzip
import os
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from knit_provider.yarn.errors import ConfigurationError

try:  # inflates three times as fast
    from isal import igzip, isal_zlib

    _open_gzip: Callable[[IO[bytes]], Any] = igzip.open
    _inflate_error = cast(type[Exception], isal_zlib.error)
except ImportError:
    _open_gzip, _inflate_error = gzip.open, zlib.error

MAX_MEMBERS = 2_000_000
MAX_UNPACKED = 1024**4
BOMB_SIZE = 4 * 1024**3
BOMB_RATIO = 500

_CHUNK = 1024 * 1024

_ZIP, _TAR, _GZIP = ".zip", ".tar", ".tar.gz"
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    _inflate_error,
    EOFError,
    OSError,
    ValueError,
)


def kind_by_name(name: str) -> str | None:
    """The ending by which YARN knows an archive's kind: ``.zip``, ``.tar`` or ``.tar.gz``; None for any other name."""
    lower = name.lower()
    if lower.endswith((".tar.gz", ".tgz")):
        return _GZIP
    return next((ending for ending in (_ZIP, _TAR) if lower.endswith(ending)), None)


def stem(name: str) -> str:
    """A file's name without the ending of an archive.

    >>> stem("dev.tar.gz"), stem("data.csv")
    ('dev', 'data.csv')
    """
    endings = (".tar.gz", ".tgz", _ZIP, _TAR)
    return name[: -len(next((end for end in endings if name.lower().endswith(end)), "")) or None]


def kind_by_content(path: Path) -> str:
    """The ending that an archive's content deserves, whatever its name says.

    Raises:
        ConfigurationError: it is no archive that YARN can unpack.
    """
    if zipfile.is_zipfile(path):
        return _ZIP
    with path.open("rb") as file:
        start = file.read(6)
    if start[:2] == b"\x1f\x8b":
        return _GZIP
    if tarfile.is_tarfile(path) and not start.startswith((b"BZh", b"\xfd7zXZ")):
        return _TAR
    raise ConfigurationError(
        f"{path} is no archive that YARN can unpack (.zip, .tar, .tar.gz); pack it anew, or ship it as it is with "
        "type: FILE"
    )


def scan(path: Path, kind: str, *, is_environment: bool = False) -> bool:
    """Look through an archive for what must not be unpacked.

    Refused are members outside the folder they are unpacked in (absolute, or with ``..``), links that lead out of it,
    members that lie behind such a link, devices and pipes, encrypted members, and far more content than the archive's
    size accounts for.

    Args:
        path: the archive.
        kind: as :func:`kind_by_name` says.
        is_environment: links with an absolute target are accepted: an environment may use the node's interpreter.

    Returns:
        Whether it is a .zip with symbolic links, which YARN would not keep.

    Raises:
        ConfigurationError: it is refused, or damaged; the message names the archive and the member.
    """
    guard = _Guard(path, is_environment)
    try:
        if kind == _ZIP:
            _scan_zip(path, guard)
        else:
            _scan_tar(path, kind, guard)
    except _BROKEN as error:
        if isinstance(error, ConfigurationError):
            raise
        what = {_ZIP: "zip", _TAR: "tar", _GZIP: "gzipped tar"}[kind]
        raise ConfigurationError(
            f"{path} is no intact {what} archive ({error}), and its name makes YARN unpack it. Ship it as it is with "
            "type: FILE"
        ) from error
    return kind == _ZIP and bool(guard.links)


class _Guard:
    """What is known of an archive while its members pass by."""

    def __init__(self, path: Path, is_environment: bool) -> None:
        self._path = path
        self._size = max(1, path.stat().st_size)
        self._is_environment = is_environment
        self._members = 0
        self._unpacked = 0
        self.links: dict[str, str] = {}

    def refuse(self, member: str, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path} is not shipped: its member {member!r} {problem}")

    def member(self, name: str, size: int) -> None:
        """Count a member and check where it would go."""
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise self.refuse(name, "would be unpacked outside its folder")
        for end in range(1, len(parts)):
            parent = posixpath.normpath("/".join(parts[:end]))
            if parent in self.links and _leads_out(parent, self.links[parent]):
                raise self.refuse(name, f"lies behind the link {parent!r}, which leads out of the folder")
        self._members += 1
        self._unpacked += size
        too_much = self._unpacked > BOMB_SIZE and self._unpacked > BOMB_RATIO * self._size
        if self._members > MAX_MEMBERS or self._unpacked > MAX_UNPACKED or too_much:
            raise self.refuse(
                name,
                f"makes it {self._members} members of {self._unpacked} bytes, from an archive of {self._size} bytes: "
                "that looks like an archive made to fill disks",
            )

    def link(self, name: str, target: str) -> None:
        """Note a symbolic link and check where it leads."""
        allowed = self._is_environment and target.startswith("/")
        if _leads_out(name, target) and not allowed:
            raise self.refuse(name, f"is a link to {target!r}, outside the folder it is unpacked in")
        self.links[posixpath.normpath(name)] = target


def _leads_out(name: str, target: str) -> bool:
    if target.startswith("/"):
        return True
    resolved = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return resolved == ".." or resolved.startswith("../")


def _scan_zip(path: Path, guard: _Guard) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            guard.member(member.filename, member.file_size)
            if member.flag_bits & 1:
                raise guard.refuse(member.filename, "is encrypted")
            mode = member.external_attr >> 16
            if stat.S_ISLNK(mode):
                guard.link(member.filename, os.fsdecode(archive.read(member)[:4096]))
            elif stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise guard.refuse(member.filename, "is a device or a pipe")


def _scan_tar(path: Path, kind: str, guard: _Guard) -> None:
    # Not as a stream ("r|"), in which tarfile copies all content piece by piece to get past it.
    with path.open("rb") as file, _plain(file, kind) as plain, tarfile.open(fileobj=plain, mode="r:") as archive:
        for member in archive:
            guard.member(member.name, member.size)
            if member.issym():
                guard.link(member.name, member.linkname)
            elif member.islnk():
                if member.linkname.startswith("/") or ".." in member.linkname.split("/"):
                    raise guard.refuse(member.name, f"is a link to {member.linkname!r}, outside the folder")
            elif not (member.isreg() or member.isdir()):
                raise guard.refuse(member.name, "is a device or a pipe")
            cast(Any, archive).members = []  # tarfile would keep every one
        while kind == _GZIP and plain.read(_CHUNK):
            pass  # gzip's checksum comes last


@contextmanager
def _plain(file: IO[bytes], kind: str) -> Iterator[IO[bytes]]:
    if kind == _GZIP:
        with _open_gzip(file) as unzipped:
            yield unzipped
    else:
        yield file


def pack_folder(folder: Path, target: Path) -> None:
    """Pack a folder's content into a .tar.gz, permissions and symbolic links as they are.

    The same folder makes the same bytes each time, so that the upload is recognized by its digest.

    Raises:
        ConfigurationError: there is something in it that cannot be read or shipped; the message names it.
    """
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in _walk(folder):
            _add(archive, path, path.relative_to(folder).as_posix())


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder, in an order that does not depend on the filesystem; links are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise ConfigurationError(f"the folder {folder} cannot be shipped: {error.strerror}") from error
    for entry in entries:
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    try:
        member = archive.gettarinfo(path, name)
        if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise ConfigurationError(f"{path} is a device, a pipe or a socket, which cannot be shipped; move it away")
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = int(member.mtime)
        if not member.isreg():
            archive.addfile(member)
            return
        with path.open("rb") as content:
            archive.addfile(member, content)
    except OSError as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{path} cannot be shipped: {error.strerror or error}; did it change?") from error


def zip_to_tar(source: Path, target: Path) -> None:
    """Make a .tar.gz of a scanned .zip, in which YARN keeps the symbolic links."""
    with (
        zipfile.ZipFile(source) as archive,
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as result,
    ):
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            member = tarfile.TarInfo(entry.filename.rstrip("/"))
            member.mode = stat.S_IMODE(mode) or (0o755 if entry.is_dir() else 0o644)
            if entry.is_dir():
                member.type = tarfile.DIRTYPE
                result.addfile(member)
            elif stat.S_ISLNK(mode):
                member.type = tarfile.SYMTYPE
                member.linkname = os.fsdecode(archive.read(entry))
                result.addfile(member)
            else:
                member.size = entry.file_size
                with archive.open(entry) as content:
                    result.addfile(member, content)


def free_bytes(folder: Path) -> int:
    """Room where a folder lies."""
    return shutil.disk_usage(folder).free
