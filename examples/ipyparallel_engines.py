"""IPython Parallel on YARN: the controller in this process's hands, the engines in containers.

    python examples/ipyparallel_engines.py [N] [ENV]

N is the number of engines (default 2). ENV is a packed environment with ipyparallel, or python:///path of an
interpreter that every node has; default this one, which serves where the nodes are this machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ipyparallel as ipp

from knit_provider import Knit

ENGINE = 'exec "$PYTHON_BIN" -m ipyparallel.engine --file=ipcontroller-engine.json'


def main(count: int, env: str) -> None:
    controller = ipp.Cluster(n=0, controller_ip="*", profile="knit")
    controller.start_controller_sync()
    try:
        connection = Path(controller.profile_dir) / "security" / f"ipcontroller-{controller.cluster_id}-engine.json"
        # Leaving the block ends the engines, and so does whatever ends this process.
        with Knit() as k, controller.connect_client_sync() as client:
            app_id = k.start(
                ENGINE,
                num_containers=count,
                memory=512,
                env=env,
                files={"ipcontroller-engine.json": str(connection)},
                app_name="ipyparallel",
            )
            client.wait_for_engines(count, timeout=120)
            print(f"{app_id}: engines {client.ids}")
            places = client[:].apply_sync(lambda: __import__("os").environ["KNIT_CONTAINER_ID"])
            print("\n".join(places))
            squares = client.load_balanced_view().map_sync(lambda x: x * x, range(20))
            print(f"squares: {sum(squares)}")
    finally:
        controller.stop_cluster_sync()


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 2,
        sys.argv[2] if len(sys.argv) > 2 else f"python://{sys.executable}",
    )
