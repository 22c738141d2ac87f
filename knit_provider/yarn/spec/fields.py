"""Checks for single spec fields, and the dotted path that their errors name.

Every check takes the field's own name; the folders above it ('services.worker.resources') come from the enclosing
:func:`within` blocks, so that a class need not know where it stands in a spec.
"""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn
from urllib.parse import urlsplit

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.units import check_int, parse_memory

_PATH: ContextVar[tuple[str, ...]] = ContextVar("knit_spec_path", default=())

# Linux refuses to start a program if any one argument or environment entry is 128 KiB or longer (MAX_ARG_STRLEN).
MAX_ARGUMENT_BYTES = 128 * 1024 - 1
# All of them together may take a quarter of the stack limit, which is 2 MiB under the usual 8 MiB stack. The
# NodeManager's own variables need a part of that.
MAX_ARGUMENTS_BYTES = 1536 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)
_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400}
_SECONDS |= {"hr": 3600, "day": 86400, "w": 604800, "week": 604800}


# Lists in YAML may hold one list many times over: a kilobyte of text, and gigabytes once it is printed.
_IN_PART = reprlib.Repr()
_IN_PART.maxlevel, _IN_PART.maxstring, _IN_PART.maxother = 3, 80, 80


class SpecError(ConfigurationError):
    """A field of an application spec has a value that cannot be used.

    Attributes:
        field: dotted path of the field, as in ``services.worker.resources.memory``.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class SpecTypeError(SpecError, TypeError):
    """A field of an application spec has a value of the wrong type."""


@contextmanager
def within(*parts: str) -> Iterator[None]:
    """Put ``parts`` before the name of every field that is checked inside the block."""
    token = _PATH.set((*_PATH.get(), *parts))
    try:
        yield
    finally:
        _PATH.reset(token)


def path_of(name: str = "") -> str:
    """The dotted path of field ``name`` here; without a name, that of the enclosing object ('' at the top)."""
    return ".".join((*_PATH.get(), name) if name else _PATH.get())


def fail(name: str, problem: str) -> NoReturn:
    """Raise a :class:`SpecError` whose message is the field's path and ``problem``."""
    where = path_of(name)
    raise SpecError(f"{where}: {problem}" if where else problem, where)


def fail_type(name: str, problem: str) -> NoReturn:
    """As :func:`fail`, with an error that is a TypeError too."""
    where = path_of(name)
    raise SpecTypeError(f"{where}: {problem}" if where else problem, where)


def shown(value: object) -> str:
    """A short form of a value for an error message."""
    if isinstance(value, (str, bytes)):
        text = repr(value)
    else:
        try:
            text = _IN_PART.repr(value)
        except ValueError:  # Python refuses to print integers of more than 4,300 digits
            return "<a number of thousands of digits>"
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def kind_of(value: object) -> str:
    """The name of a value's type in the words of YAML and JSON."""
    names: dict[type, str] = {dict: "a mapping", list: "a list", tuple: "a list", str: "a string", bool: "a boolean"}
    names |= {int: "a whole number", float: "a number", type(None): "null", set: "a set", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")


def reject_unknown(given: Iterable[object], known: Sequence[str], renamed: Mapping[str, str] | None = None) -> None:
    """Refuse keys that are no field here, each with the nearest field's name.

    Args:
        given: the keys found.
        known: the fields there are.
        renamed: keys from elsewhere and the field that holds their value here.
    """
    for key in given:
        if key in known:
            continue
        name = key if isinstance(key, str) else repr(key)
        here = path_of()
        if renamed and name in renamed:
            fail(name, f"is called {renamed[name]!r} here (ApplicationSpec.from_skein reads Skein's names)")
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(known)}"
        fail(name, f"is not a field of {here or 'an application spec'}; {advice}")


def mapping(value: object, name: str) -> dict[str, Any]:
    """A copy of a mapping with string keys; None is the empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        fail_type(name, f"must be a mapping, not {kind_of(value)} ({shown(value)})")
    for key in value:
        if not isinstance(key, str):
            fail_type(name, f"the key {shown(key)} is {kind_of(key)}; put it in quotes")
    return dict(value)


def encodable(value: str, name: str) -> str:
    """Refuse text that no POSIX program could be given: NUL, and lone surrogates that stand for no byte."""
    if "\0" in value:
        fail(name, f"holds a NUL character at position {value.index(chr(0))}; no program or script can be given one")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        fail(name, f"holds the lone surrogate {value[error.start]!r} at position {error.start}, which is no character")
    return value


def text(value: object, name: str) -> str:
    """A string that may hold anything but NUL."""
    if not isinstance(value, str):
        hint = f"; write '{shown(value)}'" if isinstance(value, (bool, int, float)) else ""
        fail_type(name, f"must be a string, not {kind_of(value)} ({shown(value)}){hint}")
    return encodable(value, name)


def line(value: object, name: str, *, longest: int = 1024, empty: bool = False) -> str:
    """A string of printable characters on one line, as names of things in YARN have to be."""
    result = text(value, name)
    found = _CONTROL.search(result)
    if found:
        fail(name, f"holds the unprintable character {found.group()!r} at position {found.start()}: {shown(result)}")
    if not empty and not result.strip():
        fail(name, f"must not be empty or blank ({result!r})")
    if len(result) > longest:
        fail(name, f"has {len(result)} characters; at most {longest} are allowed")
    return result


def word(value: object, name: str, *, longest: int = 255, empty: bool = False) -> str:
    """A :func:`line` without spaces or commas, as user, host and group names are: YARN's lists are cut there."""
    result = line(value, name, longest=longest, empty=empty)
    if re.search(r"[\s,]", result):
        fail(name, f"must not hold spaces or commas: {shown(result)}")
    return result


