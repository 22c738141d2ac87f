"""The default filesystem, and where its NameNodes' web interface is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knit_provider.yarn.config.addresses import Address, parse_address
from knit_provider.yarn.config.defaults import FALLBACK_HOST, FALLBACK_NN_PORT
from knit_provider.yarn.errors import ConfigurationError

if TYPE_CHECKING:
    from knit_provider.yarn.config.hadoop_conf import HadoopConf

DEFAULT_FS = "fs.defaultFS"
RPC_PORT = 8020
_WEB = {"http": "dfs.namenode.http-address", "https": "dfs.namenode.https-address"}
_WEB_PORT = {"http": 9870, "https": 9871}


def default_fs(conf: HadoopConf) -> str:
    """URI of the default filesystem.

    ``nn`` decides where given: a nameservice by its name, else a host with ``nn_port``. Without ``nn_port`` it is the
    port that ``fs.defaultFS`` has for that host, and where nothing says one, Knit's documented 9000.
    """
    host, port = conf.short("nn"), conf.short("nn_port")
    said = conf.raw_expanded(DEFAULT_FS)
    if host and "://" in host:
        return str(host).rstrip("/")
    if host is None and said is not None:
        uri = _with_scheme(said)
        if port is None or not uri.startswith("hdfs://"):
            return uri
        return f"hdfs://{Address(parse_address(uri, DEFAULT_FS).host, port)}"
    if host in nameservices(conf):
        return f"hdfs://{host}"
    if host is not None and port is None and said is not None:
        known = parse_address(said, DEFAULT_FS) if said.startswith("hdfs://") else None
        if known is not None and known.host.lower() == host.lower():
            return f"hdfs://{known}"
    return f"hdfs://{Address(host or FALLBACK_HOST, port or FALLBACK_NN_PORT)}"


def nameservices(conf: HadoopConf) -> list[str]:
    """The HDFS nameservices that the configuration defines."""
    return conf.get_list("dfs.nameservices")


def name_node(conf: HadoopConf) -> Address:
    """Host and RPC port of the default filesystem; the port is None for a nameservice and in a URI without one."""
    uri = default_fs(conf)
    authority = uri.partition("://")[2].partition("/")[0]
    return parse_address(uri, DEFAULT_FS) if authority else Address(FALLBACK_HOST)


def rpc_address(conf: HadoopConf, filesystem: str) -> Address | None:
    """Where a NameNode serves Hadoop's RPC, by the URI of its filesystem; None for a nameservice, which has several."""
    address = parse_address(filesystem.partition("://")[2], filesystem, RPC_PORT)
    return None if address.host in nameservices(conf) else address


def web_addresses(conf: HadoopConf, filesystem: str | None = None) -> list[str]:
    """Base URLs of the NameNodes that serve WebHDFS for a filesystem; empty where it is none of HDFS's.

    Raises:
        ConfigurationError: if a nameservice is named of which the configuration lacks the addresses.
    """
    uri = filesystem or default_fs(conf)
    scheme, rest = uri.partition("://")[::2]
    if scheme in ("webhdfs", "swebhdfs"):
        web = "https" if scheme == "swebhdfs" else "http"
        return [f"{web}://{parse_address(rest, uri, _WEB_PORT[web])}"]
    if scheme != "hdfs":
        return []
    web = "https" if conf["dfs.http.policy"].upper() == "HTTPS_ONLY" else "http"
    service = parse_address(rest, uri).host if rest.strip("/") else name_node(conf).host
    if service not in nameservices(conf):
        return [f"{web}://{_address(conf, web, '', service)}"]
    ids = conf.get_list(f"dfs.ha.namenodes.{service}")
    if not ids:
        return [f"{web}://{_address(conf, web, f'.{service}', None)}"]
    return [f"{web}://{_address(conf, web, f'.{service}.{nn_id}', None)}" for nn_id in ids]


def _address(conf: HadoopConf, web: str, suffix: str, rpc_host: str | None) -> Address:
    key = f"{_WEB[web]}{suffix}"
    text = conf.get(key)
    address = parse_address(text, key, _WEB_PORT[web]) if text else Address("", _WEB_PORT[web])
    if address.reachable:
        return address
    rpc_key = f"dfs.namenode.rpc-address{suffix}"
    host = rpc_host or (parse_address(conf[rpc_key], rpc_key).host if rpc_key in conf else None)
    if host is None:
        raise ConfigurationError(
            f"the configuration names the NameNode {suffix[1:]!r} but neither {key} nor {rpc_key} says where it is; "
            "set one of them"
        )
    return Address(host, address.port)


def _with_scheme(uri: str) -> str:
    # Very old files hold "host:port", which Hadoop still takes for HDFS.
    return uri.rstrip("/") if "://" in uri or uri.startswith("file:") else f"hdfs://{uri.rstrip('/')}"
