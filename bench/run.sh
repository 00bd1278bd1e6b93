#!/usr/bin/env bash
# Measures our programs and others in turn, in one run, and prints medians and ratios.
#
#   bench/run.sh WORK [--vs PEER,...] [--json FILE] [--rounds N] [--mib N] [--dir DIR]
#
#   WORK   transfer  a file from one peer to another over loopback, verified, in memory
#          share     hashing a file that is about to be shared
#   PEER   libtorrent, limit (what the machine can do at all; transfer only); default: both
#
# bench/install-peers.sh installs the peers. Nothing here is a test: figures depend on the machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for program in p2pd p2pctl p2p-tracker; do
  if [ ! -x "$here/../build/bin/$program" ]; then
    "$here/../build.sh"
    break
  fi
done
cmake --build "$here/../build" --target bench_limit >/dev/null
exec /usr/bin/python3 "$here/bench.py" "$@"
