"""Environments in HDFS: a look-up costs one call, and use and removal keep out of each other's way."""

from __future__ import annotations

import json
import tarfile
import threading
from types import SimpleNamespace

import pytest

from knit_provider.environments.cache import list_published, prune, publish
from knit_provider.environments.provide import packed_archive
from knit_provider.yarn.errors import ApplicationNotFound, ConfigurationError, KnitError
from knit_provider.yarn.files import archives, use_marks
from knit_provider.yarn.files.env_cache import EnvironmentCache, is_public
from knit_provider.yarn.files.transfer import Transfer
from knit_provider.yarn.spec import ApplicationSpec
from knit_provider.yarn.submission.staging import Paths

HOUR = 3600.0
DAY = 24 * HOUR


class Api:
    """Says of every application that it runs, but for those that have ended."""

    def __init__(self):
        self.ended = set()

    def status(self, app_id):
        if app_id.endswith("9999"):
            raise ApplicationNotFound(app_id)
        return {"state": "FINISHED" if app_id in self.ended else "RUNNING"}


@pytest.fixture
def connection(files):
    conf = SimpleNamespace(short=lambda name: 3)
    return SimpleNamespace(files=files, paths=Paths.of(files, "rm"), user="alice", conf=conf, api=Api())


@pytest.fixture
def archive(tmp_path):
    """Makes a packed environment; what is in it is up to its name."""

    def make(name, **content):
        folder = tmp_path / name
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").write_text(name)
        for path, text in content.items():
            (folder / path).write_text(text)
        archives.pack_folder(folder, tmp_path / f"{name}.tar.gz")
        return str(tmp_path / f"{name}.tar.gz")

    return make


@pytest.fixture
def used_at(files, connection):
    """Sets when an environment was used last, in seconds since the epoch."""

    def age(env, moment):
        for path in [p for p in files.nodes if p.startswith(f"{connection.paths.envs}/{env.digest}/")]:
            files.aged(path, int(moment * 1000))

    return age


def put(connection, path, **options):
    return publish(packed_archive(path), connection, **options)


def stage(connection, uri, number=1, rm="rm"):
    app_id = f"application_1700000000000_{number:04}"
    spec = {"services": [{"local_resources": {"knit-env": {"uri": uri}}}]}
    folder = Paths(connection.paths.base, rm).staging(app_id)
    connection.files.write_many(folder, {"spec.json": json.dumps(spec).encode()})
    return app_id


NOW = 2_000_000_000.0


def now():
    return NOW


def names(envs):
    return sorted(env.name for env in envs)


def test_what_is_published_is_listed(connection, archive, files):
    path = archive("dev")
    made = put(connection, path, replication=2)
    assert (made.uploaded, made.uri) == (True, f"{connection.paths.envs}/{made.digest}/dev.tar.gz")
    assert ("put", made.uri, 2) in files.calls
    (found,) = list_published(connection)
    assert set(found.to_dict()) == {"name", "digest", "size", "created", "last_used", "uri"}
    assert (found.name, found.digest, found.size, found.uri) == ("dev", made.digest, made.size, made.uri)
    assert files.status(made.uri).permission == "600"
    assert put(connection, path).uploaded is False


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_large_one_is_looked_through_on_its_way_and_gets_its_name_only_if_all_is_well(
    connection, tmp_path, files, monkeypatch, ending
):
    monkeypatch.setattr("knit_provider.yarn.files.transfer._LARGE", 1)
    good, bad = tmp_path / f"good{ending}", tmp_path / f"bad{ending}"
    for path, name in ((good, "bin/tool"), (bad, "../bin/tool")):
        with tarfile.open(path, f"w:{ending[5:]}") as archive:
            archive.addfile(tarfile.TarInfo(name))
    assert put(connection, str(good)).uploaded
    with pytest.raises(ConfigurationError, match="outside its folder"):
        put(connection, str(bad))
    assert names(list_published(connection)) == ["good"]


