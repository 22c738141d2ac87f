"""A small process that ends a cluster's daemons when whoever was to look after them is gone.

Whoever starts a cluster starts this first, and holds the other end of its standard input. The word ``keep`` there means
that the cluster may live on by itself; the end of input without it means that the starter died, however it died.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import knit_provider

# Guards of clusters that are to end with this process, held here so that no garbage collection closes their
# pipe sooner.
_held: set[Guard] = set()


class Guard:
    """The starter's side."""

    def __init__(self, root: Path, generation: str, *, delete: bool) -> None:
        """Starts the guard.

        Args:
            root: the cluster's folder.
            generation: the run to end; a later one in the same folder is left alone.
            delete: also delete the folder then.
        """
        package = str(Path(knit_provider.__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        with (root / "logs" / "guard.out").open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(root), generation, *(["delete"] if delete else [])],
                env={**os.environ, "PYTHONPATH": path},
                cwd=root,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def hold(self) -> None:
        """Keeps watch until ``dismiss`` or the end of this process."""
        _held.add(self)

    def dismiss(self) -> None:
        """Tells the guard that there is nothing left to look after, and waits for its end."""
        _held.discard(self)
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(b"keep\n")
                self._process.stdin.close()
            except OSError:
                pass
            self._process.stdin = None
        self._process.wait()


def main() -> None:
    """The guard's side: waits for the end of input, and ends the cluster unless told to keep it."""
    root, generation = sys.argv[1:3]
    if sys.stdin.readline().strip() == "keep":
        return
    from knit_provider.localcluster.cluster import end_generation

    end_generation(Path(root), generation, delete="delete" in sys.argv[3:])


if __name__ == "__main__":
    main()
