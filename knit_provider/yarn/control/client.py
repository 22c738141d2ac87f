"""Speaks to one ApplicationMaster.

The server's certificate is made for one application and pinned here by its SHA-256 fingerprint. The pin replaces host
name and validity checks: an ApplicationMaster may come up on any node, under any of its names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import urllib3

from knit_provider.yarn.errors import ApplicationMasterUnreachable, KnitError, PermissionDenied
from knit_provider.yarn.waiting import Backoff

_SECRET = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

MAX_ANSWER_BYTES = 64 * 1024 * 1024

# A change is answered once it is safe in HDFS, or after 10 s with an error: longer than that is waited for the answer.
_KEEPING = 5.0


@dataclass(frozen=True)
class ControlCredentials:
    """What it takes to control one application.

    Attributes:
        secret: bearer secret, base64url text. Never printed.
        certificate: the ApplicationMaster's X.509 certificate, DER.
        shared: the submitter's own secrets, which the containers have too.
    """

    secret: str = field(repr=False)
    certificate: bytes = field(repr=False)
    shared: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as hexadecimal digits."""
        return hashlib.sha256(self.certificate).hexdigest()

    def to_json(self, app_id: str) -> bytes:
        """The content of ``control.json`` in the application's staging directory."""
        document: dict[str, Any] = {
            "version": 1,
            "application_id": app_id,
            "secret": self.secret,
            "certificate": base64.b64encode(self.certificate).decode("ascii"),
        }
        if self.shared:
            document["shared"] = {name: base64.b64encode(value).decode("ascii") for name, value in self.shared.items()}
        return json.dumps(document).encode()

    @classmethod
    def from_json(cls, text: bytes, origin: str) -> ControlCredentials:
        """Read ``control.json``.

        Raises:
            KnitError: if the file is not what the submitter wrote; the message names ``origin``.
        """
        try:
            document = json.loads(text)
            shared = {name: base64.b64decode(value) for name, value in document.get("shared", {}).items()}
            if not _SECRET.fullmatch(document["secret"]):
                raise ValueError("the secret is none of ours")
            return cls(document["secret"], base64.b64decode(document["certificate"], validate=True), shared)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as e:
            raise KnitError(f"{origin} is damaged ({type(e).__name__}); the application cannot be controlled") from None


