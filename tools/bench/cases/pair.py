"""Two sidecars that speak mutual TLS to each other; the figures are of both together.

    load -> sidecar (client) == mutual TLS ==> sidecar (server) -> application
"""

import tempfile

from test.support import proxy as px
from tools.bench import contenders
from tools.bench.cases.http1 import Http1
from tools.bench.load import H2load
from tools.bench.tls import Identities

ROUTE = {"match": {"prefix": "/"}, "route": {"cluster": "next", "retry_policy": contenders.RETRY}}


class Pair(Http1):
    peers = ("envoy",)
    fixed_rate = 1000

    def __init__(self, name, title, alpn, **cluster):
        # wrk leaves requests unanswered at its end, and with them the connections between the sidecars: the handshakes that
        # follow would be in the figures.
        super().__init__(name, title, H2load(64, 1, http1=True))
        self.alpn, self.cluster = alpn, cluster

    def start(self, bench, stack, name, under=None):
        identities = Identities(stack.enter_context(tempfile.TemporaryDirectory(prefix="remora-bench-")))

        def sidecar(cluster, **chain):
            listener = px.static_listener("in", px.http_filter_chain([ROUTE]))
            listener["filter_chains"][0].update(chain)
            return contenders.start_proxy(stack, name, px.static_bootstrap([listener], [cluster]), under=under)

        app = px.static_cluster("next")
        app["load_assignment"]["endpoints"][0]["lb_endpoints"] = [{"endpoint": {"address": {"pipe": {"path": bench.app.path}}}}]
        server = sidecar(app, transport_socket=identities.downstream(self.alpn))
        client = sidecar(px.static_cluster("next", server.port("in"), transport_socket=identities.upstream(self.alpn),
                                           connect_timeout="10s", **self.cluster))  # callgrind is slow
        pair = [client, server]
        return contenders.Contender(name, [proxy.process.pid for proxy in pair], client.port("in"), pair)


CASES = [
    Pair("pair_http1", "Pair of sidecars, mutual TLS, HTTP/1.1 between them, 64 connections, 1 KiB", "http/1.1"),
    Pair("pair_http2", "Pair of sidecars, mutual TLS, HTTP/2 between them, 64 connections, 1 KiB", "h2", **contenders.HTTP2),
]
