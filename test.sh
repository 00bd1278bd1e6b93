#!/usr/bin/env bash
# Builds everything with its tests and runs them. One that fails is run once more, alone: see tests/run_tests.py.
#
#   ./test.sh [PRESET] [CTEST OPTION...]    PRESET of CMakePresets.json (default: release, in build/)
#
# For example: ./test.sh asan-ubsan -R Registry
set -euo pipefail
cd "$(dirname "$0")"

preset=release
case "${1:-}" in
  -h | --help)
    sed -n '2,6s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  '' | -*) ;;
  *)
    preset=$1
    shift
    ;;
esac

P2P_TESTS=1 ./build.sh "$preset"
case "$preset" in
  asan-ubsan)
    export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:strict_string_checks=1}
    export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
    ;;
  # The system's libraries are not instrumented: see tests/tsan.supp. A second signal ends a daemon with its threads.
  tsan)
    export TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$PWD/tests/tsan.supp:halt_on_error=0:report_thread_leaks=0}
    ;;
esac
exec tests/run_tests.py "$preset" "$@"
