"""Aggregated logs without a JVM: through the history server, or what the configuration names in its place."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

from knit_provider.yarn.bridge.base import AggregatedContainer, AggregatedFile
from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, KnitError, PermissionDenied
from knit_provider.yarn.files.port import RemoteFileNotFound
from knit_provider.yarn.logs.in_hdfs import LogsInHdfs, RangedFiles
from knit_provider.yarn.rest.answers import Answer, first_words
from knit_provider.yarn.rest.log_folders import node_of, where_logs_lie
from knit_provider.yarn.rest.log_text import NotWrapped, copy_sections
from knit_provider.yarn.rest.session import Session
from knit_provider.yarn.rest.shapes import app_of_container, check_app_id, items, number

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf
    from knit_provider.yarn.files.port import Files

_T = TypeVar("_T")

log = logging.getLogger(__name__)

SILENCE_TIMEOUT = 60.0
"""Seconds that the history server may take to begin an answer, and between two pieces of one."""

# For so long no server is asked again, once none could be had and the filesystem could.
_PASS_SECONDS = 120.0
_HISTORY = "/ws/v1/history"
# In a timeline server's URL. It has the logs of a container, and no list of an application's containers that have any.
_TIMELINE = "/applicationhistory"
# What the servers of all versions say, under whatever status, of an application or container that has no logs (yet).
_NOTHING = re.compile(
    r"can ?not find (?:remote application directory|logs for container|the log|any log)|404 not found|does not exist"
    r"|doesn't exist|no logs? available|not have the log",
    re.IGNORECASE,
)


class _NoSuchService(Exception):
    """A server runs there and has no REST interface for logs."""


class HistoryLogs:
    """What the log servers of one cluster have of any application, also after the ResourceManager has forgotten it.

    Args:
        session: what the calls go through.
        conf: the cluster's configuration, completed by what the ResourceManager's ``/conf`` says; default the
            session's.
        files: where the aggregated logs lie. They are read there if no server has them (Hadoop 3.1's has no REST
            interface for logs), and without ``files`` the folder is only named.
    """

    def __init__(self, session: Session, conf: HadoopConf | None = None, files: Files | None = None) -> None:
        self._session = session
        self._conf = conf or session.conf
        self._files = files
        self._pass_servers_until = 0.0
        self._direct = LogsInHdfs(self._conf, files) if isinstance(files, RangedFiles) else None

    def aggregated_containers(self, application_id: str, owner: str) -> list[AggregatedContainer]:
        """The containers with aggregated logs, of all nodes.

        Raises:
            RemoteFileNotFound: nothing is aggregated (yet).
            ClusterUnavailable: no log server answers; says where the logs lie.
        """
        app_id = check_app_id(application_id)
        return self._with_server(
            app_id,
            owner,
            lambda base: self._containers(base, app_id, owner),
            lambda direct: direct.aggregated_containers(app_id, owner),
        )

    def read_aggregated(
        self, application_id: str, owner: str, container: AggregatedContainer, file: str, local: str | os.PathLike[str]
    ) -> int:
        """Write one aggregated log file, byte for byte and of any size, into the local file ``local``.

        The deadline counts from the last byte that moved. After an error ``local`` does not exist.

        Returns:
            The number of bytes written.

        Raises:
            RemoteFileNotFound: the container has no such log.
            ClusterUnavailable: no log server answers, or one broke off; says where the logs lie.
        """
        app_id = check_app_id(application_id)
        app_of_container(container.id)
        try:
            return self._with_server(
                app_id,
                owner,
                lambda base: self._read(base, app_id, owner, container, file, local),
                lambda direct: direct.read_aggregated(app_id, owner, container, file, local),
            )
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(local)
            raise

    def servers(self) -> list[str]:
        """Base URLs of the REST interfaces to ask, in their order.

        None behind a gateway, which shows only pages, and no timeline server's, which has no list of logs.
        """
        if self._session.topology is not None:
            return []
        found = []
        if named := self._conf.get("yarn.log.server.web-service.url"):
            found.append(str(named).rstrip("/"))
        if pages := self._conf.get("yarn.log.server.url"):
            parts = urlsplit(str(pages))
            if parts.scheme in ("http", "https") and parts.netloc and _TIMELINE not in parts.path:
                found.append(f"{parts.scheme}://{parts.netloc}{_HISTORY}")
        if address := self._history_server():
            found.append(address + _HISTORY)
        return [base for base in dict.fromkeys(found) if _TIMELINE not in base]

    # -- inside -------------------------------------------------------------------------------------------------

    def _history_server(self) -> str | None:
        secure = str(self._conf.get("mapreduce.jobhistory.http.policy", "")).upper() == "HTTPS_ONLY"
        address = str(self._conf.get(f"mapreduce.jobhistory.webapp.{'https.' if secure else ''}address") or "")
        # A wildcard is Hadoop's default and where a server listens, not where it is.
        if not address or address.startswith(("0.0.0.0:", "[::]:", ":")):
            return None
        return f"{'https' if secure else 'http'}://{address}"

    def _with_server(
        self, app_id: str, owner: str, action: Callable[[str], _T], directly: Callable[[LogsInHdfs], _T]
    ) -> _T:
        problems: list[str] = []
        refused: KnitError | None = None
        for base in self.servers() if time.monotonic() >= self._pass_servers_until else ():
            try:
                return action(base)
            except RemoteFileNotFound:
                raise
            except (AuthenticationFailed, PermissionDenied) as error:
                # It may look at the login alone, where that acts for somebody else or is none but a token for HDFS.
                refused = refused or error
                problems.append(str(error))
            except (ClusterUnavailable, _NoSuchService) as error:
                problems.append(str(error))
        if not problems and not self.servers():
            problems = [
                "a gateway has none that programs could ask"
                if self._session.topology is not None
                else "the configuration names no history server (mapreduce.jobhistory.webapp.address, "
                "yarn.log.server.url)"
            ]
        if self._direct is not None:
            try:
                found = directly(self._direct)
            except RemoteFileNotFound:
                raise
            except KnitError as error:
                self._pass_servers_until = 0.0
                problems.append(f"and out of the filesystem: {error}")
            else:
                if not problems:
                    return found
                # One that waits for a ResourceManager that is away lets each call wait for a minute.
                self._pass_servers_until = time.monotonic() + _PASS_SECONDS
                log.info("read the logs of %s out of the filesystem: %s", app_id, "; ".join(problems))
                return found
        if refused is not None:
            raise refused
        raise ClusterUnavailable(
            f"the aggregated logs of {app_id} cannot be had from a history server: {'; '.join(problems)}. "
            f"They lie in {where_logs_lie(self._conf, self._files, app_id, owner)}"
        )

    def _containers(self, base: str, app_id: str, owner: str) -> list[AggregatedContainer]:
        answer = self._session.get_url(
            f"{base}/aggregatedlogs", {"appid": app_id}, ok=range(200, 600), timeout=SILENCE_TIMEOUT
        )
        if answer.status != 200:
            raise self._refusal(answer, app_id, owner)
        found = answer.json()
        # Hadoop 3.3 gives the list under one name and 3.5 under two, either an object where there is but one.
        groups = items(found, "containerLogsInfo") or items(found, "containerLogsInfoes", "containerLogsInfo")
        containers: dict[tuple[str, str], dict[str, AggregatedFile]] = {}
        for group in groups:
            if str(group.get("logAggregationType", "AGGREGATED")).upper() != "AGGREGATED":
                continue
            app_of_container(group.get("containerId"))
            key = (str(group["containerId"]), node_of(str(group.get("nodeId") or "")))
            files = containers.setdefault(key, {})
            for file in items(group, "containerLogInfo"):
                name = str(file.get("fileName") or "")
                length = number(file.get("fileSize"))
                if name in files:  # rolled: in several pieces, which are read as one
                    length += files[name].length
                if name:
                    files[name] = AggregatedFile(name, length, str(file.get("lastModifiedTime") or ""))
        if not containers:
            raise RemoteFileNotFound(f"{base} has no aggregated logs of {app_id} (user {owner})")
        return [AggregatedContainer(id_, node, tuple(files.values())) for (id_, node), files in containers.items()]

    def _read(
        self,
        base: str,
        app_id: str,
        owner: str,
        container: AggregatedContainer,
        file: str,
        local: str | os.PathLike[str],
    ) -> int:
        url = f"{base}/containerlogs/{container.id}/{quote(file, safe='')}"
        with open(local, "wb") as out, self._session.stream_url(url, timeout=SILENCE_TIMEOUT) as (response, chunks):
            if response.status_code != 200:
                body = b"".join(chunk for chunk, _ in zip(chunks, range(16), strict=False))
                if response.status_code >= 500:
                    self._check_there(base, app_id, owner, container.id, file)
                answer = Answer("GET", url, response.status_code, response.headers, body)
                raise self._refusal(answer, app_id, owner)
            try:
                written, missing = copy_sections(chunks, out)
            except NotWrapped as error:
                text = error.head.decode("utf-8", "replace")
                if not text or _NOTHING.search(text):
                    raise RemoteFileNotFound(f"{base} has no log {file} of {container.id}") from None
                raise ClusterUnavailable(f"{url} answered {first_words(text)!r}, which is no log") from None
            if missing:
                raise ClusterUnavailable(f"{url} broke off with {missing} bytes of the log to come")
            return written

    def _check_there(self, base: str, app_id: str, owner: str, container_id: str, file: str) -> None:
        """Some versions meet a log that isn't there with an error of their own; only the list tells them apart.

        Raises:
            RemoteFileNotFound: it is not in the list.
        """
        for container in self._containers(base, app_id, owner):
            if container.id == container_id and any(found.name == file for found in container.files):
                return
        raise RemoteFileNotFound(f"{base} has no log {file} of {container_id}")

    def _refusal(self, answer: Answer, app_id: str, owner: str) -> Exception:
        """What an answer other than 200 means."""
        remote = answer.remote_exception()
        if remote is not None and (_NOTHING.search(remote["message"]) or "NotFound" in remote["exception"]):
            return RemoteFileNotFound(f"{answer.url}: there are no aggregated logs of {app_id} (user {owner})")
        if remote is None and answer.status in (404, 405):
            return _NoSuchService(f"{answer.url} answered {answer.shown()}; it has no REST interface for logs")
        if 300 <= answer.status < 400:
            # Of a running application it knows only which node to ask.
            return RemoteFileNotFound(f"{answer.url}: the logs of {app_id} are not aggregated yet")
        return self._session.error(answer)
