"""Compiled Python in an archive that nobody may write to.

A ``.pyc`` is tied to its source's modification time, which no archive of ours keeps: Python would compile every module
anew in every container. So each one is tied to its source's hash instead, and marked as not to be checked.
"""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from knit_provider.environments.gzipping import cores
from knit_provider.environments.progress import Progress
from knit_provider.yarn.errors import EnvironmentBuildError

_HEADER = 16
_UNCHECKED = 1
_PARTS = 4
"""How many interpreters compile an environment: a fixed number, since what one compiles first may change its bytes."""
_TIMEOUT = 1800

_COMPILER = """
import py_compile, sys
for line in sys.stdin.buffer.read().split(b"\\0"):
    if line:
        path = line.decode("utf-8", "surrogateescape")
        try:
            py_compile.compile(path, dfile=path, doraise=True, quiet=2,
                               invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        except (py_compile.PyCompileError, OSError, ValueError, RecursionError):
            pass  # a template or another version's module; it fails where it is imported, if it is
"""


def is_cached_bytecode(target: str) -> bool:
    """Whether a file is a compiled module beside its source (not one in its source's place)."""
    return target.endswith(".pyc") and "__pycache__" in target.split("/")


def detached(path: str) -> bytes | None:
    """The bytes of a ``.pyc`` that depend on no modification time.

    Args:
        path: of the ``.pyc``; its source lies where Python looks for it.

    Returns:
        None if it is of no use: without a source, or older or newer than it.
    """
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < _HEADER:
        return None
    flags, modified, size = struct.unpack_from("<LLL", data, 4)
    try:
        source = importlib.util.source_from_cache(path)
        status = os.stat(source)
        if flags == 0 and (modified, size) != (int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF):
            return None
        with open(source, "rb") as file:
            digest = importlib.util.source_hash(file.read())
        # Hashes depend on Python's version: another one's cannot be compared.
        if flags and data[:4] == importlib.util.MAGIC_NUMBER and data[8:_HEADER] != digest:
            return None
    except (OSError, ValueError):
        return None
    return data[:4] + struct.pack("<L", _UNCHECKED) + digest + data[_HEADER:]


def compile_all(prefix: Path, python: Path, modules: Sequence[str], progress: Progress) -> None:
    """Compile modules with an environment's own Python; the same modules give the same bytes.

    Args:
        prefix: of the environment.
        python: its interpreter.
        modules: paths below ``prefix``.

    Raises:
        EnvironmentBuildError: the interpreter does not run here.
    """
    ordered = sorted(modules)
    size = -(-len(ordered) // _PARTS)
    parts = [ordered[start : start + size] for start in range(0, len(ordered), size)] if ordered else []
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
    at_once = cores()
    with progress.stage("compile", len(ordered), unit="files") as stage:
        for start in range(0, len(parts), at_once):
            running = [(_start(prefix, python, environment), part) for part in parts[start : start + at_once]]
            for process, part in running:
                _feed(process, part, python)
                stage.advance(len(part))


def _start(prefix: Path, python: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [str(python), "-I", "-S", "-c", _COMPILER],
            cwd=prefix,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise EnvironmentBuildError(f"the environment's Python does not run on this machine: {error}") from error


def _feed(process: subprocess.Popen[bytes], part: Sequence[str], python: Path) -> None:
    try:
        _, said = process.communicate(b"\0".join(os.fsencode(name) for name in part), timeout=_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise EnvironmentBuildError(f"{python} compiled {len(part)} modules for more than {_TIMEOUT} s") from error
    if process.returncode:
        reason = said.decode(errors="replace").strip().splitlines()
        raise EnvironmentBuildError(
            f"the environment's Python does not run on this machine (exit code {process.returncode}): "
            f"{reason[-1] if reason else 'it said nothing'}"
        )
