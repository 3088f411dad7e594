"""Which filter chain serves a connection: Envoy and Remora with the same random chains, and the same connections from and to
every kind of address, in plain text and with every kind of TLS greeting.
"""

import os
import random
import socket
import threading
import time

import pytest

from test.support import hello, proxy_header
from test.support import proxy as px
from test.support.client import Client

SEED = 20
LISTENERS = 24
CHAINS = 10
CONNECTIONS = 30

# A criterion and the values that chains may have for it; None: the chain does not ask.
CRITERIA = {
    "destination_port": [80, 443],
    "prefix_ranges": ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "fd00::/8", "fd00::1/128"],
    "server_names": ["a.example", "*.example", "*.b.example", "x.b.example"],
    "transport_protocol": ["tls", "raw_buffer"],
    "application_protocols": ["h2", "http/1.1", "http/1.0", "istio"],
    "direct_source_prefix_ranges": ["127.0.0.0/8", "127.0.0.1/32", "10.0.0.0/8"],
    "source_type": ["SAME_IP_OR_LOOPBACK", "EXTERNAL"],
    "source_prefix_ranges": ["10.0.0.0/8", "10.9.0.0/16", "fd00::/8"],
    "source_ports": [5000, 6000],
}
ADDRESSES = {
    4: (["10.1.2.3", "10.1.9.9", "10.200.0.1", "192.0.2.1"], ["10.9.1.1", "10.1.2.3", "127.0.0.1", "198.51.100.7"]),
    6: (["fd00::1", "fd00::2", "2001:db8::1"], ["fd00::1", "fd00::9", "::1", "2001:db8::2"]),
}
NAMES = [None, b"a.example", b"A.EXAMPLE", b"x.b.example", b"y.b.example", b"b.example", b"example", b"other.org"]
PROTOCOLS = [[], [b"h2", b"http/1.1"], [b"http/1.1", b"h2"], [b"istio"], [b"unheard", b"istio"]]
PLAIN = [b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"220 hello there\r\n\r\n"]


def cidr(text):
    prefix, length = text.split("/")
    return {"address_prefix": prefix, "prefix_len": int(length)}


def match_of(chosen):
    match = {}
    for name, value in chosen.items():
        value = cidr(value) if name.endswith("prefix_ranges") else value
        match[name] = value if name in ("destination_port", "transport_protocol", "source_type") else [value]
    return match


def chain(name, match=None):
    made = {"name": name, "filters": px.tcp_filter_chain(name, name)}
    if match:
        made["filter_chain_match"] = match
    return made


def random_listener(rng, index):
    chosen = []
    while len(chosen) < CHAINS:
        asked = rng.sample(sorted(CRITERIA), rng.choice([0, 1, 1, 2, 2, 3, 4]))
        one = {name: rng.choice(CRITERIA[name]) for name in asked}
        if one not in chosen:  # equal ones are refused
            chosen.append(one)
    inspectors = [
        px.typed(f"envoy.filters.listener.{name}", f"envoy.extensions.filters.listener.{name}.v3.{message}")
        for name, message in (("proxy_protocol", "ProxyProtocol"), ("tls_inspector", "TlsInspector"),
                              ("http_inspector", "HttpInspector"))]
    listener = px.static_listener(f"l{index}", [], listener_filters=inspectors)
    listener["filter_chains"] = [chain(f"chain-{i}", match_of(one)) for i, one in enumerate(chosen)]
    if index % 2:
        listener["default_filter_chain"] = chain("default")
    return listener


def random_connection(rng):
    """The bytes of a connection that came from somewhere, was going somewhere, and begins to speak."""
    family = rng.choice([4, 4, 6])
    to, source = (rng.choice(addresses) for addresses in ADDRESSES[family])
    ports = rng.choice([5000, 6000, 7000]), rng.choice([80, 443, 8080])
    header = proxy_header.line(f"TCP{family} {source} {to} {ports[0]} {ports[1]}".encode())
    if rng.random() < 0.4:
        return header + rng.choice(PLAIN)
    name, protocols = rng.choice(NAMES), rng.choice(PROTOCOLS)
    extensions = (hello.server_name(name) if name else b"") + (hello.protocols(*protocols) if protocols else b"")
    return header + hello.hello(extensions + hello.USUAL)


class Announcer:
    """Says its name to whoever connects."""

    def __init__(self, name):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.name = name.encode()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                sock.sendall(self.name + b"\n")
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Side:
    def __init__(self, binary, listeners, announcers, directory):
        clusters = [px.static_cluster(name, announcer.port) for name, announcer in announcers.items()]
        self.proxy = px.Proxy(binary, px.static_bootstrap(listeners, clusters), args=["-l", "error"], directory=directory)
        self.ports = {name: port for name, (_, port) in self.proxy.listeners().items()}

    def serves(self, listener, data):
        with Client(self.ports[listener]) as client:
            client.send(data)
            while b"\n" not in client.buffer and not client.ended and client._more(time.monotonic() + 5):
                pass
            return client.buffer.decode().strip() or "nobody"


@pytest.fixture(scope="module")
def announcers():
    made = {name: Announcer(name) for name in [f"chain-{i}" for i in range(CHAINS)] + ["default"]}
    yield made
    for announcer in made.values():
        announcer.close()


def test_the_same_chain_serves(announcers, tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    rng = random.Random(SEED)
    listeners = [random_listener(rng, i) for i in range(LISTENERS)]
    envoy, remora = (Side(binary, listeners, announcers, str(tmp_path_factory.mktemp("side")))
                     for binary in (px.ENVOY, px.REMORA))
    wrong, seen = [], set()
    try:
        for listener in listeners:
            for _ in range(CONNECTIONS):
                data = random_connection(rng)
                theirs, ours = envoy.serves(listener["name"], data), remora.serves(listener["name"], data)
                seen.add(ours)
                if theirs != ours:
                    wrong.append(f"{listener['name']}: {data!r}\n  Envoy:  {theirs}\n  Remora: {ours}")
    finally:
        envoy.proxy.stop()
        remora.proxy.stop()
    assert not wrong, "\n".join(wrong)
    assert {f"chain-{i}" for i in range(CHAINS)} | {"default"} <= seen, "every chain had its connections"
