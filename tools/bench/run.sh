#!/usr/bin/env bash
# Measures Remora against Envoy, HAProxy and nginx. Installs the peers, builds the optimised binary, runs the cases.
#
#   tools/bench/run.sh [--case NAME]... [--peer NAME]... [--rounds N] [--quick] [--json FILE] [--svg FILE] [--markdown FILE]
#
# --help lists the cases. All of it takes about 25 minutes, a case a minute or two. REMORA_BIN and ENVOY_BIN name other binaries
# than those that it builds and fetches. On a machine that is busy with other things `chrt -r 5` in front, as root, keeps them
# out of the figures.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
calls_from=$PWD

"$root/tools/setup/install.sh"
cd "$root"
if [ -z "${REMORA_BIN:-}" ]; then
  bazel build --noshow_progress //proxy:remora
  export REMORA_BIN=$root/.bazel-bin/proxy/remora
fi
if [ -z "${ENVOY_BIN:-}" ]; then
  peers=$(bazel info output_base 2>/dev/null)/peers
  test/support/fetch_peers.sh "$peers" || true
  [ -x "$peers/envoy" ] && export ENVOY_BIN=$peers/envoy
fi
cd "$calls_from"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root exec /usr/bin/python3 -m tools.bench "$@"
