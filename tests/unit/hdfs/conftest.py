"""A filesystem in memory, for tests of what is kept where."""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from knit_provider.yarn.errors import ConfigurationError, PermissionDenied
from knit_provider.yarn.files.port import FileStatus, RemoteFileExists, RemoteFileNotFound, Space

ROOT = "hdfs://nn:8020"


class MemoryFiles:
    """The Files port on a dict. ``modes=False`` makes it an object store, which shows one mode for everything."""

    def __init__(self, user="alice", modes=True):
        self.user = user
        self.modes = modes
        self.nodes = {}
        self.calls = []
        self.forbidden = set()
        self.home_is_closed = False
        self._clock = itertools.count(1_000)
        self._lock = threading.RLock()

    def clock_from(self, seconds):
        """Count modification times from a moment on; default from the beginning of the epoch."""
        self._clock = itertools.count(int(seconds * 1000))

    def uri_home(self):
        return f"{ROOT}/user/{self.user}"

    def _full(self, path):
        return (path if "://" in path else ROOT + path).rstrip("/")

    def _guard(self, path):
        if any(path.startswith(prefix) for prefix in self.forbidden):
            raise PermissionDenied(f"{path}: no")

    def _put(self, path, content, mode):
        shown = mode if self.modes else ("777" if content is None else "666")
        length = 0 if content is None else len(content)
        kind = "DIRECTORY" if content is None else "FILE"
        self.nodes[path] = (FileStatus(path, kind, length, next(self._clock), shown, self.user, 0), content)
        return self.nodes[path][0]

    def status(self, path):
        path = self._full(path)
        self.calls.append(("status", path))
        self._guard(path)
        return self.nodes[path][0] if path in self.nodes else None

    def list(self, path, limit=1000):
        path = self._full(path)
        self._guard(path)
        self.calls.append(("list", path))
        if path not in self.nodes:
            raise RemoteFileNotFound(path)
        return [s for p, (s, _) in sorted(self.nodes.items()) if p.rpartition("/")[0] == path][:limit]

    def read(self, path, max_bytes=1 << 24):
        path = self._full(path)
        self._guard(path)
        if path not in self.nodes:
            raise RemoteFileNotFound(path)
        content = self.nodes[path][1]
        if len(content) > max_bytes:
            raise ConfigurationError(f"{path} has more than the {max_bytes} bytes that are read at once")
        return content

    def write_many(self, directory, files, overwrite=False, modified_ms=None):
        directory = self._full(directory)
        self._guard(directory)
        self.mkdirs(directory)
        result = {}
        for name, content in files.items():
            if f"{directory}/{name}" in self.nodes and not overwrite:
                raise RemoteFileExists(f"{directory}/{name}")
            self.calls.append(("write", name))
            status = self._put(f"{directory}/{name}", content, "600")
            if modified_ms is not None:
                status = replace(status, modified_ms=modified_ms)
                self.nodes[f"{directory}/{name}"] = (status, content)
            result[name] = status
        return result

    def put(self, local, remote, sha256=None, replication=None, moved=None, approved=None):
        remote = self._full(remote)
        self._guard(remote)
        content = Path(local).read_bytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise ConfigurationError(f"{local} changed while it was uploaded")
        if approved is not None:
            approved()
        with self._lock:
            self.calls.append(("put", remote, replication))
            if remote in self.nodes:
                return self.nodes[remote][0]
            self.mkdirs(remote.rpartition("/")[0])
            return self._put(remote, content, "600")

    def delete(self, path, recursive=False):
        path = self._full(path)
        self._guard(path)
        found = [p for p in self.nodes if p == path or p.startswith(path + "/")]
        for p in found:
            del self.nodes[p]
        return bool(found)

    def mkdirs(self, path, mode="700"):
        path = self._full(path)
        self._guard(path)
        if self.home_is_closed:
            raise PermissionDenied("user is not allowed to write to /user")
        parts = path.removeprefix(ROOT).strip("/").split("/")
        for end in range(1, len(parts) + 1):
            parent = f"{ROOT}/" + "/".join(parts[:end])
            if parent not in self.nodes:
                self._put(parent, None, mode)

    def rename(self, source, target):
        source, target = self._full(source), self._full(target)
        if target in self.nodes:
            raise RemoteFileExists(target)
        self.nodes[target] = self.nodes.pop(source)

    def touch(self, path):
        path = self._full(path)
        if path.rpartition("/")[0] not in self.nodes:
            raise RemoteFileNotFound(path)
        self.calls.append(("touch", path))
        self._put(path, b"", "600")

    def set_mode(self, path, mode):
        self.chmod(self._full(path), mode)

    def free(self, path):
        return Space(None, None, None)

    def chmod(self, path, mode, owner=None):
        status, content = self.nodes[path]
        fields = {**status.__dict__, "permission": mode, "owner": owner or status.owner}
        self.nodes[path] = (FileStatus(**fields), content)

    def aged(self, path, modified_ms):
        status, content = self.nodes[path]
        self.nodes[path] = (FileStatus(**{**status.__dict__, "modified_ms": modified_ms}), content)


@pytest.fixture
def files():
    return MemoryFiles()


@pytest.fixture
def object_store():
    return MemoryFiles(modes=False)
