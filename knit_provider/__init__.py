"""knit-provider: applications on Hadoop YARN, from Airflow, Prefect, plain Python and the shell.

The public names are loaded on first use, so that importing this package imports nothing else: Airflow imports it
while it discovers providers, and a slow or failing import there would reach every DAG.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from knit_provider.dask.cluster import DaskYARNCluster as DaskYARNCluster
    from knit_provider.environments.conda_creator import CondaCreator as CondaCreator
    from knit_provider.yarn.application import Application as Application
    from knit_provider.yarn.knit import Knit as Knit
    from knit_provider.yarn.rest.yarn_api import YARNAPI as YARNAPI
    from knit_provider.yarn.spec import ApplicationSpec as ApplicationSpec
    from knit_provider.yarn.spec import File as File
    from knit_provider.yarn.spec import Resources as Resources
    from knit_provider.yarn.spec import Service as Service

__version__ = "1.0.0"

_HOMES = {
    "Application": "knit_provider.yarn.application",
    "ApplicationSpec": "knit_provider.yarn.spec",
    "CondaCreator": "knit_provider.environments.conda_creator",
    "DaskYARNCluster": "knit_provider.dask",
    "File": "knit_provider.yarn.spec",
    "Knit": "knit_provider.yarn.knit",
    "Resources": "knit_provider.yarn.spec",
    "Service": "knit_provider.yarn.spec",
    "YARNAPI": "knit_provider.yarn.rest.yarn_api",
}

# Without what needs an extra: `from knit_provider import *` works in every installation.
__all__ = [
    "YARNAPI",
    "Application",
    "ApplicationSpec",
    "CondaCreator",
    "File",
    "Knit",
    "Resources",
    "Service",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(sorted(_HOMES))}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_HOMES})
