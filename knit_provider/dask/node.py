"""Runs a Dask worker or scheduler in a YARN container.

Travels to the containers as a file of its own beside ``knit_container.py``; their environment needs distributed only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import socket
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from knit_provider.yarn import container
else:
    sys.path.insert(0, os.getcwd())
    import knit_container as container

SETTINGS = "YARN_DASK_SETTINGS"
"""The variable that holds what to run, as JSON."""

SECURITY = "dask.security"
"""Name of the secret that holds keys and certificates."""

SCHEDULER_KEY = "dask/scheduler"
"""Where a scheduler in a container says its address."""

CLUSTER_KEY = "dask/cluster"
"""Where it says what the cluster's workers are like, for who comes to know the cluster later."""

REFUSED = "dask/refused/"
"""Below it: why a container cannot run what it should."""

DIFFERS = "dask/differs/"
"""Below it: versions in a container that are not the client's."""

# Containers that end otherwise than by 0 are replaced, as long as nobody wanted them to end.
REPLACE_ME = 75
UNUSABLE = 78

_WAIT_FOR_SCHEDULER = 120.0


def versions() -> dict[str, str]:
    """What has to be the same everywhere for functions and data to travel."""
    from importlib.metadata import version

    import dask
    import distributed

    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "dask": dask.__version__,
        "distributed": distributed.__version__,
        "msgpack": version("msgpack"),
        "cloudpickle": version("cloudpickle"),
    }


def pack_security(security: Any) -> bytes:
    """The keys and certificates of a Security object, read if they are files; each different text once."""
    texts: list[str] = []
    roles: dict[str, int] = {}
    for name in _TLS_FIELDS:
        value = getattr(security, name)
        if value is None:
            continue
        if "\n" not in value:
            with open(value, encoding="ascii") as file:
                value = file.read()
        if value not in texts:
            texts.append(value)
        roles[name] = texts.index(value)
    return json.dumps({"texts": texts, "roles": roles}).encode("ascii")


def unpack_security(shared: Mapping[str, bytes]) -> Any:
    """The Security object among an application's secrets; None where it has none and speaks in plain text."""
    from distributed.security import Security

    if SECURITY not in shared:
        return None
    packed = json.loads(shared[SECURITY])
    fields = {name: packed["texts"][index] for name, index in packed["roles"].items()}
    return Security(require_encryption=True, **fields)


_TLS_FIELDS = (
    "tls_ca_file",
    *(f"tls_{role}_{what}" for role in ("client", "scheduler", "worker") for what in ("key", "cert")),
)


