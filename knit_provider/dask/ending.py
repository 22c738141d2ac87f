"""The end of a cluster's application, in order where its ApplicationMaster answers."""

from __future__ import annotations

import logging

from knit_provider.yarn.application import Application
from knit_provider.yarn.errors import KnitError

log = logging.getLogger(__name__)

END_SECONDS = 20.0


def end_application(app: Application, final_status: str = "SUCCEEDED", diagnostics: str = "") -> None:
    """End an application and wait until the ResourceManager says so; kill it where it cannot be asked to end.

    Args:
        app: the application.
        final_status: as which it ends: SUCCEEDED, FAILED or KILLED.
        diagnostics: why, for its report.
    """
    try:
        report = app.report()
        if report.terminal:
            return
        if report.state == "RUNNING":
            app.quick_control().shutdown(final_status, diagnostics)
            app.wait_for_end(END_SECONDS)
            return
    except KnitError as e:
        log.info("%s could not be ended in order, so it is killed: %s", app.id, e)
    try:
        app.kill(diagnostics or "its Dask cluster was closed")
    except KnitError as e:
        log.warning(
            "%s could not be ended: %s. If it is bound, its lease ends it; else: knit kill %s", app.id, e, app.id
        )
    finally:
        app.close()
