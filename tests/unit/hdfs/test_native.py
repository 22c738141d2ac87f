"""What hdfs-native is taken for, what its errors mean, and the deadline that it is called under."""

from __future__ import annotations

import threading
import time

import pytest

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, ConfigurationError, PermissionDenied
from knit_provider.yarn.files.bounded import Stalled, call_bounded
from knit_provider.yarn.files.native import NativeFiles
from knit_provider.yarn.files.native_errors import error_of, is_of_datanodes
from knit_provider.yarn.files.port import RemoteFileExists, RemoteFileNotFound


def conf_of(**pars):
    return HadoopConf.load(autodetect=False, pars={"fs.defaultFS": "hdfs://nn:8020", **pars}, environ={})


SECURE = {"hadoop.security.authentication": "kerberos"}


def test_a_simple_user_is_served_if_the_environment_says_so(monkeypatch):
    monkeypatch.setenv("HADOOP_USER_NAME", "alice")
    assert NativeFiles.why_not(conf_of(), "alice") is None
    assert "alice and not bob" in NativeFiles.why_not(conf_of(), "bob")
    assert "s3a" in NativeFiles.why_not(conf_of(), "alice", root="s3a://bucket")


def test_the_systems_user_is_the_one_of_the_process(monkeypatch):
    monkeypatch.delenv("HADOOP_USER_NAME", raising=False)
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.setenv("LOGNAME", "somebody")
    assert NativeFiles.why_not(conf_of(), "somebody") is not None


def test_on_a_secure_cluster_there_has_to_be_a_ticket_or_a_keytab(monkeypatch, tmp_path):
    conf = conf_of(**SECURE)
    cache = tmp_path / "cache"
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{cache}")
    assert "kinit" in NativeFiles.why_not(conf, "alice")
    cache.write_bytes(b"")
    assert NativeFiles.why_not(conf, "alice") is None
    assert "nothing.keytab" in NativeFiles.why_not(conf, "alice", keytab=str(tmp_path / "nothing.keytab"))
    assert "other" in NativeFiles.why_not(conf, "alice", ccache=str(tmp_path / "other"))
    monkeypatch.setenv("KRB5CCNAME", "KCM:1000")
    assert NativeFiles.why_not(conf, "alice") is None
    monkeypatch.setenv("HADOOP_PROXY_USER", "bob")
    assert "bob" in NativeFiles.why_not(conf, "alice")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (FileNotFoundError("/x"), RemoteFileNotFound),
        (FileExistsError("/x for client 1.2.3.4 already exists\n\tat org.apache"), RemoteFileExists),
        (
            RuntimeError(r'RPCError("org.apache.hadoop.security.AccessControlException", "no: \"/x\"\n\tat a.b")'),
            PermissionDenied,
        ),
        (
            RuntimeError(r'RPCError("org.apache.hadoop.hdfs.protocol.NSQuotaExceededException", "too many\n\tat")'),
            ConfigurationError,
        ),
        (
            RuntimeError(r'FatalRPCError("org.apache.hadoop.ipc.StandbyException", "state standby\n\tat")'),
            ClusterUnavailable,
        ),
        (RuntimeError('GSSAPIError(MajorCode, "No credentials cache found")'), AuthenticationFailed),
        (OSError("Connection refused (os error 111)"), ClusterUnavailable),
    ],
)
def test_errors_are_translated_to_one_line(raised, expected):
    error = error_of(raised, "/x", "hdfs://nn:8020")
    assert type(error) is expected
    assert "\tat" not in str(error)
    assert "\\" not in str(error)


def test_only_what_failed_on_the_way_to_a_datanode_is_tried_another_way():
    assert is_of_datanodes(OSError("Connection refused"))
    assert is_of_datanodes(RuntimeError('DataTransferError("All DataNodes failed: []")'))
    assert not is_of_datanodes(RuntimeError('RPCError("x.AccessControlException", "DataNode")'))
    assert not is_of_datanodes(FileNotFoundError("/x"))


def test_a_call_that_stands_still_is_given_up_and_ends_at_its_next_beat():
    let_go, ended = threading.Event(), threading.Event()

    def stuck(pulse):
        let_go.wait(30)
        try:
            pulse.beat()
        except Stalled:
            ended.set()

    with pytest.raises(Stalled):
        call_bounded(stuck, 0.1)
    let_go.set()
    assert ended.wait(30)


def test_a_call_that_gets_on_may_take_longer_than_its_silence():
    def slow(pulse):
        for _ in range(8):
            time.sleep(0.05)
            pulse.beat()
        pulse.allow(30)
        time.sleep(0.3)
        return "done"

    assert call_bounded(slow, 0.25) == "done"


def test_errors_and_results_come_back():
    assert call_bounded(lambda _: 42, 5) == 42
    with pytest.raises(KeyError):
        call_bounded(lambda _: {}["x"], 5)
