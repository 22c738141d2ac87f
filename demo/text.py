"""Real text that every machine with a Python has: its licences and its Python sources."""

from __future__ import annotations

import collections
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PARTS = 16
ENOUGH_BYTES = 32_000_000
LEAST_BYTES = 5_000_000


@dataclass(frozen=True)
class Text:
    """The text that was found.

    Attributes:
        parts: files to put into HDFS.
        files: how many files of the machine are in them.
        size: bytes.
        counts: how often each word occurs, as plain Python counts it.
    """

    parts: list[Path]
    files: int
    size: int
    counts: dict[str, int]


def collect(folder: Path) -> Text:
    """Gather text into a few files below ``folder`` and count its words the plain way.

    Raises:
        RuntimeError: this machine has too little.
    """
    folder.mkdir(parents=True)
    parts: list[list[bytes]] = [[] for _ in range(PARTS)]
    files = size = 0
    for path in _sources():
        try:
            content = path.read_bytes() + b"\n"
        except OSError:
            continue
        parts[files % PARTS].append(content)
        files += 1
        size += len(content)
        if size >= ENOUGH_BYTES:
            break
    if size < LEAST_BYTES:
        raise RuntimeError(f"this machine has only {size} bytes of licences and Python sources")
    counts: collections.Counter[bytes] = collections.Counter()
    written = []
    for number, contents in enumerate(parts):
        path = folder / f"part-{number:05}.txt"
        text = b"".join(contents)
        path.write_bytes(text)
        counts.update(re.findall(rb"[a-z]+", text.lower()))
        written.append(path)
    return Text(written, files, size, {word.decode(): count for word, count in counts.items()})


def _sources() -> Iterator[Path]:
    yield from sorted(p for p in Path("/usr/share/common-licenses").glob("*") if p.is_file())
    yield from sorted(Path("/usr/share/doc").glob("*/copyright"))
    for name in ("stdlib", "purelib"):
        yield from sorted(Path(sysconfig.get_path(name)).rglob("*.py"))
