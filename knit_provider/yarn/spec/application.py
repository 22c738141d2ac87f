"""A whole application: its services, its ApplicationMaster, and what YARN has to know about it."""

from __future__ import annotations

import graphlib
import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.spec import document, fields
from knit_provider.yarn.spec.access import ACLs, LogAggregation
from knit_provider.yarn.spec.master import Master
from knit_provider.yarn.spec.serialize import changed_fields
from knit_provider.yarn.spec.service import Service, check_label

_log = logging.getLogger(__name__)

DEFAULT_LIFETIME = 7 * 24 * 3600
_TEN_YEARS = 10 * 365 * 24 * 3600

# YARN takes 10 tags, and one is the tag by which knit-provider finds an application again.
MAX_TAGS = 9
MAX_TAG_LENGTH = 100

# A spec that is larger than this holds data that belongs into files.
MAX_TEXT_BYTES = 64 * 1024 * 1024

_RESERVATION = re.compile(r"reservation_\d+_\d+", re.ASCII)
_SERVICE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ApplicationSpec:
    """Everything that is needed to start an application. It can be read from a dict, YAML or JSON and written back.

    Attributes:
        services: name -> service. May be empty only if ``master`` has a script.
        master: the ApplicationMaster's container, and a script to run there.
        name: shown by YARN. Default ``knit``.
        queue: scheduler queue. Default ``default``.
        tags: up to 9 (YARN takes 10, one is knit-provider's), each of up to 100 printable ASCII characters. YARN
            folds them to lower case, and so does this.
        user: whom to run as, if that is somebody else than the submitter, who must be allowed to impersonate.
        priority: higher goes first within a queue; None leaves it to the queue.
        max_attempts: how often YARN starts the ApplicationMaster if it fails. Default 1.
        attempt_failures_validity: only failures of this many last seconds count against ``max_attempts``; None
            counts all. Text such as '10 min' is accepted.
        lifetime: seconds (or text such as '12 h') after which YARN ends the application; None is no limit. Default
            7 days.
        acls: who else may see and change it.
        node_label: partition for services that name none; '' leaves it to the queue.
        file_systems: further Hadoop filesystems that containers need delegation tokens for.
        bound: whether the application ends when the client that started it is gone; None lets the caller decide.
        staging: the folder that the application's own files have to lie in: the ``staging`` of the Knit that submits,
            which refuses another one. None takes what the Knit has.
        log_aggregation: which logs YARN collects.
        reservation_id: YARN reservation to run in.
    """

    services: Mapping[str, Service] = field(default_factory=dict)
    master: Master = field(default_factory=Master)
    name: str = "knit"
    queue: str = "default"
    tags: tuple[str, ...] = ()
    user: str | None = None
    priority: int | None = None
    max_attempts: int = 1
    attempt_failures_validity: int | None = None
    lifetime: int | None = DEFAULT_LIFETIME
    acls: ACLs = field(default_factory=ACLs)
    node_label: str = ""
    file_systems: tuple[str, ...] = ()
    bound: bool | None = None
    staging: str | None = None
    log_aggregation: LogAggregation | None = None
    reservation_id: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            services: Mapping[str, Service | Mapping[str, Any]] | None = None,
            master: Master | Mapping[str, Any] | None = None,
            name: str = "knit",
            queue: str = "default",
            tags: Iterable[str] = (),
            user: str | None = None,
            priority: int | None = None,
            max_attempts: int = 1,
            attempt_failures_validity: float | str | None = None,
            lifetime: float | str | None = DEFAULT_LIFETIME,
            acls: ACLs | Mapping[str, Any] | None = None,
            node_label: str | None = "",
            file_systems: Iterable[str] = (),
            bound: bool | None = None,
            staging: str | None = None,
            log_aggregation: LogAggregation | Mapping[str, Any] | None = None,
            reservation_id: str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        keep = object.__setattr__
        keep(self, "services", _services(self.services, None))
        with fields.within("master"):
            keep(self, "master", Master.from_dict(self.master))
        keep(self, "name", fields.line(self.name, "name"))
        keep(self, "queue", fields.word(self.queue, "queue", longest=1024))
        keep(self, "tags", _tags(self.tags))
        keep(self, "user", None if self.user in (None, "") else fields.word(self.user, "user"))
        if self.priority is not None:
            keep(self, "priority", fields.whole(self.priority, "priority", 0, 2**31 - 1))
        keep(self, "max_attempts", fields.whole(self.max_attempts, "max_attempts", 1, 10_000))
        for name in ("attempt_failures_validity", "lifetime"):
            if getattr(self, name) is not None:
                keep(self, name, fields.seconds(getattr(self, name), name, 1, _TEN_YEARS))
        with fields.within("acls"):
            keep(self, "acls", ACLs.from_dict(self.acls))
        keep(self, "node_label", check_label(self.node_label))
        keep(self, "file_systems", fields.unique(self.file_systems, "file_systems", _file_system))
        if self.bound is not None:
            fields.flag(self.bound, "bound")
        if self.staging is not None:
            keep(self, "staging", fields.uri(fields.line(self.staging, "staging", longest=4096), "staging"))
        if self.log_aggregation is not None:
            with fields.within("log_aggregation"):
                keep(self, "log_aggregation", LogAggregation.from_dict(self.log_aggregation))
        if self.reservation_id is not None and not _RESERVATION.fullmatch(
            fields.text(self.reservation_id, "reservation_id")
        ):
            fields.fail("reservation_id", f"is {fields.shown(self.reservation_id)}; ids look like reservation_170_0001")
        self._check_whole()

    def _check_whole(self) -> None:
        if not self.services and not self.master.runs_script:
            fields.fail("services", "is empty; an application needs at least one service, or a script in 'master'")
        for name, service in self.services.items():
            for position, needed in enumerate(service.depends_on):
                if needed not in self.services:
                    others = ", ".join(sorted(self.services))
                    fields.fail(
                        f"services.{name}.depends_on[{position}]",
                        f"there is no service {needed!r}; the services are {others}",
                    )
        try:
            graphlib.TopologicalSorter({name: service.depends_on for name, service in self.services.items()}).prepare()
        except graphlib.CycleError as error:
            # graphlib lists the circle from the one that is needed to the one that needs it.
            circle = " -> ".join(reversed(error.args[1]))
            fields.fail("services", f"depend on each other in a circle, so that none can start first: {circle}")
        size = _text_size(self.master) + sum(_text_size(service) for service in self.services.values())
        if size > MAX_TEXT_BYTES:
            fields.fail(
                "services",
                f"scripts, arguments and variables take {size} bytes; more than {MAX_TEXT_BYTES} are refused. "
                "Put data into files and ship those (files=)",
            )

    @classmethod
    def from_dict(cls, value: object, base: str | os.PathLike[str] | None = None) -> ApplicationSpec:
        """Read a mapping of the fields.

        Args:
            value: the mapping, or an ApplicationSpec.
            base: folder that relative local paths are relative to. Default: they stay as they are, relative to the
                working folder at submission.

        Raises:
            SpecError: a field is unknown, missing or has a bad value; the message names its path.
        """
        if isinstance(value, ApplicationSpec):
            return value
        given = fields.mapping(value, "")
        fields.reject_unknown(given, tuple(cls.__dataclass_fields__))
        folder = None if base is None else Path(base)
        if folder is not None:
            given["services"] = _services(given.get("services"), folder)
            with fields.within("master"):
                given["master"] = Master.from_dict(given.get("master"), folder)
        return cls(**given)

    @classmethod
    def from_yaml(cls, text: str, base: str | os.PathLike[str] | None = None) -> ApplicationSpec:
        """Read YAML text; see :meth:`from_dict`."""
        return cls.from_dict(document.parse(text, "yaml"), base)

    @classmethod
    def from_json(cls, text: str, base: str | os.PathLike[str] | None = None) -> ApplicationSpec:
        """Read JSON text; see :meth:`from_dict`."""
        return cls.from_dict(document.parse(text, "json"), base)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], format: str = "infer") -> ApplicationSpec:  # noqa: A002
        """Read a file; relative local paths in it are relative to the file's folder.

        Args:
            path: the file.
            format: ``yaml``, ``json`` or ``infer`` (by the name's ending). Default ``infer``.
        """
        return cls.from_dict(document.load(path, format), Path(path).absolute().parent)

    @classmethod
    def from_skein(cls, source: str | os.PathLike[str] | Mapping[str, Any], format: str = "infer") -> ApplicationSpec:  # noqa: A002
        """Read a Skein 0.8 spec unchanged.

        Args:
            source: the file, or the mapping that it holds.
            format: of the file: ``yaml``, ``json`` or ``infer``.
        """
        from knit_provider.yarn.spec import skein

        if isinstance(source, Mapping):
            return cls.from_dict(skein.translate(source))
        return cls.from_dict(skein.translate(document.load(source, format)), Path(source).absolute().parent)

    @classmethod
    def coerce(cls, source: ApplicationSpec | Mapping[str, Any] | str | os.PathLike[str]) -> ApplicationSpec:
        """Read whatever describes an application: a spec, a mapping, or the path of a YAML or JSON file."""
        if isinstance(source, (str, os.PathLike)):
            return cls.from_file(source)
        return cls.from_dict(source)

    def to_dict(self) -> dict[str, Any]:
        """The fields that are not at their default; :meth:`from_dict` makes an equal spec of them."""
        return changed_fields(self)

    def to_yaml(self) -> str:
        """The spec as YAML."""
        return document.to_yaml(self.to_dict())

    def to_json(self) -> str:
        """The spec as JSON."""
        return document.to_json(self.to_dict())