def test_one_that_was_used_within_the_hour_costs_one_look(connection, archive, files, used_at):
    made = put(connection, archive("dev"))
    cache = EnvironmentCache(files, connection.paths.envs, now)
    used_at(made, NOW - HOUR / 2)
    files.calls.clear()
    assert cache.use(made.digest).archive.path == made.uri
    assert [call[0] for call in files.calls] == ["list"]
    used_at(made, NOW - 2 * HOUR)
    assert cache.use(made.digest).archive.path == made.uri
    assert "touch" in [call[0] for call in files.calls]


def test_pruning_goes_by_age_and_by_size_and_the_longest_unused_go_first(connection, archive, used_at):
    envs = {name: put(connection, archive(name)) for name in ("a", "b", "c", "d")}
    for days, env in enumerate(envs.values(), start=1):
        used_at(env, NOW - days * DAY)
    assert names(prune(connection, 3.5 * DAY, now=now).removed) == ["d"]
    keep = envs["a"].size + envs["b"].size
    done = prune(connection, None, keep, now=now)
    assert (names(done.removed), names(done.kept)) == (["c"], ["a", "b"])
    assert names(list_published(connection)) == ["a", "b"]


def test_pruning_spares_what_applications_of_any_cluster_use_and_what_was_used_just_now(connection, archive, used_at):
    envs = {name: put(connection, archive(name)) for name in ("here", "elsewhere", "ended", "just-now")}
    for name, env in envs.items():
        used_at(env, NOW - (HOUR if name == "just-now" else 99 * DAY))
    stage(connection, envs["here"].uri)
    stage(connection, envs["elsewhere"].uri, rm="other-rm")
    connection.api.ended.add(stage(connection, envs["ended"].uri, 2))
    done = prune(connection, 0, now=now)
    assert (names(done.removed), names(done.in_use)) == (["ended"], ["elsewhere", "here", "just-now"])


def test_nothing_is_pruned_while_it_is_not_known_what_is_in_use(connection, archive, used_at, files):
    env = put(connection, archive("dev"))
    used_at(env, NOW - 99 * DAY)
    app_id = stage(connection, env.uri)
    files.write_many(connection.paths.staging(app_id), {"spec.json": b"{"}, overwrite=True)
    with pytest.raises(KnitError, match="cannot be read"):
        prune(connection, 0, now=now)
    assert names(list_published(connection)) == ["dev"]


def test_a_use_between_a_removers_two_looks_saves_the_environment(connection, archive, used_at, files, monkeypatch):
    env = put(connection, archive("dev"))
    used_at(env, NOW - 99 * DAY)
    user = EnvironmentCache(files, connection.paths.envs, now)
    condemn = EnvironmentCache.condemn

    def condemn_while_somebody_submits(self, digest):
        files.touch(f"{self.envs}/{digest}/last-use")
        used_at(env, NOW)
        return condemn(self, digest)

    monkeypatch.setattr(EnvironmentCache, "condemn", condemn_while_somebody_submits)
    assert prune(connection, 0, now=now).in_use
    assert user.use(env.digest).archive.path == env.uri
    assert files.status(f"{connection.paths.envs}/.condemned/{env.digest}") is None


@pytest.mark.parametrize("removed", [True, False])
def test_a_user_who_meets_a_remover_waits_for_what_becomes_of_it(connection, archive, used_at, files, removed):
    env = put(connection, archive("dev"))
    used_at(env, NOW - 99 * DAY)
    remover, user = (EnvironmentCache(files, connection.paths.envs, now) for _ in range(2))
    assert remover.condemn(env.digest)
    files.aged(f"{connection.paths.envs}/.condemned/{env.digest}", int(NOW * 1000))
    assert not EnvironmentCache(files, connection.paths.envs, now).condemn(env.digest), "one at a time"
    found = []
    waiting = threading.Thread(target=lambda: found.append(user.use(env.digest)))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    if removed:
        files.delete(f"{connection.paths.envs}/{env.digest}", recursive=True)
    remover.pardon(env.digest)
    waiting.join(10)
    assert (found[0] is None) is removed


