"""Tables for people out of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.measure import Results
from benchmarks.registry import ARCHIVE, JVM, OURS, SKEIN, Entry
from benchmarks.timeline import PHASES

# (figure, how it is called, unit); {many} is the number of containers of the large case.
FIGURES = (
    ("cold_1", "call → command running, fresh process", "s"),
    ("warm_1", "the same, later calls", "s"),
    ("cold_many", "{many} containers, last one running, fresh process", "s"),
    ("warm_many", "the same, later calls", "s"),
    ("warm_1_returned", "call → the library returns, later calls", "s"),
    ("known", "command ended → the client's wait returned", "s"),
    ("logs", "{payload} of logs in hand after the end", "s"),
    ("am_rss_1", "ApplicationMaster, resident, 1 container", "MB"),
    ("am_rss_many", "ApplicationMaster, resident, {many} containers", "MB"),
    ("jvm_rss_1", "JVM beside the client, resident", "MB"),
    ("python_rss_1", "Python of the client, resident", "MB"),
)


def middle(results: Results, key: str, figure: str) -> float | None:
    """A figure's median, None without a value."""
    values = results.figures.get(key, {}).get(figure)
    return median(values) if values else None


def markdown(results: Results, entries: Sequence[Entry], about: Mapping[str, Any]) -> str:
    """The whole report."""
    many, payload = about["many"], f"{about['payload'] / 2**20:.0f} MB"
    others = OURS in results.figures and len(entries) > 1
    parts = [
        f"# {about['date']}: knit-provider beside Skein and Knit",
        f"`{about['command']}`: {about['rounds']} round(s), interleaved; median (least–most). All times by the user's"
        " command's own clock and the client's, which are the same clock.",
        _about(results, about),
        "## Figures",
        _figures(results, entries, many, payload),
        *(["## Times as many as ours (medians)", _ratios(results, entries, many, payload)] if others else []),
        *(["## Expected", _expectations(results, many)] if OURS in results.figures else []),
        "## Where the time goes",
        _phases(results, entries, "warm_1", "one container, later calls"),
        _phases(results, entries, "cold_1", "one container, fresh process"),
        _phases(results, entries, "warm_many", f"the last one of {many} containers, later calls"),
        _legend(),
        _am_log(results),
    ]
    failures = [f"- {entry.title}: {words}" for entry in entries for words in results.failures.get(entry.key, ())]
    if failures:
        parts += ["## What did not work", "\n".join(failures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(results: Results, about: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {value}" for name, value in about["machine"].items()]
    lines.append(
        f"- Hadoop {about['hadoop']}, {about['nodes']} NodeManager(s), heartbeat {about['heartbeat']} ms,"
        f" {about['scheduling']} scheduling"
    )
    if results.load:
        lines.append(f"- load average when each start was called: {min(results.load)} to {max(results.load)}")
    lines += [
        f"- {key}: {', '.join(f'{name} {version}' for name, version in versions.items())}"
        for key, versions in results.versions.items()
    ]
    return "\n".join(lines)


def _figures(results: Results, entries: Sequence[Entry], many: int, payload: str) -> str:
    rows = []
    for figure, title, unit in FIGURES:
        cells = [_cell(results.figures.get(entry.key, {}).get(figure, ()), unit) for entry in entries]
        rows.append([title.format(many=many, payload=payload), *cells])
    return table(["", *(entry.title for entry in entries)], rows)


def _ratios(results: Results, entries: Sequence[Entry], many: int, payload: str) -> str:
    others = [entry for entry in entries if entry.key != OURS]
    rows = []
    for figure, title, _ in FIGURES:
        ours = middle(results, OURS, figure)
        if not ours:
            continue
        values = [middle(results, entry.key, figure) for entry in others]
        rows.append(
            [title.format(many=many, payload=payload), *("–" if v is None else f"{v / ours:.2f}×" for v in values)]
        )
    return table(["", *(entry.title for entry in others)], rows) if rows else ""


def expectations(results: Results, many: int) -> list[tuple[str, str, bool | None]]:
    """What was promised, what came out, and whether that is enough (None: it was not measured)."""
    rows: list[tuple[str, str, bool | None]] = []

    def faster(key: str, figure: str, times: float, words: str) -> None:
        ours, skein = middle(results, key, figure), middle(results, SKEIN, figure)
        if ours is None or skein is None:
            rows.append((words, "not measured", None))
        else:
            rows.append((words, f"{skein / ours:.1f}× ({ours:.2f} s and {skein:.2f} s)", skein >= times * ours))

    def below(figure: str, limit: float, words: str, key: str = OURS) -> None:
        ours = middle(results, key, figure)
        rows.append((words, "not measured", None) if ours is None else (words, f"{ours:.0f} MB", ours < limit))

    faster(OURS, "warm_1", 3, "first container at least 3 times sooner than Skein, later calls")
    faster(OURS, "cold_1", 3, "first container at least 3 times sooner than Skein, fresh process")
    if JVM in results.figures:
        faster(JVM, "warm_1", 3, "the same through the gateway JVM, later calls")
        faster(JVM, "cold_1", 3, "the same through the gateway JVM, fresh process")
    if ARCHIVE in results.figures:
        faster(ARCHIVE, "warm_1", 5, "with client archive and AppCDS at least 5 times, later calls")
        faster(ARCHIVE, "cold_1", 5, "with client archive and AppCDS at least 5 times, fresh process")
    faster(OURS, "warm_many", 1, f"{many} containers no later than Skein's, later calls")
    faster(OURS, "cold_many", 1, f"{many} containers no later than Skein's, fresh process")
    below("am_rss_1", 120, "ApplicationMaster below 120 MB resident")
    below("am_rss_many", 120, f"ApplicationMaster below 120 MB resident with {many} containers")
    if JVM in results.figures:
        below("jvm_rss_1", 150, "gateway below 150 MB resident", JVM)
    below("python_rss_1", 80, "Python of the client, which waits, below 80 MB resident, and no JVM beside it")
    return rows


def _expectations(results: Results, many: int) -> str:
    words = {True: "yes", False: "**no**", None: "–"}
    return table(
        ["expected", "measured", "met"],
        [[what, measured, words[met]] for what, measured, met in expectations(results, many)],
    )


def _phases(results: Results, entries: Sequence[Entry], figure: str, title: str) -> str:
    columns = [entry for entry in entries if results.phases.get(entry.key, {}).get(figure)]
    if not columns:
        return ""
    rows = []
    for phase, _ in PHASES:
        cells = []
        for entry in columns:
            values = [spans[phase] for spans in results.phases[entry.key][figure] if phase in spans]
            cells.append(f"{median(values):.2f}" if values else "")
        if any(cells):
            rows.append([phase, *cells])
    sums = [median(sum(s.values()) for s in results.phases[entry.key][figure]) for entry in columns]
    rows.append(["**together**", *(f"**{value:.2f}**" for value in sums)])
    return f"Seconds, medians of each row: {title}.\n\n" + table(["", *(entry.title for entry in columns)], rows)


def _legend() -> str:
    lines = "\n".join(f"- *{phase}*: {words}." for phase, words in PHASES)
    return (
        "The times are the ones that the ResourceManager and the NodeManagers wrote into their logs; the first and the"
        " last one are the client's and the command's.\n\n" + lines + "\n\nThe floor has no ApplicationMaster: its"
        " command runs in that container, and the rows in between do not exist for it."
        " Where scheduling is asynchronous, a node is found within milliseconds; else *am_allocated* and *allocated*"
        " hold a wait for a NodeManager's heartbeat each, for everybody."
    )


def _am_log(results: Results) -> str:
    chosen = next((key for key in results.am_logs if key == f"{OURS} warm_1"), None)
    if chosen is None:
        return ""
    lines = "\n".join(results.am_logs[chosen])
    return f"Our ApplicationMaster's own log of the last such start, in seconds since the call:\n\n```\n{lines}\n```"


def _cell(values: Sequence[float], unit: str) -> str:
    if not values:
        return "–"
    digits = 2 if unit == "s" else 0
    text = f"{median(values):.{digits}f} {unit}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose source lines up too."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])
