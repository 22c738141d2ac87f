"""Which CAs are trusted, out of stores that Java's own keytool made."""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

import pytest

from knit_provider.localcluster.tls import Authority
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.tls import trust_of
from knit_provider.yarn.tls.stores import certificates_in, jks_of
from knit_provider.yarn.tls.trust import java_properties

PASSWORD = "truststore secret"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Corporate CA")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def keytool(*arguments: object) -> str:
    command = shutil.which("keytool")
    assert command, "a JDK is missing"
    done = subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def store(folder: Path, authority: Authority, kind: str) -> Path:
    """A truststore with the CA and, so that there is more to it, a key."""
    pem, path = folder / "ca.pem", folder / f"truststore.{kind}"
    pem.write_text(authority.pem)
    common = ("-keystore", path, "-storetype", kind, "-storepass", PASSWORD)
    keytool("-importcert", "-noprompt", "-alias", "corporate", "-file", pem, *common)
    keytool("-genkeypair", "-alias", "own", "-keyalg", "EC", "-dname", "CN=own", "-keypass", PASSWORD, *common)
    return path


def conf_folder(folder: Path, **client: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "core-site.xml").write_text("<configuration/>")
    properties = "".join(
        f"<property><name>ssl.client.truststore.{name}</name><value>{value}</value></property>"
        for name, value in client.items()
    )
    (folder / "ssl-client.xml").write_text(f"<configuration>{properties}</configuration>")
    return folder


@pytest.mark.parametrize("kind", ["jks", "pkcs12"])
def test_what_keytool_wrote(tmp_path: Path, authority: Authority, kind: str) -> None:
    path = store(tmp_path, authority, kind)
    assert authority.certificate in certificates_in(path, PASSWORD)
    folder = conf_folder(tmp_path / "conf", location=path, password=PASSWORD)
    trust = trust_of(HadoopConf.load(hadoop_conf_dir=folder), secure=True)
    assert authority.pem in (trust.pem or "")
    assert str(path) in trust.source
    assert PASSWORD not in repr(trust)
    with pytest.raises(ConfigurationError, match="password"):
        certificates_in(path, "wrong")


def test_what_java_reads_of_ours(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "ours.jks"
    path.write_bytes(jks_of([authority.certificate], PASSWORD))
    listed = keytool("-list", "-v", "-keystore", path, "-storepass", PASSWORD)
    assert "Owner: CN=Corporate CA" in listed
    assert "trustedCertEntry" in listed


def test_the_first_that_is_there_counts(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    store_path = tmp_path / "store.jks"
    store_path.write_bytes(jks_of([authority.certificate], PASSWORD))
    folder = conf_folder(tmp_path / "conf", location=store_path)
    given = Authority("Given")
    assert trust_of(HadoopConf.load(hadoop_conf_dir=folder), secure=True).pem == authority.pem
    assert trust_of(HadoopConf.load(hadoop_conf_dir=folder, ca_bundle=given.pem)).pem == given.pem
    assert trust_of(HadoopConf.load(autodetect=False)).pem is None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/somewhere.pem")
    trust = trust_of(HadoopConf.load(hadoop_conf_dir=folder), secure=True)
    assert (trust.pem, trust.source) == (None, "REQUESTS_CA_BUNDLE=/somewhere.pem")


def test_a_truststore_that_cannot_be_read_is_a_warning(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "bad"
    for content, said in (
        (None, "No such file"),
        (b"\xce\xce\xce\xce" + bytes(40), "JCEKS"),
        (jks_of([authority.certificate], PASSWORD)[:-40], "damaged"),
        (b"\x30\x82" + bytes(40), "PKCS12"),
        (b"hello", "none of PEM, JKS and PKCS12"),
    ):
        bad.unlink(missing_ok=True)
        if content is not None:
            bad.write_bytes(content)
        folder = conf_folder(tmp_path / "conf", location=bad)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            trust = trust_of(HadoopConf.load(hadoop_conf_dir=folder), secure=True)
        assert trust.pem is None
        assert said in caplog.text
        with pytest.raises(ConfigurationError):
            trust_of(HadoopConf.load(autodetect=False, ca_bundle=str(bad)))


def test_a_jvm_is_given_a_store_of_the_same(tmp_path: Path, authority: Authority) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    trust = trust_of(HadoopConf.load(autodetect=False, ca_bundle=authority.pem))
    for _ in range(2):
        properties = java_properties(trust, environ)
        path = properties["ssl.client.truststore.location"]
        assert certificates_in(path, properties["ssl.client.truststore.password"]) == [authority.certificate]
    assert len(list(Path(path).parent.iterdir())) == 1
    assert java_properties(trust_of(HadoopConf.load(autodetect=False)), environ) == {}
