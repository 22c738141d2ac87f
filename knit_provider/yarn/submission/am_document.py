"""The document that tells the ApplicationMaster everything it has to know.

It is localized beside the ApplicationMaster, which needs nothing more from its submitter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knit_provider.yarn.bridge.base import LocalResource
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.spec import ApplicationSpec, Service
from knit_provider.yarn.submission.scripts import MASTER_SCRIPT, RUN_SCRIPT

VERSION = 1
LEASE_SECONDS = 90


def am_document(
    spec: ApplicationSpec,
    *,
    application_id: str,
    submission_id: str,
    user: str,
    secure: bool,
    staging_dir: str,
    ledger_file: str,
    local_resources: Mapping[str, Mapping[str, LocalResource]],
    am_resources: Mapping[str, LocalResource] | None = None,
    bound: bool | None = None,
    lease_seconds: int = LEASE_SECONDS,
    lifetime_seconds: int | None = None,
    hadoop_conf: Mapping[str, str] | None = None,
    keytab: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe an application to its ApplicationMaster.

    Args:
        spec: what to run. Scripts, arguments and variables are not part of the document: they are in the services'
            own scripts.
        application_id: YARN's id.
        submission_id: random, of this one submission: it tells a second submission of the id from the first.
        user: whom the application runs as.
        secure: whether the cluster authenticates with Kerberos.
        staging_dir: full URI of the application's folder.
        ledger_file: full URI of its ledger entry.
        local_resources: service -> link name -> file. Each service's has to have its script.
        am_resources: the ApplicationMaster's own files, which are listed so that nobody prunes them while it lives.
        bound: whether the application ends with its lease; None takes the spec's, and False if that says nothing.
        lease_seconds: how long a bound application lives without a sign of its client. Default 90.
        lifetime_seconds: after how long it ends itself unless the file for that is gone from its folder by then; None
            where YARN is told with the submission.
        hadoop_conf: settings for nodes whose own configuration lacks them.
        keytab: what an application that outlives its tokens gets new ones with: ``principal``, ``file`` (its link in
            the ApplicationMaster's container) and ``filesystems``.

    Returns:
        The document, ready for JSON.
    """
    services = []
    for name, service in spec.services.items():
        resources = local_resources.get(name, {})
        if RUN_SCRIPT not in resources:
            raise ConfigurationError(f"service {name!r} has no {RUN_SCRIPT} among its files, so nothing could run")
        services.append(_service(name, service, spec.node_label, resources))
    document: dict[str, Any] = {
        "version": VERSION,
        "application_id": application_id,
        "submission_id": submission_id,
        "name": spec.name,
        "user": user,
        "secure": secure,
        "staging_dir": staging_dir.rstrip("/"),
        "ledger_file": ledger_file,
        "max_attempts": spec.max_attempts,
        "bound": bool(spec.bound) if bound is None else bound,
        "lease_seconds": lease_seconds,
        "am_port_range": list(spec.master.port_range),
        "hadoop_conf": dict(hadoop_conf or {}),
        "master_script": MASTER_SCRIPT if spec.master.runs_script else None,
        "am_files": sorted({resource.uri for resource in (am_resources or {}).values()}),
        "services": services,
    }
    if lifetime_seconds is not None:
        document["lifetime_seconds"] = lifetime_seconds
    if keytab is not None:
        document["keytab"] = dict(keytab)
    acls = spec.acls.to_yarn()
    if acls:
        document["acls"] = acls
    return document


def _service(name: str, service: Service, label: str, resources: Mapping[str, LocalResource]) -> dict[str, Any]:
    return {
        "name": name,
        "instances": service.instances,
        "resources": {
            "memory": service.resources.memory,
            "vcores": service.resources.vcores,
            "named": service.resources.amounts(),
        },
        "depends_on": list(service.depends_on),
        "max_restarts": service.max_restarts,
        "allow_failures": service.allow_failures,
        "when_empty": service.when_empty,
        "node_label": service.node_label or label,
        "nodes": list(service.nodes),
        "racks": list(service.racks),
        # YARN refuses a request that is strict about a place and names none.
        "relax_locality": service.relax_locality or not (service.nodes or service.racks),
        "local_resources": {link: _resource(resource) for link, resource in sorted(resources.items())},
    }


def _resource(resource: LocalResource) -> dict[str, Any]:
    return {
        "uri": resource.uri,
        "type": resource.type,
        "visibility": resource.visibility,
        "size": resource.size,
        "timestamp": resource.timestamp,
    }
