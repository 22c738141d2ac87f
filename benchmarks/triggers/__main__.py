"""``python -m benchmarks.triggers``: 500 triggers of this project beside 500 of Livy's, each against a stub server."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.environments import python_of
from benchmarks.registry import Entry

ROOT = Path(__file__).resolve().parents[2]
LIVY = Entry("livy-trigger", "Livy's trigger", "", "livy_trigger.txt")
OWN = Entry("knit-trigger", "KnitTrigger", "")
ROWS = (
    ("requests_per_second", "requests per second to the server"),
    ("kib_per_second", "KiB per second from the server"),
    ("cpu_percent", "CPU of the triggerer's process, % of a core"),
    ("loop_blocked_ms", "longest time that the event loop was held up, ms"),
)


def measured(kind: str, entry: Entry, arguments: list[str]) -> dict[str, float]:
    """Run one contestant against a stub of its own."""
    stub = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.triggers.stub"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert stub.stdout is not None
        port = int(stub.stdout.readline())
        # Livy's hook takes a user only with a password.
        kind_of = {"conn_type": "livy"} if kind == "livy" else {"conn_type": "yarn", "login": "etl"}
        connection = {**kind_of, "host": "127.0.0.1", "port": port}
        with tempfile.TemporaryDirectory(prefix="knit-bench-") as home:
            env = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
            env |= {
                "AIRFLOW_HOME": home,
                "AIRFLOW_CONN_BENCH": json.dumps(connection),
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
                "PYTHONPATH": str(ROOT),
            }
            done = subprocess.run(
                [str(python_of(entry)), "-m", "benchmarks.triggers.contestant", kind, "--port", str(port), *arguments],
                cwd=ROOT,
                env=env,
                capture_output=True,
                text=True,
                timeout=1200,
            )
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if not lines:
            raise SystemExit(f"{entry.title} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
        found: dict[str, float] = json.loads(lines[-1].removeprefix("RESULT "))
        return found
    finally:
        stub.kill()
        stub.wait()


def main() -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", default="500", help="triggers of each")
    parser.add_argument("--interval", default="10", help="their poll interval, in seconds")
    parser.add_argument("--settle", default="90", help="seconds before counting begins")
    parser.add_argument("--seconds", default="60", help="seconds to count for")
    options = parser.parse_args()
    arguments = [part for name, value in vars(options).items() for part in (f"--{name}", value)]
    own, livy = measured("knit", OWN, arguments), measured("livy", LIVY, arguments)
    print(f"| {options.count} triggers, a look each {options.interval} s | {OWN.title} | {LIVY.title} |")
    print("|---|---:|---:|")
    for key, title in ROWS:
        print(f"| {title} | {own[key]:.1f} | {livy[key]:.1f} |")
    for name, found in ((OWN.title, own), (LIVY.title, livy)):
        if found["ended"]:
            raise SystemExit(f"{name}: {found['ended']:.0f} triggers ended before their time; the figures mean nothing")


if __name__ == "__main__":
    main()
