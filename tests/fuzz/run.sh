#!/usr/bin/env bash
# Runs the fuzz targets that the preset asan-ubsan has built (./build.sh asan-ubsan), as many at a time as there are cores.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET...]    SECONDS for each target (default: 20); default: every target
#
# Prints the executions of each target and of all. A target that finds something ends at once; the input is kept in
# the build directory's findings/ and named, and the exit status is 1. Environment: JOBS=N targets at a time,
# FUZZ_BUILD=DIR another build directory, FUZZ_CORPUS=DIR where what is found on the way is kept (default: nowhere).
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

case "${1:-}" in
  -h | --help)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
seconds=${1:-20}
if ! [[ "$seconds" =~ ^[1-9][0-9]*$ ]]; then
  echo "tests/fuzz/run.sh: SECONDS must be a whole number, not $seconds" >&2
  exit 2
fi
shift || true
build=${FUZZ_BUILD:-build-asan}
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
  mapfile -t targets < <(cd tests/fuzz/corpus && printf '%s\n' *)
fi
for target in "${targets[@]}"; do
  if [ ! -x "$build/bin/fuzz_$target" ]; then
    echo "tests/fuzz/run.sh: $build/bin/fuzz_$target is not there; ./build.sh asan-ubsan makes the targets" >&2
    exit 2
  fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
findings=$build/findings
mkdir -p "$findings"
# Memory that was given back is kept from use in a small quarantine: with the usual one of 256 MiB the limit would
# have to be so high that it finds nothing.
export ASAN_OPTIONS=quarantine_size_mb=16:malloc_context_size=8:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}

run_target() { # TARGET
  local target=$1
  local corpus=${FUZZ_CORPUS:-$work/corpus}/$target
  mkdir -p "$corpus"
  "$build/bin/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 -malloc_limit_mb=16 \
    -dict="tests/fuzz/$target.dict" -artifact_prefix="$findings/$target-" -print_final_stats=1 \
    "$corpus" "tests/fuzz/corpus/$target" >"$work/$target.log" 2>&1
  echo $? >"$work/$target.status"
}

running=0
for target in "${targets[@]}"; do
  if [ "$running" -ge "$jobs" ]; then
    wait -n
    running=$((running - 1))
  fi
  run_target "$target" &
  running=$((running + 1))
done
wait

total=0
failed=()
for target in "${targets[@]}"; do
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log" | tail -n 1)
  printf '%-22s %12d executions\n' "$target" "${executions:-0}"
  total=$((total + ${executions:-0}))
  if [ "$(cat "$work/$target.status")" != 0 ]; then
    failed+=("$target")
    tail -n 40 "$work/$target.log" >&2
    echo "tests/fuzz/run.sh: $target: the input is kept:" >&2
    sed -n 's/^artifact_prefix=.*Test unit written to /  /p' "$work/$target.log" >&2
  fi
done
printf '%-22s %12d executions\n' "all ${#targets[@]} targets" "$total"
if [ "${#failed[@]}" -gt 0 ]; then
  echo "tests/fuzz/run.sh: found something: ${failed[*]}" >&2
  exit 1
fi
