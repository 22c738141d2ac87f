"""The bridge without a JVM: submission through the ResourceManager's REST interface."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.bridge.base import (
    AggregatedContainer,
    Bridge,
    Collected,
    NewApplication,
    Submission,
    SubmissionUncertain,
    SubmitResult,
)
from knit_provider.yarn.bridge.rest_document import submission_document
from knit_provider.yarn.errors import (
    ApplicationNotFound,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
    SubmissionRejected,
)
from knit_provider.yarn.rest.answers import error_of, plain
from knit_provider.yarn.rest.history import HistoryLogs
from knit_provider.yarn.rest.session import MayHaveTakenEffect
from knit_provider.yarn.rest.shapes import FINAL_STATES, items, number

if TYPE_CHECKING:
    from knit_provider.yarn.bridge.delegation import DelegationTokens
    from knit_provider.yarn.config import HadoopConf
    from knit_provider.yarn.files.port import Files
    from knit_provider.yarn.rest.session import Session
    from knit_provider.yarn.rest.yarn_api import YARNAPI

_log = logging.getLogger(__name__)

_DEADLINE = 60.0
_POST_TIMEOUT = 30.0
_FIRST_POLL = 0.005
_LAST_POLL = 0.1
# What the ResourceManager says to one of two submissions of an id at the same moment. To a later one it says yes.
_AT_ONCE = "already present! Cannot add a duplicate"


class RestBridge:
    """Implements :class:`knit_provider.yarn.bridge.base.Bridge`, where each method is described, in Python alone.

    Args:
        api: the ResourceManager, as the user who submits.
        conf: the cluster's configuration, completed by what the ResourceManager says of itself.
        files: the cluster's filesystem.
        user: who the ResourceManager has to record as the owner; None to take whoever it records.
        tokens: where the delegation tokens of a cluster with Kerberos come from.
        fallback: gives another bridge, for aggregated logs when no log server answers.
    """

    name = "rest"
    sets_lifetime = False

    def __init__(
        self,
        api: YARNAPI,
        conf: HadoopConf,
        files: Files,
        *,
        user: str | None = None,
        tokens: DelegationTokens | None = None,
        fallback: Callable[[], Bridge] | None = None,
    ) -> None:
        self._api = api
        self._files = files
        self._user = user
        self._tokens = tokens
        self._fallback = fallback
        self._history = HistoryLogs(api.session, conf, files)

    @property
    def _session(self) -> Session:
        return self._api.session

    @property
    def files(self) -> Files:
        """The cluster's filesystem."""
        return self._files

    def prestart(self) -> None:
        """Nothing has to be started."""

    def hello(self) -> dict[str, Any]:
        """``hadoop``: the ResourceManager's version; ``user``, ``default_fs`` and ``home``."""
        home = self._files.uri_home()
        scheme, _, rest = home.partition("://")
        return {
            "hadoop": str(self._api.cluster_info().get("hadoopVersion", "")),
            "user": self._api.user,
            "default_fs": f"{scheme}://{rest.partition('/')[0]}",
            "home": home,
        }

    def new_application(self) -> NewApplication:
        """Ask for an id."""
        # Asked once more where the answer was lost: an id that nobody uses harms nobody.
        try:
            answer = self._session.request("POST", "cluster/apps/new-application").json()
        except MayHaveTakenEffect:
            answer = self._session.request("POST", "cluster/apps/new-application").json()
        app_id = str(answer.get("application-id") or "")
        if not app_id.startswith("application_"):
            raise ClusterUnavailable(
                f"{self._session.active_address} answered {str(answer)[:200]} where a new application id was due"
            )
        largest = next(iter(items(answer, "maximum-resource-capability")), {})
        named = {
            str(resource["name"]): number(resource.get("value"))
            for resource in items(largest, "resourceInformations", "resourceInformation")
            if resource.get("name") not in (None, "memory-mb", "vcores")
        }
        return NewApplication(app_id, number(largest.get("memory")), number(largest.get("vCores")), named)

    def collect(self, filesystems: Sequence[str]) -> Collected | None:
        """Obtain an application's delegation tokens."""
        return self._tokens.collect(filesystems) if self._tokens is not None else None

    def submit(self, submission: Submission) -> SubmitResult:
        """Submit an application."""
        deadline = time.monotonic() + _DEADLINE
        tokens = submission.tokens or self.collect(submission.token_filesystems)
        document = submission_document(submission, tokens)
        self._post(submission.application_id, document)
        return self._await_accepted(submission.application_id, deadline)

    def _post(self, app_id: str, document: dict[str, Any]) -> None:
        try:
            answer = self._session.request(
                "POST", "cluster/apps", json=document, ok=range(200, 600), timeout=_POST_TIMEOUT
            )
        except MayHaveTakenEffect as e:
            self._look_up(app_id, e)
            return
        if answer.status in (200, 202):
            return
        error = error_of(answer, self._api.user)
        if isinstance(error, ClusterUnavailable):
            # A proxy, or the ResourceManager itself after it has stored the application.
            self._look_up(app_id, error)
        elif isinstance(error, ConfigurationError):
            # What the ResourceManager says to a request that it has understood is a rejection.
            remote = answer.remote_exception()
            message = plain(remote["message"]) if remote else str(error)
            if _AT_ONCE in message:
                return  # how that one goes is ours to wait for
            raise SubmissionRejected(message) from None
        else:
            raise error

    def _look_up(self, app_id: str, failure: ClusterUnavailable) -> None:
        """Returns if the ResourceManager has the application although its answer was lost.

        Raises:
            ClusterUnavailable: it does not have it, and said that something is wrong.
            SubmissionUncertain: it does not have it, and may have died with it; or nobody can tell.
        """
        try:
            self._api.status(app_id)
        except ApplicationNotFound:
            if isinstance(failure, MayHaveTakenEffect):
                raise SubmissionUncertain(str(failure), app_id=app_id) from failure
            raise failure from None
        except KnitError as e:
            raise SubmissionUncertain(f"{failure} ({e})", app_id=app_id) from e

    def _await_accepted(self, app_id: str, deadline: float) -> SubmitResult:
        pause = _FIRST_POLL
        while True:
            try:
                app = self._api.status(app_id)
                state = str(app.get("state"))
                never_ran = state in ("FAILED", "KILLED") and not self._api.app_attempts(app_id)
            except KnitError as e:
                raise SubmissionUncertain(str(e), app_id=app_id) from e
            self._check_owner(app_id, app)
            diagnostics = str(app.get("diagnostics") or "")
            if never_ran:
                raise SubmissionRejected(
                    diagnostics.strip() or f"the ResourceManager ended it as {state} and gave no reason"
                )
            if state in ("ACCEPTED", "RUNNING", *FINAL_STATES):
                return SubmitResult(app_id, state, diagnostics)
            if time.monotonic() + pause > deadline:
                raise SubmissionUncertain(f"{app_id} is still {state} after {_DEADLINE:.0f} s", app_id=app_id)
            time.sleep(pause)
            pause = min(2 * pause, _LAST_POLL)

    def _check_owner(self, app_id: str, app: dict[str, Any]) -> None:
        """A ResourceManager that does not look at who is calling records its web server's user."""
        owner = str(app.get("user") or "")
        if self._user is None or not owner or owner == self._user:
            return
        self._end(app_id, f"submitted as {self._user}, recorded as {owner}'s")
        raise PermissionDenied(
            f"the ResourceManager recorded {app_id} as {owner}'s, not {self._user}'s, so it was ended: its web port "
            "does not take callers' names (yarn.resourcemanager.webapp.delegation-token-auth-filter.enabled). Use "
            'bridge="jvm"'
        )

    def _end(self, app_id: str, why: str) -> None:
        try:
            self._api.kill(app_id, diagnostics=f"knit-provider: {why}")
        except KnitError as e:
            _log.warning("%s: %s, and it could not be ended: %s", app_id, why, e)

    def aggregated_containers(self, application_id: str, owner: str) -> list[AggregatedContainer]:
        """The containers with aggregated logs."""
        try:
            return self._history.aggregated_containers(application_id, owner)
        except ClusterUnavailable as e:
            return self._other_way(e).aggregated_containers(application_id, owner)

    def read_aggregated(
        self, application_id: str, owner: str, container: AggregatedContainer, file: str, local: str | os.PathLike[str]
    ) -> int:
        """Write one aggregated log file into a local file."""
        try:
            return self._history.read_aggregated(application_id, owner, container, file, local)
        except ClusterUnavailable as e:
            return self._other_way(e).read_aggregated(application_id, owner, container, file, local)

    def _other_way(self, failure: ClusterUnavailable) -> Bridge:
        """The bridge that reads aggregated logs out of the filesystem by itself.

        Raises:
            ClusterUnavailable: the failure, where there is no such bridge.
        """
        if self._fallback is None:
            raise failure
        try:
            other = self._fallback()
            other.hello()
        except KnitError as e:
            raise ClusterUnavailable(f"{failure}; and no JVM can read them: {e}") from failure
        _log.warning("reading aggregated logs through a JVM: %s", failure)
        return other

    def close(self) -> None:
        """The session and the files belong to the connection."""
