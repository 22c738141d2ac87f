"""The YARN application of a Dask cluster: its services, and what their containers are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from distributed.security import Security

from knit_provider.dask import node
from knit_provider.dask.settings import ClusterSettings
from knit_provider.yarn import container
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.spec import ApplicationSpec, File, Resources, Service
from knit_provider.yarn.spec.files import as_files

WORKER = "dask.worker"
SCHEDULER = "dask.scheduler"

_SCRIPT = 'exec "${{PYTHON_BIN:-python3}}" knit_dask.py {role}\n'


def application_spec(settings: ClusterSettings, address: str | None) -> ApplicationSpec:
    """The application of a cluster.

    Args:
        settings: what the cluster is to be.
        address: where the scheduler is; None where a container is to run it.
    """
    worker = _service(
        settings,
        "worker",
        settings.resources,
        instances=settings.n_workers or 0,
        told={
            "address": address,
            "nthreads": settings.nthreads,
            "memory_limit": settings.memory_limit,
            "nanny": settings.nanny,
            "worker_class": settings.worker_class,
            "options": {k: v for k, v in settings.worker_options.items() if k != "nthreads"},
        },
        max_restarts=settings.max_restarts,
        when_empty="stay",
        depends_on=(SCHEDULER,) if address is None else (),
    )
    services = {WORKER: worker}
    if address is None:
        options = dict(settings.scheduler_options)
        if settings.idle_timeout is not None:
            options["idle_timeout"] = settings.idle_timeout
        size = Resources(settings.scheduler_memory, settings.scheduler_cpus)
        told = {"options": options, "cluster": described(settings)}
        scheduler = _service(settings, "scheduler", size, instances=1, told=told, when_empty="end")
        services = {SCHEDULER: scheduler, WORKER: worker}
    return ApplicationSpec(
        name=settings.name,
        queue=settings.queue,
        services=services,
        tags=settings.tags,
        lifetime=settings.lifetime,
        max_attempts=settings.max_attempts,
    )


def _service(
    settings: ClusterSettings, role: str, resources: Resources, *, told: Mapping[str, Any], **further: Any
) -> Service:
    try:
        text = json.dumps({**told, "versions": node.versions()})
    except TypeError as e:
        raise ConfigurationError(
            f"{role}_options holds something that is no JSON ({e}); options travel as text, so give names of classes "
            "instead of objects"
        ) from None
    ours = {"knit_dask.py": File(node.__file__, "FILE"), "knit_container.py": File(container.__file__, "FILE")}
    return Service(
        resources=resources,
        script=_SCRIPT.format(role=role),
        env=settings.env,
        envvars={**settings.worker_env, node.SETTINGS: text},
        files={**as_files(settings.files, "files"), **ours},
        **further,
    )


def secrets_of(security: Security | None) -> dict[str, bytes]:
    """What the containers get to prove that they belong to the cluster."""
    return {} if security is None else {node.SECURITY: node.pack_security(security)}


def described(settings: ClusterSettings) -> str:
    """What another process has to know to go on with a cluster."""
    names = ("memory", "cpus", "name", "queue", "nanny", "container_resources", "retire_timeout")
    worker = {name: getattr(settings, name) for name in names}
    return json.dumps({**worker, "worker_options": {"nthreads": settings.nthreads}})
