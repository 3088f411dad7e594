"""TCP passed through: small exchanges, and bulk."""

from tools.bench import contenders
from tools.bench.application import BULK_BYTES
from tools.bench.cases.http1 import Http1
from tools.bench.load import Wrk


class Tcp(Http1):
    def start(self, bench, stack, name, under=None):
        if name in ("nginx", "haproxy"):
            return getattr(contenders, name)(stack, bench.app.http1, tcp=True)
        return contenders.by_bootstrap(stack, name, contenders.tcp_bootstrap(bench.app.http1), under=under)


class Bulk(Tcp):
    paced = False
    traced_requests, counted_requests, fewest = 40, 40, 8

    def run(self, bench):
        result = super().run(bench)
        result.primary, result.more_is_better = "gb_per_cpu_second", True
        for found in result.figures.values():
            found["gb_per_cpu_second"] = [BULK_BYTES / 1e3 / cpu_us for cpu_us in found.pop("cpu_us")]
        result.notes.append(f"a request is {BULK_BYTES >> 20} MiB")
        return result


CASES = [
    Tcp("tcp_small", "TCP, exchanges of 1 KiB on 64 connections", Wrk(64)),
    Bulk("tcp_bulk", "TCP, bulk, 4 connections", Wrk(4, "/bulk"), BULK_BYTES),
]
