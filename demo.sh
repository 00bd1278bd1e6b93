#!/usr/bin/env bash
# The main job, from one end to the other, on this machine alone.
#
#   ./demo.sh [PATH]
#
# Starts a tracker and three daemons (A, B, C) on free ports in a temporary directory. A shares PATH, a file or a
# directory (without PATH: test_files/ and a file of 256 MiB that is made for it). B gets it, is killed in the middle
# with `kill -9`, and starts again; C gets it while B still does. At the end the SHA-256 of every file is compared, and
# everything that was started or made is gone again. KEEP=1 leaves the temporary directory.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")"

readonly MADE_MIB=256
readonly START_SECONDS=20 GET_SECONDS=600

if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit 0
fi
if [ "$#" -gt 1 ]; then
  echo "demo.sh: give one PATH, or none; ./demo.sh --help tells more" >&2
  exit 2
fi

path=
if [ "$#" -eq 1 ]; then
  case $1 in /*) path=$1 ;; *) path=$called_from/$1 ;; esac
  if [ ! -r "$path" ]; then
    echo "demo.sh: there is no $1, or you may not read it" >&2
    exit 1
  fi
  path=$(realpath -s "$path")
fi

bin=${P2P_BIN:-$PWD/build/bin}
for program in p2p-tracker p2pd p2pctl; do
  if [ ! -x "$bin/$program" ]; then
    ./build.sh
    break
  fi
done

work=$(mktemp -d "${TMPDIR:-/tmp}/p2p-demo.XXXXXX")
declare -A pids=() # what runs, by name

say() { printf '%s\n' "$*"; }
step() { printf '\n-- %s\n' "$*"; }
fail() {
  echo "demo.sh: $*" >&2
  exit 1
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local status=$? name
  trap - EXIT
  for name in "${!pids[@]}"; do
    kill -CONT "${pids[$name]}" 2>/dev/null || true
    kill "${pids[$name]}" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  if [ "$status" != 0 ]; then
    for name in tracker A B C; do
      [ -s "$work/$name.log" ] || continue
      printf '\n%s said last:\n' "$name" >&2
      tail -n 15 "$work/$name.log" >&2
    done
  fi
  if [ -n "${KEEP:-}" ]; then say "kept: $work"; else rm -rf "$work"; fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

human() { # BYTES
  awk -v b="$1" 'BEGIN { split("B KiB MiB GiB TiB", u); i = 1
    while (b >= 1024 && i < 5) { b /= 1024; i++ }
    printf(i == 1 ? "%d %s" : "%.1f %s", b, u[i]) }'
}
now() { date +%s.%N; }
elapsed() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; } # SINCE
rate() { awk -v n="$1" -v s="$2" 'BEGIN { printf "%.0f MB/s", n / 1e6 / (s > 0 ? s : 0.01) }'; } # BYTES SECONDS

# The first value of a field of the object that stdin ends with.
field() { # NAME
  tail -n 1 | sed -E "s/.*[{,]\"$1\": ?(\"([^\"]*)\"|([^,}]*)).*/\2\3/"
}
ctl() { # DAEMON WORD...
  local daemon=$1
  shift
  "$bin/p2pctl" --socket "$work/$daemon.sock" --json "$@"
}

start_tracker() {
  "$bin/p2p-tracker" --listen 127.0.0.1:0 2>"$work/tracker.log" &
  pids[tracker]=$!
  local deadline=$((SECONDS + START_SECONDS))
  until tracker=$(sed -n 's/.*listening on \([^ ]*\).*/\1/p' "$work/tracker.log") && [ -n "$tracker" ]; do
    kill -0 "${pids[tracker]}" 2>/dev/null || fail "the tracker did not start"
    [ "$SECONDS" -lt "$deadline" ] || fail "the tracker is not ready after $START_SECONDS s"
    sleep 0.02
  done
}

start_daemon() { # NAME
  "$bin/p2pd" --listen 127.0.0.1:0 --socket "$work/$1.sock" --state-dir "$work/$1.state" \
    --download-dir "$work/$1" --tracker "$tracker" 2>>"$work/$1.log" &
  pids[$1]=$!
  local deadline=$((SECONDS + START_SECONDS))
  until ctl "$1" status >/dev/null 2>&1; do
    kill -0 "${pids[$1]}" 2>/dev/null || fail "daemon $1 did not start"
    [ "$SECONDS" -lt "$deadline" ] || fail "daemon $1 is not ready after $START_SECONDS s"
    sleep 0.02
  done
}

# Lets A serve for a moment at a time until B has a part of the transfer, and leaves A stopped.
pause_in_the_middle() { # ID BYTES: prints what B has then
  local object done_bytes=0 deadline=$((SECONDS + 60))
  while [ "$SECONDS" -lt "$deadline" ]; do
    kill -CONT "${pids[A]}" || fail "daemon A ended"
    sleep 0.02
    kill -STOP "${pids[A]}" || fail "daemon A ended"
    sleep 0.05 # what is on its way arrives
    object=$(ctl B status "$1") || fail "daemon B ended"
    [ "$(field state <<<"$object")" != error ] || fail "B: $(field error <<<"$object")"
    done_bytes=$(field bytes_done <<<"$object")
    if [ "$done_bytes" -gt $(($2 / 5)) ] || [ "$done_bytes" -eq "$2" ]; then break; fi
  done
  printf '%s' "$done_bytes"
}

