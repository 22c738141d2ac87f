"""Token storage files as Hadoop writes them, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knit_provider.yarn.tokens import Token


def writable_file(tokens: Sequence[Token], secrets: Mapping[str, bytes] | None = None) -> bytes:
    """The format of a NodeManager, and of Hadoop 2."""
    out = b"HDTS\x00" + _vint(len(tokens))
    for token in tokens:
        for field in (token.service.encode(), token.identifier, token.password, token.kind.encode()):
            out += _vint(len(field)) + field
        out += _vint(len(token.service.encode())) + token.service.encode()
    out += _vint(len(secrets or {}))
    for name, value in (secrets or {}).items():
        out += _vint(len(name)) + name.encode() + _vint(len(value)) + value
    return out


def protobuf_file(tokens: Sequence[Token], secrets: Mapping[str, bytes] | None = None) -> bytes:
    """What ``dtutil`` and Hadoop 3 write unless told otherwise."""
    body = b""
    for token in tokens:
        inner = _field(1, token.identifier) + _field(2, token.password)
        inner += _field(3, token.kind.encode()) + _field(4, token.service.encode())
        body += _field(1, _field(1, token.service.encode()) + _field(2, inner))
    for name, value in (secrets or {}).items():
        body += _field(2, _field(1, name.encode()) + _field(3, value))
    return b"HDTS\x01" + _varint(len(body)) + body


def hdfs_identifier(owner: str, renewer: str) -> bytes:
    """The beginning of an HDFS token's identifier; times and numbers follow."""
    names = [owner.encode(), renewer.encode(), b""]
    return b"\x00" + b"".join(_vint(len(name)) + name for name in names) + bytes(5)


def rm_identifier(owner: str) -> bytes:
    """An identifier of the ResourceManager's, with a number in it."""
    return _field(1, owner.encode()) + b"\x20\x85\x01"


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _vint(number: int) -> bytes:
    if number <= 127:
        return bytes([number])
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([(-112 - len(data)) & 0xFF]) + data
