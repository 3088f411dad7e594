#!/usr/bin/env bash
# Installs what is needed, builds, and runs every test. Ends with "N passed, N failed".
#
#   tools/test.sh                                       what CI runs: unit, micro, e2e, frames
#   tools/test.sh unit micro e2e frames asan race fuzz  what is named:
#     unit  unit tests, and the fuzz targets' corpora
#     micro  what one operation of each micro-benchmark takes, in instructions, against the baseline
#     e2e   tests through the binary: end to end, against Envoy, the demo mesh
#     frames  the fuzz targets of HTTP/2 frames and of whole connections, a minute each from the stored corpus
#     asan  the unit tests and corpora under AddressSanitizer and UndefinedBehaviorSanitizer, and 10,000 TLS handshakes
#           while secrets rotate
#     race  the binary with several workers, and what threads share, under ThreadSanitizer
#     fuzz  every fuzz target for FUZZ_SECONDS (20) each
set -uo pipefail
cd "$(dirname "$0")/.."

parts=("$@")
[ ${#parts[@]} -eq 0 ] && parts=(unit micro e2e frames)
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

# What failed gets a second attempt alone, if it is little: a machine that stood still for a moment fails no run, but
# count_results.py names every such test, and each is a bug to be mended.
end_to_end() {
  local pytest=(env REMORA_BIN="$PWD/.bazel-bin/proxy/remora" /usr/bin/python3 -m pytest -o cache_dir="$results/cache" -q -rs --tb=short)
  # Most of a test is waiting: more of them at once than there are processors, the tests of a file by one and in order.
  "${pytest[@]}" -n "$(($(nproc) + 1))" --dist loadfile --junitxml="$results/pytest.xml" test
  local status=$?
  [ $status -eq 1 ] && [ "$(test/support/count_results.py --failures "$results/pytest.xml")" -le 3 ] || return $status
  "${pytest[@]}" --junitxml="$results/second-attempt.xml" --last-failed --last-failed-no-failures none test
}

sources=(//proxy/... //xds/... //filters/...)
if wants unit || wants e2e; then
  step "peers" test/support/fetch_peers.sh "$base/peers"
  [ -x "$base/peers/envoy" ] && export ENVOY_BIN="$base/peers/envoy"
  [ -d "$base/peers/protos" ] && export REMORA_OFFICIAL_PROTOS="$base/peers/protos"
fi
if wants unit || wants e2e; then step "build" bazel build --noshow_progress //proxy:remora //tools/control_plane; fi
if wants unit; then step "unit tests" bazel_tests "" --flaky_test_attempts=2 --test_env=REMORA_OFFICIAL_PROTOS -- //...; fi
if wants micro; then step "instructions" tools/bench/micro.sh --junit "$results/micro.xml"; fi
if wants asan; then
  step "unit tests, address and undefined" bazel_tests asan --config=asan --test_env=REMORA_TLS_HANDSHAKES=10000 -- "${sources[@]}"
fi
if wants race; then
  step "shared state, thread" bazel_tests tsan --config=tsan --test_tag_filters=threads --build_tests_only -- "${sources[@]}"
  step "build, thread" bazel build --noshow_progress --config=tsan //proxy:remora
  step "several workers, thread" env REMORA_BIN="$PWD/.bazel-tsan-bin/proxy/remora" REMORA_WORKERS=4 \
    TSAN_OPTIONS="halt_on_error=1:suppressions=$PWD/test/support/tsan.supp" \
    /usr/bin/python3 -m pytest -p no:cacheprovider -q --tb=short --junitxml="$results/pytest-race.xml" \
    test/e2e/test_xds.py test/e2e/test_warming.py test/e2e/test_life.py test/e2e/test_admin.py test/e2e/test_addresses.py
fi
if wants frames && ! wants fuzz; then
  step "fuzz, frames and connections" test/support/run_fuzz.sh 60 "$results" \
    //proxy/http2:server_session_fuzz //proxy/http2:session_fuzz //proxy/connection_manager:connection_fuzz
fi
if wants fuzz; then step "fuzz" test/support/run_fuzz.sh "$fuzz_seconds" "$results"; fi
if wants e2e; then
  step "end to end" end_to_end
fi

/usr/bin/python3 test/support/count_results.py "$results" "$failed_steps"
