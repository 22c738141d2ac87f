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
from collections.abc import Callable, Iterator, Mapping
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
    *(tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, _inflate_error),
    *(EOFError, OSError, ValueError, NotImplementedError),
)

_LONGEST_TARGET = 4096
# Names, and what else stands in front of a member; tarfile would keep any amount of it in memory.
_MOST_BETWEEN_MEMBERS = 64 * 1024**2
# More links on one way than Linux follows.
_MOST_LINKS = 40


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
        guard.finish()
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

    @property
    def accounted(self) -> int:
        """The most bytes that a tar archive may have up to now."""
        return self._unpacked + (self._members + 1) * 4096 + _MOST_BETWEEN_MEMBERS

    def member(self, name: str, size: int, *, is_link: bool) -> None:
        """Count a member and check where it would go. What is no link is written through one of its own name."""
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise self.refuse(name, "would be unpacked outside its folder")
        if size < 0:
            raise self.refuse(name, f"has a size of {size} bytes")
        if self.links and _place(parts[:-1] if is_link else parts, self.links) is None:
            raise self.refuse(name, f"lies behind the link {self._first_link(parts)!r}, which leads out of the folder")
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
        if len(target) > _LONGEST_TARGET:
            raise self.refuse(name, f"is a link to a path of more than {_LONGEST_TARGET} characters")
        place = self._place_of(name)
        if self.links.setdefault(place, target) != target:
            raise self.refuse(name, f"is in it twice, as a link to {self.links[place]!r} and to {target!r}")
        self._check_link(place, target)

    def hard_link(self, name: str, target: str) -> None:
        """Check where a hard link leads: it is another name for a member that came before it."""
        if target.startswith("/") or ".." in target.split("/") or _place(target.split("/")[:-1], self.links) is None:
            raise self.refuse(name, f"is a link to {target!r}, outside the folder")
        symbolic = self.links.get(self._place_of(target))
        if symbolic is not None:  # which then leads from here to where it leads from there
            self.link(name, symbolic)

    def finish(self) -> None:
        """Look at the links again: with all of them known, one may lead elsewhere than it did alone."""
        for name, target in self.links.items():
            self._check_link(name, target)

    def _check_link(self, name: str, target: str) -> None:
        if target.startswith("/"):
            if self._is_environment:
                return
        elif _place([*name.split("/")[:-1], *target.split("/")], self.links, absolute=self._is_environment) is not None:
            return
        raise self.refuse(name, f"is a link to {target!r}, outside the folder it is unpacked in")

    def _place_of(self, name: str) -> str:
        """Where a member lies once the links in front of it are followed."""
        folder, _, last = posixpath.normpath(name).rpartition("/")
        return "/".join([*(_place(folder.split("/"), self.links) or ()), last])

    def _first_link(self, parts: list[str]) -> str:
        ways = (posixpath.normpath("/".join(parts[:end])) for end in range(1, len(parts) + 1))
        return next((way for way in ways if way in self.links), "/".join(parts))


def _place(parts: list[str], links: Mapping[str, str], *, absolute: bool = False) -> list[str] | None:
    """Where a path leads in a folder with these links, as the system follows them; None for out of the folder.

    Args:
        parts: of the path, relative to the folder.
        links: target by the link's own path.
        absolute: whether a link to an absolute path on the way is no way out. What follows it is then not looked at.
    """
    here: list[str] = []
    todo, followed = parts[::-1], 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not here:
                return None
            here.pop()
            continue
        here.append(part)
        target = links.get("/".join(here))
        if target is None:
            continue
        if target.startswith("/"):
            return here if absolute else None
        followed += 1
        if followed > _MOST_LINKS:
            return here  # nowhere: the system refuses it too
        here.pop()
        todo += target.split("/")[::-1]
    return here


def _scan_zip(path: Path, guard: _Guard) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            guard.member(member.filename, member.file_size, is_link=stat.S_ISLNK(mode))
            if member.flag_bits & 1:
                raise guard.refuse(member.filename, "is encrypted")
            if stat.S_ISLNK(mode):
                with archive.open(member) as content:
                    guard.link(member.filename, os.fsdecode(content.read(_LONGEST_TARGET + 1)))
            elif stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise guard.refuse(member.filename, "is a device or a pipe")


def _scan_tar(path: Path, kind: str, guard: _Guard) -> None:
    # Not as a stream ("r|"), in which tarfile copies all content piece by piece to get past it.
    with (
        path.open("rb") as file,
        _plain(file, kind) as plain,
        tarfile.open(fileobj=cast(Any, _Metered(plain, guard)), mode="r:") as archive,
    ):
        for member in archive:
            guard.member(member.name, member.size, is_link=member.issym())
            if member.issym():
                guard.link(member.name, member.linkname)
            elif member.islnk():
                guard.hard_link(member.name, member.linkname)
            elif not (member.isreg() or member.isdir()):
                raise guard.refuse(member.name, "is a device or a pipe")
            cast(Any, archive).members = []  # tarfile would keep every one
        while kind == _GZIP and plain.read(_CHUNK):
            pass  # gzip's checksum comes last


class _Metered:
    """Reads on for a tar archive, as long as what is read is accounted for by its members' sizes."""

    def __init__(self, plain: IO[bytes], guard: _Guard) -> None:
        self._plain = plain
        self._guard = guard
        self.seek, self.tell = plain.seek, plain.tell

    def read(self, size: int) -> bytes:
        # Beforehand: tarfile asks for a whole name at once, however long its header says it is.
        if self.tell() + size > self._guard.accounted:
            raise self._guard.refuse("(header)", f"has more than {_MOST_BETWEEN_MEMBERS >> 20} MiB of names")
        return self._plain.read(size)


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
