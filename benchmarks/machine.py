"""What the figures were measured on, and how to tell it without telling anybody's paths."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

_REPOSITORY = Path(__file__).resolve().parent.parent


def facts(java_home: str) -> dict[str, str]:
    """Cores, memory, kernel and Java."""
    said = subprocess.run([f"{java_home}/bin/java", "-version"], capture_output=True, text=True).stderr
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Java": next((line.strip() for line in said.splitlines() if "build" in line), "unknown"),
        "Python": platform.python_version(),
    }


def wait_until_calm(percent: float = 10.0, patience: float = 60.0) -> None:
    """Wait until the processors have rested for two seconds, at most ``patience`` seconds.

    What a contestant leaves to the daemons, such as the logs of a hundred containers, is not the next one's time.
    """
    end = time.monotonic() + patience
    while psutil.cpu_percent(interval=2.0) > percent and time.monotonic() < end:
        pass


def scrub(text: str, *folders: Path) -> str:
    """Takes this machine's folders and name out of a text that will be published."""
    text = text.replace(f"/user/{getpass.getuser()}", "/user/<user>")
    for folder, name in (
        *((folder, "<scratch>") for folder in folders),
        (_REPOSITORY, "<repository>"),
        (Path.home(), "~"),
        (Path(tempfile.gettempdir()), "<tmp>"),
    ):
        if len(str(folder)) > 1:
            text = text.replace(str(folder), name)
    host = socket.gethostname()
    return text if host == "localhost" else re.sub(rf"\b{re.escape(host)}\b", "<host>", text)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
