"""Mutual TLS 1.3 handshakes with P-256 keys: full ones, and sessions that are taken up again."""

import socket
import ssl
import tempfile
import time

from test.support import proxy as px
from tools.bench import contenders
from tools.bench.load import Done, Unserved
from tools.bench.measure import LoadCase
from tools.bench.tls import Identities

REQUEST = b"GET / HTTP/1.1\r\nhost: server.bench\r\nconnection: close\r\n\r\n"


class Handshakes:
    """Connections one after another, a request on each."""

    def __init__(self, identities, resumed):
        self.resumed, self.sessions = resumed, {}  # port -> the last session
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_verify_locations(cadata=identities.root.certificate)
        self.context.load_cert_chain(identities.pairs["client"].certificate_path, identities.pairs["client"].key_path)

    def _one(self, port):
        session = self.sessions.get(port) if self.resumed else None
        with socket.create_connection(("127.0.0.1", port), 10) as raw, \
                self.context.wrap_socket(raw, server_hostname="server.bench", session=session) as tls:
            tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls.sendall(REQUEST)
            answer = b""
            while not answer.endswith(b"\r\n\r\nok") and (data := tls.recv(4096)):
                answer += data
            if not answer.startswith(b"HTTP/1.1 200 ") or (session and not tls.session_reused):
                raise Unserved(answer[:100])
            self.sessions[port] = tls.session

    def run(self, port, seconds):
        began, made = time.monotonic(), 0
        while time.monotonic() < began + seconds:
            self._one(port)
            made += 1
        return Done(made, time.monotonic() - began)

    def count(self, port, requests):
        began = time.monotonic()
        for _ in range(requests):
            self._one(port)
        return Done(requests, time.monotonic() - began)


class Handshake(LoadCase):
    peers = ("envoy",)
    paced = False
    traced_requests, counted_requests, fewest = 500, 200, 50

    def __init__(self, name, title, resumed):
        self.name, self.title, self.resumed = name, title, resumed

    def run(self, bench):
        with tempfile.TemporaryDirectory(prefix="remora-bench-") as folder:
            self.identities = Identities(folder)
            return super().run(bench)

    def load(self, bench):
        return Handshakes(self.identities, self.resumed)

    def start(self, bench, stack, name, under=None):
        answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
        listener = px.static_listener("in", px.http_filter_chain([answer]))
        listener["filter_chains"][0]["transport_socket"] = self.identities.downstream("http/1.1")
        return contenders.by_bootstrap(stack, name, px.static_bootstrap([listener], []), under=under)


CASES = [
    Handshake("handshake_full", "Full mutual TLS 1.3 handshake, P-256, with one request", False),
    Handshake("handshake_resumed", "Resumed mutual TLS 1.3 handshake, with one request", True),
]
