#!/bin/bash
# Starts the ApplicationMaster on whatever node YARN has chosen: finds Java and the cluster's own Hadoop classes.
# Run by the NodeManager in the container's working directory, beside knit.jar and knit-spec.json.

fail() {
  echo "knit-am.sh on $(hostname 2>/dev/null): $*" >&2
  exit 1
}

# --- Java: JAVA_HOME as the NodeManager passes it on, else the PATH's.
if [ -n "${JAVA_HOME-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then
  java=$JAVA_HOME/bin/java
elif java=$(command -v java); then
  :
else
  fail "no Java: JAVA_HOME is '${JAVA_HOME-}' and no java is on PATH ($PATH)." \
    "Set JAVA_HOME in the NodeManagers' environment (yarn.nodemanager.env-whitelist has to include it)."
fi

# --- Classes: what the cluster says (yarn.application.classpath), else Hadoop's usual folders, else hadoop's own word.
has_hadoop() {
  local IFS=: entry jar
  set -f
  for entry in $1; do
    set +f
    for jar in ${entry%\*}/hadoop-{common,client-api}-*.jar $entry; do
      case $jar in *hadoop-common-*.jar | *hadoop-client-api-*.jar) [ -f "$jar" ] && return 0 ;; esac
    done
    set -f
  done
  set +f
  return 1
}

usual_folders() {
  local home
  for home in "${HADOOP_COMMON_HOME-}" "${HADOOP_HDFS_HOME-}" "${HADOOP_YARN_HOME-}" "${HADOOP_HOME-}"; do
    if [ -n "$home" ]; then
      printf ':%s' "$home"/share/hadoop/{common,common/lib,hdfs,hdfs/lib,yarn,yarn/lib}/'*' "$home"/{,lib,client}/'*'
    fi
  done
}

classes=${KNIT_AM_CLASSPATH-}
if ! has_hadoop "$classes"; then
  classes=$(usual_folders)
  if ! has_hadoop "$classes"; then
    hadoop=$(command -v hadoop || command -v yarn) &&
      classes=$("$hadoop" classpath 2>/dev/null) && has_hadoop "$classes" ||
      fail "no Hadoop classes: yarn.application.classpath led to '${KNIT_AM_CLASSPATH-}', HADOOP_COMMON_HOME is" \
        "'${HADOOP_COMMON_HOME-}', HADOOP_YARN_HOME is '${HADOOP_YARN_HOME-}', HADOOP_HOME is '${HADOOP_HOME-}', and no" \
        "hadoop command is on PATH. Set yarn.application.classpath in the cluster's yarn-site.xml."
  fi
fi

# The conf folder comes first: without it the classes take their defaults and call 0.0.0.0. Our own jar follows.
classes=${HADOOP_CONF_DIR-}:$PWD/knit.jar:$classes
classes=${classes#:}

# --- The JVM: small, and quick to start. Unknown flags of other versions are ignored.
# Java 18 to 23 let Hadoop before 3.4 find out who it is only with this; older and newer ones refuse the flag.
version=
release=$(dirname "$(dirname "$(readlink -f "$java")")")/release
[ -r "$release" ] && while IFS='="' read -r key _ value _; do
  [ "$key" = JAVA_VERSION ] && version=${value%%[.+-]*}
done <"$release"
manager=()
case $version in 18 | 19 | 20 | 21 | 22 | 23) manager=(-Djava.security.manager=allow) ;; esac

level=${KNIT_LOG_LEVEL:-INFO}
hadoop_level=$level
[ "$level" = INFO ] && hadoop_level=WARN

# glibc gives every thread an arena of its own, which costs tens of megabytes of address space and some of memory.
export MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-2}

launched=${EPOCHREALTIME-}
launched=${launched/[.,]/}

# Unquoted on purpose: several options in one variable.
# shellcheck disable=SC2086
exec "$java" -XX:+IgnoreUnrecognizedVMOptions -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k \
  "-Xmx${KNIT_AM_HEAP_MB:-96}m" -Xms16m -XX:MaxMetaspaceSize=96m -XX:ReservedCodeCacheSize=24m \
  -XX:-UsePerfData -XX:+ExitOnOutOfMemoryError -Xshare:auto \
  --add-opens=java.base/java.lang=ALL-UNNAMED "${manager[@]}" \
  -Dlog4j.configuration=knit-am-log4j.properties "-Dknit.log.level=$hadoop_level" "-Dknit.launched=${launched:0:13}" \
  -Djava.awt.headless=true \
  ${KNIT_AM_JAVA_OPTIONS-} -cp "$classes" io.knitprovider.am.ApplicationMasterMain
