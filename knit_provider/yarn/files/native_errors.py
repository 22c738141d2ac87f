"""What hdfs-native's exceptions mean, in the errors of the core."""

from __future__ import annotations

import re

from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, ConfigurationError, KnitError
from knit_provider.yarn.files.namenodes import error_from_hdfs, first_line
from knit_provider.yarn.files.port import RemoteFileExists, RemoteFileNotFound

# An exception of the NameNode's arrives in the words of Rust's debug output.
_REMOTE = re.compile(r'^(?:Fatal)?RPCError\("(?P<kind>[\w.$]+)", "(?P<message>.*)"\)$', re.DOTALL)
_LOGIN = ("GSSAPI", "Gssapi", "SASL", "Sasl", "Kerberos", "krb5", "No credentials", "AuthenticationFailed")
_DATA = ("DataTransfer", "BlocksNotFound", "datanode", "DataNode", "BlockMissing", "No valid datanodes")


def error_of(error: BaseException, name: str, root: str) -> KnitError:
    """The error that says what hdfs-native's says.

    Args:
        error: an ``OSError``, ``RuntimeError`` or ``ValueError`` of hdfs-native's.
        name: the path that was asked for.
        root: URI of the filesystem.
    """
    if isinstance(error, KnitError):
        return error
    text = str(error)
    words = first_line(text)
    if isinstance(error, FileNotFoundError):
        return RemoteFileNotFound(words if words != name else f"{root}{name} does not exist")
    if isinstance(error, FileExistsError):
        return RemoteFileExists(words)
    remote = _REMOTE.match(text)
    if remote is not None:
        message = remote["message"].replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"').replace("\\\\", "\\")
        return error_from_hdfs(remote["kind"].rpartition(".")[2], message, name)
    if any(word in text for word in _LOGIN):
        return AuthenticationFailed(f"{root} does not accept our login: {words}")
    if isinstance(error, OSError):
        return ClusterUnavailable(f"no NameNode of {root} serves {name}: {words}")
    if "InvalidArgument" in text:
        return ConfigurationError(f"{root}: {words}")
    return KnitError(f"{root}{name}: {words}")


def is_of_datanodes(error: BaseException) -> bool:
    """Whether a transfer failed between us and the DataNodes, where another way to them may do."""
    if isinstance(error, (KnitError, FileNotFoundError, FileExistsError)) or _REMOTE.match(str(error)):
        return False
    return isinstance(error, OSError) or any(word in str(error) for word in _DATA)
