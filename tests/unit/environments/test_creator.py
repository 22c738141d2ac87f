"""``CondaCreator`` and ``create_env``: the seeds' names, on the class and on objects."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from knit_provider import CondaCreator, Knit
from knit_provider.environments.channels import Channels, without_secrets
from knit_provider.environments.sidecar import read_sidecar
from knit_provider.yarn.errors import EnvironmentBuildError

from .conftest import Record, unpack


@pytest.fixture(autouse=True)
def _no_configuration_of_the_users(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CONDARC", "CONDA_PREFIX", "CONDA_EXE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_create_env_works_on_the_class_and_on_objects(conda_channel, pkgs, tmp_path) -> None:
    options = {"conda_pars": {"conda_pkgs": str(pkgs)}, "cache_dir": tmp_path / "cache", "progress": Record()}
    first = Knit.create_env("dev", ["figures"], channels=[conda_channel], **options)
    k = Knit(autodetect=False, rm="127.0.0.1", rm_port=9, bridge="rest")
    assert k.create_env(env_name="dev", packages=["figures"], channels=[conda_channel], **options) == first
    assert first.endswith("/dev.tar.gz")
    before = Path(first).stat().st_mtime_ns
    assert k.create_env("dev", packages=["figures"], remove=True, channels=[conda_channel], **options) == first
    assert Path(first).stat().st_mtime_ns == before  # made anew, and equal: what was promised of it still holds
    assert k.create_env(file=Path(first)) == first


def test_the_seeds_creator(conda_channel, pkgs, tmp_path) -> None:
    creator = CondaCreator(
        conda_root=None,
        conda_envs=str(tmp_path / "envs"),
        miniconda_url="https://host/miniconda.sh",
        channels=[conda_channel],
        conda_pkgs=str(pkgs),
        cache_dir=tmp_path / "cache",
        progress=Record(),
    )
    path = creator.create_env("dev", packages=["figures"], remove=True)
    assert path == str(tmp_path / "envs" / "dev.zip")
    assert "share/figures.txt" in zipfile.ZipFile(path).namelist()
    known = read_sidecar(path)
    assert known is not None
    assert known.packages == ("figures=2.0",)
    assert creator.create_env("dev", packages=["figures"]) == path
    # Another request under that name is another environment, not the old one.
    creator.create_env("dev", packages=["figures", "clash"])
    assert "share/clash.txt" in zipfile.ZipFile(path).namelist()


def test_zip_env_packs_a_folder(conda_channel, pkgs, tmp_path) -> None:
    creator = CondaCreator(conda_pars={"channels": [conda_channel], "conda_pkgs": str(pkgs)}, cache_dir=tmp_path / "c")
    unpacked = unpack(creator.create_env("dev", packages=["figures"]), tmp_path / "dev")
    assert creator.zip_env(unpacked) == f"{unpacked}.zip"
    assert creator.zip_env(unpacked, tmp_path / "out.tar.gz") == str(tmp_path / "out.tar.gz")
    with pytest.raises(EnvironmentBuildError, match="has to end in"):
        creator.zip_env(unpacked, tmp_path / "out.rar")
    (unpacked / "envs").mkdir()
    with pytest.raises(EnvironmentBuildError, match="root environment"):
        creator.zip_env(unpacked)


@pytest.mark.parametrize("name", ["my env", "ümlaut", "../up", "", "a/b", ".hidden", "-x", "x" * 101, "a\nb"])
def test_a_name_that_no_file_can_have_everywhere_is_refused_with_one_that_can(name) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"such as '[A-Za-z0-9_][A-Za-z0-9._-]*'"):
        Knit.create_env(name, packages=["python"])


def test_what_cannot_be_meant_is_said() -> None:
    with pytest.raises(EnvironmentBuildError, match=r"\['numpy'\]"):
        Knit.create_env("x", packages="numpy")
    with pytest.raises(EnvironmentBuildError, match=r"\['conda-forge'\]"):
        Knit.create_env("x", packages=["numpy"], channels="conda-forge")
    with pytest.raises(EnvironmentBuildError, match="one of them"):
        Knit.create_env("x", packages=["numpy"], file="environment.yml")
    with pytest.raises(EnvironmentBuildError, match="needs a name"):
        Knit.create_env(packages=["numpy"])
    with pytest.raises(EnvironmentBuildError, match="'rar'"):
        Knit.create_env("x", packages=["numpy"], format="rar")
    with pytest.raises(TypeError, match="'colour'"):
        Knit.create_env("x", packages=["numpy"], conda_pars={"colour": 1})


def test_channels_are_named_as_conda_names_them(tmp_path, monkeypatch) -> None:
    assert Channels.here().urls(None) == ("https://conda.anaconda.org/conda-forge",)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".condarc").write_text(
        "channels: [team, defaults]\nchannel_alias: https://mirror.example\n"
        "default_channels: [https://mirror.example/main]\ncustom_channels: {secret: 'https://vault.example/x'}\n"
    )
    channels = Channels.here()
    assert channels.urls([]) == ("https://mirror.example/team", "https://mirror.example/main")
    assert channels.urls(["secret", "https://other/y/"]) == ("https://vault.example/x/secret", "https://other/y")
    assert Channels.here(alias="https://alias").urls(["team"]) == ("https://alias/team",)
    monkeypatch.setenv("PASS_WORD", "p")
    assert channels.urls(["https://me:${PASS_WORD}@h/c"]) == ("https://me:p@h/c",)
    with pytest.raises(EnvironmentBuildError, match="NOT_SET"):
        channels.urls(["https://me:${NOT_SET}@h/c"])
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ".condarc").write_text("channels: [rooted]\n")
    (tmp_path / "home" / ".condarc").unlink()
    assert Channels.here(tmp_path / "root").urls(None) == ("https://conda.anaconda.org/rooted",)


def test_passwords_and_tokens_are_not_shown() -> None:
    assert without_secrets("https://me:pw@h:8/t/abc-1/c/noarch/x.conda") == "https://h:8/c/noarch/x.conda"
    assert without_secrets("file:///a/t/b") == "file:///a/t/b"
