"""What all tests share: ``cluster``, a real Hadoop, and ``conda_channel``; each is made when first asked for."""

import signal

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
