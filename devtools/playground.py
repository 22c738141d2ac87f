"""`make ui`: the embedded Hadoop and an Airflow beside it, with the example DAGs, to click in until Ctrl-C."""

from __future__ import annotations

import signal
import tempfile
import threading
from pathlib import Path

from devtools.airflow_server import AirflowServer
from devtools.yarn_connection import yarn_connection
from knit_provider.localcluster import LocalCluster

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Bring both up, say where they are, and take both down on Ctrl-C."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _signal, _frame: done.set())
    with tempfile.TemporaryDirectory(prefix="knit-ui-") as folder:
        cluster = LocalCluster(Path(folder) / "cluster")
        print("Hadoop comes up ...", flush=True)
        with cluster:
            airflow = AirflowServer(
                Path(folder) / "airflow",
                {"examples": ROOT / "example_dags"},
                connections={"yarn_default": yarn_connection(cluster)},
                environment=cluster.env(),
                progress=lambda line: print(line, flush=True),
            )
            print("Airflow comes up ...", flush=True)
            with airflow:
                print(f"\nAirflow          {airflow.url}  (everybody is admin)")
                print(f"ResourceManager  http://{cluster.rm_web}/cluster")
                print(f"NameNode         http://{cluster.namenode_web}")
                print(f"Shell            export HADOOP_CONF_DIR={cluster.conf_dir}")
                print("\nCtrl-C ends all of it.", flush=True)
                done.wait()
                print("\nending ...", flush=True)
    print("ui: everything is down again")


if __name__ == "__main__":
    main()
