"""What is shipped arrives in a real container as it should: names, modes, links, environments, the user's own text."""

from __future__ import annotations

import json
import os
import stat
import tarfile
import time
import uuid
import zipfile

import pytest
import requests

from knit_provider.yarn.bridge.base import LocalResource
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import PermissionDenied
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.files.transfer import Transfer
from knit_provider.yarn.files.webhdfs import WebHDFS
from knit_provider.yarn.spec import ApplicationSpec
from knit_provider.yarn.submission.scripts import RUN_SCRIPT, service_script
from knit_provider.yarn.submission.staging import Paths, open_base, write_staging
from knit_provider.yarn.submission.sweep import prune, sweep

USER = "alice"
END = ("FINISHED", "FAILED", "KILLED")


@pytest.fixture(scope="module")
def conf(cluster):
    return HadoopConf.load(hadoop_conf_dir=str(cluster.conf_dir))


@pytest.fixture(scope="module")
def files(conf):
    serving = WebHDFS(conf.default_fs, NameNodes(conf.namenode_web_addresses(), USER))
    yield serving
    serving.close()


@pytest.fixture
def paths(files):
    """Folders that only this test uses, so that nothing is in the cache and nobody else is in the way."""
    home = f"{files.uri_home()}/test-{uuid.uuid4().hex}"
    yield Paths.of(files, "rm-of-this-test", home)
    files.delete(home, recursive=True)


class Cluster:
    """Just enough of YARN's REST interface to run one container without an ApplicationMaster."""

    def __init__(self, address):
        self.address = address
        self.http = requests.Session()
        self.http.params = {"user.name": USER}

    def new_application(self):
        return self.http.post(f"{self.address}/ws/v1/cluster/apps/new-application").json()["application-id"]

    def run(self, app_id, resources):
        entries = [
            {
                "key": link,
                "value": {
                    "resource": resource.uri,
                    "type": resource.type,
                    "visibility": resource.visibility,
                    "size": resource.size,
                    "timestamp": resource.timestamp,
                },
            }
            for link, resource in resources.items()
        ]
        submission = {
            "application-id": app_id,
            "application-name": "test-transfer",
            "max-app-attempts": 1,
            "resource": {"memory": 128, "vCores": 1},
            "am-container-spec": {
                "local-resources": {"entry": entries},
                "commands": {"command": f"exec /bin/bash ./{RUN_SCRIPT} 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr"},
                "environment": {"entry": [{"key": "KNIT_INDEX", "value": "0"}]},
            },
        }
        answer = self.http.post(f"{self.address}/ws/v1/cluster/apps", json=submission)
        assert answer.status_code == 202, answer.text
        while True:
            report = self.http.get(f"{self.address}/ws/v1/cluster/apps/{app_id}").json()["app"]
            if report["state"] in END:
                return report["diagnostics"]
            time.sleep(0.2)


@pytest.fixture
def run(conf, files, paths, tmp_path):
    """Ship a service and run it in one container; gives what its Python wrote to the file in $OUT."""

    def run(**fields):
        out = tmp_path / f"out-{uuid.uuid4().hex}"
        spec = ApplicationSpec.from_dict({"services": {"w": {"resources": {"memory": 128}} | fields}})
        with Transfer(files, paths) as transfer:
            shipped = transfer.ship(spec)
        yarn = Cluster(conf.rm_web_addresses()[0])
        app_id = yarn.new_application()
        script = service_script(spec.services["w"]).replace(b"@OUT@", os.fsencode(out))
        staged = write_staging(
            files, open_base(files, paths, USER), app_id, {"run-w.sh": script}, {"control.json": b"s"}
        )
        assert staged.refusal == ""
        status = staged.files["run-w.sh"]
        resources = dict(shipped.services["w"])
        resources[RUN_SCRIPT] = LocalResource(status.path, status.length, status.modified_ms)
        diagnostics = yarn.run(app_id, resources)
        assert out.exists(), diagnostics
        return out.read_text("utf-8", "surrogateescape")

    return run


