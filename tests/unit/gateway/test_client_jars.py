"""Hadoop's shaded client for who has neither Java nor Hadoop installed, out of a repository that a test serves."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway import classes, client_jars, repository
from knit_provider.yarn.gateway.classes import find_hadoop

VERSION = "3.4.1"


class Repository:
    """Jars, each with one checksum beside it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.asked.append(self.path)
                body = repository.files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args: Any) -> None:
                """Not onto stderr."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/maven2"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def add(self, path: str, content: bytes, kind: str = "sha1") -> None:
        self.files[f"/maven2/{path}"] = content
        self.files[f"/maven2/{path}.{kind}"] = hashlib.new(kind, content).hexdigest().encode() + b"  the-file\n"


@pytest.fixture
def mirror() -> Iterator[Repository]:
    made = Repository()
    for artifact in client_jars._without_maven(VERSION):
        made.add(artifact.path, artifact.file.encode())
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def environ(mirror: Repository, tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path), repository.VARIABLE: mirror.url}


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """These jars are no real ones."""
    monkeypatch.setattr(client_jars, "_KNOWN", {})


def left_in(environ: dict[str, str]) -> list[str]:
    root = Path(environ["XDG_CACHE_HOME"]) / "knit-provider" / "hadoop-client"
    return [path.name for path in root.iterdir() if path.is_dir()]


def test_they_are_fetched_once_and_checked(environ: dict[str, str], mirror: Repository) -> None:
    found = client_jars.client_jars(VERSION, environ=environ)
    assert [jar.name for jar in found][:2] == [
        f"hadoop-client-api-{VERSION}.jar",
        f"hadoop-client-runtime-{VERSION}.jar",
    ]
    assert all(jar.read_bytes() == jar.name.encode() for jar in found)
    assert any(jar.name.startswith("slf4j-reload4j") for jar in found)
    asked = len(mirror.asked)
    assert client_jars.client_jars(VERSION, environ=environ) == found
    assert len(mirror.asked) == asked


@pytest.mark.parametrize("kind", ["sha512", "sha256", "sha1"])
def test_the_strongest_checksum_counts(environ: dict[str, str], mirror: Repository, kind: str) -> None:
    runtime = client_jars.hadoop("hadoop-client-runtime", VERSION).path
    mirror.add(runtime, b"the runtime", "sha1")
    mirror.add(runtime, b"the runtime", kind)
    mirror.files[f"/maven2/{runtime}"] = b"something else"
    with pytest.raises(ConfigurationError, match=rf"is not what it should be: its {kind} is"):
        client_jars.client_jars(VERSION, environ=environ)
    assert left_in(environ) == []


def test_what_is_known_counts_whatever_the_repository_says(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_jars, "_KNOWN", {f"hadoop-client-api-{VERSION}.jar": "0" * 64})
    with pytest.raises(ConfigurationError, match=r"its sha256 is .* and not 0000"):
        client_jars.client_jars(VERSION, environ=environ)
    assert left_in(environ) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda files, path: files.pop(f"{path}.sha1"), "has no checksum beside it, or is not there"),
        (lambda files, path: files.pop(path), "answered 404"),
        (lambda files, path: files.update({f"{path}.sha1": b"<html>"}), "has no checksum beside it"),
    ],
)
def test_a_repository_that_lacks_something(
    environ: dict[str, str], mirror: Repository, damage: Callable[..., None], words: str
) -> None:
    damage(mirror.files, f"/maven2/{client_jars._BINDING.path}")
    with pytest.raises(ConfigurationError, match=f"slf4j-reload4j.*{words}.*{repository.VARIABLE}"):
        client_jars.client_jars(VERSION, environ=environ)
    assert left_in(environ) == []


def test_a_repository_that_is_away(environ: dict[str, str], mirror: Repository) -> None:
    mirror.server.shutdown()
    mirror.server.server_close()
    with pytest.raises(ConfigurationError, match=rf"cannot be had from {mirror.url}.*refused"):
        client_jars.client_jars(VERSION, environ=environ)


def test_the_address() -> None:
    assert repository.base_url({}) == repository.CENTRAL
    assert repository.base_url({repository.VARIABLE: "https://mirror.example.com/maven/"}).endswith("/maven")
    for url in ("http://mirror.example.com/maven", "file:///etc", "mirror"):
        with pytest.raises(ConfigurationError, match=repository.VARIABLE):
            repository.base_url({repository.VARIABLE: url})


def test_only_the_extra_fetches_by_itself(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, mirror: Repository, tmp_path: Path
) -> None:
    monkeypatch.setattr(classes, "DEFAULT_VERSION", VERSION)
    monkeypatch.setattr(classes, "packaged_java", lambda: None)
    with pytest.raises(ConfigurationError, match=r"knit-provider\[jvm\]"):
        find_hadoop(None, environ)
    assert mirror.asked == []
    monkeypatch.setattr(classes, "packaged_java", lambda: tmp_path)
    found = find_hadoop(None, environ)
    assert (found.version, found.origin) == (VERSION, "the extra [jvm]")
    assert found.jars[0].name == f"hadoop-client-api-{VERSION}.jar"
