"""The bridge through the gateway JVM: Hadoop's own client, for every cluster."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from knit_provider.yarn.bridge.base import (
    AggregatedContainer,
    AggregatedFile,
    Collected,
    NewApplication,
    Submission,
    SubmitResult,
)
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.files.through_gateway import GatewayFiles
from knit_provider.yarn.gateway import registry
from knit_provider.yarn.gateway.settings import GatewaySettings
from knit_provider.yarn.tls.trust import java_properties, trust_of
from knit_provider.yarn.tokens import Token


class JvmBridge:
    """Implements :class:`knit_provider.yarn.bridge.base.Bridge`, where each method is described.

    The JVM starts with the first call and is shared by every bridge of this process for the same cluster and user.

    Args:
        conf: the cluster's configuration.
        user: the simple user to act as; default what ``conf`` says.
        proxy_user: whom to act for on top of that, if the cluster lets us.
        principal, keytab: Kerberos login; default the ticket cache.
        ccache: file of the ticket cache; default the environment's.
        token_file: borrowed tokens, which an application gets too; default none.
        java_home, hadoop_home: for the JVM; default what the environment says.
        log_level: of Hadoop's own logging.
        class_archive: see :class:`knit_provider.yarn.gateway.settings.GatewaySettings`.
    """

    name = "jvm"
    sets_lifetime = True

    def __init__(
        self,
        conf: HadoopConf,
        *,
        user: str | None = None,
        proxy_user: str | None = None,
        principal: str | None = None,
        keytab: str | None = None,
        ccache: str | None = None,
        token_file: str | None = None,
        java_home: str | None = None,
        hadoop_home: str | None = None,
        log_level: str = "WARN",
        class_archive: bool = True,
    ) -> None:
        # On a secure cluster the login says who we are, and naming somebody else is no way to become them.
        simple_user = None if conf.is_secure else user or conf.user
        self.settings = GatewaySettings(
            user=simple_user,
            proxy_user=proxy_user,
            # Without a keytab the cache says who we are, and Java wants both or none.
            principal=principal if keytab else None,
            keytab=keytab,
            ccache=ccache,
            token_file=token_file,
            conf_resources=tuple(conf.files),
            # Hadoop looks for ssl-client.xml on its class path, where it is not, and then among these.
            conf=tuple(sorted({**conf.beyond_files(), **java_properties(trust_of(conf))}.items())),
            java_home=java_home,
            hadoop_home=hadoop_home,
            log_level=log_level,
            class_archive=class_archive,
        )
        self._lease = registry.acquire(self.settings)
        self._files = GatewayFiles(self._lease.gateway)

    @property
    def files(self) -> GatewayFiles:
        """The cluster's filesystem, through the same JVM."""
        return self._files

    def prestart(self) -> None:
        """Begin to start the JVM in the background."""
        registry.prestart(self.settings)

    def hello(self) -> dict[str, Any]:
        """What the JVM says of itself: ``hadoop`` and ``java`` versions, ``user``, ``default_fs``, ``home``."""
        return dict(self._call("hello"))

    def new_application(self) -> NewApplication:
        """Ask for an id."""
        return NewApplication(**self._call("new_application"))

    def collect(self, filesystems: Sequence[str]) -> Collected | None:
        """Obtain an application's delegation tokens."""
        found = self._call("tokens", token_filesystems=list(filesystems))
        texts = {Token.parse(text).service: text for text in found["texts"]}
        return Collected(texts, found["borrowed"], found["storage"]) if texts else None

    def submit(self, submission: Submission) -> SubmitResult:
        """Submit an application."""
        return SubmitResult(**self._call("submit", **_document(submission)))

    def report(self, application_id: str) -> dict[str, Any]:
        """The ResourceManager's report by RPC, where its web port cannot be reached."""
        return dict(self._call("report", application_id=application_id))

    def kill(self, application_id: str, diagnostics: str | None = None) -> str:
        """End an application by RPC and return its state then."""
        return str(self._call("kill", application_id=application_id, diagnostics=diagnostics)["state"])

    def aggregated_containers(self, application_id: str, owner: str) -> list[AggregatedContainer]:
        """The containers with aggregated logs."""
        found = self._call("logs.containers", application_id=application_id, owner=owner)
        return [
            AggregatedContainer(one["id"], one["node"], tuple(AggregatedFile(**file) for file in one["files"]))
            for one in found
        ]

    def read_aggregated(
        self, application_id: str, owner: str, container: AggregatedContainer, file: str, local: str | os.PathLike[str]
    ) -> int:
        """Write one aggregated log file into a local file."""
        answer = self._call(
            "logs.read",
            application_id=application_id,
            owner=owner,
            container_id=container.id,
            node=container.node,
            file=file,
            local=os.path.abspath(local),
        )
        return int(answer["length"])

    def close(self) -> None:
        """Give up our share in the JVM."""
        self._lease.close()

    def _call(self, method: str, **arguments: Any) -> Any:
        return self._lease.gateway.call(method, **arguments)


def _document(submission: Submission) -> Mapping[str, Any]:
    """The submission as the gateway reads it."""
    document = {**vars(submission), "tags": list(submission.tags)}
    document["token_filesystems"] = list(submission.token_filesystems)
    tokens = submission.tokens
    document["tokens"] = {"storage": tokens.storage, "borrowed": tokens.borrowed} if tokens is not None else None
    document["acls"] = asdict(submission.acls)
    document["log_aggregation"] = asdict(submission.log_aggregation) if submission.log_aggregation else None
    document["secrets"] = {key: base64.b64encode(value).decode() for key, value in submission.secrets.items()}
    am = submission.am
    document["am"] = {
        "resources": {"memory": am.memory, "vcores": am.vcores, "named": dict(am.named)},
        "command": am.command,
        "environment": dict(am.environment),
        "local_resources": {link: asdict(resource) for link, resource in am.local_resources.items()},
    }
    return document