def _services(value: object, base: Path | None) -> dict[str, Service]:
    if isinstance(value, (list, tuple)):
        fields.fail_type("services", "must be a mapping of name to service, not a list: {worker: {script: ...}}")
    result = {}
    with fields.within("services"):
        for name, service in fields.mapping(value, "").items():
            if not _SERVICE_NAME.fullmatch(name):
                fields.fail(name, "is no service name; use up to 100 letters, digits, '_', '-' and '.', a letter first")
            with fields.within(name):
                result[name] = Service.from_dict(service, base)
    return result


def _tags(value: object) -> tuple[str, ...]:
    given = fields.items(value, "tags", _tag)
    folded = tuple(dict.fromkeys(tag.lower() for tag in given))
    changed = [tag for tag in given if tag != tag.lower()]
    if changed:
        _log.warning("YARN keeps tags in lower case: %s", ", ".join(f"{tag} becomes {tag.lower()}" for tag in changed))
    if len(folded) > MAX_TAGS:
        fields.fail(
            "tags",
            f"are {len(folded)}; at most {MAX_TAGS} are allowed (YARN takes 10, and knit-provider adds one of its own)",
        )
    return folded


def _tag(value: object, name: str) -> str:
    tag = fields.line(value, name, longest=MAX_TAG_LENGTH)
    if not tag.isascii():
        fields.fail(name, f"is {tag!r}; YARN refuses tags with other than ASCII characters")
    if "," in tag or tag != tag.strip():
        fields.fail(name, f"is {tag!r}; YARN lists tags between commas, so they hold none and no outer spaces")
    return tag


def _file_system(value: object, name: str) -> str:
    uri = fields.word(value, name, longest=4096)
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", uri):
        fields.fail(name, f"is {uri!r}; a filesystem is named by its URI, as in hdfs://other-namenode:8020")
    return fields.uri(uri, name)


def _text_size(part: Service | Master) -> int:
    entries = (part.script, *part.argv, *part.envvars, *part.envvars.values())
    return sum(len(entry) for entry in entries)
