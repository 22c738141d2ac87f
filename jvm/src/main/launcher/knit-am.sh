#!/bin/bash
# Starts the ApplicationMaster on whatever node YARN has chosen: finds Java and the cluster's own Hadoop classes.
# Run by the NodeManager in the container's working directory, beside knit.jar and knit-spec.json. With arguments it
# starts another of our programs in the same way: its class, and what that takes.

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

# Its release, as far as it tells: 8, 11, 17, ...
version=
release=$(dirname "$(dirname "$(readlink -f "$java")")")/release
[ -r "$release" ] && while IFS='="' read -r key _ value _; do
  [ "$key" = JAVA_VERSION ] && version=${value#1.} && version=${version%%[!0-9]*}
done <"$release"

# --- Classes that the application brings along, if this Java runs them. Folders are not allowed among them, so the
# conf folder is named apart.
classes=
sharing=(-Xshare:auto)
if [ -n "${KNIT_AM_SHIPPED-}" ]; then
  newest=${KNIT_AM_JAVA#*-}
  if [ -n "$version" ] && [ "$version" -ge "${KNIT_AM_JAVA%-*}" ] && [ "$version" -le "${newest:-$version}" ]; then
    classes=$KNIT_AM_SHIPPED
    sharing+=("-Dknit.conf.dir=${HADOOP_CONF_DIR-}")
  else
    echo "knit-am.sh: Java ${version:-(release unknown)} is not one that runs the Hadoop classes which the application" \
      "brought along ($KNIT_AM_JAVA): starting with the cluster's own" >&2
  fi
fi
# Java compares the jars' times with those in the archive, and goes without it, in silence, where anything differs. Only
# the archive's length it takes on trust, and dies where pages are missing.
IFS=: read -ra jars <<<"$classes"
if [ -n "$classes" ] && [ "$version" -ge 13 ] && [ -n "${KNIT_AM_ARCHIVE_BYTES-}" ] &&
  [ "$(stat -Lc %s knit-am.jsa 2>/dev/null)" = "$KNIT_AM_ARCHIVE_BYTES" ] &&
  touch -c -m -d "@$KNIT_AM_JARS_TIME" "${jars[@]}" 2>/dev/null; then
  sharing+=(-XX:SharedArchiveFile=knit-am.jsa -Xlog:disable)
fi

# --- Else the cluster's: what it says (yarn.application.classpath), else Hadoop's usual folders, else hadoop's own word.
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

find_classes() {
  classes=${KNIT_AM_CLASSPATH-}
  has_hadoop "$classes" && return
  classes=$(usual_folders)
  has_hadoop "$classes" && return
  hadoop=$(command -v hadoop || command -v yarn) &&
    classes=$("$hadoop" classpath 2>/dev/null) && has_hadoop "$classes" ||
    fail "no Hadoop classes: yarn.application.classpath led to '${KNIT_AM_CLASSPATH-}', HADOOP_COMMON_HOME is" \
      "'${HADOOP_COMMON_HOME-}', HADOOP_YARN_HOME is '${HADOOP_YARN_HOME-}', HADOOP_HOME is '${HADOOP_HOME-}', and no" \
      "hadoop command is on PATH. Set yarn.application.classpath in the cluster's yarn-site.xml."
}

if [ -z "$classes" ]; then
  find_classes
  # The conf folder comes first: without it the classes take their defaults and call 0.0.0.0. Our own jar follows.
  classes=${HADOOP_CONF_DIR-}:$PWD/knit.jar:$classes
  classes=${classes#:}
fi

# --- The JVM: small, and quick to start. Unknown flags of other versions are ignored.
# Java 18 to 23 let Hadoop before 3.4 find out who it is only with this; older and newer ones refuse the flag.
manager=()
case $version in 18 | 19 | 20 | 21 | 22 | 23) manager=(-Djava.security.manager=allow) ;; esac

level=${KNIT_LOG_LEVEL:-INFO}
hadoop_level=$level
[ "$level" = INFO ] && hadoop_level=WARN

# glibc gives every thread an arena of its own, which costs tens of megabytes of address space and some of memory.
export MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-2}

# MIT's library reads this variable, a list of files; Java does not, and takes one.
kerberos=()
IFS=: read -ra files <<<"${KRB5_CONFIG-}"
for file in "${files[@]}"; do
  [ -f "$file" ] && [ -r "$file" ] && kerberos=("-Djava.security.krb5.conf=$file") && break
done

launched=${EPOCHREALTIME-}
launched=${launched/[.,]/}

# The classes are the cluster's own, which its daemons run too: checking their bytecode once more takes a fifth of the
# start. Diagnostic flags have to be unlocked before they are named.
# Unquoted on purpose: several options in one variable.
# shellcheck disable=SC2086
exec "$java" -XX:+IgnoreUnrecognizedVMOptions -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote \
  -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k \
  "-Xmx${KNIT_AM_HEAP_MB:-96}m" -Xms32m -Xmn8m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=30 \
  -XX:MaxMetaspaceSize=96m -XX:ReservedCodeCacheSize=24m \
  -XX:-UsePerfData -XX:+ExitOnOutOfMemoryError "${sharing[@]}" \
  --add-opens=java.base/java.lang=ALL-UNNAMED "${manager[@]}" "${kerberos[@]}" \
  -Dlog4j.configuration=knit-am-log4j.properties "-Dknit.log.level=$hadoop_level" "-Dknit.launched=${launched:0:13}" \
  -Djava.awt.headless=true \
  ${KNIT_AM_JAVA_OPTIONS-} -cp "$classes" "${@:-io.knitprovider.am.ApplicationMasterMain}"
