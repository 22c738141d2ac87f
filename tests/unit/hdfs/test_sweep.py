"""What is removed of ended applications, and what never is."""

from __future__ import annotations

import json
import time

import pytest

from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.files.transfer import Transfer
from knit_provider.yarn.spec import ApplicationSpec
from knit_provider.yarn.submission.ledger import END
from knit_provider.yarn.submission.staging import Paths
from knit_provider.yarn.submission.sweep import prune, sweep

NOW = 2_000_000_000.0
DAY = 86400
DIGESTS = [character * 64 for character in "0123456789abcdef"]


def app(number):
    return f"application_1700000000000_{number:04d}"


@pytest.fixture
def paths(files):
    return Paths.of(files, "rm")


def stage(files, paths, number, age=0.0, uris=(), am_files=()):
    resources = {f"f{position}": {"uri": uri} for position, uri in enumerate(uris)}
    spec = {"services": [{"local_resources": resources}], "am_files": list(am_files)}
    files.write_many(paths.staging(app(number)), {"spec.json": json.dumps(spec).encode()})
    files.aged(paths.staging(app(number)), int((NOW - age) * 1000))


def upload(files, paths, digest, age):
    folder = f"{paths.cache}/{digest}"
    files.write_many(folder, {"data.csv": b"x"})
    files.aged(folder, int((NOW - age) * 1000))
    return f"{folder}/data.csv"


def now():
    return NOW


def test_only_what_has_ended_is_swept(files, paths):
    for number in (1, 2, 3, 4):
        stage(files, paths, number, age=2 * DAY if number == 4 else 60)
    states = {app(1): True, app(2): False, app(3): None, app(4): None}
    assert sweep(files, paths, states.get, now=now) == [app(1), app(4)]
    left = [status.path.rpartition("/")[2] for status in files.list(paths.apps)]
    assert left == [app(2), app(3)]


def test_applications_of_another_cluster_are_not_touched(files, paths):
    other = Paths.of(files, "other-rm")
    stage(files, other, 1, age=99 * DAY)
    stage(files, paths, 2, age=99 * DAY)
    assert sweep(files, paths, lambda _: None, now=now) == [app(2)]
    prune(files, paths, lambda _: True, now=now)
    assert files.status(other.staging(app(1))) is not None


def test_what_is_no_application_is_not_touched(files, paths):
    files.write_many(f"{paths.apps}/notes", {"x": b"y"})
    assert sweep(files, paths, lambda _: True, now=now) == []
    assert files.status(f"{paths.apps}/notes/x") is not None


def test_a_sweep_is_bounded_and_reaches_everything_in_the_end(files, paths):
    for number in range(60):
        stage(files, paths, number)
    asked = []

    def ended(app_id):
        asked.append(app_id)
        return int(app_id[-4:]) >= 55

    sweep(files, paths, ended, limit=10, now=now)
    assert len(asked) == 10
    for _ in range(200):
        sweep(files, paths, ended, limit=10, now=now)
    assert [status.path[-4:] for status in files.list(paths.apps)] == [f"{number:04d}" for number in range(55)]


def test_a_sweep_never_fails(files, paths):
    assert sweep(files, paths, lambda _: True, now=now) == []
    stage(files, paths, 1)
    stage(files, paths, 2)

    def ended(app_id):
        if app_id == app(1):
            raise ClusterUnavailable("no")
        return True

    assert sweep(files, paths, ended, now=now) == [app(2)]
    files.forbidden.add(paths.apps)
    assert sweep(files, paths, ended, now=now) == []