def test_a_remover_knows_his_own_word_when_its_answer_was_lost(connection, archive, used_at, files, monkeypatch):
    env = put(connection, archive("dev"))
    used_at(env, NOW - 99 * DAY)
    write_many = files.write_many

    def write_twice(directory, contents, **options):
        write_many(directory, contents, **options)
        return write_many(directory, contents, **options)

    monkeypatch.setattr(files, "write_many", write_twice)
    assert names(prune(connection, 0, now=now).removed) == ["dev"]
    assert files.status(f"{connection.paths.envs}/.condemned/{env.digest}") is None


def test_a_remover_who_died_does_not_keep_anybody_waiting_for_ever(connection, archive, used_at, files, monkeypatch):
    env = put(connection, archive("dev"))
    used_at(env, NOW - 99 * DAY)
    cache = EnvironmentCache(files, connection.paths.envs, now)
    assert cache.condemn(env.digest)
    monkeypatch.setattr(use_marks, "_ABANDONED_SECONDS", 0.3)
    assert cache.use(env.digest) is not None


def test_what_an_upload_left_behind_goes_after_a_day(connection, files):
    files.write_many(f"{connection.paths.envs}/.tmp-1", {"x": b""})
    files.write_many(f"{connection.paths.envs}/{'a' * 64}", {"environment.json": b"{}"})
    assert list_published(connection) == []
    prune(connection, now=lambda: 3600.0)
    assert len(files.list(connection.paths.envs)) >= 2
    prune(connection, now=lambda: 2 * DAY)
    assert [s for s in files.list(connection.paths.envs) if not s.path.endswith(".condemned")] == []


def test_a_public_one_is_open_up_to_the_root_and_shared_by_all_users_of_a_node(connection, archive, files):
    files.mkdirs(files.uri_home(), "700")
    env = archive("dev")
    made = put(connection, env, public=True)
    assert is_public(files, files.status(made.uri))
    assert files.status(connection.paths.base).permission == "711"
    spec = ApplicationSpec.from_dict({"services": {"w": {"resources": {"memory": 1}, "script": "x", "env": env}}})
    with Transfer(files, connection.paths) as transfer:
        assert transfer.ship(spec).services["w"]["knit-env"].visibility == "PUBLIC"
        files.set_mode(files.uri_home(), "700")
        assert transfer.ship(spec).services["w"]["knit-env"].visibility == "PRIVATE"
    assert prune(connection, 0, now=now).kept, "others may use it, which nobody here can know"
    assert prune(connection, 0, public=True, now=now).removed


def test_on_an_object_store_nothing_is_taken_for_public(connection, archive, object_store):
    connection.files, connection.paths = object_store, Paths.of(object_store, "rm")
    made = put(connection, archive("dev"))
    assert not made.public
    assert not is_public(object_store, object_store.status(made.uri))
    assert names(prune(connection, 0, now=now).removed) == ["dev"]


KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA" * 4 + "\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".netrc", "machine x login y password z"),
        ("pip.conf", "[global]\n"),
        ("id_ed25519", "x"),
        ("server.pem", KEY),
        ("direct_url.json", '{"url": "https://me:secret@example.com/x.whl"}'),
        ("settings.py", "key = 'AKIAIOSFODNN7EXAMPLE'"),
    ],
)
def test_an_archive_with_secrets_is_not_made_public(connection, archive, files, path, text):
    env = archive("dev", **{path: text})
    with pytest.raises(ConfigurationError, match=path):
        put(connection, env, public=True)
    assert not [call for call in files.calls if call[0] == "put"]
    assert put(connection, env, public=True, allow_secrets=[path]).public


def test_code_that_reads_keys_is_no_key(connection, archive):
    code = "if b'-----BEGIN RSA PRIVATE KEY-----' in data: url = 'https://user:password@host/'"
    assert put(connection, archive("dev", **{"keys.py": code}), public=True).public
