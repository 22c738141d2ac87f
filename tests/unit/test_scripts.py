"""The scripts that run in containers, run by the real bash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.spec import Master, Resources, Service, SpecError
from knit_provider.yarn.submission.scripts import master_script, script_name, service_script

ODD = json.loads((Path(__file__).parent / "data" / "odd_strings.json").read_text())

# Any text a command line could hold: all of Unicode but NUL, and bytes that are no UTF-8.
text = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.binary().map(lambda raw: raw.replace(b"\0", b"\x01").decode("utf-8", "surrogateescape")),
    st.text("'\"\\$`!{}<>\n\r\t\x01\x7f &;|*?~#=-"),
    st.sampled_from(ODD),
)


def service(**fields):
    return Service(resources=Resources(1), **fields)


def run(content: bytes, folder: Path, *, env=None, check=True):
    """Run a script as the NodeManager's launch command does."""
    path = folder / "knit-run.sh"
    path.write_bytes(content)
    done = subprocess.run(
        ["/bin/bash", "./knit-run.sh"],
        cwd=folder,
        env={"PATH": os.defpath, "HOME": "/nonexistent"} | (env or {}),
        capture_output=True,
        timeout=60,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


def environment(content: bytes, folder: Path, **kwargs):
    output = run(content, folder, **kwargs).stdout
    entries = [entry.split(b"=", 1) for entry in output.split(b"\0") if entry]
    return {os.fsdecode(name): os.fsdecode(value) for name, value in entries}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("container")


@settings(max_examples=150, deadline=None)
@given(st.lists(text, min_size=1), st.sampled_from(["C.UTF-8", "C", None]))
@example(ODD, "C.UTF-8")
@example(ODD, "C")
def test_arguments_reach_the_program_byte_by_byte(folder, arguments, lang):
    script = service_script(service(argv=["/usr/bin/printf", r"%s\0", *arguments]), lang)
    expected = b"".join(os.fsencode(argument) + b"\0" for argument in arguments)
    done = run(script, folder)
    assert done.stdout == expected
    assert done.stderr == b""


@settings(max_examples=150, deadline=None)
@given(st.lists(text), st.sampled_from(["C.UTF-8", "C"]))
@example(ODD, "C.UTF-8")
def test_variables_reach_the_program_byte_by_byte(folder, values, lang):
    variables = {f"VAR_{position}": value for position, value in enumerate(values)}
    found = environment(service_script(service(script="exec env -0", envvars=variables), lang), folder)
    assert {name: found.get(name) for name in variables} == variables


def test_every_variable_that_bash_knows_is_passed_on_or_refused(folder):
    known = subprocess.run(["bash", "-c", "compgen -v"], capture_output=True, text=True).stdout.split()
    # Those that bash's manual names and that only exist once they are set.
    known += """BASH_COMPAT BASH_ENV BASH_LOADABLES_PATH BASH_XTRACEFD CDPATH CHILD_MAX COLUMNS EMACS ENV EXECIGNORE
        FCEDIT FIGNORE FUNCNEST GLOBIGNORE HISTCONTROL HISTFILE HISTIGNORE HISTSIZE HISTTIMEFORMAT HOME HOSTFILE
        IGNOREEOF INPUTRC LANG LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_NUMERIC LC_TIME LINES MAIL MAILCHECK MAILPATH
        OPTERR OPTARG PATH POSIXLY_CORRECT PROMPT_COMMAND PROMPT_DIRTRIM PS0 PS1 PS2 PS3 PS4 SHELL TIMEFORMAT TMOUT
        TMPDIR auto_resume histchars COPROC MAPFILE READLINE_LINE REPLY INSIDE_EMACS BASH_COMMAND FUNCNAME""".split()  # noqa: SIM905
    passed, refused = [], []
    for name in dict.fromkeys(known):
        try:
            content = service_script(service(script="/usr/bin/env -0", envvars={name: "7x"}))
        except SpecError:
            refused.append(name)
        else:
            assert environment(content, folder).get(name) == "7x", name
            passed.append(name)
    assert {"UID", "SHLVL", "IFS", "RANDOM"} <= set(refused)
    assert {"PATH", "HOME", "LANG", "BASH_ENV", "PS4", "TMPDIR"} <= set(passed)


def test_a_variable_for_the_dynamic_linker_is_passed_on(folder):
    found = environment(service_script(service(script="exec env -0", envvars={"LD_PRELOAD": ""})), folder)
    assert found["LD_PRELOAD"] == ""


@pytest.mark.parametrize("odd", ["{{X}}", "<LOG_DIR>", "<CPS>", "$HOME", "$(id)", "é😀", "a'b\"c", "line\nline"])
def test_shell_text_is_the_users_own(folder, odd):
    content = service_script(service(script=f"cat <<'END_OF_TEXT'\n{odd}\nEND_OF_TEXT"))
    assert run(content, folder).stdout.decode() == f"{odd}\n"


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_a_long_command_runs(folder, size):
    long = "x" * size
    content = service_script(service(script=f"value='{long}'\necho ${{#value}} $value_of_nothing {{1..3}}"))
    assert run(content, folder).stdout.decode() == f"{size} 1 2 3\n"


def test_a_long_argument_list_runs(folder):
    arguments = ["y" * 100_000] * 10
    content = service_script(service(argv=["/usr/bin/printf", "%s", *arguments]))
    assert len(run(content, folder).stdout) == 1_000_000


def test_the_exit_code_is_the_commands(folder):
    assert run(service_script(service(script="exit 3")), folder, check=False).returncode == 3
    assert run(service_script(service(argv=["sh", "-c", "exit 4"])), folder, check=False).returncode == 4
    assert run(service_script(service(argv=["no-such-program"])), folder, check=False).returncode == 127
    assert run(service_script(service(argv=["-x"])), folder, check=False).returncode == 127


def test_home_is_the_working_folder_unless_given(folder):
    found = environment(service_script(service(script="exec env -0")), folder)
    assert found["HOME"] == str(folder)
    found = environment(service_script(service(script="exec env -0", envvars={"HOME": "/x"})), folder)
    assert found["HOME"] == "/x"


def test_nothing_of_ours_is_left_in_the_users_shell(folder):
    before = run(b"compgen -v; compgen -A function; true\n", folder).stdout.split()
    after = run(service_script(service(script="compgen -v; compgen -A function; true")), folder).stdout.split()
    assert set(after) - set(before) <= {b"LANG", b"LC_ALL", b"PIPESTATUS"}


def test_the_locale_is_set(folder):
    found = environment(service_script(service(script="exec env -0"), "C.UTF-8"), folder)
    assert (found["LANG"], found["LC_ALL"]) == ("C.UTF-8", "C.UTF-8")


def test_a_locale_that_the_node_lacks_is_replaced_without_a_word(folder):
    done = run(service_script(service(script="echo $LC_ALL; python3 -c 'print(chr(233))'"), "xx_YY.UTF-8"), folder)
    assert done.stdout.decode() == "C.UTF-8\né\n"
    assert done.stderr == b""


@pytest.mark.parametrize("name", ["LANG", "LC_ALL"])
def test_a_locale_among_the_variables_wins(folder, name):
    found = environment(service_script(service(script="exec env -0", envvars={name: "C"}), "C.UTF-8"), folder)
    assert {key: found[key] for key in ("LANG", "LC_ALL") if key in found} == {name: "C"}


def test_a_locale_name_is_checked():
    with pytest.raises(ConfigurationError, match="locale"):
        service_script(service(script="x"), "C; rm -rf /")


def packed(folder: Path, *prefixes: str, interpreter="python", executable=True):
    for prefix in prefixes:
        binaries = folder / "knit-env" / prefix / "bin"
        binaries.mkdir(parents=True)
        (binaries / interpreter).write_text('#!/bin/sh\necho "I am $0"\n')
        (binaries / interpreter).chmod(0o500 if executable else 0o400)


SHOW = 'echo "$PYTHON_BIN"; echo "$CONDA_PREFIX"; python x 2>&1 || python3 x'


@pytest.mark.parametrize("prefix", ["", "dev"])
def test_an_environment_is_found_at_the_root_or_under_one_folder(tmp_path, prefix):
    packed(tmp_path, prefix)
    expected = tmp_path / "knit-env" / prefix
    content = service_script(service(script=SHOW, env="/some/dev.tar.gz"))
    lines = run(content, tmp_path).stdout.decode().splitlines()
    assert [os.path.normpath(line) for line in lines[:2]] == [f"{expected}/bin/python", f"{expected}"]
    assert lines[2] == f"I am {expected}/bin/python"


def test_an_interpreter_called_python3_will_do(tmp_path):
    packed(tmp_path, "", interpreter="python3")
    content = service_script(service(argv=["sh", "-c", "echo $PYTHON_BIN"], env="hdfs://nn/dev.zip"))
    assert run(content, tmp_path).stdout.decode() == f"{tmp_path}/knit-env/bin/python3\n"


def test_the_environment_comes_before_a_path_among_the_variables(tmp_path):
    packed(tmp_path, "")
    content = service_script(service(script='echo "$PATH"', env="x.zip", envvars={"PATH": "/a b:/c"}))
    assert run(content, tmp_path).stdout.decode() == f"{tmp_path}/knit-env/bin:/a b:/c\n"


def test_condas_activation_scripts_are_run(tmp_path):
    packed(tmp_path, "")
    scripts = tmp_path / "knit-env" / "etc" / "conda" / "activate.d"
    scripts.mkdir(parents=True)
    (scripts / "gdal.sh").write_text('export GDAL_DATA="$CONDA_PREFIX/share/gdal"\nfalse\n')
    content = service_script(service(script='echo "$GDAL_DATA"; compgen -v knit', env="x.zip"))
    assert run(content, tmp_path, check=False).stdout.decode() == f"{tmp_path}/knit-env/share/gdal\n"


def test_a_virtual_environment_is_named_as_one(tmp_path):
    packed(tmp_path, "")
    (tmp_path / "knit-env" / "pyvenv.cfg").touch()
    found = environment(service_script(service(script="exec env -0", env="x")), tmp_path, env={"PYTHONHOME": "/bad"})
    assert found["VIRTUAL_ENV"] == f"{tmp_path}/knit-env"
    assert "PYTHONHOME" not in found


def test_python_writes_no_bytecode_into_what_all_containers_share(tmp_path):
    packed(tmp_path, "")
    name = "PYTHONDONTWRITEBYTECODE"
    fields = {"script": "exec env -0", "env": "x"}
    assert environment(service_script(service(**fields)), tmp_path)[name] == "1"
    assert environment(service_script(service(**fields, envvars={name: ""})), tmp_path)[name] == ""
    assert name not in environment(service_script(service(script="exec env -0")), tmp_path)


def test_an_archive_without_an_interpreter_ends_the_container_with_the_reason(tmp_path):
    (tmp_path / "knit-env" / "stuff").mkdir(parents=True)
    done = run(service_script(service(script="echo never", env="x.zip")), tmp_path, check=False)
    assert done.returncode == 127
    assert done.stdout == b""
    assert b"no Python interpreter" in done.stderr
    assert b"stuff" in done.stderr


def test_an_interpreter_that_points_to_another_machine_is_named(tmp_path):
    packed(tmp_path, "")
    python = tmp_path / "knit-env" / "bin" / "python"
    python.unlink()
    python.symlink_to("/opt/gone/python3.99")
    done = run(service_script(service(script="echo never", env="x.zip")), tmp_path, check=False)
    assert done.returncode == 127
    assert b"/opt/gone/python3.99" in done.stderr


def test_two_environments_in_one_archive_are_refused(tmp_path):
    packed(tmp_path, "a", "b")
    done = run(service_script(service(script="echo never", env="x.zip")), tmp_path, check=False)
    assert done.returncode == 127
    assert b"/a and /b" in done.stderr


def test_an_interpreter_on_every_node_is_used(tmp_path):
    folder = os.path.dirname(sys.executable)
    content = service_script(service(script='echo "$PYTHON_BIN"; echo "${PATH%%:*}"', env=f"python://{sys.executable}"))
    assert run(content, tmp_path).stdout.decode() == f"{sys.executable}\n{folder}\n"


def test_an_interpreter_that_a_node_lacks_is_named(tmp_path):
    done = run(service_script(service(script="echo never", env="python:///opt/my $py/python")), tmp_path, check=False)
    assert done.returncode == 127
    assert b"/opt/my $py/python" in done.stderr


def test_the_master_has_a_script_only_if_it_has_a_command(folder):
    assert master_script(Master()) is None
    content = master_script(Master(script='echo "$A"', envvars={"A": "b"}))
    assert run(content, folder).stdout == b"b\n"


def test_script_names_are_distinct():
    names = [script_name(service) for service in ("master", "a", "a.b", "_master", "-master"[1:] + "2")]
    assert len(set(names)) == len(names)
    assert "run-master.sh" not in names


def test_python_files_find_the_modules_that_are_shipped_beside_them(tmp_path):
    content = service_script(service(argv=[sys.executable, "main.py"], files=["main.py", "helper.py"]))
    for number, (name, text) in enumerate({"main.py": "import helper", "helper.py": "print('helped')"}.items()):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / name).write_text(text)
        (tmp_path / name).symlink_to(tmp_path / str(number) / name)
    assert run(content, tmp_path).stdout == b"helped\n"
    given = service(script='echo "$PYTHONPATH"', files=["main.py"], envvars={"PYTHONPATH": "/x"})
    assert run(service_script(given), tmp_path).stdout == b"/x\n"
