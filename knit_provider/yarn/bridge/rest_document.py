"""A submission in the words of the ResourceManager's REST interface.

Its names are those of Hadoop's ``ApplicationSubmissionContextInfo``. Two things that a submission by RPC can have are
missing there: a lifetime, which is set afterwards, and resources of the ApplicationMaster beside memory and processors.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from knit_provider.yarn.bridge.base import AmLaunch, Collected, LocalResource, Submission
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.units import check_int

_RESERVATION = re.compile(r"reservation_\d+_\d+", re.ASCII)


def submission_document(submission: Submission, tokens: Collected | None = None) -> dict[str, Any]:
    """What is posted to ``/ws/v1/cluster/apps``.

    Args:
        submission: the application.
        tokens: its delegation tokens, on a cluster that has any.

    Raises:
        ConfigurationError: a number or id cannot be one, or the ApplicationMaster wants a resource that cannot be said
            there.
    """
    am = submission.am
    check_int(am.memory, "memory", minimum=1)
    check_int(am.vcores, "vcores", minimum=1)
    if submission.lifetime_seconds is not None:
        check_int(submission.lifetime_seconds, "lifetime", minimum=1)
    if submission.reservation_id is not None and not _RESERVATION.fullmatch(submission.reservation_id):
        raise ConfigurationError(
            f"reservation_id is {submission.reservation_id}; it has to look like reservation_1700000000000_0001"
        )
    if any(am.named.values()):
        wanted = ", ".join(f"{name}: {amount}" for name, amount in am.named.items() if amount)
        raise ConfigurationError(
            f"the ApplicationMaster's own container cannot have {wanted}: the ResourceManager takes only memory and "
            'vcores for it by REST. Use bridge="jvm", or give the resource to a service, where any name works'
        )
    document: dict[str, Any] = {
        "application-id": submission.application_id,
        "application-name": submission.name,
        "queue": submission.queue,
        "application-type": submission.type,
        "application-tags": {"tag": list(submission.tags)},
        "unmanaged-AM": False,
        # What was lent is still needed by whoever lent it.
        "cancel-tokens-when-complete": tokens is None or not tokens.borrowed,
        "max-app-attempts": submission.max_attempts,
        "keep-containers-across-application-attempts": submission.keep_containers,
        "resource": {"memory": am.memory, "vCores": am.vcores},
        "am-container-spec": {
            **_launch(am),
            "credentials": _credentials(submission, tokens.texts if tokens is not None else {}),
        },
    }
    acls = {"VIEW_APP": submission.acls.view, "MODIFY_APP": submission.acls.modify}
    if any(value is not None for value in acls.values()):
        document["am-container-spec"]["application-acls"] = _entries(
            {key: value for key, value in acls.items() if value is not None}
        )
    if submission.priority is not None:
        document["priority"] = submission.priority
    if submission.attempt_failures_validity_ms is not None:
        document["attempt-failures-validity-interval"] = submission.attempt_failures_validity_ms
    if submission.node_label is not None:
        # By RPC, the ApplicationMaster's container takes the application's label over by itself.
        document["app-node-label-expression"] = submission.node_label
        document["am-container-node-label-expression"] = submission.node_label
    if submission.reservation_id is not None:
        document["reservation-id"] = submission.reservation_id
    patterns = submission.log_aggregation
    if patterns is not None:
        document["log-aggregation-context"] = {
            key: value
            for key, value in {
                "log-include-pattern": patterns.include,
                "log-exclude-pattern": patterns.exclude,
                "rolled-log-include-pattern": patterns.rolled_include,
                "rolled-log-exclude-pattern": patterns.rolled_exclude,
            }.items()
            if value is not None
        }
    return document


def _launch(am: AmLaunch) -> dict[str, Any]:
    return {
        "commands": {"command": am.command},
        "environment": _entries(am.environment),
        "local-resources": _entries({link: _resource(resource) for link, resource in am.local_resources.items()}),
    }


def _resource(resource: LocalResource) -> dict[str, Any]:
    return {
        "resource": resource.uri,
        "type": resource.type,
        "visibility": resource.visibility,
        "size": resource.size,
        "timestamp": resource.timestamp,
    }


def _credentials(submission: Submission, tokens: Mapping[str, str]) -> dict[str, Any]:
    # Its decoder takes the URL-safe alphabet as well as the other, and a "+" may not survive every proxy.
    secrets = {key: base64.urlsafe_b64encode(value).decode() for key, value in submission.secrets.items()}
    return {"tokens": _entries(tokens), "secrets": _entries(secrets)}


def _entries(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A map as Jersey writes and reads it."""
    return {"entry": [{"key": key, "value": value} for key, value in mapping.items()]}
