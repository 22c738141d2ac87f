"""Builds a Python environment once, and runs a command in it in several containers on YARN.

The first run builds and uploads; the next ones find it in HDFS, and the first task takes a moment. ``source`` is
anything that ``KnitEnvOperator`` takes: an ``environment.yml`` (as the one beside this file, with pandas), a
``requirements.txt``, ``venv:///opt/venv``, a ready archive.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import dag

from knit_provider.operators.knit import KnitEnvOperator, KnitStartOperator

SHOW = """
set -eu
"$PYTHON_BIN" - <<'EOF'
import importlib, os, sys

module = importlib.import_module(os.environ["MODULE"])
print(f"container {os.environ['KNIT_INDEX']}: Python {sys.version.split()[0]} imported {module.__name__}", end=" ")
print(f"{getattr(module, '__version__', '')} from {os.path.relpath(module.__file__, os.environ['CONDA_PREFIX'])}")
EOF
"""


@dag(
    schedule=None,
    catchup=False,
    tags=["knit", "example"],
    doc_md=__doc__,
    params={
        "source": str(Path(__file__).with_name("environment.yml")),
        "module": "pandas",
        "containers": 2,
    },
)
def env_on_yarn() -> None:
    env = KnitEnvOperator(task_id="env", source="{{ params.source }}")
    KnitStartOperator(
        task_id="show",
        command=SHOW,
        env=env.output,
        envvars={"MODULE": "{{ params.module }}"},
        num_containers="{{ params.containers }}",
        memory="512 MiB",
    )


env_on_yarn()
