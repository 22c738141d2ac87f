"""ApplicationMasters that bring their Hadoop classes along: the archive is used if it fits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from knit_provider import Knit
from knit_provider.yarn.connection import Connection
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.submission import submit
from knit_provider.yarn.submission.am_classes import ARCHIVE, AmClasses, classes_of
from tests.hadoop.eventually import eventually


def mapped_by_master(knit: Knit, app_id: str) -> list[str]:
    """The names of the files that the ApplicationMaster has mapped into its memory."""
    number = app_id.removeprefix("application_")
    for process in psutil.process_iter(["cmdline"]):
        if "io.knitprovider.am.ApplicationMasterMain" in (process.info["cmdline"] or []):
            container = process.environ().get("CONTAINER_ID", "")
            if number in container:
                links = {link.resolve(): link.name for link in Path(process.cwd()).iterdir() if link.is_symlink()}
                maps = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
                paths = {Path(line.split(maxsplit=5)[5]) for line in maps if len(line.split(maxsplit=5)) == 6}
                return sorted(links.get(path, path.name) for path in paths)
    raise AssertionError(f"no ApplicationMaster of {app_id} runs")


def log_of_master(knit: Knit, app_id: str) -> str:
    files = [f for f in knit.logs(app_id=app_id).values() if not f["service"]]
    return "".join(str(f.get("stdout", "")) + str(f.get("stderr", "")) for f in files)


def test_the_archive_is_used(make_knit: Callable[..., Knit]) -> None:
    knit = make_knit(am_classes="shipped")
    app_id = knit.start("sleep 60", memory=64)
    eventually(lambda: knit.application(app_id).report().state == "RUNNING")
    assert "knit-am.jsa" in eventually(lambda: mapped_by_master(knit, app_id))
    assert knit.kill(app_id)


@pytest.mark.parametrize("damage", ["is none", "is cut off", "is for other jars"])
def test_an_archive_that_does_not_fit_is_passed_over_in_silence(
    make_knit: Callable[..., Knit], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str
) -> None:
    knit = make_knit(am_classes="shipped")
    ours = tmp_path / "other.jsa"

    def damaged(connection: Connection, jar: Path) -> AmClasses:
        good = classes_of(connection, jar)
        shutil.copyfile(good.files[ARCHIVE], ours)
        environment = dict(good.environment)
        with ours.open("r+b") as file:
            if damage == "is cut off":
                file.truncate(ours.stat().st_size // 2)
            elif damage == "is none":
                file.write(b"no archive at all" * 1000)
            else:
                environment["KNIT_AM_JARS_TIME"] = "1"
        return AmClasses({**good.files, ARCHIVE: ours}, environment)

    monkeypatch.setattr(submit, "classes_of", damaged)
    app_id = knit.start("echo done; sleep 8", memory=64)
    eventually(lambda: knit.application(app_id).report().state not in ("NEW", "SUBMITTED", "ACCEPTED"))
    assert "knit-am.jsa" not in mapped_by_master(knit, app_id)
    assert knit.wait_for_completion(120, app_id=app_id), knit.status()["diagnostics"]
    log = log_of_master(knit, app_id)
    assert "registered attempt 1" in log
    assert "shared" not in log.lower()
    assert "archive" not in log.lower()


def test_only_two_ways_are_known() -> None:
    with pytest.raises(ConfigurationError, match="am_classes='mine' is not one of cluster, shipped"):
        Knit(am_classes="mine")
