"""What runs in a container: a shell script or an argument list, and the variables it sees."""

from __future__ import annotations

import re
from collections.abc import Mapping

from knit_provider.yarn.spec import fields

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

# Variables that bash keeps for itself: it refuses an assignment, gives it another meaning, or passes on another value.
_OF_BASH = frozenset(
    """
    _ BASH BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_ARGV0 BASH_CMDS BASH_COMMAND BASH_LINENO
    BASH_MONOSECONDS BASH_REMATCH BASH_SOURCE BASH_SUBSHELL BASH_TRAPSIG BASH_VERSINFO BASH_VERSION COMP_WORDBREAKS
    DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD IFS LINENO OLDPWD OPTIND PIPESTATUS PPID PWD
    RANDOM SECONDS SHELLOPTS SHLVL SRANDOM UID
    """.split()  # noqa: SIM905 - a list would take forty lines
)


def check_envvars(value: object, name: str = "envvars") -> dict[str, str]:
    """Check a mapping of environment variables.

    Values may hold anything but NUL; errors never show them, since they may be secrets.

    Args:
        value: the mapping, or None for none.
        name: what errors call it.

    Raises:
        SpecError: a name that no shell can export, one that is reserved, or a value that is too long.
        SpecTypeError: not a mapping of strings to strings.
    """
    given = fields.mapping(value, name)
    with fields.within(name):
        for key, entry in given.items():
            _check_key(key)
            if not isinstance(entry, str):
                fields.fail_type(key, f"the value is {fields.kind_of(entry)}; variables are strings: put it in quotes")
            fields.encodable(entry, key)
    return given


def _check_key(key: str) -> None:
    if not _IDENTIFIER.fullmatch(key):
        fields.fail(key, f"{key!r} is no variable name; use letters, digits and '_', not starting with a digit")
    if key.startswith("KNIT_"):
        fields.fail(key, "names that start with KNIT_ are set by knit-provider; choose another one")
    if key in _OF_BASH:
        fields.fail(key, "is kept by bash for itself and cannot be passed on; choose another name")


def check_command(script: object, argv: object, *, required: bool) -> tuple[str, tuple[str, ...]]:
    """Check ``script`` and ``argv``, of which one may be given.

    Args:
        script: shell text.
        argv: the program and its arguments, which reach it literally.
        required: whether one of the two has to be there.

    Returns:
        Both, as '' and () where they are not given.
    """
    text = "" if script is None else fields.text(script, "script")
    arguments = fields.items(argv, "argv", fields.text)
    if text.strip() and arguments:
        fields.fail("argv", "is given beside 'script'; a service runs one or the other")
    if arguments and not arguments[0]:
        fields.fail("argv[0]", "is empty; it must name the program to run")
    if required and not text.strip() and not arguments:
        fields.fail("script", "is required (shell text), or 'argv' in its place: a list, the program and its arguments")
    return text, arguments


def check_size(argv: tuple[str, ...], envvars: Mapping[str, str]) -> None:
    """Refuse arguments and variables that are too long for a program to be started with."""
    total = fields.argument_bytes({f"argv[{position}]": entry for position, entry in enumerate(argv)})
    total += fields.argument_bytes({f"envvars.{key}": f"{key}={entry}" for key, entry in envvars.items()})
    if total > fields.MAX_ARGUMENTS_BYTES:
        fields.fail(
            "argv" if argv else "envvars",
            f"arguments and variables take {total} bytes together, and programs are started with at most about "
            f"{fields.MAX_ARGUMENTS_BYTES}; put the data into a file and ship that (files=)",
        )
