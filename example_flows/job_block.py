"""A job that is kept as a block, run twice side by side by an async flow.

    python example_flows/job_block.py

The block can be made in Prefect's UI, too: who runs the flow does not need to know what it is made of.
"""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow

from knit_provider.prefect import YarnCredentials, YarnJob


@flow
async def two_jobs(block: str = "greet") -> list[Any]:
    """Run the job twice and return both results."""
    job = await YarnJob.aload(block)
    runs = [await job.atrigger(), await job.atrigger()]
    await asyncio.gather(*(run.await_for_completion() for run in runs))
    return [await run.afetch_result() for run in runs]


async def main() -> None:
    """Save the block, then run the flow."""
    credentials = await YarnCredentials.aload("yarn")
    job = YarnJob(
        credentials=credentials,
        command='echo "\\"hello from $KNIT_APP_ID\\"" > "$KNIT_RESULT"',
        app_name="greet",
        timeout_seconds=600,
    )
    await job.asave("greet", overwrite=True)
    print(await two_jobs())


if __name__ == "__main__":
    asyncio.run(main())
