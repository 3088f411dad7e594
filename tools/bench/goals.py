"""What Remora is to reach, and whether a run has reached it."""

import statistics


class Relative:
    """At most so much of a peer's figure, by the median of the rounds."""

    def __init__(self, case, peer, factor, name="cpu_us", unit="us"):
        self.case, self.peer, self.factor, self.name, self.unit = case, peer, factor, name, unit

    def judge(self, result):
        own, other = result.value("remora", self.name), result.value(self.peer, self.name)
        if own is None or not other:
            return None
        wanted = self.peer if self.factor == 1 else f"{self.factor} of {self.peer}"
        return f"at most {wanted}: {other * self.factor:.1f} {self.unit}", f"{own:.1f} {self.unit}", own <= other * self.factor


class Absolute:
    """At most so much."""

    def __init__(self, case, name, limit, unit):
        self.case, self.name, self.limit, self.unit = case, name, limit, unit

    def judge(self, result):
        own = result.value("remora", self.name)
        return None if own is None else (f"at most {self.limit} {self.unit}", f"{own:.2f} {self.unit}", own <= self.limit)


class Added:
    """At most so much of the latency that a peer adds to the way without a proxy."""

    def __init__(self, case, peer, factor, name):
        self.case, self.peer, self.factor, self.name = case, peer, factor, name

    def judge(self, result):
        direct, own, other = (result.figures.get(who, {}).get(self.name) for who in ("direct", "remora", self.peer))
        if not (direct and own and other):
            return None
        base = statistics.median(direct)
        added, limit = statistics.median(own) - base, self.factor * (statistics.median(other) - base)
        return f"adds at most {self.factor} of what {self.peer} adds: {limit:.2f} ms", f"{added:.2f} ms", added <= limit


GOALS = [
    Relative("http1_64", "nginx", 1),
    Relative("http1_64", "envoy", 0.25),
    Absolute("http1_64", "system_calls", 5, "system calls"),
    Relative("http1_1", "nginx", 1),
    Relative("http2", "envoy", 0.35),
    Relative("tcp_small", "nginx", 1),
    Relative("pair_http1", "envoy", 0.33),
    Relative("pair_http2", "envoy", 0.4),
    Added("pair_http1", "envoy", 0.5, "p99_ms_fixed"),
    Added("pair_http2", "envoy", 0.5, "p99_ms_fixed"),
    Relative("handshake_full", "envoy", 1),
    Absolute("start", "private_mib", 8, "MiB private"),
    Absolute("idle_connections", "kib_per_connection", 3, "KiB"),
    Absolute("clusters_2000", "anonymous_mib", 20, "MiB"),
    Absolute("clusters_2000", "ready_cpu_ms", 200, "ms of CPU"),
]


def judged(results):
    """Rows of case, goal, figure and whether it is met, of the goals that this run has figures for."""
    by_name = {result.name: result for result in results}
    rows = []
    for goal in GOALS:
        found = goal.judge(by_name[goal.case]) if goal.case in by_name else None
        if found:
            wanted, reached, met = found
            rows.append([goal.case, wanted, reached, "met" if met else "not met"])
    return rows
