from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ConfigurationError

XI = 'xmlns:xi="http://www.w3.org/2001/XInclude"'


def load(path, **kwargs) -> HadoopConf:
    return HadoopConf.load(hadoop_conf_dir=path.parent, environ={}, **kwargs)


def test_values_may_span_lines_and_hold_entities_comments_and_blanks(site):
    conf = load(
        site(
            "core-site",
            "<configuration>\n<!-- a comment -->\n<property><description>d</description>"
            "<name> a.list </name>\n<value>\n one,<!-- not this -->\n two &amp; three </value></property>"
            "<property name='by.attribute' value='v'/></configuration>",
        )
    )
    assert conf["a.list"] == "one,\n two & three"
    assert conf["by.attribute"] == "v"


def test_a_final_property_keeps_its_value(site):
    site(
        "core-site",
        "<configuration><property><name>a.b</name><value>1</value><final>true</final></property>"
        "<property><name>a.b</name><value>2</value></property>"
        "<property><name>c.d</name><value>1</value></property></configuration>",
    )
    conf = load(site("hdfs-site", {"a.b": "3", "c.d": "3"}))
    assert conf["a.b"] == "1"
    assert conf["c.d"] == "3"


def test_old_names_count_as_the_new_ones(site):
    conf = load(site("core-site", {"fs.default.name": "hdfs://old:8020"}))
    assert conf["fs.defaultFS"] == "hdfs://old:8020"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("<configuration>\n<property>\n<name>a</name>\n</configuration>", 4),
        ("<configuration>\n<property>\n<name>a & b</name>\n</property></configuration>", 3),
        ("", 1),
        ("not xml", 1),
    ],
)
def test_malformed_xml_names_file_and_line(site, content, line):
    path = site("yarn-site", content)
    with pytest.raises(ConfigurationError, match=f"line {line}") as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_page_in_place_of_a_configuration_is_named(site):
    path = site("core-site", "<html><body>Please log in</body></html>")
    with pytest.raises(ConfigurationError, match="<html>") as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_not_in_the_declared_encoding(site):
    path = site("core-site", b'<?xml version="1.0" encoding="no-such-code"?><configuration/>')
    with pytest.raises(ConfigurationError, match="core-site"):
        load(path)


def test_a_file_that_cannot_be_read_is_named(site):
    path = site("core-site", {})
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigurationError, match="core-site"):
        load(path)


def test_an_endless_file_is_not_read_to_its_end(site):
    path = site("core-site", {})
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(ConfigurationError, match="16 MiB"):
        load(path)


def test_entities_do_not_grow_into_gigabytes(site):
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    path = site(
        "core-site",
        f'<!DOCTYPE configuration [<!ENTITY l0 "ha">{laughs}]>'
        "<configuration><property><name>a.b</name><value>&l9;</value></property></configuration>",
    )
    with pytest.raises(ConfigurationError, match="entities"):
        load(path)


def test_even_a_small_entity_is_refused(site):
    path = site(
        "core-site",
        '<!DOCTYPE c [<!ENTITY x "v">]><configuration><property><name>a.b</name><value>&x;</value></property>'
        "</configuration>",
    )
    with pytest.raises(ConfigurationError, match="declares XML entities"):
        load(path)


def test_an_external_entity_reads_no_file(site, tmp_path):
    (tmp_path / "secret").write_text("canary")
    path = site(
        "core-site",
        f'<!DOCTYPE c [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
        "<configuration><property><name>a.b</name><value>&x;</value></property></configuration>",
    )
    with pytest.raises(ConfigurationError, match="entities") as caught:
        load(path)
    assert "canary" not in str(caught.value)


def test_nothing_is_fetched_for_a_document_type_or_an_include(site):
    asked = []

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/x"
        try:
            load(site("core-site", f'<!DOCTYPE configuration SYSTEM "{url}"><configuration/>'))
            with pytest.raises(ConfigurationError, match="never URLs"):
                load(site("core-site", f'<configuration {XI}><xi:include href="{url}"/></configuration>'))
        finally:
            server.shutdown()
    assert asked == []


def test_includes_are_read_in_place(site):
    site("extra", {"a.b": "included", "c.d": "included"}, directory="conf/more")
    conf = load(
        site(
            "core-site",
            f"<configuration {XI}><property><name>a.b</name><value>before</value></property>"
            '<xi:include href="more/extra.xml"/>'
            "<property><name>c.d</name><value>after</value></property></configuration>",
        )
    )
    assert conf["a.b"] == "included"
    assert conf["c.d"] == "after"
    assert conf.sources("a.b")[0].endswith("more/extra.xml")


