#!/usr/bin/env bash
# Says at once what the builds and daemons would say late: no Maven, or a Java that they do not run on.
set -euo pipefail

oldest=17
command -v mvn >/dev/null || {
  echo "Maven (mvn) is not on PATH; install it and a JDK $oldest or newer." >&2
  exit 1
}
said=$(mvn -B -v 2>&1) || {
  echo "mvn does not run: $said" >&2
  exit 1
}
# "Java version: 17.0.15, vendor: ...", of Java 8 "1.8.0_402".
major=$(sed -n 's/^Java version: \(1\.\)\{0,1\}\([0-9]*\).*/\2/p' <<<"$said")
if [ "${major:-0}" -lt "$oldest" ]; then
  echo "Maven uses Java ${major:-of an unknown version}; a JDK $oldest or newer is needed. Set JAVA_HOME to one." >&2
  exit 1
fi
