"""What all tests share: ``cluster``, a real Hadoop, and ``conda_channel``; each is made when first asked for."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# How long one example takes says what else the machine does.
settings.register_profile("knit", deadline=None)
settings.load_profile("knit")

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

_ON_THEIR_OWN = ("kerberos", "tls", "ha")
_WITHOUT_DAEMONS = ("unit", "fuzz")


# First: xdist looks for the groups at this moment, too.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for ``--dist loadgroup``: what shares a cluster, and each module that needs none."""
    for item in items:
        folder, *rest = item.path.relative_to(Path(__file__).parent).parts
        group = "/".join(rest) if folder in _WITHOUT_DAEMONS else folder if folder in _ON_THEIR_OWN else "cluster"
        item.add_marker(pytest.mark.xdist_group(group))
