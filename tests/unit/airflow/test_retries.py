"""The retry policy, which Airflow asks on the worker."""

from __future__ import annotations

from datetime import timedelta

import pytest

# Retry policies came with Airflow 3.3.
pytest.importorskip("airflow.sdk.definitions.retry_policy")

from airflow.sdk import ExceptionRetryPolicy, RetryAction

from knit_provider.operators.retries import retry_what_the_cluster_did
from knit_provider.yarn.errors import (
    ApplicationFailed,
    ApplicationKilled,
    ApplicationMasterUnreachable,
    ClusterUnavailable,
    KnitError,
)


@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        (ApplicationFailed("exit code 3", exit_code=3), RetryAction.FAIL, None),
        (ApplicationKilled("preempted"), RetryAction.RETRY, timedelta(minutes=5)),
        (ClusterUnavailable("no route"), RetryAction.RETRY, timedelta(minutes=5)),
        (ApplicationMasterUnreachable("host:1"), RetryAction.RETRY, timedelta(minutes=5)),
        (KnitError("something"), RetryAction.DEFAULT, None),
        (ValueError("of a callback"), RetryAction.DEFAULT, None),
    ],
)
def test_what_is_retried(error: BaseException, action: RetryAction, delay: timedelta | None) -> None:
    policy = retry_what_the_cluster_did(timedelta(minutes=5))
    # As the worker has it, which reads the DAG's file anew.
    assert isinstance(policy, ExceptionRetryPolicy)
    decision = policy.evaluate(error, 1, 3)
    assert (decision.action, decision.retry_delay) == (action, delay)
