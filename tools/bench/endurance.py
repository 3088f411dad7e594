#!/usr/bin/env python3
"""Many millions of requests through one process; fails when its memory at the end is more than after the first million.

    REMORA_BIN=.bazel-bin/proxy/remora /usr/bin/python3 tools/bench/endurance.py [--requests N]

Connections come and go: each round of load opens its own 64. Every tenth round posts 16 KiB and gets as much back.
"""

import argparse
import contextlib
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from tools.bench import contenders, machine  # noqa: E402
from tools.bench.application import application  # noqa: E402
from tools.bench.load import Wrk  # noqa: E402

MILLION = 1_000_000
ALLOWED_KIB = 128  # what a reading of the same process differs by from one moment to the next


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=24 * MILLION)
    options = parser.parse_args()
    if options.requests < 2 * MILLION:
        parser.error("at least two million requests: the first is what the others are held against")
    loads = [Wrk(64, "/16k", b"y" * 16384), *[Wrk(64)] * 9]
    os.sched_setaffinity(0, machine.LOAD_CORES)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="remora-bench-"))
        app = stack.enter_context(application(os.path.join(folder, "app")))
        remora = contenders.by_bootstrap(stack, "remora", contenders.http_bootstrap(app.http1))
        done, rounds, told, first = 0, 0, 0, None
        while done < options.requests:
            done += loads[rounds % len(loads)].run(remora.port, 5).requests
            rounds += 1
            if done // MILLION == told:
                continue
            told = done // MILLION
            now = remora.memory_kib()
            first = first or now
            print(f"{done:>11,} requests: {now['anonymous']} KiB anonymous, {now['rss']} KiB resident", flush=True)
        last = remora.memory_kib()
    print(f"anonymous memory after the first million {first['anonymous']} KiB, at the end {last['anonymous']} KiB")
    sys.exit(0 if last["anonymous"] <= first["anonymous"] + ALLOWED_KIB else 1)


if __name__ == "__main__":
    main()
