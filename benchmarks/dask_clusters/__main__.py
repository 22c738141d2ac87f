"""``python -m benchmarks.dask_clusters``: from the call to two workers, to more and to none, beside dask-yarn 0.9."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.environments import EnvironmentBroken, python_of
from benchmarks.registry import Entry
from knit_provider.localcluster import LocalCluster

OURS = Entry("knit-provider", "knit-provider", "ours")
BARE = Entry("knit-provider-bare", "knit-provider, nanny=False", "ours")
PEER = Entry("dask_yarn", "dask-yarn 0.9, distributed 2022.6", "dask_yarn", "dask_yarn.txt")
FIGURES = {
    "scheduler": "scheduler",
    "workers": "2 workers",
    "up": "2 → {many}, processes started",
    "ready": "2 → {many}, at work",
    "floor": "CPU floor of that",
    "down": "{many} → 0, processes gone",
    "cpu": "CPU of a worker's start",
}


def run(entry: Entry, python: Path, cluster: LocalCluster, many: int) -> dict[str, float]:
    """One contestant once."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HADOOP_", "YARN_", "KNIT_", "PYTHON"))}
    environment |= {**cluster.env(), "PYTHONPATH": str(Path(__file__).parents[2])}
    environment["PATH"] = f"{cluster.hadoop_home}/bin:{environment.get('PATH', '')}"
    further = ["no-nanny"] if entry is BARE else []
    done = subprocess.run(
        [str(python), "-m", f"benchmarks.dask_clusters.{entry.module}", str(many), *further],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    if done.returncode:
        raise RuntimeError(f"{entry.title} failed:\n{done.stderr.strip()[-1500:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> int:
    """Measures and prints a table of medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dask_clusters", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of all in turn, after one that does not count")
    parser.add_argument("--many", type=int, default=20, help="workers of the large case")
    parser.add_argument("--cluster", type=Path, help="folder of an embedded cluster that is up; default one of its own")
    options = parser.parse_args()
    results: dict[Entry, list[dict[str, float]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="knit-bench-") as scratch,
        LocalCluster(options.cluster or Path(scratch) / "cluster") as cluster,
    ):
        for number in range(options.rounds + 1):
            for entry in (OURS, BARE, PEER):
                try:
                    found = run(entry, python_of(entry), cluster, options.many)
                except (EnvironmentBroken, RuntimeError, subprocess.TimeoutExpired) as e:
                    print(f"{entry.title}: {e}", file=sys.stderr)
                    continue
                print(f"round {number}: {entry.title}: {found}", file=sys.stderr)
                if number or not options.rounds:
                    results.setdefault(entry, []).append(found)
    print("| seconds, medians | " + " | ".join(title.format(many=options.many) for title in FIGURES.values()) + " |")
    print("|---" * (len(FIGURES) + 1) + "|")
    for entry, rounds in results.items():
        medians = (statistics.median(r[figure] for r in rounds) for figure in FIGURES)
        print(f"| {entry.title} | " + " | ".join(f"{m:.1f}" for m in medians) + " |")
    return 0 if len(results) == 3 else 1


if __name__ == "__main__":
    sys.exit(main())
