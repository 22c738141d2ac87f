"""What is run before the first start, by a Java that does nothing but write down what it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from knit_provider.localcluster.formatting import Formatting
from knit_provider.localcluster.java import Java
from knit_provider.localcluster.launch import Plan
from knit_provider.localcluster.settings import Layout
from tests.hadoop.eventually import eventually
from tests.unit.localcluster.test_settings import with_ha


@pytest.mark.parametrize("new", [True, False])
def test_an_election_that_is_left_is_deleted_by_zookeepers_own_client(tmp_path: Path, new: bool) -> None:
    """Hadoop's ``-force`` hangs for good with the ZooKeeper of Hadoop 3.3.6."""
    java, asked = tmp_path / "bin" / "java", tmp_path / "asked"
    java.parent.mkdir()
    java.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    java.chmod(0o755)
    (tmp_path / "logs").mkdir()
    (tmp_path / "data" / "name-1").mkdir(parents=True)
    formatting = Formatting(Plan(Layout(tmp_path), Java(tmp_path, 17), with_ha(tmp_path, kerberos=False)))
    if new:
        formatting.begin()
        (tmp_path / "data" / "name-1").mkdir()
        eventually(formatting.stores_are_there)
    eventually(formatting.election_is_there)
    deleted = "org.apache.zookeeper.ZooKeeperMain -waitforconnection -server 127.0.0.1:"
    made = "org.apache.hadoop.hdfs.tools.DFSZKFailoverController -D dfs.ha.namenode.id=nn1 -formatZK -nonInteractive\n"
    first, last = asked.read_text().splitlines(keepends=True)
    assert last.endswith(made)
    assert (deleted in first and first.endswith("deleteall /hadoop-ha/knit\n")) != new
