"""Reads what conda writes down of environments: ``environment.yml`` and explicit lock files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from knit_provider.environments.channels import Channels
from knit_provider.environments.sources import CondaLock, CondaPackages, safe_name
from knit_provider.yarn.errors import EnvironmentBuildError

# They begin where the file lies that names them, and the list is written into one of ours.
_NAMES_A_FILE = re.compile(r"(?P<option>-[rcf]|--(?:requirement|constraint|find-links)(?=[\s=]))[\s=]*(?P<value>\S.*)")
_KNOWN = {"name", "channels", "dependencies", "prefix", "platforms", "variables"}


def read_environment_file(path: Path) -> CondaPackages:
    """Read an ``environment.yml``.

    Its ``prefix`` is another machine's and does not count. Without channels, the user's conda configuration has them.

    Raises:
        EnvironmentBuildError: it is none; the message names the file and the entry.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EnvironmentBuildError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("dependencies"), list):
        raise EnvironmentBuildError(f"{path} is no conda environment file: it has no list of dependencies")
    unknown = set(map(str, document)) - _KNOWN
    if unknown or document.get("variables"):
        entry = sorted(unknown)[0] if unknown else "variables"
        raise EnvironmentBuildError(
            f"{path}: {entry!r} is not supported. Environment variables of containers are envvars= of start"
            if entry == "variables"
            else f"{path}: {entry!r} is no entry of an environment file; those are {', '.join(sorted(_KNOWN))}"
        )
    packages, pip = _dependencies(document["dependencies"], path)
    channels = Channels.here()
    named = [str(channel) for channel in document.get("channels") or [] if str(channel) != "nodefaults"]
    qualified = [spec.split("::")[0] for spec in packages if "::" in spec]
    wanted = named or list(channels.default)
    return CondaPackages(
        name=safe_name(str(document.get("name") or path.parent.name)),
        packages=packages,
        channels=channels.urls([*wanted, *(name for name in qualified if name not in wanted)], base=path.parent),
        pip=pip,
        folder=str(path.parent.absolute()),
    )


def _dependencies(entries: list[Any], path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    packages: list[str] = []
    pip: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            packages.append(entry)
        elif isinstance(entry, dict) and set(entry) == {"pip"} and isinstance(entry["pip"], list):
            pip.extend(_pip_requirement(str(line), path) for line in entry["pip"])
        else:
            raise EnvironmentBuildError(f"{path}: the dependency {entry!r} is neither a package nor a list under 'pip'")
    return tuple(packages), tuple(pip)


def _pip_requirement(line: str, path: Path) -> str:
    line = line.strip()
    if line.startswith(("-e", "--editable")):
        raise EnvironmentBuildError(
            f"{path}: {line!r} installs a folder of this machine, which no node has; name the folder without -e"
        )
    if named := _NAMES_A_FILE.fullmatch(line):
        option, value = named["option"], named["value"].strip("'\"")
        return line if ":" in value.partition("/")[0] else f"{option} {(path.parent / value).absolute().as_uri()}"
    return str((path.parent / line).absolute()) if line.startswith(".") else line


def read_explicit_lock(path: Path, text: str) -> CondaLock:
    """Read an explicit lock file (``conda list --explicit``, ``conda-lock render``, ``pixi project export``).

    Raises:
        EnvironmentBuildError: a line is no package's URL.
    """
    urls: list[str] = []
    platform = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if found := re.match(r"#\s*platform:\s*(\S+)", line):
            platform = found.group(1)
        elif line and not line.startswith("#") and line != "@EXPLICIT":
            if not re.search(r"\.(conda|tar\.bz2)(#|$)", line):
                raise EnvironmentBuildError(f"{path}, line {number}: {line!r} is no URL of a conda package")
            urls.append(line if "://" in line else (path.parent / line).absolute().as_uri())
    if not urls:
        raise EnvironmentBuildError(f"{path} names no packages")
    return CondaLock(safe_name(path.name.split(".")[0]), tuple(urls), platform)
