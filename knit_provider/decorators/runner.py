"""Runs in the container: calls the function and leaves its value, or its error, in ``$KNIT_RESULT``.

It is shipped as text and imports nothing but the standard library before the function's own imports.
"""

import json
import os
import sys
import traceback
from typing import Any, NoReturn

LARGEST = 48 * 1024
TRACEBACK = 16 * 1024


def main() -> None:
    """Call the function."""
    wanted = sys.argv[1]
    own = "%d.%d" % sys.version_info[:2]  # noqa: UP031
    if own != wanted:
        leave(
            error={
                "type": "VersionError",
                "message": "the worker packed the function with Python %s, and the container's %s is Python %s. Give "  # noqa: UP031
                "the task an env= with Python %s" % (wanted, sys.executable, own, wanted),
            }
        )
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.join(folder, "knit_call.zip"))
    import pickle

    try:
        with open(os.path.join(folder, "knit_call.pickle"), "rb") as f:
            function, args, kwargs = pickle.load(f)  # noqa: S301 - the worker's own, in a private file
        value = function(*args, **kwargs)
    except Exception as e:
        # The frames from here on down say nothing.
        frames = e.__traceback__.tb_next if e.__traceback__ else None
        text = "".join(traceback.format_exception(type(e), e, frames or e.__traceback__))
        leave(error={"type": type(e).__name__, "message": str(e)[:4096], "traceback": text[-TRACEBACK:]})
    try:
        check(value)
        text = json.dumps({"value": value})
    except (TypeError, ValueError) as e:
        leave(
            error={
                "type": "TypeError",
                "message": "the function returned a %s that JSON cannot carry back (%s). Return text, numbers, lists "  # noqa: UP031
                "and dicts with text as keys, or write it to HDFS and return its path" % (type(value).__name__, e),
            }
        )
    if len(text) > LARGEST:
        leave(
            error={
                "type": "ValueError",
                "message": "the function returned %d bytes of JSON; at most %d come back. Write it to HDFS and return "  # noqa: UP031
                "its path" % (len(text), LARGEST),
            }
        )
    leave(value=value)


def check(value: object) -> None:
    """Refuse what JSON would carry back as something else without a word."""
    if isinstance(value, (list, tuple)):
        for item in value:
            check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError("%.100r as a key would become text" % (key,))  # noqa: UP031
            check(item)


def leave(**outcome: Any) -> NoReturn:
    """Write the outcome and end the process with it."""
    sys.stdout.flush()
    with open(os.environ["KNIT_RESULT"], "w") as f:
        json.dump(outcome, f)
    error = outcome.get("error")
    if error:
        sys.stderr.write(error.get("traceback") or "%s: %s\n" % (error["type"], error["message"]))  # noqa: UP031
        sys.stderr.flush()
    sys.exit(1 if error else 0)


if __name__ == "__main__":
    main()
