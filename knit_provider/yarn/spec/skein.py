"""Reading the specs of Skein 0.8."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from knit_provider.yarn.spec import fields

_log = logging.getLogger(__name__)

_APPLICATION = (
    "services",
    "master",
    "name",
    "queue",
    "user",
    "node_label",
    "tags",
    "file_systems",
    "acls",
    "max_attempts",
)
_SERVICE = (
    "resources",
    "script",
    "instances",
    "files",
    "env",
    "depends",
    "max_restarts",
    "allow_failures",
    "node_label",
    "nodes",
    "racks",
    "relax_locality",
)
_MASTER = ("resources", "script", "files", "env", "log_level", "log_config", "security")

# What Skein gives its ApplicationMaster; a script beside it was written for that much room.
_MASTER_RESOURCES = {"memory": 512, "vcores": 1}


def translate(value: object) -> dict[str, Any]:
    """Turn the mapping of a Skein spec into one that ``ApplicationSpec.from_dict`` reads, with Skein's defaults.

    Fields that have no counterpart here are named in a warning: ``security`` (every application gets credentials of
    its own), ``log_config``, and ``acls.ui_users``.

    Raises:
        SpecError: a field that Skein doesn't have either, or a service that is no mapping.
    """
    given = fields.mapping(value, "")
    fields.reject_unknown(given, _APPLICATION)
    given.setdefault("name", "skein")
    for key in [key for key, entry in given.items() if entry is None]:
        del given[key]
    if "services" in given:
        with fields.within("services"):
            services = fields.mapping(given["services"], "")
            given["services"] = {name: _service(entry, name) for name, entry in services.items()}
    if "master" in given:
        with fields.within("master"):
            given["master"] = _master(fields.mapping(given["master"], ""))
    acls = given.get("acls")
    if isinstance(acls, Mapping):
        # Skein's lists do nothing unless they are enabled, whereas ours do.
        given["acls"] = {"enable": False, **acls}
        if acls.get("ui_users"):
            _ignored("acls.ui_users", "knit-provider opens no web page of its own")
    return given


def _service(value: object, name: str) -> dict[str, Any]:
    with fields.within(name):
        given = fields.mapping(value, "")
        fields.reject_unknown(given, _SERVICE)
        if "depends" in given:
            given["depends_on"] = given.pop("depends")
        return _common({key: entry for key, entry in given.items() if entry is not None})


def _master(given: dict[str, Any]) -> dict[str, Any]:
    fields.reject_unknown(given, _MASTER)
    if given.pop("security", None) is not None:
        _ignored("master.security", "every application gets a key and a certificate of its own")
    if given.pop("log_config", None) is not None:
        _ignored("master.log_config", "set master.log_level")
    given = {key: entry for key, entry in given.items() if entry is not None}
    if given.get("script"):
        given.setdefault("resources", dict(_MASTER_RESOURCES))
    return _common(given)


def _common(given: dict[str, Any]) -> dict[str, Any]:
    if "env" in given:
        given["envvars"] = given.pop("env")
    return given


def _ignored(name: str, why: str) -> None:
    _log.warning("%s of the Skein spec is not used: %s", name, why)
