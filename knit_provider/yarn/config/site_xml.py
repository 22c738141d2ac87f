"""Reads one Hadoop ``*-site.xml`` as Hadoop reads it: real XML, XInclude, ``final``; and nothing that XML can be
abused for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from knit_provider.yarn.errors import ConfigurationError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LARGEST_FILE = 16 * 2**20
"""Bytes. The largest real configuration files are some hundred kB; a device file or a log given by mistake is not."""

_INCLUDE_DEPTH = 20
_XINCLUDE = "{http://www.w3.org/2001/XInclude}"


@dataclass(frozen=True)
class Property:
    """One ``<property>``. ``value`` is None where the element holds no ``<value>``."""

    name: str
    value: str | None
    final: bool
    file: str


def read_site_xml(path: Path, include_from: Iterable[Path]) -> list[Property]:
    """Read the properties of one file and of what it includes, in document order.

    Args:
        path: the file.
        include_from: directories that XIncludes may read from. Each file's own directory is allowed too.

    Raises:
        ConfigurationError: naming the file, and the line where there is one, if it cannot be read, is not well-formed,
            declares entities, or includes something from elsewhere.
    """
    roots = [directory.resolve() for directory in include_from]
    try:
        return list(_properties_of(path, [*roots, path.parent.resolve(), path.resolve().parent], ()))
    except RecursionError:
        raise ConfigurationError(
            f"{path} has elements within elements deeper than any Hadoop configuration file"
        ) from None


def _properties_of(path: Path, roots: list[Path], including: tuple[Path, ...]) -> Iterator[Property]:
    real = path.resolve()
    if real in including or len(including) >= _INCLUDE_DEPTH:
        chain = " includes ".join(str(p) for p in (*including, real))
        raise ConfigurationError(f"{including[0]} includes itself: {chain}; remove one xi:include")
    root = _parse(path)
    if root.tag != "configuration":
        raise ConfigurationError(
            f"{path} is not a Hadoop configuration file: its root element is <{_local(root)}>, not <configuration>"
        )
    yield from _walk(root, path, roots, (*including, real))


def _walk(element: Element, path: Path, roots: list[Path], including: tuple[Path, ...]) -> Iterator[Property]:
    for child in element:
        if not isinstance(child.tag, str):  # a comment or a processing instruction
            continue
        if child.tag == "property":
            found = _property(child, path)
            if found is not None:
                yield found
        elif child.tag in (f"{_XINCLUDE}include", "include"):
            yield from _include(child, path, roots, including)
        else:
            # Hadoop reads properties at any depth, nested <configuration> elements among them.
            yield from _walk(child, path, roots, including)


def _property(element: Element, path: Path) -> Property | None:
    name, value, final = element.get("name"), element.get("value"), element.get("final")
    for child in element:
        text = "".join(child.itertext())
        if child.tag == "name":
            name = text
        elif child.tag == "value":
            value = text
        elif child.tag == "final":
            final = text
    if name is None or not name.strip():
        return None
    return Property(name.strip(), value, final == "true", str(path))


def _include(element: Element, path: Path, roots: list[Path], including: tuple[Path, ...]) -> Iterator[Property]:
    href = element.get("href")
    if not href:
        raise ConfigurationError(f"{path} has an xi:include without href; name a file there")
    target = _target(href, path, roots)
    if os.path.isfile(target):
        yield from _properties_of(target, roots, including)
        return
    fallback = next((c for c in element if _local(c) == "fallback"), None)
    if fallback is None:
        raise ConfigurationError(f"{path} includes {target}, which does not exist, and has no xi:fallback for it")
    yield from _walk(fallback, path, roots, including)


def _target(href: str, path: Path, roots: list[Path]) -> Path:
    try:
        url = urlsplit(href)
    except ValueError as e:
        raise ConfigurationError(f"{path} includes {href}, which names no file: {e}") from e
    if url.scheme not in ("", "file") or url.netloc not in ("", "localhost"):
        raise ConfigurationError(f"{path} includes {href}; only files beside it are included, never URLs")
    target = path.parent / (unquote(url.path) if url.scheme else href)
    try:
        real = target.resolve()
    except (ValueError, OSError, RuntimeError) as e:  # a NUL, or links in a circle
        raise ConfigurationError(f"{path} includes {href!r}, which cannot be looked for: {e}") from e
    if not any(real.is_relative_to(root) for root in roots):
        allowed = ", ".join(dict.fromkeys(str(root) for root in roots))
        raise ConfigurationError(
            f"{path} includes {href}, which is {real}; files are included only from the configuration's own "
            f"directories ({allowed}). Copy it there"
        )
    return target


def _parse(path: Path) -> Element:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as e:
        raise ConfigurationError(f"cannot read the Hadoop configuration file {path}: {e.strerror or e}") from e
    if len(content) > LARGEST_FILE:
        raise ConfigurationError(f"{path} is larger than {LARGEST_FILE >> 20} MiB: no Hadoop configuration file")
    try:
        root: Element = fromstring(content, forbid_entities=True, forbid_external=True)
    except ParseError as e:
        line, column = e.position
        what = str(e).split(":", 1)[0]
        raise ConfigurationError(f"{path}, line {line}, column {column + 1}: not well-formed XML ({what})") from e
    except DefusedXmlException as e:
        raise ConfigurationError(
            f"{path} declares XML entities ({type(e).__name__}); they are not expanded. Write the values out, or use "
            "${other.property} or xi:include"
        ) from e
    except (ValueError, LookupError) as e:  # an encoding that does not exist, or bytes that are not in it
        raise ConfigurationError(f"{path} cannot be decoded: {e}") from e
    return root


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
