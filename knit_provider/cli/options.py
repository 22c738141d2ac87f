"""Options that every command about the cluster shares, and the ``Knit`` made from them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.knit import Knit

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--conf-dir", "hadoop_conf_dir", metavar="DIR", help="Directory of the cluster's *-site.xml files."),
    click.option(
        "--rm",
        "rm_addresses",
        metavar="HOST:PORT",
        multiple=True,
        help="ResourceManager's REST address; repeat for HA.",
    ),
    click.option(
        "--scheme", type=click.Choice(["http", "https"]), help="Of the REST interface [default: as configured]."
    ),
    click.option(
        "--gateway-path", metavar="PATH", help="Of a gateway at --rm, such as Knox's /gateway/default/resourcemanager."
    ),
    click.option("--ca-bundle", metavar="FILE", help="CA certificates of a cluster or gateway with TLS."),
    click.option("--password-file", metavar="FILE", help="Holds the password of --user, for a gateway that wants one."),
    click.option("--user", metavar="NAME", help="User to act as [default: HADOOP_USER_NAME, else the OS user]."),
    click.option("--principal", metavar="NAME@REALM", help="Kerberos principal; goes with --keytab."),
    click.option("--keytab", metavar="FILE", help="The principal's keytab [default: the ticket of kinit]."),
    click.option("--ccache", metavar="FILE", help="Kerberos credential cache [default: KRB5CCNAME]."),
    click.option("--proxy-user", metavar="NAME", help="User to act for, where the cluster allows it."),
    click.option(
        "--bridge", type=click.Choice(["auto", "rest", "jvm"]), default="auto", show_default=True, help="What submits."
    ),
    click.option("--hdfs-home", metavar="DIR", help="Writable directory in HDFS [default: the user's home]."),
    click.option("--staging", metavar="URI", help="Folder to stage into, where the filesystem keeps no file modes."),
    click.option("-D", "pars", metavar="KEY=VALUE", multiple=True, help="A Hadoop property; may be repeated."),
)


def with_knit(command: F) -> F:
    """Add the connection options to a command and pass it a :class:`Knit` as its first argument."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        knit = Knit(
            pars=_properties(kwargs.pop("pars")),
            hadoop_conf_dir=kwargs.pop("hadoop_conf_dir"),
            rm_addresses=list(kwargs.pop("rm_addresses")) or None,
            **{
                name: kwargs.pop(name)
                for name in ("user", "hdfs_home", "principal", "keytab", "ccache", "proxy_user", "bridge")
            },
            **{name: kwargs.pop(name) for name in ("scheme", "gateway_path", "ca_bundle", "staging")},
            password=_password(kwargs.pop("password_file")),
        )
        try:
            return command(knit, *args, **kwargs)
        finally:
            knit.close()

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def pairs(option: str, values: tuple[str, ...]) -> dict[str, str]:
    """Read repeated ``NAME=VALUE`` options; a value may hold further ``=``.

    Raises:
        ConfigurationError: for one without ``=`` or without a name.
    """
    found = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"{option} {value!r} is not NAME=VALUE")
        found[name] = text
    return found


def _password(file: str | None) -> str | None:
    """The password in a file; None where no file is named, since others can see a command's arguments."""
    if file is None:
        return None
    try:
        text = Path(file).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigurationError(f"--password-file {file} cannot be read: {e}") from None
    if not text:
        raise ConfigurationError(f"--password-file {file} is empty; write the password into it")
    return text


def _properties(values: tuple[str, ...]) -> dict[str, str]:
    return pairs("-D", values)
