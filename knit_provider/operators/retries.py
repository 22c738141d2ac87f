"""Which failures of a task that runs on YARN are worth a retry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import RetryPolicy

_ERRORS = "knit_provider.yarn.errors"


def retry_what_the_cluster_did(retry_delay: timedelta | None = None) -> RetryPolicy:
    """A retry policy (Airflow 3.3) that retries what the cluster did to a task, and not what its command did.

    A command that failed fails the task at once, whatever ``retries`` says: it would only fail again. An application
    that somebody or something killed, a cluster that was away for too long and everything else is retried, as often as
    ``retries`` says. What no retry can mend (a refusal, a wrong argument) is never retried, with or without a policy.

    Args:
        retry_delay: before a retry of what was killed or out of reach; default the task's.

    Raises:
        ImportError: on an Airflow older than 3.3.

    Example:
        >>> policy = retry_what_the_cluster_did(timedelta(minutes=5))
        >>> KnitStartOperator(task_id="score", command="./score.sh", retries=5, retry_policy=policy)
    """
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

    return ExceptionRetryPolicy(
        rules=[
            # The first that fits counts, and a kill is a failure, too.
            RetryRule(
                [f"{_ERRORS}.ApplicationKilled", f"{_ERRORS}.ClusterUnavailable"],
                RetryAction.RETRY,
                retry_delay,
                "the application was killed, or the cluster was away",
            ),
            RetryRule(f"{_ERRORS}.ApplicationFailed", RetryAction.FAIL, reason="the command itself failed"),
        ]
    )
