"""``python -m benchmarks``: see README.md beside this file."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.environments import EnvironmentBroken, python_of
from benchmarks.measure import Bench, Plan, Results, in_turn
from benchmarks.registry import ENTRIES, Entry
from benchmarks.remote import ContestantFailed
from benchmarks.report import expectations, markdown
from knit_provider.localcluster import LocalCluster

_HERE = Path(__file__).parent
# The container count, the log size and the repetitions of --quick.
_QUICK = Plan(many=10, repeats=1, payload=1024 * 1024, cold_many=False)

# Hadoop's own default. The embedded cluster is quicker to give an AM up than a slow one may need on a busy machine.
_OVERRIDES = {"yarn.am.liveness-monitor.expiry-interval-ms": "600000"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the tables and writes them down."""
    options = _options(arguments)
    # Ends like Ctrl-C does: with the cluster down and the scratch folder gone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = _QUICK if options.quick else Plan(many=options.containers, repeats=options.repeats)
    rounds = options.rounds or (1 if options.quick else 5)
    entries = [entry for entry in ENTRIES if not options.only or entry.key in options.only]
    results = Results()
    ready = _environments(entries, results)
    with tempfile.TemporaryDirectory(prefix="knit-bench-") as scratch:
        folder = Path(scratch)
        directory = options.cluster or folder / "cluster"
        own: dict[str, Any] = {} if options.cluster else {"nodes": options.nodes, "overrides": _OVERRIDES}
        with LocalCluster(directory, **own) as cluster:
            _say(f"Hadoop {cluster.hadoop_version} is up, {len(cluster.nodes)} NodeManager(s)")
            bench = Bench(cluster, _environment(cluster), folder, plan, results, _say)
            _measure(bench, ready, rounds, results)
            about: dict[str, Any] = {
                "date": date.today().isoformat(),
                "command": _command(options, arguments),
                "rounds": rounds,
                "many": plan.many,
                "payload": plan.payload,
                "machine": machine.facts(cluster.env()["JAVA_HOME"]),
                "hadoop": cluster.hadoop_version,
                "nodes": len(cluster.nodes),
                "heartbeat": cluster.settings["yarn.resourcemanager.nodemanagers.heartbeat-interval-ms"],
                "scheduling": _scheduling(cluster.daemons["resourcemanager"].log),
            }
        text = machine.scrub(markdown(results, entries, about), folder, Path(directory))
        data = machine.scrub(json.dumps({"about": about, **results.as_dict()}, indent=1), folder, Path(directory))
    print(text)
    name = about["date"] + ("-quick" if options.quick else "")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{name}.md").write_text(text)
    (options.output / f"{name}.json").write_text(data + "\n")
    _say(f"written to {options.output / name}.md and .json")
    return int(any(met is False for _, _, met in expectations(results, plan.many))) if options.check else 0


def _measure(bench: Bench, pythons: dict[Entry, Path], rounds: int, results: Results) -> None:
    able = []
    for entry, python in pythons.items():
        _say(f"{entry.title}: one start that does not count")
        try:
            bench.warm_up(entry, python)
        except (ContestantFailed, TimeoutError) as error:
            results.fail(entry.key, "does not run here", error)
            _say(f"{entry.title} does not run here: {error}")
        else:
            able.append(entry)
    for number in range(rounds if able else 0):
        for entry in in_turn(able, number):
            _say(f"round {number + 1} of {rounds}: {entry.title}")
            bench.round(entry, pythons[entry])


def _environments(entries: Sequence[Entry], results: Results) -> dict[Entry, Path]:
    ready = {}
    for entry in entries:
        try:
            ready[entry] = python_of(entry)
        except EnvironmentBroken as error:
            results.fail(entry.key, "its environment cannot be built", error)
            _say(f"{entry.title}: its environment cannot be built: {error}")
    return ready


def _environment(cluster: LocalCluster) -> dict[str, str]:
    """The contestants' environment: the caller's, with this cluster as the only Hadoop in it."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HADOOP_", "YARN_", "KNIT_"))}
    # The caller's interpreter settings are not the peers'.
    for key in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        env.pop(key, None)
    env.update(cluster.env())
    env["PATH"] = os.pathsep.join([f"{cluster.hadoop_home}/bin", f"{env['JAVA_HOME']}/bin", env.get("PATH", "")])
    env["SKEIN_CONFIG"] = str(_HERE / ".peers" / "skein-config")
    return env


def _scheduling(log: Path) -> str:
    """How the CapacityScheduler said it finds nodes: it decides about a wait that all contestants share."""
    text = log.read_text(errors="replace")
    if "asynchronousScheduling=true" in text:
        return "asynchronous"
    return "heartbeat-driven" if "asynchronousScheduling=false" in text else "unknown"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="knit-provider beside Skein and Knit.")
    parser.add_argument(
        "--quick", action="store_true", help="one round, 10 containers, 1 MB of logs: does it all work?"
    )
    parser.add_argument("--rounds", type=int, help="rounds of all contestants in turn (default 5; 1 with --quick)")
    parser.add_argument("--repeats", type=int, default=3, help="later calls in each round (default 3)")
    parser.add_argument("--containers", type=int, default=100, help="containers of the large case (default 100)")
    parser.add_argument("--nodes", type=int, default=2, help="NodeManagers of the cluster (default 2)")
    parser.add_argument("--only", action="append", choices=[e.key for e in ENTRIES], help="take part; may be repeated")
    parser.add_argument("--cluster", type=Path, help="folder of an embedded cluster that is up; default one of its own")
    parser.add_argument("--output", type=Path, default=_HERE / "results", help="folder for the results")
    parser.add_argument("--check", action="store_true", help="exit with 1 if something expected was not met")
    options = parser.parse_args(arguments)
    for name in ("rounds", "repeats", "containers", "nodes"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} is {value}; it is at least 1")
    return options


def _command(options: argparse.Namespace, arguments: Sequence[str] | None) -> str:
    given = list(sys.argv[1:] if arguments is None else arguments)
    hidden = {str(path) for path in (options.cluster, options.output) if path}
    return shlex.join(["python", "-m", "benchmarks", *("FOLDER" if word in hidden else word for word in given)])


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
