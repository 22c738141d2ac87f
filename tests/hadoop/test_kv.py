"""The key-value store, between containers that have nothing of ours but one file, and their owner."""

from __future__ import annotations

import os
import signal

import pytest

from knit_provider import Knit
from knit_provider.yarn import container
from knit_provider.yarn.errors import KnitError, WaitTimeout
from tests.hadoop.eventually import eventually
from tests.hadoop.test_services import master_process

SERVER = """
import os, sys
sys.path.insert(0, os.getcwd())
import container
store = container.kv()
store.set("server/" + os.environ["KNIT_INDEX"], container.secrets()["greeting"].decode())
print(store.wait("bye", 120))
"""


def test_containers_and_owner_find_each_other(knit: Knit) -> None:
    service = {
        "argv": ["python3", "-c", SERVER],
        "instances": 2,
        "resources": {"memory": 128, "vcores": 1},
        "files": {"container.py": container.__file__},
    }
    app_id = knit.submit({"services": {"w": service}, "max_attempts": 2}, secrets={"greeting": b"hello"})
    app = knit.application()
    assert app.kv.wait("server/0", 120) == "hello"
    assert knit.attach(app_id).secrets() == {"greeting": b"hello"}
    assert app.kv.wait("server/1", 120) == "hello"
    seen = {change.key: change.value for change in app.kv.watch("server/", timeout=1)}
    assert seen == {"server/0": "hello", "server/1": "hello"}
    with pytest.raises(WaitTimeout, match="nothing"):
        app.kv.wait("nothing", 0.2)
    version = app.kv.set("mine", "1", if_version=0)
    with pytest.raises(KnitError, match="version"):
        app.kv.set("mine", "2", if_version=0)
    assert app.kv.version("mine") == version

    # The ResourceManager keeps containers of which the nodes' heartbeats have told it.
    eventually(lambda: len(knit.get_containers()) == 3)
    os.kill(master_process(app_id).pid, signal.SIGKILL)
    eventually(lambda: app.control().status()["attempt"] == 2)
    assert app.kv.list() == {"mine": "1", **seen}
    assert app.kv.delete("mine")
    assert app.kv.get("mine", "gone") == "gone"
    assert app.kv.set("after", "x") > version
    app.shutdown()
    assert app.wait(60).succeeded
