"""Delegation tokens of key servers (Hadoop KMS), without which nobody reads files in an encryption zone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, KnitError
from knit_provider.yarn.proxy_user import with_way_out
from knit_provider.yarn.rest.answers import error_of
from knit_provider.yarn.rest.transport import Transport, Unanswered
from knit_provider.yarn.tokens import KMS_KIND, Token

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf
    from knit_provider.yarn.files.namenodes import NameNodes
    from knit_provider.yarn.tls import Trust

PROPERTIES = ("hadoop.security.key.provider.path", "dfs.encryption.key.provider.uri")

_TIMEOUT = 20.0


def key_provider(conf: HadoopConf, namenodes: NameNodes) -> str | None:
    """URI of the key server behind a filesystem's encryption zones, None where it has none.

    The NameNode's word counts before that of the configuration, as for Hadoop's own client.
    """
    said = None
    try:
        defaults = namenodes.call("GET", "GETSERVERDEFAULTS", "/").get("FsServerDefaults")
        said = defaults.get("keyProviderUri") if isinstance(defaults, dict) else None
    except KnitError:
        # Hadoop before 3.2 does not know the operation. Whether the NameNode is there, its own token has shown.
        pass
    uri = str(said or next((conf[key] for key in PROPERTIES if conf.get(key)), "")).partition("#")[0]
    # Other providers, such as a key store in a file, give no tokens.
    return uri if uri.startswith("kms://") else None


class KeyServers:
    """The key servers of one URI, any of which does.

    Args:
        uri: such as ``kms://https@kms1;kms2:9600/kms``.
        auth: the ``requests`` authentication that they take.
        verify: as in ``requests``.
        acted_for: whom the login acts for, if it is not for itself.

    Raises:
        ConfigurationError: the URI names none.
    """

    def __init__(
        self, uri: str, auth: Any, verify: bool | str | Trust | None = None, acted_for: str | None = None
    ) -> None:
        self.uri = uri
        self.addresses = addresses_of(uri)
        self._acted_for = acted_for
        self._transport = Transport(auth, verify)

    def token(self, renewer: str) -> Token:
        """A token for the user.

        Args:
            renewer: the principal that may renew it.

        Raises:
            AuthenticationFailed, PermissionDenied: they do not accept the login.
            ClusterUnavailable: none of them answers, or what answers is none.
        """
        params = {"op": "GETDELEGATIONTOKEN", "renewer": renewer}
        if self._acted_for is not None:
            params["doAs"] = self._acted_for
        problems = []
        for address in self.addresses:
            try:
                answer = self._transport.exchange("GET", f"{address}/v1/", timeout=_TIMEOUT, params=params)
            except Unanswered as e:
                problems.append(str(e))
                continue
            if answer.status >= 500:
                problems.append(f"{answer.url} answered {answer.shown()}")
                continue
            if answer.status != 200:
                raise with_way_out(error_of(answer, self._acted_for or "of the login"))
            return self._token_in(answer.json(), answer.url)
        raise ClusterUnavailable(
            f"no key server of {self.uri} ({PROPERTIES[0]}) gives a token, without which the application reads nothing "
            f"in an encryption zone: {'; '.join(problems)}"
        )

    def _token_in(self, answer: dict[str, Any], url: str) -> Token:
        found = answer.get("Token")
        text = found.get("urlString") if isinstance(found, dict) else None
        try:
            token = Token.parse(str(text or ""))
        except (ValueError, UnicodeDecodeError) as e:
            raise ClusterUnavailable(f"{url} gave a delegation token that is none: {e}") from e
        # Clients and whoever renews it find the key server by this name, so it is the whole URI.
        return replace(token, kind=KMS_KIND, service=self.uri)

    def __enter__(self) -> KeyServers:
        return self

    def __exit__(self, *exc: object) -> None:
        self._transport.close()


def addresses_of(uri: str) -> list[str]:
    """Base URLs of the key servers that a URI names.

    Raises:
        ConfigurationError: it is none of theirs.

    Examples:
        >>> addresses_of("kms://https@one;two:9600/kms")
        ['https://one:9600/kms', 'https://two:9600/kms']
    """
    parts = urlsplit(uri)
    scheme, at, places = parts.netloc.partition("@")
    hosts, colon, port = places.partition(":")
    names = [host for host in hosts.split(";") if host]
    if (
        parts.scheme != "kms"
        or scheme not in ("http", "https")
        or not at
        or not names
        or (colon and not port.isdigit())
    ):
        raise ConfigurationError(
            f"{uri!r} ({' or '.join(PROPERTIES)}) names no key server; it looks like kms://https@host1;host2:9600/kms"
        )
    return [f"{scheme}://{host}{colon}{port}{parts.path.rstrip('/')}" for host in names]
