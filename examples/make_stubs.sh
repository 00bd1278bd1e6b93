#!/bin/sh
# Makes control_pb2.py and control_pb2_grpc.py from proto/control.proto, beside this file or in DIRECTORY. Needs protoc
# and grpc_python_plugin (Debian: protobuf-compiler, protobuf-compiler-grpc); where only pip is at hand,
# "python3 -m grpc_tools.protoc -I ../proto --python_out=. --grpc_python_out=. control.proto" does the same.
#
#   ./make_stubs.sh [DIRECTORY]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
plugin=$(command -v grpc_python_plugin) || {
  echo "make_stubs.sh: grpc_python_plugin is missing; install protobuf-compiler-grpc" >&2
  exit 1
}
protoc -I "$here/../proto" --python_out="$out" --grpc_out="$out" --plugin=protoc-gen-grpc="$plugin" control.proto
