"""Logs as a stream: what was written, in order, without gaps and without repetition."""

from __future__ import annotations

import codecs
import io
import logging
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.logs import live
from knit_provider.yarn.logs.aggregated import aggregated_logs, is_incomplete, wait_for_aggregation
from knit_provider.yarn.logs.chunk import LogChunk, LogCursor
from knit_provider.yarn.logs.inventory import KnownContainer, known_containers
from knit_provider.yarn.report import UNKNOWN, ApplicationReport
from knit_provider.yarn.rights import require_view

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
LONGEST_LINE = 1024 * 1024
# Of one request to a node. So much of a log is in memory, however long it is.
READ_BYTES = 8 * LONGEST_LINE
POLL_SECONDS = 1.0
TROUBLE_SECONDS = 300.0


def stream(
    connection: Connection, app: Application, *, follow: bool = False, cursor: LogCursor | None = None
) -> Iterator[LogChunk]:
    """Yield the application's logs.

    While it runs they are read from the NodeManagers; after its end what is left comes from the aggregated logs. How
    many bytes of each file were said is remembered, so nothing is said twice and nothing is left out.

    Args:
        connection: the cluster.
        app: the application.
        follow: go on until the application has ended.
        cursor: where an earlier stream of the same application got to; this one goes on there and moves it along.
            With a cursor and without ``follow``, a last line that is not complete yet waits for the next stream.

    Raises:
        KnitError: also at the very end, after all that could be had: it has ended, and logs are missing.
    """
    return _Follower(connection, app, cursor, whole_lines=cursor is not None and not follow).run(follow)


