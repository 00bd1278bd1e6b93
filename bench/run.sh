#!/usr/bin/env bash
# Measures our programs and others in turn, in one run, and prints medians and ratios.
#
#   bench/run.sh WORK [--vs PEER,...] [--json FILE] [--rounds N] [--dir DIR] [SIZES]
#
#   WORK         what is measured, with its PEERs and SIZES (defaults)
#   transfer     a file from one daemon to another over loopback, verified, in memory: --mib 1024
#                libtorrent, limit (what the machine can do at all with the system's congestion control), limit-unpaced
#                (the same without BBR, as our daemons do on short paths), nginx+curl, rsync, aria2
#   share        hashing a file that is about to be shared: --mib 1024
#                libtorrent
#   small-files  a directory, shared and fetched: --files 10000 --file-kib 16
#                libtorrent, rsync
#   two-seeds    a file from two seeds at once: --mib 1024
#                one-seed (ours)
#   start-up     a small file, command to exit: --mib 200
#                large-file (ours: the same share of the time that 1024 MiB take)
#   wan          goodput between two network namespaces joined by a slow link; needs root: --mib 200 --mbit 200 --rtt 60
#                (ms) --loss 0,1 (percent)
#                libtorrent, nginx+curl
#   first-chunk  how soon the first chunk of a file is there over such a link; needs root: --mib 16 --mbit 100 --rtt 20
#   swarm        a file from one seed to many peers over shaped links, beside the fluid bound; needs root: --peers 8
#                --mbit 100 (each host up and down) --mib 128 --seed-mbit 0 (upload of the seed; 0: like --mbit)
#                --slow-peers 0 (so many of the peers) --slow-mbit 10 (upload only that) --kill-seconds 0 (one peer
#                killed every so often, in turn, and started again; 0: none)
#                libtorrent
#   memory       anonymous memory of an idle daemon with many shares, and of both ends of a transfer: --shares 1000
#                --file-kib 16 --mib 1024
#                libtorrent
#   status       how long `p2pctl status` takes while files of this size are fetched: --mib 1024 --runs 100
#                idle (ours)
#
#   sim          a swarm of the daemon's own policy and sessions in virtual time, beside the fluid bound:
#                --peers 10,100,1000 --chunks 256 --mbit 100 --trace 1; --help tells its faults. Prints one run each.
#
# SIZES are options, or their values in the order in which they stand here: swarm 16 50 64.
# Without --vs a work is compared with all its peers; those that are not installed are named and left out, and
# bench/install-peers.sh installs them. Nothing here is a test: figures depend on the machine.
set -euo pipefail
case "${1:--h}" in
  -h | --help) exec sed -n '2,39s/^# \{0,1\}//p' "$0" ;;
  sim)
    shift
    root=$(cd "$(dirname "$0")/.." && pwd)
    [ -e "$root/build/CMakeCache.txt" ] || "$root/build.sh"
    cmake --build "$root/build" --target p2p_sim >/dev/null
    exec "$root/build/bin/p2p_sim" "$@"
    ;;
esac
exec /usr/bin/python3 "$(dirname "$0")/bench.py" "$@"