def test_an_include_that_is_missing_takes_its_fallback(site):
    conf = load(
        site(
            "core-site",
            f'<configuration {XI}><xi:include href="none.xml"><xi:fallback>'
            "<property><name>a.b</name><value>fell back</value></property></xi:fallback></xi:include></configuration>",
        )
    )
    assert conf["a.b"] == "fell back"


def test_an_include_that_is_missing_without_fallback_is_named(site):
    path = site("core-site", f'<configuration {XI}><xi:include href="none.xml"/></configuration>')
    with pytest.raises(ConfigurationError, match=r"none\.xml"):
        load(path)


@pytest.mark.parametrize("href", ["../outside.xml", "{tmp}/outside.xml", "file://{tmp}/outside.xml", "link.xml"])
def test_an_include_from_elsewhere_is_refused(site, tmp_path, href):
    outside = site("outside", {"a.b": "stolen"}, directory=".")
    path = site("core-site", f'<configuration {XI}><xi:include href="{href.format(tmp=tmp_path)}"/></configuration>')
    (path.parent / "link.xml").symlink_to(outside)
    with pytest.raises(ConfigurationError, match="only from the configuration's own"):
        load(path)


def test_an_include_beside_a_linked_site_file_is_read(site, tmp_path):
    """Distributions link the files of /etc/hadoop/conf to where they are managed."""
    real = site("core-site", f'<configuration {XI}><xi:include href="extra.xml"/></configuration>', directory="real")
    extra = site("extra", {"a.b": "1"}, directory="real")
    linked = tmp_path / "conf" / "core-site.xml"
    linked.parent.mkdir()
    linked.symlink_to(real)
    (linked.parent / "extra.xml").symlink_to(extra)
    assert load(linked)["a.b"] == "1"


def test_files_that_include_each_other_are_refused(site):
    site("b", f'<configuration {XI}><xi:include href="core-site.xml"/></configuration>')
    path = site("core-site", f'<configuration {XI}><xi:include href="b.xml"/></configuration>')
    with pytest.raises(ConfigurationError, match="includes itself"):
        load(path)


# What Hadoop's own Configuration answered for the same values.
@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("${a.a}/x:${a.a}/y", "A/x:A/y"),
        ("${self.ref}", "${self.ref}"),
        ("${not.set}/${a.a}", "${not.set}/${a.a}"),
        ("${a.a}/${not.set}", "A/${not.set}"),
        ("${env.FOO}|${env.NO-dflt}|${env.EMPTY:-d2}|${env.EMPTY-d3}|${a.a}", "foo|dflt|d2||A"),
        ("${env.NO}|${a.a}", "${env.NO}|${a.a}"),
        ("${pre.${a.a}}", "nested!"),
        ("${a b}", "${a b}"),
        ("${}", "${}"),
        ("$a.a", "$a.a"),
    ],
)
def test_references_expand_as_in_hadoop(site, value, expanded):
    path = site("core-site", {"a.a": "A", "self.ref": "x ${self.ref}", "pre.A": "nested!", "test.value": value})
    conf = HadoopConf.load(hadoop_conf_dir=path.parent, environ={"FOO": "foo", "EMPTY": ""})
    assert conf["test.value"] == expanded


def test_references_to_the_user_and_the_machine(site):
    path = site("core-site", {"test.user": "${user.name}", "test.home": "${user.home}"})
    conf = HadoopConf.load(hadoop_conf_dir=path.parent, environ={"HOME": "/home/x", "HADOOP_USER_NAME": "alice"})
    assert conf["test.home"] == "/home/x"
    # Java's user.name is the system's user, whoever HADOOP_USER_NAME names.
    assert conf["test.user"] not in ("alice", "${user.name}")


def test_properties_that_refer_to_each_other_in_a_circle_are_named(site):
    conf = load(site("core-site", {"loop.one": "${loop.two}", "loop.two": "${loop.one}"}))
    with pytest.raises(ConfigurationError, match=r"loop\.one"):
        conf["loop.one"]


def test_a_reference_to_a_later_file_or_an_argument(site):
    site("yarn-site", {"yarn.resourcemanager.hostname": "from-file"})
    path = site("core-site", {"test.host": "${yarn.resourcemanager.hostname}"})
    assert load(path)["test.host"] == "from-file"
    assert load(path, pars={"yarn.resourcemanager.hostname": "from-pars"})["test.host"] == "from-pars"


def test_the_environment_is_left_alone(site):
    before = dict(os.environ)
    HadoopConf.load(hadoop_conf_dir=site("core-site", {}).parent, user="alice", rm="h", nn="h")
    assert dict(os.environ) == before
