"""The fixture in a pytest session of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_cluster_to_be_reused_that_is_not_up_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(cluster):\n    pass\n")
    env = {
        **os.environ,
        "KNIT_TEST_CLUSTER": str(tmp_path / "cluster"),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "knit_provider.localcluster.pytest_plugin", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"KNIT_TEST_CLUSTER is {tmp_path / 'cluster'}, where the cluster is down" in done.stdout
