"""The ApplicationMaster's container: what it is launched with.

The launch context holds constants, numbers and cluster settings only. The NodeManager rewrites, expands and copies into
the logs whatever else would stand there, so user text travels in private localized files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from knit_provider.yarn.bridge.base import AmLaunch, LocalResource
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ConfigurationError

_START = "exec /bin/bash ./knit-am.sh"
_TO_LOGS = "1><LOG_DIR>/stdout 2><LOG_DIR>/stderr"
# Here the shell that a NodeManager runs the command in has neither `$` nor `"` to stumble over.
_COMPARE = "(! command -v sha256sum >/dev/null || printf '%s  %s\\n' {} | sha256sum -c --quiet -)"
JAR = "knit.jar"
LAUNCHER = "knit-am.sh"
SPEC = "knit-spec.json"
MASTER_SCRIPT = "run-master.sh"

# What an ApplicationMaster needs to find its cluster. It takes these only where its own node's files say nothing.
_SHIPPED = (
    "fs.defaultFS",
    "hadoop.security.authentication",
    "hadoop.security.authorization",
    "hadoop.security.token.service.use_ip",
    "hadoop.rpc.protection",
    # Whom it takes the principal of a keytab for, and where it gets the tokens of key servers.
    "hadoop.security.auth_to_local",
    "hadoop.security.auth_to_local.mechanism",
    "hadoop.security.key.provider.path",
    "dfs.nameservices",
    "dfs.internal.nameservices",
    "yarn.http.policy",
    "yarn.nodemanager.principal",
    "yarn.client.failover-proxy-provider",
)
_SHIPPED_PREFIXES = (
    "yarn.resourcemanager.hostname",
    "yarn.resourcemanager.address",
    "yarn.resourcemanager.scheduler.address",
    "yarn.resourcemanager.ha.",
    "yarn.resourcemanager.cluster-id",
    "yarn.resourcemanager.principal",
    "dfs.ha.namenodes.",
    "dfs.namenode.rpc-address",
    "dfs.namenode.kerberos.principal",
    "dfs.client.failover.proxy.provider",
    "dfs.encrypt.data.transfer",
    "dfs.data.transfer.protection",
)


def package_file(name: str, given: str | None = None) -> Path:
    """A file that the build puts beside the Python code: ``knit.jar`` or ``knit-am.sh``; or the one given.

    Raises:
        ConfigurationError: if it isn't there, which happens in a checkout where nothing was built.
    """
    path = Path(given) if given else Path(__file__).resolve().parents[2] / "jars" / name
    if not path.is_file():
        raise ConfigurationError(f"{path} is not there; in a checkout, build it with `make jar` (Maven and a JDK)")
    return path


def shipped_settings(conf: HadoopConf) -> dict[str, str]:
    """The cluster's settings that an ApplicationMaster on a node without configuration needs."""
    return {
        key: conf[key]
        for key in conf
        if (key in _SHIPPED or key.startswith(_SHIPPED_PREFIXES)) and "keytab" not in key and "password" not in key
    }


def heap_mb(memory: int) -> int:
    """Java heap for a container of this size: three eighths, since a JVM needs as much again beside its heap."""
    return max(48, memory * 3 // 8)


def command(digests: Mapping[str, str]) -> str:
    """The command that starts the ApplicationMaster, once its files are the ones that were meant.

    The ResourceManager keeps it, while the files lie in HDFS: whoever could exchange one there still starts nothing.
    A node without ``sha256sum`` starts them as they are.

    Args:
        digests: SHA-256 in hexadecimal digits of files in its container, by their name there.
    """
    compared = " ".join(f"{digest} {name}" for name, digest in digests.items())
    return f"{{ {_COMPARE.format(compared)} && {_START}; }} {_TO_LOGS}" if digests else f"{_START} {_TO_LOGS}"


def am_launch(
    conf: HadoopConf,
    user: str,
    resources: tuple[int, int, Mapping[str, int]],
    local_resources: Mapping[str, LocalResource],
    *,
    digests: Mapping[str, str] | None = None,
    log_level: str = "INFO",
    java_options: str = "",
    class_environment: Mapping[str, str] | None = None,
) -> AmLaunch:
    """Describe the ApplicationMaster's container.

    Args:
        conf: the cluster's configuration.
        user: whom simple authentication takes the ApplicationMaster for.
        resources: memory in MiB, virtual cores, other resources by name.
        local_resources: jar, launcher, spec and what else it needs, by link name.
        digests: what some of those have to be, as :func:`command` takes it.
        log_level: of the ApplicationMaster's own log.
        class_environment: variables that say with which classes it starts, where they are not the cluster's.
        java_options: further flags for its JVM; letters, digits and ``-+=:./,_@%`` only.
    """
    memory, vcores, named = resources
    environment = {
        "KNIT_AM_HEAP_MB": str(heap_mb(memory)),
        "KNIT_LOG_LEVEL": log_level,
        "KNIT_AM_CLASSPATH": ":".join(
            p.strip() for p in conf.get("yarn.application.classpath", "").split(",") if p.strip()
        ),
    }
    if java_options:
        if not all(c.isalnum() or c in "-+=:./,_@% " for c in java_options):
            raise ConfigurationError(f"java_options={java_options!r} has characters that a node's shell would rewrite")
        environment["KNIT_AM_JAVA_OPTIONS"] = java_options
    if conf.get("hadoop.security.authentication", "simple").lower() != "kerberos":
        environment["HADOOP_USER_NAME"] = user
    environment.update(class_environment or {})
    return AmLaunch(
        memory=memory,
        vcores=vcores,
        named=dict(named),
        command=command(digests or {}),
        environment=environment,
        local_resources=dict(local_resources),
    )
