#!/usr/bin/env bash
# Makes sure of what pip cannot install. By default that is Kerberos' programs, its headers and a C compiler, for the
# extra [kerberos] and for a cluster with Kerberos; with "browser" as second argument it is Chromium and its driver.
# Installs it where that needs no password, and otherwise says what to install.
set -euo pipefail

python=${1:-python3}
what=${2:-kerberos}
# Daemons, which an ordinary user's PATH may lack.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/lib/mit/sbin:/usr/lib/mit/bin"

missing=()
need() { # what Debian calls it, what Red Hat calls it, and the command that it brings
  command -v "$3" >/dev/null || missing+=("$1:$2")
}

headers() { # of this very Python: the distribution's own, or one of the others that it can have beside that
  local wanted own
  wanted=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  own=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
  [ "$wanted" = "$own" ] && echo "python3-dev:python3-devel" || echo "python$wanted-dev:python$wanted-devel"
}

look() {
  missing=()
  if [ "$what" = browser ]; then
    need chromium chromium chromium
    need chromium-driver chromedriver chromedriver
    return
  fi
  need krb5-kdc krb5-server krb5kdc
  need krb5-admin-server krb5-server kadmin.local
  need krb5-user krb5-workstation kinit
  need libkrb5-dev krb5-devel krb5-config
  need gcc gcc cc
  "$python" -c 'import os, sysconfig; exit(not os.path.isfile(sysconfig.get_paths()["include"] + "/Python.h"))' ||
    missing+=("$(headers)")
}

look
[ ${#missing[@]} -eq 0 ] && exit 0

root=()
[ "$(id -u)" = 0 ] || root=(sudo -n)
if command -v apt-get >/dev/null && "${root[@]}" true 2>/dev/null; then
  echo "Installing ${missing[*]%%:*} ..."
  "${root[@]}" apt-get update -qq >/dev/null || echo "apt-get update failed; trying with the lists that there are" >&2
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]%%:*}" \
    >/dev/null || true
  hash -r
  look
  [ ${#missing[@]} -eq 0 ] && exit 0
fi

echo "These system packages are missing: ${missing[*]%%:*} (Debian, Ubuntu) or ${missing[*]##*:} (Red Hat)." \
  "Install them as root, then run make again." >&2
exit 1
