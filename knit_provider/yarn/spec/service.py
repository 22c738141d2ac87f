"""One kind of container of an application, and how many of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.spec import fields
from knit_provider.yarn.spec.command import check_command, check_envvars, check_size
from knit_provider.yarn.spec.environment import anchored, env_field
from knit_provider.yarn.spec.files import File, FilesLike, as_files, check_nesting
from knit_provider.yarn.spec.resources import Resources
from knit_provider.yarn.spec.serialize import changed_fields

MAX_INSTANCES = 100_000


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service: containers that all run the same command with the same resources.

    Attributes:
        resources: of each container.
        script: shell text, run by bash; exactly one of ``script`` and ``argv`` is given.
        argv: program and arguments, which reach the program literally.
        instances: containers to start with, from 0. Default 1.
        env: Python environment: a path or ``hdfs://`` URI of a packed archive, ``conda://PREFIX_OR_NAME``,
            ``venv://PREFIX`` or ``python:///path/to/python``.
        envvars: environment variables, strings to strings.
        files: files for the working folder: a list, or a mapping of name there to source. Archives are unpacked.
        archives: as ``files``, each unpacked whatever its name says.
        depends_on: services of which every first container runs before this one starts: its NodeManager has taken
            it. When its program is ready, only the program can tell, through the key-value store.
        max_restarts: failures of the whole service that are answered with a new container; -1 is no limit. Default 0.
        allow_failures: keep the application running when there are more failures than that. Default False.
        node_label: partition to run in; '' takes the application's.
        nodes: hosts to run on.
        racks: racks to run on.
        relax_locality: whether other hosts and racks will do when those named are full. Default False.
        when_empty: what the service does when it has no container left to run: ``finish`` (default), ``stay``, or
            ``end``, which ends the application whatever the other services do.
    """

    resources: Resources
    script: str = ""
    argv: tuple[str, ...] = ()
    instances: int = 1
    env: str | None = None
    envvars: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    archives: Mapping[str, File] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    max_restarts: int = 0
    allow_failures: bool = False
    node_label: str = ""
    nodes: tuple[str, ...] = ()
    racks: tuple[str, ...] = ()
    relax_locality: bool = False
    when_empty: str = "finish"

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            resources: Resources | Mapping[str, Any],
            script: str | None = "",
            argv: Iterable[str] | None = (),
            instances: int = 1,
            env: str | os.PathLike[str] | None = None,
            envvars: Mapping[str, str] | None = None,
            files: FilesLike = None,
            archives: FilesLike = None,
            depends_on: Iterable[str] = (),
            max_restarts: int = 0,
            allow_failures: bool = False,
            node_label: str | None = "",
            nodes: Iterable[str] = (),
            racks: Iterable[str] = (),
            relax_locality: bool = False,
            when_empty: str = "finish",
        ) -> None: ...

    def __post_init__(self) -> None:
        keep = object.__setattr__
        with fields.within("resources"):
            keep(self, "resources", Resources.from_dict(self.resources))
        keep(self, "env", env_field(self.env))
        script, argv = check_command(self.script, self.argv, required=True)
        keep(self, "script", script)
        keep(self, "argv", argv)
        keep(self, "instances", fields.whole(self.instances, "instances", 0, MAX_INSTANCES))
        keep(self, "envvars", check_envvars(self.envvars))
        check_size(argv, self.envvars)
        keep(self, "files", as_files(self.files, "files"))
        keep(self, "archives", as_files(self.archives, "archives", archives=True))
        check_links(self.files, self.archives)
        keep(self, "depends_on", fields.unique(self.depends_on, "depends_on", fields.text))
        keep(self, "max_restarts", fields.whole(self.max_restarts, "max_restarts", -1, 2**31 - 1))
        keep(self, "allow_failures", fields.flag(self.allow_failures, "allow_failures"))
        keep(self, "node_label", check_label(self.node_label))
        keep(self, "nodes", fields.unique(self.nodes, "nodes", fields.word))
        keep(self, "racks", fields.unique(self.racks, "racks", fields.word))
        keep(self, "relax_locality", fields.flag(self.relax_locality, "relax_locality"))
        keep(self, "when_empty", fields.choice(self.when_empty, "when_empty", ("finish", "stay", "end")))

    @classmethod
    def from_dict(cls, value: object, base: Path | None = None) -> Service:
        """Read a mapping of the fields.

        Args:
            value: the mapping, or a Service.
            base: folder that relative local paths are relative to; None leaves them as they are.
        """
        if isinstance(value, Service):
            return value
        given = fields.mapping(value, "")
        renamed = {"depends": "depends_on", "cmd": "script", "command": "script", "commands": "script"}
        fields.reject_unknown(given, tuple(cls.__dataclass_fields__), renamed)
        if given.get("resources") is None:
            fields.fail("resources", "is required, as in {memory: 1 GiB, vcores: 1}")
        return cls(**anchor_paths(given, base))

    def to_dict(self) -> dict[str, Any]:
        """The fields that are not at their default, as :meth:`from_dict` reads them."""
        return changed_fields(self)

    @property
    def links(self) -> dict[str, File]:
        """Name in the container -> file, for files and archives together."""
        return {**self.files, **self.archives}


def anchor_paths(given: dict[str, Any], base: Path | None) -> dict[str, Any]:
    """The fields of a service or master with their relative local paths made absolute."""
    if base is None:
        return given
    result = dict(given)
    for name in ("files", "archives"):
        if result.get(name) is not None:
            result[name] = as_files(result[name], name, base, archives=name == "archives")
    env = result.get("env")
    if isinstance(env, (str, os.PathLike)):
        result["env"] = anchored(os.fspath(env), base, "env")
    return result


def check_links(files: Mapping[str, File], archives: Mapping[str, File]) -> None:
    """Refuse one name for a file and an archive."""
    for link in archives:
        if link in files:
            fields.fail(
                f"archives.{link}",
                f"{files[link].source} and {archives[link].source} would both be {link!r} in the container; give one "
                "of them another name in a mapping: {name in the container: source}",
            )
    check_nesting([*files, *archives])


def check_label(value: object, name: str = "node_label") -> str:
    """A node label as YARN accepts it, or '' for none."""
    label = fields.word("" if value is None else value, name, empty=True)
    if label and not all(character.isascii() and (character.isalnum() or character in "-_") for character in label):
        fields.fail(name, f"is {fields.shown(label)}; YARN's node labels consist of letters, digits, '-' and '_'")
    return label
