"""How many workers a cluster has been granted of those it wants, and why it has no more."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from knit_provider.dask import node
from knit_provider.dask.application import SCHEDULER, WORKER
from knit_provider.dask.beginning import Beginning
from knit_provider.yarn.application import Application
from knit_provider.yarn.container import KeyValueStore
from knit_provider.yarn.errors import ApplicationMasterUnreachable, ApplicationNotFound, KnitError, WaitTimeout
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.rest.shapes import MEMORY, number, resource_of

log = logging.getLogger(__name__)

SCHEDULER_SECONDS = 300.0
_PIECE_SECONDS = 5.0
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Granted:
    """What has become of a cluster's request for workers.

    Attributes:
        wanted: containers that the application wants.
        granted: containers that YARN has given it.
        reason: why it has no more; empty where it has all, or nobody can tell.
        refused: why containers cannot run a worker; empty where they can.
        ended: how the application ended; empty where it has not.
        differs: containers whose versions are not the client's, with both.
    """

    wanted: int
    granted: int
    reason: str = ""
    refused: str = ""
    ended: str = ""
    differs: frozenset[str] = frozenset()

    def __str__(self) -> str:
        if self.ended:
            return self.ended
        text = f"{self.granted} of {self.wanted} workers have a container"
        said = "; ".join(part for part in (self.reason if self.granted < self.wanted else "", self.refused) if part)
        return f"{text}: {said}" if said else text


def address_of_scheduler(knit: Knit, app: Application, amounts: Mapping[str, int], beginning: Beginning) -> str:
    """Where the scheduler's container says that it listens.

    Waits for it as long as its application lives, at most 300 seconds; the ApplicationMaster may need them all for
    its own place in the queue.

    Args:
        knit: the cluster.
        app: the application.
        amounts: what the scheduler's container asks for, as for :func:`look`.
        beginning: says when nobody waits any more.

    Raises:
        GivenUp: nobody does.
        WaitTimeout: it is not there in time; the message has the reason.
        ApplicationFailed: the application has ended.
    """
    began = time.monotonic()
    up = False
    while True:
        beginning.refuse()
        try:
            # Waits in pieces: an application that has ended says nothing any more.
            return str(json.loads(app.kv.wait(node.SCHEDULER_KEY, _PIECE_SECONDS))["address"])
        except WaitTimeout:
            up = False
        except KnitError as e:
            report = app.report()
            if report.terminal:
                raise app.failure(report) from None
            # An ApplicationMaster may wait for its own container, and come up while nobody looks.
            if up or not isinstance(e, ApplicationMasterUnreachable):
                raise
            up = report.state == "RUNNING"
            beginning.pause(_PAUSE_SECONDS)
        waited = time.monotonic() - began
        if waited >= SCHEDULER_SECONDS:
            raise WaitTimeout(f"{app.id} has no scheduler after {waited:.0f} s, {_lacking(knit, app, amounts)}")


def _lacking(knit: Knit, app: Application, amounts: Mapping[str, int]) -> str:
    try:
        now = look(knit, app, amounts, {"0"}, service=SCHEDULER)
    except KnitError as e:
        return f"and does not say why: {e}"
    why = now.ended or now.refused or now.reason or "it does not say why"
    return f"and {now.granted} of {now.wanted} containers for it: {why}"


def look(
    knit: Knit,
    app: Application,
    amounts: Mapping[str, int],
    names: Collection[str] = (),
    *,
    service: str = WORKER,
) -> Granted:
    """Ask the ApplicationMaster and, where something is missing, the ResourceManager.

    Args:
        knit: the cluster.
        app: the application.
        amounts: what a container of the service asks for beside virtual cores, by YARN's names (memory in MiB).
        names: the workers that are wanted now; what others said is of no matter any more. They are what is wanted
            while there is no ApplicationMaster to ask.
        service: whose containers are counted (default the workers').
    """
    try:
        report = app.report()
    except ApplicationNotFound as e:
        return Granted(0, 0, ended=str(e))
    if report.terminal:
        why = report.diagnostics or "no reason given"
        return Granted(0, 0, ended=f"{app.id} has ended ({report.final_status}): {why}")
    if report.state != "RUNNING":
        why = f"{app.id} is {report.state}; {_room(knit, report.queue, amounts)}. {report.diagnostics}"
        return Granted(len(names), 0, reason=why.strip())
    # Who looks every few seconds need not wait for an ApplicationMaster that is away.
    control = app.quick_control()
    counts = control.status().get("services", {}).get(service, {})
    wanted, running = int(counts.get("target", 0)), int(counts.get("running", 0))
    said = KeyValueStore(control.kv).list("dask/")
    refused = next(
        (t for key, t in said.items() if key.startswith(node.REFUSED) and key.rpartition("/")[2] in names), ""
    )
    differs = frozenset(text for key, text in said.items() if key.startswith(node.DIFFERS))
    reason = _room(knit, report.queue, amounts) if running < wanted else ""
    return Granted(wanted, running, reason, refused, differs=differs)


def _room(knit: Knit, queue: str, amounts: Mapping[str, int]) -> str:
    """What the ResourceManager has left, in words."""
    try:
        free = [_free(node) for node in knit.yarn_api.nodes() if node.get("state") == "RUNNING"]
        own = knit.yarn_api.queue(queue)
    except KnitError as e:
        log.debug("the room in %s: %s", queue, e)
        return "the ResourceManager does not say why"
    if own is not None and own.state not in ("", "RUNNING"):
        return f"queue {queue} is {own.state}"
    if not free:
        return "no node of the cluster is running"
    full = own is not None and _share(own.raw, "absoluteUsedCapacity") >= _share(own.raw, "absoluteMaxCapacity", 100.0)
    reasons = [f"queue {queue} is full"] if full else []
    # Old ResourceManagers tell the memory of their nodes only.
    told = {name: amount for name, amount in amounts.items() if name in free[0]}
    if not any(all(amount <= node.get(name, 0) for name, amount in told.items()) for node in free):
        most = {name: max(node.get(name, 0) for node in free) for name in told}
        reasons.append(f"no node has {_words(told)} free for queue {queue}; the most of {len(free)} is {_words(most)}")
    return ", and ".join(reasons) or f"queue {queue} has not granted more yet"


def _free(node: Mapping[str, Any]) -> dict[str, int]:
    return {MEMORY: number(node.get("availMemoryMB")), **resource_of(node.get("availableResource"))}


def _words(amounts: Mapping[str, int]) -> str:
    return " and ".join(f"{n} MiB" if name == MEMORY else f"{n} {name}" for name, n in amounts.items())


def _share(raw: object, name: str, default: float = 0.0) -> float:
    try:
        return float(raw[name])  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return default
