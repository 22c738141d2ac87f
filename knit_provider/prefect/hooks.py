"""Hooks that kill the applications of a flow run that was cancelled or has crashed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.logging.loggers import flow_run_logger

from knit_provider.prefect.caller import flow_run_tag
from knit_provider.prefect.credentials import YarnCredentials, client_of
from knit_provider.yarn.rest.shapes import LIVE_STATES

if TYPE_CHECKING:
    from knit_provider.yarn.knit import Knit

# A submission that was under way when its process ended may arrive after the first look.
LOOK_AGAIN_SECONDS = 1.0
MOST_LOOKS = 10
# What pydantic shows of a secret.
MASK = "**********"


def kill_yarn_apps_on_cancellation(
    credentials: YarnCredentials | str | None = None,
) -> Callable[[Any, Any, Any], None]:
    """A hook that kills every application that the flow run, its tasks and its subflows started and that still lives.

    It finds them by the flow run's tag, so it works in whatever process Prefect runs hooks in, and after the flow's own
    process has died. Use it for both events, since Prefect has no such hooks for tasks.

    Args:
        credentials: the cluster: a block, the name of a saved one, or None for the process's own configuration. A
            name is loaded when the hook runs.

    Example:
        >>> kill = kill_yarn_apps_on_cancellation("production")
        >>> @flow(on_cancellation=[kill], on_crashed=[kill])
        ... def nightly(): ...
    """

    def kill_yarn_apps(flow: Any, flow_run: Any, state: Any) -> None:
        _kill(credentials, flow, flow_run, state)

    return kill_yarn_apps


def kill_apps_of(flow: Any, flow_run: Any, state: Any) -> None:
    """The hook of flows that take their credentials as a parameter of that name."""
    _kill(credentials_in(flow_run.parameters or {}), flow, flow_run, state)


def _kill(credentials: YarnCredentials | str | None, flow: Any, flow_run: Any, state: Any) -> None:
    logger = flow_run_logger(flow_run, flow)
    with client_of(credentials) as knit:
        killed = kill_tagged(knit, flow_run_tag(flow_run.id), f"the flow run is {state.name}", logger)
    logger.info("%d applications of this flow run were left, and are killed", len(killed))


def kill_tagged(
    knit: Knit, tag: str, why: str, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]
) -> list[str]:
    """Kill every living application with a tag, until none is found any more.

    Returns:
        The ids of those that were killed.

    Raises:
        ClusterUnavailable: the cluster was away to the last look; what there may be lives on.
    """
    from knit_provider.yarn.errors import ClusterUnavailable, KnitError

    killed: list[str] = []
    quiet = 0
    trouble: ClusterUnavailable | None = None
    for look in range(MOST_LOOKS):
        if look:
            time.sleep(LOOK_AGAIN_SECONDS)
        try:
            found = [str(app["id"]) for app in knit.yarn_api.find(tags=[tag], states=LIVE_STATES)]
        except ClusterUnavailable as e:
            # A ResourceManager that is being replaced is back in seconds.
            trouble, quiet = e, 0
            continue
        trouble = None
        for app_id in found:
            try:
                if knit.application(app_id).kill(why):
                    killed.append(app_id)
                    logger.info("%s was killed: %s", app_id, why)
            except KnitError as e:
                logger.warning("%s could not be killed: %s", app_id, e)
        quiet = 0 if found else quiet + 1
        if quiet == 2:
            break
    if trouble is not None:
        raise trouble
    return list(dict.fromkeys(killed))


def credentials_in(parameters: Mapping[str, Any]) -> YarnCredentials | str | None:
    """The credentials that a flow run was given, out of what the server keeps of its parameters.

    That is a block's name, a reference to a saved block, or a block's fields with its secrets masked.

    Raises:
        ConfigurationError: they were a block with secrets that was not saved.
    """
    from knit_provider.yarn.errors import ConfigurationError

    given = parameters.get("credentials")
    if not isinstance(given, dict):
        return given
    reference = given.get("$ref", given.get("_block_document_id"))
    if isinstance(reference, dict):
        reference = reference.get("block_document_id")
    if reference:
        return _saved(str(reference))
    if MASK in json.dumps(given):
        raise ConfigurationError(
            "the credentials were a block that is not saved, and the server keeps no secrets, so the flow run's "
            "applications cannot be looked for; save the block, or pass its name"
        )
    return YarnCredentials(**{name: value for name, value in given.items() if not name.startswith("_")})


def _saved(document_id: str) -> YarnCredentials:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        document = client.read_block_document(UUID(document_id), include_secrets=True)
    return YarnCredentials(**document.data)
