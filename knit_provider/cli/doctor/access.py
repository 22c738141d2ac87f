"""What ``knit doctor`` looks at of the user's place on the cluster: home folder, queues, and whether nodes run them."""

from __future__ import annotations

from collections.abc import Iterator

from knit_provider.cli.doctor.finding import Look
from knit_provider.yarn.errors import CheckFailed, KnitError, PermissionDenied
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.rest.queues import queues_of
from knit_provider.yarn.rights import node_refusal
from knit_provider.yarn.submission.staging import open_base

_FAILED_APPS = 20
_MOST_QUEUES = 12


def access_looks(knit: Knit) -> Iterator[Look]:
    """Each thing to look at, and how."""
    yield "filesystem", lambda: home(knit)
    yield "queues", lambda: queues(knit)
    yield "ACLs", lambda: acls(knit)
    yield "nodes' users", lambda: refused_by_nodes(knit)


def home(knit: Knit) -> str:
    """Where applications are staged: that the user has a folder there which nobody else can write to."""
    connection = knit.connection
    folder = connection.files.uri_home()
    try:
        base = open_base(connection.files, connection.paths, connection.user)
    except PermissionDenied as e:
        if not connection.hdfs_home and connection.files.status(folder) is None:
            raise PermissionDenied(
                f"{folder} does not exist, and {connection.user} may not make it. An administrator does: hdfs dfs "
                f"-mkdir {folder} && hdfs dfs -chown {connection.user} {folder} && hdfs dfs -chmod 700 {folder}. Or "
                "name another folder with hdfs_home="
            ) from e
        raise
    if base.refusal:
        raise KnitError(base.refusal)
    return base.paths.base


def queues(knit: Knit) -> str:
    """Which queues take applications of the user's."""
    user = knit.connection.user
    leaves = [queue for queue in queues_of(knit.yarn_api.scheduler()) if queue.leaf]
    if not leaves:
        return "the scheduler names none"
    running = [queue for queue in leaves if queue.state in ("", "RUNNING")]
    open_ = [queue.name for queue in running[:_MOST_QUEUES] if knit.yarn_api.may_submit(queue.name, user) is not False]
    closed = [f"{queue.name} is {queue.state}" for queue in leaves if queue not in running]
    if not open_:
        raise CheckFailed(
            f"{user} may submit to none of {', '.join(queue.name for queue in running) or 'them'}"
            f"{' (' + ', '.join(closed) + ')' if closed else ''}: ask who runs the cluster for the right to submit "
            "(acl_submit_applications of a queue)"
        )
    more = f" and {len(running) - _MOST_QUEUES} more" if len(running) > _MOST_QUEUES else ""
    return f"open to {user}: {', '.join(open_)}{more}{'; ' + ', '.join(closed) if closed else ''}"


def acls(knit: Knit) -> str:
    """Whether the cluster guards applications from other users at all."""
    try:
        conf = knit.yarn_api.cluster_conf()
    except KnitError as e:
        return f"the ResourceManager does not show its settings ({e})"
    if str(conf.get("yarn.acl.enable", "false")).lower() != "true":
        return "off (yarn.acl.enable): everybody may see and end everybody's applications"
    if str(conf.get("yarn.admin.acl", "*")).strip() == "*":
        return "on, but yarn.admin.acl=* makes everybody an administrator"
    return "on: others need an application's acls to see or end it"


def refused_by_nodes(knit: Knit) -> str:
    """Whether nodes refused to run the user's last applications as this user."""
    user = knit.connection.user
    failed = knit.yarn_api.find(states=["FAILED"], user=user, limit=_FAILED_APPS)
    for app in failed:
        advice = node_refusal(str(app.get("diagnostics") or ""))
        if advice is not None:
            raise PermissionDenied(f"{app.get('id')} failed: {advice}")
    return f"none of {user}'s last applications was refused by a node"
