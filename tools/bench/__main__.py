"""What a request, a connection, a configuration costs Remora, held against its peers. tools/bench/run.sh starts this.

Each contender is pinned to one core with one worker, load and application to the others; contenders take turns in every round.
CPU time is that of all threads of the contender (/proc/PID/task/*/schedstat). A case fails when a request is not answered
with 200. REMORA_BIN and ENVOY_BIN name the binaries.
"""

import argparse
import os
import sys
import tempfile
import time
import traceback

from tools.bench import chart, machine, report
from tools.bench.application import application
from tools.bench.cases import CASES
from tools.bench.contenders import BINARIES

PEERS = ("envoy", "haproxy", "nginx")


class Bench:
    def __init__(self, options, folder, app):
        self.folder, self.app, self.quick = folder, app, options.quick
        self.rounds = options.rounds or (1 if options.quick else 5)
        self.seconds = options.seconds or (1 if options.quick else 2)
        self.peers = options.peer or PEERS

    def contenders(self, case):
        """Those that take part: the case must know them, the user want them, Envoy be there."""
        return ["remora", *(p for p in case.peers if p in self.peers and (p != "envoy" or BINARIES["envoy"]))]


def parse():
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(prog="tools/bench/run.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter, epilog="cases: " + " ".join(names))
    parser.add_argument("--case", action="append", metavar="NAME", help="only this case; may be repeated; X* for all that begin so")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this peer; may be repeated")
    parser.add_argument("--rounds", type=int, help="5, or 1 when quick")
    parser.add_argument("--seconds", type=int, help="of load on each contender in each round: 2, or 1 when quick")
    parser.add_argument("--quick", action="store_true", help="one round, small sizes: to see that it works, not to quote")
    parser.add_argument("--json", metavar="FILE", help="write all figures of all rounds here")
    parser.add_argument("--svg", metavar="FILE", help="draw the whole here")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables of all cases and of the goals here")
    options = parser.parse_args()

    def wanted(name):
        return not options.case or any(name == c or (c.endswith("*") and name.startswith(c[:-1])) for c in options.case)

    chosen = [case for case in CASES if wanted(case.name)]
    if not chosen:
        parser.error("no such case; there are " + " ".join(names))
    return options, chosen


def main():
    options, chosen = parse()
    machine.allow_many_files()
    description = machine.description(BINARIES)
    print("\n".join(f"{name}: {value}" for name, value in description.items()), "", sep="\n", flush=True)
    os.sched_setaffinity(0, machine.LOAD_CORES)  # of this process and of what it starts, but the contenders
    results, failed = [], []
    with tempfile.TemporaryDirectory(prefix="remora-bench-") as folder, application(os.path.join(folder, "app")) as app:
        bench = Bench(options, folder, app)
        for case in chosen:
            began = time.monotonic()
            try:
                results.append(case.run(bench))
            except Exception:  # the other cases are measured all the same, and the run fails at its end
                failed.append(case.name)
                print(f"=== {case.name} failed\n{traceback.format_exc()}", flush=True)
                continue
            print(report.table(results[-1]), f"  took {time.monotonic() - began:.0f} s\n", sep="\n", flush=True)
    if len(results) > 1:
        print(report.summary(results))
    if options.json:
        report.write_json(options.json, description, results)
    if options.markdown:
        with open(options.markdown, "w") as f:
            f.write(report.markdown(results))
    if options.svg:
        chart.write(options.svg, description, results)
    if failed:
        sys.exit("failed: " + " ".join(failed))


if __name__ == "__main__":
    main()
