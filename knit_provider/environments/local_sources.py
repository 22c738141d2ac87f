"""What requirements and projects name on this machine: its content counts for whether a request is unchanged."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from knit_provider.yarn.errors import EnvironmentBuildError

_NESTED = re.compile(r"(?:-[rc]|--(?:requirement|constraint)(?=[\s=]))[\s=]*(\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable(?=[\s=]))[\s=]*(\S.*)")
_OPTIONS = re.compile(r"\s--?[a-z].*")
_REFERENCE = re.compile(r"[A-Za-z0-9][\w.-]*\s*(?:\[[^]]*\])?\s*@\s*(\S.*)")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_ARCHIVES = (".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_LOCKED = re.compile(r'source = \{ (?:directory|editable|path) = "([^"\n]+)"')
_LOCAL_INDEX = re.compile(r'source = \{ registry = "([^":\n]+)"')
_IN_INDEX = re.compile(r'\{ path = "([^"\n]+)"')

_SKIPPED = {"__pycache__", "node_modules"}
# What building leaves at a project's root, unless it is a package of that name.
_BUILT = {"build", "dist"}


class LocalSources:
    """Collects documents, and the files of what they name; names are followed as far as they go.

    Attributes:
        texts: each document's content by its path.
        files: files of which size and time tell whether they have changed.
        projects: the name of what each folder holds, ``""`` where that is not written down.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.files: set[Path] = set()
        self.projects: dict[Path, str] = {}

    @classmethod
    def of_file(cls, file: Path) -> LocalSources:
        """Of a ``requirements.txt``, ``pyproject.toml`` or ``uv.lock``."""
        found = cls()
        if file.name in ("uv.lock", "pyproject.toml"):
            # Without a build system only what it depends on is installed, and not the project.
            found.project(file.parent, own=False)
        else:
            found.requirements(file, file.parent)
        return found

    @classmethod
    def of_lines(cls, lines: Iterable[str], folder: str) -> LocalSources:
        """Of lines as of a requirements file, in a folder where paths in them begin."""
        found = cls()
        found.lines("\n".join(lines), Path(folder).absolute(), Path(folder).absolute())
        return found

    def requirements(self, file: Path, working: Path) -> None:
        """Take a requirements file, and all files under ``-r`` and ``-c``.

        Args:
            file: where it is.
            working: the folder that uv runs in, where paths in it begin.

        Raises:
            OSError: one of them cannot be read.
        """
        if str(file) in self.texts:
            return
        text = self.texts[str(file)] = file.read_text(errors="surrogateescape")
        self.lines(text, file.parent, working)

    def lines(self, text: str, folder: Path, working: Path) -> None:
        """Take the lines of a requirements file that lies in ``folder``."""
        for line in re.sub(r"\\\r?\n", "", text).splitlines():
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            line = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), line)
            if nested := _NESTED.fullmatch(line):
                for path in _paths(nested[1], [folder]):
                    self.requirements(path, working)
            elif editable := _EDITABLE.fullmatch(line):
                self._take(editable[1], [working, folder], is_path=True)
            elif not line.startswith("-"):
                self._requirement(line, [working, folder])

    def project(self, folder: Path, *, own: bool = True) -> None:
        """Take a project: its files, and whatever else on this machine its sources and its lock name.

        Args:
            folder: with a ``pyproject.toml`` or something older.
            own: False if only what it depends on is installed, and not the project.
        """
        folder = Path(os.path.abspath(folder))
        if folder in self.projects:
            return
        document, lock = folder / "pyproject.toml", folder / "uv.lock"
        described = _toml(document, self._text(document))
        self.projects[folder] = _name(described, folder)
        if own or _installs_itself(described):
            self.files.update(project_files(folder))
        self._project_sources(described, folder)
        locked = self._text(lock)
        for value in _LOCKED.findall(locked):
            if value != ".":
                self._take(value, [folder], is_path=True)
        for index in set(_LOCAL_INDEX.findall(locked)):
            self.files.update(path for name in _IN_INDEX.findall(locked) for path in _paths(name, [folder / index]))

    def _text(self, document: Path) -> str:
        if not document.exists():
            return ""
        return self.texts.setdefault(str(document), document.read_text(errors="surrogateescape"))

    def _project_sources(self, described: dict[str, Any], folder: Path) -> None:
        for line in _table(described, "project").get("dependencies") or ():
            self._requirement(str(line), [folder])
        for given in _table(described, "tool", "uv", "sources").values():
            for source in given if isinstance(given, list) else [given]:
                if not isinstance(source, dict):
                    continue
                if "path" in source:
                    self._take(str(source["path"]), [folder], is_path=True)
                elif source.get("workspace"):
                    self._workspace(folder)

    def _workspace(self, folder: Path) -> None:
        """Take all members of the workspace that a project is in: which of them it needs, only uv knows."""
        for root in (folder, *folder.parents):
            document = root / "pyproject.toml"
            workspace = _table(_toml(document, self._text(document)), "tool", "uv", "workspace")
            if workspace:
                members = workspace.get("members") or ()
                for member in (path for pattern in members for path in root.glob(str(pattern))):
                    if member.is_dir():
                        self.project(member)
                return

    def _requirement(self, line: str, folders: list[Path]) -> None:
        line = _OPTIONS.sub("", line.partition(";")[0]).strip()
        reference = _REFERENCE.fullmatch(line)
        self._take(reference[1] if reference else line, folders, is_path=reference is not None)

    def _take(self, value: str, folders: list[Path], *, is_path: bool) -> None:
        """Take what a requirement names, if that is on this machine; a bare name is a package's, and no folder's."""
        bare = re.sub(r"\[[^]/]*\]$", "", value)
        if not (is_path or "/" in bare or bare.startswith(".") or bare.lower().endswith(_ARCHIVES)):
            return
        for path in {*_paths(value, folders), *_paths(bare, folders)}:
            if path.is_dir():
                self.project(path)
            elif path.exists():
                self.files.add(path)