class ControlClient:
    """Calls one ApplicationMaster; finds it again when a later attempt has moved.

    Args:
        app_id: YARN application id.
        credentials: secret and certificate.
        locate: returns ``(host, port)`` of the ApplicationMaster that runs now, waiting for it where that is called
            for. Called on first use and again after a failed connection.
        timeout: seconds for one request (default 10); a change has 5 s more.
        restart_seconds: how long a port that refuses is waited for, since a later attempt may be on its way
            (default 20).
    """

    def __init__(
        self,
        app_id: str,
        credentials: ControlCredentials,
        locate: Callable[[], tuple[str, int]],
        *,
        timeout: float = 10.0,
        restart_seconds: float = 20.0,
    ) -> None:
        self._restart_seconds = restart_seconds
        self.app_id = app_id
        self._credentials = credentials
        self._locate = locate
        self._timeout = timeout
        self._lock = threading.Lock()
        self._pool: urllib3.HTTPSConnectionPool | None = None

    def status(self) -> dict[str, Any]:
        """Targets and counts of every service, attempt, progress and what is left of the lease."""
        return self._call("GET", "/v1/status")

    def containers(self) -> list[dict[str, Any]]:
        """Every container that any attempt of the application had, live and ended."""
        found = self._call("GET", "/v1/containers").get("containers", [])
        return list(found)

    def scale(
        self,
        service: str,
        *,
        instances: int | None = None,
        delta: int | None = None,
        resources: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Change how many instances a service should have.

        Args:
            service: name of the service.
            instances: the new target; or
            delta: what to add to the present one.
            resources: for added instances only: ``memory`` (MiB), ``vcores``, ``named``.
        """
        body: dict[str, Any] = {"service": service}
        if instances is not None:
            body["instances"] = instances
        if delta is not None:
            body["delta"] = delta
        if resources is not None:
            body["resources"] = dict(resources)
        # Sent once: a repeated delta would count twice.
        return self._call("POST", "/v1/scale", body, repeat=delta is None, seconds=_KEEPING)

    def remove_containers(self, ids: Sequence[str]) -> dict[str, Any]:
        """Stop these containers and lower their services' targets."""
        return self._call("POST", "/v1/containers/remove", {"ids": list(ids)}, seconds=_KEEPING)

    def change_instances(
        self,
        service: str,
        *,
        add: Sequence[int] = (),
        remove: Sequence[int] = (),
        resources: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Add and remove instances by index, which may be said twice: an index is only used once.

        Args:
            service: name of the service.
            add: indices to run; those that there are or ever were are left as they are.
            remove: indices to end.
            resources: as in :meth:`scale`.

        Returns:
            ``service``, ``target``, ``added``, ``removed``, and as they are now ``active``, the indices that run or
            wait for a container, and ``next``, an index above all that were ever used.
        """
        body: dict[str, Any] = {"service": service, "add": list(add), "remove": list(remove)}
        if resources is not None:
            body["resources"] = dict(resources)
        return self._call("POST", "/v1/instances", body, seconds=_KEEPING)

    def kv(self, path: str, body: Mapping[str, Any], seconds: float = 0.0) -> dict[str, Any]:
        """A request to the key-value store, whose answer may take so many seconds longer than any other."""
        # Said twice, a condition on the version would refuse what it has just done itself.
        return self._call("POST", path, body, repeat="if_version" not in body, seconds=seconds + _KEEPING)

    def renew_lease(self) -> dict[str, Any]:
        """Keep a bound application alive for another lease period."""
        return self._call("POST", "/v1/lease", {}, repeat=False)

    def release_lease(self) -> None:
        """Turn a bound application into a detached one."""
        self._call("DELETE", "/v1/lease", seconds=_KEEPING)

    def set_progress(self, progress: float) -> None:
        """Report progress, 0 to 1, to the ResourceManager."""
        self._call("POST", "/v1/progress", {"progress": progress})

    def shutdown(self, final_status: str = "SUCCEEDED", diagnostics: str = "") -> None:
        """End the application with this final status."""
        self._call("POST", "/v1/shutdown", {"final_status": final_status, "diagnostics": diagnostics})

    def close(self) -> None:
        """Drop the open connections; the application goes on."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _connect(self, again: bool = False) -> urllib3.HTTPSConnectionPool:
        with self._lock:
            if again and self._pool is not None:
                self._pool.close()
                self._pool = None
            if self._pool is not None:
                return self._pool
        host, port = self._locate()
        pool = urllib3.HTTPSConnectionPool(
            host,
            port,
            assert_fingerprint=self._credentials.fingerprint,
            assert_hostname=False,
            cert_reqs="CERT_NONE",
            timeout=urllib3.Timeout(connect=self._timeout, read=self._timeout),
            retries=False,
            maxsize=4,
        )
        with self._lock:
            self._pool = pool
        return pool

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        repeat: bool = True,
        seconds: float = 0.0,
    ) -> dict[str, Any]:
        try:
            return self._send(self._connect(), method, path, body, seconds)
        except (_NoConnection, _Recovering) as e:
            # Nothing was done yet, so saying it again is safe.
            return self._find_again(method, path, body, seconds, e)
        except urllib3.exceptions.HTTPError as e:
            if repeat:
                return self._find_again(method, path, body, seconds, e)
            unreachable = self._unreachable(e)
            self.close()  # the next call asks anew where it is
            raise unreachable from e

    def _find_again(
        self, method: str, path: str, body: Mapping[str, Any] | None, seconds: float, cause: Exception
    ) -> dict[str, Any]:
        """Try the address that the ResourceManager has now.

        A port that refuses belongs to an ApplicationMaster that has died: the ResourceManager takes a moment to notice,
        and a later attempt has another port. So does one that another application's ApplicationMaster has taken since.
        One that lets nothing through is tried once more only.
        """
        backoff = Backoff.for_waiting(self._restart_seconds, shortest=0.2, longest=1.0)
        while True:
            try:
                return self._send(self._connect(again=True), method, path, body, seconds)
            except _Recovering:
                if not backoff.sleep():
                    raise
            except urllib3.exceptions.HTTPError as e:
                refused = isinstance(e, _NoConnection) and e.refused
                if not refused or not backoff.sleep():
                    raise self._unreachable(e) from cause

    def _send(
        self,
        pool: urllib3.HTTPSConnectionPool,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        seconds: float = 0.0,
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._credentials.secret}", "Accept": "application/json"}
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            # The handshake counts as connecting, and takes an ApplicationMaster that has just come up its time.
            timeout = urllib3.Timeout(connect=self._timeout, read=self._timeout + seconds)
            answer = pool.request(method, path, body=payload, headers=headers, preload_content=False, timeout=timeout)
        except urllib3.exceptions.NewConnectionError as e:
            raise _NoConnection(str(e), refused="refused" in str(e).lower()) from e
        except urllib3.exceptions.ConnectTimeoutError as e:
            raise _NoConnection(str(e), refused=False) from e
        except urllib3.exceptions.SSLError as e:
            if "fingerprint" not in str(e).lower():
                raise  # it may have come later, with the request on its way
            raise _Stranger(
                f"what answers at {pool.host}:{pool.port} is not the ApplicationMaster of {self.app_id}: "
                f"its certificate is not the one made at submission ({e})",
                refused=True,
            ) from e
        try:
            text = answer.read(MAX_ANSWER_BYTES)
        finally:
            answer.release_conn()
        return self._understand(pool, method, path, answer.status, text)

    def _understand(
        self, pool: urllib3.HTTPSConnectionPool, method: str, path: str, status: int, text: bytes
    ) -> dict[str, Any]:
        try:
            value = json.loads(text) if text else {}
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ApplicationMasterUnreachable(
                f"{pool.host}:{pool.port} answered {method} {path} with {status} and no JSON object; "
                f"the ApplicationMaster of {self.app_id} may be ending"
            )
        if status < 300:
            return value
        if status in (401, 403):
            raise PermissionDenied(
                f"the ApplicationMaster of {self.app_id} at {pool.host}:{pool.port} refused our secret; "
                "control.json in the application's staging directory belongs to another submission"
            )
        if status == 503:
            raise _Recovering(f"{self.app_id}: {value.get('message')}")
        raise KnitError(f"{self.app_id}: {value.get('message') or value.get('error') or f'HTTP {status} for {path}'}")

    def _unreachable(self, cause: Exception) -> ApplicationMasterUnreachable:
        if isinstance(cause, _Stranger):
            return ApplicationMasterUnreachable(str(cause))
        pool = self._pool
        where = f"{pool.host}:{pool.port}" if pool is not None else "its control port"
        return ApplicationMasterUnreachable(
            f"the ApplicationMaster of {self.app_id} does not answer at {where} ({_short(cause)}). The application "
            "goes on; status, wait, logs and kill work without it. If a firewall is in the way, give the application "
            "an am_port_range that it lets through"
        )


class _NoConnection(urllib3.exceptions.HTTPError):
    """The request never left; ``refused`` says whether the port answered with a no."""

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class _Stranger(_NoConnection):
    """Somebody else has the port; nothing was said to them."""


class _Recovering(ApplicationMasterUnreachable):
    """A later attempt is up and still reads what the earlier one has left."""


def _short(e: BaseException) -> str:
    return str(e).rsplit(": ", 1)[-1][:200] or type(e).__name__
