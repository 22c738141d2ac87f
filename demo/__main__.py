"""First half of `make demo`: what a fresh clone lacks. It runs on any Python 3 and imports nothing of the project.

The second half, demo/run.py, runs in the virtual environment that this half makes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Set up, build, and go on in the virtual environment."""
    print("knit-provider demo: a real Hadoop, a real Airflow and a DAG that counts words. Ctrl-C ends all of it.\n")
    timings = []
    for stage, target in (("Java", "java"), ("Python environment (.venv)", "setup"), ("knit.jar by Maven", "jar")):
        began = time.monotonic()
        try:
            code = subprocess.run(["make", "--no-print-directory", target], cwd=ROOT, check=False).returncode
        except KeyboardInterrupt:
            print(f"\ndemo: interrupted during `make {target}`; nothing is left running")
            sys.exit(130)
        if code:
            print(f"demo: FAILED: `make {target}` ended with {code}; its output is above")
            sys.exit(1)
        timings.append((stage, time.monotonic() - began))
    python = ROOT / ".venv" / "bin" / "python"
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(python, [str(python), "-m", "demo.run", "--timings", json.dumps(timings)])  # noqa: S606


if __name__ == "__main__":
    main()
