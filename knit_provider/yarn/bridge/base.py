"""The Bridge: what submission needs of a cluster, behind one small interface.

The ``rest`` implementation (:mod:`knit_provider.yarn.bridge.rest`) is Python alone; the ``jvm`` one
(:mod:`knit_provider.yarn.bridge.jvm`) asks Hadoop's own classes in the gateway JVM.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from knit_provider.yarn.errors import ClusterUnavailable
from knit_provider.yarn.files.port import Files
from knit_provider.yarn.tokens import Token


class SubmissionUncertain(ClusterUnavailable):
    """The ResourceManager stopped answering in the middle of a submission: it may have taken the application or not.

    Attributes:
        app_id: the id under which it would run. Look it up before anything is submitted again.
    """

    def __init__(self, message: str, *, app_id: str = "") -> None:
        super().__init__(message)
        self.app_id = app_id


@dataclass(frozen=True)
class LocalResource:
    """A file or archive that the NodeManager puts into a container's folder.

    Attributes:
        uri: full URI of the file, with a URI's escapes (``%20``), which the Files port's paths do not have.
        size: its exact length in bytes.
        timestamp: its exact modification time in milliseconds; YARN refuses a file that changed since.
        type: ``"FILE"``, or ``"ARCHIVE"`` to have it unpacked.
        visibility: ``"PRIVATE"``, ``"APPLICATION"`` or ``"PUBLIC"``.
    """

    uri: str
    size: int
    timestamp: int
    type: Literal["FILE", "ARCHIVE"] = "FILE"
    visibility: Literal["PRIVATE", "APPLICATION", "PUBLIC"] = "PRIVATE"


@dataclass(frozen=True)
class AmLaunch:
    """The container of the ApplicationMaster.

    Attributes:
        memory: MiB.
        vcores: virtual cores.
        command: run by the NodeManager inside ``bash -c "…"``; constants only.
        environment: constants only, no secret and no user text: the NodeManager copies it into the logs.
        local_resources: by link name.
        named: other resources by their name in the cluster, such as ``{"yarn.io/gpu": 1}``.
    """

    memory: int
    vcores: int
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)
    local_resources: Mapping[str, LocalResource] = field(default_factory=dict)
    named: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LogAggregation:
    """Regular expressions of file names: which logs YARN aggregates at the end, and which during the run."""

    include: str | None = None
    exclude: str | None = None
    rolled_include: str | None = None
    rolled_exclude: str | None = None


@dataclass(frozen=True)
class Acls:
    """YARN ACL strings (``"user1,user2 group1,group2"``); ``None`` leaves the cluster's default."""

    view: str | None = None
    modify: str | None = None


@dataclass(frozen=True)
class Collected:
    """The tokens of one application.

    Attributes:
        texts: by service, each in its URL-safe form.
        borrowed: some are somebody else's too, so that they must outlive the application.
        storage: all of them as the gateway keeps them, in base64; empty where they were obtained without it.
    """

    texts: Mapping[str, str] = field(repr=False)
    borrowed: bool = False
    storage: str = field(default="", repr=False)

    @property
    def life(self) -> float | None:
        """For how many seconds after they were made they can be kept alive; None where none of them says so."""
        dates = [Token.parse(text).dates for text in self.texts.values()]
        return min(((end - made) / 1000 for made, end in filter(None, dates)), default=None)


