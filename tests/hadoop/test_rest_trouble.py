"""Trouble on the way of a submission without a JVM: what is said, what is left behind, and that nothing runs twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.files.port import RemoteFileNotFound
from knit_provider.yarn.rest import transport
from tests.hadoop.fronts import Cutter, Front, front

PAGE = b"<!DOCTYPE html><html><head><title>x</title></head><body>Please log in to the portal</body></html>"
NO_WEBHDFS = b"<html><body><h2>HTTP ERROR 404 Not Found</h2></body></html>"
Answer = requests.Response | None


@pytest.fixture
def bridge() -> str:
    return "rest"


@pytest.fixture
def behind(cluster: LocalCluster, make_knit: Callable[..., Knit]) -> Callable[[str], Knit]:
    """A ``Knit`` whose ResourceManager is behind an address."""
    return lambda address: make_knit(pars={"yarn.resourcemanager.webapp.address": address})


@pytest.fixture(autouse=True)
def nothing_left(make_knit: Callable[..., Knit]) -> Iterator[None]:
    """No application that nobody was told of, and no file that was half written."""
    knit = make_knit()
    before, staged = of_alice(knit), set(walk(knit, knit.connection.paths.apps))
    yield
    assert of_alice(knit) <= before | KNOWN
    KNOWN.clear()
    assert set(walk(knit, knit.connection.paths.apps)) <= staged
    assert not [path for path in walk(knit, knit.connection.paths.base) if "/.tmp-" in path]


KNOWN: set[str] = set()


def of_alice(knit: Knit) -> set[str]:
    return {str(app["id"]) for app in knit.yarn_api.find(user="alice")}


def walk(knit: Knit, folder: str) -> Iterator[str]:
    try:
        entries = knit.connection.files.list(folder)
    except RemoteFileNotFound:
        return
    for entry in entries:
        yield entry.path
        if entry.is_dir:
            yield from walk(knit, entry.path)


def is_submission(handler: Front) -> bool:
    return handler.command == "POST" and handler.path.partition("?")[0].endswith("/cluster/apps")


def test_an_upload_that_is_cut_in_the_middle(
    cluster: LocalCluster, make_knit: Callable[..., Knit], tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(os.urandom(4 * 2**20))
    datanode = cluster.settings["dfs.datanode.http.address"]
    cutter = Cutter(datanode, limit=2**20)

    def through_cutter(handler: Front, answer: Answer) -> bool:
        if answer is None or datanode.encode() not in answer.content:
            return False
        body = answer.content.replace(datanode.encode(), cutter.address.encode())
        handler.send(answer.status_code, "application/json", body)
        return True

    try:
        with front(cluster.settings["dfs.namenode.http-address"], through_cutter) as namenode:
            knit = make_knit(pars={"dfs.namenode.http-address": namenode})
            with pytest.raises(ClusterUnavailable, match=cutter.address):
                knit.start("test -s data", files=[str(tmp_path / "data")])
            assert cutter.cuts
            cutter.limit = None
            KNOWN.add(knit.start("sleep 300", files=[str(tmp_path / "data")]))
            assert knit.kill()
    finally:
        cutter.close()


def test_webhdfs_that_is_switched_off(cluster: LocalCluster, make_knit: Callable[..., Knit]) -> None:
    def off(handler: Front, answer: Answer) -> bool:
        if answer is None and handler.path.startswith("/webhdfs"):
            handler.send(404, "text/html", NO_WEBHDFS)
            return True
        return False

    with (
        front(cluster.settings["dfs.namenode.http-address"], off) as namenode,
        pytest.raises(ClusterUnavailable, match=r"(?s)webhdfs: .*404.*is dfs\.webhdfs\.enabled true"),
    ):
        make_knit(pars={"dfs.namenode.http-address": namenode}).start("true")


@pytest.mark.parametrize("kind", ["page", "huge", "half"])
def test_an_id_that_is_none(
    cluster: LocalCluster, behind: Callable[[str], Knit], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(transport, "LARGEST_ANSWER", 2**20)

    def spoil(handler: Front, answer: Answer) -> bool:
        if answer is None or "new-application" not in handler.path:
            return False
        if kind == "page":
            handler.send(200, "text/html", PAGE)
        elif kind == "huge":
            handler.send(200, "application/json", b'{"application-id": "' + bytes(2**20 + 1))
        else:
            handler.send(200, "application/json", answer.content[:20], length=len(answer.content))
        return True

    words = {"page": "log in to the portal", "huge": "more than 1 MiB", "half": "broke off"}[kind]
    with front(cluster.rm_web, spoil) as address, pytest.raises(ClusterUnavailable, match=words):
        behind(address).start("true")


@pytest.mark.parametrize("kind", ["half", "page", "error"])
def test_an_answer_that_is_lost_after_the_submission(
    cluster: LocalCluster, behind: Callable[[str], Knit], kind: str
) -> None:
    submissions = []

    def spoil(handler: Front, answer: Answer) -> bool:
        if not is_submission(handler) or answer is None:
            return False
        submissions.append(answer.status_code)
        if kind == "half":
            handler.send(202, "application/json", b"{", length=1000)
        else:
            handler.send(502 if kind == "error" else 200, "text/html", PAGE)
        return True

    with front(cluster.rm_web, spoil) as address:
        knit = behind(address)
        app_id = knit.start("sleep 300")
        KNOWN.add(app_id)
        assert knit.kill()
    assert submissions == [202]
    assert knit.yarn_api.status(app_id)["user"] == "alice"


@pytest.mark.parametrize("kind", ["silence", "page", "error"])
def test_a_submission_that_never_arrives(cluster: LocalCluster, behind: Callable[[str], Knit], kind: str) -> None:
    def spoil(handler: Front, answer: Answer) -> bool:
        if not is_submission(handler):
            return False
        if kind == "silence":
            handler.hang_up()
        else:
            handler.send(502 if kind == "error" else 200, "text/html", PAGE)
        return True

    with front(cluster.rm_web, spoil) as address, pytest.raises(KnitError):
        behind(address).start("true")
