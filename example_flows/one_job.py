"""One application from start to end, with what it computed as the flow's result.

    python example_flows/one_job.py

Save a ``YarnCredentials`` block named ``yarn`` first.
"""

from __future__ import annotations

from prefect import flow

from knit_provider.prefect import run_yarn_app

# Each container adds up its share of the numbers and writes it where knit-provider fetches results from.
ADD_UP = """
total=0
for n in $(seq "$((KNIT_INDEX + 1))" "$CONTAINERS" "$UP_TO"); do total=$((total + n)); done
echo "container $KNIT_INDEX adds up to $total"
echo "$total" > "$KNIT_RESULT"
"""


@flow(log_prints=True)
def sum_of_numbers(up_to: int = 1000, containers: int = 2, credentials: str = "yarn") -> int:
    """Add up the numbers from 1 to ``up_to`` on YARN."""
    shares = run_yarn_app(
        credentials,
        ADD_UP,
        app_name="sum-of-numbers",
        num_containers=containers,
        envvars={"CONTAINERS": str(containers), "UP_TO": str(up_to)},
        timeout_seconds=600,
    )
    total = sum(shares) if isinstance(shares, list) else shares
    print(f"1 + 2 + ... + {up_to} = {total}")
    return total


if __name__ == "__main__":
    sum_of_numbers()
