"""``@task.yarn`` and ``@task.yarn_cmd``: calls are really made, by this machine's bash and Python."""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("airflow.sdk")

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from knit_provider.decorators.call import call_script
from knit_provider.decorators.yarn import RemoteError, YarnCommandDecoratedOperator, YarnDecoratedOperator
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.logs.chunk import LogChunk
from tests.unit.airflow.trying import Task

FACTOR = 3


def helper(x: int) -> int:
    return FACTOR * x


def calls_its_module(x: int, *, y: int = 0) -> dict[str, int]:
    print("computing")
    return {"value": helper(x) + y}


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def twice(*args: Any, **kwargs: Any) -> Any:
        return [function(*args, **kwargs)] * (FACTOR - 1)

    return twice


@functools.cache
@doubled
def is_decorated(x: int) -> int:
    return helper(x)


def wants_context(x: int, ds: str, params: dict[str, Any], logical_date: datetime) -> list[Any]:
    return [x, ds, params["a"], logical_date.isoformat(), type(logical_date).__module__]


def wants_more(ti: Any) -> None:
    raise AssertionError("never runs")


def fails(x: int) -> None:
    raise ValueError(f"bad {x}")


def returns_a_set() -> set[int]:
    return {1}


def returns_numbered() -> dict[int, str]:
    return {1: "one"}


def returns_much() -> str:
    return "x" * 50_000


