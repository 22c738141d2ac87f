"""A handle on one application, made by the process that submitted it or by any other that knows its id."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.container import KeyValueStore
from knit_provider.yarn.control import ControlClient, ControlCredentials, LeaseKeeper
from knit_provider.yarn.errors import (
    ApplicationFailed,
    ApplicationKilled,
    ApplicationMasterUnreachable,
    ApplicationNotFound,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
    WaitTimeout,
)
from knit_provider.yarn.files.port import RemoteFileNotFound
from knit_provider.yarn.report import UNKNOWN, ApplicationReport, exit_code_in
from knit_provider.yarn.rest.shapes import check_app_id
from knit_provider.yarn.rights import with_node_refusal
from knit_provider.yarn.waiting import Backoff

if TYPE_CHECKING:
    from knit_provider.yarn.connection import Connection
    from knit_provider.yarn.logs import LogChunk, LogCursor, LogText
    from knit_provider.yarn.submission.ledger import LedgerEntry

log = logging.getLogger(__name__)

AM_TIMEOUT = 60.0
POLL_ERRORS_SECONDS = 300.0


class Application:
    """One YARN application.

    Status, wait, logs and kill ask the ResourceManager and the NodeManagers only and serve for any YARN application.
    Scaling, the list of containers with their services, progress and the lease need the ApplicationMaster of an
    application that knit-provider submitted.

    Args:
        connection: the cluster, as one user.
        app_id: YARN application id.
        credentials: what controls the ApplicationMaster, where this process submitted it; else they are read from the
            application's staging directory when first needed.
        am_timeout: seconds that a call waits for an ApplicationMaster that is not up yet (default 60).
    """

    def __init__(
        self,
        connection: Connection,
        app_id: str,
        credentials: ControlCredentials | None = None,
        *,
        am_timeout: float = AM_TIMEOUT,
    ) -> None:
        self.id = check_app_id(app_id)
        self.am_timeout = am_timeout
        self._connection = connection
        self._credentials = credentials
        self._control: ControlClient | None = None
        self._quick_control: ControlClient | None = None
        self._keeper: LeaseKeeper | None = None
        self._lock = threading.RLock()
        self._tidied = False
        self.owner: object = None
        """The ``Knit`` that holds this handle; kept alive with it, since closing that ends bound applications."""

    def __repr__(self) -> str:
        return f"<Application {self.id}>"

    def _repr_html_(self) -> str:
        from knit_provider.yarn.html import application_html

        return application_html(self)

    # -- what the ResourceManager knows -------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The ResourceManager's dict about the application.

        One that the ResourceManager has forgotten has the keys ``id``, ``state``, ``finalStatus`` and ``diagnostics``
        from the ledger; its state is UNKNOWN where the ledger holds no outcome.

        Raises:
            ApplicationNotFound: if neither the ResourceManager nor the ledger knows the id.
        """
        return dict(self.report().raw)

    def report(self) -> ApplicationReport:
        """As :meth:`status`, as an :class:`ApplicationReport`."""
        try:
            app = self._connection.api.status(self.id)
        except ApplicationNotFound as e:
            return self._report_of_forgotten(e)
        report = ApplicationReport.from_rm(app)
        if report.terminal:
            self._after_end(report)
        return report

    def report_or_none(self) -> ApplicationReport | None:
        """As :meth:`report`; None where neither the ResourceManager nor the ledger knows the id."""
        try:
            return self.report()
        except ApplicationNotFound:
            return None

    def had_container(self) -> bool:
        """Whether the ResourceManager knows of any container that an attempt was started in."""
        return any(attempt.get("containerId") for attempt in self._connection.api.app_attempts(self.id))

    @property
    def state(self) -> str:
        """The application's state: NEW ... RUNNING, FINISHED, FAILED, KILLED or UNKNOWN."""
        return self.report().state

    def wait(self, timeout: float | None = None) -> ApplicationReport:
        """Wait until the application has ended.

        Args:
            timeout: seconds; None (default) waits to the end.

        Returns:
            The report of an application that SUCCEEDED.

        Raises:
            WaitTimeout: after ``timeout``; the application is left as it is.
            ApplicationFailed: it failed; the message has the diagnostics with the failing container's last words.
            ApplicationKilled: it was killed.
            ApplicationNotFound: nobody knows the outcome any more; that is not a failure.
        """
        report = self.wait_for_end(timeout)
        if report.succeeded:
            return report
        raise self.failure(report)

    def wait_for_end(
        self, timeout: float | None = None, on_report: Callable[[ApplicationReport], None] | None = None
    ) -> ApplicationReport:
        """Wait for any terminal state and return its report.

        Errors of the cluster are outlived for 300 seconds in a row.

        Args:
            timeout: seconds; None (default) waits to the end.
            on_report: called with every report on the way.

        Raises:
            WaitTimeout, ApplicationNotFound: as :meth:`wait`.
        """
        backoff = Backoff.for_waiting(timeout)
        trouble_since: float | None = None
        try:
            while True:
                try:
                    report = self.report()
                    trouble_since = None
                except ClusterUnavailable as e:
                    trouble_since = time.monotonic() if trouble_since is None else trouble_since
                    if time.monotonic() - trouble_since > POLL_ERRORS_SECONDS:
                        raise
                    log.warning("%s: %s; asking again", self.id, e)
                else:
                    if on_report is not None:
                        on_report(report)
                    if report.terminal:
                        return report
                    if report.state == UNKNOWN:
                        raise ApplicationNotFound(
                            f"{self.id}: the ResourceManager has forgotten it and the ledger holds no outcome, so how "
                            f"it ended is unknown (this is no failure). Its logs may tell: knit logs {self.id}"
                        )
                if not backoff.sleep():
                    raise WaitTimeout(
                        f"{self.id} has not ended within {timeout} s; it goes on. "
                        f"Wait longer, or end it: knit kill {self.id}"
                    )
        except KeyboardInterrupt:
            self._say_it_goes_on()
            raise

    def kill(self, diagnostics: str = "", timeout: float = 10.0) -> bool:
        """Kill the application and wait until the ResourceManager says so.

        Args:
            diagnostics: why, for the application's report.
            timeout: seconds to wait (default 10).

        Returns:
            True only if the application's state is KILLED, by this call or an earlier one.
        """
        if self._keeper is not None:
            self._keeper.stop()
        killed = self._connection.api.kill(self.id, timeout=timeout, diagnostics=diagnostics or None)
        try:
            self.report()
        except KnitError as e:
            log.debug("after the kill of %s: %s", self.id, e)
        return bool(killed)

    def failure(self, report: ApplicationReport) -> ApplicationFailed:
        """The exception that tells how a terminal report that is no success came about."""
        code = report.exit_code
        if code is None:
            code = self._outcome_exit_code()
        if code is None:
            code = exit_code_in(report.diagnostics)
        said = with_node_refusal(report.diagnostics) or "no diagnostics"
        details: dict[str, Any] = {"app_id": self.id, "exit_code": code, "report": report.raw}
        if report.timed_out:
            return ApplicationKilled(f"{self.id} reached its YARN lifetime and was ended: {said}", **details)
        if report.killed:
            return ApplicationKilled(f"{self.id} was killed: {said}", **details)
        return ApplicationFailed(f"{self.id} failed: {said}", **details)

    # -- logs ---------------------------------------------------------------------------------------------------

    def logs(self, shell: bool = False, retries: int = 20, delay: float = 3.0) -> dict[str, dict[str, LogText | Any]]:
        """Every log of every container, the ApplicationMaster's included.

        Args:
            shell: only aggregated logs, which exist once the application has ended.
            retries, delay: while the cluster still aggregates it is asked again, for ``retries`` times ``delay``
                seconds (default 60 in all).

        Returns:
            ``{container_id: {"id", "nodeId", "service", "index", "stdout", "stderr", other files}}``. Texts larger
            than 64 MB are :class:`~knit_provider.yarn.logs.spool.SpooledLog` objects on disk. A container some of
            whose logs could not be had, or have not come, has the key ``problem`` with the reason.
        """
        from knit_provider.yarn.logs import collect

        return collect(self._connection, self, shell=shell, retries=retries, delay=delay)

    def iter_logs(self, follow: bool = False, cursor: LogCursor | None = None) -> Iterator[LogChunk]:
        """Stream the logs, with ``follow=True`` until the application has ended and all was said.

        Args:
            follow: go on until the end (default False).
            cursor: where an earlier stream got to; it is moved along. Default: the beginning.

        Raises:
            KnitError: also after the last piece, where the application has ended and some of its logs are missing.
        """
        from knit_provider.yarn.logs import stream

        return stream(self._connection, self, follow=follow, cursor=cursor)

    def print_logs(self, shell: bool = False) -> None:
        """Print :meth:`logs` with a heading for each file."""
        from knit_provider.yarn.logs import print_logs

        print_logs(self.logs(shell=shell))

    def result(self) -> Any:
        """What the containers wrote to ``$KNIT_RESULT``: the value of one, or a list by index of several; else None.

        Raises:
            KnitError: if a container wrote something that is not JSON, or more than 48 KiB.
            ClusterUnavailable: the logs of a container, which carry what it wrote, cannot be had yet.
        """
        from knit_provider.yarn.logs import results

        return results(self._connection, self)

    # -- what needs the ApplicationMaster -----------------------------------------------------------------------

    def services(self) -> dict[str, dict[str, Any]]:
        """Target, pending, running, succeeded, failed and restarts of each service."""
        return dict(self.control().status().get("services", {}))

    def containers(self) -> list[dict[str, Any]]:
        """Every container the application had, with service, index, node, state and exit code."""
        return self.control().containers()

    def scale(self, service: str, instances: int) -> dict[str, Any]:
        """Set the number of instances of a service; needless containers are stopped, the youngest last.

        Returns:
            ``{"service", "target", "added", "removed"}``.
        """
        from knit_provider.yarn.units import check_int

        count = check_int(instances, "instances", minimum=0)
        return self.control().scale(service, instances=count)

    def add_containers(
        self, num_containers: int = 1, virtual_cores: int = 1, memory: int | str = 128, service: str | None = None
    ) -> dict[str, Any]:
        """Ask for further containers that run the same command.

        Args:
            num_containers: how many (default 1).
            virtual_cores: of each (default 1).
            memory: of each, MiB or with a suffix (default 128).
            service: which service to add to; may be left out where there is only one.
        """
        from knit_provider.yarn.units import check_int, parse_memory

        delta = check_int(num_containers, "num_containers", minimum=1)
        resources = {
            "memory": parse_memory(memory, "memory"),
            "vcores": check_int(virtual_cores, "virtual_cores", minimum=1),
            "named": {},
        }
        return self.control().scale(service or self._only_service(), delta=delta, resources=resources)

    def remove_containers(self, ids: str | Sequence[str]) -> None:
        """Stop containers and lower their services' targets. Returns once the ApplicationMaster has acknowledged it.

        Raises:
            KnitError: for an id that is not this application's, or the ApplicationMaster's own.
        """
        wanted = [ids] if isinstance(ids, str) else list(ids)
        if not wanted:
            raise ConfigurationError("remove_containers was given no container id")
        self.control().remove_containers(wanted)

    @property
    def kv(self) -> KeyValueStore:
        """The application's key-value store, which its containers read and write too.

        In a container: :func:`knit_provider.yarn.container.kv`.
        """
        return KeyValueStore(self.control().kv, WaitTimeout)

    def secrets(self) -> dict[str, bytes]:
        """The secrets that were given to :meth:`Knit.submit <knit_provider.yarn.knit.Knit.submit>`, by name."""
        return dict(self._get_credentials(self.am_timeout).shared)

    def set_progress(self, progress: float) -> None:
        """Tell the ResourceManager how far the application is, 0 to 1."""
        if not 0 <= progress <= 1:
            raise ConfigurationError(f"progress is {progress!r}; it goes from 0 to 1")
        self.control().set_progress(float(progress))

    def shutdown(self, final_status: str = "SUCCEEDED", diagnostics: str = "") -> None:
        """End the application in order, with this final status."""
        if final_status not in ("SUCCEEDED", "FAILED", "KILLED"):
            raise ConfigurationError(f"final_status is {final_status!r}; use SUCCEEDED, FAILED or KILLED")
        self.control().shutdown(final_status, diagnostics)

    def control(self) -> ControlClient:
        """The channel to the ApplicationMaster; opened on first use."""
        credentials = self._get_credentials(self.am_timeout)
        with self._lock:
            if self._control is None:
                self._control = ControlClient(
                    self.id, credentials, self._locate, restart_seconds=min(20.0, self.am_timeout)
                )
            return self._control

    def quick_control(self) -> ControlClient:
        """A channel that does not wait for an ApplicationMaster that is not up: for what can do without its answer."""
        credentials = self._get_credentials()
        with self._lock:
            if self._quick_control is None:
                self._quick_control = ControlClient(
                    self.id, credentials, lambda: self._locate(timeout=0), timeout=5, restart_seconds=0
                )
            return self._quick_control

    # -- bound life ---------------------------------------------------------------------------------------------

    def keep_alive(self) -> None:
        """Renew the lease of a bound application from now on, by a thread of this process."""
        with self._lock:
            if self._keeper is None or not self._keeper.alive:
                self._keeper = LeaseKeeper(self.id, self._renew, self._touch_lease, self._ended).start()

    def detach(self) -> None:
        """Make a bound application a detached one: it no longer depends on this process."""
        self.control().release_lease()
        with self._lock:
            if self._keeper is not None:
                self._keeper.stop()
                self._keeper = None

    @property
    def bound(self) -> bool:
        """Whether this process renews the application's lease."""
        return self._keeper is not None and self._keeper.alive

    def close(self) -> None:
        """Drop connections and stop renewing; the application is not touched."""
        with self._lock:
            if self._keeper is not None:
                self._keeper.stop()
            self._hang_up()
            self._control = self._quick_control = None

    # -- inside -------------------------------------------------------------------------------------------------

    def ledger(self) -> LedgerEntry | None:
        """What the ledger in HDFS says of the application; None where it never started or was not ours."""
        from knit_provider.yarn.submission.ledger import read_ledger

        return read_ledger(self._connection.files, self._connection.paths, self.id)

    def _report_of_forgotten(self, cause: ApplicationNotFound) -> ApplicationReport:
        entry = self.ledger()
        if entry is None:
            raise cause
        outcome = entry.outcome
        raw: dict[str, Any] = {"id": self.id, "state": UNKNOWN, "finalStatus": "UNDEFINED", "diagnostics": ""}
        if outcome is not None:
            killed = outcome.final_status == "KILLED"
            raw.update(
                state="KILLED" if killed else "FINISHED",
                finalStatus=outcome.final_status,
                diagnostics=outcome.diagnostics,
                finishedTime=outcome.finished_ms,
            )
        return ApplicationReport.from_rm(raw, exit_code=outcome.exit_code if outcome else None)

    def _outcome_exit_code(self) -> int | None:
        try:
            entry = self.ledger()
        except KnitError as e:
            log.debug("the ledger of %s: %s", self.id, e)
            return None
        return entry.outcome.exit_code if entry and entry.outcome else None

    def _get_credentials(self, timeout: float = 0.0) -> ControlCredentials:
        from knit_provider.yarn.submission.control_file import read_control

        backoff = Backoff.for_waiting(timeout)
        while self._credentials is None:
            try:
                self._credentials = read_control(self._connection, self.id)
            except ApplicationMasterUnreachable:
                if self.report().terminal or not backoff.sleep():
                    raise
            except (RemoteFileNotFound, PermissionDenied) as e:
                report = self.report()
                if report.terminal:
                    raise KnitError(
                        f"{self.id} has ended ({report.final_status}); it has no ApplicationMaster any more"
                    ) from e
                me = self._connection.user
                if report.user and report.user != me:
                    raise PermissionDenied(
                        f"{self.id} cannot be controlled by {me}: it is {report.user}'s, and what scales it lies in "
                        f"{report.user}'s own folder in HDFS. No right of YARN's gives that to others: whoever may "
                        f"modify it can kill it. Act as {report.user}, or, where the cluster allows it, with "
                        f"proxy_user={report.user!r}"
                    ) from e
                raise KnitError(
                    f"{self.id} cannot be controlled by {me}: {self._connection.paths.staging(self.id)}/control.json "
                    "is not there, so it was not submitted by knit-provider, or into another folder (hdfs_home=, "
                    "staging=)"
                ) from e
        return self._credentials

    def _locate(self, timeout: float | None = None) -> tuple[str, int]:
        """Where the ApplicationMaster listens; waits for one that has not registered yet."""
        backoff = Backoff.for_waiting(self.am_timeout if timeout is None else timeout)
        while True:
            report = self.report()
            if report.terminal or report.state == UNKNOWN:
                raise KnitError(
                    f"{self.id} has ended ({report.final_status}); it has no ApplicationMaster any more. "
                    f"{report.diagnostics}"
                )
            if report.state == "RUNNING" and report.am_port > 0:
                return report.am_host, report.am_port
            if not backoff.sleep():
                raise ApplicationMasterUnreachable(
                    f"{self.id} is {report.state}; its ApplicationMaster has not come up at any host:port within "
                    f"{self.am_timeout:g} s. {report.diagnostics}"
                )

    def _renew(self) -> None:
        self.quick_control().renew_lease()

    def _touch_lease(self) -> None:
        self._connection.files.touch(self._connection.paths.staging(self.id) + "/lease")

    def _ended(self) -> bool:
        try:
            return self.report().terminal
        except ApplicationNotFound:
            return True
        except KnitError:
            return False

    def _only_service(self) -> str:
        names = list(self.services())
        if len(names) != 1:
            raise ConfigurationError(f"{self.id} has the services {', '.join(names) or 'none'}; name one with service=")
        return names[0]

    def _after_end(self, report: ApplicationReport) -> None:
        """Remove what a killed ApplicationMaster could not: whichever client sees the end first does."""
        with self._lock:
            if self._tidied:
                return
            self._tidied = True
            if self._keeper is not None:
                self._keeper.stop()
        # A process that starts many keeps a handle of each, and nobody answers at the other end any more.
        self._hang_up()
        if report.application_type != "knit" or report.user != self._connection.user:
            return
        try:
            self._connection.tidy(report)
        except (KnitError, OSError) as e:
            log.debug("staging of %s: %s", self.id, e)

    def _hang_up(self) -> None:
        for control in (self._control, self._quick_control):
            if control is not None:
                control.close()

    def _say_it_goes_on(self) -> None:
        if not self.bound:
            print(f"\n{self.id} goes on; `knit kill {self.id}` ends it", file=sys.stderr)


def parse_result(text: str, origin: str) -> Any:
    """Read what a container wrote to ``$KNIT_RESULT``.

    Raises:
        KnitError: if it is no JSON or larger than 48 KiB.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > 48 * 1024:
        raise KnitError(f"{origin} wrote {size} bytes to $KNIT_RESULT; at most 49152 come back. Use HDFS")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise KnitError(f"{origin} wrote something to $KNIT_RESULT that is not JSON: {e}") from None
