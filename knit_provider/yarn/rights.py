"""Who may do what with an application, and what nodes refuse: the words for it, with the way out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import PermissionDenied

if TYPE_CHECKING:
    from knit_provider.yarn.report import ApplicationReport

# What a NodeManager's container-executor says; {user} is found in its words.
_NODES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"\bUser (?P<user>\S+) not found\b"),
        "the node does not know the user {user}: with the secure container executor an application's user needs an "
        "account of that name on every node. Have one made there (or in the directory that the nodes look users up in)",
    ),
    (
        re.compile(r"Requested user (?P<user>\S+) is banned"),
        "the nodes run nothing as {user}: it stands in banned.users of their container-executor.cfg. Submit as a user "
        "who is a person or a service, not one of Hadoop's daemons",
    ),
    (
        re.compile(r"Requested user (?P<user>\S+) is not whitelisted and has id (?P<id>\d+),\s*which is below the "
                   r"minimum allowed (?P<least>\d+)"),
        "the nodes run nothing as {user}, whose user id {id} is below min.user.id={least} of their "
        "container-executor.cfg. Use an account with a higher id, or have {user} put into allowed.system.users there",
    ),
    (
        re.compile(r"Running as root is not allowed"),
        "the nodes run nothing as root. Submit as another user",
    ),
)  # fmt: skip


def node_refusal(diagnostics: str) -> str | None:
    """What to do about a node that refuses to run anything as a user; None where the words are about other things.

    Args:
        diagnostics: of an application or a container.

    Examples:
        >>> node_refusal("main : requested yarn user is etl\\nUser etl not found")[:36]
        'the node does not know the user etl:'
    """
    for pattern, words in _NODES:
        found = pattern.search(diagnostics)
        if found is not None:
            return words.format(**found.groupdict())
    return None


def with_node_refusal(diagnostics: str) -> str:
    """The diagnostics, and what to do where they are a node's refusal."""
    advice = node_refusal(diagnostics)
    return diagnostics if advice is None or advice in diagnostics else f"{diagnostics.rstrip()}\n({advice}.)"


def may_not_view(user: str, app_id: str, owner: str = "") -> str:
    """Who may let a user see an application and its logs."""
    return _missing(user, app_id, owner, "view", "VIEW_APP")


def may_not_modify(user: str, app_id: str, owner: str = "") -> str:
    """Who may let a user end and change an application."""
    return _missing(user, app_id, owner, "modify", "MODIFY_APP")


def require_view(report: ApplicationReport, user: str) -> None:
    """Make sure that the ResourceManager shows more of an application than that it is there.

    Raises:
        PermissionDenied: it does not; who may give the right.
    """
    if hides_details(report, user):
        raise PermissionDenied(may_not_view(user, report.id, report.user))


def hides_details(report: ApplicationReport, user: str) -> bool:
    """Whether the ResourceManager keeps an application's details from this user."""
    # It leaves out times and places then, and says nothing of having done so.
    return bool(report.user) and report.user != user and not report.started_ms


def _missing(user: str, app_id: str, owner: str, right: str, name: str) -> str:
    whose = f"Its owner, {owner}," if owner else "Its owner"
    return (
        f"{user} lacks the right to {right} {app_id} ({name}). {whose} gives it at submission with acls: "
        f"{{{right}_users: [{user}]}} or {right}_groups; administrators of the queue (acl_administer_queue) and of the "
        "cluster (yarn.admin.acl) have it"
    )
