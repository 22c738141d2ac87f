"""Configuration files of any content: read, or refused by an error that names the file or the property."""

from __future__ import annotations

import tempfile
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ConfigurationError
from tests.fuzz.budget import refusal, tries
from tests.fuzz.corpus import files

name = st.sampled_from(
    [
        *("fs.defaultFS", "yarn.resourcemanager.ha.enabled", "yarn.resourcemanager.ha.rm-ids", "dfs.nameservices"),
        *("yarn.resourcemanager.hostname", "yarn.resourcemanager.webapp.address", "yarn.resourcemanager.address.a"),
        *("dfs.ha.namenodes.ns", "dfs.namenode.http-address.ns.a", "hadoop.security.authentication", "a", "b", "c"),
    ]
)
word = st.sampled_from(
    [
        *("hdfs://", "ns", "a", ",", "${a}", "${b}", "${c}", "${", "}", ":", "8020", "99999999", "[::1]", "true"),
        *("kerberos", "/", " ", "\n", "é", "0.0.0.0", "${env.X-", "${user.name}", "http://["),
    ]
)
value = st.lists(word, max_size=6).map("".join)
href = st.sampled_from(["core-site.xml", "../x.xml", "/etc/hosts", "http://[", "file:///x%00", "a" * 3000, "~", ""])
element = st.one_of(
    st.tuples(name, value).map(lambda p: f"<property><name>{p[0]}</name><value>{escape(p[1])}</value></property>"),
    href.map(lambda h: f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href={quoteattr(h)}/>'),
    st.sampled_from(["<final>true</final>", "<property/>", "<!-- x -->", "<?x y?>", "&e;", "<a>", "</a>", "text"]),
)
document = st.one_of(
    st.lists(element, max_size=6).map(lambda parts: f"<configuration>{''.join(parts)}</configuration>".encode()),
    st.text("<>/!?&;[]\"'= abcENTITYDOCP%", max_size=80).map(str.encode),
    st.binary(max_size=80),
)


def read_everything(content: bytes) -> None:
    """Look at all that a client looks at."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "core-site.xml").write_bytes(content)
        conf = HadoopConf.load(hadoop_conf_dir=folder, environ={})
        for look in (
            *(conf.set_properties, conf.rm_web_addresses, conf.namenode_web_addresses, conf.rm_identity),
            *(conf.beyond_files, lambda: conf.is_secure, lambda: conf.default_fs, lambda: dict(conf)),
        ):
            look()


@tries(80)
@given(document)
def test_any_file(content: bytes) -> None:
    refused = refusal(lambda: read_everything(content), ConfigurationError)
    assert refused is None or len(str(refused)) < 20_000


@files("site_xml")
def test_the_corpus(path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_everything(path.read_bytes())
    # The file, or the property and what it says.
    assert any(name in str(caught.value) for name in ("core-site.xml", "fs.defaultFS", "b = ", "hdfs://h:99999999"))
    assert "root:" not in str(caught.value)
