"""Pre-flight checks: what the cluster would refuse is refused before anything is uploaded or submitted.

What may pass by itself is no reason to refuse: queues empty, clusters grow. That is told as a warning.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.errors import CheckFailed, ClusterUnavailable, ConfigurationError, KnitError, PermissionDenied
from knit_provider.yarn.rest.queues import Queue, find_queue, largest_allocation, may_be_created, queues_of
from knit_provider.yarn.rest.shapes import MEMORY, VCORES, number, resource_of

if TYPE_CHECKING:
    from knit_provider.yarn.files.port import Files, Space
    from knit_provider.yarn.rest.yarn_api import YARNAPI

log = logging.getLogger(__name__)

MOST_TAGS = 10
LONGEST_TAG = 100
LONGEST_TYPE = 20

_WAY_OUT = "checks=False submits it all the same"


@dataclass(frozen=True)
class ContainerNeed:
    """Containers of one kind.

    Attributes:
        name: what they are, for messages: a service's name.
        resources: amounts by resource: ``memory-mb`` (MiB), ``vcores``, ``yarn.io/gpu``...
        instances: how many.
    """

    name: str
    resources: Mapping[str, int]
    instances: int = 1


@dataclass(frozen=True)
class Requirements:
    """What an application asks of its cluster.

    Attributes:
        queue: the queue it is submitted to.
        am: resources of the ApplicationMaster.
        services: its containers.
        name: its name.
        app_type: its application type.
        tags: all its tags.
        user: who submits it.
        upload_bytes: size of what has to be uploaded, at most.
        to_upload: tells it exactly, which takes a while; asked where there is not room for all.
        replication: copies that HDFS keeps of it.
    """

    queue: str
    am: Mapping[str, int]
    services: tuple[ContainerNeed, ...] = ()
    name: str = "knit"
    app_type: str = "knit"
    tags: tuple[str, ...] = ()
    user: str = ""
    upload_bytes: int = 0
    to_upload: Callable[[], int] | None = None
    replication: int = 3

    @property
    def containers(self) -> tuple[ContainerNeed, ...]:
        """The ApplicationMaster's container and all others."""
        return (ContainerNeed("the ApplicationMaster", self.am), *self.services)


@dataclass(frozen=True)
class _Cluster:
    """What the ResourceManager answered."""

    nodes: list[dict[str, Any]]
    limits: Mapping[str, int]
    queues: list[Queue]

    @property
    def running(self) -> list[dict[str, Any]]:
        return [node for node in self.nodes if node.get("state") == "RUNNING"]


def run_checks(
    requirements: Requirements, api: YARNAPI, files: Files | None = None, base: str | None = None
) -> list[str]:
    """Compare what an application asks with what its cluster would take.

    Args:
        requirements: what it asks.
        api: the cluster's REST interface, as the submitting user.
        files: the filesystem that it is staged in; None leaves that out.
        base: the directory there that it is staged below; default ``.knitDeps`` in the user's home.

    Returns:
        Warnings: what keeps the application waiting now and may pass by itself. They are logged too.

    Raises:
        CheckFailed: the cluster would refuse the application. Nothing was submitted.
        ClusterUnavailable: the ResourceManager or the filesystem cannot be reached.
    """
    _check_words(requirements)
    scheduler = api.scheduler()
    limits = largest_allocation(scheduler, requirements.queue) or api.max_allocation(requirements.queue)
    cluster = _Cluster(api.nodes(), limits, queues_of(scheduler))
    _check_queue(requirements, cluster, api)
    _check_allocations(requirements, cluster)
    warnings = [*_unhealthy_nodes(cluster), *_nodes_too_small(requirements, cluster), *_busy(requirements, cluster)]
    if files is not None:
        warnings += _check_files(requirements, files, base)
    for warning in warnings:
        log.warning("%s", warning)
    return warnings


