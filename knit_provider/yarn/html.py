"""How the objects show in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.rest.shapes import FINAL_STATES

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.knit import Knit

STAGES = ("submitted", "accepted", "first container", "done")


def stages(report: Mapping[str, Any], containers: int) -> list[tuple[str, bool]]:
    """How far an application has come: submitted, accepted, first container, done."""
    state = str(report.get("state", ""))
    ended = state in FINAL_STATES
    reached = (
        bool(state),
        state in ("ACCEPTED", "RUNNING") or ended,
        containers > 0 or (ended and report.get("finalStatus") == "SUCCEEDED"),
        ended,
    )
    return list(zip(STAGES, reached, strict=True))


def application_html(app: Application) -> str:
    """State, stages, containers and links of one application."""
    try:
        report = app.status()
    except KnitError as e:
        return f"<b>{escape(app.id)}</b>: {escape(str(e))}"
    rows: list[Mapping[str, Any]] = []
    if report.get("state") == "RUNNING":
        try:
            rows = [c for c in app.containers() if c.get("state") == "RUNNING"]
        except KnitError:
            rows = []
    steps = " &rarr; ".join(
        f"<b>{name}</b>" if done else f"<span style='opacity:.5'>{name}</span>"
        for name, done in stages(report, len(rows))
    )
    link = str(report.get("trackingUrl") or report.get("amContainerLogs") or "")
    parts = [
        f"<div><b>{escape(str(report.get('name', '')))}</b> <code>{escape(app.id)}</code> ",
        f"{escape(str(report.get('state')))} / {escape(str(report.get('finalStatus')))}</div>",
        f"<div>{steps}</div>",
    ]
    if link.startswith(("http://", "https://")):
        parts.append(
            f"<div><a href='{escape(link, quote=True)}' target='_blank' rel='noopener'>application page</a></div>"
        )
    if report.get("diagnostics"):
        parts.append(f"<pre>{escape(str(report['diagnostics']))}</pre>")
    if rows:
        parts.append(table(("container", "service", "index", "node", "state"), (_container_row(c) for c in rows)))
    return "".join(parts)


def knit_html(knit: Knit, apps: Sequence[Application]) -> str:
    """The cluster and the object's latest applications."""
    head = f"<div><b>Knit</b> {escape(knit.user)}@{escape(', '.join(knit.connection.session.addresses))}</div>"
    if not apps:
        return head + "<div>no application was started or attached yet</div>"
    return head + "".join(application_html(a) for a in apps)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A plain HTML table; every cell is escaped."""
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(v))}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _container_row(c: Mapping[str, Any]) -> tuple[object, ...]:
    return c.get("id", ""), c.get("service", ""), c.get("index", ""), c.get("node", ""), c.get("state", "")
