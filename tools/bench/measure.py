"""How a load is measured on contenders: the same steps for every case that counts requests."""

import contextlib
import glob
import re
import signal
import statistics
import subprocess
import tempfile

from tools.bench import machine

CALLGRIND = "valgrind -q --tool=callgrind --callgrind-out-file={}/%p"


class Result:
    """What a case has found: a figure, or one of each round, by contender and by name of the figure."""

    def __init__(self, case, primary, more_is_better=False):
        self.name, self.title, self.primary, self.more_is_better = case.name, case.title, primary, more_is_better
        self.figures = {}  # contender -> name of the figure -> number or list of numbers
        self.notes = []

    def put(self, contender, **figures):
        self.figures.setdefault(contender, {}).update(figures)

    def add(self, contender, **figures):
        for name, value in figures.items():
            self.figures.setdefault(contender, {}).setdefault(name, []).append(value)

    def value(self, contender, name=None):
        found = self.figures.get(contender, {}).get(name or self.primary)
        return statistics.median(found) if isinstance(found, list) else found

    def ratio(self, peer):
        """Remora's figure over the peer's."""
        own, other = self.value("remora"), self.value(peer)
        return own / other if own is not None and other else None


def system_calls(contender, go):
    """How many system calls the contender makes while `go` runs; `go` tells for how many requests."""
    with tempfile.NamedTemporaryFile("r") as report:
        command = ["strace", "-c", "-f", "-o", report.name]
        for pid in contender.pids:
            command += ["-p", str(pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            tracer.stderr.readline()  # "Process N attached"
            done = go()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()
        total = re.search(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?total$", report.read(), re.M)
    return int(total.group(1)) / done.requests


def instructions(start, load, requests):
    """Instructions in user space per request. `start(stack, under=...)` gives a Remora that runs under callgrind."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="remora-bench-"))
        contender = start(stack, under=CALLGRIND.format(folder))
        load.count(contender.port, requests)  # connections are made, tables are warm

        def dump():
            total = 0
            for pid in contender.pids:
                seen = set(glob.glob(f"{folder}/{pid}.*"))
                subprocess.run(["callgrind_control", "-d", str(pid)], capture_output=True, check=True)
                for path in set(glob.glob(f"{folder}/{pid}.*")) - seen:
                    with open(path) as f:
                        total += int(re.search(r"^(?:totals|summary):\s+(\d+)", f.read(), re.M).group(1))
            return total

        dump()  # and begins at zero again
        done = load.count(contender.port, requests)
        return dump() / done.requests


def rounds(result, bench, contenders, load):
    """CPU time and rate of every contender, in turn, round by round."""
    for contender in contenders:
        load.run(contender.port, 1)  # connections are made, tables are warm
    for _ in range(bench.rounds):
        for contender in contenders:
            before = contender.cpu_ns()
            done = load.run(contender.port, bench.seconds)
            result.add(contender.name, cpu_us=(contender.cpu_ns() - before) / 1000 / done.requests,
                       rate=done.requests / done.seconds)


def latency(result, bench, contenders, load, direct=None, rate=None, suffix=""):
    """p50 and p99 at one rate for all: 30% of what the slowest could do. `direct` is the port without a proxy."""
    rate = rate or max(20, int(0.3 * min(result.value(c.name, "rate") for c in contenders)))
    ways = [(c.name, c.port) for c in contenders] + ([("direct", direct)] if direct else [])
    found = {name: [] for name, _ in ways}
    for _ in range(1 if bench.quick else 3):
        for name, port in ways:
            found[name].append(load.latency(port, rate, bench.seconds))
    for name, pairs in found.items():
        result.put(name, **{"p50_ms" + suffix: [p[0] for p in pairs], "p99_ms" + suffix: [p[1] for p in pairs]})
    result.notes.append(f"p50 and p99{suffix.replace('_', ' ')} at {rate} requests per second")


def memory(result, contenders):
    for contender in contenders:
        found = contender.memory_kib()
        result.put(contender.name, rss_mib=found["rss"] / 1024, pss_mib=found["pss"] / 1024,
                   private_mib=found["private"] / 1024)


class LoadCase:
    """A case that counts what each request costs. `start(bench, stack, name, under)` makes one contender."""

    peers = ("envoy",)
    name = title = ""
    fixed_rate = None  # one more measurement of latency at this rate
    traced_requests, counted_requests, fewest = 4000, 2000, 100  # under strace; under callgrind; when quick, of both
    paced = True  # whether latency means anything

    def load(self, bench):
        raise NotImplementedError

    def start(self, bench, stack, name, under=None):
        raise NotImplementedError

    def check(self, bench, contender):
        """One answer, looked at closely. What load follows counts statuses only."""

    def direct(self, bench):
        """The port of the application itself, for the latency without a proxy."""
        return None

    def run(self, bench):
        result = Result(self, "cpu_us")
        load = self.load(bench)
        with contextlib.ExitStack() as stack:
            contenders = [self.start(bench, stack, name) for name in bench.contenders(self)]
            for contender in contenders:
                self.check(bench, contender)
            rounds(result, bench, contenders, load)
            traced = max(self.fewest, self.traced_requests // (10 if bench.quick else 1))
            for contender in contenders:
                result.put(contender.name, system_calls=system_calls(contender, lambda: load.count(contender.port, traced)))
            if self.paced:
                latency(result, bench, contenders, load, self.direct(bench))
            if self.fixed_rate:
                latency(result, bench, contenders, load, self.direct(bench), self.fixed_rate, "_fixed")
            memory(result, contenders)
        result.put("remora", instructions=instructions(
            lambda stack, under: self.start(bench, stack, "remora", under), load,
            max(self.fewest, self.counted_requests // (10 if bench.quick else 1))))
        return result
