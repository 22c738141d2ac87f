"""Second half of `make demo`: Hadoop, text, Airflow, the DAG, its logs, the check and the table."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from demo.text import Text, collect
from devtools.airflow_server import AirflowServer
from devtools.yarn_connection import USER, yarn_connection
from knit_provider import Knit
from knit_provider.localcluster import LocalCluster

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".demo"
INPUT, OUTPUT = f"/user/{USER}/word-count/input", f"/user/{USER}/word-count/output"
DAG = "word_count"
PART = "  "  # begins the name of a row whose time is in another row's
RUN_SECONDS = 900.0


class DemoFailed(RuntimeError):
    """Something is not as it should be; the message says what."""


class Stages:
    """Names what runs, measures it, and draws the table at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.rows: list[tuple[str, float, str]] = []
        self._began = time.monotonic()

    def say(self, line: str) -> None:
        """One line of progress, with the time since the start."""
        self.console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/]  {line}", highlight=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        """Measure a stage; append to the list what it brought."""
        self.console.rule(f"[bold]{name}", align="left")
        began = time.monotonic()
        notes: list[str] = []
        try:
            yield notes
        except BaseException as e:
            notes.append("interrupted" if isinstance(e, KeyboardInterrupt) else "[red]FAILED")
            raise
        finally:
            self.rows.append((name, time.monotonic() - began, "; ".join(notes)))

    def table(self) -> None:
        """What ran, how long each stage took, what came of it."""
        table = Table("what ran", "seconds", "result", title="knit-provider demo")
        table.columns[1].justify = "right"
        for name, seconds, result in self.rows:
            table.add_row(name, f"{seconds:.1f}", result)
        table.add_section()
        table.add_row("all", f"{sum(s for name, s, _ in self.rows if not name.startswith(PART)):.1f}", "")
        self.console.print(table)


def demo(stages: Stages, stack: ExitStack) -> None:
    """Everything, in order; what is started ends with ``stack``."""
    LocalCluster(FOLDER / "cluster").down(delete=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()

    with stages.stage("Hadoop up") as notes:
        cluster = LocalCluster(FOLDER / "cluster")
        cluster.up(tied=True)
        stack.callback(_end, stages, "Hadoop down", cluster.down)
        notes.append(f"Hadoop {cluster.hadoop_version}: {', '.join(cluster.daemons)}")
        stages.say(f"ResourceManager http://{cluster.rm_web}, NameNode http://{cluster.namenode_web}")

    with stages.stage("text collected and counted the plain way") as notes:
        text = collect(FOLDER / "text")
        expected = FOLDER / "expected.json"
        expected.write_text(json.dumps(text.counts))
        notes.append(f"{text.files:,} licences and Python sources, {text.size / 1e6:.0f} MB")

    with stages.stage("text into HDFS") as notes:
        with Knit(user=USER, hadoop_conf_dir=str(cluster.conf_dir), hadoop_home=str(cluster.hadoop_home)) as knit:
            for part in text.parts:
                knit.connection.files.put(part, f"{INPUT}/{part.name}")
        notes.append(f"{len(text.parts)} files in {INPUT}")

    with stages.stage("Airflow up") as notes:
        airflow = AirflowServer(
            FOLDER / "airflow",
            {"examples": ROOT / "example_dags"},
            connections={"yarn_default": yarn_connection(cluster)},
            environment=cluster.env(),
            progress=stages.say,
        )
        airflow.start()
        stack.callback(_end, stages, "Airflow down", airflow.stop)
        airflow.api.wait_for_dag(DAG)
        notes.append("api-server, scheduler, dag-processor, triggerer")
        stages.say(f"Airflow {airflow.url}")

    with stages.stage("DAG run word_count") as notes:
        run_id = airflow.api.trigger(
            DAG, {"input": INPUT, "output": OUTPUT, "expected": str(expected), "containers": 4, "top": 10}
        )
        state = _follow(stages, airflow, run_id)
        notes.append(state)
    _show_logs(stages, airflow, run_id)
    if state != "success":
        raise DemoFailed(f"the DAG run ended as {state}")
    _check(stages, airflow, run_id, text)


def _follow(stages: Stages, airflow: AirflowServer, run_id: str) -> str:
    """Say each change of a task's state until the run has ended."""
    seen: dict[str, str] = {}
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        state = airflow.api.run_state(DAG, run_id)
        for name, task in airflow.api.tasks(DAG, run_id).items():
            now = str(task["state"] or "waiting")
            if seen.get(name) != now:
                seen[name] = now
                took = f" after {task['duration']:.1f} s" if task.get("duration") and now == "success" else ""
                stages.say(f"task {name}: {now}{took}")
        if state in ("success", "failed"):
            return state
        time.sleep(0.5)
    return f"still running after {RUN_SECONDS:g} s"


def _show_logs(stages: Stages, airflow: AirflowServer, run_id: str) -> None:
    for name, task in airflow.api.tasks(DAG, run_id).items():
        stages.console.rule(f"[bold]log of task {name}", align="left")
        stages.console.print(airflow.api.log(DAG, run_id, name, task["try_number"] or 1), markup=False, highlight=False)
        if task.get("duration"):
            stages.rows.append((f"{PART}task {name}", task["duration"], f"{task['state']} (part of the DAG run)"))


def _check(stages: Stages, airflow: AirflowServer, run_id: str, text: Text) -> None:
    """The DAG has compared every count; this compares what it returned with our own."""
    with stages.stage("result checked") as notes:
        top = [tuple(pair) for pair in airflow.api.xcom(DAG, run_id, "merge")]
        ours = sorted(text.counts.values(), reverse=True)[: len(top)]
        wrong = [pair for pair in top if text.counts.get(pair[0]) != pair[1]]
        if len(top) != 10 or wrong or [n for _, n in top] != ours:
            raise DemoFailed(f"the DAG's top words {top} are not what plain Python counts: {wrong or ours}")
        words = ", ".join(f"{word} {number:,}" for word, number in top[:5])
        notes.append(f"equal to the plain Python count: {words} ...")
        app_id = airflow.api.xcom(DAG, run_id, "count")
        stages.say(f"{app_id} counted {sum(text.counts.values()):,} words in 4 containers")


def _end(stages: Stages, name: str, end: Any) -> None:
    with stages.stage(name):
        end()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@click.command()
@click.option("--timings", default="[]", help="Stages that ran before this program, as JSON.")
def main(timings: str) -> None:
    """Run the demo and end with one line that says how it went."""
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(soft_wrap=True)
    stages = Stages(console)
    stages.rows += [(name, seconds, "") for name, seconds in json.loads(timings)]
    code, verdict = 0, "OK: 4 containers on YARN counted what plain Python counts; everything is down again"
    stack = ExitStack()
    try:
        demo(stages, stack)
    except KeyboardInterrupt:
        code, verdict = 130, "interrupted; everything is down again"
    except Exception as e:
        code, verdict = 1, f"FAILED: {type(e).__name__}: {e}"
    # A second Ctrl-C must not leave half of it running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        stack.close()
    except Exception as e:
        code, verdict = 1, f"FAILED while ending: {type(e).__name__}: {e}"
    stages.table()
    console.print(
        f"Logs: Hadoop's daemons {FOLDER / 'cluster' / 'logs'}, Airflow's processes {FOLDER / 'airflow' / 'logs'}, "
        f"tasks with their containers {FOLDER / 'airflow' / 'logs' / 'tasks'}",
        highlight=False,
    )
    console.print(f"demo: {verdict}", highlight=False, markup=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
