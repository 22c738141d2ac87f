"""Brings up the embedded Hadoop, then Airflow, then Prefect, each with a browser that looks at it."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from devtools.screenshots.airflow_pages import look_at_airflow
from devtools.screenshots.prefect_pages import look_at_prefect
from knit_provider.localcluster import LocalCluster

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> None:
    """Assert what the pages show and write the pictures into the documentation."""
    parser = argparse.ArgumentParser(prog="python -m devtools.screenshots", description=__doc__)
    parser.add_argument("whose", nargs="*", choices=["airflow", "prefect", []], help="default: both, one by one")
    parser.add_argument("--docs", type=Path, default=DOCS, help="pictures go to airflow/images and prefect/images here")
    parser.add_argument("--cluster", type=Path, help="folder of an embedded cluster that runs already")
    arguments = parser.parse_args()
    whose = arguments.whose or ["airflow", "prefect"]
    with tempfile.TemporaryDirectory(prefix="knit-screenshots-") as folder:
        if arguments.cluster:
            look(LocalCluster(arguments.cluster), Path(folder), whose, arguments.docs)
        else:
            print("Hadoop comes up ...", flush=True)
            with LocalCluster(Path(folder) / "cluster") as cluster:
                look(cluster, Path(folder), whose, arguments.docs)
    print("ui-screenshots: every page showed what it should")


def look(cluster: LocalCluster, folder: Path, whose: list[str], docs: Path) -> None:
    """Look at one after the other: two servers at once are too much for a small machine."""
    if "airflow" in whose:
        look_at_airflow(cluster, folder / "airflow", docs / "airflow" / "images")
    if "prefect" in whose:
        look_at_prefect(cluster, folder / "prefect", docs / "prefect" / "images")


if __name__ == "__main__":
    main()
