"""Hadoop's tokens: their text form, the files they are kept in, and those that somebody else got for us."""

from __future__ import annotations

import base64
import binascii
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from knit_provider.yarn.config.addresses import Address, parse_address
from knit_provider.yarn.config.namenodes import rpc_address
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf

TOKEN_FILE = "HADOOP_TOKEN_FILE_LOCATION"  # noqa: S105 -- a variable's name
HDFS_KIND = "HDFS_DELEGATION_TOKEN"
RM_KIND = "RM_DELEGATION_TOKEN"
KMS_KIND = "kms-dt"

# What makes its bearer a part of the application that it was made for, or lets it act towards YARN as its owner.
_NOT_PASSED_ON = frozenset(
    {"YARN_AM_RM_TOKEN", "NMToken", "ContainerToken", "Localizer", "YARN_CLIENT_TOKEN", "mapreduce.job", RM_KIND}
)
_TIMELINE = "TIMELINE_"
_MAGIC = b"HDTS"
_WRITABLE, _PROTOBUF = 0, 1
_LARGEST_FILE = 16 * 2**20


@dataclass(frozen=True)
class Token:
    """A token of Hadoop's.

    Attributes:
        identifier: what the issuer knows it by.
        password: its secret.
        kind: which renewer and which client it is for.
        service: where it counts.
    """

    identifier: bytes
    password: bytes
    kind: str
    service: str

    def __repr__(self) -> str:
        return f"<Token {self.kind} for {self.service}>"

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a token in Hadoop's URL-safe form (base64 without padding).

        Raises:
            ValueError: it is none.
        """
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error as e:
            raise ValueError(f"it is not base64: {e}") from e
        return cls._read(data)[0]

    def to_text(self) -> str:
        """The URL-safe form, as WebHDFS and the ResourceManager's REST interface take it."""
        fields = (self.identifier, self.password, self.kind.encode(), self.service.encode())
        data = b"".join(_vint(len(field)) + field for field in fields)
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    @property
    def owner(self) -> str | None:
        """Whom it makes its bearer, as the issuer wrote it; None where that cannot be read."""
        try:
            if self.kind == RM_KIND:
                fields = dict(_protobuf(self.identifier))
                return (fields.get(1) or fields.get(3) or b"").decode() or None
            # A version, then the owner, who may renew it, and the user on whose behalf the owner was named.
            owner, rest = _read_field(self.identifier[1:])
            _, rest = _read_field(rest)
            return (owner or _read_field(rest)[0]).decode() or None
        except (ValueError, UnicodeDecodeError):
            return None

    @property
    def renewer(self) -> str | None:
        """The short name of whoever may renew a filesystem's or key server's token; None where that cannot be read."""
        try:
            _, rest = _read_field(self.identifier[1:])
            return _read_field(rest)[0].decode() or None
        except (ValueError, UnicodeDecodeError):
            return None

    @property
    def dates(self) -> tuple[int, int] | None:
        """When it was made and when it ends for good, however often it is renewed: milliseconds since the epoch.

        None for a token that does not say so, or not in a way that is known here.
        """
        if self.kind not in (HDFS_KIND, KMS_KIND):
            return None
        try:
            rest = self.identifier[1:]
            for _ in range(3):  # owner, renewer, and on whose behalf the owner was named
                _, rest = _read_field(rest)
            made, rest = _read_vint(rest)
            end, _ = _read_vint(rest)
        except ValueError:
            return None
        return (made, end) if 0 < made < end else None

    @classmethod
    def _read(cls, data: bytes) -> tuple[Token, bytes]:
        fields = []
        for _ in range(4):
            field, data = _read_field(data)
            fields.append(field)
        return cls(fields[0], fields[1], fields[2].decode(), fields[3].decode()), data


def read_token_file(content: bytes) -> list[Token]:
    """The tokens of a token storage file, in either of its formats. Secret keys that it may hold are passed over.

    Raises:
        ValueError: it is none.
    """
    if content[:4] != _MAGIC or len(content) < 5:
        raise ValueError("it does not begin as one")
    kind, data = content[4], content[5:]
    try:
        if kind == _WRITABLE:
            return _of_writable(data)
        if kind == _PROTOBUF:
            return _of_protobuf(data)
    except UnicodeDecodeError as e:
        raise ValueError(f"a name in it is no text: {e}") from e
    raise ValueError(f"it has the format {kind}, and known are 0 and 1")


