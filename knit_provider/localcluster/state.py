"""What a cluster's folder remembers: its settings and which processes are its daemons."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from knit_provider.localcluster.process import ProcessId
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError

_VERSION = 1
_NAME = "state.json"
_MARKER = ".knit-cluster"


@dataclass
class State:
    """The content of ``state.json``.

    Attributes:
        generation: random; tells one ``up`` from the next in the same folder.
        up: whether the daemons are meant to run. False after ``down``: then only the settings count, for their ports.
        daemons: daemon -> its process; ``None`` when it was ended on purpose.
        kdc: ``host:port`` of the KDC of a cluster with Kerberos, else empty.
    """

    generation: str
    up: bool
    hadoop_version: str
    java_home: str
    java_major: int
    settings: dict[str, str]
    nodes: dict[str, dict[str, str]]
    overrides: dict[str, str] = field(default_factory=dict)
    queues: dict[str, dict[str, str]] = field(default_factory=dict)
    daemons: dict[str, ProcessId | None] = field(default_factory=dict)
    started: float = 0.0
    kdc: str = ""


def default_directory(environ: Mapping[str, str]) -> Path:
    """``$XDG_STATE_HOME/knit-provider/cluster``, by default below ``~/.local/state``."""
    base = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".local" / "state")
    return Path(base) / "knit-provider" / "cluster"


def load(root: Path) -> State | None:
    """Reads a folder's state, or ``None`` if no cluster was ever up there.

    Raises:
        ConfigurationError: the file is there and cannot be used.
    """
    path = root / _NAME
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Delete {root} if no cluster runs there.") from error
    if not isinstance(content, dict) or content.pop("version", None) != _VERSION:
        raise ConfigurationError(
            f"{path} was written by another version of knit-provider. Use that one, or delete {root}."
        )
    try:
        daemons = {name: ProcessId(**value) if value else None for name, value in content.pop("daemons").items()}
        return State(daemons=daemons, **content)
    except (TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"{path} is damaged ({error}). Delete {root} if no cluster runs there.") from error


def save(root: Path, state: State) -> None:
    """Writes a folder's state; readers see the old or the new one, never half of it."""
    path = root / _NAME
    temporary = root / f".{_NAME}.{os.getpid()}"
    temporary.write_text(json.dumps({"version": _VERSION, **asdict(state)}, indent=1) + "\n")
    temporary.replace(path)


def change(root: Path, generation: str, how: Callable[[State], object]) -> None:
    """Changes a folder's state, and keeps what other processes have changed in it.

    Args:
        root: the cluster's folder.
        generation: the run that the change is about; another run's state is left alone.
        how: makes the change in the state that it is given.
    """
    if not root.is_dir():  # deleted by now, and its processes with it
        return
    with (root / ".state.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        current = load(root)
        if current is not None and current.generation == generation:
            how(current)
            save(root, current)


def prepare_directory(root: Path) -> None:
    """Makes a folder a cluster's: private to the user, and marked so that nothing else is ever deleted as one.

    Raises:
        ConfigurationError: it cannot be made, holds something else, or has a name that Hadoop cannot take.
    """
    odd = sorted({letter for letter in str(root) if not (letter.isalnum() or letter in "/._-+@~=")})
    if odd:
        raise ConfigurationError(
            f"The cluster's folder {root} has {' '.join(repr(letter) for letter in odd)} in its name, which "
            "Hadoop takes for something else. Choose a folder with letters, digits and ._-+@~= only."
        )
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (root / _MARKER).exists():
            if any(root.iterdir()):
                raise ConfigurationError(f"{root} holds other things. Give the cluster a folder of its own.")
            root.chmod(0o700)
            (root / _MARKER).touch()
    except OSError as error:
        raise ConfigurationError(f"The cluster's folder {root} cannot be used: {error}") from error


def is_cluster_directory(root: Path) -> bool:
    """Whether ``prepare_directory`` made this folder a cluster's."""
    return (root / _MARKER).exists()


@contextmanager
def locked(root: Path, waiting: Callable[[str], None] = lambda _: None, timeout: float = 180.0) -> Iterator[None]:
    """Holds the folder's lock: one process at a time brings it up or down.

    Args:
        root: an existing cluster folder.
        waiting: told in words when somebody else holds it.
        timeout: seconds to wait for it.

    Raises:
        ClusterUnavailable: somebody else still holds it after that.
    """
    with (root / ".lock").open("w") as handle:
        deadline = time.monotonic() + timeout
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ClusterUnavailable(
                        f"Another process has been bringing the cluster in {root} up or down for {timeout:.0f} s. "
                        "Wait for it, or end it."
                    ) from None
                if not told:
                    waiting(f"another process is bringing the cluster in {root} up or down; waiting for it")
                    told = True
                time.sleep(0.1)
        yield
