"""The Files port through the gateway: any filesystem that Hadoop's own classes can reach."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.files.port import FileStatus, Moved, Space


class Caller(Protocol):
    """What is needed of :class:`knit_provider.yarn.gateway.registry.Gateway`."""

    def call(self, method: str, deadline: float = ..., **arguments: Any) -> Any:
        """Call a method of the gateway."""


class GatewayFiles:
    """Implements :class:`knit_provider.yarn.files.port.Files`, where each method is described."""

    def __init__(self, gateway: Caller) -> None:
        self._gateway = gateway
        self._home: str | None = None

    def uri_home(self) -> str:
        """The user's home folder."""
        if self._home is None:
            self._home = str(self._gateway.call("fs.home")).rstrip("/")
        return self._home

    def status(self, path: str) -> FileStatus | None:
        """What is known of a path."""
        found = self._gateway.call("fs.status", path=path)
        return None if found is None else FileStatus(**found)

    def list(self, path: str, limit: int = 1000) -> Sequence[FileStatus]:
        """The entries of a folder."""
        return [FileStatus(**entry) for entry in self._gateway.call("fs.list", path=path, limit=limit)]

    def read(self, path: str, max_bytes: int = 16 * 1024 * 1024) -> bytes:
        """The content of a small file."""
        answer = self._gateway.call("fs.read", path=path, max_bytes=max_bytes)
        return base64.b64decode(answer["base64"])

    def write_many(
        self, directory: str, files: Mapping[str, bytes], overwrite: bool = False, modified_ms: int | None = None
    ) -> dict[str, FileStatus]:
        """Write small private files."""
        contents = [{"name": name, "base64": base64.b64encode(data).decode()} for name, data in files.items()]
        answer = self._gateway.call(
            "fs.write_many", directory=directory, files=contents, overwrite=overwrite, modified_ms=modified_ms
        )
        return {name: FileStatus(**status) for name, status in answer.items()}

    def put(
        self,
        local: str | os.PathLike[str],
        remote: str,
        sha256: str | None = None,
        replication: int | None = None,
        moved: Moved | None = None,
        approved: Callable[[], object] | None = None,
    ) -> FileStatus:
        """Upload one file; ``moved`` hears of its bytes when all have arrived, since they are not counted here."""
        if approved is not None:
            approved()  # first: the gateway uploads and names the file in one call
        status = FileStatus(
            **self._gateway.call(
                "fs.put",
                local=os.path.abspath(local),
                path=remote,
                expected_sha256=sha256,
                replication=replication,
            )
        )
        if moved is not None:
            moved(status.length)
        return status

    def set_mode(self, path: str, mode: str) -> None:
        """Set permissions: nothing that the gateway does; where it is what serves, modes mostly mean nothing."""
        raise ConfigurationError(
            f"the permissions of {path} cannot be set through the gateway JVM; set them with "
            f"hdfs dfs -chmod {mode} {path}"
        )

    def get(self, remote: str, local: str | os.PathLike[str]) -> int:
        """Download one file; ``local`` is complete or as it was. Returns its length in bytes."""
        return int(self._gateway.call("fs.get", path=remote, local=os.path.abspath(local))["length"])

    def delete(self, path: str, recursive: bool = False) -> bool:
        """Remove a path."""
        return bool(self._gateway.call("fs.delete", path=path, recursive=recursive))

    def mkdirs(self, path: str, mode: str = "700") -> None:
        """Make a folder."""
        self._gateway.call("fs.mkdirs", path=path, mode=mode)

    def rename(self, source: str, target: str) -> None:
        """Move without overwriting."""
        self._gateway.call("fs.rename", source=source, target=target)

    def touch(self, path: str) -> None:
        """Set the modification time to now."""
        self._gateway.call("fs.touch", path=path)

    def free(self, path: str) -> Space:
        """Room and quota."""
        return Space(**self._gateway.call("fs.free", path=path))