class BorrowedTokens:
    """The tokens of a file: of the container that this process runs in, or given to it in place of a login.

    They are not ours: an application that gets them does not cancel them at its end. The file is read anew each time,
    since whoever keeps it may put fresh ones there.

    Args:
        path: the file, as ``HADOOP_TOKEN_FILE_LOCATION`` names it.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def of_environment(cls, environ: Mapping[str, str] | None = None) -> BorrowedTokens | None:
        """What ``HADOOP_TOKEN_FILE_LOCATION`` names, if it is set."""
        path = (os.environ if environ is None else environ).get(TOKEN_FILE)
        return cls(path) if path else None

    def __repr__(self) -> str:
        return f"<BorrowedTokens {self.path}>"

    def all(self) -> list[Token]:
        """All of them.

        Raises:
            ConfigurationError: the file cannot be read, or is no token file.
        """
        try:
            with Path(self.path).open("rb") as file:
                content = file.read(_LARGEST_FILE + 1)
            if len(content) > _LARGEST_FILE:
                raise ValueError(f"it has more than {_LARGEST_FILE >> 20} MiB")
            return read_token_file(content)
        except OSError as e:
            raise ConfigurationError(f"{TOKEN_FILE} names {self.path}, which cannot be read: {e.strerror}") from e
        except ValueError as e:
            raise ConfigurationError(f"{TOKEN_FILE} names {self.path}, which is no token file: {e}") from e

    def to_pass_on(self) -> dict[str, Token]:
        """What an application may have of them, by service: none that acts within YARN."""
        return {
            token.service: token
            for token in self.all()
            if token.kind not in _NOT_PASSED_ON and not token.kind.startswith(_TIMELINE)
        }

    def for_hdfs(self, conf: HadoopConf, root: str) -> Token | None:
        """The one for a filesystem, by its URI."""
        service = hdfs_service(conf, root)
        return next((t for t in self.all() if t.kind == HDFS_KIND and t.service == service), None)

    def for_resource_manager(self, conf: HadoopConf) -> Token | None:
        """The one that the cluster's ResourceManagers take; one of another cluster is not shown to them."""
        ours = {place for address in rm_addresses(conf) for place in _places(address)}
        for token in self.all():
            # Of several ResourceManagers the token names all.
            if token.kind == RM_KIND and ours.intersection(token.service.lower().split(",")):
                return token
        return None

    def owner(self, conf: HadoopConf) -> str | None:
        """The principal or name that they make us: of the ResourceManager's token, else of the default filesystem's."""
        token = self.for_resource_manager(conf)
        if token is None and conf.default_fs.startswith("hdfs://"):
            token = self.for_hdfs(conf, conf.default_fs)
        return token.owner if token is not None else None

    def described(self) -> str:
        """What there is, for messages."""
        kinds = ", ".join(sorted({f"{token.kind} for {token.service}" for token in self.all()}))
        return f"{self.path} ({TOKEN_FILE}) holds {kinds or 'nothing'}"


def hdfs_service(conf: HadoopConf, root: str) -> str:
    """Where a token of a filesystem counts, as Hadoop's client writes it.

    Raises:
        ClusterUnavailable: the NameNode's host name is unknown here.
    """
    address = rpc_address(conf, root)
    if address is None:
        return f"ha-hdfs:{root.partition('://')[2]}"
    if not conf.get_bool("hadoop.security.token.service.use_ip", True):
        return f"{address.host.lower()}:{address.port}"
    try:
        return f"{socket.gethostbyname(address.host)}:{address.port}"
    except OSError as e:
        raise ClusterUnavailable(f"the host name of {root} is unknown here: {e}") from e


def rm_addresses(conf: HadoopConf) -> Iterator[Address]:
    """Where the ResourceManagers serve Hadoop's RPC, as far as the configuration says it."""
    key = "yarn.resourcemanager.address"
    port = 8032
    for suffix in [f".{rm_id}" for rm_id in conf.rm_ids] or [""]:
        text = conf.get(f"{key}{suffix}")
        address = parse_address(str(text), f"{key}{suffix}", port) if text else Address("", port)
        host = conf.get(f"yarn.resourcemanager.hostname{suffix}")
        if not address.reachable and host:
            address = Address(str(host), address.port)
        if address.reachable:
            yield address


def _places(address: Address) -> Iterator[str]:
    yield f"{address.host.lower()}:{address.port}"
    try:
        yield f"{socket.gethostbyname(address.host)}:{address.port}"
    except OSError:
        return


def _of_writable(data: bytes) -> list[Token]:
    count, data = _read_vint(data)
    found = []
    for _ in range(count):
        _, data = _read_field(data)  # the alias, which is the service again
        token, data = Token._read(data)
        found.append(token)
    return found


def _of_protobuf(data: bytes) -> list[Token]:
    length, data = _read_varint(data)
    if length > len(data):
        raise ValueError(f"it promises {length} bytes and has {len(data)}")
    found = []
    for number, entry in _protobuf(data[:length]):
        inner = dict(_protobuf(entry)) if number == 1 else {}
        if 2 in inner:
            fields = dict(_protobuf(inner[2]))
            values = [fields.get(n, b"") for n in (1, 2, 3, 4)]
            found.append(Token(values[0], values[1], values[2].decode(), values[3].decode()))
    return found


def _protobuf(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message that hold bytes or text; numbers are passed over."""
    while data:
        key, data = _read_varint(data)
        wire = key & 7
        if wire == 0:
            _, data = _read_varint(data)
        elif wire == 2:
            length, data = _read_varint(data)
            if length > len(data):
                raise ValueError(f"a field of {length} bytes, with {len(data)} to come")
            yield key >> 3, data[:length]
            data = data[length:]
        else:
            raise ValueError(f"a field of the unknown type {wire}")


def _read_varint(data: bytes) -> tuple[int, bytes]:
    value = 0
    for at, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return value, data[at + 1 :]
    raise ValueError("it ends too early")


def _read_field(data: bytes) -> tuple[bytes, bytes]:
    length, data = _read_vint(data)
    if not 0 <= length <= len(data):
        raise ValueError(f"a field of {length} bytes, with {len(data)} to come")
    return data[:length], data[length:]


def _vint(number: int) -> bytes:
    """A length as Hadoop's ``WritableUtils`` writes it."""
    if number <= 127:
        return bytes([number])
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([(-112 - len(data)) & 0xFF]) + data


def _read_vint(data: bytes) -> tuple[int, bytes]:
    if not data:
        raise ValueError("it ends too early")
    first = data[0] - 256 if data[0] > 127 else data[0]
    if first >= -112:
        return first, data[1:]
    size = -112 - first
    if size > 8 or len(data) <= size:
        raise ValueError("a length that is none")
    return int.from_bytes(data[1 : 1 + size], "big"), data[1 + size :]
