"""``python -m benchmarks.waiting``: what a worker has of a Python process that submits without a JVM and waits.

Of each fresh process: from its start to the user's command running, how long a later call of ``start`` alone takes, and
its resident memory while it waits. With ``--kerberos`` on a cluster that wants tickets.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks import machine
from benchmarks.probe import Probe
from benchmarks.remote import rss_of
from knit_provider.localcluster import LocalCluster

_HERE = Path(__file__).parent
_TIMEOUT = 180.0
_SETTLE_SECONDS = 1.0
# Figure -> what is expected of it, simple and with Kerberos, and its unit.
_EXPECTED = {
    "fresh process -> command running": ((2.0, 2.0), "s"),
    "a later call of start alone": ((0.05, 0.3), "s"),
    "resident memory while it waits": ((80.0, 80.0), "MB"),
}

# Says on its standard output what happened, and does the next thing when it is told to.
_PROCESS = """
import json, sys, time
from knit_provider import Knit
knit = Knit(bridge="rest", **json.loads(sys.argv[1]))
for line in sys.stdin:
    if line.strip() == "wait":
        knit.wait_for_completion(timeout=None)
        print("{}", flush=True)
        continue
    began = time.time()
    app_id = knit.start(json.loads(line), memory=64)
    print(json.dumps({"id": app_id, "took": time.time() - began}), flush=True)
knit.close()
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints a table and writes it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--kerberos", action="store_true", help="on a cluster with Kerberos")
    parser.add_argument(
        "--rounds", type=int, default=5, help="fresh processes (default 5), after one that is not counted"
    )
    parser.add_argument("--calls", type=int, default=3, help="later calls in each (default 3)")
    parser.add_argument("--cluster", type=Path, help="folder of an embedded cluster that is up; default one of its own")
    parser.add_argument("--output", type=Path, default=_HERE / "results", help="folder for the results")
    parser.add_argument("--check", action="store_true", help="exit with 1 if something expected was not met")
    options = parser.parse_args(arguments)
    figures: dict[str, list[float]] = {name: [] for name in _EXPECTED}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="knit-bench-")))
        folder = options.cluster or scratch / "cluster"
        own: dict[str, Any] = {} if options.cluster else {"nodes": 1, "kerberos": options.kerberos}
        cluster = stack.enter_context(LocalCluster(folder, **own))
        for number in range(options.rounds + 1):
            found = _round(cluster, options.kerberos, scratch / str(number), options.calls)
            if number:
                for name, values in found.items():
                    figures[name] += values
            print(f"{time.strftime('%H:%M:%S')}  {number or 'warm-up'}: {found}", file=sys.stderr, flush=True)
        about = {
            "date": date.today().isoformat(),
            "kerberos": options.kerberos,
            "hadoop": cluster.hadoop_version,
            "rounds": options.rounds,
            "machine": machine.facts(cluster.env()["JAVA_HOME"]),
        }
    text, met = _table(figures, options.kerberos)
    print(text)
    name = f"{about['date']}-waiting{'-kerberos' if options.kerberos else ''}.json"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / name).write_text(json.dumps({"about": about, "figures": figures}, indent=1) + "\n")
    return int(options.check and not met)


def _round(cluster: LocalCluster, kerberos: bool, folder: Path, calls: int) -> dict[str, list[float]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HADOOP_", "YARN_", "KNIT_", "JAVA_"))}
    login = {}
    if kerberos:
        realm = cluster.realm
        environment |= realm.environment()
        login = {"principal": realm.principal("knit"), "keytab": str(realm.keytab("knit"))}
    settings = json.dumps({"hadoop_conf_dir": str(cluster.conf_dir), **login})
    probes = [Probe(folder / str(number)) for number in range(calls + 1)]
    began = time.time()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROCESS, settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Java would be a mistake here, so there is none to be found.
        env={**environment, "PATH": "/usr/bin:/bin"},
    )
    took = []
    try:
        for number, probe in enumerate(probes):
            answer = _ask(process, json.dumps(probe.command))
            stamp = probe.wait_for_starts(1, _TIMEOUT, lambda: "" if process.poll() is None else "its process ended")[0]
            if number == 0:
                running = stamp.time - began
            else:
                took.append(answer["took"])
        _tell(process, "wait")
        time.sleep(_SETTLE_SECONDS)
        me = psutil.Process(process.pid)
        assert not me.children(recursive=True), "nothing but Python runs here"
        memory = rss_of(me) / 1e6
    finally:
        for probe in probes:
            probe.open_gate()
        try:
            process.communicate(timeout=_TIMEOUT)
        finally:
            process.kill()
            process.wait()
    return dict(zip(_EXPECTED, ([running], took, [memory]), strict=True))


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _ask(process: subprocess.Popen[str], line: str) -> dict[str, Any]:
    assert process.stdout is not None
    _tell(process, line)
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError(f"the process ended with {process.wait(10)}")
    return dict(json.loads(answer))


def _table(figures: Mapping[str, Sequence[float]], kerberos: bool) -> tuple[str, bool]:
    rows, met = ["| figure | median | smallest .. largest | expected |", "|---|---|---|---|"], True
    for name, values in figures.items():
        most, unit = _EXPECTED[name][0][kerberos], _EXPECTED[name][1]
        met &= median(values) <= most
        shown = [
            f"{value:.3f}" if unit == "s" else f"{value:.0f}" for value in (median(values), min(values), max(values))
        ]
        rows.append(f"| {name} | {shown[0]} {unit} | {shown[1]} .. {shown[2]} | at most {most:g} {unit} |")
    return "\n".join(rows), met


if __name__ == "__main__":
    sys.exit(main())
