#!/bin/bash
# Installs what is missing, builds, and runs the demonstration: a mesh of two hosts on this machine.
# Any user with sudo, or root. `run.sh --help` tells the rest.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
case " $* " in
  *" --help "* | *" -h "*) exec python3 -B "$root/tools/demo/demo.py" --help ;;
esac

"$root/tools/setup/install.sh"

cd "$root"
targets=(//tools/control_plane)
[ -n "${REMORA_BIN:-}" ] || targets+=(//proxy:remora)
bazel build --noshow_progress --ui_event_filters=-info "${targets[@]}"

export REMORA_BIN=${REMORA_BIN:-$root/.bazel-bin/proxy/remora}
export CONTROL_PLANE_BIN=$root/.bazel-bin/tools/control_plane/control_plane
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo "--preserve-env=REMORA_BIN,CONTROL_PLANE_BIN")
fi
exec "${as_root[@]}" python3 -B "$root/tools/demo/demo.py" "$@"
