"""Resets that arrive together with bytes, while the proxy is not looking: no edge of their own tells of them."""

import signal
import socket
import ssl
import struct
import time

import pytest

from test.support import proxy as px
from test.support.proxy import wait_for
from test.support.tls import pki, trust, upstream_tls  # noqa: F401


class Paused:
    """The proxy stands still meanwhile."""

    def __init__(self, proxy):
        self.proxy = proxy

    def __enter__(self):
        self.proxy.signal(signal.SIGSTOP)

        def stopped():
            with open(f"/proc/{self.proxy.process.pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "T"
        wait_for(stopped, what="the proxy stands still")

    def __exit__(self, *unused):
        self.proxy.signal(signal.SIGCONT)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def tcp_proxy(server, **cluster):
    return px.Proxy(px.REMORA, px.static_bootstrap(
        [px.static_listener("in", px.tcp_filter_chain("app"))],
        [px.static_cluster("app", server.getsockname()[1], **cluster)]))


def time_until_end(client):
    started = time.monotonic()
    received = b""
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionError:
        pass
    return received, time.monotonic() - started


def test_bytes_and_a_reset_at_once(listening):
    with tcp_proxy(listening) as proxy, socket.create_connection(("127.0.0.1", proxy.port("in")), timeout=8) as client:
        client.sendall(b"question")
        upstream, _ = listening.accept()
        assert upstream.recv(100) == b"question"
        with Paused(proxy):
            upstream.sendall(b"answer")
            reset(upstream)
        received, seconds = time_until_end(client)
        assert received == b"answer"
        assert seconds < 5


def test_tickets_and_a_reset_at_once(pki, listening):
    """What a server does that refuses a client right after the handshake: session tickets, which are no bytes for anybody
    behind TLS, and the end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.certificate_path, pki.server.key_path)
    tls = upstream_tls({"validation_context": trust(pki.root)})
    with tcp_proxy(listening, transport_socket=tls) as proxy, \
            socket.create_connection(("127.0.0.1", proxy.port("in")), timeout=8) as client:
        client.sendall(b"let me in")
        upstream, _ = listening.accept()
        upstream.settimeout(10)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_side=True)
        # The flight that holds Finished and the first bytes is read, but answered only while the proxy stands still.
        flights = 0
        while True:
            incoming.write(upstream.recv(65536))
            flights += 1
            if flights == 2:
                break
            with pytest.raises(ssl.SSLWantReadError):
                session.do_handshake()
            upstream.sendall(outgoing.read())
        with Paused(proxy):
            session.do_handshake()
            upstream.sendall(outgoing.read())
            reset(upstream)
        received, seconds = time_until_end(client)
        assert received == b""
        assert seconds < 5
