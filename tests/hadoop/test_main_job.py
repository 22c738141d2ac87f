"""Start, wait, kill, status: what every user does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import (
    ApplicationFailed,
    ApplicationKilled,
    ApplicationNotFound,
    ConfigurationError,
    KnitError,
)


def staging_of(knit: Knit, app_id: str) -> object:
    connection = knit.connection
    return connection.files.status(connection.paths.staging(app_id))


def test_a_command_runs_and_its_logs_are_there(knit: Knit, marker: str) -> None:
    app_id = knit.start(f"echo {marker}", num_containers=2)
    assert app_id.startswith("application_")
    assert knit.wait_for_completion(timeout=90)
    assert knit.runtime_status() == "FINISHED"
    status = knit.status()
    assert status["id"] == app_id
    assert status["finalStatus"] == "SUCCEEDED"
    assert status["user"] == "alice"
    assert status["applicationType"] == "knit"
    logs = knit.logs()
    assert sum(1 for files in logs.values() if marker in str(files.get("stdout", ""))) == 2
    assert sorted(f["index"] for f in logs.values() if f["service"] == "default") == [0, 1]
    assert any(f["service"] is None for f in logs.values()), "the ApplicationMaster's log is missing"


def test_a_failure_is_not_success_and_says_why(knit: Knit) -> None:
    knit.start("echo the disk of doom is full >&2; exit 3")
    assert knit.wait_for_completion(timeout=90) is False
    with pytest.raises(ApplicationFailed) as caught:
        knit.application().wait()
    assert caught.value.exit_code == 3
    for part in ("container_", "3", "the disk of doom is full"):
        assert part in str(caught.value)
    assert knit.status()["finalStatus"] == "FAILED"


def test_a_wait_that_times_out_leaves_the_application_alone(knit: Knit) -> None:
    knit.start("sleep 300")
    assert knit.wait_for_completion(timeout=1) is False
    assert knit.runtime_status() in ("ACCEPTED", "RUNNING")
    assert knit.kill() is True
    assert knit.runtime_status() == "KILLED"
    assert knit.kill() is True, "it is killed already, and saying so again changes nothing"
    with pytest.raises(ApplicationKilled):
        knit.application().wait()


@pytest.mark.parametrize("end", ["success", "failure", "kill"])
def test_staging_is_gone_after_every_end(knit: Knit, end: str) -> None:
    app_id = knit.start({"success": "true", "failure": "false", "kill": "sleep 300"}[end])
    assert staging_of(knit, app_id) is not None
    if end == "kill":
        assert knit.kill()
    else:
        knit.wait_for_completion(timeout=90)
    for _ in range(50):
        if staging_of(knit, app_id) is None:
            break
        threading.Event().wait(0.1)
    assert staging_of(knit, app_id) is None


def test_several_objects_and_applications_at_once(make_knit: Callable[..., Knit], marker: str) -> None:
    first, second = make_knit(), make_knit()
    ids = [first.start(f"echo {marker}-1"), second.start(f"echo {marker}-2"), first.start(f"echo {marker}-3")]
    assert len(set(ids)) == 3
    assert second.wait_for_completion(90)
    assert first.wait_for_completion(90, app_id=ids[0])
    assert first.wait_for_completion(90)
    for k, app_id, number in ((first, ids[0], 1), (second, ids[1], 2), (first, ids[2], 3)):
        assert any(f"{marker}-{number}" in str(f.get("stdout", "")) for f in k.logs(app_id=app_id).values())


def test_nothing_started_yet(knit: Knit) -> None:
    assert knit.runtime_status() == "NONE"
    assert knit.kill() is False
    with pytest.raises(KnitError, match="no application"):
        knit.status()


def test_unknown_and_malformed_ids(knit: Knit) -> None:
    with pytest.raises(ApplicationNotFound, match="application_1_0042"):
        knit.attach("application_1_0042")
    with pytest.raises(ConfigurationError, match="jobs/7"):
        knit.attach("jobs/7")


def test_envvars_reach_the_containers_as_they_are(knit: Knit) -> None:
    hostile = {
        "QUOTES": 'it\'s "so" `called` \\ \\\\',
        "DOLLARS": "$HOME ${PATH} $(id) $$",
        "YARNISH": "{{X}} <LOG_DIR> <CPS> @@",
        "LINES": "one\ntwo\n",
        "UNICODE": "zażółć 🐘",
    }
    knit.start(["python3", "-c", "import json,os; print('>>' + json.dumps(dict(os.environ)))"], envvars=hostile)
    assert knit.wait_for_completion(90)
    import json

    for files in knit.logs().values():
        if files["service"]:
            line = next(line for line in str(files["stdout"]).splitlines() if line.startswith(">>"))
            seen = json.loads(line[2:])
            break
    assert {k: seen[k] for k in hostile} == hostile
    assert seen["KNIT_APP_ID"] == knit.status()["id"]
    assert seen["KNIT_SERVICE"] == "default"
    assert seen["KNIT_INDEX"] == "0"
    assert seen["KNIT_CONTAINER_ID"].startswith("container_")
    assert seen["HADOOP_USER_NAME"] == "alice"
    assert seen["PYTHONUNBUFFERED"] == "1"
    assert seen["LANG"] == "C.UTF-8"


@pytest.mark.parametrize(
    "text", ['it\'s "x" $HOME\nnext {{X}} <LOG_DIR> żółw \\ `', "x" * 100_000], ids=["odd", "100 kB"]
)
def test_commands_survive_whatever_they_hold(knit: Knit, text: str) -> None:
    knit.start(["python3", "-c", "import sys,hashlib; print(hashlib.sha256(sys.argv[1].encode()).hexdigest())", text])
    assert knit.wait_for_completion(90)
    import hashlib

    expected = hashlib.sha256(text.encode()).hexdigest()
    assert any(expected in str(f.get("stdout", "")) for f in knit.logs().values())


def test_a_shell_command_is_run_by_a_shell(knit: Knit) -> None:
    knit.start('for i in 1 2 3; do printf "<%s>" "$((i * 7))"; done; cd "$HOME" && touch here && echo " $PWD"')
    assert knit.wait_for_completion(90)
    assert any("<7><14><21>" in str(f.get("stdout", "")) for f in knit.logs().values())


def test_results_come_back(knit: Knit) -> None:
    app_id = knit.start('echo "{\\"index\\": $KNIT_INDEX}" > "$KNIT_RESULT"', num_containers=3)
    assert knit.wait_for_completion(90)
    assert knit.application(app_id).result() == [{"index": 0}, {"index": 1}, {"index": 2}]


def test_an_id_is_stored_first_and_never_runs_twice(knit: Knit, make_knit: Callable[..., Knit], marker: str) -> None:
    app_id = knit.new_application()
    assert knit.start(f"echo {marker}", app_id=app_id) == app_id
    # The same again, from another process's point of view: the ResourceManager knows the id.
    other = make_knit()
    assert other.start(f"echo {marker}", app_id=app_id) == app_id
    assert other.wait_for_completion(90)
    assert sum(marker in str(f.get("stdout", "")) for f in other.logs().values()) == 1
    assert other.start(f"echo {marker}", app_id=app_id) == app_id
    assert other.runtime_status() == "FINISHED"


def test_lifetime_ends_it_and_is_told_apart_from_a_kill(knit: Knit) -> None:
    knit.start("sleep 300", lifetime=5)
    report = knit.application().wait_for_end(90)
    assert report.killed
    assert report.timed_out
    with pytest.raises(ApplicationKilled, match="lifetime"):
        knit.application().wait()


def test_the_owner_is_who_was_asked_for(make_knit: Callable[..., Knit], cluster: LocalCluster) -> None:
    bob = make_knit(user="bob")
    bob.start("true")
    assert bob.status()["user"] == "bob"
    assert bob.wait_for_completion(90)