def project_files(folder: Path) -> Iterator[Path]:
    """The files of a project that may be installed with it: none of version control, builds and environments."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        here = os.stat(root)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()  # by way of a link
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = [name for name in folders if not _is_skipped(Path(root), name, at_root=root == str(folder))]
        yield from (Path(root) / name for name in files if not name.endswith(".pyc"))


def _is_skipped(root: Path, name: str, *, at_root: bool) -> bool:
    if name.startswith(".") or name in _SKIPPED or name.endswith(".egg-info"):
        return True
    if at_root and name in _BUILT and not (root / name / "__init__.py").exists():
        return True
    return (root / name / "pyvenv.cfg").exists()


def _paths(value: str, folders: Iterable[Path]) -> list[Path]:
    """Where a path or ``file:`` URL may lead; none for the URL of something else."""
    value = value.strip().strip("'\"")
    if value.startswith("file:"):
        value = unquote(urlsplit(value).path)
    elif _SCHEME.match(value):
        return []
    return [folder / os.path.expanduser(value) for folder in folders]


def _toml(document: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise EnvironmentBuildError(f"{document} cannot be read as TOML: {error}") from error


def _table(described: dict[str, Any], *names: str) -> dict[str, Any]:
    found: Any = described
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _name(described: dict[str, Any], folder: Path) -> str:
    named = _table(described, "project").get("name") or _table(described, "tool", "poetry").get("name")
    if not named:
        older = ConfigParser(interpolation=None)
        with suppress(OSError, ConfigParserError, UnicodeDecodeError):
            older.read(folder / "setup.cfg", encoding="utf-8")
        named = older.get("metadata", "name", fallback="")
    return str(named)


def _installs_itself(described: dict[str, Any]) -> bool:
    """Whether the project is installed itself, or its files say what it depends on."""
    package = _table(described, "tool", "uv").get("package")
    dynamic = _table(described, "project").get("dynamic") or ()
    return bool(package) or (package is None and "build-system" in described) or "dependencies" in dynamic
