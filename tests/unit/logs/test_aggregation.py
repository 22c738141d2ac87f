"""How long aggregated logs are waited for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from knit_provider.yarn.logs.aggregated import wait_for_aggregation
from knit_provider.yarn.report import ApplicationReport


@pytest.mark.parametrize(
    ("link", "had_container", "waited"), [("http://node/logs", False, True), ("", True, True), ("", False, False)]
)
def test_an_application_that_had_a_container_is_waited_for(link: str, had_container: bool, waited: bool) -> None:
    """A gateway blanks the link to the ApplicationMaster's log, so the link alone does not tell."""

    def report(status: str) -> ApplicationReport:
        return ApplicationReport(
            id="application_1_0001", state="FINISHED", log_aggregation=status, raw={"amContainerLogs": link}
        )

    app = SimpleNamespace(
        id="application_1_0001", report=lambda: report("SUCCEEDED"), had_container=lambda: had_container
    )
    found = wait_for_aggregation(app, report("NOT_START"), retries=3, delay=0)  # type: ignore[arg-type]
    assert (found.log_aggregation == "SUCCEEDED") == waited
