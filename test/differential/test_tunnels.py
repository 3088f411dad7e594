"""Upgrades and tunnels: the same static bootstrap and the same bytes for Envoy and for Remora."""

import os
import re
import socket
import struct
import time

import pytest

from test.differential.exchange import LOG_FORMAT, normal_bytes
from test.differential.tunnel_exchanges import ALL
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import ClosedPort, Upstream

PATIENCE = 5.0


class Side:
    """One proxy with a listener, a cluster, an upstream and an access log per exchange."""

    def __init__(self, binary, directory):
        self.directory = directory
        self.closed_port = ClosedPort()
        self.upstreams = {}
        listeners, clusters = [], []
        for e in ALL:
            self.upstreams[e.name] = Upstream(e.script)
            port = self.upstreams[e.name].port if e.upstream else self.closed_port.port
            clusters.append(px.static_cluster(e.name, port))
            routes = [{"match": e.match, "route": {"cluster": e.name, **e.route}}]
            log = px.file_access_log(self.log_path(e), LOG_FORMAT)
            listeners.append(px.static_listener(e.name, px.http_filter_chain(routes, e.name, log, **e.hcm)))
        self.proxy = px.Proxy(binary, px.static_bootstrap(listeners, clusters),
                              args=["--file-flush-interval-msec", "20", "-l", "warning"], directory=directory)
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def log_path(self, exchange):
        return os.path.join(self.directory, exchange.name + ".log")

    def close(self):
        self.proxy.stop()
        self.closed_port.close()
        for upstream in self.upstreams.values():
            upstream.close()

    def run(self, exchange):
        """What the client, the upstream and the access log saw, with what may vary taken out."""
        with Client(self.ports[exchange.name], timeout=PATIENCE) as client:
            got = b""
            for step in exchange.steps:
                if isinstance(step, bytes):
                    client.send(step)
                elif step[0] == "until":
                    got += self._until(client, step[1], got)
                elif step[0] == "end":
                    client.sock.shutdown(socket.SHUT_WR)
            if not exchange.ends:
                # A plain end would be a half-close, which the two take differently.
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                assert client.read_end(PATIENCE) in ("fin", "reset"), "the proxy did not end the connection"
                got += client.buffer
        return {
            "client": normal_answer(got),
            "forwarded": [normal_bytes(c) for c in self.upstreams[exchange.name].received() if c],
            "log": self._log_line(exchange),
        }

    @staticmethod
    def _until(client, marker, before):
        deadline = time.monotonic() + PATIENCE
        while marker not in before + client.buffer and not client.ended and client._more(deadline):
            pass
        got, client.buffer = client.buffer, b""
        return got

    def _log_line(self, exchange):
        def read():
            try:
                with open(self.log_path(exchange)) as f:
                    return f.read()
            except FileNotFoundError:
                return ""

        return px.wait_for(read, PATIENCE, "access log")


def normal_answer(data):
    data = re.sub(rb"date: [^\r]*", b"date: <date>", data)
    return re.sub(rb"x-envoy-upstream-service-time: \d+", b"x-envoy-upstream-service-time: <ms>", data)


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    envoy = Side(px.ENVOY, str(tmp_path_factory.mktemp("envoy")))
    remora = Side(px.REMORA, str(tmp_path_factory.mktemp("remora")))
    yield envoy, remora
    envoy.close()
    remora.close()


@pytest.mark.parametrize("exchange", ALL, ids=lambda e: e.name)
def test_same_as_envoy(sides, exchange):
    envoy, remora = sides
    theirs = envoy.run(exchange)
    ours = remora.run(exchange)
    assert remora.proxy.alive(), remora.proxy.output()
    for key, reason in exchange.differs.items():
        assert reason, "a difference needs its reason"
        ours.pop(key)
        theirs.pop(key)
    assert ours == theirs
