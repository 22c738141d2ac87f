"""The ApplicationMaster's container, and the script that may run beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.spec import fields
from knit_provider.yarn.spec.command import check_command, check_envvars, check_size
from knit_provider.yarn.spec.environment import env_field
from knit_provider.yarn.spec.files import File, FilesLike, as_files
from knit_provider.yarn.spec.resources import Resources
from knit_provider.yarn.spec.serialize import changed_fields
from knit_provider.yarn.spec.service import anchor_paths, check_links

LOG_LEVELS = ("ALL", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF")


def _default_resources() -> Resources:
    return Resources(memory=256, vcores=1)


@dataclass(frozen=True, kw_only=True)
class Master:
    """The ApplicationMaster.

    Attributes:
        resources: of its container, which the script shares. Default 256 MiB, 1 vcore.
        script: shell text to run there; when it ends, the application ends with its exit code.
        argv: program and arguments in place of ``script``.
        env: packed Python environment for the script.
        envvars: environment variables of the script.
        files: files for its working folder.
        archives: archives for its working folder.
        log_level: of the ApplicationMaster's own log. Default ``INFO``.
        port_range: lowest and highest port for its control channel; 0, 0 (default) takes any free one.
    """

    resources: Resources = field(default_factory=_default_resources)
    script: str = ""
    argv: tuple[str, ...] = ()
    env: str | None = None
    envvars: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    archives: Mapping[str, File] = field(default_factory=dict)
    log_level: str = "INFO"
    port_range: tuple[int, int] = (0, 0)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            resources: Resources | Mapping[str, Any] | None = None,
            script: str | None = "",
            argv: Iterable[str] | None = (),
            env: str | os.PathLike[str] | None = None,
            envvars: Mapping[str, str] | None = None,
            files: FilesLike = None,
            archives: FilesLike = None,
            log_level: str = "INFO",
            port_range: str | Iterable[int] = (0, 0),
        ) -> None: ...

    def __post_init__(self) -> None:
        keep = object.__setattr__
        with fields.within("resources"):
            given = _default_resources() if self.resources is None else self.resources
            keep(self, "resources", Resources.from_dict(given))
        keep(self, "env", env_field(self.env))
        script, argv = check_command(self.script, self.argv, required=False)
        keep(self, "script", script)
        keep(self, "argv", argv)
        keep(self, "envvars", check_envvars(self.envvars))
        check_size(argv, self.envvars)
        keep(self, "files", as_files(self.files, "files"))
        keep(self, "archives", as_files(self.archives, "archives", archives=True))
        check_links(self.files, self.archives)
        keep(self, "log_level", fields.choice(self.log_level, "log_level", LOG_LEVELS))
        keep(self, "port_range", _ports(self.port_range))

    @property
    def runs_script(self) -> bool:
        """Whether the ApplicationMaster has a command of the user's to run."""
        return bool(self.script.strip() or self.argv)

    @property
    def links(self) -> dict[str, File]:
        """Name in the container -> file, for files and archives together."""
        return {**self.files, **self.archives}

    @classmethod
    def from_dict(cls, value: object, base: Path | None = None) -> Master:
        """Read a mapping of the fields; relative local paths are relative to ``base`` where it is given."""
        if isinstance(value, Master):
            return value
        given = fields.mapping(value, "")
        if "security" in given:
            fields.fail("security", "is not a field here: every application gets a key and a certificate of its own")
        fields.reject_unknown(given, tuple(cls.__dataclass_fields__))
        return cls(**anchor_paths(given, base))

    def to_dict(self) -> dict[str, Any]:
        """The fields that are not at their default."""
        return changed_fields(self)


def _ports(value: object) -> tuple[int, int]:
    """Two ports, from a pair or from text such as ``30000-30100``; the lower one first."""
    given: Any = value
    if isinstance(given, str):
        found = re.fullmatch(r"\s*(\d{1,5})\s*[-:]\s*(\d{1,5})\s*", given, re.ASCII)
        if found is None:
            fields.fail("port_range", f"is {fields.shown(value)}; write it as '30000-30100' or [30000, 30100]")
        given = [int(found.group(1)), int(found.group(2))]
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        fields.fail_type("port_range", f"must be two ports, as in [30000, 30100], not {fields.shown(value)}")
    low = fields.whole(given[0], "port_range[0]", 0, 65535)
    high = fields.whole(given[1], "port_range[1]", 0, 65535)
    if low > high or (low == 0) != (high == 0):
        fields.fail("port_range", f"is {low} to {high}; the lower port comes first, and 0 to 0 means any free port")
    return low, high
