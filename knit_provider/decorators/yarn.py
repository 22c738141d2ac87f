"""``@task.yarn``: a Python function as a task that runs in a container; ``@task.yarn_cmd``: its command is returned."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    DecoratedOperator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)

from knit_provider.operators.start import KnitStartOperator
from knit_provider.yarn.errors import ApplicationFailed, KnitError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskDecorator

    from knit_provider.hooks.knit import KnitHook
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.report import ApplicationReport
    from knit_provider.yarn.spec import ApplicationSpec

SET_LATER = "(made when the task runs)"
_START_FIELDS = tuple(field for field in KnitStartOperator.template_fields if field != "command")


class RemoteError(ApplicationFailed):
    """A function raised in its container; the message holds its traceback there."""


class _Decorated(DecoratedOperator, KnitStartOperator):
    """What both decorators share."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *_START_FIELDS)
    template_fields_renderers = {  # noqa: RUF012 - a class attribute of Airflow's own
        **DecoratedOperator.template_fields_renderers,
        **{k: v for k, v in KnitStartOperator.template_fields_renderers.items() if k != "command"},
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, command=SET_LATER, **kwargs
        )


class YarnDecoratedOperator(_Decorated):
    """A function that runs in a container; its return value is the task's.

    The function and its arguments go there as ``cloudpickle`` packs them, the value comes back as JSON of up to 48 KiB
    through ``$KNIT_RESULT``. The container's Python, ``env``'s or the node's ``python3``, has to be of the same minor
    version as the worker's, and has what the function imports; Airflow is not needed there.
    """

    custom_operator_name = "@task.yarn"

    def _spec(self, context: Mapping[str, Any], hook: KnitHook) -> ApplicationSpec:
        from knit_provider.decorators.call import call_script

        self.command = call_script(self.python_callable, tuple(self.op_args), dict(self.op_kwargs), context)
        return super()._spec(context, hook)

    def _push(self, context: Mapping[str, Any], key: str, value: Any) -> None:
        if key != "result":  # it is the return value here
            super()._push(context, key, value)

    def _outcome(self, app: Application, report: ApplicationReport, result: Any) -> Any:
        outcomes = result if isinstance(result, list) else [result]
        if not outcomes or not all(isinstance(outcome, dict) and "value" in outcome for outcome in outcomes):
            raise AirflowFailException(
                f"{app.id} succeeded, but not every container brought the function's value back: did it end the "
                "process, or write to $KNIT_RESULT itself?"
            )
        values = [outcome["value"] for outcome in outcomes]
        return self._handle_output(return_value=values if isinstance(result, list) else values[0])

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Run the function in a container and return its value."""
        # DecoratedOperator would handle the output, which a deferrable task does not pass by.
        return KnitStartOperator.execute(self, context)

    def _remote_error(self, app: Application, error: ApplicationFailed) -> BaseException:
        try:
            result = self._result(app)
        except KnitError as e:
            self.log.warning("What the function raised could not be fetched: %s", e)
            return error
        outcomes = result if isinstance(result, list) else [result]
        for outcome in outcomes:
            if isinstance(outcome, dict) and "error" in outcome:
                return _raised(outcome["error"], error)
        return error


class YarnCommandDecoratedOperator(_Decorated):
    """A function that runs on the worker and returns the command: shell text, or a list of arguments."""

    custom_operator_name = "@task.yarn_cmd"

    def _spec(self, context: Mapping[str, Any], hook: KnitHook) -> ApplicationSpec:
        merged = dict(context)
        context_merge(merged, self.op_kwargs)
        arguments = determine_kwargs(self.python_callable, self.op_args, merged)
        command = self.python_callable(*self.op_args, **arguments)
        good = isinstance(command, str) or (
            isinstance(command, (list, tuple)) and all(isinstance(part, str) for part in command)
        )
        if not good:
            raise AirflowFailException(
                f"{self.python_callable.__name__} returned {command!r:.200}; return the command as text for a "
                "shell, or as a list of texts"
            )
        self.command = command
        return super()._spec(context, hook)

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Call the function and run what it returns."""
        return KnitStartOperator.execute(self, context)


def _raised(remote: Mapping[str, Any], error: ApplicationFailed) -> BaseException:
    kind, message = str(remote.get("type")), str(remote.get("message"))
    text = f"{error.app_id}: {kind}: {message}\n{remote.get('traceback', '')}".rstrip()
    # Airflow's own words, where the container has Airflow or something that is called the same.
    known: dict[str, type[BaseException]] = {
        "AirflowSkipException": AirflowSkipException,
        "AirflowFailException": AirflowFailException,
    }
    if kind in known:
        return known[kind](text)
    return RemoteError(text, app_id=error.app_id, exit_code=error.exit_code, report=error.report)


def yarn_task(
    python_callable: Callable[..., Any] | None = None, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """``@task.yarn``: run the function in a container on YARN.

    Args:
        python_callable: the function.
        multiple_outputs: the returned dict's items become XComs of their own.
        **kwargs: those of :class:`~knit_provider.operators.knit.KnitStartOperator`, but ``command``.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=YarnDecoratedOperator,
        **kwargs,
    )


def yarn_cmd_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """``@task.yarn_cmd``: run the command that the function returns.

    Args:
        python_callable: the function.
        **kwargs: those of :class:`~knit_provider.operators.knit.KnitStartOperator`, but ``command``.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=YarnCommandDecoratedOperator, **kwargs
    )


__all__ = ["RemoteError", "YarnCommandDecoratedOperator", "YarnDecoratedOperator", "yarn_cmd_task", "yarn_task"]
