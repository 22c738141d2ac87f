"""A flow that runs in a container on YARN, by a work pool of type ``yarn``.

    prefect work-pool create hadoop --type yarn
    python example_flows/in_a_container.py       # makes the deployment
    prefect worker start --pool hadoop &
    prefect deployment run where-am-i/on-yarn

``packed_env`` is an archive with Prefect in it, or the path of a Python on every node that has it.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from prefect import flow


@flow(log_prints=True)
def where_am_i(greeting: str = "hello") -> dict[str, str]:
    """Tell where the flow runs."""
    here = {
        "application": os.environ.get("KNIT_APP_ID", ""),
        "container": os.environ.get("KNIT_CONTAINER_ID", ""),
        "host": socket.gethostname(),
    }
    print(f"{greeting} from {here['container'] or 'no container'} on {here['host']}")
    return here


def deploy(pool: str = "hadoop", packed_env: str = f"python://{sys.executable}", credentials: str = "yarn") -> None:
    """Make the deployment, whose container gets this file into its folder."""
    from prefect.client.orchestration import get_client

    from knit_provider.prefect import YarnCredentials

    with get_client(sync_client=True) as client:
        block = client.read_block_document_by_name(credentials, YarnCredentials.get_block_type_slug())
    where_am_i.from_source(source=str(Path(__file__).parent), entrypoint=f"{Path(__file__).name}:where_am_i").deploy(
        name="on-yarn",
        work_pool_name=pool,
        job_variables={
            "credentials": {"$ref": {"block_document_id": str(block.id)}},
            "packed_env": packed_env,
            "memory": "1 GiB",
        },
        build=False,
        push=False,
    )


if __name__ == "__main__":
    deploy()
