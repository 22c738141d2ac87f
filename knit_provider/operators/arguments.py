"""What a user gave an operator, checked after its templates were rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.rest.shapes import check_app_id
from knit_provider.yarn.units import check_int, check_seconds, parse_memory

if TYPE_CHECKING:
    from knit_provider.operators.start import KnitStartOperator
    from knit_provider.operators.watching import WatchingOperator
    from knit_provider.yarn.spec import ApplicationSpec, Resources

ON_KILL = ("kill", "keep")


def application_spec(
    operator: KnitStartOperator,
    context: Mapping[str, Any],
    *,
    queue: str | None,
    tag: str | None,
    lifetime: float | str | None,
) -> ApplicationSpec:
    """The operator's fields as an application of one service.

    Args:
        operator: with its templates rendered.
        context: the task's, for the application's default name.
        queue: the connection's, for an operator that names none.
        tag: a further tag of the application.
        lifetime: of the application; None takes the default of 7 days.

    Raises:
        ConfigurationError: naming the field and its value.
    """
    # Not while Airflow parses DAGs, which it does every few seconds.
    from knit_provider.yarn.knit import DEFAULT_SERVICE
    from knit_provider.yarn.spec import ApplicationSpec, Service

    o = operator
    if isinstance(o.env, Mapping):
        raise ConfigurationError(
            "env is the packed Python environment (a path or URI); environment variables go into envvars"
        )
    if not o.command or (isinstance(o.command, str) and not o.command.strip()):
        raise ConfigurationError(f"command={o.command!r} is empty; if it is a template, it rendered to nothing")
    service = Service(
        instances=whole(o.num_containers, "num_containers", minimum=0),
        resources=_resources(operator),
        script=o.command if isinstance(o.command, str) else "",
        argv=() if isinstance(o.command, str) else tuple(o.command),
        env=o.env or None,
        envvars=dict(o.envvars or {}),
        files=o.files or {},
        max_restarts=o.max_restarts,
        allow_failures=o.allow_failures,
    )
    further: dict[str, Any] = {} if lifetime is None else {"lifetime": lifetime}
    return ApplicationSpec(
        name=o.app_name or _default_name(operator, context),
        queue=o.yarn_queue or queue or "default",
        services={DEFAULT_SERVICE: service},
        tags=(*(o.tags or ()), *((tag,) if tag else ())),
        max_attempts=o.max_attempts,
        **further,
    )


def check_watching(o: WatchingOperator) -> None:
    """Check what every operator that waits has.

    Raises:
        ConfigurationError: naming the field and its value.
    """
    if o.on_kill_action not in ON_KILL:
        raise ConfigurationError(f"on_kill_action={o.on_kill_action!r}; use one of {', '.join(ON_KILL)}")
    seconds(o.poll_interval, "poll_interval")
    seconds(o.poll_retry_timeout, "poll_retry_timeout")
    for name in ("pending_timeout", "logging_interval"):
        if getattr(o, name) is not None:
            seconds(getattr(o, name), name)
    whole(o.log_tail_lines, "log_tail_lines")
    whole(o.log_max_bytes, "log_max_bytes")
    exit_codes(o.skip_on_exit_code)


def exit_codes(given: int | Sequence[int] | None) -> frozenset[int]:
    """``skip_on_exit_code`` as a set; empty for None."""
    if given is None:
        return frozenset()
    codes = [given] if isinstance(given, (int, str)) else list(given)
    return frozenset(whole(code, "skip_on_exit_code") for code in codes)


def application_id(given: object) -> str:
    """A YARN application id, as a template may render to it.

    Raises:
        ConfigurationError: it is none; the message says what an empty one comes from.
    """
    if given is None or str(given).strip() in ("", "None"):
        raise ConfigurationError(
            f"app_id={given!r} is empty; if it is a template, it rendered to nothing: was the application started, and "
            "is its id the XCom 'app_id' of that task?"
        )
    return check_app_id(given)


def _resources(o: KnitStartOperator) -> Resources:
    from knit_provider.yarn.spec import Resources

    amounts = {name: whole(n, f"container_resources[{name!r}]") for name, n in (o.container_resources or {}).items()}
    return Resources.of(parse_memory(o.memory, "memory"), whole(o.virtual_cores, "virtual_cores", minimum=1), amounts)


def whole(value: object, what: str, *, minimum: int = 0) -> int:
    """A whole number, also as the text that a template renders to."""
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        value = int(value)
    return check_int(value, what, minimum=minimum)


def seconds(value: object, what: str) -> float:
    """A positive number of seconds."""
    return check_seconds(value, what, minimum=0.1)


def _default_name(operator: KnitStartOperator, context: Mapping[str, Any]) -> str:
    ti = context.get("ti")
    dag_id = getattr(ti, "dag_id", None)
    return f"{dag_id}.{operator.task_id}" if dag_id else str(operator.task_id)