def test_pruning_removes_old_uploads_that_nothing_uses(files, paths):
    old = [upload(files, paths, digest, 40 * DAY) for digest in DIGESTS[:4]]
    upload(files, paths, DIGESTS[4], 20 * DAY)
    stage(files, paths, 1, uris=[old[0]])
    stage(files, paths, 2, am_files=[old[1]])
    stage(files, Paths.of(files, "other-rm"), 3, uris=[old[2]])
    stage(files, paths, 9, uris=[old[3]])
    result = prune(files, paths, {app(1): False, app(2): False, app(9): True}.get, now=now)
    assert result.cached == (DIGESTS[3],)
    assert result.applications == (app(9),)
    assert result.kept == (app(1), app(2))
    left = [status.path.rpartition("/")[2] for status in files.list(paths.cache)]
    assert left == [".condemned", *DIGESTS[:3], DIGESTS[4]]
    assert files.list(f"{paths.cache}/.condemned") == []


@pytest.mark.parametrize("again", ["the same file", "another name", "a copy"])
def test_an_upload_that_a_submission_in_progress_counts_on_stays(files, paths, tmp_path, again):
    """It was uploaded long ago and is found; other files go up, and nothing in staging names it yet."""
    files.clock_from(time.time())
    (tmp_path / "data").write_text("x")
    (tmp_path / "other").write_text("x" if again != "the same file" else "y")
    links = {"a": str(tmp_path / "data"), **({"b": str(tmp_path / "data")} if again == "a copy" else {})}
    spec = {"services": {"w": {"resources": {"memory": 1}, "script": "x", "files": links}}}
    with Transfer(files, paths) as transfer:
        transfer.ship(ApplicationSpec.from_dict(spec))
        for path in files.nodes:
            files.aged(path, int((time.time() - 31 * DAY) * 1000))
        if again == "another name":
            links["a"] = str(tmp_path / "other")
        shipped = transfer.ship(ApplicationSpec.from_dict(spec)).services["w"].values()
    assert prune(files, paths, lambda _: None, cache_age=0).cached == ()
    assert all(files.status(resource.uri).modified_ms == resource.timestamp for resource in shipped)
    assert len(prune(files, paths, lambda _: None, cache_age=0, now=lambda: time.time() + 4 * 3600).cached) == 1


def test_pruning_removes_uploads_that_were_never_finished(files, paths):
    upload(files, paths, ".tmp-old", 2 * DAY)
    upload(files, paths, ".tmp-new", 60)
    upload(files, paths, "something-else", 400 * DAY)
    assert prune(files, paths, lambda _: None, now=now).cached == ()
    assert [status.path.rpartition("/")[2] for status in files.list(paths.cache)] == [".tmp-new", "something-else"]


def test_pruning_keeps_the_cache_when_a_spec_cannot_be_read(files, paths):
    upload(files, paths, DIGESTS[0], 99 * DAY)
    stage(files, paths, 1)
    files.write_many(paths.staging(app(1)), {"spec.json": b"{"}, overwrite=True)
    with pytest.raises(KnitError, match="not known which uploads"):
        prune(files, paths, lambda _: False, now=now)
    assert len(files.list(paths.cache)) == 1


def test_pruning_removes_ledger_entries_after_a_year(files, paths):
    folder = paths.ledger(app(1)).rpartition("/")[0]
    files.write_many(folder, {app(1): b"{}", app(1) + END: b"{}", app(2): b"{}", app(3): b"{}"})
    files.aged(paths.ledger(app(1)), int((NOW - 400 * DAY) * 1000))
    files.aged(paths.ledger(app(1)) + END, int((NOW - 400 * DAY) * 1000))
    files.aged(paths.ledger(app(2)), int((NOW - 300 * DAY) * 1000))
    files.aged(paths.ledger(app(3)), int((NOW - 400 * DAY) * 1000))
    stage(files, paths, 3)
    assert prune(files, paths, {app(3): False}.get, now=now).ledger == (app(1),)
    assert files.status(paths.ledger(app(2))) is not None
    assert files.status(paths.ledger(app(1)) + END) is None


def test_pruning_where_there_is_nothing_removes_nothing(files, paths):
    assert prune(files, paths, lambda _: True, now=now).applications == ()