def flag(value: object, name: str) -> bool:
    """True or False, and nothing that merely looks like them."""
    if not isinstance(value, bool):
        fail_type(name, f"must be true or false, not {kind_of(value)} ({shown(value)})")
    return value


def whole(value: object, name: str, low: int, high: int) -> int:
    """A whole number between ``low`` and ``high``."""
    return _located(lambda what: check_int(value, what, minimum=low, maximum=high), name, value)


def memory(value: object, name: str, high: int) -> int:
    """MiB, from 1 to ``high``, from a number or from text with a unit."""
    given: Any = value
    return _located(lambda what: parse_memory(given, what, maximum=high), name, value)


def _located(check: Callable[[str], int], name: str, value: object) -> int:
    where = path_of(name)
    try:
        return check(where)
    except ConfigurationError as error:
        wrong_type = isinstance(value, bool) or not isinstance(value, (int, str))
        raise (SpecTypeError if wrong_type else SpecError)(str(error), where) from None


def choice(value: object, name: str, options: Sequence[str]) -> str:
    """One of ``options``, in any case; returned as the option is written."""
    result = text(value, name)
    for option in options:
        if option.lower() == result.lower():
            return option
    fail(name, f"is {shown(result)}; it must be one of {', '.join(options)}")


def items(value: object, name: str, check: Callable[[object, str], str]) -> tuple[str, ...]:
    """A list of strings, each passed through ``check``; None is the empty one."""
    if value is None:
        return ()
    if isinstance(value, str):
        fail_type(name, f"must be a list, not a single string; write [{value!r}]")
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        fail_type(name, f"must be a list, not {kind_of(value)} ({shown(value)})")
    is_set = isinstance(value, (set, frozenset)) and all(isinstance(entry, str) for entry in value)
    entries = sorted(value) if is_set else value
    return tuple(check(entry, f"{name}[{position}]") for position, entry in enumerate(entries))


def unique(value: object, name: str, check: Callable[[object, str], str]) -> tuple[str, ...]:
    """As :func:`items`, every entry once, in the order given."""
    return tuple(dict.fromkeys(items(value, name, check)))


def seconds(value: object, name: str, low: int, high: int) -> int:
    """A length of time, rounded up to seconds: a number of them, or text with a unit such as ``15 min``."""
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        unit = found.group(2).lower() if found else ""
        scale = _SECONDS.get(unit) or _SECONDS.get(unit.removesuffix("s")) if unit else 1
        if found is None or scale is None:
            fail(name, f"is {shown(value)}; give seconds, or a number with s, min, h, d or w, as in '15 min'")
        result = _rounded_up(float(found.group(1)) * scale)
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        fail_type(name, f"must be a number of seconds or text such as '15 min', not {shown(value)}")
    else:
        result = _rounded_up(value)
    if not low <= result <= high:
        fail(name, f"is {shown(value)}; it must lie between {low} and {high} seconds")
    return result


def _rounded_up(amount: float) -> int:
    """0 for what is no number, and for infinity."""
    return amount if isinstance(amount, int) else math.ceil(amount) if math.isfinite(amount) else 0


def uri(value: str, name: str) -> str:
    """Refuse what begins as a URI and cannot be taken apart as one."""
    try:
        urlsplit(value)
    except ValueError as error:
        fail(name, f"is {shown(value)}, which is no URI: {error}")
    return value


def argument_bytes(entries: Mapping[str, str]) -> int:
    """The bytes that the values take when a program is started with them; a single one that is too long is refused.

    Args:
        entries: field name -> the argument, or the ``KEY=value`` of a variable. Values are not shown in errors, since
            they may be secrets.
    """
    total = 0
    for name, entry in entries.items():
        size = len(entry.encode("utf-8", "surrogateescape"))
        if size > MAX_ARGUMENT_BYTES:
            fail(
                name,
                f"takes {size} bytes, and Linux starts no program with an argument or variable of more than "
                f"{MAX_ARGUMENT_BYTES}; put it into a file and ship that (files=), or use script= for a long command",
            )
        total += size + 9  # the terminating NUL and the pointer to it
    return total
