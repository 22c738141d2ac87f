"""A call of a Python function as a shell script that makes it in a container.

The script carries everything in itself: the function with its arguments as ``cloudpickle`` packed them, and
``cloudpickle`` too, so the container's Python needs nothing but itself and what the function imports. As every command
does, it travels in a private file in the application's staging folder, which is removed with the application.
"""

from __future__ import annotations

import base64
import functools
import inspect
import io
import pickle
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from knit_provider.yarn.errors import ConfigurationError

LARGEST_CALL = 8 * 2**20
"""Bytes of the packed function and arguments. What is larger belongs into a file in HDFS."""

# What of a task's context is data. The rest (ti, dag, conn ...) exists in Airflow's own processes alone.
_CONTEXT_TEXTS = ("ds", "ds_nodash", "run_id", "task_instance_key_str", "ts", "ts_nodash", "ts_nodash_with_tz")
_CONTEXT_TIMES = ("data_interval_end", "data_interval_start", "logical_date", "start_date")

# The standard library, and what pip installed.
_INSTALLED = tuple(sorted({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}))
_END = "KNIT-END-OF-CALL"
_CACHED = type(functools.cache(len))


def call_script(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]
) -> str:
    """The script.

    Args:
        function: what to call, with its decorators; what it uses of its module, and they of the user's own modules,
            goes along, packages that it imports do not.
        args: positional arguments, rendered.
        kwargs: named arguments, rendered.
        context: the task's; what of it the function has parameters for is passed too.

    Raises:
        ConfigurationError: something cannot travel; names it.
    """
    named = {**_from_context(function, args, kwargs, context), **kwargs}
    packed = _packed(function, tuple(_plain(arg) for arg in args), {k: _plain(v) for k, v in named.items()})
    if len(packed) > LARGEST_CALL:
        raise ConfigurationError(
            f"{_name(function)} and its arguments take {len(packed):,} bytes; at most {LARGEST_CALL:,} travel with the "
            "command. Put large data into HDFS and pass its path"
        )
    runner = Path(__file__).with_name("runner.py").read_text()
    return "\n".join(
        (
            f"base64 -d > knit_call.zip <<'{_END}'",
            _encoded(_library()),
            _END,
            f"base64 -d > knit_call.pickle <<'{_END}'",
            _encoded(packed),
            _END,
            f"cat > knit_call.py <<'{_END}'",
            runner,
            _END,
            # The version: what cloudpickle packs is the function's bytecode.
            f'exec "${{PYTHON_BIN:-python3}}" knit_call.py {sys.version_info[0]}.{sys.version_info[1]}',
            "",
        )
    )


def _from_context(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    parameters = list(inspect.signature(function).parameters.values())[len(args) :]
    wanted = {p.name for p in parameters if p.name in context and p.name not in kwargs and p.kind is not p.VAR_KEYWORD}
    unusable = sorted(wanted - {*_CONTEXT_TEXTS, *_CONTEXT_TIMES, "params"})
    if unusable:
        raise ConfigurationError(
            f"{_name(function)} asks for {', '.join(unusable)} of the task's context, which exists on Airflow's worker "
            f"only. Pass what it needs as arguments; of the context these travel: params, "
            f"{', '.join((*_CONTEXT_TEXTS, *_CONTEXT_TIMES))}"
        )
    return {name: context[name] for name in sorted(wanted)}


def _plain(value: Any) -> Any:
    """A value without Airflow's own classes, which the container does not know."""
    if isinstance(value, datetime) and type(value) is not datetime:
        return datetime.fromtimestamp(value.timestamp(), UTC)
    module = type(value).__module__
    if not module.startswith("airflow."):
        return value
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [_plain(v) for v in value]  # the XComs of mapped tasks, read as they are asked for
    return value


def _packed(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    import cloudpickle

    while isinstance(function, _CACHED):
        # It travels by its name only, and of a function that is called once there is nothing to remember.
        function = function.__wrapped__
    modules = _users_modules(function)
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        packed = io.BytesIO()
        cloudpickle.dump((function, args, dict(kwargs)), packed, protocol=pickle.DEFAULT_PROTOCOL)
        return packed.getvalue()
    except Exception as e:
        raise ConfigurationError(
            f"{_name(function)} or one of its arguments cannot be packed for the container: {type(e).__name__}: {e}"
        ) from e
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _users_modules(function: Callable[..., Any]) -> list[ModuleType]:
    """The DAG file, and the user's own modules that decorators of the function come from.

    By reference, the container would have to import them.
    """
    found: dict[str, ModuleType] = {}
    link: Any = function
    while link is not None:
        # functools.wraps gives a wrapper the name of the function's module; its globals are of the decorator's.
        own = getattr(link, "__globals__", {}).get("__name__", type(link).__module__)
        for module in (inspect.getmodule(link), sys.modules.get(getattr(link, "__module__", "")), sys.modules.get(own)):
            if module is not None and module.__name__ != "__main__" and _is_users(module):
                found[module.__name__] = module
        link = getattr(link, "__wrapped__", None)
    return list(found.values())


def _is_users(module: ModuleType) -> bool:
    """Whether a module is a DAG file, as opposed to an installed package, which ``env`` holds too."""
    path = getattr(module, "__file__", None) or ""
    installed = path.startswith(_INSTALLED) or not path
    return module.__name__ in sys.modules and not installed


def _library() -> bytes:
    """The package ``cloudpickle`` as a zip, which Python imports from."""
    import cloudpickle

    folder = Path(cloudpickle.__file__).parent
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.glob("*.py")):
            # Always the same bytes for the same library.
            archive.writestr(zipfile.ZipInfo(f"cloudpickle/{path.name}"), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _encoded(data: bytes) -> str:
    return base64.encodebytes(data).decode().rstrip("\n")


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))
