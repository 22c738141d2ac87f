"""Who runs the daemons, as Hadoop sees it."""

from __future__ import annotations

import os
import pwd

from knit_provider.yarn.errors import ConfigurationError


def daemon_user() -> str:
    """The name of this process's user.

    By the user id, as the daemons find it out, and not by ``USER`` or ``LOGNAME``, which may tell something else.

    Raises:
        ConfigurationError: the user id has no name, which Hadoop cannot do without.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise ConfigurationError(
            f"User id {os.getuid()} has no name on this machine, and Hadoop needs one. Add it to /etc/passwd."
        ) from None
