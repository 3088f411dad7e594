"""HTTP/1.1 keep-alive: one connection, many, bodies both ways, two workers."""

import http.client

from tools.bench import contenders, machine
from tools.bench.load import Unserved, Wrk
from tools.bench.measure import LoadCase


class Http1(LoadCase):
    peers = ("envoy", "haproxy", "nginx")
    workers = 1

    def __init__(self, name, title, load, answer_bytes=1024):
        self.name, self.title, self._load, self.answer_bytes = name, title, load, answer_bytes

    def load(self, bench):
        return self._load

    def start(self, bench, stack, name, under=None):
        if name == "nginx":
            return contenders.nginx(stack, bench.app.http1)
        if name == "haproxy":
            return contenders.haproxy(stack, bench.app.http1)
        return contenders.by_bootstrap(stack, name, contenders.http_bootstrap(bench.app.http1), under=under)

    def check(self, bench, contender):
        connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=10)
        connection.request("POST" if self._load.body else "GET", self._load.path, self._load.body or None,
                           dict(self._load.headers))
        answer = connection.getresponse()
        if (answer.status, len(answer.read())) != (200, self.answer_bytes):
            raise Unserved(f"{contender.name} answers {answer.status}")
        connection.close()

    def direct(self, bench):
        return bench.app.http1


class Workers(Http1):
    """The same load on one and on two workers, which may use every core that is not the load's, or all of them."""

    peers = ("envoy",)

    def __init__(self, workers):
        super().__init__(f"workers_{workers}", f"HTTP/1.1, 64 connections, {workers} worker{'s' if workers > 1 else ''}", Wrk(64))
        self.workers = workers

    def start(self, bench, stack, name, under=None):
        cores = machine.PROXY_CORES if len(machine.PROXY_CORES) > 1 else machine.CORES
        return contenders.by_bootstrap(stack, name, contenders.http_bootstrap(bench.app.http1), under=under,
                                       workers=self.workers, cores=cores)


CASES = [
    Http1("http1_64", "HTTP/1.1 keep-alive, 64 connections, 1 KiB", Wrk(64)),
    Http1("http1_1", "HTTP/1.1 keep-alive, 1 connection, 1 KiB", Wrk(1)),
    Http1("http1_post", "HTTP/1.1 POST, 16 KiB both ways, 64 connections", Wrk(64, "/16k", b"y" * 16384), 16384),
]
WORKERS = [Workers(1), Workers(2)]