def _check_words(requirements: Requirements) -> None:
    tags = requirements.tags
    if len(tags) > MOST_TAGS:
        raise CheckFailed(f"{len(tags)} tags are more than the {MOST_TAGS} that YARN takes: {', '.join(tags)[:200]}")
    for tag in tags:
        if not tag or len(tag) > LONGEST_TAG or not tag.isascii() or "," in tag:
            raise CheckFailed(
                f"the tag {tag[:120]!r} is none that YARN takes: 1 to {LONGEST_TAG} ASCII characters, without commas"
            )
    if len(requirements.app_type) > LONGEST_TYPE:
        raise CheckFailed(
            f"the application type {requirements.app_type!r} is longer than YARN's {LONGEST_TYPE} characters"
        )


# -- queue ------------------------------------------------------------------------------------------------------------


def _check_queue(requirements: Requirements, cluster: _Cluster, api: YARNAPI) -> None:
    name = requirements.queue
    if not cluster.queues:
        return
    queue = find_queue(cluster.queues, name)
    if queue is None:
        if may_be_created(cluster.queues, name):
            return
        raise CheckFailed(
            f"there is no queue {name!r} on the cluster; there are {_leaves(cluster.queues)}. Where placement rules "
            f"send applications elsewhere, {_WAY_OUT}"
        )
    if not queue.leaf:
        raise CheckFailed(f"the queue {name!r} holds queues, not applications; there are {_leaves(cluster.queues)}")
    if queue.state not in ("", "RUNNING"):
        raise CheckFailed(
            f"the queue {name!r} is {queue.state} and takes no applications; ask who runs the cluster, or submit to "
            f"another: {_leaves(cluster.queues)}"
        )
    if api.may_submit(name, requirements.user or None) is False:
        raise CheckFailed(
            f"user {requirements.user or api.user} may not submit to the queue {name!r} (its ACL); ask who runs the "
            f"cluster, or submit to another: {_leaves(cluster.queues)}"
        )


def _leaves(queues: list[Queue]) -> str:
    leaves = [queue.name for queue in queues if queue.leaf and queue.state in ("", "RUNNING")]
    return ", ".join(leaves[:20]) + (" and more" if len(leaves) > 20 else "") if leaves else "none that are open"


# -- size -------------------------------------------------------------------------------------------------------------


def _check_allocations(requirements: Requirements, cluster: _Cluster) -> None:
    if not cluster.limits:
        return
    for need in requirements.containers:
        for name, amount in need.resources.items():
            if amount <= 0:
                continue
            limit = cluster.limits.get(name)
            if limit is None:
                raise CheckFailed(
                    f"{need.name} asks for {amount} {name}, a resource that the cluster does not define; it has "
                    f"{', '.join(sorted(cluster.limits))}"
                )
            if amount > limit:
                raise CheckFailed(
                    f"{need.name} asks for {_amount(name, amount)}, more than the {_amount(name, limit)} that a "
                    f"container may have in the queue {requirements.queue!r} (yarn.scheduler.maximum-allocation-*); "
                    "ask for less, or for more containers"
                )


def _nodes_too_small(requirements: Requirements, cluster: _Cluster) -> Iterator[str]:
    sizes = [_capacity(node) for node in cluster.running]
    if not sizes:
        yield "the cluster has no running node now; the application waits until there is one"
        return
    largest = " and ".join(_amount(name, max(size.get(name, 0) for size in sizes)) for name in (MEMORY, VCORES))
    for need in requirements.containers:
        if any(_fits(need.resources, size) for size in sizes):
            continue
        asked = ", ".join(_amount(name, amount) for name, amount in need.resources.items() if amount > 0)
        too_small = f"no node of the cluster is large enough for {need.name} ({asked}); the largest has {largest}"
        if need.resources is requirements.am:
            # The ResourceManager's limit for new requests is the largest node that it has, if that is below the
            # configured one, and an application whose ApplicationMaster exceeds it does not get in.
            raise CheckFailed(f"{too_small}. Ask for less")
        yield f"{too_small}. YARN gives no such container before a larger node joins"


