"""What all tests share: ``cluster``, a real Hadoop, and ``conda_channel``; each is made when first asked for."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from devtools.loopback import past_proxies

# How long one example takes says what else the machine does.
settings.register_profile("knit", deadline=None)
settings.load_profile("knit")

# The servers of the tests are on this machine.
past_proxies(os.environ)

pytest_plugins = ["knit_provider.localcluster.pytest_plugin", "tests.channels"]

# A shell starts what it puts into the background with these ignored, and every process below inherits that. Tests
# that interrupt a process need them as a terminal leaves them.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


_WITHOUT_DAEMONS = ("unit", "fuzz")
# One cluster for all that runs in one process; never two servers of orchestrators at a time.
_TOGETHER = ("dask", "prefect", "airflow")


class ByCluster(LoadScopeScheduling):
    """Gives one process what shares a cluster, and each module that needs none to whichever is free."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        folder = Path(module).parts[1]
        if folder in _WITHOUT_DAEMONS:
            return module
        return "orchestrators" if folder in _TOGETHER else folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByCluster:
    """Who runs what, where tests run in several processes (``-n``)."""
    return ByCluster(config, log)
