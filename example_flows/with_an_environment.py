"""A job in a Python environment that the flow brings along.

python example_flows/with_an_environment.py environment.yml
"""

from __future__ import annotations

import sys
from typing import Any

from prefect import flow

from knit_provider.prefect import build_yarn_env, run_yarn_app

TELL = """
"$PYTHON_BIN" -c 'import json, sys; print(json.dumps(sys.prefix))' > "$KNIT_RESULT"
"""


@flow
def with_an_environment(source: str, credentials: str = "yarn") -> Any:
    """Build the environment that ``source`` names, unless it is in HDFS already, and run Python from it on YARN."""
    env = build_yarn_env(credentials, source)
    return run_yarn_app(credentials, TELL, app_name="tell-prefix", env=env, memory=256)


if __name__ == "__main__":
    print(with_an_environment(sys.argv[1]))
