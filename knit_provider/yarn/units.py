"""Numbers that users give: amounts of memory and counts, checked where they enter and named in every complaint."""

from __future__ import annotations

import math
import operator
import re
from fractions import Fraction

from knit_provider.yarn.errors import ConfigurationError

LARGEST = 2**31 - 1
"""YARN carries memory (in MiB), virtual cores and counts as 32-bit integers in most of its messages."""

_MIB = 2**20
_MEMORY = re.compile(
    r"(?P<number>[+-]?\d{1,40}(?:\.\d{0,40})?|[+-]?\.\d{1,40})\s*(?P<unit>[a-z]*)", re.ASCII | re.IGNORECASE
)
_BYTES = {"b": 1}
for _power, _letter in enumerate("kmgtp", start=1):
    _BYTES[f"{_letter}b"] = 1000**_power
    # A lone letter is binary, as in -Xmx1g and in Spark's and Hadoop's settings: never less than the decimal reading.
    _BYTES[_letter] = _BYTES[f"{_letter}i"] = _BYTES[f"{_letter}ib"] = 1024**_power


def parse_memory(value: int | str, what: str = "memory", *, minimum: int = 1, maximum: int = LARGEST) -> int:
    """Turn an amount of memory into mebibytes.

    Args:
        value: an integer or a string of digits is MiB. With a suffix it is what the suffix says, rounded up to whole
            MiB: ``"2 GiB"`` (binary), ``"512 MB"`` (decimal), ``"1g"`` (a lone letter is binary).
        what: the parameter's name, for messages.
        minimum: smallest amount allowed, in MiB (default 1).
        maximum: largest amount allowed, in MiB (default 2,147,483,647).

    Returns:
        The amount in MiB.

    Raises:
        ConfigurationError: if it is not such an amount, or lies outside the limits.

    >>> parse_memory(128), parse_memory("128"), parse_memory("2 GiB"), parse_memory("512 MB"), parse_memory("1g")
    (128, 128, 2048, 489, 1024)
    """
    if not isinstance(value, str):
        try:
            return check_int(value, what, minimum=minimum, maximum=maximum)
        except ConfigurationError as e:
            raise ConfigurationError(f"{e} (MiB; or a string such as '2 GiB')") from None
    match = _MEMORY.fullmatch(value.strip())
    unit = match["unit"].lower() if match else ""
    if match is None or (unit and unit not in _BYTES) or (not unit and "." in match["number"]):
        raise ConfigurationError(
            f"{what}={_shown(value)} is not an amount of memory; give MiB as a whole number, or a string such as "
            "'2 GiB', '512 MB' or '1g'"
        )
    size = math.ceil(Fraction(match["number"]) * _BYTES[unit] / _MIB) if unit else int(match["number"])
    return _within(size, what, value, minimum, maximum, " MiB")


def check_int(value: object, what: str, *, minimum: int = 0, maximum: int = LARGEST) -> int:
    """Return ``value`` if it is a whole number within the limits.

    Booleans, floats (NaN and whole ones too) and strings are refused: each of them has been a mistake more often than
    it was meant.

    Args:
        value: what the user gave.
        what: the parameter's name, for messages.
        minimum: smallest value allowed (default 0).
        maximum: largest value allowed (default 2,147,483,647).

    Raises:
        ConfigurationError: naming the parameter, the value and what would be right.

    >>> check_int(4, "num_containers", minimum=1)
    4
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigurationError(
            f"{what}={_shown(value)} is a {type(value).__name__}, not a whole number; give an integer from {minimum} on"
        ) from None
    return _within(number, what, value, minimum, maximum, "")


def check_seconds(value: object, what: str, *, minimum: float = 0.0, maximum: float = float(LARGEST)) -> float:
    """Return ``value`` as a float if it is a finite number of seconds within the limits.

    Raises:
        ConfigurationError: for booleans, text, NaN, infinity and numbers outside the limits.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{what}={_shown(value)} is a {type(value).__name__}; give a number of seconds")
    if not minimum <= value <= maximum:  # False for NaN
        raise ConfigurationError(f"{what}={_shown(value)} is not between {minimum:g} and {maximum:g} seconds")
    return float(value)


def _within(number: int, what: str, given: object, minimum: int, maximum: int, unit: str) -> int:
    if minimum <= number <= maximum:
        return number
    limit = f"at least {minimum}" if number < minimum else f"at most {maximum}"
    raise ConfigurationError(f"{what}={_shown(given)} is out of range; it must be {limit}{unit}")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        return "<a number of thousands of digits>"
    return text if len(text) <= 60 else text[:57] + "..."
