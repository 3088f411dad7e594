"""From nothing to serving: start, and a large configuration from a file."""

import contextlib
import socket
import time

from test.support import proxy as px
from tools.bench import contenders, machine, measure

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


def served(port):
    """Whether a request is answered with 200 there."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as client:
            client.settimeout(1)
            client.sendall(REQUEST)
            return client.recv(4096).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


class Start:
    """The smallest configuration that passes a request on: time from exec to the first answer, and memory then."""

    name, title, peers = "start", "Start until the first answer, and memory when idle", ("envoy", "haproxy", "nginx")

    def _start(self, bench, stack, name):
        if name in ("nginx", "haproxy"):
            return getattr(contenders, name)(stack, bench.app.http1, wait=False)
        bootstrap = contenders.http_bootstrap(bench.app.http1)
        port = machine.free_port()
        bootstrap["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = port
        proxy = contenders.start_proxy(stack, name, bootstrap, wait=False)
        return contenders.Contender(name, [proxy.process.pid], port, [proxy])

    def run(self, bench):
        result = measure.Result(self, "start_ms")
        for _ in range(bench.rounds):
            for name in bench.contenders(self):
                with contextlib.ExitStack() as stack:
                    contender = self._start(bench, stack, name)
                    began = time.monotonic()
                    while not served(contender.port):
                        if time.monotonic() > began + 20:
                            raise AssertionError(f"{name} does not serve")
                    result.add(name, start_ms=(time.monotonic() - began) * 1000, ready_cpu_ms=contender.cpu_ns() / 1e6)
                    found = contender.memory_kib()
                    result.add(name, **{kind + "_mib": found[kind] / 1024 for kind in ("rss", "pss", "private")})
        return result


class Large:
    """Clusters of five endpoints each, and as many virtual hosts, in the bootstrap."""

    peers = ("envoy",)

    def __init__(self, count):
        self.count = count
        self.name, self.title = f"clusters_{count}", f"{count:,} clusters of 5 endpoints and {count:,} virtual hosts in a file"

    def _bootstrap(self, bench, count):
        hosts = [{"name": f"v{i}", "domains": [f"s{i}.ns.svc.cluster.local", f"s{i}.ns.svc.cluster.local:80"],
                  "routes": [{"match": {"prefix": "/"}, "route": {"cluster": f"c{i}", "retry_policy": contenders.RETRY}}]}
                 for i in range(count)]
        hosts.append({"name": "rest", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]})
        clusters = [px.static_cluster(f"c{i}", *range(20001, 20006)) for i in range(count)]
        filters = px.http_filter_chain({"name": "local", "virtual_hosts": hosts})
        return px.static_bootstrap([px.static_listener("in", filters)], [*clusters, px.static_cluster("app", bench.app.http1)])

    def run(self, bench):
        result = measure.Result(self, "anonymous_mib")
        bootstrap = self._bootstrap(bench, self.count // (10 if bench.quick else 1))
        for _ in range(min(bench.rounds, 3)):
            for name in bench.contenders(self):
                with contextlib.ExitStack() as stack:
                    proxy = contenders.start_proxy(stack, name, bootstrap, wait=False)
                    began = time.monotonic()
                    proxy.wait_ready(120)
                    pids = [proxy.process.pid]
                    found = machine.memory_kib(pids)
                    result.add(name, ready_cpu_ms=machine.cpu_ns(pids) / 1e6, ready_ms=(time.monotonic() - began) * 1000,
                               **{kind + "_mib": found[kind] / 1024 for kind in ("anonymous", "rss", "pss")})
                    if not served(proxy.port("in")):
                        raise AssertionError(f"{name} does not serve")
        return result


CASES = [Start(), Large(2000)]
