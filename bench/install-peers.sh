#!/usr/bin/env bash
# Installs the programs that run.sh compares with (Debian and Ubuntu).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin
had_nginx=$(command -v nginx || true)
"$here/../build.sh" --install-only bench
# The package starts a web server of its own; run.sh starts one only while it measures.
if [ -z "$had_nginx" ] && command -v nginx >/dev/null; then
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" service nginx stop
  "${as_root[@]}" update-rc.d nginx disable
fi
