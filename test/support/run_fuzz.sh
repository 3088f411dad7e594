#!/usr/bin/env bash
# Builds libFuzzer targets with clang (those that are named, or all) and runs each from its seed corpus for some seconds.
# One JUnit file tells the outcome of each target.
#   run_fuzz.sh SECONDS RESULTS [TARGET...]
set -uo pipefail
seconds=$1
results=$2
shift 2
targets=$*
[ -n "$targets" ] ||
  targets=$(bazel query --noshow_progress 'attr(tags, fuzz, kind(cc_binary, //proxy/... + //xds/... + //filters/...))' 2>/dev/null)
[ -n "$targets" ] || { echo "no fuzz targets found"; exit 1; }
# shellcheck disable=SC2086
bazel build --noshow_progress --keep_going --config=fuzz $targets || exit 1
bin=$(bazel info --config=fuzz bazel-bin 2>/dev/null)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fuzz() { # target
  local package=${1#//}
  package=${package%%:*}
  local name=${1##*:}
  local corpus="$PWD/$package/corpus/${name%_fuzz}"
  [ -d "$corpus" ] || corpus="$PWD/$package/corpus/$name"
  mkdir -p "$scratch/$name"
  if (cd "$scratch" && "$bin/$package/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
      "$scratch/$name" "$corpus") >"$scratch/$name.log" 2>&1; then
    echo "<testcase classname=\"fuzz\" name=\"$name\"/>" >"$scratch/$name.xml"
  else
    echo "<testcase classname=\"fuzz\" name=\"$name\"><failure/></testcase>" >"$scratch/$name.xml"
    tail -40 "$scratch/$name.log" >&2
  fi
}

# As many at once as there are processors: each is one thread that waits for nothing.
for target in $targets; do
  [ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
  fuzz "$target" &
done
wait
{
  echo '<testsuite name="fuzz">'
  cat "$scratch"/*.xml
  echo '</testsuite>'
} >"$results/fuzz.xml"
! grep -q '<failure/>' "$results/fuzz.xml"
