"""The moment of submission: answers that are lost, and two clients with one id. No cluster can be held in it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from knit_provider.yarn.application import Application
from knit_provider.yarn.bridge.base import SubmissionUncertain
from knit_provider.yarn.bridge.rest import RestBridge
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import (
    ApplicationMasterUnreachable,
    ApplicationNotFound,
    AuthenticationFailed,
    ClusterUnavailable,
    KnitError,
    SubmissionRejected,
)
from knit_provider.yarn.files.transfer import Shipped
from knit_provider.yarn.spec import ApplicationSpec
from knit_provider.yarn.submission import handing_over
from knit_provider.yarn.submission import submit as submitting
from knit_provider.yarn.submission.am_launch import SPEC as SPEC_LINK
from knit_provider.yarn.submission.staging import Paths

APP = "application_1700000000000_0001"
SPEC = ApplicationSpec.from_dict({"services": {"w": {"script": "date", "resources": {"memory": 128, "vcores": 1}}}})


class ResourceManager:
    """What one says of ``APP``: a state, None where it knows none, or an error."""

    def __init__(self, *says):
        self.says = list(says)

    def status(self, app_id):
        says = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if says is None:
            raise ApplicationNotFound(app_id)
        if isinstance(says, Exception):
            raise says
        return {"id": app_id, "state": says, "applicationType": "knit", "user": "alice"}


@pytest.fixture
def connection(files, monkeypatch):
    """Alice's, to a ResourceManager that takes what it is given, once ``submit`` is called."""
    monkeypatch.setattr(submitting, "sweep_in_background", lambda _: None)
    monkeypatch.setattr(submitting, "classes_of", lambda *_: SimpleNamespace(files={}, environment={}))
    monkeypatch.setattr(submitting.am, "package_file", lambda name, *_: name)
    monkeypatch.setattr(submitting, "DIGESTS", SimpleNamespace(of=lambda name: (f"digest of {name}", 0)))

    class Uploads:
        def __init__(self, *_, **__): ...

        def __enter__(self):
            return self

        def __exit__(self, *_): ...

        def ship(self, *_):
            return Shipped({"w": {}}, {})

    monkeypatch.setattr(submitting, "Transfer", Uploads)
    conf = HadoopConf.load(autodetect=False, environ={})
    made = SimpleNamespace(
        files=files,
        paths=Paths.of(files, "rm"),
        api=ResourceManager(None),
        user="alice",
        caller="alice",
        staging=None,
        jar=None,
        proxy_user=None,
        secure=False,
        conf=conf,
        full_conf=conf,
        check_login=lambda: None,
        prestart=lambda: None,
        taken=[],
    )

    def take(submission):
        if not made.taken:
            made.taken.append(submission)
        made.api.says = ["ACCEPTED"]

    made.bridge = SimpleNamespace(files=files, sets_lifetime=True, submit=take)
    return made


def submit(connection):
    return submitting.submit(connection, SPEC, app_id=APP, checks=False)


def before_its_submission(connection, monkeypatch, do):
    """Has ``do`` called once, when the next submission is staged and not yet sent."""
    send = submitting.hand_over

    def late(*arguments):
        monkeypatch.setattr(submitting, "hand_over", send)
        do()
        send(*arguments)

    monkeypatch.setattr(submitting, "hand_over", late)


def promised(connection):
    """What YARN was told of the application's files, and what is there: the two have to be the same."""
    for resource in connection.taken[0].am.local_resources.values():
        there = connection.files.status(resource.uri)
        assert there is not None, f"{resource.uri} is gone"
        assert (there.length, there.modified_ms) == (resource.size, resource.timestamp)
    return json.loads(connection.files.read(connection.taken[0].am.local_resources[SPEC_LINK].uri))


def controls(connection):
    """The secret that an attaching process finds is the one that runs."""
    found = Application(connection, APP, am_timeout=0)._get_credentials()
    return connection.taken[0].secrets["knit.control.secret"].decode() == found.secret


def starts(connection):
    """The ApplicationMaster of what was taken comes up: it makes the ledger's entry."""
    folder, _, name = connection.paths.ledger(APP).rpartition("/")
    entry = {
        "application_id": APP,
        "submission_id": promised(connection)["submission_id"],
        "attempt": 1,
        "container_id": "c",
        "started_ms": 1,
    }
    connection.files.write_many(folder, {name: json.dumps(entry).encode()})


