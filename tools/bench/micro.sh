#!/usr/bin/env bash
# Builds the micro-benchmarks and counts their instructions; fails when an operation takes 15% more than the baseline says.
#
#   tools/bench/micro.sh [--update] [--junit FILE] [NAME...]
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/setup/install.sh
targets=$(bazel query --noshow_progress 'kind(cc_binary, rdeps(//proxy/..., //proxy/base:bench, 1))' 2>/dev/null)
# shellcheck disable=SC2086  # a list
bazel build --noshow_progress $targets
binaries=()
for target in $targets; do
  name=${target#//}
  binaries+=(".bazel-bin/${name/://}")
done
exec /usr/bin/python3 tools/bench/micro.py "$@" --binaries "${binaries[@]}"
