"""With which Hadoop classes an ApplicationMaster starts: the node's own, or those that travel with it.

The node's own are some two hundred jars, which Java opens and reads anew for every application. Shipped are Hadoop's
two shaded client jars and an archive of the classes that an ApplicationMaster loads from them. A node whose Java does
not run the shipped classes starts with its own; one on which the archive does not fit reads the shipped classes anew.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.files.transfer import DIGESTS
from knit_provider.yarn.gateway.archive import key_of
from knit_provider.yarn.gateway.classes import find_hadoop
from knit_provider.yarn.gateway.client_jars import client_jars
from knit_provider.yarn.gateway.java import Java, find_java, java_range
from knit_provider.yarn.submission.am_launch import JAR
from knit_provider.yarn.submission.am_rehearsal import JARS_SECONDS, rehearse
from knit_provider.yarn.user_cache import private_folder

if TYPE_CHECKING:
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)

ARCHIVE = "knit-am.jsa"
_OLDEST_WITH_ARCHIVES = 13
_KEPT = 3  # archives of about 40 MB each


@dataclass(frozen=True)
class AmClasses:
    """What an ApplicationMaster gets for its classes.

    Attributes:
        files: further local files for its container, by link name.
        environment: variables for its launcher.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def classes_of(connection: Connection, jar: Path) -> AmClasses:
    """Find, and where needed make, what ``am_classes`` asks for.

    Args:
        connection: the cluster; its ``am_classes`` decides.
        jar: our own jar.

    Raises:
        ConfigurationError: Hadoop's client jars are to be shipped and are nowhere to be had.
    """
    if connection.am_classes != "shipped":
        return AmClasses()
    hadoop = find_hadoop(connection.hadoop_home)
    links = {path.name: path for path in client_jars(hadoop.version, connection.hadoop_home)}
    links[JAR] = jar
    oldest, newest = java_range(hadoop.version)
    environment = {
        "KNIT_AM_SHIPPED": ":".join(links),
        "KNIT_AM_JAVA": f"{oldest}-{newest or ''}",
        "KNIT_AM_JARS_TIME": str(JARS_SECONDS),
    }
    archive = _archive(find_java(hadoop.version, connection.java_home), links)
    if archive is not None:
        links[ARCHIVE] = archive
        environment["KNIT_AM_ARCHIVE_BYTES"] = str(archive.stat().st_size)
    del links[JAR]
    return AmClasses(links, environment)


def _archive(java: Java, links: Mapping[str, Path]) -> Path | None:
    """The archive for this Java and these jars, made on first use; ``None`` where there can be none."""
    if java.major < _OLDEST_WITH_ARCHIVES:
        log.info("%s makes no class archives (%d does): shipping jars only", java, _OLDEST_WITH_ARCHIVES)
        return None
    try:
        folder = private_folder(os.environ, "am")
        if folder is None:
            log.info("no private folder in the user's cache: shipping jars without a class archive")
            return None
        path = folder / f"{key_of(java, links.values())}.jsa"
        notes = path.with_suffix(".json")
        if not path.exists():
            log.info("making a class archive for ApplicationMasters (once for each Java and Hadoop): %s", path)
            rehearse(java, links, path)
        if notes.exists():
            os.utime(notes)
            _recall(notes)
        else:
            _note(notes, [*links.values(), path])
            _tidy(folder)
        return path
    except (OSError, KnitError) as error:
        log.warning("shipping Hadoop's jars without a class archive: %s", error)
        return None


def _note(notes: Path, files: list[Path]) -> None:
    """Write down the digests, so that later processes need not read 90 MB to know what lies in HDFS already."""
    known = {}
    for path in files:
        status = path.stat()
        known[str(path)] = [status.st_size, status.st_mtime_ns, DIGESTS.of(path)[0]]
    unfinished = notes.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(known))
    unfinished.replace(notes)


def _recall(notes: Path) -> None:
    with contextlib.suppress(OSError, ValueError, TypeError, ConfigurationError):
        for name, (size, modified_ns, digest) in json.loads(notes.read_text()).items():
            status = Path(name).stat()
            if (status.st_size, status.st_mtime_ns) == (size, modified_ns):
                DIGESTS.learn(name, digest)


def _tidy(folder: Path) -> None:
    """Remove the archives that were not used for longest."""
    notes = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in notes[:-_KEPT]:
        for suffix in (".json", ".jsa", ".lock"):
            path.with_suffix(suffix).unlink(missing_ok=True)
