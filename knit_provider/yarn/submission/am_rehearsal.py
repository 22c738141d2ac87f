"""Makes the archive of an ApplicationMaster's classes, by running one without a cluster.

The JVM takes an archive only if the class path is, word for word, that of the run that made it, and each jar has the
size and modification time that it had then. So the run is done in a folder of its own beside copies of the jars, as in
a container, and all of them are given one time, here and by the launcher.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from knit_provider.yarn.bridge.base import LocalResource
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway.java import Java
from knit_provider.yarn.spec import ApplicationSpec, Resources, Service
from knit_provider.yarn.submission.am_document import am_document
from knit_provider.yarn.submission.am_launch import SPEC
from knit_provider.yarn.submission.scripts import RUN_SCRIPT
from knit_provider.yarn.submission.secrets import new_secrets

MAIN = "io.knitprovider.am.rehearsal.Rehearsal"
JARS_SECONDS = 1_577_836_800
"""Modification time of every jar on the class path, in seconds since the epoch: the beginning of 2020."""

_TIMEOUT = 180.0  # seconds; it takes 5 to 10 of a processor's time
_FLAGS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-Xmx96m",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "-Dlog4j.configuration=knit-am-log4j.properties",
    "-Dknit.log.level=WARN",
    "-Djava.awt.headless=true",
)


def rehearse(java: Java, links: Mapping[str, Path], target: Path) -> None:
    """Make an archive.

    Args:
        java: the Java that runs it, and on which alone the archive will be of use.
        links: the class path: names in the container, in order, and the jars.
        target: where the archive goes; it is there whole or not at all.

    Raises:
        ConfigurationError: the run failed; with what it said.
        OSError: no room, or no right to write.
    """
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return  # somebody else made it while we waited
        with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=target.parent) as name:
            folder = Path(name)
            for link, jar in links.items():
                shutil.copyfile(jar, folder / link)
                os.utime(folder / link, (JARS_SECONDS, JARS_SECONDS))
            _run(java, list(links), folder)
            (folder / "archive").replace(target)


def _run(java: Java, class_path: list[str], folder: Path) -> None:
    secrets = _write_application(folder)
    manager = ["-Djava.security.manager=allow"] if 18 <= java.major <= 23 else []
    command = [
        str(java.executable), *_FLAGS, *manager, "-XX:ArchiveClassesAtExit=archive", "-cp", ":".join(class_path), MAIN,
        str(JARS_SECONDS * 1000), "1",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            input=json.dumps({"secrets": secrets}).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT,
            check=False,
            # Nothing of the user's own Hadoop, whose settings and tokens have no business here.
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "HADOOP_USER_NAME": "rehearsal"},
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"the run that makes the class archive did not end within {_TIMEOUT:.0f} s") from error
    if done.returncode or not (folder / "archive").is_file():
        raise ConfigurationError(
            f"the run that makes the class archive on {java} ended with {done.returncode}: "
            + done.stdout.decode(errors="replace").strip()[-1000:]
        )


def _write_application(folder: Path) -> dict[str, str]:
    """The document of an application of one container, whose files lie in this folder; returns its secrets."""
    app_id = f"application_{JARS_SECONDS * 1000}_0001"
    (folder / "staging").mkdir(mode=0o700)
    service = Service(instances=1, resources=Resources(memory=128, vcores=1), script="true")
    document = am_document(
        ApplicationSpec(name="rehearsal", services={"default": service}),
        application_id=app_id,
        submission_id="rehearsal",
        user="rehearsal",
        secure=False,
        staging_dir=(folder / "staging").as_uri(),
        ledger_file=(folder / "ledger").as_uri(),
        local_resources={"default": {RUN_SCRIPT: LocalResource("hdfs://127.0.0.1/nothing", 1, 1)}},
    )
    (folder / SPEC).write_text(json.dumps(document))
    secrets = new_secrets(app_id, lifetime=3600).for_master()
    return {alias: base64.b64encode(secret).decode() for alias, secret in secrets.items()}