LOOK = """
import json, os, stat, sys
found = {}
for top in sys.argv[2:]:
    for path in [top] + [os.path.join(f, n) for f, ds, ns in os.walk(top) for n in ds + ns]:
        status = os.lstat(path)
        inside = path != top and stat.S_ISLNK(status.st_mode)
        found[path] = {
            "link": os.readlink(path) if inside else None,
            "mode": None if inside else stat.S_IMODE(os.stat(path).st_mode),
            "text": open(path).read() if not inside and os.path.isfile(path) else None,
        }
open(sys.argv[1], "w").write(json.dumps(found))
"""


def look_at(run, *names, **fields):
    return json.loads(run(argv=["python3", "-c", LOOK, "@OUT@", *names], **fields))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "tree"
    (root / "empty").mkdir(parents=True)
    (root / "plain").write_text("plain")
    (root / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("plain")
    return root


def test_a_folder_arrives_with_links_empty_folders_and_programs_that_run(run, folder):
    found = look_at(run, "tree", files=[str(folder)])
    assert set(found) == {"tree", "tree/empty", "tree/plain", "tree/run.sh", "tree/link"}
    assert found["tree/link"]["link"] == "plain"
    assert found["tree/plain"]["text"] == "plain"
    assert found["tree/run.sh"]["mode"] & stat.S_IXUSR
    assert stat.S_ISDIR(os.stat(folder).st_mode)


def zip_of(folder, path):
    """A .zip with symbolic links, as ``zip -y`` makes it."""
    with zipfile.ZipFile(path, "w") as archive:
        for entry in sorted(folder.iterdir()):
            if entry.is_symlink():
                info = zipfile.ZipInfo(entry.name)
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(info, os.readlink(entry))
            else:
                archive.write(entry, entry.name)


def test_every_kind_of_archive_is_unpacked_under_its_name_with_its_links(run, folder, tmp_path):
    names = ["a.tar", "a.tar.gz", "a.tgz", "b.TGZ", "a.zip"]
    zip_of(folder, tmp_path / "a.zip")
    for name in names[:-1]:
        with tarfile.open(tmp_path / name, "w" if name == "a.tar" else "w:gz") as archive:
            archive.add(folder, ".")
    found = look_at(run, *names, files=[str(tmp_path / name) for name in names])
    for name in names:
        assert found[f"{name}/link"]["link"] == "plain", name
        assert found[f"{name}/plain"]["text"] == "plain", name
        assert found[f"{name}/run.sh"]["mode"] & stat.S_IXUSR, name


ODD_NAMES = [
    *["a b", "it's", "é 日本", "a;b&c|d", "(x) [y] {z}", "#x", "-n", "100%", "a*?b", "{{X}}", "<LOG_DIR>", "~x", "!x"],
    *["a=b,c", "sub/folder/é.txt", "sub/a b", "a+b@c"],
]


def test_files_keep_their_names_and_one_file_may_have_several(run, tmp_path):
    (tmp_path / "source").write_text("content")
    names = [f"./{name}" for name in ODD_NAMES]
    found = look_at(run, *names, files=dict.fromkeys(ODD_NAMES, str(tmp_path / "source")))
    assert {name: entry["text"] for name, entry in found.items()} == dict.fromkeys(names, "content")


def test_a_file_is_private_readable_and_executable_for_its_user(run, tmp_path):
    for name, mode in (("plain", 0o644), ("program", 0o755)):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(mode)
    found = look_at(run, "plain", "program", files=[str(tmp_path / "plain"), str(tmp_path / "program")])
    assert {path: oct(entry["mode"]) for path, entry in found.items()} == {"plain": "0o500", "program": "0o500"}


def test_a_remote_file_arrives(run, files, paths):
    files.write_many(f"{paths.base}/data", {"a b.csv": b"remote"})
    found = look_at(run, "a b.csv", files=[f"{paths.base}/data/a b.csv"])
    assert found["a b.csv"]["text"] == "remote"


@pytest.mark.parametrize(("kind", "prefix"), [("zip", ""), ("tar.gz", "dev/")])
def test_an_environment_is_activated(run, tmp_path, prefix, kind):
    path = tmp_path / f"dev.{kind}"
    program = '#!/bin/sh\nexec /usr/bin/env python3 "$@"\n'
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{prefix}bin/python", program)
    else:
        (tmp_path / "python").write_text(program)
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "python", f"{prefix}bin/python")
    said = run(script='echo "$PYTHON_BIN $CONDA_PREFIX $(command -v python) $HOME $PWD" > @OUT@', env=str(path)).split()
    assert said[3] == said[4]
    home = os.path.normpath(f"{said[4]}/knit-env/{prefix}")
    assert [os.path.normpath(path) for path in said[:3]] == [f"{home}/bin/python", home, f"{home}/bin/python"]


