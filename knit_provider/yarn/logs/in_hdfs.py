"""Aggregated logs out of the filesystem itself, where no log server can be asked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from knit_provider.yarn.bridge.base import AggregatedContainer, AggregatedFile
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.files.port import Files, FileStatus, RemoteFileNotFound
from knit_provider.yarn.logs.tfile import TFile
from knit_provider.yarn.rest.log_folders import log_folders, node_of

_NODES = 100_000
# Of so many files it is remembered which container lies where.
_KEPT = 1000


@runtime_checkable
class RangedFiles(Files, Protocol):
    """A filesystem that gives parts of files."""

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` on."""


class LogsInHdfs:
    """What lies in an application's log folder. Only its owner and the cluster's administrators may look.

    Args:
        conf: the cluster's configuration.
        files: its filesystem.
    """

    def __init__(self, conf: HadoopConf, files: RangedFiles) -> None:
        self._conf = conf
        self._files = files
        self._opened: dict[FileStatus, TFile] = {}

    def aggregated_containers(self, application_id: str, owner: str) -> list[AggregatedContainer]:
        """As :meth:`knit_provider.yarn.bridge.base.Bridge.aggregated_containers`."""
        found: dict[tuple[str, str], dict[str, AggregatedFile]] = {}
        for status in self._nodes_files(application_id, owner):
            node = node_of(status.path.rpartition("/")[2])
            # In the words that Hadoop has for it.
            modified = time.strftime("%a %b %d %H:%M:%S +0000 %Y", time.gmtime(status.modified_ms / 1000))
            for entry in self._open(status).entries():
                files = found.setdefault((entry.container_id, node), {})
                known = files[entry.name].length if entry.name in files else 0
                files[entry.name] = AggregatedFile(entry.name, known + entry.length, modified)
        return [AggregatedContainer(id_, node, tuple(files.values())) for (id_, node), files in found.items()]

    def read_aggregated(
        self, application_id: str, owner: str, container: AggregatedContainer, file: str, local: str | os.PathLike[str]
    ) -> int:
        """As :meth:`knit_provider.yarn.bridge.base.Bridge.read_aggregated`."""
        written = None
        with open(local, "wb") as out:
            for status in self._nodes_files(application_id, owner):
                if container.node in ("", node_of(status.path.rpartition("/")[2])):
                    more = self._open(status).copy(container.id, file, out)
                    written = more if written is None else written + (more or 0)
        if written is None:
            raise RemoteFileNotFound(f"{application_id} has no aggregated log {file} of {container.id}")
        return written

    def _nodes_files(self, application_id: str, owner: str) -> Iterator[FileStatus]:
        folders = log_folders(self._conf, application_id, owner)
        for folder in folders:
            try:
                entries = self._files.list(folder, _NODES)
            except RemoteFileNotFound:
                continue
            # A node that is still writing has a temporary file.
            yield from (one for one in entries if not one.is_dir and not one.path.endswith(".tmp"))
            return
        raise RemoteFileNotFound(f"there are no aggregated logs of {application_id} in {' or '.join(folders)}")

    def _open(self, status: FileStatus) -> TFile:
        if status not in self._opened:
            if len(self._opened) >= _KEPT:
                self._opened.pop(next(iter(self._opened)), None)
            self._opened[status] = TFile(
                status.path, status.length, lambda at, count: self._files.read_range(status.path, at, count)
            )
        return self._opened[status]
