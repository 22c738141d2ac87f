"""What is measured, and how: every figure by the user's command's own clock and the contestant's own."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests
from psutil import Process

from benchmarks.machine import wait_until_calm
from benchmarks.probe import Probe
from benchmarks.registry import FLOOR, OURS, Entry
from benchmarks.remote import ContestantFailed, Remote, application_master, java_began, rss_of
from benchmarks.timeline import DaemonLogs, spans, stamped
from knit_provider.localcluster import LocalCluster

MEMORY_MIB = 64
_START_SECONDS = 180.0
_END_SECONDS = 120.0
_LOG_SECONDS = 30.0
_SETTLE_SECONDS = 1.0
_LIVE_STATES = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Plan:
    """What one round asks of each contestant."""

    many: int = 100
    repeats: int = 3
    payload: int = 10 * 1024 * 1024
    cold_many: bool = True


@dataclass
class Results:
    """All that came out.

    ``figures`` is contestant -> figure -> its values in the order of their rounds; ``phases`` contestant -> figure ->
    for each value its phases in seconds; ``failures`` what went wrong, in words.
    """

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    phases: dict[str, dict[str, list[dict[str, float]]]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    am_logs: dict[str, list[str]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)

    def add(self, key: str, figure: str, value: float) -> None:
        """One more value of a figure."""
        self.figures.setdefault(key, {}).setdefault(figure, []).append(round(value, 4))

    def fail(self, key: str, what: str, error: Exception) -> None:
        """Something did not work; told once for each way it fails."""
        words = f"{what}: {_shorten(str(error)) or type(error).__name__}"
        told = self.failures.setdefault(key, [])
        if words not in told:
            told.append(words)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Bench:
    """Measures contestants on a cluster, one after the other."""

    def __init__(
        self,
        cluster: LocalCluster,
        env: dict[str, str],
        folder: Path,
        plan: Plan,
        results: Results,
        say: Callable[[str], None],
    ) -> None:
        """Args:
        cluster: is up.
        env: of the contestants' processes.
        folder: scratch space.
        plan: what to measure.
        results: where it goes.
        say: told what happens.
        """
        self._cluster = cluster
        self._env = env
        self._folder = folder
        self._plan = plan
        self._results = results
        self._say = say
        self._count = 0
        self._apps = f"http://{cluster.rm_web}/ws/v1/cluster/apps"

    def warm_up(self, entry: Entry, python: Path) -> None:
        """One start that does not count: caches of the machine, uploads that happen once.

        Raises:
            ContestantFailed, TimeoutError: it does not work at all.
        """
        with self._remote(entry, python) as remote:
            hello = remote.call("hello", 30)
            self._results.versions[entry.key] = hello["versions"]
            self._run(remote, 1, figure=None)

    def round(self, entry: Entry, python: Path) -> None:
        """One round of one contestant; what fails is noted, and the rest goes on."""
        plan = self._plan
        with self._remote(entry, python) as remote:
            can = self._attempt(entry, "its process", lambda: remote.call("hello", 30)) or {}
            if self._attempt(entry, "first start", lambda: self._run(remote, 1, "cold_1")) is None:
                return
            for _ in range(plan.repeats):
                self._attempt(entry, "later start", lambda: self._run(remote, 1, "warm_1"))
            if can.get("many"):
                self._attempt(entry, f"{plan.many} containers", lambda: self._run(remote, plan.many, "warm_many"))
            self._attempt(entry, "logs", lambda: self._run(remote, 1, None, payload=plan.payload))
        if can.get("many") and plan.cold_many:
            with self._remote(entry, python) as remote:
                what = f"{plan.many} containers in a fresh process"
                self._attempt(entry, what, lambda: self._run(remote, plan.many, "cold_many"))

    def _run(self, remote: Remote, instances: int, figure: str | None, payload: int = 0) -> bool:
        """Starts one application, watches it and ends it. ``figure`` None: nothing about its start is recorded."""
        self._count += 1
        key = remote.entry.key
        name = f"bench-{os.getpid()}-{self._count}"
        results = self._results
        logs = DaemonLogs(self._cluster.daemons["resourcemanager"].log, [d.log for d in self._cluster.nodes])
        probe = Probe(self._folder / name, payload)
        try:
            results.load.append(round(os.getloadavg()[0], 2))
            answer = remote.call(
                "start", _START_SECONDS, command=probe.command, instances=instances, memory=MEMORY_MIB, name=name
            )
            app_id = answer["app_id"]
            last = probe.wait_for_starts(instances, _START_SECONDS, lambda: self._why_over(app_id))[-1]
            if figure:
                took = last.time - answer["called"]
                results.add(key, figure, took)
                results.add(key, f"{figure}_returned", answer["returned"] - answer["called"])
                self._say(f"{remote.entry.title}: {figure} {took:.2f} s")
            remote.ask("wait", app_id=app_id, timeout=_END_SECONDS)
            # So that the client waits as it does in the middle of a long job.
            time.sleep(_SETTLE_SECONDS)
            if figure:
                master = application_master(app_id) if remote.entry.key != FLOOR else None
                if not figure.startswith("cold"):
                    self._memory(remote, master, "1" if instances == 1 else "many")
                began = java_began(master) if master else None
                moments = logs.moments(app_id, last.container_id, answer["called"], last.time, am_jvm=began)
                results.phases.setdefault(key, {}).setdefault(figure, []).append(
                    {phase: round(value, 4) for phase, value in spans(moments).items()}
                )
                if key.startswith(OURS):
                    self._keep_am_log(key, figure, app_id, answer["called"])
            probe.open_gate()
            known = remote.answer(_END_SECONDS + 10)["known"]
            ended = probe.ends()
            if len(ended) == instances and instances == 1 and not payload:
                results.add(key, "known", known - ended[-1].time)
            if payload:
                fetched = remote.call("logs", _END_SECONDS + 10, app_id=app_id, expected=payload, patience=_LOG_SECONDS)
                results.add(key, "logs", fetched["done"] - fetched["began"])
                self._say(f"{remote.entry.title}: logs {fetched['done'] - fetched['began']:.2f} s")
            return True
        except BaseException:
            self._kill_left_over(name)
            raise
        finally:
            probe.open_gate()

    def _memory(self, remote: Remote, master: Process | None, suffix: str) -> None:
        sizes = {
            f"am_rss_{suffix}": rss_of(master) if master else 0,
            f"jvm_rss_{suffix}": remote.jvm_rss(),
            f"python_rss_{suffix}": remote.python_rss(),
        }
        for figure, size in sizes.items():
            if size:
                self._results.add(remote.entry.key, figure, size / 1e6)

    def _keep_am_log(self, key: str, figure: str, app_id: str, called: float) -> None:
        """The first lines that our ApplicationMaster wrote, with their times since the call."""
        for path in self._cluster.directory.glob(f"nodes/*/containers/{app_id}/*_000001/stderr"):
            lines = list(stamped(path.read_text(errors="replace").splitlines()))[:40]
            self._results.am_logs[f"{key} {figure}"] = [f"{moment - called:7.3f} {text}" for moment, text in lines]

    def _why_over(self, app_id: str) -> str:
        """How an application ended that should run, "" while it runs."""
        try:
            app = requests.get(f"{self._apps}/{app_id}", timeout=30).json()["app"]
        except (requests.RequestException, ValueError, KeyError):
            return ""
        return "" if app["state"] in _LIVE_STATES else f"It is {app['state']}: {app['diagnostics']}"

    def _kill_left_over(self, name: str) -> None:
        """Ends what a start that failed has left in YARN, whether or not its contestant knows of it."""
        user = {"user.name": getpass.getuser()}
        try:
            answer = requests.get(self._apps, params={**user, "states": ",".join(_LIVE_STATES)}, timeout=30).json()
            for app in (answer["apps"] or {}).get("app", ()):
                if app["name"] == name:
                    requests.put(f"{self._apps}/{app['id']}/state", params=user, json={"state": "KILLED"}, timeout=30)
        except (requests.RequestException, ValueError, KeyError) as error:
            self._say(f"could not look for what {name} left: {error}")

    def _attempt(self, entry: Entry, what: str, action: Callable[[], _T]) -> _T | None:
        try:
            return action()
        except (ContestantFailed, TimeoutError) as error:
            self._results.fail(entry.key, what, error)
            self._say(f"{entry.title}: {what} failed: {_shorten(str(error))}")
            return None

    def _remote(self, entry: Entry, python: Path) -> Remote:
        wait_until_calm()
        return Remote(entry, python, self._env, self._folder / f"{entry.key}.log")


def _shorten(words: str) -> str:
    """The first lines of an error, without Java's stack; the whole of it is in the contestant's own log."""
    lines = [line.strip() for line in words.strip().splitlines() if not line.startswith("\tat ")]
    text = " ".join(lines[:4])
    return text if len(text) <= 500 else text[:500] + " …"


def in_turn(entries: Sequence[Entry], number: int) -> list[Entry]:
    """The contestants of a round: each round begins with another one, so that none is always first."""
    shift = number % len(entries)
    return [*entries[shift:], *entries[:shift]]
