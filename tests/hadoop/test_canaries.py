"""Secrets are where they are meant to be, and nowhere else: one application of each bridge, looked for everywhere."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from knit_provider import ApplicationSpec, Knit
from knit_provider.localcluster import LocalCluster
from tests.hadoop.eventually import eventually
from tests.hadoop.support import session_of

# The ResourceManager's own store, from which it starts a second attempt, and HDFS's blocks, of which one is the staging
# file: both are the daemons' own, and only their user can read them.
OF_DAEMONS = ("FSRMStateRoot", "dfs")


@pytest.fixture(params=["rest", "jvm"])
def bridge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """Everything that any library of this process logs, from DEBUG on."""
    lines: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    ear, root = Ear(), logging.getLogger()
    before = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(before)
    root.removeHandler(ear)


def worker_secret(cluster: LocalCluster, app_id: str) -> bytes:
    """As it lies in the token file of a container."""
    for path in cluster.directory.glob(f"nodes/*/local/usercache/*/appcache/{app_id}/container_*/container_tokens"):
        found = re.search(rb"knit\.worker\.secret.([A-Za-z0-9_-]{43})", path.read_bytes(), re.DOTALL)
        if found is not None:
            return found[1]
    raise AssertionError(f"no container of {app_id} has a worker secret")


def forms_of(secret: bytes) -> set[bytes]:
    """As it is, and in base64 wherever that begins."""
    return {secret} | {base64.b64encode(b"x" * shift + secret)[4:-4] for shift in range(3)}


def test_no_secret_is_anywhere_else(
    make_knit: Callable[..., Knit], bridge: str, cluster: LocalCluster, tmp_path: Path, heard: list[str]
) -> None:
    password, shared, variable = (secrets.token_urlsafe(32) for _ in range(3))
    jar = tmp_path / f"{secrets.token_hex(8)}.jar"
    jar.write_text("a jar of the user's")
    knit = make_knit(password=password)
    resources = {"memory": 64}
    service = {"script": "sleep 300", "resources": resources, "envvars": {"DB_PASSWORD": variable}, "files": [str(jar)]}
    spec = ApplicationSpec.from_dict({"master": {"log_level": "DEBUG"}, "services": {"w": service}})
    app_id = knit.submit(spec, secrets={"canary": shared.encode()})
    assert knit.connection.bridge.name == bridge
    eventually(lambda: [c for c in knit.get_containers() if c["service"] and c["state"] == "RUNNING"])
    knit.application().scale("w", 2)
    staging = knit.connection.files.read(knit.connection.paths.staging(app_id) + "/control.json")
    control = json.loads(staging)["secret"]
    looked_for = {
        "control secret": control.encode(),
        "worker secret": worker_secret(cluster, app_id),
        "shared secret": shared.encode(),
        "password": password.encode(),
        "variable": variable.encode(),
    }
    if bridge == "jvm":
        process = knit.connection.bridge._lease.gateway._process  # type: ignore[attr-defined]
        looked_for["gateway token"] = process.token.encode()
        heard += process._words
        assert jar.name not in " ".join(psutil.Process(process.pid).cmdline()), "not on the submitter's class path"
    forms = {name: forms_of(secret) for name, secret in looked_for.items()}
    found: list[str] = []

    def look(where: str, content: bytes, *, meant: tuple[str, ...] = ()) -> None:
        for name, texts in forms.items():
            if name not in meant and any(text in content for text in texts):
                found.append(f"{name} in {where}")

    seen = look_at_processes(look, app_id)
    assert seen >= 3, "the ApplicationMaster and a container's shell and its sleep were not among them"
    look_at_disks(look, cluster.directory, app_id)
    look_at_rest(look, cluster, knit, app_id)
    for container, files in knit.logs().items():
        for name, text in files.items():
            look(f"the live log {name} of {container}", str(text).encode())
    assert knit.kill()
    # The ApplicationMaster's DEBUG log has to be among them, or this shows nothing.
    text = eventually(lambda: said if "DEBUG" in (said := str(knit.logs(shell=True, retries=60, delay=0.5))) else "")
    look("the aggregated logs", text.encode())
    look("what the client said", "\n".join(heard).encode())
    assert any("HTTP/1.1" in line for line in heard), "urllib3's DEBUG log has to be there, or this shows nothing"
    look(
        "what it shows of itself", f"{knit!r} {knit.connection!r} {knit.application()!r} {knit._repr_html_()}".encode()
    )
    assert found == []


def look_at_processes(look: Callable[..., None], app_id: str) -> int:
    """Command lines and environments; returns how many processes of the application there were."""
    of_application = 0
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            environ = Path(f"/proc/{process.pid}/environ").read_bytes()
            mine = app_id.removeprefix("application_").encode() in environ and b"CONTAINER_ID=" in environ
            of_application += mine
            # A variable is the container's own to see.
            look(f"environ of {process}", environ, meant=("variable",) if mine and b"DB_PASSWORD=" in environ else ())
            look(f"cmdline of {process}", Path(f"/proc/{process.pid}/cmdline").read_bytes())
    return of_application


def look_at_disks(look: Callable[..., None], directory: Path, app_id: str) -> None:
    """Every file of the cluster: launch scripts, logs, the history server's and the ResourceManager's files."""
    for path in directory.rglob("*"):
        if any(part in OF_DAEMONS for part in path.parts) or path.name.startswith("blk_"):
            continue
        with contextlib.suppress(OSError):
            if not path.is_file() or path.stat().st_size > 64 << 20:
                continue
            meant: tuple[str, ...] = ()
            if path.name.endswith("tokens") or path.name.endswith("tokens.crc") or path.name == "container_tokens":
                meant = ("control secret", "worker secret", "shared secret")
            elif path.name.startswith(("run-", "knit-run.sh")):  # the script of a service, which is private to its user
                meant = ("variable",)
                assert path.stat().st_mode & 0o077 == 0 or "usercache" in path.parts, path
            look(str(path), path.read_bytes(), meant=meant)


def look_at_rest(look: Callable[..., None], cluster: LocalCluster, knit: Knit, app_id: str) -> None:
    """What the daemons tell of it, to its owner and to whoever else asks."""
    attempt = app_id.replace("application", "appattempt") + "_000001"
    paths = ("", "/appattempts", f"/appattempts/{attempt}/containers", "/state", "/timeouts")
    pages = [f"http://{cluster.history_web}/ws/v1/history/info", f"http://{cluster.rm_web}/conf"]
    pages += [f"http://{node['nodeHTTPAddress']}/ws/v1/node/{what}" for node in knit.yarn_api.nodes() for what in
              ("containers", "apps", f"apps/{app_id}")]  # fmt: skip
    for user in ("alice", "bob"):
        with session_of(cluster, user) as session:
            for path in paths:
                with contextlib.suppress(Exception):
                    look(f"{path} for {user}", session.request("GET", f"cluster/apps/{app_id}{path}").body)
            for page in pages:
                with contextlib.suppress(Exception):
                    look(f"{page} for {user}", session.get_url(page).body)
    look("what the ResourceManager says", json.dumps(knit.status()).encode())


def test_no_application_is_anonymous(knit: Knit, cluster: LocalCluster) -> None:
    """Neither this one nor any that the tests before it started: the ResourceManager keeps a record."""
    knit.start("true")
    assert knit.wait_for_completion(60)
    log: Any = cluster.daemons["resourcemanager"].log
    text = log.read_text(errors="replace")
    submitted = re.findall(r"USER=(\S+).*OPERATION=Submit Application Request", text)
    assert "alice" in submitted
    assert "dr.who" not in submitted
