"""HTTP/2 towards upstreams through the real binary: how connections are made, kept alive and let go."""

import ssl
import threading

import pytest

from test.differential.h2_upstream_exchanges import OPTIONS, http2_cluster
from test.support import proxy as px
from test.support.client import Client
from test.support.h2_upstream import H2Upstream, answer_ok
from test.support.tls import TlsUpstream, pki, trust, upstream_tls  # noqa: F401: pki is a fixture
from test.support.upstream import Upstream

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
ROUTES = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]


def running(port, **cluster):
    return px.Proxy(px.REMORA, px.static_bootstrap(
        [px.static_listener("in", px.http_filter_chain(ROUTES))], [px.static_cluster("app", port, **cluster)]))


def cluster_with(**config):
    return {"typed_extension_protocol_options": {
        OPTIONS: {"@type": "type.googleapis.com/" + OPTIONS, **config}}}


def test_connections_are_made_as_the_servers_limit_fills():
    go = threading.Event()

    def script(peer):
        if len(upstream.peers) == 1:
            peer.answer(peer.read_request())
        first = peer.read_request()
        second = peer.read_request()
        go.wait(10)
        peer.answer(second)
        peer.answer(first)
        answer_ok(peer)

    with H2Upstream(script, settings={3: 2}) as upstream, running(upstream.port, **http2_cluster()) as proxy:
        clients = [Client(proxy.port("in")) for _ in range(6)]
        clients[0].send(GET)
        assert clients[0].read_answer().status == 200
        for client in clients:
            client.send(GET)
        px.wait_for(lambda: len(upstream.requests()) == 7, what="every request at the upstream")
        go.set()
        for client in clients:
            assert client.read_answer().status == 200
        assert upstream.connection_count() == 3
        assert sorted(len(c) for c in upstream.connections) == [2, 2, 3]
        assert proxy.stat("cluster.app.upstream_cx_http2_total") == 3
        assert proxy.stat("cluster.app.http2.streams_active") == 0


def test_a_server_that_went_silent_is_found_while_nobody_asks():
    def script(peer):
        peer.answer(peer.read_request())
        if len(upstream.peers) == 1:
            peer.mute = True
        answer_ok(peer)

    keepalive = {"interval": "0.1s", "timeout": "0.1s"}
    with H2Upstream(script) as upstream, \
            running(upstream.port, **http2_cluster(connection_keepalive=keepalive)) as proxy:
        with Client(proxy.port("in")) as client:
            client.send(GET)
            assert client.read_answer().status == 200
            px.wait_for(lambda: proxy.stat("cluster.app.http2.keepalive_timeout") == 1)
            px.wait_for(lambda: proxy.stat("cluster.app.upstream_cx_active") == 0)
            client.send(GET)
            assert client.read_answer().status == 200
        assert upstream.peers[0].pings == 1
        px.wait_for(lambda: upstream.peers[1].pings >= 2, what="a living connection is asked again and again")
        assert proxy.stat("cluster.app.http2.keepalive_timeout") == 1


def test_a_server_that_drains_finishes_what_it_has():
    go = threading.Event()

    def script(peer):
        request = peer.read_request()
        if len(upstream.peers) == 1:
            peer.goaway(request.stream)
            go.wait(10)
        peer.answer(request)
        answer_ok(peer)

    with H2Upstream(script) as upstream, running(upstream.port, **http2_cluster()) as proxy:
        with Client(proxy.port("in")) as first, Client(proxy.port("in")) as second:
            first.send(GET)
            px.wait_for(lambda: proxy.stat("cluster.app.upstream_cx_close_notify") == 1)
            second.send(GET)
            assert second.read_answer().status == 200
            assert upstream.connection_count() == 2
            go.set()
            assert first.read_answer().status == 200
        px.wait_for(lambda: proxy.stat("cluster.app.upstream_cx_active") == 1, what="the drained one is closed")
        assert proxy.stat("cluster.app.upstream_cx_destroy_local") == 1


@pytest.mark.parametrize("protocol", ["h2", "http/1.1", None])
def test_alpn_decides(pki, protocol):  # noqa: F811
    if protocol == "h2":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.server.certificate_path, pki.server.key_path)
        context.set_alpn_protocols(["h2"])
        upstream = H2Upstream(tls=context)
    else:
        upstream = TlsUpstream(pki.server, alpn=[protocol] if protocol else None)
    cluster = cluster_with(auto_config={})
    cluster["transport_socket"] = upstream_tls({"validation_context": trust(pki.root)})
    with upstream, running(upstream.port, **cluster) as proxy, Client(proxy.port("in")) as client:
        for _ in range(2):
            client.send(GET)
            assert client.read_answer().body == b"ok"
        wanted = 1 if protocol == "h2" else 0
        assert proxy.stat("cluster.app.upstream_cx_http2_total") == wanted
        assert proxy.stat("cluster.app.upstream_cx_http1_total") == 1 - wanted


def test_the_upstream_is_spoken_to_as_the_downstream_speaks():
    cluster = cluster_with(use_downstream_protocol_config={"http_protocol_options": {}, "http2_protocol_options": {}})
    with Upstream() as upstream, running(upstream.port, **cluster) as proxy, Client(proxy.port("in")) as client:
        client.send(GET)
        assert client.read_answer().body == b"ok"
        assert proxy.stat("cluster.app.upstream_cx_http1_total") == 1
        assert proxy.stat("cluster.app.upstream_cx_http2_total") == 0
