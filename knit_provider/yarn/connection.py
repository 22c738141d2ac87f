"""One cluster as one user sees it: configuration, REST session, files and the bridge that submits."""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.rest import Session
from knit_provider.yarn.rest.yarn_api import YARNAPI

if TYPE_CHECKING:
    from knit_provider.yarn.bridge.base import Bridge
    from knit_provider.yarn.files.port import Files
    from knit_provider.yarn.submission.staging import Paths

BRIDGES = ("auto", "jvm")


class Connection:
    """Everything that is shared by the applications of one cluster and one user.

    Nothing is contacted and no JVM is started before the first call that needs it.

    Args:
        conf: the cluster's configuration.
        user: the user to act as; default ``HADOOP_USER_NAME``, else the operating system's user.
        password: for simple authentication in front of the REST interface (Knox).
        gateway_path: path prefix of a proxy in front of the ResourceManager.
        hdfs_home: a writable directory in HDFS; default the user's home directory.
        staging: a directory, with its scheme, to stage into in place of ``hdfs_home``.
        bridge: what submits: ``"auto"`` or ``"jvm"``.
        replication_factor: of the files uploaded (default 3).
        java_home, hadoop_home: for the gateway JVM; default what the environment says.
        files: a Files implementation to use in place of the one that fits.
    """

    def __init__(
        self,
        conf: HadoopConf,
        *,
        user: str | None = None,
        password: str | None = None,
        gateway_path: str | None = None,
        hdfs_home: str | None = None,
        staging: str | None = None,
        bridge: str = "auto",
        replication_factor: int = 3,
        java_home: str | None = None,
        hadoop_home: str | None = None,
        jar: str | None = None,
        files: Files | None = None,
    ) -> None:
        if bridge not in BRIDGES:
            raise ConfigurationError(f"bridge={bridge!r} is not one of {', '.join(BRIDGES)}")
        self.conf = conf
        self.user = user or os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
        self.replication_factor = replication_factor
        self.hdfs_home = hdfs_home
        self.jar = jar
        self._staging = staging
        self._java_home = java_home
        self._hadoop_home = hadoop_home
        self._given_files = files
        self._lock = threading.RLock()
        self._bridge: Bridge | None = None
        self._files: Files | None = None
        self._paths: Paths | None = None
        self.session = Session(conf, user=self.user, password=password, gateway_path=gateway_path)
        self.api = YARNAPI(session=self.session)

    @property
    def bridge(self) -> Bridge:
        """What submits. The gateway JVM behind it starts with the first call."""
        with self._lock:
            if self._bridge is None:
                from knit_provider.yarn.bridge.jvm import JvmBridge

                self._bridge = JvmBridge(
                    self.conf, user=self.user, java_home=self._java_home, hadoop_home=self._hadoop_home
                )
            return self._bridge

    @property
    def files(self) -> Files:
        """The filesystem that staging lies in: over WebHDFS where that serves, else through the gateway."""
        with self._lock:
            if self._files is None:
                if self._given_files is not None:
                    self._files = self._given_files
                else:
                    from knit_provider.yarn.files.choose import choose_files

                    self._files = choose_files(self.conf, self.user, lambda: self.bridge.files, self._staging)
            return self._files

    @property
    def paths(self) -> Paths:
        """Where the user's cache, staging directories and ledger lie."""
        with self._lock:
            if self._paths is None:
                from knit_provider.yarn.submission.staging import Paths

                self._paths = Paths.of(self.files, self.api.rm_identity(), self._staging or self.hdfs_home)
            return self._paths

    @property
    def secure(self) -> bool:
        """Whether the cluster authenticates with Kerberos."""
        return self.conf.get("hadoop.security.authentication", "simple").lower() == "kerberos"

    def tidy(self, app_id: str) -> None:
        """Remove the staging directory of an application that has ended, where its ApplicationMaster could not."""
        staging = self.paths.staging(app_id)
        if self.files.status(staging) is not None:
            self.files.delete(staging, recursive=True)

    def close(self) -> None:
        """End what this connection holds; the gateway JVM ends with its last user."""
        with self._lock:
            if self._bridge is not None:
                self._bridge.close()
                self._bridge = None
            self._files = None
        self.session.close()

    def describe(self) -> Mapping[str, Any]:
        """What was found of the cluster, for messages and ``knit doctor``."""
        found: dict[str, Any] = {"user": self.user, "resource_managers": list(self.session.addresses)}
        try:
            found["rm_identity"] = self.api.rm_identity()
        except KnitError as e:
            found["rm_identity"] = f"unknown: {e}"
        return found
