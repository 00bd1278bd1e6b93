#!/usr/bin/env bash
# Installs what is missing and builds everything.
#
#   ./build.sh [PRESET]              build with a preset of CMakePresets.json (default: release, in build/)
#   ./build.sh --install-only GROUP  only install packages: build, test, lint, bench or all
#
# The programs land in build/bin/. Environment: JOBS=N sets the number of parallel compilers, P2P_TESTS=1 builds the
# tests as well.
set -euo pipefail
cd "$(dirname "$0")"

# Debian and Ubuntu packages, by what they are for. Nothing else in the tree names packages.
build_packages=(
  build-essential cmake ninja-build pkg-config ccache mold
  libabsl-dev libasio-dev libcli11-dev libgnutls28-dev libgrpc++-dev libhiredis-dev libprotobuf-dev
  libspdlog-dev libsqlite3-dev libtomlplusplus-dev nlohmann-json3-dev
  protobuf-compiler protobuf-compiler-grpc
)
test_packages=(libgtest-dev libgmock-dev python3 python3-grpcio python3-protobuf python3-libtorrent
  e2fsprogs openssl redis-server)
lint_packages=(clang clang-format clang-tidy libclang-rt-dev pyflakes3 shellcheck)
bench_packages=(python3 python3-grpcio python3-protobuf python3-libtorrent aria2 nginx curl rsync iproute2 nftables
  redis-server redis-tools opentracker)

say() { printf '%s\n' "build.sh: $*" >&2; }

missing_of() { # PACKAGE...: those that are not installed, one a line
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      printf '%s\n' "$package"
  done
}

install_packages() { # PACKAGE...
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "this is neither Debian nor Ubuntu, so nothing is installed for you. Needed, by their Debian names:"
    say "  $*"
    return 0
  fi
  local missing
  mapfile -t missing < <(missing_of "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      say "these packages are missing; install them as root, then run this again:"
      say "  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
      exit 1
    fi
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  if ! { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends "${missing[@]}"; } >&2; then
    say "the packages could not be installed (see above); once you have them, run this again:"
    say "  apt-get install --no-install-recommends ${missing[*]}"
    exit 1
  fi
}

install_group() { # GROUP
  case "$1" in
    build) install_packages "${build_packages[@]}" ;;
    test) install_packages "${build_packages[@]}" "${test_packages[@]}" ;;
    lint) install_packages "${build_packages[@]}" "${test_packages[@]}" "${lint_packages[@]}" ;;
    bench) install_packages "${build_packages[@]}" "${bench_packages[@]}" ;;
    all)
      install_packages "${build_packages[@]}" "${test_packages[@]}" "${lint_packages[@]}" \
        "${bench_packages[@]}"
      ;;
    *)
      say "no such group: $1 (build, test, lint, bench, all)"
      exit 2
      ;;
  esac
}

build() { # PRESET
  local tests=()
  # A second checkout finds what the first one compiled.
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
  [ -z "${P2P_TESTS:-}" ] || tests=(-DP2P_TESTS=ON)
  cmake --preset "$1" "${tests[@]}" >&2
  cmake --build --preset "$1" --parallel "${JOBS:-$(getconf _NPROCESSORS_ONLN)}" >&2
}

binary_dir() { # PRESET: as CMakePresets.json has it
  case "$1" in
    release) printf build ;;
    asan-ubsan) printf build-asan ;;
    *) printf 'build-%s' "$1" ;;
  esac
}

case "${1:-}" in
  -h | --help)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    ;;
  --install-only)
    install_group "${2:?give a group: build, test, lint, bench or all}"
    ;;
  -*)
    say "no such option: $1; ./build.sh --help tells them"
    exit 2
    ;;
  *)
    preset=${1:-release}
    # Every preset but release has the tests, and the sanitizers' are compiled by Clang.
    case "$preset" in
      asan-ubsan | tsan) install_group lint ;;
      release)
        if [ -n "${P2P_TESTS:-}" ]; then install_group test; else install_group build; fi
        ;;
      *) install_group test ;;
    esac
    build "$preset"
    say "done; the programs are in $(binary_dir "$preset")/bin"
    ;;
esac