wait_checked() { # DAEMON ID: until it knows what it still has
  local deadline=$((SECONDS + START_SECONDS))
  while [ "$(ctl "$1" status "$2" | field state)" = checking ] && [ "$SECONDS" -lt "$deadline" ]; do
    sleep 0.02
  done
}

wait_done() { # DAEMON ID: until it is complete
  local deadline=$((SECONDS + GET_SECONDS)) object state
  while [ "$SECONDS" -lt "$deadline" ]; do
    object=$(ctl "$1" status "$2") || fail "daemon $1 ended"
    state=$(field state <<<"$object")
    case $state in
      complete | seeding) return 0 ;;
      error) fail "the download of $1 failed: $(field error <<<"$object")" ;;
    esac
    sleep 0.05
  done
  fail "the download of $1 is not complete after $GET_SECONDS s: $object"
}

sums() { # PATH: the SHA-256 of each file in it, by name
  if [ -d "$1" ]; then
    (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
  else
    sha256sum <"$1"
  fi
}

compare() { # SOURCE NAME
  local daemon
  sums "$1" >"$work/sums"
  for daemon in B C; do
    sums "$work/$daemon/$2" | cmp -s - "$work/sums" || fail "$daemon's copy of $2 differs"
  done
  say "$2: $(wc -l <"$work/sums") file(s), SHA-256 the same at A, B and C"
}

# Gets what A shares at B and C, with B killed in the middle.
main_job() { # SOURCE
  local source=$1 begin object content name bytes id_b id_c had seconds
  step "A shares $source"
  begin=$(now)
  object=$(ctl A share "$source" | tail -n 1)
  content=$(field content_id <<<"$object")
  name=$(basename "$source")
  bytes=$(field bytes_total <<<"$object")
  seconds=$(elapsed "$begin")
  say "hashed $(human "$bytes") in $seconds s ($(rate "$bytes" "$seconds")); content id $content"

  step "B gets it, and is killed in the middle (kill -9)"
  kill -STOP "${pids[A]}"
  id_b=$(ctl B get --detach "$content" | field id)
  had=$(pause_in_the_middle "$id_b" "$bytes")
  kill -9 "${pids[B]}"
  wait "${pids[B]}" 2>/dev/null || true
  say "B had $(human "$had") of $(human "$bytes") when it died"
  [ "$had" -lt "$bytes" ] || say "(it is so small that it was whole before anyone could stop it)"

  step "B starts again and goes on by itself; C gets the same while B still does"
  start_daemon B
  wait_checked B "$id_b"
  say "B still has $(human "$(ctl B status "$id_b" | field bytes_done)")"
  id_c=$(ctl C get --detach "$content" | field id)
  begin=$(now)
  kill -CONT "${pids[A]}"
  wait_done B "$id_b"
  wait_done C "$id_c"
  seconds=$(elapsed "$begin")
  say "both are complete and verified after $seconds s more"
  say "B received $(human "$(ctl B status | field bytes_down)") after its restart, C $(human "$(ctl C status | field bytes_down)") in all"
  say "A sent $(human "$(ctl A status | field bytes_up)") so far, B $(human "$(ctl B status | field bytes_up)"), C $(human "$(ctl C status | field bytes_up)")"

  step "Comparing"
  compare "$source" "$name"
}

# A small thing more, without being killed.
small_job() { # SOURCE
  local object content daemon begin
  step "A shares $1; B and C get it"
  begin=$(now)
  object=$(ctl A share "$1" | tail -n 1)
  content=$(field content_id <<<"$object")
  for daemon in B C; do ctl "$daemon" get "$content" >/dev/null; done
  say "$(human "$(field bytes_total <<<"$object")") shared and fetched twice in $(elapsed "$begin") s"
  compare "$1" "$(basename "$1")"
}

step "Starting a tracker and the daemons A, B and C"
start_tracker
for name in A B C; do start_daemon "$name"; done
say "tracker on $tracker; A on $(ctl A status | field listen), B on $(ctl B status | field listen), C on $(ctl C status | field listen)"

if [ -n "$path" ]; then
  main_job "$path"
else
  free_mib=$(df -Pm "$work" | awk 'NR == 2 { print $4 }')
  [ "$free_mib" -gt $((MADE_MIB * 4)) ] ||
    fail "$work has only $free_mib MiB free, and $((MADE_MIB * 4)) are needed; set TMPDIR to another place"
  mkdir "$work/made"
  head -c "${MADE_MIB}M" /dev/urandom >"$work/made/demo-$MADE_MIB-MiB.bin"
  main_job "$work/made/demo-$MADE_MIB-MiB.bin"
  small_job "$PWD/test_files"
fi

step "Stopping"
for name in A B C; do ctl "$name" stop >/dev/null; done
for name in A B C; do
  wait "${pids[$name]}" || fail "daemon $name ended with status $?"
  unset "pids[$name]"
done
say "The demo is done: everything arrived whole."
