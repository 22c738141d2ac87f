"""``@yarn``: a flow that runs in a container on YARN wherever it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Flow
from prefect.flows import InfrastructureBoundFlow, bind_flow_to_infrastructure

from knit_provider.prefect.worker import YarnWorker

P = ParamSpec("P")
R = TypeVar("R")


def yarn(work_pool: str, **job_variables: Any) -> Callable[[Flow[P, R]], InfrastructureBoundFlow[P, R]]:
    """Bind a flow to a work pool of type ``yarn``, without a deployment and without a worker that waits for it.

    Calling the flow submits an application of one container and waits for it; ``.submit()`` does not wait. The flow
    itself and the modules beside it travel as a file of the application; its environment (``packed_env``) needs
    knit-provider with Prefect, and the same minor version of Python.

    What the flow returns comes back if it keeps its results where both sides reach them (``result_storage=``).

    Args:
        work_pool: name of a work pool of type ``yarn``.
        **job_variables: of the pool's job template, such as ``packed_env``, ``memory`` and ``files``.

    Example:
        >>> @yarn("hadoop", packed_env="hdfs:///envs/flows.tar.gz", memory="4 GiB")
        ... @flow
        ... def score(day: str) -> None: ...
        >>> score("2030-01-01")
    """

    def bind(flow: Flow[P, R]) -> InfrastructureBoundFlow[P, R]:
        return bind_flow_to_infrastructure(
            flow,
            work_pool=work_pool,
            worker_cls=YarnWorker,
            job_variables=job_variables,
            # In the container the environment's own Python is the first on PATH.
            launcher={"upload": [sys.executable], "execution": ["python3"]},
        )

    return bind
