"""A gateway JVM without a cluster: its filesystem is the local one, its ResourceManager whatever a test puts there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knit_provider.localcluster.jars import hadoop_jars
from knit_provider.yarn.gateway.registry import Gateway
from knit_provider.yarn.gateway.settings import GatewaySettings


@pytest.fixture(scope="session")
def hadoop_home() -> Path:
    """A folder of Hadoop's jars."""
    return hadoop_jars("3.5.0")


def make(hadoop_home: Path, conf: dict[str, str] | None = None, **settings: Any) -> Gateway:
    """A gateway that acts as alice."""
    settings.setdefault("class_archive", False)
    pairs = {"fs.defaultFS": "file:///", **(conf or {})}
    return Gateway(GatewaySettings(user="alice", hadoop_home=str(hadoop_home), conf=tuple(pairs.items()), **settings))


@pytest.fixture
def make_gateway(hadoop_home: Path) -> Iterator[Callable[..., Gateway]]:
    """Make gateways, which end with the test."""
    made: list[Gateway] = []

    def make_one(conf: dict[str, str] | None = None, **settings: Any) -> Gateway:
        made.append(make(hadoop_home, conf, **settings))
        return made[-1]

    yield make_one
    for gateway in made:
        gateway.close()


@pytest.fixture(scope="session")
def shared_gateway(hadoop_home: Path) -> Iterator[Gateway]:
    """One for all: a start costs a second or more."""
    gateway = make(hadoop_home)
    yield gateway
    gateway.close()


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Gateway:
    """A running gateway, which a test may also end: the next one starts it again."""
    shared_gateway.start()
    return shared_gateway


def eventually(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until something is so; fail if it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds:.0f} s still not so: {what}")
        time.sleep(0.05)
