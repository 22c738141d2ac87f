"""Hostile text, requests and files against the real daemons: text arrives as it is, the rest is refused."""

from __future__ import annotations

import json
import os
import random
import socket
import ssl
import sys
import uuid
from collections.abc import Callable, Iterator

import pytest
import requests
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from knit_provider import ApplicationSpec, Knit
from knit_provider.localcluster import LocalCluster
from tests.fuzz.budget import LONG, tries
from tests.fuzz.strings import ODD
from tests.hadoop.eventually import eventually
from tests.hadoop.making import knits

urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

TELL = "import json,os,sys; print(json.dumps([[os.fsencode(a).hex() for a in sys.argv[1:]], {k: os.fsencode(v).hex() "
TELL += "for k, v in os.environ.items() if k.startswith('V_')}]))"


def batch() -> list[str]:
    """Every odd string, and chains of several with what YARN, two shells and Python each make something of."""
    chance = random.Random(None if LONG else 20)
    pieces = [
        *ODD,
        "$(touch /tmp/x)",
        "`id`",
        "{{HADOOP_CONF_DIR}}",
        "<LOG_DIR>",
        "\n",
        "'\"'",
        "\\$(",
        ";exit 9;",
        "%0A",
    ]
    return [*ODD, *("".join(chance.choices(pieces, k=chance.randint(2, 12))) for _ in range(300))]


def test_hostile_text_arrives_as_it_is(knit: Knit) -> None:
    """As arguments, as variables, and as the name that YARN shows, all in one application."""
    texts = [text for text in batch() if len(text) < 2000]
    name = "".join(text for text in ODD if text.isprintable())[:300]
    argv = [sys.executable, "-c", TELL, *texts]
    envvars = {f"V_{number}": text for number, text in enumerate(texts)}
    service = {"argv": argv, "envvars": envvars, "resources": {"memory": 128}}
    knit.submit(ApplicationSpec.from_dict({"name": name, "services": {"w": service}}))
    assert knit.wait_for_completion(90), knit.status()["diagnostics"]
    assert knit.status()["name"] == name
    (said,) = (str(files["stdout"]) for files in knit.logs().values() if files["service"])
    arguments, variables = json.loads(said)
    assert [bytes.fromhex(text) for text in arguments] == [os.fsencode(text) for text in texts]
    assert {key: bytes.fromhex(text) for key, text in variables.items()} == {
        key: os.fsencode(text) for key, text in envvars.items()
    }


@pytest.fixture(scope="module")
def application(cluster: LocalCluster) -> Iterator[Knit]:
    """One that runs on while it is asked hostile things."""
    with knits(cluster, "rest") as make:
        knit = make(user="alice")
        knit.start("sleep 600")
        eventually(lambda: [c for c in knit.get_containers() if c["service"] and c["state"] == "RUNNING"])
        yield knit


value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["default", "1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
names = st.sampled_from(
    [
        "service",
        "instances",
        "delta",
        "resources",
        "add",
        "remove",
        "ids",
        "progress",
        "key",
        "value",
        "prefix",
        "since",
        "timeout_s",
        "if_version",
    ]
)
# Nothing that would be done: the one service that there is is named by no request.
document = st.dictionaries(names | st.text(max_size=5), value, max_size=5).map(
    lambda d: {**d, "timeout_s": 0, "service": d.get("service") if d.get("service") != "default" else "other"}
)
body = st.one_of(
    document.map(lambda d: json.dumps(d).encode()),
    document.map(lambda d: json.dumps(d).encode()[:-2]),
    st.binary(max_size=80),
    st.sampled_from(
        [b"[" * 20_000, b'{"a":' * 20_000, b"{" + b" " * 1_100_000 + b"}", b"1e999", b'{"progress":1e999}']
    ),
)
paths = st.sampled_from(
    [
        "/v1/scale",
        "/v1/instances",
        "/v1/containers/remove",
        "/v1/progress",
        "/v1/kv/get",
        "/v1/kv/set",
        "/v1/kv/delete",
        "/v1/kv/list",
        "/v1/kv/watch",
        "/v1/status",
        "/v1/containers",
        "/v1/../v1/status",
        "//v1/status",
        "/v1/scale/",
        "/%2e%2e/x",
        "/v1/kv/get%00",
        "/",
        "/v1",
    ]
)


def test_the_control_channel_survives_any_request(application: Knit) -> None:
    """By its owner, who has the secret: every answer is JSON and no failure of its own, and nothing has changed."""
    report = application.application().report()
    control = json.loads(
        application.connection.files.read(application.connection.paths.staging(report.id) + "/control.json")
    )
    session = requests.Session()
    session.verify = False
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {control['secret']}"
    before = application.application().services()

    @tries(120)
    @given(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]), paths, body)
    @example("POST", "/v1/scale", b"[" * 20_000)
    @example("POST", "/v1/kv/list", b'{"a":' * 20_000)
    @example("POST", "/v1/scale", b'{"service": "other", "instances": 1e999}')
    def ask(method: str, path: str, content: bytes) -> None:
        answer = session.request(method, f"https://127.0.0.1:{report.am_port}{path}", data=content, timeout=30)
        assert answer.status_code < 500, (method, path, content[:200], answer.text)
        assert method == "HEAD" or isinstance(answer.json(), dict)

    ask()
    session.close()
    for garbage in (
        b"\0" * 2000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000,
        b"POST /v1/scale HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ):
        context = ssl._create_unverified_context()
        with (
            socket.create_connection(("127.0.0.1", report.am_port), timeout=10) as plain,
            context.wrap_socket(plain) as tls,
        ):
            tls.settimeout(10)
            try:
                tls.sendall(garbage)
                assert b" 200 " not in tls.recv(4096)[:20]
            except OSError:
                pass
    assert application.application().services() == before
    later = application.application().report()
    assert (later.state, later.am_port) == ("RUNNING", report.am_port), "the same attempt is still there"


def test_an_exchanged_jar_starts_nothing(make_knit: Callable[..., Knit], cluster: LocalCluster) -> None:
    """Of the same length and found by the client as it left it: only its content is another one."""
    knit = make_knit(hdfs_home=f"/tmp/exchanged-{uuid.uuid4().hex}")
    knit.start("true")
    assert knit.wait_for_completion(60), knit.status()["diagnostics"]
    files = knit.connection.files
    (folder,) = (e for e in files.list(knit.connection.paths.cache) if files.status(f"{e.path}/knit.jar") is not None)
    jar = f"{folder.path}/knit.jar"
    content = bytearray(files.read(jar, 64 << 20))
    # The time of the first entry, which Java does not look at.
    content[10] ^= 1
    files.delete(jar)
    files.write_many(folder.path, {"knit.jar": bytes(content)})
    knit.start("true")
    assert knit.wait_for_completion(60) is False
    said = str(knit.status()["diagnostics"]) + str(knit.logs())
    assert "knit.jar: FAILED" in said
    files.delete(knit.connection.paths.base.rpartition("/")[0], recursive=True)
