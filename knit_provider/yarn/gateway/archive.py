"""An archive of the gateway's classes in the user's cache, which takes a third off its start.

Java can map classes that were parsed before (AppCDS). An archive fits one Java and one exact class path, so both are
in its name. A gateway that finds none writes down which classes it loads, and makes the archive in the background after
its first piece of work; later gateways use it. Nothing depends on it: without a writable cache all just starts slower.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from knit_provider.yarn.gateway.java import Java
from knit_provider.yarn.user_cache import private_folder

_KEPT = 4  # archives of about 40 MB each: a few versions side by side
_ABANDONED = 3600.0  # seconds after which an unfinished file belongs to nobody


@dataclass(frozen=True)
class ClassArchive:
    """What a gateway does about its archive.

    Attributes:
        flags: for its command line.
        wishes: for its handshake: where it shall make one, or ``None``.
    """

    flags: tuple[str, ...]
    wishes: Mapping[str, str] | None

    @classmethod
    def of(cls, java: Java, jars: Iterable[Path], environ: Mapping[str, str]) -> ClassArchive | None:
        """The archive for this Java and class path; ``None`` where there is no safe place for one."""
        with contextlib.suppress(OSError):
            folder = private_folder(environ, "gateway")
            if folder is None:
                return None
            path = folder / f"{key_of(java, jars)}.jsa"
            if path.exists():
                with contextlib.suppress(OSError):
                    os.utime(path)
                return cls((f"-XX:SharedArchiveFile={path}",), None)
            _tidy(folder)
            classes = folder / f"{path.stem}.{os.getpid()}-{time.monotonic_ns()}.classes"
            return cls((f"-XX:DumpLoadedClassList={classes}",), {"classes": str(classes), "target": str(path)})
        return None


def forget(launch_flags: Iterable[str]) -> bool:
    """Remove the archive that a command line uses. True if there was one: then the start is worth another try."""
    for flag in launch_flags:
        if flag.startswith("-XX:SharedArchiveFile="):
            with contextlib.suppress(OSError):
                os.unlink(flag.partition("=")[2])
                return True
    return False


def key_of(java: Java, jars: Iterable[Path]) -> str:
    """A name for what an archive fits: this Java and these jars as they are."""
    digest = hashlib.sha256(f"{java.home}\n{java.version}\n".encode())
    digest.update(str(java.executable.stat().st_mtime_ns).encode())
    for jar in jars:
        status = jar.stat()
        digest.update(f"{jar}\n{status.st_size}\n{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def _tidy(folder: Path) -> None:
    """Remove what is old: archives beyond the newest few, and what an interrupted gateway left unfinished."""
    archives = []
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            age = entry.stat().st_mtime
            if entry.suffix == ".jsa":
                archives.append((age, entry))
            elif age < time.time() - _ABANDONED:
                entry.unlink()
    for _, entry in sorted(archives)[: -(_KEPT - 1)]:
        with contextlib.suppress(OSError):
            entry.unlink()