def as_container(folder: Path, script: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    """Run a script as a container does; exit code, result and stderr."""
    result = folder / "result.json"
    env = {"PATH": os.environ["PATH"], "PYTHON_BIN": sys.executable, "KNIT_RESULT": str(result), **environment}
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(result.read_text()), done.stderr


def test_a_function_its_module_and_its_arguments_travel(tmp_path: Path) -> None:
    code, outcome, _ = as_container(tmp_path, call_script(calls_its_module, [14], {"y": 1}, {}))
    assert (code, outcome) == (0, {"value": {"value": 43}})


def test_decorators_of_the_function_travel_too(tmp_path: Path) -> None:
    _, outcome, _ = as_container(tmp_path, call_script(is_decorated, [14], {}, {}))
    assert outcome == {"value": [42, 42]}


@pytest.mark.parametrize("kind", ["function", "class"])
def test_a_decorator_of_another_module_of_the_users_travels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "my_decorators.py").write_text(
        textwrap.dedent(
            """
            import functools

            def said(value):
                return f"said {value}"

            def function(f):
                @functools.wraps(f)
                def wrapper(*args, **kwargs):
                    return said(f(*args, **kwargs))
                return wrapper

            class class_:
                def __init__(self, f):
                    functools.update_wrapper(self, f)

                def __call__(self, *args, **kwargs):
                    return said(self.__wrapped__(*args, **kwargs))
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    decorators = importlib.import_module("my_decorators")
    monkeypatch.setitem(sys.modules, "my_decorators", decorators)  # and away with it at the end
    decorator = decorators.function if kind == "function" else decorators.class_
    script = call_script(decorator(helper), [14], {}, {})
    (tmp_path / "my_decorators.py").unlink()
    _, outcome, _ = as_container(tmp_path, script)
    assert outcome == {"value": "said 42"}


def test_of_the_context_travels_what_is_data(tmp_path: Path) -> None:
    pendulum = pytest.importorskip("pendulum")
    context = {
        "ds": "2026-11-22",
        "params": {"a": 1},
        "logical_date": pendulum.datetime(2026, 11, 22),
        "ti": SimpleNamespace(),
    }
    _, outcome, _ = as_container(tmp_path, call_script(wants_context, [1], {}, context))
    moment = datetime(2026, 11, 22, tzinfo=UTC).isoformat()
    assert outcome == {"value": [1, "2026-11-22", 1, moment, "datetime"]}
    with pytest.raises(ConfigurationError, match="asks for ti"):
        call_script(wants_more, [], {}, context)


def test_an_error_comes_back_with_its_traceback(tmp_path: Path) -> None:
    code, outcome, stderr = as_container(tmp_path, call_script(fails, [7], {}, {}))
    assert code == 1
    assert (outcome["error"]["type"], outcome["error"]["message"]) == ("ValueError", "bad 7")
    assert "in fails" in outcome["error"]["traceback"]
    assert "knit_call" not in outcome["error"]["traceback"]
    assert "ValueError: bad 7" in stderr


@pytest.mark.parametrize(
    ("function", "words"),
    [(returns_a_set, "a set that JSON"), (returns_numbered, "1 as a key"), (returns_much, "at most 49152")],
)
def test_a_value_that_cannot_come_back_says_so(tmp_path: Path, function: Callable[[], Any], words: str) -> None:
    code, outcome, _ = as_container(tmp_path, call_script(function, [], {}, {}))
    assert code == 1
    assert words in outcome["error"]["message"]


def test_another_python_says_so(tmp_path: Path) -> None:
    script = call_script(fails, [7], {}, {}).replace(f"knit_call.py {sys.version_info[0]}.", "knit_call.py 2.")
    code, outcome, _ = as_container(tmp_path, script)
    assert code == 1
    assert "env=" in outcome["error"]["message"]


def test_what_cannot_be_packed_is_named() -> None:
    with pytest.raises(ConfigurationError, match="fails or one of its arguments cannot be packed"):
        call_script(fails, [threading.Lock()], {}, {})
    with pytest.raises(ConfigurationError, match="HDFS"):
        call_script(fails, [os.urandom(9 * 2**20)], {}, {})


# -- as tasks -----------------------------------------------------------------------------------------------------


def brought_back(task: Task, *outcomes: dict[str, Any]) -> None:
    task.cluster.logs = [
        LogChunk(f"container_1_0001_01_00000{i + 2}", "default", i, "knit-result.json", json.dumps(outcome))
        for i, outcome in enumerate(outcomes)
    ]


def call(task: Task, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    def make() -> Any:
        return YarnDecoratedOperator(
            task_id="count", python_callable=function, op_args=args, op_kwargs={}, poll_interval=0.1, **kwargs
        )

    return task.play(make(), make)


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_the_task_returns_what_the_function_returns(task: Task, deferrable: bool) -> None:
    brought_back(task, {"value": {"value": 43}})
    assert call(task, calls_its_module, 14, deferrable=deferrable) == {"value": 43}
    assert "knit_call.py" in task.cluster.specs[0].services["default"].script
    assert "result" not in task.ti.xcoms
    assert "app_id" in task.ti.xcoms


def test_several_containers_give_a_list(task: Task) -> None:
    brought_back(task, {"value": 1}, {"value": 2})
    assert call(task, calls_its_module, 14, num_containers=2) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("ValueError", RemoteError),
        ("AirflowSkipException", AirflowSkipException),
        ("AirflowFailException", AirflowFailException),
    ],
)
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_the_task_raises_what_the_function_raised(
    task: Task, deferrable: bool, kind: str, raised: type[Exception]
) -> None:
    task.cluster.outcome = "FAILED"
    brought_back(task, {"error": {"type": kind, "message": "bad 7", "traceback": "the frames"}})
    with pytest.raises(raised, match=f"(?s){kind}: bad 7.*the frames"):
        call(task, fails, 7, deferrable=deferrable)


def test_a_value_that_is_missing_is_no_success(task: Task) -> None:
    with pytest.raises(AirflowFailException, match="brought the function's value back"):
        call(task, fails, 7)


@pytest.mark.parametrize("command", ["echo hello", ["echo", "{{ not a template }}"]])
def test_a_function_may_return_the_command(task: Task, command: Any) -> None:
    operator = YarnCommandDecoratedOperator(task_id="count", python_callable=lambda: command, poll_interval=0.1)
    assert operator.execute(task.context) in task.cluster.states
    service = task.cluster.specs[0].services["default"]
    assert (service.script or list(service.argv)) == command


def test_what_is_no_command_says_so(task: Task) -> None:
    operator = YarnCommandDecoratedOperator(task_id="count", python_callable=lambda: 3)
    with pytest.raises(AirflowFailException, match="returned 3"):
        operator.execute(task.context)
