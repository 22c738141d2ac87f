"""The shell scripts that carry a user's command into its container.

The NodeManager rewrites, expands and logs whatever stands in a launch context. So commands, arguments and variables
travel in a private localized file, one for each service, and the launch context only says ``bash ./knit-run.sh``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.spec import Master, Service, parse_env

RUN_SCRIPT = "knit-run.sh"
"""Name of a service's script in its containers."""

MASTER_SCRIPT = "run-master.sh"
"""Name of the master's script, in staging and in the ApplicationMaster's container."""

ENV_LINK = "knit-env"
"""Name of the unpacked environment in containers."""

DEFAULT_LANG = "C.UTF-8"

_LANG = re.compile(r"[A-Za-z0-9_.@+-]+", re.ASCII)

# bash itself complains about a locale that the node lacks, and so tells it apart without another program.
_LOCALE = """\
knit_locale() {
  local candidate
  for candidate in "$1" C.UTF-8 en_US.UTF-8; do
    if [ -z "$( { LC_ALL="$candidate"; } 2>&1 )" ]; then
      export LANG="$candidate" LC_ALL="$candidate"
      return
    fi
  done
}
"""

_ARCHIVE = """\
knit_environment() {
  local root="$PWD/$1" prefix interpreter found=''
  for prefix in "$root" "$root"/*; do
    for interpreter in python python3; do
      if [ -f "$prefix/bin/$interpreter" ] && [ -x "$prefix/bin/$interpreter" ]; then
        if [ -n "$found" ]; then
          echo "knit-provider: env holds more than one Python environment: ${found#"$root"} and ${prefix#"$root"};" \\
            "pack one alone, with bin/ at the archive's root or under one folder" >&2
          exit 127
        fi
        found="$prefix"
        PYTHON_BIN="$prefix/bin/$interpreter"
        break
      fi
      if [ -L "$prefix/bin/$interpreter" ] && [ ! -e "$prefix/bin/$interpreter" ]; then
        echo "knit-provider: bin/$interpreter of env points to $(readlink "$prefix/bin/$interpreter")," \\
          "which node $(hostname) does not have" >&2
      fi
    done
    [ "$found" = "$root" ] && break
  done
  if [ -z "$found" ]; then
    echo "knit-provider: env holds no Python interpreter: bin/python is neither at the archive's root nor under one" \\
      "folder of it, or cannot be run. At its root are:" $(ls -A "$root" 2>&1 | head -n 20) >&2
    exit 127
  fi
  CONDA_PREFIX="$found"
  PATH="$found/bin${PATH:+:$PATH}"
  export CONDA_PREFIX PYTHON_BIN PATH
  unset PYTHONHOME
  # All containers of the node share what is unpacked; nobody shall write into it.
  export PYTHONDONTWRITEBYTECODE="${PYTHONDONTWRITEBYTECODE-1}"
  if [ -f "$found/pyvenv.cfg" ]; then
    export VIRTUAL_ENV="$found"
  fi
}
"""

_ACTIVATE = """\
for knit_file in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
  [ -r "$knit_file" ] && . "$knit_file"
done
unset knit_file
"""

_INTERPRETER = """\
knit_environment() {
  if [ ! -f "$1" ] || [ ! -x "$1" ]; then
    echo "knit-provider: node $(hostname) has no interpreter $1, which env=python://$1 names" >&2
    exit 127
  fi
  PYTHON_BIN="$1"
  PATH="${1%/*}${PATH:+:$PATH}"
  export PYTHON_BIN PATH
}
"""


def script_name(service: str) -> str:
    """The name of a service's script in staging, distinct for every service and from the master's."""
    # No service's name starts with '-', so this one is free.
    return "run--master.sh" if service == "master" else f"run-{service}.sh"


def service_script(service: Service, lang: str | None = DEFAULT_LANG) -> bytes:
    """The script that every container of a service runs.

    Args:
        service: whose command, variables and environment to carry.
        lang: locale for LANG and LC_ALL, unless ``envvars`` sets one of them. A node that lacks it takes the next
            best UTF-8 one. None leaves the node's own.

    Returns:
        The script as bytes: UTF-8, with bytes that were no UTF-8 in the first place as they were.

    Raises:
        ConfigurationError: ``lang`` is no locale's name.
    """
    return _script(service, lang)


def master_script(master: Master, lang: str | None = DEFAULT_LANG) -> bytes | None:
    """The script that the ApplicationMaster runs; None if there is none. See :func:`service_script`."""
    if not master.runs_script:
        return None
    return _script(master, lang)


def _script(part: Service | Master, lang: str | None) -> bytes:
    pieces = ["#!/bin/bash\n", *_preparation(part, lang)]
    pieces.extend(f"export {name}={_value(name, value, part.env)}\n" for name, value in part.envvars.items())
    if part.argv:
        pieces.append("exec -- " + " ".join(shlex.quote(argument) for argument in part.argv) + "\n")
    else:
        pieces.append(part.script if part.script.endswith("\n") else part.script + "\n")
    return "".join(pieces).encode("utf-8", "surrogateescape")


def _preparation(part: Service | Master, lang: str | None) -> Iterator[str]:
    """What comes before the user's variables, so that none of them can disturb it."""
    envvars, env = part.envvars, part.env
    if "HOME" not in envvars:
        yield 'export HOME="$PWD"\n'
    if "PYTHONPATH" not in envvars and any(link.endswith(".py") for link in part.links):
        # Each file is a link into a folder of its own, where Python would look for the modules beside it.
        yield 'export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"\n'
    if lang is not None and not {"LANG", "LC_ALL"} & envvars.keys():
        if not _LANG.fullmatch(lang):
            raise ConfigurationError(f"lang={lang!r} is no locale's name; names look like C.UTF-8 or en_US.UTF-8")
        yield f"{_LOCALE}knit_locale {shlex.quote(lang)}\nunset -f knit_locale\n"
    if env is not None:
        reference = parse_env(env)
        if reference.kind == "python":
            yield f"{_INTERPRETER}knit_environment {shlex.quote(reference.value)}\nunset -f knit_environment\n"
        else:
            yield f"{_ARCHIVE}knit_environment {ENV_LINK}\nunset -f knit_environment\n{_ACTIVATE}"


def _value(name: str, value: str, env: str | None) -> str:
    quoted = shlex.quote(value)
    if name == "PATH" and env is not None:
        # The environment's programs come first, also before a PATH that replaces the node's.
        return f'"${{PYTHON_BIN%/*}}":{quoted}'
    return quoted
