"""What Airflow is told about this package when it discovers providers.

A literal, in a module that imports nothing: Airflow calls it without a safety net, so an error here would reach every
DAG of the installation.
"""

from __future__ import annotations


def get_provider_info() -> dict[str, object]:
    """Airflow's provider metadata."""
    return {
        "package-name": "knit-provider",
        "name": "Hadoop YARN",
        "description": "Start, watch, read the logs of and kill applications on Hadoop YARN.",
        "integrations": [
            {
                "integration-name": "Hadoop YARN",
                "external-doc-url": "https://hadoop.apache.org/docs/stable/hadoop-yarn/hadoop-yarn-site/YARN.html",
                "tags": ["apache"],
            }
        ],
        "hooks": [{"integration-name": "Hadoop YARN", "python-modules": ["knit_provider.hooks.knit"]}],
        "operators": [
            {
                "integration-name": "Hadoop YARN",
                "python-modules": [
                    "knit_provider.operators.knit",
                    "knit_provider.operators.environments",
                    "knit_provider.operators.dask",
                ],
            }
        ],
        "sensors": [{"integration-name": "Hadoop YARN", "python-modules": ["knit_provider.sensors.knit"]}],
        "triggers": [{"integration-name": "Hadoop YARN", "python-modules": ["knit_provider.triggers.knit"]}],
        "extra-links": ["knit_provider.links.knit.YarnApplicationLink"],
        "task-decorators": [
            {"name": "yarn", "class-name": "knit_provider.decorators.yarn.yarn_task"},
            {"name": "yarn_cmd", "class-name": "knit_provider.decorators.yarn.yarn_cmd_task"},
        ],
        "connection-types": [
            {
                "connection-type": "yarn",
                "hook-class-name": "knit_provider.hooks.knit.KnitHook",
                "hook-name": "Hadoop YARN",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {
                        "host": "ResourceManager host(s)",
                        "port": "ResourceManager web port",
                        "login": "User",
                    },
                    "placeholders": {
                        "host": "rm1.example.com,rm2.example.com",
                        "port": "8088",
                        "login": "the user that applications run as",
                        "hadoop_conf_dir": "/etc/hadoop/conf",
                        "namenode": "hdfs://nameservice1",
                        "queue": "default",
                    },
                },
                "conn-fields": {
                    "hadoop_conf_dir": {
                        "label": "Hadoop configuration folder",
                        "description": "Folder of core-site.xml, yarn-site.xml and hdfs-site.xml on the workers.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "hadoop_conf": {
                        "label": "Hadoop properties",
                        "description": "Hadoop properties as JSON; they win over the files.",
                        "schema": {"type": ["object", "null"]},
                    },
                    "namenode": {
                        "label": "NameNode",
                        "description": "host, host:port or an hdfs:// URI; becomes fs.defaultFS.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "queue": {
                        "label": "Queue",
                        "description": "YARN queue of tasks that name none.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "bridge": {
                        "label": "Bridge",
                        "description": "What submits: rest needs no Java; auto takes it where it serves.",
                        "schema": {
                            "type": ["string", "null"],
                            "enum": [None, "auto", "rest", "jvm"],
                            "values_display": {"None": "auto (default)", "auto": "auto", "rest": "rest", "jvm": "jvm"},
                        },
                    },
                    "deployment": {
                        "label": "Deployment",
                        "description": "This Airflow's name among those that use the cluster; below Airflow 3.3, "
                        "retries find running applications by it.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "scheme": {
                        "label": "Scheme",
                        "description": "How the ResourceManager's REST interface is reached; default: what the "
                        "Hadoop configuration says.",
                        "schema": {
                            "type": ["string", "null"],
                            "enum": [None, "http", "https"],
                            # Airflow 3.3 shows null as this, and takes it for whatever is not listed too.
                            "values_display": {"None": "as configured", "http": "http", "https": "https"},
                        },
                    },
                    "rm_addresses": {
                        "label": "ResourceManager addresses",
                        "description": "List of host:port, in place of host and port, where their ports differ.",
                        "schema": {"type": ["array", "null"], "items": {"type": "string"}},
                    },
                    "gateway_path": {
                        "label": "Gateway path",
                        "description": "Path of a gateway, such as Knox's /gateway/default/resourcemanager.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "ca_bundle": {
                        "label": "CA certificate",
                        "description": "Of a cluster or gateway with TLS: a file on the workers, or the PEM text.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "principal": {
                        "label": "Kerberos principal",
                        "description": "Such as etl@EXAMPLE.COM; goes with a keytab.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "keytab": {
                        "label": "Keytab file",
                        "description": "Path of the principal's keytab on the workers.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "keytab_base64": {
                        "label": "Keytab (base64)",
                        "description": "The keytab itself, in place of a file on the workers.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "ccache": {
                        "label": "Credential cache",
                        "description": "Of a Kerberos ticket on the workers, in place of a keytab.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "proxy_user": {
                        "label": "Act for",
                        "description": "The user who owns applications and files, where the cluster lets the login "
                        "act for others (hadoop.proxyuser.*).",
                        "schema": {"type": ["string", "null"]},
                    },
                    "hdfs_home": {
                        "label": "HDFS folder",
                        "description": "A writable folder; files go to .knitDeps below it. Default: the user's home.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "staging": {
                        "label": "Staging folder",
                        "description": "URI of a folder to stage into, where the default filesystem keeps no modes.",
                        "schema": {"type": ["string", "null"]},
                    },
                },
            }
        ],
    }
