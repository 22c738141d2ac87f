"""What importing a part of the package brings in, seen in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

SHOW = "import sys; import {module}; print(*sorted(sys.modules))"


def loaded(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(module=module)], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_package_itself_imports_nothing_heavy() -> None:
    heavy = {"requests", "py4j", "cryptography", "yaml", "airflow", "prefect", "distributed", "click", "lxml"}
    assert not loaded("knit_provider") & heavy
    assert not {m for m in loaded("knit_provider") if m.startswith("knit_provider.")}


def test_provider_info_imports_nothing() -> None:
    ours = {m for m in loaded("knit_provider.provider_info") if m.startswith("knit_provider")}
    assert ours == {"knit_provider", "knit_provider.provider_info"}


@pytest.mark.parametrize(
    "module", ["knit_provider.yarn.knit", "knit_provider.yarn.submission.submit", "knit_provider.yarn.logs"]
)
def test_the_core_knows_no_orchestrator(module: str) -> None:
    names = loaded(module)
    for foreign in ("airflow", "prefect", "distributed", "dask", "knit_provider.hooks", "knit_provider.cli"):
        assert not {m for m in names if m == foreign or m.startswith(foreign + ".")}, foreign


def test_what_travels_to_containers_stands_alone() -> None:
    assert {m for m in loaded("knit_provider.yarn.container") if m.startswith("knit_provider.")} == {
        "knit_provider.yarn",
        "knit_provider.yarn.container",
    }


def test_dask_clusters_know_no_other_orchestrator() -> None:
    names = loaded("knit_provider.dask")
    for foreign in ("airflow", "prefect", "knit_provider.hooks", "knit_provider.operators", "knit_provider.cli"):
        assert not {m for m in names if m == foreign or m.startswith(foreign + ".")}, foreign


def test_public_names_load_lazily() -> None:
    import knit_provider

    for name in knit_provider.__all__:
        assert getattr(knit_provider, name) is not None
    assert knit_provider.DaskYARNCluster.__name__ in dir(knit_provider)
    with pytest.raises(AttributeError, match="Knitt"):
        knit_provider.Knitt  # noqa: B018
    assert set(knit_provider.__all__) <= set(dir(knit_provider))
