"""What earlier processes found out about large files, so that nobody reads a gigabyte again to know its digest."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from knit_provider.yarn.user_cache import cache_folder

_log = logging.getLogger(__name__)

LARGE = 8 * 1024 * 1024
"""Bytes from which on a file is worth a note; a smaller one is read in no time."""

_KEPT = 500


@dataclass(frozen=True)
class Identity:
    """By what a file's content is recognized without reading it: size, modification time, device and inode."""

    size: int
    modified_ns: int
    device: int
    inode: int


@dataclass(frozen=True)
class Facts:
    """What is known of a file's content.

    Attributes:
        digest: SHA-256, as hex digits.
        as_tar: digest and size of the ``.tar.gz`` that a ``.zip`` with symbolic links is shipped as; else None.
    """

    digest: str
    as_tar: tuple[str, int] | None = None


class Memo:
    """Notes on disk, one small file for each path. Where they cannot be kept, files are read again.

    A wrong note uploads nothing wrong: an upload compares the digest of what it reads.

    Args:
        folder: where they lie; default a folder of the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def find(self, path: str, identity: Identity) -> Facts | None:
        """What is noted of a file that still looks as it did then."""
        if identity.size < LARGE:
            return None
        try:
            with self._place(path).open("rb") as file:
                if os.fstat(file.fileno()).st_uid != os.geteuid():
                    return None
                noted = json.load(file)
            if noted["path"] != path or Identity(**noted["identity"]) != identity:
                return None
            as_tar = noted["facts"]["as_tar"]
            return Facts(str(noted["facts"]["digest"]), (str(as_tar[0]), int(as_tar[1])) if as_tar else None)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            return None

    def note(self, path: str, identity: Identity, facts: Facts) -> None:
        """Write down what was found out; quietly nothing where that cannot be."""
        if identity.size < LARGE:
            return
        content = json.dumps({"path": path, "identity": asdict(identity), "facts": asdict(facts)})
        try:
            place = self._place(path)
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = place.parent.stat()
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
                return
            with tempfile.NamedTemporaryFile("w", dir=place.parent, prefix=".tmp-", delete=False) as file:
                file.write(content)
            os.replace(file.name, place)
            self._forget_old(place.parent)
        except (OSError, ValueError, RuntimeError) as error:
            _log.debug("the digest of %s is not noted: %s", path, error)

    def _place(self, path: str) -> Path:
        folder = self._folder or cache_folder(os.environ, "digests")
        return folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"

    @staticmethod
    def _forget_old(folder: Path) -> None:
        notes = [(entry.stat().st_mtime, entry.path) for entry in os.scandir(folder)]
        for _, path in sorted(notes)[:-_KEPT]:
            os.unlink(path)
