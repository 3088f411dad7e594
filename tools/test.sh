#!/usr/bin/env bash
# Installs what is needed, builds, and runs every test: unit tests (optimized, then under AddressSanitizer and
# UndefinedBehaviorSanitizer, and what several workers share under ThreadSanitizer), fuzz targets over their corpora and
# for a while beyond, and the tests through the real binary. Ends with "N passed, N failed, N skipped".
#
#   tools/test.sh                            unit and e2e
#   tools/test.sh unit asan tsan fuzz e2e    what is named: asan, tsan and fuzz build the tree once more each
set -uo pipefail
cd "$(dirname "$0")/.."

parts=("$@")
[ ${#parts[@]} -eq 0 ] && parts=(unit e2e)
wants() { local p; for p in "${parts[@]}"; do [ "$p" = "$1" ] && return 0; done; return 1; }

tools/setup/install.sh || { echo "0 passed, 1 failed"; exit 1; }

fuzz_seconds=${FUZZ_SECONDS:-20}
base=$(bazel info output_base 2>/dev/null)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
failed_steps=0

step() { # name, command...: a command that fails without a test result still fails the run
  local name=$1
  shift
  echo "== $name"
  local started=$SECONDS
  "$@"
  local status=$?
  echo "== $name: $((SECONDS - started)) s"
  if [ $status -ne 0 ]; then
    echo "== $name failed ($status)"
    failed_steps=$((failed_steps + 1))
  fi
}

# Bazel's test results of one configuration, one XML file a target.
bazel_tests() { # configuration, flags...
  local kind=$1
  shift
  bazel test --keep_going --noshow_progress --test_summary=terse "$@"
  local status=$?
  local logs
  logs=$(bazel info bazel-testlogs ${kind:+--config=$kind} 2>/dev/null)
  [ -d "$logs" ] && mkdir -p "$results/bazel-${kind:-opt}" &&
    (cd "$logs" && find . -name test.xml | tar cf - -T - 2>/dev/null) | tar xf - -C "$results/bazel-${kind:-opt}"
  return $status
}

if wants unit || wants e2e; then
  step "build" bazel build --noshow_progress //proxy:remora //tools/control_plane
fi
if wants unit; then step "unit tests" bazel_tests "" //...; fi
if wants asan; then step "unit tests, address and undefined" bazel_tests asan --config=asan -- //proxy/... //xds/... //filters/...; fi
if wants tsan; then
  step "shared state, thread" bazel_tests tsan --config=tsan --test_tag_filters=threads --build_tests_only -- //proxy/... //xds/...
fi
if wants fuzz; then step "fuzz" test/support/run_fuzz.sh "$fuzz_seconds" "$results"; fi
if wants e2e; then
  export REMORA_BIN="$PWD/.bazel-bin/proxy/remora"
  step "peers" test/support/fetch_peers.sh "$base/peers"
  [ -x "$base/peers/envoy" ] && export ENVOY_BIN="$base/peers/envoy"
  [ -d "$base/peers/protos" ] && export REMORA_OFFICIAL_PROTOS="$base/peers/protos"
  step "end to end" /usr/bin/python3 -m pytest -p no:cacheprovider -q -rs --tb=short --junitxml="$results/pytest.xml" test
fi

/usr/bin/python3 test/support/count_results.py "$results" "$failed_steps"
