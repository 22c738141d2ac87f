"""One task instance and its tries, on a worker or by way of the triggerer."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from knit_provider.operators.knit import KnitStartOperator
from knit_provider.triggers.knit import KnitTrigger
from tests.unit.airflow.fakes import FakeCluster, FakeStateStore, FakeTaskInstance


class Task:
    """A task instance; what a try leaves, the next one finds.

    Attributes:
        context: what Airflow passes to the operator.
        deferred: the deferrals of the last try.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.store = FakeStateStore(cluster)
        self.ti = FakeTaskInstance(cluster)
        self.dag_run = SimpleNamespace(clear_number=0)
        self.context: dict[str, Any] = {"ti": self.ti, "task_state_store": self.store, "dag_run": self.dag_run}
        self.deferred: list[TaskDeferred] = []

    def make(self, **arguments: Any) -> KnitStartOperator:
        """The operator, as a new process makes it."""
        operator = KnitStartOperator(task_id="count", **{"command": "date", "poll_interval": 0.1, **arguments})
        self.context["task"] = operator
        return operator

    def cleared(self, retries: int) -> None:
        """A person clears the task, which has ``retries`` by now."""
        self.ti.max_tries = self.ti.try_number + retries
        self.ti.try_number += 1
        self.dag_run.clear_number += 1

    def run(self, **arguments: Any) -> Any:
        """One try, deferrals included."""
        self.deferred = []
        self.operator = self.make(**arguments)
        return self.play(self.operator, lambda: self.make(**arguments))

    def play(self, operator: Any, again: Any) -> Any:
        """Run an operator; after each deferral a new one, made by ``again``, goes on."""
        try:
            return operator.execute(self.context)
        except TaskDeferred as e:
            deferral = e
        while True:
            self.deferred.append(deferral)
            try:
                return self.resumed(again(), deferral)
            except TaskDeferred as e:
                deferral = e

    def resumed(self, operator: Any, deferral: TaskDeferred) -> Any:
        """Let the trigger run as the triggerer does, and give its event to the operator."""
        kept = json.loads(json.dumps(deferral.kwargs or {}))
        event = fire(deferral.trigger)
        return operator.resume_execution(deferral.method_name, {**kept, "event": event}, self.context)


def fire(trigger: Any) -> Any:
    """The payload of the first event of a trigger that was stored and read again."""

    async def first() -> Any:
        _, arguments = trigger.serialize()
        return (await anext(KnitTrigger(**json.loads(json.dumps(arguments))).run())).payload

    return asyncio.run(first())
