"""A folder that looks like ``HADOOP_HOME``: commands, conf and jars, for us and for other programs that want one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from knit_provider.localcluster.java import Java
from knit_provider.localcluster.settings import Layout

# Command -> sub-command -> main class, as Hadoop's own scripts have them.
_CLASSES: Mapping[str, Mapping[str, str]] = {
    "hadoop": {
        "fs": "org.apache.hadoop.fs.FsShell",
        "jar": "org.apache.hadoop.util.RunJar",
        "key": "org.apache.hadoop.crypto.key.KeyShell",
        "version": "org.apache.hadoop.util.VersionInfo",
    },
    "hdfs": {
        "dfs": "org.apache.hadoop.fs.FsShell",
        "dfsadmin": "org.apache.hadoop.hdfs.tools.DFSAdmin",
        "fsck": "org.apache.hadoop.hdfs.tools.DFSck",
        "getconf": "org.apache.hadoop.hdfs.tools.GetConf",
        "groups": "org.apache.hadoop.hdfs.tools.GetGroups",
        "version": "org.apache.hadoop.util.VersionInfo",
    },
    "yarn": {
        "app|application|applicationattempt|container": "org.apache.hadoop.yarn.client.cli.ApplicationCLI",
        "jar": "org.apache.hadoop.util.RunJar",
        "logs": "org.apache.hadoop.yarn.client.cli.LogsCLI",
        "node": "org.apache.hadoop.yarn.client.cli.NodeCLI",
        "queue": "org.apache.hadoop.yarn.client.cli.QueueCLI",
        "rmadmin": "org.apache.hadoop.yarn.client.cli.RMAdminCLI",
        "version": "org.apache.hadoop.util.VersionInfo",
    },
    "mapred": {
        "job": "org.apache.hadoop.mapred.JobClient",
        "version": "org.apache.hadoop.util.VersionInfo",
    },
}

_SCRIPT = """\
#!/usr/bin/env bash
# `{command}` of the embedded Hadoop {version}. Made by knit-provider; made anew at each `knit cluster up`.
set -eu
here="$(cd -P "$(dirname "$(readlink -f "${{BASH_SOURCE[0]}}")")/.." && pwd)"
export HADOOP_HOME="$here"
if [ "${{1:-}}" = --config ]; then export HADOOP_CONF_DIR="$2"; shift 2; fi
export HADOOP_CONF_DIR="${{HADOOP_CONF_DIR:-$here/etc/hadoop}}"
# MIT's tools read this variable, Java does not.
[ -n "${{KRB5_CONFIG:-}}" ] && krb5="-Djava.security.krb5.conf=$KRB5_CONFIG"
[ -n "${{JAVA_HOME:-}}" ] || export JAVA_HOME={java_home}
classpath="$HADOOP_CONF_DIR:$here/share/hadoop/common/*"
if [ -n "${{HADOOP_CLASSPATH:-}}" ]; then
  case "${{HADOOP_USER_CLASSPATH_FIRST:-}}" in
    ""|false) classpath="$classpath:$HADOOP_CLASSPATH" ;;
    *) classpath="$HADOOP_CLASSPATH:$classpath" ;;
  esac
fi
sub="${{1:-}}"
[ $# -gt 0 ] && shift
case "$sub" in
{cases}
  classpath)
    case "${{1:-}}" in
      "") echo "$classpath"; exit 0 ;;
      *) class=org.apache.hadoop.util.Classpath ;;
    esac ;;
  ""|-*|help) echo "usage: {command} [--config DIR] {usage}|classpath|CLASSNAME [ARGUMENT...]" >&2; exit 2 ;;
  *.*) class="$sub" ;;
  *) echo "{command}: $sub is no command of this embedded Hadoop; it has {usage}|classpath|CLASSNAME" >&2; exit 2 ;;
esac
# shellcheck disable=SC2086 - options are words
exec "$JAVA_HOME/bin/java" {options} ${{krb5:-}} ${{HADOOP_HEAPSIZE_MAX:+-Xmx${{HADOOP_HEAPSIZE_MAX}}m}} \\
  ${{HADOOP_OPTS:-}} ${{HADOOP_CLIENT_OPTS:-}} -cp "$classpath" "$class" "$@"
"""


def build(layout: Layout, jars: Path, java: Java, version: str, native: Path | None = None) -> None:
    """Makes the folder's commands and its link to the jars; the conf is written by whoever knows the settings.

    Args:
        layout: the cluster's folder.
        jars: the cached jars.
        java: used by the commands unless the caller has a ``JAVA_HOME``.
        version: Hadoop's version.
        native: the cached native library, where one is wanted.
    """
    binaries = layout.home / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    layout.jars.parent.mkdir(parents=True, exist_ok=True)
    if layout.jars.is_symlink() or layout.jars.exists():
        layout.jars.unlink()
    layout.jars.symlink_to(jars)
    layout.native.parent.mkdir(parents=True, exist_ok=True)
    layout.native.unlink(missing_ok=True)
    if native is not None:
        layout.native.symlink_to(native)
    options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", *java.opens]
    for command, classes in _CLASSES.items():
        path = binaries / command
        path.write_text(
            _SCRIPT.format(
                command=command,
                version=version,
                java_home=shlex.quote(str(java.home)),
                options=" ".join(options),
                usage="|".join(classes),
                cases="\n".join(_case(names, main) for names, main in classes.items()),
            )
        )
        path.chmod(0o755)


def _case(names: str, main: str) -> str:
    # ApplicationCLI tells `application` from `container` by its first argument.
    again = 'set -- "$sub" "$@"; ' if "|" in names else ""
    return f"  {names}) {again}class={main} ;;"