class TestTwoClientsWithOneId:
    def test_the_second_leaves_alone_what_was_taken_while_it_uploaded(self, connection):
        """It has asked before its upload, when nobody knew the id."""
        unknown_at_first = ResourceManager(None, "ACCEPTED")
        assert submit(connection).credentials is not None
        connection.api = unknown_at_first
        assert submit(connection).credentials is None
        assert promised(connection)["submission_id"]
        assert controls(connection)

    @pytest.mark.parametrize("taken", [0, 1])
    def test_neither_touches_the_others_files(self, connection, monkeypatch, taken):
        """The second looks when the first has staged and not submitted yet; then both submit, in this or that order."""
        staged, second = [], []
        send = submitting.hand_over

        def late(*arguments):
            staged.append(arguments)
            if len(staged) == 1:
                second.append(submit(connection))
            else:
                for one in (taken, 1 - taken):
                    send(*staged[one])

        monkeypatch.setattr(submitting, "hand_over", late)
        assert submit(connection).credentials is second[0].credentials is None, "whose is taken, neither can know"
        assert connection.taken[0] is staged[taken][1]
        with pytest.raises(ApplicationMasterUnreachable, match="more than once"):
            Application(connection, APP, am_timeout=0).secrets()
        starts(connection)
        assert controls(connection)

    @pytest.mark.parametrize("failing", ["first", "second"])
    def test_one_that_fails_leaves_the_others_files(self, connection, monkeypatch, failing):
        send = connection.bridge.submit

        def fail(submission):
            connection.bridge.submit = send
            raise ClusterUnavailable("refused")

        def meanwhile():
            if failing == "second":
                connection.bridge.submit = fail
                with pytest.raises(ClusterUnavailable):
                    submit(connection)
            else:
                submit(connection)
                connection.api.says, connection.bridge.submit = [None], fail

        before_its_submission(connection, monkeypatch, meanwhile)
        if failing == "second":
            assert submit(connection).credentials is not None, "nothing of the other is left"
        else:
            with pytest.raises(ClusterUnavailable):
                submit(connection)
            starts(connection)
        assert promised(connection)
        assert controls(connection)

    def test_a_rejection_takes_nothing_from_one_that_runs(self, connection, monkeypatch):
        submit(connection)
        connection.api.says = ["RUNNING"]
        whole = connection.paths.staging(APP)
        handing_over.undo(connection, APP, SubmissionRejected("too large"), whole)
        assert promised(connection)


class TestAnAnswerThatIsLost:
    def lost(self, connection, *says, monkeypatch, patience=60.0):
        monkeypatch.setattr(handing_over, "_TAKEOVER_SECONDS", patience)
        connection.api = ResourceManager(*says)
        sent = []

        def lose(submission):
            sent.append(submission)
            raise SubmissionUncertain("the answer broke off", app_id=APP)

        connection.bridge = SimpleNamespace(submit=lose)
        connection.session = SimpleNamespace(addresses=("http://rm:8088",))
        return lambda: handing_over.hand_over(connection, SimpleNamespace(application_id=APP), False), sent

    def test_one_resource_manager_that_starts_again_is_waited_for(self, connection, monkeypatch):
        away = ClusterUnavailable("connection refused")
        hand_over, sent = self.lost(connection, away, away, "ACCEPTED", monkeypatch=monkeypatch)
        hand_over()
        assert len(sent) == 1

    @pytest.mark.parametrize("why", [ClusterUnavailable("connection refused"), AuthenticationFailed("ticket expired")])
    def test_the_error_names_the_id_and_the_way_out(self, connection, monkeypatch, why):
        hand_over, sent = self.lost(connection, why, monkeypatch=monkeypatch, patience=0)
        with pytest.raises(SubmissionUncertain) as caught:
            hand_over()
        assert caught.value.app_id == APP
        for words in ("is unknown", "the answer broke off", str(why), f"knit status {APP}", f"app_id='{APP}'"):
            assert words in str(caught.value)
        assert len(sent) == 1

    def test_the_error_names_the_id_where_it_goes_while_looked_for(self, connection, monkeypatch):
        hand_over, _ = self.lost(connection, None, ClusterUnavailable("refused"), monkeypatch=monkeypatch, patience=0)
        with pytest.raises(SubmissionUncertain, match=APP):
            hand_over()

    def test_a_login_that_ends_after_the_submission_leaves_it_uncertain(self):
        api = SimpleNamespace(
            status=ResourceManager(AuthenticationFailed("ticket expired")).status,
            session=SimpleNamespace(request=lambda *_, **__: SimpleNamespace(status=202)),
            user="alice",
        )
        bridge = RestBridge.__new__(RestBridge)
        bridge._api, bridge._user = api, None
        bridge._post(APP, {})
        with pytest.raises(SubmissionUncertain) as caught:
            bridge._await_accepted(APP, 0.0)
        assert caught.value.app_id == APP
        assert isinstance(caught.value.__cause__, KnitError)
