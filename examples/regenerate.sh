#!/bin/sh
# Makes control_pb2.py and control_pb2_grpc.py anew from proto/control.proto. Needs protoc and
# grpc_python_plugin (Debian: protobuf-compiler, protobuf-compiler-grpc); where only pip is at hand,
# "python3 -m grpc_tools.protoc -I ../proto --python_out=. --grpc_python_out=. control.proto" does
# the same.
set -eu
cd "$(dirname "$0")"
protoc -I ../proto --python_out=. --grpc_out=. \
  --plugin=protoc-gen-grpc="$(command -v grpc_python_plugin)" control.proto
