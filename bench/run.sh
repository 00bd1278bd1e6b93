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
#   limits       a file from one daemon to another, and `p2pctl status` of the first, alone and beside strangers that say it one
#                message without end (docs/limits.md); the last lines tell how much of its rate the download keeps (time), and
#                how much longer a status takes (1 / median time, 1 / max time): --mib 64 --large-mib 3072 (what the strangers
#                ask of) --connections 8 --runs 50
#                OPEN, WHICH, GET-PEERS, GET-HASHES, REQUEST (chunks, which are sent), REQUEST-refused (of a content that is not there),
#                REQUEST-LEAVES (one of each chunk), GET_CHUNK-unknown
#   tracker      requests a second of the tracker beside the like of others: --connections 64 --seconds 4
#                redis (GET for LOOKUP, one at a time and 16 deep; SADD for REGISTER), opentracker (UDP announces)
#   tracker-store  how soon a tracker knows what was registered at another one on the same Redis, alone and beside a load,
#                and requests a second of one that shares: --registrations 1000 --connections 64 --seconds 4
#                alone (ours, without a store)
#   large-tracker  memory of the tracker with 10 registrations a name and with idle connections, and how long lookups
#                then take: --names 1000000 --idle 18000 (needs as many descriptors) --seconds 5
#                empty (ours)
#
#   sim          a swarm of the daemon's own policy and sessions in virtual time, beside the fluid bound:
#                --peers 10,100,1000 --chunks 256 --mbit 100 --trace 1; --help tells its faults. Prints one run each.
#   faults       share, get, stop, resume and complete with one libc call failing, at each call site with each error; takes
#                half an hour. --help tells its options. Prints the sites, what was injected and what was broken.
#
#   kill         SIGKILL of downloading and seeding daemons at random moments of real transfers, and what it costs:
#                kill 1000; --seed S repeats a run, --transfer T begins it there; --at-once 4; --dir DIR (several
#                take turns)
#
# SIZES are options, or their values in the order in which they stand here: swarm 16 50 64.
# Without --vs a work is compared with all its peers; those that are not installed are named and left out, and
# bench/install-peers.sh installs them. Nothing here is a test: figures depend on the machine.
set -euo pipefail
case "${1:--h}" in
  -h | --help) exec sed -n '2,58s/^# \{0,1\}//p' "$0" ;;
  sim)
    shift
    root=$(cd "$(dirname "$0")/.." && pwd)
    [ -e "$root/build/CMakeCache.txt" ] || "$root/build.sh"
    cmake --build "$root/build" --target p2p_sim >/dev/null
    exec "$root/build/bin/p2p_sim" "$@"
    ;;
  kill)
    shift
    [ -x "$(dirname "$0")/../build/bin/p2pd" ] || "$(dirname "$0")/../build.sh"
    exec /usr/bin/python3 "$(dirname "$0")/kill.py" "$@"
    ;;
  faults)
    shift
    root=$(cd "$(dirname "$0")/.." && pwd)
    [ -e "$root/build/CMakeCache.txt" ] || "$root/build.sh"
    cmake --build "$root/build" --target p2p_call_faults p2pd p2pctl p2p-tracker >/dev/null
    export P2P_BIN_DIR=$root/build/bin P2P_CALL_FAULTS_LIBRARY=$root/build/bin/libp2p_call_faults.so
    PYTHONPATH=$root/tests/support exec /usr/bin/python3 "$root/bench/faults.py" "$@"
    ;;
esac
exec /usr/bin/python3 "$(dirname "$0")/bench.py" "$@"