class Node:
    """One container of a Dask cluster."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.settings: dict[str, Any] = json.loads(environ[SETTINGS])
        self.name = environ["KNIT_INDEX"]
        self.place = f"{environ.get('KNIT_SERVICE', '')}/{self.name}"
        self.host = environ.get("NM_HOST") or socket.gethostname()
        self.shared = container.secrets(environ)
        self.store = container.kv(environ) if environ.get("KNIT_AM_ADDRESS") else None

    def tell(self, folder: str, message: str) -> None:
        """Leave word for the cluster object, which nobody may be there to read."""
        print(f"knit-provider: {message}", file=sys.stderr, flush=True)
        if self.store is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self.store.set(folder + self.place, message)

    def look_at_versions(self) -> int:
        """0 if this environment can run Dask; says what is wrong with it."""
        wanted: dict[str, str] = self.settings["versions"]
        try:
            own = versions()
        except ImportError as e:
            self.tell(
                REFUSED,
                f"{sys.executable} on {self.host} cannot run Dask: {e}. The environment has to hold "
                f"distributed {wanted['distributed']}, as the client has; name one with env=",
            )
            return UNUSABLE
        other = [
            f"{name} {own.get(name)} (client: {version})"
            for name, version in wanted.items()
            if own.get(name) != version
        ]
        if other:
            self.tell(DIFFERS, f"{sys.executable} on {self.host} differs from the client: {', '.join(other)}")
        return 0

    async def scheduler_address(self) -> str:
        """Given by a client that holds the scheduler, else published by the scheduler's own container."""
        if self.settings.get("address"):
            return str(self.settings["address"])
        if self.store is None:
            raise RuntimeError("there is no control channel to learn the scheduler's address from")
        said = await asyncio.to_thread(self.store.wait, SCHEDULER_KEY, _WAIT_FOR_SCHEDULER)
        return str(json.loads(said)["address"])

    async def run_worker(self) -> int:
        """Be a worker until it ends."""
        from distributed import Nanny, Worker
        from distributed.comm import get_address_host
        from distributed.utils import get_ip, import_term

        address = await self.scheduler_address()
        security = unpack_security(self.shared)
        try:
            await self.free_name(address, security)
        except OSError as e:
            message = f"{self.host} cannot reach the scheduler at {address}: {e}"
            hint = "; ip= names another address of it" if self.settings.get("address") else ""
            await asyncio.to_thread(self.tell, REFUSED, message + hint)
            return REPLACE_ME
        kind = import_term(self.settings["worker_class"]) if self.settings.get("worker_class") else Worker
        options: dict[str, Any] = {
            "name": self.name,
            "nthreads": self.settings["nthreads"],
            "memory_limit": self.settings["memory_limit"],
            "security": security,
            # The address that leads to the scheduler is one that leads from it to here.
            "host": get_ip(get_address_host(address)),
            # The container's own folder, which YARN removes.
            "local_directory": os.getcwd(),
            "death_timeout": 60,
            # It tells of its health in plain HTTP, and asks nobody who they are.
            "dashboard_address": "127.0.0.1:0",
            **self.settings["options"],
        }
        started: Any = Nanny if self.settings["nanny"] else kind
        if started is Nanny:
            options["worker_class"] = kind
        worker = started(address, **options)
        async with worker:
            await asyncio.to_thread(self.take_back)
            await worker.finished()
        return REPLACE_ME

    def take_back(self) -> None:
        """What an earlier container of this worker had to complain of is over."""
        if self.store is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self.store.delete(REFUSED + self.place)

    async def free_name(self, address: str, security: Any) -> None:
        """Let go whoever has this worker's name: its node was given up for lost, and it may live on without it."""
        from distributed.core import rpc

        arguments = security.get_connection_args("worker") if security is not None else {}
        async with rpc(address, connection_args=arguments) as scheduler:
            try:
                gone = await asyncio.wait_for(
                    scheduler.retire_workers(names=[self.name], close_workers=True, remove=True), 30
                )
            except TimeoutError:
                known = await scheduler.identity()
                gone = [a for a, w in known["workers"].items() if str(w["name"]) == self.name]
                for each in gone:
                    await scheduler.unregister(address=each, stimulus_id="yarn-container-replaced")
        if gone:
            print(
                f"knit-provider: worker {self.name} takes the place of {', '.join(gone)}", file=sys.stderr, flush=True
            )

    async def run_scheduler(self) -> int:
        """Be the scheduler until it ends, which ends the application."""
        from distributed import Scheduler

        assert self.store is not None, "a scheduler in a container needs the control channel"
        security = unpack_security(self.shared)
        scheduler = Scheduler(
            host=socket.gethostbyname(self.host),
            security=security,
            protocol="tls://" if security is not None else "tcp://",
            **{"dashboard": True, "dashboard_address": ":0", **self.settings["options"]},
        )
        async with scheduler:
            dashboard = scheduler.services.get("dashboard") if hasattr(scheduler, "services") else None
            said = {"address": scheduler.address, "dashboard": getattr(dashboard, "port", None)}
            for key, value in ((CLUSTER_KEY, self.settings["cluster"]), (SCHEDULER_KEY, json.dumps(said))):
                # While HDFS is slow it is there all the same, for who looks for it now.
                with contextlib.suppress(container.LateChange):
                    await asyncio.to_thread(self.store.set, key, value)
            await scheduler.finished()
        return 0


def main(role: str) -> int:
    """Run a ``worker`` or a ``scheduler``; returns the process's exit code."""
    node = Node(os.environ)
    code = node.look_at_versions()
    if code:
        return code
    try:
        return asyncio.run(node.run_scheduler() if role == "scheduler" else node.run_worker())
    except (TimeoutError, OSError, ValueError, RuntimeError) as e:
        print(f"knit-provider: the {role} ended: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
        return REPLACE_ME


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
