"""One node: its containers, and the logs that lie on its disks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote

from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, KnitError
from knit_provider.yarn.rest.active import is_redirect
from knit_provider.yarn.rest.answers import Answer, refused_logs
from knit_provider.yarn.rest.log_pages import files_on_page, page_path
from knit_provider.yarn.rest.log_text import unwrapped
from knit_provider.yarn.rest.session import Session
from knit_provider.yarn.rest.shapes import app_of_container, items, number

# How much more than is missing is asked for, in case the file grows between two requests.
_SLACK = (256 * 1024, 16 * 2**20)


@dataclass(frozen=True)
class LogFile:
    """A log file on a node. ``length`` is in bytes; ``modified`` is as the node writes it."""

    name: str
    length: int
    modified: str


class NodeManager:
    """The REST interface of one NodeManager.

    Args:
        session: what the calls go through.
        address: ``host:port`` of the node's web interface, as the ResourceManager gives it; a URL is taken too.
    """

    def __init__(self, session: Session, address: str) -> None:
        if not address or address.startswith(":"):
            raise ConfigurationError(f"{address!r} is not the web address of a NodeManager; give host:port")
        self._session = session
        # What has to be in every query: behind a gateway, which node is meant.
        self._query: dict[str, str] = {}
        if session.topology is None:
            self.address = address.rstrip("/") if "://" in address else f"{session.conf.scheme}://{address}"
            self._ws = f"{self.address}/ws/v1/node"
        else:
            scheme, found, bare = address.rstrip("/").rpartition("://")
            self.address = bare
            self._ws, self._query = session.topology.node(bare, scheme if found else session.node_scheme or "http")
        # Before Hadoop 2.9 there was another path for a log, and none for the list.
        self._is_old = False

    def info(self) -> dict[str, Any]:
        """The node's health and version."""
        return next(iter(items(self._session.get_url(f"{self._ws}/info", self._query).json(), "nodeInfo")), {})

    def containers(self, app_id: str | None = None, *, live: bool = True) -> list[dict[str, Any]]:
        """The containers on the node.

        Args:
            app_id: only this application's.
            live: leave out those that have ended and linger for a moment (default True).
        """
        found = items(self._session.get_url(f"{self._ws}/containers", self._query).json(), "containers", "container")
        return [
            container
            for container in found
            if (app_id is None or app_of_container(container.get("id"))[0] == app_id)
            and not (live and container.get("state") in ("DONE", "COMPLETE"))
        ]

    def container(self, container_id: str) -> dict[str, Any] | None:
        """One container, or None where the node doesn't have it (any more)."""
        app_of_container(container_id)
        answer = self._session.get_url(f"{self._ws}/containers/{container_id}", self._query, ok=(200, 307, 404))
        if self._is_elsewhere(answer):
            return None
        return next(iter(items(answer.json(), "container")), None)

    def log_files(self, container_id: str) -> list[LogFile]:
        """The log files of a container that lie on this node; none where it doesn't have it (any more)."""
        app_of_container(container_id)
        url = f"{self._ws}/containers/{container_id}/logs"
        answer = self._session.get_url(url, self._query, ok=(200, 307, 404))
        if _has_no_such_service(answer):
            return self._log_files_on_page(container_id, self._session.error(answer))
        if self._is_elsewhere(answer):
            self._check_login(container_id)
            return []
        found = answer.json()
        # Hadoop 3.3 gives an object and sizes as strings, others a list of which one part may be the aggregated logs.
        groups = items(found, "containerLogsInfo") or items(found, "containerLogsInfoes", "containerLogsInfo")
        local = [group for group in groups if str(group.get("logAggregationType", "LOCAL")).upper() == "LOCAL"]
        return [
            LogFile(str(file["fileName"]), number(file.get("fileSize")), str(file.get("lastModifiedTime") or ""))
            for file in items(local, "containerLogInfo")
            if file.get("fileName")
        ]

    def read_log(
        self, container_id: str, name: str, out: BinaryIO, offset: int = 0, limit: int | None = None
    ) -> int | None:
        """Write what a container has logged to ``out``, byte for byte and without holding it in memory.

        Args:
            container_id: YARN container id.
            name: file name, such as ``"stdout"``.
            out: binary file that takes the bytes.
            offset: first byte wanted (default 0); a negative one counts from the file's end.
            limit: number of bytes wanted at most; default all that there are now.

        Returns:
            The number of bytes written; None where the node doesn't have the file (any more).

        Raises:
            ClusterUnavailable: the node cannot be reached, or broke off. What was written until then is right.
        """
        app_of_container(container_id)
        if "/" in name or name in ("", ".", ".."):
            raise ConfigurationError(f"{name!r} is not the name of a log file")
        if offset == 0:
            return self._copy(container_id, name, out, size=limit, skip_to=0, limit=limit)
        if offset < 0:
            return self._copy(container_id, name, out, size=offset, skip_to=None, limit=limit)
        # The node can leave out the beginning only by counting from an end that moves while the file grows. So more is
        # asked for than was missing a moment ago, and what is known already is left out here.
        for slack in _SLACK:
            length = next((file.length for file in self.log_files(container_id) if file.name == name), None)
            if length is None:
                return None
            if length <= offset:
                return 0
            wanted = length - offset + slack
            if wanted >= length:
                break
            written = self._copy(container_id, name, out, size=-wanted, skip_to=offset, limit=limit)
            if written != _TOO_LATE:
                return written
        return self._copy(container_id, name, out, size=None, skip_to=offset, limit=limit)

    def _log_files_on_page(self, container_id: str, failure: KnitError) -> list[LogFile]:
        """What a NodeManager before Hadoop 2.9 shows to a browser.

        Raises:
            KnitError: the failure, where there is no such page either.
        """
        if self._query:
            raise failure
        page = self._session.get_url(
            self.address + page_path(container_id, self._session.user),
            ok=range(200, 600),
            accept="text/html",
        )
        found = files_on_page(page.text, container_id) if page.status == 200 else None
        if found is None:
            raise failure
        return [LogFile(name, length, "") for name, length in found]

    def _copy(
        self, container_id: str, name: str, out: BinaryIO, *, size: int | None, skip_to: int | None, limit: int | None
    ) -> int | None:
        """Write the part of the file from ``skip_to`` on; ``_TOO_LATE`` if the answer begins behind it."""
        if limit is not None and limit <= 0:
            return 0
        url = f"{self._ws}/{'containerlogs' if self._is_old else 'containers'}/{container_id}/"
        url += quote(name) if self._is_old else f"logs/{quote(name)}"
        with self._session.stream_url(url, {"size": size, **self._query}) as (response, chunks):
            if response.status_code != 200:
                answer = Answer("GET", url, response.status_code, response.headers, b"".join(chunks))
                if _has_no_such_service(answer) and not self._is_old and not self._query:
                    self._is_old = True
                    return self._copy(container_id, name, out, size=size, skip_to=skip_to, limit=limit)
                if self._is_elsewhere(answer):
                    return None
                raise self._session.error(answer)
            length, content = unwrapped(chunks)
            if length is None:  # an old NodeManager, which sends the bare file
                start, remaining = 0, None
            else:
                remaining = length if size is None else min(abs(size), length)
                start = length - remaining if size is not None and size < 0 else 0
            if skip_to is not None and start > skip_to:
                return _TOO_LATE
            skip = 0 if skip_to is None else skip_to - start
            written = 0
            for chunk in content:
                piece = chunk if remaining is None else chunk[:remaining]
                if remaining is not None:
                    remaining -= len(piece)
                skipped = min(skip, len(piece))
                skip -= skipped
                piece = piece[skipped:] if limit is None else piece[skipped : skipped + limit - written]
                out.write(piece)
                written += len(piece)
                if remaining == 0 or written == limit:
                    return written
            if remaining:
                raise ClusterUnavailable(f"{url} broke off with {remaining} bytes of the log to come")
            return written

    def _check_login(self, container_id: str) -> None:
        """Where a login acts for others, nodes ask for the login's own right to view, and list nothing without it.

        Raises:
            PermissionDenied: it lacks the right.
        """
        if self._session.topology is None and self._session.acted_for is None:
            return
        url = f"{self._ws}/containers/{container_id}/logs/stdout"
        answer = self._session.get_url(url, {"size": 1, **self._query}, ok=range(200, 600), accept="*/*")
        if refused_logs(answer) is not None:
            raise self._session.error(answer)

    def _is_elsewhere(self, answer: Answer) -> bool:
        """Whether the node says that it has no such container, or redirects to where aggregated logs are shown."""
        if is_redirect(answer):
            return True
        if answer.status != 404:
            return False
        if answer.remote_exception() is None:
            raise self._session.error(answer)
        return True

    def __repr__(self) -> str:
        return f"<NodeManager {self.address}>"


def _has_no_such_service(answer: Answer) -> bool:
    """Whether the path itself is unknown: of what it knows the path of, a NodeManager says in words what is missing."""
    return answer.status in (404, 405) and answer.remote_exception() is None


_TOO_LATE = -1
