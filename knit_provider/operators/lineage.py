"""What OpenLineage is told, where its provider is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from knit_provider.operators.application import ApplicationOperator


def application_lineage(operator: ApplicationOperator, app_id: str | None) -> Any:
    """An ``OperatorLineage``: the application as external job, and files in HDFS that it was given as inputs."""
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import Dataset
        from openlineage.client.facet_v2 import external_query_run
    except ImportError:
        return None
    inputs = [Dataset(namespace=namespace, name=path) for namespace, path in remote_files(operator)]
    facets = {}
    if app_id is not None:
        source = str(operator.yarn_conn_id or "yarn")
        facets["externalQuery"] = external_query_run.ExternalQueryRunFacet(externalQueryId=app_id, source=source)
    return OperatorLineage(inputs=inputs, run_facets=facets)


def remote_files(operator: Any) -> list[tuple[str, str]]:
    """Namespace and path of each file and environment that an operator names by a full URI."""
    files = getattr(operator, "files", None) or ()
    sources: Iterable[Any] = files.values() if isinstance(files, Mapping) else files
    found = []
    for source in (*sources, getattr(operator, "env", None)):
        parts = urlsplit(source) if isinstance(source, str) else None
        if parts is not None and parts.netloc and parts.scheme not in ("file", "python", "conda", "venv"):
            found.append((f"{parts.scheme}://{parts.netloc}", parts.path))
    return found
