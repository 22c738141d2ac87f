"""Spec documents as text: YAML and JSON in, with errors that say where, and out."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from knit_provider.yarn.spec.fields import SpecError

MAX_FILE_BYTES = 64 * 1024 * 1024


def load(path: str | os.PathLike[str], format: str = "infer") -> Any:  # noqa: A002 - the public parameter's name
    """Read a spec file.

    Args:
        path: the file.
        format: ``yaml``, ``json``, or ``infer``, which goes by the ending .yaml, .yml or .json.

    Raises:
        SpecError: the file cannot be read, is too large or is no such document; the message names it.
    """
    file = Path(path)
    language = format
    if language == "infer":
        language = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}.get(file.suffix.lower(), "")
        if not language:
            raise SpecError(f"{file}: the name ends in none of .yaml, .yml and .json; say format='yaml' or 'json'")
    try:
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise SpecError(f"{file}: has {size} bytes; a spec of more than {MAX_FILE_BYTES} is refused")
        text = file.read_text("utf-8")
    except OSError as error:
        raise SpecError(f"{file}: the spec cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{file}: the spec is not UTF-8 text (byte {error.start})") from error
    return parse(text, language, str(file))


def parse(text: str, format: str, name: str = "the spec") -> Any:  # noqa: A002
    """Parse a spec document; ``name`` is what errors call it."""
    try:
        if format == "json":
            return json.loads(text, object_pairs_hook=_unique_pairs)
        if format == "yaml":
            # The loader is PyYAML's safe one: it builds plain values only.
            return yaml.load(text, Loader=_Loader)  # noqa: S506
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from None
    except json.JSONDecodeError as error:
        raise SpecError(f"{name}: line {error.lineno}, column {error.colno}: no valid JSON: {error.msg}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{name}: no valid YAML: {error}") from error
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        # PyYAML takes a value apart by the tag that it is given, whatever it is: !!int "" is an IndexError.
        raise SpecError(f"{name}: no valid {format.upper()}: {error}") from error
    raise SpecError(f"format={format!r} is unknown; it is 'yaml' or 'json'")


def to_json(value: Any) -> str:
    """A plain value as indented JSON."""
    return json.dumps(value, indent=2)


def to_yaml(value: Any) -> str:
    """A plain value as YAML, with text of several lines as a block where YAML can hold it so."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=120)
    return str(text)


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a key that is given twice: YAML lets the last one win, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                mark = key_node.start_mark
                raise SpecError(f"line {mark.line + 1}, column {mark.column + 1}: the key {key!r} is given twice")
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """The safe dumper with block style for text of several lines, and without references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    lines = text.split("\n")
    style = None
    if not all(line.isprintable() for line in lines):
        style = '"'  # the one style that has escapes; PyYAML's own choice loses U+0085
    elif len(lines) > 1 and all(line == line.rstrip() for line in lines):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise SpecError(f"the key {twice!r} is given twice in one object")
    return result
