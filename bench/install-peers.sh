#!/usr/bin/env bash
# Installs the programs that run.sh compares with (Debian and Ubuntu).
set -euo pipefail
exec "$(dirname "$0")/../build.sh" --install-only bench