def test_the_users_text_reaches_the_container_as_it_is(run):
    odd = [
        "{{X}}",
        "<LOG_DIR>",
        "<CPS>",
        "$HOME",
        "`id`",
        "a\"b'c",
        "line\nline",
        "é😀",
        "\x01\x7f",
        "",
        " ",
        "x" * 100_000,
    ]
    dump = "import json, os, sys; open(sys.argv[1], 'w').write(json.dumps([sys.argv[2:], os.environ['ODD']]))"
    found = json.loads(run(argv=["python3", "-c", dump, "@OUT@", *odd], envvars={"ODD": "".join(odd[:-1])}))
    assert found == [odd, "".join(odd[:-1])]


def test_a_command_of_a_megabyte_runs(run):
    assert run(script=f"value='{'x' * 1_000_000}'\necho ${{#value}} > @OUT@") == "1000000\n"


def test_staging_is_closed_to_others(conf, files, paths):
    app_id = "application_1700000000000_0001"
    write_staging(files, open_base(files, paths, USER), app_id, {"spec.json": b"{}"}, {"control.json": b"secret"})
    bob = WebHDFS(conf.default_fs, NameNodes(conf.namenode_web_addresses(), "bob"))
    with pytest.raises(PermissionDenied):
        bob.read(f"{paths.staging(app_id)}/control.json")
    assert files.status(f"{paths.staging(app_id)}/control.json").permission == "600"
    assert files.status(paths.staging(app_id)).permission == "700"


def test_a_base_that_others_may_write_to_is_refused(files, paths):
    files.mkdirs(paths.base, "777")
    with pytest.raises(PermissionDenied, match="chmod 700"):
        open_base(files, paths, USER)


def spec_with(file):
    service = {"resources": {"memory": 1}, "script": "x", "files": [str(file)]}
    return ApplicationSpec.from_dict({"services": {"w": service}})


def test_an_old_upload_that_is_found_again_is_spared_for_the_submission(files, paths, tmp_path):
    (tmp_path / "data").write_text("x")
    spec = spec_with(tmp_path / "data")
    with Transfer(files, paths) as transfer:
        uri = transfer.ship(spec).services["w"]["data"].uri
        long_ago = int((time.time() - 40 * 86400) * 1000)
        for path in (uri, uri.rpartition("/")[0]):
            files._set_modified(files._path(path), long_ago)
        again = transfer.ship(spec)
    assert (again.uploaded, again.services["w"]["data"].timestamp) == ((), long_ago)
    assert prune(files, paths, lambda _: None, cache_age=0).cached == ()
    in_four_hours = time.time() + 4 * 3600
    assert len(prune(files, paths, lambda _: None, cache_age=0, now=lambda: in_four_hours).cached) == 1
    assert files.status(uri) is None


def test_ended_applications_are_swept_and_old_uploads_pruned(files, paths, tmp_path):
    (tmp_path / "data").write_text("x")
    spec = spec_with(tmp_path / "data")
    with Transfer(files, paths) as transfer:
        uri = transfer.ship(spec).services["w"]["data"].uri
    ended, live = "application_1700000000000_0001", "application_1700000000000_0002"
    base = open_base(files, paths, USER)
    document = {"services": [{"local_resources": {"data": {"uri": uri}}}]}
    for app_id in (ended, live):
        write_staging(files, base, app_id, {"spec.json": json.dumps(document).encode()})
    assert sweep(files, paths, lambda app_id: app_id == ended) == [ended]
    later = time.time() + 40 * 86400
    assert prune(files, paths, lambda _: False, now=lambda: later).cached == ()
    assert files.status(uri) is not None
    result = prune(files, paths, lambda _: True, now=lambda: later)
    assert (result.applications, len(result.cached)) == ((live,), 1)
    assert files.status(uri) is None
