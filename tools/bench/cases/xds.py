"""Under a control plane: a very large mesh taken over, and endpoints that change all the time."""

import contextlib
import time

from test.support.ads import ads_bootstrap
from test.support.proxy import wait_for
from tools.bench import contenders, control, machine, measure

PATIENCE = 120


class Under:
    """A proxy that has taken over what its control plane has."""

    def __init__(self, stack, name, clusters, assignments):
        self.name, self.plane = name, control.ControlPlane(clusters, assignments)
        stack.callback(self.plane.stop)
        bootstrap = ads_bootstrap(self.plane.port, delta=True)
        del bootstrap["dynamic_resources"]["lds_config"]
        self.proxy = contenders.start_proxy(stack, name, bootstrap, wait=False)
        began = time.monotonic()
        self.proxy.wait_ready(PATIENCE)
        self.ready_ms = (time.monotonic() - began) * 1000
        self.pids = [self.proxy.process.pid]
        self.cpu_ms = machine.cpu_ns(self.pids) / 1e6
        self.must_agree(clusters)

    def must_agree(self, clusters):
        if self.plane.refused:
            raise AssertionError(f"{self.name} refuses: {self.plane.refused[0]}")
        stats = self.proxy.stats("^cluster_manager\\.")
        if (stats["cluster_manager.active_clusters"], stats["cluster_manager.warming_clusters"]) != (len(clusters) + 1, 0):
            raise AssertionError(f"{self.name} has {stats}")


class Large:
    peers = ("envoy",)
    endpoints = 10

    def __init__(self, count):
        self.count = count
        self.name = f"xds_{count}"
        self.title = f"{count:,} clusters with {count * self.endpoints:,} endpoints over xDS"

    def run(self, bench):
        result = measure.Result(self, "ready_cpu_ms")
        clusters, assignments = control.resources(self.count // (10 if bench.quick else 1), self.endpoints)
        for _ in range(min(bench.rounds, 2)):
            for name in bench.contenders(self):
                with contextlib.ExitStack() as stack:
                    under = Under(stack, name, clusters, assignments)
                    found = machine.memory_kib(under.pids)
                    result.add(name, ready_cpu_ms=under.cpu_ms, ready_ms=under.ready_ms,
                               **{kind + "_mib": found[kind] / 1024 for kind in ("anonymous", "rss", "pss")})
        return result


class Updates:
    name, title, peers = "xds_updates", "1,000 endpoint updates a second, per update", ("envoy",)
    clusters, endpoints, rate, beat = 1000, 10, 1000, 0.01

    def run(self, bench):
        result = measure.Result(self, "cpu_us")
        clusters, assignments = control.resources(self.clusters, self.endpoints)
        with contextlib.ExitStack() as stack:
            all_under = [Under(stack, name, clusters, assignments) for name in bench.contenders(self)]
            for number in range(bench.rounds):
                # Each round moves the first endpoint of every cluster to another port, and again.
                made = [(f"c{i % self.clusters}",
                         control.assignment(i % self.clusters, self.endpoints, 9001 + 100 * number + i // self.clusters))
                        for i in range(self.rate * bench.seconds)]
                for under in all_under:
                    self._update(result, under, made, number * len(made))
            for under in all_under:
                under.must_agree(clusters)
                found = machine.memory_kib(under.pids)
                result.put(under.name, rss_mib=found["rss"] / 1024, pss_mib=found["pss"] / 1024)
        result.notes.append(f"{self.clusters:,} clusters of {self.endpoints} endpoints")
        return result

    def _update(self, result, under, made, first):
        messages = [under.plane.response("endpoint", {name: message}, str(first + i)) for i, (name, message) in enumerate(made)]
        before, began, sent = machine.cpu_ns(under.pids), time.monotonic(), 0
        while sent < len(messages):
            due = int((time.monotonic() - began) * self.rate) + 1
            for message in messages[sent:due]:
                under.plane.push(message)
            sent = max(sent, min(due, len(messages)))
            time.sleep(self.beat)
        wait_for(lambda: under.plane.acked >= first + len(made) - 1, PATIENCE, "the last update is acknowledged")
        taken = time.monotonic() - began
        result.add(under.name, cpu_us=(machine.cpu_ns(under.pids) - before) / 1000 / len(made), rate=len(made) / taken)


CASES = [Large(10000), Updates()]
