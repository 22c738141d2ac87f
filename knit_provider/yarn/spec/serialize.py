"""Spec objects as plain dicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def changed_fields(spec: DataclassInstance) -> dict[str, Any]:
    """The fields of a spec object that are not at their default, as dicts, lists, strings and numbers.

    A default is left out and a null that is not the default stays, so what is read back is equal to ``spec``.
    """
    result: dict[str, Any] = {}
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.default is not MISSING and value == field.default:
            continue
        if field.default_factory is not MISSING and value == field.default_factory():
            continue
        result[field.name] = plain(value)
    return result


def plain(value: Any) -> Any:
    """A value with every spec object in it as its dict, and tuples as lists."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value