class _Follower:
    def __init__(
        self, connection: Connection, app: Application, cursor: LogCursor | None = None, *, whole_lines: bool = False
    ) -> None:
        self._connection = connection
        self._app = app
        self._said = LogCursor() if cursor is None else cursor
        self._whole_lines = whole_lines
        self._decoders: dict[tuple[str, str], codecs.IncrementalDecoder] = {}
        self._done: set[str] = set()
        self._known: dict[str, KnownContainer] = {}
        self._complained: set[str] = set()

    def run(self, follow: bool) -> Iterator[LogChunk]:
        trouble_since: float | None = None
        while True:
            try:
                report = self._app.report()
                require_view(report, self._connection.user)
                self._known.update(known_containers(self._connection, self._app, report))
                trouble_since = None
            except ClusterUnavailable as e:
                trouble_since = trouble_since or time.monotonic()
                if not follow or time.monotonic() - trouble_since > TROUBLE_SECONDS:
                    raise
                log.warning("%s: %s; asking again", self._app.id, e)
                time.sleep(POLL_SECONDS)
                continue
            if report.terminal or report.state == UNKNOWN:
                break
            began = time.monotonic()
            for container in list(self._known.values()):
                if container.id not in self._done:
                    yield from self._from_node(container)
            if not follow:
                return
            # An application of many containers is asked less often.
            time.sleep(max(POLL_SECONDS, 2 * (time.monotonic() - began)))
        yield from self._rest(report)

    def _from_node(self, container: KnownContainer) -> Generator[LogChunk, None, bool]:
        """What its node has of a container's logs; returns whether that has any, and all was read."""
        if not container.node_http:
            return False
        try:
            files = live.files(self._connection, container)
            for file in files:
                yield from self._read_on(container, file.name, file.length)
            # One that lists nothing has given its logs away, or does not have them yet.
            complete = bool(files) and all(self._said.get((container.id, f.name), 0) >= f.length for f in files)
            if complete and not container.live:
                self._done.add(container.id)
            return complete
        except KnitError as e:
            if container.id not in self._complained:
                self._complained.add(container.id)
                log.warning(
                    "The logs of %s on %s cannot be read now: %s. They follow when the application has ended",
                    container.id,
                    container.node,
                    e,
                )
            return False

    def _read_on(self, container: KnownContainer, name: str, length: int) -> Iterator[LogChunk]:
        """What has not been said of a file, at least up to ``length``; what comes meanwhile waits for the next look."""
        key = (container.id, name)
        while self._said.get(key, 0) < length:
            sink = io.BytesIO()
            live.read(self._connection, container, name, self._said.get(key, 0), sink, READ_BYTES)
            data = sink.getvalue()
            at_the_end = len(data) < READ_BYTES
            if self._whole_lines or not at_the_end:
                data = _whole(data)
            for piece in _pieces(data):
                yield from self._say(container, name, piece)
            if at_the_end:
                return

    def _say(self, container: KnownContainer, name: str, data: bytes, *, final: bool = False) -> Iterator[LogChunk]:
        key = (container.id, name)
        decoder = self._decoders.setdefault(key, codecs.getincrementaldecoder("utf-8")("replace"))
        self._said[key] = self._said.get(key, 0) + len(data)
        text = decoder.decode(data, final)
        if text:
            yield LogChunk(container.id, container.service, container.index, name, text)

    def _rest(self, report: ApplicationReport) -> Iterator[LogChunk]:
        self._whole_lines = False
        report = wait_for_aggregation(self._app, report, retries=40, delay=3.0)
        seen: set[str] = set()
        problem = yield from self._aggregated(report, seen)
        missing = []
        for container in self._known.values():
            if container.id not in seen and container.id not in self._done and report.log_aggregation != "SUCCEEDED":
                complete = yield from self._from_node(container)
                if not complete:
                    missing.append(container.id)
        if missing and is_incomplete(report):
            # A node may have given its logs away meanwhile.
            report = wait_for_aggregation(self._app, self._app.report(), retries=20, delay=3.0)
            problem = (yield from self._aggregated(report, seen)) or problem
            missing = [container_id for container_id in missing if container_id not in seen]
        for (container_id, name), decoder in self._decoders.items():
            if text := decoder.decode(b"", True):
                c = self._known.get(container_id) or KnownContainer(container_id)
                yield LogChunk(container_id, c.service, c.index, name, text)
        problem = problem or self._what_is_missing(report, missing)
        if problem:
            raise KnitError(problem)

    def _aggregated(self, report: ApplicationReport, seen: set[str]) -> Generator[LogChunk, None, str]:
        """What the cluster has collected and was not said; adds the containers, returns what could not be read."""
        problem = ""
        with aggregated_logs(self._connection, self._app, report, skip=self._said) as logs:
            seen.update(container.id for container in logs.containers)
            for file in logs.files:
                if file.problem:
                    log.warning("%s", file.problem)
                    problem = problem or file.problem
                    continue
                container = self._known.get(file.container_id) or KnownContainer(file.container_id, file.node)
                with file.path.open("rb") as f:
                    f.seek(self._said.get((file.container_id, file.name), 0))
                    while data := f.read(CHUNK_BYTES):
                        yield from self._say(container, file.name, data)
        return problem

    def _what_is_missing(self, report: ApplicationReport, missing: list[str]) -> str:
        """A sentence about logs that have not come; empty where there are none, as far as anybody knows."""
        # What other applications ran beside their ApplicationMaster, only their logs tell.
        of_any_type = report.application_type not in ("knit", "") and bool(self._known)
        if not is_incomplete(report) or not (missing or of_any_type):
            return ""
        whose = f"those of {', '.join(missing[:3])}{' and others' if missing[3:] else ''}" if missing else "some"
        return (
            f"the cluster has not collected all logs of {report.id} (the ResourceManager says "
            f"{report.log_aggregation}): {whose} are missing here. Ask again: knit logs {report.id}"
        )


def _whole(data: bytes) -> bytes:
    """The lines that are complete; of a line that is too long to be waited for, its whole letters."""
    end = data.rfind(b"\n") + 1
    if end or len(data) < LONGEST_LINE:
        return data[:end]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    return data[: len(data) - len(decoder.getstate()[0])]


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut into chunks, between lines where they are not too long for that."""
    begin = 0
    while begin < len(data):
        end = begin + CHUNK_BYTES
        if end < len(data):
            end = data.rfind(b"\n", begin, end) + 1 or end
        yield data[begin:end]
        begin = end
