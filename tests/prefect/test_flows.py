"""The example flows, and what the server shows of them."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)

from knit_provider import Knit
from knit_provider.prefect import YarnCredentials
from knit_provider.prefect.caller import flow_run_tag
from tests.hadoop.eventually import eventually

EXAMPLES = Path(__file__).resolve().parents[2] / "example_flows"


def example(name: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def artifacts(client: SyncPrefectClient, *flow_run_ids: UUID) -> dict[str, Any]:
    """The artifacts of flow runs, by key."""
    found = client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=list(flow_run_ids)))
    )
    return {a.key: a for a in found}


def said(client: SyncPrefectClient, *flow_run_ids: UUID) -> str:
    """The log of flow runs."""
    records = client.read_logs(log_filter=LogFilter(flow_run_id=LogFilterFlowRunId(any_=list(flow_run_ids))))
    return "\n".join(record.message for record in records)


def test_one_job_from_start_to_end(credentials: YarnCredentials, client: SyncPrefectClient, knit: Knit) -> None:
    state = example("one_job").sum_of_numbers(up_to=100, containers=2, return_state=True)
    assert state.result() == 5050
    top = state.state_details.flow_run_id
    runs = [r.id for r in client.read_flow_runs() if r.name.startswith("yarn-sum") or r.id == top]
    assert len(runs) == 2
    found = artifacts(client, *runs)
    app_id = found["yarn-sum-of-numbers"].metadata_["app_id"]
    assert f"[{app_id}](http" in found["yarn-sum-of-numbers"].data
    assert found["yarn-sum-of-numbers-progress"].data == 100
    summary = found["yarn-sum-of-numbers-summary"].data
    assert "SUCCEEDED" in summary
    assert summary.count("| default |") == 2
    eventually(lambda: "adds up to 2550" in said(client, *runs))
    assert "default 0: container 0 adds up to 2500" in said(client, *runs)
    # The subflow's application is the top run's, too.
    assert len(knit.yarn_api.find(tags=[flow_run_tag(top)])) == 1


def test_step_by_step(credentials: YarnCredentials, knit: Knit) -> None:
    outcome = example("step_by_step").step_by_step()
    assert knit.runtime_status(outcome["server"]) == "KILLED"
    assert knit.status(outcome["worker"])["finalStatus"] == "SUCCEEDED"
    assert "done\n" in outcome["said"]


def test_two_jobs_of_a_block_side_by_side(
    credentials: YarnCredentials, capsys: pytest.CaptureFixture[str], client: SyncPrefectClient
) -> None:
    asyncio.run(example("job_block").main())
    out = capsys.readouterr().out
    assert out.count("hello from application_") == 2
    ids = {word.strip("',]") for word in out.split() if word.startswith("application_")}
    assert len(ids) == 2


def test_an_environment_of_the_flow_s_own(credentials: YarnCredentials, tmp_path: Path) -> None:
    pytest.importorskip("knit_provider.environments.provide")
    from tests.hadoop.packed import pack

    prefix = example("with_an_environment").with_an_environment(str(pack(tmp_path, "small")))
    assert prefix.endswith("/knit-env")
