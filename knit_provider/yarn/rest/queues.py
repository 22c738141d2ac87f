"""Queues, as the capacity, fair and FIFO schedulers describe them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from knit_provider.yarn.rest.shapes import items, resource_of


@dataclass(frozen=True)
class Queue:
    """One queue.

    Attributes:
        name: its own name.
        path: its full path, such as ``root.sales.daily``.
        state: ``RUNNING``, ``STOPPED`` or ``DRAINING``; empty where the scheduler has no states.
        leaf: whether applications go into it (rather than into queues below it).
        creates_queues: whether submitting to a name below it makes a queue.
        max_allocation: largest container it allows, by resource; empty where only the cluster's limit holds.
        raw: the scheduler's own description.
    """

    name: str
    path: str
    state: str
    leaf: bool
    creates_queues: bool
    max_allocation: Mapping[str, int]
    raw: Mapping[str, Any] = field(repr=False)


def queues_of(scheduler: Mapping[str, Any]) -> list[Queue]:
    """All queues of the answer of ``cluster/scheduler``, parents before their children."""
    info = scheduler.get("schedulerInfo")
    if not isinstance(info, Mapping):
        return []
    root = info.get("rootQueue")
    if isinstance(root, Mapping):  # the fair scheduler
        return list(_walk(root, ""))
    if info.get("type") == "fifoScheduler":
        return [Queue("default", "root.default", str(info.get("qstate") or ""), True, False, {}, info)]
    return list(_walk(info, ""))


def largest_allocation(scheduler: Mapping[str, Any], queue: str | None = None) -> dict[str, int]:
    """The largest container that a queue (default any) allows, by resource; empty where the scheduler doesn't tell."""
    named = find_queue(queues_of(scheduler), queue) if queue else None
    if named is not None and named.max_allocation:
        return dict(named.max_allocation)
    info = scheduler.get("schedulerInfo")
    return resource_of(info.get("maximumAllocation")) if isinstance(info, Mapping) else {}


def find_queue(queues: list[Queue], name: str) -> Queue | None:
    """The queue that a submission to ``name`` reaches: a leaf's own name, or a path with or without ``root``."""
    paths = (name, f"root.{name}")
    exact = next((queue for queue in queues if queue.path in paths), None)
    return exact or next((queue for queue in queues if queue.leaf and queue.name == name), None)


def may_be_created(queues: list[Queue], name: str) -> bool:
    """Whether submitting to ``name``, which does not exist, may make the queue."""
    path = name if name == "root" or name.startswith("root.") else f"root.{name}"
    above = path.rpartition(".")[0]
    while above:
        parent = next((queue for queue in queues if queue.path == above), None)
        if parent is not None:
            return parent.creates_queues
        above = above.rpartition(".")[0]
    return False


def acl_allows(queues: list[Queue], queue: Queue, user: str) -> bool | None:
    """What the queues' access control lists say about ``user`` submitting to ``queue``.

    Whoever may submit to, or administer, a queue or one above it may submit. None where the scheduler doesn't tell the
    lists, or where they name groups: who is in those only the ResourceManager knows.
    """
    by_path = {known.path: known for known in queues}
    path, told, groups = queue.path, False, False
    while path:
        lists = items(by_path[path].raw, "queueAcls", "queueAcl") if path in by_path else []
        for acl in lists:
            if acl.get("accessType") not in ("SUBMIT_APP", "SUBMIT_APPLICATIONS", "ADMINISTER_QUEUE"):
                continue
            told = True
            text = str(acl.get("accessControlList", ""))
            users, _, named_groups = text.partition(" ")
            if text.strip() == "*" or user in [name.strip() for name in users.split(",")]:
                return True
            groups |= bool(named_groups.strip())
        path = path.rpartition(".")[0]
    return False if told and not groups else None


def _walk(queue: Mapping[str, Any], above: str) -> Iterator[Queue]:
    name = str(queue.get("queueName") or "root")
    path = str(queue.get("queuePath") or "")
    if not path:
        # The fair scheduler's names are paths; older capacity schedulers tell only the last part.
        path = name if not above or name.startswith(f"{above}.") else f"{above}.{name}"
    below = items(queue, "queues", "queue") or items(queue, "childQueues", "queue") or items(queue, "childQueues")
    kind = str(queue.get("queueType") or "")
    # The fair scheduler makes undeclared queues unless told otherwise, and doesn't say which over REST.
    fair = "childQueues" in queue or str(queue.get("type", "")).startswith("fairScheduler")
    creates = queue.get("autoCreationEligibility") not in (None, "off") or bool(
        queue.get("autoCreateChildQueueEnabled")
    )
    yield Queue(
        name=path.rpartition(".")[2],
        path=path,
        state=str(queue.get("state") or ""),
        leaf=kind == "leaf" if kind else not below and path != "root",
        creates_queues=fair or creates,
        max_allocation=resource_of(queue.get("maximumAllocation") or queue.get("maxContainerAllocation")),
        raw=queue,
    )
    for child in below:
        yield from _walk(child, path)
