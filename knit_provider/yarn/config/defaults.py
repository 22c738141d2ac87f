"""Hadoop's own defaults for the properties that this product reads, as its ``*-default.xml`` files have them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

HADOOP_DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "dfs.http.policy": "HTTP_ONLY",
        "dfs.namenode.http-address": "0.0.0.0:9870",
        "dfs.namenode.https-address": "0.0.0.0:9871",
        "dfs.replication": "3",
        "dfs.user.home.dir.prefix": "/user",
        "hadoop.http.authentication.simple.anonymous.allowed": "true",
        "hadoop.http.authentication.type": "simple",
        "hadoop.security.authentication": "simple",
        "hadoop.tmp.dir": "/tmp/hadoop-${user.name}",  # noqa: S108
        "mapreduce.jobhistory.address": "0.0.0.0:10020",
        "mapreduce.jobhistory.http.policy": "HTTP_ONLY",
        "mapreduce.jobhistory.webapp.address": "0.0.0.0:19888",
        "mapreduce.jobhistory.webapp.https.address": "0.0.0.0:19890",
        "yarn.acl.enable": "false",
        "yarn.http.policy": "HTTP_ONLY",
        "yarn.log-aggregation-enable": "false",
        "yarn.nodemanager.remote-app-log-dir": "/tmp/logs",  # noqa: S108 -- in HDFS
        "yarn.nodemanager.remote-app-log-dir-suffix": "logs",
        "yarn.nodemanager.webapp.rest-csrf.custom-header": "X-XSRF-Header",
        "yarn.resourcemanager.address": "${yarn.resourcemanager.hostname}:8032",
        "yarn.resourcemanager.am.max-attempts": "2",
        "yarn.resourcemanager.ha.enabled": "false",
        "yarn.resourcemanager.hostname": "0.0.0.0",  # noqa: S104 -- Hadoop's word for "nobody said"
        "yarn.resourcemanager.max-completed-applications": "1000",
        "yarn.resourcemanager.scheduler.address": "${yarn.resourcemanager.hostname}:8030",
        "yarn.resourcemanager.webapp.address": "${yarn.resourcemanager.hostname}:8088",
        "yarn.resourcemanager.webapp.https.address": "${yarn.resourcemanager.hostname}:8090",
        "yarn.resourcemanager.webapp.rest-csrf.custom-header": "X-XSRF-Header",
        "yarn.scheduler.maximum-allocation-mb": "8192",
        "yarn.scheduler.maximum-allocation-vcores": "4",
        "yarn.scheduler.minimum-allocation-mb": "1024",
        "yarn.scheduler.minimum-allocation-vcores": "1",
    }
)

RENAMED: Mapping[str, str] = MappingProxyType(
    {
        "dfs.federation.nameservices": "dfs.nameservices",
        "dfs.http.address": "dfs.namenode.http-address",
        "dfs.https.address": "dfs.namenode.https-address",
        "fs.default.name": "fs.defaultFS",
    }
)
"""Old names that files in the field still use, and what Hadoop calls them now."""

# What Knit fell back to where nothing named a host, and the NameNode port that it documented.
FALLBACK_HOST = "localhost"
FALLBACK_NN_PORT = 9000
FALLBACK_RM_PORT = 8088
FALLBACK_RM_PORT_HTTPS = 8090
