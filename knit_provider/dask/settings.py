"""What a cluster is to be, from its arguments and from the section ``yarn`` of dask's configuration."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.config
import yaml

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.rest.shapes import MEMORY
from knit_provider.yarn.settings import KnitSettings
from knit_provider.yarn.spec import Resources
from knit_provider.yarn.spec import fields as spec_fields
from knit_provider.yarn.units import check_int, parse_memory

if TYPE_CHECKING:
    from knit_provider.yarn.spec.files import FilesLike

dask.config.update_defaults(yaml.safe_load((Path(__file__).parent / "yarn.yaml").read_text()))

MODES = ("local", "remote")

# What a worker's Python needs beside its data before it counts any of it, and what its nanny takes.
_OWN_MIB = 64
_NANNY_MIB = 128

# Names of dask-yarn's for the same thing.
_RENAMED = {
    "environment": "env",
    "worker_memory": "memory",
    "worker_vcores": "cpus",
    "worker_gpus": "container_resources={'yarn.io/gpu': N}",
    "worker_restarts": "max_restarts",
    "scheduler_vcores": "scheduler_cpus",
    "host": "ip",
    "skein_client": "knit",
    "envvars": "worker_env",
}


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """See :class:`~knit_provider.dask.cluster.DaskYARNCluster` for what each means."""

    n_workers: int | None
    memory: int
    cpus: int
    env: str | None
    deploy_mode: str
    name: str
    queue: str
    ip: str | None
    port: int
    dashboard_address: str | None
    tags: tuple[str, ...] = ()
    container_resources: Mapping[str, int] = field(default_factory=dict)
    worker_class: str | None = None
    worker_options: Mapping[str, Any] = field(default_factory=dict)
    worker_env: Mapping[str, str] = field(default_factory=dict)
    nanny: bool = True
    files: FilesLike = None
    max_restarts: int = -1
    scheduler_memory: int = 2048
    scheduler_cpus: int = 1
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    idle_timeout: str | None = None
    app_id: str | None = None
    lifetime: int | str | None = None
    max_attempts: int = 2
    bound: bool = True
    checks: bool = True
    retire_timeout: float = 600.0

    @property
    def resources(self) -> Resources:
        """What a worker's container asks for."""
        return Resources.of(self.memory, self.cpus, self.container_resources)

    @property
    def amounts(self) -> dict[str, int]:
        """The same by YARN's names, but for virtual cores, which many clusters do not count."""
        return {MEMORY: self.memory, **self.resources.amounts()}

    @property
    def nthreads(self) -> int:
        """Threads of each worker: its virtual cores, unless ``worker_options`` says otherwise."""
        return int(self.worker_options.get("nthreads", self.cpus))

    @property
    def memory_limit(self) -> int:
        """Bytes at which a worker's data is full.

        YARN ends a container that grows above its memory, by what everything in it takes. So the limit leaves room: a
        tenth, and at least what the interpreter and the nanny take, but never more than half.
        """
        own = _OWN_MIB + (_NANNY_MIB if self.nanny else 0)
        room = min(self.memory // 2, max(self.memory // 10, own))
        return (self.memory - room) * 2**20

    def sized(self, memory: int | str | None, cpus: int | None) -> ClusterSettings:
        """The same with workers of another size."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        if memory is not None:
            known["memory"] = parse_memory(memory, "memory")
        if cpus is not None:
            known["cpus"] = check_int(cpus, "cpus", minimum=1)
        return ClusterSettings(**known)


def same(first: Any, second: Any, names: str) -> Any:
    """One value that may be given under either of two names.

    Raises:
        ConfigurationError: both are given.
    """
    if first is not None and second is not None:
        raise ConfigurationError(f"{names} mean the same; give one of them")
    return second if first is None else first


def read_settings(given: Mapping[str, Any]) -> tuple[ClusterSettings, dict[str, Any]]:
    """Settings from arguments, completed by dask's configuration, and the arguments that are for ``Knit``.

    Args:
        given: the arguments; None counts as not given.

    Raises:
        ConfigurationError: an unknown name, with the nearest known one, or a value that cannot be used.
        TypeError: a mapping as ``env``.
    """
    own = {f.name for f in fields(ClusterSettings)}
    knits = (
        set(inspect.signature(Knit).parameters) | {f.name for f in fields(KnitSettings)} | {"user", "rm", "rm_port"}
    ) - {"kwargs", "cluster", "self"}
    # No lifetime at all is something that can be asked for.
    arguments = {k: v for k, v in given.items() if k in own and (v is not None or k == "lifetime")}
    for_knit = {name: value for name, value in given.items() if value is not None and name not in own}
    for name in for_knit:
        if name in _RENAMED:
            raise ConfigurationError(f"DaskYARNCluster has no {name!r}: it is {_RENAMED[name]} here")
        near = difflib.get_close_matches(name, own, 1, 0.8)
        if name not in knits and near:
            raise ConfigurationError(f"DaskYARNCluster has no {name!r}; did you mean {near[0]}?")
    if isinstance(arguments.get("env"), Mapping):
        raise TypeError("env is the packed Python environment (a path or URI); variables of workers go into worker_env")
    user = _configured("user")
    if user and "user" not in for_knit:
        for_knit["user"] = user
    return ClusterSettings(**_checked({**_from_config(), **arguments})), for_knit


def _configured(name: str) -> Any:
    return dask.config.get(f"yarn.{name}", None)


def _from_config() -> dict[str, Any]:
    found = {
        "n_workers": _configured("worker.count"),
        "memory": _configured("worker.memory"),
        "cpus": _configured("worker.vcores"),
        "env": _configured("environment"),
        "deploy_mode": _configured("deploy-mode"),
        "name": _configured("name"),
        "queue": _configured("queue"),
        "ip": _configured("host"),
        "port": _configured("port"),
        "dashboard_address": _configured("dashboard-address"),
        "tags": _configured("tags") or (),
        "worker_class": _configured("worker.class"),
        "worker_options": _configured("worker.options") or {},
        "worker_env": _configured("worker.env") or {},
        "nanny": _configured("worker.nanny"),
        "max_restarts": _configured("worker.restarts"),
        "scheduler_memory": _configured("scheduler.memory"),
        "scheduler_cpus": _configured("scheduler.vcores"),
        "scheduler_options": _configured("scheduler.options") or {},
        "lifetime": _configured("lifetime"),
        "max_attempts": _configured("max-attempts"),
        "retire_timeout": _configured("retire-timeout"),
    }
    gpus = _configured("worker.gpus")
    if gpus:
        found["container_resources"] = {"yarn.io/gpu": check_int(gpus, "yarn.worker.gpus")}
    return found


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    if values["n_workers"] is not None:
        values["n_workers"] = check_int(values["n_workers"], "n_workers", maximum=100_000)
    for name in ("memory", "scheduler_memory"):
        values[name] = parse_memory(values[name], name)
    for name in ("cpus", "scheduler_cpus", "max_attempts"):
        values[name] = check_int(values[name], name, minimum=1)
    values["max_restarts"] = check_int(values["max_restarts"], "max_restarts", minimum=-1)
    values["port"] = check_int(values["port"], "port", maximum=65_535)
    if values["deploy_mode"] not in MODES:
        raise ConfigurationError(f"deploy_mode={values['deploy_mode']!r} is not one of {', '.join(MODES)}")
    values["retire_timeout"] = float(spec_fields.seconds(values["retire_timeout"], "retire_timeout", 1, 7 * 24 * 3600))
    values["tags"] = _tags(values["tags"])
    if values["env"] is not None:
        values["env"] = os.fspath(values["env"])
    for name in ("worker_class",):
        if isinstance(values[name], type):
            values[name] = f"{values[name].__module__}.{values[name].__qualname__}"
    values["worker_env"] = {str(name): str(value) for name, value in values["worker_env"].items()}
    return values


def _tags(given: Sequence[str] | str) -> tuple[str, ...]:
    # By this one, clusters are found among all applications.
    tags = [given] if isinstance(given, str) else list(given)
    return tuple(dict.fromkeys(["dask", *tags]))
