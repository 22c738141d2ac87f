"""The gateway's command line: which Java with which jars and flags."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway.archive import ClassArchive
from knit_provider.yarn.gateway.classes import HadoopClasses, find_hadoop
from knit_provider.yarn.gateway.java import Java, find_java
from knit_provider.yarn.gateway.settings import GatewaySettings
from knit_provider.yarn.kerberos import cache_path, java_config
from knit_provider.yarn.tokens import TOKEN_FILE

MAIN = "io.knitprovider.gateway.GatewayMain"
JAR = Path(__file__).resolve().parents[2] / "jars" / "knit.jar"

_FLAGS = (
    # Flags come and go with Java's versions; one that is unknown must not keep us from starting.
    "-XX:+IgnoreUnrecognizedVMOptions",
    # A client that mostly waits: small and quick to start counts for more than throughput.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx128m",
    "-Xss512k",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.awt.headless=true",
    "-Dfile.encoding=UTF-8",
)
# Hadoop reaches into these since Java 17 closed them.
_OPENS = (
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
)


@dataclass(frozen=True)
class Launch:
    """How to start a gateway.

    Attributes:
        argv: the command; it holds no secret.
        environment: of the process.
        archive: what the JVM is told about an archive of its classes; ``None`` where it needs to do nothing.
    """

    argv: list[str]
    environment: Mapping[str, str] = field(repr=False)
    archive: Mapping[str, str] | None = None


def build(settings: GatewaySettings, environ: Mapping[str, str] | None = None) -> Launch:
    """Find Java and Hadoop for these settings and build the command.

    Raises:
        ConfigurationError: one of them is missing, they do not go together, or the jar was not built.
    """
    environ = os.environ if environ is None else environ
    if not JAR.is_file():
        raise ConfigurationError(f"{JAR} is missing. In a source tree, build it: `make jar` (needs a JDK and Maven).")
    hadoop = find_hadoop(settings.hadoop_home, environ)
    java = find_java(hadoop.version, settings.java_home, environ)
    jars = [JAR, py4j_jar(), *hadoop.jars]
    archive = ClassArchive.of(java, jars, environ) if settings.class_archive and java.major >= 13 else None
    argv = [
        str(java.executable),
        *_FLAGS,
        *_flags_for(java, hadoop, environ),
        *(archive.flags if archive else ()),
        "-cp",
        os.pathsep.join(map(str, jars)),
        MAIN,
    ]
    # glibc gives every thread its own arena of memory, which a JVM with many idle threads only wastes.
    environment = {"MALLOC_ARENA_MAX": "2", **environ}
    environment.pop(TOKEN_FILE, None)
    if settings.token_file is not None:
        environment[TOKEN_FILE] = settings.token_file
    cache = settings.ccache or environ.get("KRB5CCNAME", "")
    if cache.startswith(("/", "FILE:")):
        # Hadoop hands it to Java as a path, which knows no prefix.
        environment["KRB5CCNAME"] = cache_path(cache)
    return Launch(argv, environment, archive.wishes if archive else None)


def handshake(settings: GatewaySettings, launch: Launch) -> dict[str, Any]:
    """What the JVM is told on its first line, but for the token."""
    return {
        "user": settings.user,
        "proxy_user": settings.proxy_user,
        "principal": settings.principal,
        "keytab": settings.keytab,
        "conf_resources": list(settings.conf_resources),
        "conf": dict(settings.conf),
        "log_level": settings.log_level,
        "class_archive": launch.archive,
    }


def py4j_jar() -> Path:
    """The Java half of py4j, out of the wheel that its Python half came in."""
    for entry in metadata.files("py4j") or ():
        if entry.name.startswith("py4j") and entry.name.endswith(".jar"):
            found = Path(str(entry.locate())).resolve()
            if found.is_file():
                return found
    raise ConfigurationError("The package py4j is installed without its jar. Reinstall it: `pip install -I py4j`.")


def _flags_for(java: Java, hadoop: HadoopClasses, environ: Mapping[str, str]) -> list[str]:
    flags = [f"-XX:ErrorFile={Path(tempfile.gettempdir()) / 'knit-gateway-%p.log'}"]
    if java.major >= 9:
        # The JVM's own warnings go to standard output by default, which carries the handshake here.
        flags += [*_OPENS, "-Xlog:disable", "-Xlog:all=error:stderr"]
    if java.major >= 24:
        # Without these it warns at length about what Hadoop's native code and protobuf do.
        flags += ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]
    if java.major == 23 and not hadoop.version.startswith(("3.5", "3.6", "4")):
        # Java 23 lets the old way of asking for the current user work only with this.
        flags.append("-Djava.security.manager=allow")
    krb5 = java_config(environ)
    if krb5 is not None:
        flags.append(f"-Djava.security.krb5.conf={krb5}")
    return flags
