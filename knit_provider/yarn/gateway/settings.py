"""What tells one gateway from another."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GatewaySettings:
    """One cluster as one user sees it, and the software to reach it with. Equal settings share a JVM.

    Attributes:
        user: a simple user; ``None`` is whoever Hadoop takes this process for.
        proxy_user: whom to act for, on top of ``user`` or of the Kerberos login.
        principal: Kerberos principal; goes with ``keytab``.
        keytab: path of a keytab.
        ccache: path of a credential cache; ``None`` is the environment's.
        token_file: a token storage file to borrow tokens from; ``None`` borrows none, whatever the environment says.
        conf_resources: ``*-site.xml`` files, later ones over earlier ones.
        conf: single settings over those of the files.
        java_home: a Java's folder; ``None`` looks for one.
        hadoop_home: a Hadoop's folder; ``None`` looks for one.
        log_level: of Hadoop's own logging, which goes to the gateway's standard error.
        class_archive: keep an archive of loaded classes in the user's cache, which makes later gateways start sooner.
    """

    user: str | None = None
    proxy_user: str | None = None
    principal: str | None = None
    keytab: str | None = None
    ccache: str | None = None
    token_file: str | None = None
    conf_resources: tuple[str, ...] = ()
    conf: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    java_home: str | None = None
    hadoop_home: str | None = None
    log_level: str = "WARN"
    class_archive: bool = True
