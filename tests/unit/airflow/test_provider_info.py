"""The metadata that Airflow reads when it discovers providers."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import pytest

from knit_provider.provider_info import get_provider_info


def test_it_is_found_by_its_entry_point() -> None:
    (entry,) = (e for e in entry_points(group="apache_airflow_provider") if e.dist and e.dist.name == "knit-provider")
    assert entry.load() is get_provider_info


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import knit_provider.provider_info; "
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    third_party = set(done.stdout.split()) - set(sys.stdlib_module_names)
    assert third_party == {"knit_provider"}


def test_every_class_that_it_names_exists() -> None:
    pytest.importorskip("airflow.sdk")
    info: dict[str, Any] = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                import_module(module)
    for connection_type in info["connection-types"]:
        module, _, name = connection_type["hook-class-name"].rpartition(".")
        hook = getattr(import_module(module), name)
        assert hook.conn_type == connection_type["connection-type"]
        assert hook.hook_name == connection_type["hook-name"]
    for path in (*info["extra-links"], *(decorator["class-name"] for decorator in info["task-decorators"])):
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)
