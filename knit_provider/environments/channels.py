"""Conda channels: from the names that users write to URLs, as the user's conda configuration has it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml

from knit_provider.yarn.errors import EnvironmentBuildError

ALIAS = "https://conda.anaconda.org"
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
_TOKEN = re.compile(r"/t/[^/]+(?=/|$)")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True)
class Channels:
    """How names of channels are read.

    Attributes:
        alias: the server that a plain name lies below.
        default: names to take where a user gives none.
        defaults: what ``defaults`` stands for.
        custom: servers of certain names.
    """

    alias: str = ALIAS
    default: tuple[str, ...] = ("conda-forge",)
    defaults: tuple[str, ...] = _DEFAULTS
    custom: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls, root: Path | None = None, alias: str | None = None) -> Channels:
        """As ``.condarc`` files say: the installation's, the user's, the one of ``$CONDARC``; the last one counts.

        Args:
            root: a conda installation.
            alias: in place of their ``channel_alias``.

        Raises:
            EnvironmentBuildError: one of them is no YAML.
        """
        merged: dict[str, Any] = {}
        for path in _condarcs(root):
            merged.update(_read(path))
        values: dict[str, Any] = {}
        if merged.get("channels"):
            values["default"] = tuple(map(str, merged["channels"]))
        if merged.get("default_channels"):
            values["defaults"] = tuple(map(str, merged["default_channels"]))
        if isinstance(merged.get("custom_channels"), dict):
            values["custom"] = {str(k): str(v) for k, v in merged["custom_channels"].items()}
        if alias or merged.get("channel_alias"):
            values["alias"] = str(alias or merged["channel_alias"])
        return cls(**values)

    def urls(self, names: Iterable[str] | None, base: Path | None = None) -> tuple[str, ...]:
        """URLs of channels, in their order, each once.

        Args:
            names: names, URLs or folders; None or none: the configured ones.
            base: what relative folders are relative to.

        Raises:
            EnvironmentBuildError: a name mentions an environment variable that is not set.
        """
        if isinstance(names, str):
            raise EnvironmentBuildError(f"channels={names!r} is a text; give a list, such as [{names!r}]")
        found: list[str] = []
        for name in list(names or ()) or self.default:
            found.extend(self._url(_expanded(os.fspath(name)), base))
        return tuple(dict.fromkeys(found))

    def _url(self, name: str, base: Path | None) -> list[str]:
        if "://" in name:
            return [name.rstrip("/")]
        if name.startswith(("/", "~", ".")):
            folder = Path(name).expanduser()
            return [((base or Path.cwd()) / folder).resolve().as_uri()]
        if name == "defaults":
            return [url for inner in self.defaults for url in self._url(inner, base)]
        first = name.split("/")[0]
        server = self.custom.get(name) or self.custom.get(first) or self.alias
        return [f"{server.rstrip('/') if '://' in server else f'https://{server}'.rstrip('/')}/{name}"]


def without_secrets(url: str) -> str:
    """A URL without password and token: for messages, records and digests."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if parts.scheme not in ("http", "https"):
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, _TOKEN.sub("", parts.path), parts.query, parts.fragment))


def _expanded(name: str) -> str:
    """With environment variables put in, which is how passwords stay out of files."""

    def value(found: re.Match[str]) -> str:
        variable = found.group(1) or found.group(2)
        if variable not in os.environ:
            raise EnvironmentBuildError(
                f"the channel {name!r} mentions the environment variable {variable}, which is not set"
            )
        return os.environ[variable]

    return _VARIABLE.sub(value, name)


def _condarcs(root: Path | None) -> list[Path]:
    home = Path(os.environ.get("HOME") or Path.home())
    paths = [Path("/etc/conda/.condarc")]
    if root is not None:
        paths += [root / ".condarc", root / "condarc"]
    paths += [home / ".config" / "conda" / ".condarc", home / ".conda" / ".condarc", home / ".condarc"]
    if os.environ.get("CONDARC"):
        paths.append(Path(os.environ["CONDARC"]))
    return [path for path in paths if path.is_file()]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EnvironmentBuildError(f"conda's configuration {path} cannot be read: {error}") from error
    return document if isinstance(document, dict) else {}
