"""Where a Hadoop client's configuration files lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError

SITE_FILES = ("core-site.xml", "mapred-site.xml", "yarn-site.xml", "hdfs-site.xml")
"""Read in this order, which is Hadoop's: a later file overrides an earlier one."""

CONF_VARIABLES = ("HADOOP_CONF_DIR", "YARN_CONF_DIR")
HOME_VARIABLES = ("HADOOP_INSTALL", "HADOOP_HOME")
BELOW_HOME = ("etc/hadoop", "hadoop/conf")
SYSTEM_DIRECTORY = "/etc/hadoop/conf"


@dataclass(frozen=True)
class Found:
    """The directories that hold configuration, their files in reading order, and where was looked, for messages."""

    directories: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)


def find_site_files(
    hadoop_conf_dir: str | None, environ: Mapping[str, str], system_directory: str = SYSTEM_DIRECTORY
) -> Found:
    """Find the ``*-site.xml`` files.

    The first of these decides: ``hadoop_conf_dir``; ``HADOOP_CONF_DIR`` together with ``YARN_CONF_DIR`` (each file from
    the first of the two that has it); ``etc/hadoop`` or ``hadoop/conf`` below ``HADOOP_INSTALL`` or ``HADOOP_HOME``;
    ``/etc/hadoop/conf``.

    Raises:
        ConfigurationError: if a path that the user or the environment names does not exist or is no directory, or if
            ``hadoop_conf_dir`` holds no configuration.
    """
    if hadoop_conf_dir is not None:
        directory = _directory(str(hadoop_conf_dir), "hadoop_conf_dir")
        files = _files_in([directory])
        if not files:
            raise ConfigurationError(
                f"hadoop_conf_dir={str(directory)!r} holds none of {', '.join(SITE_FILES)}; name the directory "
                "with the cluster's configuration"
            )
        return Found([directory], files, [f"hadoop_conf_dir={directory}"])

    looked = []
    named = {name: environ[name] for name in CONF_VARIABLES if environ.get(name)}
    if named:
        directories = [_directory(value, name) for name, value in named.items()]
        looked = [f"{name}={value}" for name, value in named.items()]
        return Found(directories, _files_in(directories), looked)

    for name in HOME_VARIABLES:
        if not environ.get(name):
            looked.append(f"{name} (not set)")
            continue
        home = _directory(environ[name], name)
        looked.append(f"{name}={home}")
        for below in BELOW_HOME:
            if files := _files_in([home / below]):
                return Found([home / below], files, looked)

    looked = [f"{name} (not set)" for name in CONF_VARIABLES] + looked + [system_directory]
    system = Path(system_directory)
    return Found([system] if system.is_dir() else [], _files_in([system]), looked)


def _directory(value: str, named_by: str) -> Path:
    directory = Path(value).expanduser()
    if directory.is_dir():
        return directory
    what = "is not a directory" if directory.exists() else "does not exist"
    way_out = "name the directory with the cluster's *-site.xml files"
    if named_by != "hadoop_conf_dir":
        way_out = f"correct or unset {named_by}, or give hadoop_conf_dir=, or autodetect=False to read no file"
    raise ConfigurationError(f"{named_by}={value!r} {what}; {way_out}")


def _files_in(directories: list[Path]) -> list[Path]:
    found = []
    for name in SITE_FILES:
        candidates = [directory / name for directory in directories]
        found += [path for path in candidates if path.exists() or path.is_symlink()][:1]
    return found
