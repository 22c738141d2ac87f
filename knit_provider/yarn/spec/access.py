"""Who beside the owner may see and change an application."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.spec import fields
from knit_provider.yarn.spec.serialize import changed_fields

_LISTS = ("view_users", "view_groups", "modify_users", "modify_groups", "ui_users")


@dataclass(frozen=True, kw_only=True)
class ACLs:
    """Access control lists, which YARN enforces where ``yarn.acl.enable`` is true. The owner always has access.

    Attributes:
        enable: whether they are set at all. Default: whether any list names somebody.
        view_users: who may see the application and its logs; ``*`` is everybody.
        view_groups: groups that may.
        modify_users: who may kill and change it.
        modify_groups: groups that may.
        ui_users: read for Skein's sake; knit-provider opens no web page of its own.
    """

    enable: bool | None = None
    view_users: tuple[str, ...] = ()
    view_groups: tuple[str, ...] = ()
    modify_users: tuple[str, ...] = ()
    modify_groups: tuple[str, ...] = ()
    ui_users: tuple[str, ...] = ()

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            enable: bool | None = None,
            view_users: Iterable[str] = (),
            view_groups: Iterable[str] = (),
            modify_users: Iterable[str] = (),
            modify_groups: Iterable[str] = (),
            ui_users: Iterable[str] = (),
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in _LISTS:
            object.__setattr__(self, name, fields.unique(getattr(self, name), name, fields.word))
        if self.enable is not None:
            fields.flag(self.enable, "enable")

    def to_yarn(self) -> dict[str, str]:
        """YARN's ACL strings (``user,user group,group``) under ``view`` and ``modify``; empty if they are not set."""
        enabled = any(getattr(self, name) for name in _LISTS) if self.enable is None else self.enable
        if not enabled:
            return {}
        return {
            "view": _acl(self.view_users, self.view_groups),
            "modify": _acl(self.modify_users, self.modify_groups),
        }

    def with_viewer(self, user: str) -> ACLs:
        """The same with one more user who may view, unless ``enable`` is False: then nobody is let in."""
        known = user in self.view_users or "*" in (*self.view_users, *self.view_groups)
        return self if known or self.enable is False else replace(self, view_users=(*self.view_users, user))

    @classmethod
    def from_dict(cls, value: object) -> ACLs:
        """Read a mapping of the fields."""
        if isinstance(value, ACLs):
            return value
        given = fields.mapping(value, "")
        fields.reject_unknown(given, tuple(cls.__dataclass_fields__))
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """The fields that are not at their default."""
        return changed_fields(self)


def _acl(users: tuple[str, ...], groups: tuple[str, ...]) -> str:
    if "*" in users or "*" in groups:
        return "*"
    # A single space is YARN's way to say nobody; the empty string would do, but not every version agrees.
    return f"{','.join(users)} {','.join(groups)}"


@dataclass(frozen=True, kw_only=True)
class LogAggregation:
    """Which log files YARN collects, as regular expressions of Java on the file's name. '' leaves it to the cluster.

    Attributes:
        include: collected when the application ends.
        exclude: not collected when the application ends.
        rolled_include: collected while it runs, each time the cluster rolls logs.
        rolled_exclude: not collected while it runs.
    """

    include: str = ""
    exclude: str = ""
    rolled_include: str = ""
    rolled_exclude: str = ""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            fields.line(getattr(self, name), name, longest=4096, empty=True)

    @classmethod
    def from_dict(cls, value: object) -> LogAggregation:
        """Read a mapping of the fields."""
        if isinstance(value, LogAggregation):
            return value
        given: Mapping[str, Any] = fields.mapping(value, "")
        fields.reject_unknown(given, tuple(cls.__dataclass_fields__))
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """The fields that are not at their default."""
        return changed_fields(self)