def _busy(requirements: Requirements, cluster: _Cluster) -> Iterator[str]:
    if not cluster.running:
        return
    for name in (MEMORY, VCORES):
        key = "availMemoryMB" if name == MEMORY else "availableVirtualCores"
        wanted = sum(need.resources.get(name, 0) * need.instances for need in requirements.containers)
        free = sum(number(node.get(key)) for node in cluster.running)
        if wanted > free:
            yield (
                f"the application wants {_amount(name, wanted)} in all and the cluster has {_amount(name, free)} free "
                "now; part of it waits"
            )


def _unhealthy_nodes(cluster: _Cluster) -> Iterator[str]:
    ill = [node for node in cluster.nodes if node.get("state") == "UNHEALTHY"]
    if ill:
        words = str(ill[0].get("healthReport") or "no reason given").strip()
        yield f"{len(ill)} of {len(cluster.nodes)} nodes are unhealthy, {ill[0].get('id')} for one: {words[:300]}"


def _capacity(node: Mapping[str, Any]) -> dict[str, int]:
    if total := resource_of(node.get("totalResource")):
        return total
    return {
        MEMORY: number(node.get("usedMemoryMB")) + number(node.get("availMemoryMB")),
        VCORES: number(node.get("usedVirtualCores")) + number(node.get("availableVirtualCores")),
    }


def _fits(asked: Mapping[str, int], size: Mapping[str, int]) -> bool:
    # Old ResourceManagers tell memory and cores of their nodes only.
    return all(amount <= size[name] for name, amount in asked.items() if name in size)


def _amount(name: str, amount: int) -> str:
    return {MEMORY: f"{amount} MiB", VCORES: f"{amount} vcores"}.get(name, f"{amount} {name}")


# -- filesystem -------------------------------------------------------------------------------------------------------


def _check_files(requirements: Requirements, files: Files, base: str | None) -> list[str]:
    home = files.uri_home()
    base = base or f"{home}/.knitDeps"
    try:
        _try_to_write(files, base)
    except ClusterUnavailable:
        raise
    except (PermissionDenied, ConfigurationError) as e:
        missing = "" if files.status(home) is not None else f" {home} does not exist; ask who runs the cluster for it."
        raise CheckFailed(
            f"nothing can be written below {base}: {e}.{missing} Or name a directory that you may write: hdfs_home="
        ) from e
    return _check_room(requirements, files, home if base.startswith(f"{home}/") else base)


def _try_to_write(files: Files, base: str) -> None:
    """Make a directory and remove it: modes, ACLs, safe mode and name quotas decide together, so it takes a try."""
    probe = f"{base}/.check-{uuid.uuid4().hex}"
    files.mkdirs(base, "700")
    files.mkdirs(probe, "700")
    files.delete(probe, recursive=True)


def _check_room(requirements: Requirements, files: Files, path: str) -> list[str]:
    need = requirements.upload_bytes * requirements.replication
    try:
        space = files.free(path)
    except ClusterUnavailable:
        raise
    except KnitError as e:
        log.debug("room at %s: %s", path, e)
        return []
    left = _quota_left(space)
    if requirements.to_upload is not None and any(room is not None and need > room for room in (left, space.remaining)):
        requirements = replace(requirements, upload_bytes=requirements.to_upload(), to_upload=None)
        need = requirements.upload_bytes * requirements.replication
    if left is not None and need > left:
        raise CheckFailed(
            f"{requirements.upload_bytes} bytes have to be uploaded, {need} with {requirements.replication} copies, "
            f"and the space quota of {path} leaves {max(left, 0)}; remove something, ask for a larger quota, or upload "
            "fewer copies (replication_factor=)"
        )
    if space.remaining is not None and need > space.remaining:
        return [
            f"{need} bytes are to be uploaded ({requirements.replication} copies of {requirements.upload_bytes}) and "
            f"the filesystem has {space.remaining} left"
        ]
    return []


def _quota_left(space: Space) -> int | None:
    # HDFS tells -1 where no quota is set, and some answers pass that through.
    if space.space_quota is None or space.space_quota < 0:
        return None
    return space.space_quota - (space.space_used or 0)
