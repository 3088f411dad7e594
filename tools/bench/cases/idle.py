"""Memory of connections that do nothing."""

import contextlib
import socket

from test.support.proxy import wait_for
from tools.bench import measure
from tools.bench.cases.http1 import Http1
from tools.bench.load import Unserved, Wrk

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Idle(Http1):
    """Each connection has had one answer and then stays open."""

    def __init__(self, count):
        super().__init__("idle_connections", f"{count:,} idle keep-alive connections, memory of one", Wrk(16))
        self.count = count

    def run(self, bench):
        result = measure.Result(self, "kib_per_connection")
        count = self.count // (10 if bench.quick else 1)
        for _ in range(min(bench.rounds, 3)):
            for name in bench.contenders(self):
                with contextlib.ExitStack() as stack:
                    contender = self.start(bench, stack, name)
                    self.check(bench, contender)
                    before, cpu = contender.memory_kib(), contender.cpu_ns()
                    for _ in range(count):
                        one = stack.enter_context(socket.create_connection(("127.0.0.1", contender.port), 10))
                        one.sendall(REQUEST)
                        if not one.recv(4096).startswith(b"HTTP/1.1 200 "):
                            raise Unserved(name)
                    spent = contender.cpu_ns() - cpu
                    after = self._settled(contender)
                    result.add(name, kib_per_connection=(after["private"] - before["private"]) / count,
                               cpu_us=spent / 1000 / count, rss_mib=after["rss"] / 1024, pss_mib=after["pss"] / 1024)
        result.notes.append("CPU is of a connection made, with one request")
        return result

    @staticmethod
    def _settled(contender):
        """Memory when it no longer changes."""
        seen = [contender.memory_kib()]

        def still():
            seen.append(contender.memory_kib())
            return len(seen) > 20 and seen[-1] == seen[-20]

        wait_for(still, 20, "memory settles")
        return seen[-1]


CASES = [Idle(5000)]
