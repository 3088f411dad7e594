"""Instructions that one operation of each micro-benchmark takes, by callgrind, against the baseline in the tree.

    tools/bench/micro.sh [--update] [--junit FILE] [NAME...]

Each benchmark runs twice under callgrind, with two numbers of iterations; the difference over that of the numbers is what one
operation takes, free of what start-up takes. Fails when one takes 15% more than the baseline says, or is not in it.
`--update` writes the baseline anew; `--junit` writes what rose and what did not as test results. NAME: only benchmarks with this in their name, as "parser" or "balancer/ring_hash".
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASELINE = os.path.join(ROOT, "tools", "bench", "micro_baseline.txt")
FEW, MANY = 200, 1200
RISE = 1.15


def benchmarks(binary):
    out = subprocess.run([binary, "--benchmark_list_tests"], capture_output=True, text=True, check=True).stdout
    return [re.sub(r"/iterations:\d+", "", name) for name in out.split()]


def collected(binary, name, iterations):
    """Instructions of a whole run."""
    with tempfile.TemporaryDirectory(prefix="remora-bench-") as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", binary,
             f"--benchmark_filter=^{name}(/iterations:.*)?$"],
            capture_output=True, text=True, env={**os.environ, "REMORA_BENCH_ITERATIONS": str(iterations)}, check=False,
            timeout=120)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or "ERROR OCCURRED" in done.stdout:
        raise RuntimeError(f"{binary} {name} failed:\n{done.stdout}{done.stderr}")
    return int(found.group(1))


def of_one_operation(task):
    _, binary, name = task
    return round((collected(binary, name, MANY) - collected(binary, name, FEW)) / (MANY - FEW))


def read_baseline():
    if not os.path.exists(BASELINE):
        return {}
    with open(BASELINE) as f:
        return {name: int(count) for name, count in (line.split() for line in f if line.strip())}


def measure(binaries, wanted):
    tasks = []
    for binary in binaries:
        room = os.path.basename(binary).removesuffix("_bench")
        tasks += [(f"{room}/{name}", os.path.join(ROOT, binary), name) for name in benchmarks(os.path.join(ROOT, binary))]
    if wanted:
        tasks = [task for task in tasks if any(part in task[0] for part in wanted)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip((task[0] for task in tasks), pool.map(of_one_operation, tasks)))


def write_junit(path, found, worse):
    cases = "".join(f'<testcase classname="micro" name="{name}">{"<failure/>" if name in worse else ""}</testcase>\n'
                    for name in found)
    with open(path, "w") as f:
        f.write(f'<testsuite name="micro">\n{cases}</testsuite>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--junit", metavar="FILE")
    parser.add_argument("--binaries", nargs="+", required=True, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    baseline = read_baseline()
    found = measure(options.binaries, options.names)
    worse = []
    for name, count in found.items():
        before = baseline.get(name)
        print(f"{name:40} {count:8}" + (f"  {count / before:6.2f} of {before}" if before else "  not in the baseline"))
        if not before or count > before * RISE:
            worse.append(name)
    if options.junit:
        write_junit(options.junit, found, worse)
    if options.update:
        with open(BASELINE, "w") as f:
            f.writelines(f"{name} {count}\n" for name, count in sorted({**baseline, **found}.items()))
        return
    if worse:
        sys.exit("more instructions than the baseline allows: " + " ".join(worse))


if __name__ == "__main__":
    main()
