#!/bin/bash
# Installs the Debian 12 packages that building, running and testing need. As root or through sudo;
# quick when everything is there already.
set -euo pipefail

build=(
  bazel-bootstrap bazel-platforms bazel-rules-java bazel-rules-proto bazel-skylib
  g++ pkg-config protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libbenchmark-dev libc-ares-dev libevent-dev libgmock-dev libgrpc++-dev libgtest-dev
  libnghttp2-dev libprotobuf-dev libre2-dev libspdlog-dev libssl-dev libxxhash-dev libyaml-cpp-dev
  prometheus-cpp-dev zlib1g-dev
)
run=(curl iproute2 iptables libnginx-mod-stream nginx openssl procps prometheus python3 tcpdump util-linux wrk)
test=(
  ca-certificates chromium clang-16 clang-format-16 clang-tidy-16 git haproxy libclang-rt-16-dev nftables nghttp2-client
  python3-grpcio python3-h2 python3-httpx python3-pip python3-protobuf python3-pytest python3-pytest-xdist python3-venv
  python3-websockets python3-yaml shellcheck strace unzip valgrind
)
# Other packagings of node bring their own npm, and conflict with Debian's.
command -v npm >/dev/null || test+=(npm)
command -v go >/dev/null || test+=(golang-go)

missing=()
for package in "${build[@]}" "${run[@]}" "${test[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install.sh: needs root or sudo" >&2; exit 1; }
  as_root=(sudo)
fi

# nginx, haproxy and prometheus are wanted as programs: their services are not started.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

echo "Installing: ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -q --no-install-recommends "${missing[@]}"