@dataclass(frozen=True)
class Submission:
    """Everything the ResourceManager is told about an application.

    Attributes:
        application_id: from :meth:`Bridge.new_application`.
        name: shown in the ResourceManager's pages.
        queue: queue name.
        am: the ApplicationMaster's container.
        type: application type, at most 20 characters.
        priority: ``None`` is the queue's default.
        tags: at most 10, each at most 100 ASCII characters; YARN folds them to lower case.
        max_attempts: ApplicationMaster attempts that may fail.
        attempt_failures_validity_ms: failures older than this many milliseconds do not count; ``None`` counts all.
        keep_containers: containers outlive the attempt that started them.
        lifetime_seconds: the ResourceManager kills the application after this time; ``None`` sets no limit.
        node_label: node label expression for all its containers; ``None`` is the queue's default.
        acls: who else may see and change the application.
        reservation_id: a reservation to run in.
        log_aggregation: which log files are aggregated; ``None`` is all of them.
        secrets: secret keys that reach the ApplicationMaster inside its credentials, and nothing else.
        token_filesystems: URIs of filesystems for which delegation tokens are obtained (secure clusters only).
        tokens: delegation tokens that were obtained already (:meth:`Bridge.collect`); None has them obtained now.
    """

    application_id: str
    name: str
    queue: str
    am: AmLaunch
    type: str = "knit"
    priority: int | None = None
    tags: Sequence[str] = ()
    max_attempts: int = 1
    attempt_failures_validity_ms: int | None = None
    keep_containers: bool = True
    lifetime_seconds: int | None = 604_800
    node_label: str | None = None
    acls: Acls = field(default_factory=Acls)
    reservation_id: str | None = None
    log_aggregation: LogAggregation | None = None
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    token_filesystems: Sequence[str] = ()
    tokens: Collected | None = None


@dataclass(frozen=True)
class NewApplication:
    """A fresh application id, and the largest container the scheduler grants.

    Attributes:
        application_id: ``application_<cluster timestamp>_<number>``.
        max_memory: MiB.
        max_vcores: virtual cores.
        max_resources: the other resources that the cluster has, by name.
    """

    application_id: str
    max_memory: int
    max_vcores: int
    max_resources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SubmitResult:
    """An accepted application: its state by then (``ACCEPTED``, ``RUNNING`` or already an end) and diagnostics."""

    application_id: str
    state: str
    diagnostics: str


@dataclass(frozen=True)
class AggregatedFile:
    """One aggregated log file: name, length in bytes, and modification time in the words of the node that wrote it."""

    name: str
    length: int
    modified: str


@dataclass(frozen=True)
class AggregatedContainer:
    """The aggregated logs of one container; ``node`` is ``host:port`` of its NodeManager."""

    id: str
    node: str
    files: tuple[AggregatedFile, ...]


class Bridge(Protocol):
    """One cluster, as one user submits to it. Thread-safe; every call has a deadline of 60 s."""

    @property
    def name(self) -> str:
        """``"rest"`` or ``"jvm"``: which implementation this is."""

    @property
    def sets_lifetime(self) -> bool:
        """Whether the lifetime is part of the submission; if not, :mod:`knit_provider.yarn.submission.lifetime` is."""

    @property
    def files(self) -> Files:
        """The cluster's filesystem through the same way in."""

    def prestart(self) -> None:
        """Begin in the background what the first call would have to wait for."""

    def hello(self) -> dict[str, Any]:
        """What the other side says of itself: versions, ``user``, ``default_fs``, ``home``."""

    def new_application(self) -> NewApplication:
        """Ask the ResourceManager for an id. Nothing runs yet."""

    def collect(self, filesystems: Sequence[str]) -> Collected | None:
        """Obtain the delegation tokens of an application; None on a cluster that has none.

        Args:
            filesystems: URIs, beside the default filesystem and that of the logs.
        """

    def submit(self, submission: Submission) -> SubmitResult:
        """Submit, and return once the ResourceManager has accepted the application.

        Raises:
            SubmissionRejected: the ResourceManager refused; with its diagnostics.
            SubmissionUncertain: it stopped answering before it was known whether it took the application.
        """

    def aggregated_containers(self, application_id: str, owner: str) -> list[AggregatedContainer]:
        """The containers with aggregated logs. Raises ``RemoteFileNotFound`` where nothing is aggregated (yet)."""

    def read_aggregated(
        self, application_id: str, owner: str, container: AggregatedContainer, file: str, local: str | os.PathLike[str]
    ) -> int:
        """Write one aggregated log file, whole, into the local file ``local``.

        There is no limit of size. The deadline counts from the last byte that moved.

        Returns:
            The number of bytes written.
        """

    def close(self) -> None:
        """Give up what this bridge holds. It must not be used afterwards."""
