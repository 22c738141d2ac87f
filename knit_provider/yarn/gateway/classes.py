"""Finds Hadoop's client classes: the jars of an installation, or those that the embedded cluster has cached."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway.client_jars import DEFAULT_VERSION, client_jars
from knit_provider.yarn.gateway.java import packaged_java
from knit_provider.yarn.user_cache import cache_folder

_CLASSPATH_TIMEOUT = 60.0  # seconds for ``hadoop classpath``, a shell script that may ask a JVM
_LAYOUT = ("common", "common/lib", "client", "hdfs", "hdfs/lib", "yarn", "yarn/lib")
_VERSIONED = re.compile(r"hadoop-(?:common|client-api)-(\d+\.\d+[^/]*?)\.jar$")
# What a submission loads first stands first: Java opens jars one after the other until it finds a class.
_FIRST = (
    "hadoop-common-",
    "hadoop-yarn-api-",
    "hadoop-yarn-common-",
    "hadoop-yarn-client-",
    "hadoop-hdfs-client-",
    "hadoop-auth-",
    "slf4j-",
    "reload4j-",
    "log4j-",
    "guava-",
    "hadoop-shaded-",
    "protobuf-",
    "commons-",
    "re2j-",
    "woodstox-",
    "stax2-",
)
# Tests' helpers and sources, which no client needs.
_NOISE = ("-tests.jar", "-test-sources.jar", "-sources.jar", "-javadoc.jar")


@dataclass(frozen=True)
class HadoopClasses:
    """Hadoop's client as jars.

    Attributes:
        jars: in class path order, no file name twice.
        version: such as ``"3.3.6"``.
        origin: where they were found, in words for an error message.
    """

    jars: tuple[Path, ...]
    version: str
    origin: str


def find_hadoop(
    hadoop_home: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
) -> HadoopClasses:
    """Find Hadoop's client classes. Configuration folders that lie on the way are left out.

    Looked for in this order: ``hadoop_home``, ``HADOOP_HOME``, the command ``hadoop classpath``, and the jars of the
    embedded cluster (``knit cluster up``) in the user's cache, the newest version of them. With the extra ``[jvm]``,
    Hadoop's shaded client at last, which is fetched on first use.

    Args:
        hadoop_home: an installation's folder.
        environ: the environment to look in; ``os.environ`` by default, which is never changed.

    Raises:
        ConfigurationError: nothing was found, or what was named is no Hadoop.
    """
    environ = os.environ if environ is None else environ
    if hadoop_home is not None:
        return _of_home(Path(hadoop_home), f"hadoop_home={hadoop_home}", environ)
    if home := environ.get("HADOOP_HOME"):
        return _of_home(Path(home), f"HADOOP_HOME={home}", environ)
    if command := shutil.which("hadoop", path=environ.get("PATH", "")):
        return _of_command(command, environ)
    if cached := _cached(environ):
        return _classes(cached.glob("*.jar"), f"the cache {cached}")
    if packaged_java() is not None:
        return HadoopClasses(tuple(client_jars(DEFAULT_VERSION, environ=environ)), DEFAULT_VERSION, "the extra [jvm]")
    raise ConfigurationError(
        "Hadoop's client classes were not found: HADOOP_HOME is not set, there is no `hadoop` on PATH, and "
        f"{cache_root(environ)} holds none. Set HADOOP_HOME or pass hadoop_home=; or install knit-provider[jvm], which "
        "brings a Java and fetches Hadoop's client."
    )


def cache_root(environ: Mapping[str, str]) -> Path:
    """The user's folder of cached Hadoops: ``$XDG_CACHE_HOME/knit-provider/hadoop``, by default below ``~/.cache``."""
    return cache_folder(environ, "hadoop")


def _cached(environ: Mapping[str, str]) -> Path | None:
    # The manifest is written last, so a folder without it is one that is being filled or was left half full.
    complete = [found.parent for found in cache_root(environ).glob("*/manifest.json")]
    complete = [folder for folder in complete if (folder / "jars").is_dir()]
    if not complete:
        return None
    return max(complete, key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.name)]) / "jars"


def _of_home(home: Path, origin: str, environ: Mapping[str, str]) -> HadoopClasses:
    if not home.is_dir():
        raise ConfigurationError(f"{origin} is not a folder.")
    share = home / "share" / "hadoop"
    if share.is_dir():
        return _classes((jar for part in _LAYOUT for jar in (share / part).glob("*.jar")), origin)
    if (command := home / "bin" / "hadoop").is_file():
        # Distributions scatter their jars over /usr/lib and parcels; their own script knows where.
        return _of_command(str(command), environ)
    return _classes(home.glob("*.jar"), origin)


def _of_command(command: str, environ: Mapping[str, str]) -> HadoopClasses:
    origin = f"`{command} classpath`"
    try:
        done = subprocess.run(
            [command, "classpath"],
            capture_output=True,
            text=True,
            timeout=_CLASSPATH_TIMEOUT,
            check=False,
            env=dict(environ),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{origin} does not run: {error}. Set HADOOP_HOME or pass hadoop_home=.") from error
    if done.returncode != 0:
        raise ConfigurationError(
            f"{origin} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}. Set HADOOP_HOME or "
            "pass hadoop_home=."
        )
    # Scripts may print warnings first; the class path is the last line.
    line = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    return _classes(_expanded(line), origin)


def _expanded(class_path: str) -> Iterable[Path]:
    for entry in class_path.split(os.pathsep):
        if entry.endswith("/*"):
            yield from Path(entry[:-2]).glob("*.jar")
        elif entry.endswith(".jar") and Path(entry).is_file():
            yield Path(entry)


def _classes(jars: Iterable[Path], origin: str) -> HadoopClasses:
    by_name: dict[str, Path] = {}
    for jar in jars:
        if not jar.name.endswith(_NOISE):
            by_name.setdefault(jar.name, jar)
    version = next((match[1] for name in by_name if (match := _VERSIONED.search(name))), None)
    if version is None:
        raise ConfigurationError(
            f"{origin} holds no hadoop-common or hadoop-client-api jar ({len(by_name)} jars were found), so it is no "
            "Hadoop. Set HADOOP_HOME, or pass hadoop_home=, to the folder that has share/hadoop in it."
        )
    return HadoopClasses(tuple(sorted(by_name.values(), key=_rank)), version, origin)


def _rank(jar: Path) -> tuple[int, str]:
    first = next((index for index, prefix in enumerate(_FIRST) if jar.name.startswith(prefix)), len(_FIRST))
    return first, jar.name
