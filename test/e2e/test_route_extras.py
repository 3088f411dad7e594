"""Mirrors and internal redirects where something goes wrong in the middle of them."""

import threading

import pytest

from test.differential.h2_upstream_exchanges import http2_cluster
from test.support import mesh as resources
from test.support import proxy as px
from test.support.client import Client, get
from test.support.h2_upstream import H2Upstream
from test.support.tls import TlsUpstream, pki, trust, upstream_tls  # noqa: F401 (pki is a fixture)
from test.support.upstream import Upstream

PIECE = b"x" * 65536


def cluster(name, port):
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}]}]}}


def swallow(peer):
    """Reads bodies without keeping them."""
    head = peer.read_head()
    left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(peer.buffer)
    while left > 0:
        left -= len(peer.sock.recv(len(PIECE)) or b"x" * left)
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


@pytest.fixture(scope="module")
def mesh():
    """A proxy whose upstream answers, and whose mirror reads nothing, but for requests to /read."""
    def deaf(peer):
        head = peer.read_head()
        if b" /read" in head:
            return peer.wait_for_close()
        done.wait()

    done = threading.Event()
    with Upstream(swallow) as main, Upstream(deaf) as mirror:
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "main", "timeout": "0s", "request_mirror_policies": [{"cluster": "mirror"}]}}]
        listener = px.static_listener("in", px.http_filter_chain(routes), per_connection_buffer_limit_bytes=65536)
        with px.Proxy(px.REMORA, px.static_bootstrap([listener], [cluster("main", main.port), cluster("mirror", mirror.port)])) as proxy:
            yield proxy, main, mirror
        done.set()


def test_a_mirror_that_reads_nothing_holds_up_nobody(mesh):
    proxy, _, _ = mesh
    with Client(proxy.port("in"), timeout=20.0) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (len(PIECE) * 400))
        for _ in range(400):
            client.send(PIECE)
        assert client.read_answer().status == 200
    px.wait_for(lambda: proxy.stat("cluster.mirror.retry_or_shadow_abandoned") == 1, what="the mirror is given up")


def test_what_a_mirror_has_begun_ends_with_its_client(mesh):
    proxy, _, mirror = mesh
    with Client(proxy.port("in")) as client:
        client.send(b"POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
        px.wait_for(lambda: any(b" /read" in record and b"abc" in record for record in mirror.received()), what="the copy has begun")
    px.wait_for(lambda: proxy.stat("cluster.mirror.upstream_rq_active") == 0, what="the copy has ended")
    assert proxy.alive()


@pytest.mark.parametrize("kind", ["http2", "tls"])
def test_a_mirror_may_speak_otherwise(kind, pki, tmp_path):  # noqa: F811
    with Upstream() as main, H2Upstream() as http2, TlsUpstream(pki.server) as tls:
        mirror = {"http2": {**cluster("mirror", http2.port), **http2_cluster()},
                  "tls": {**cluster("mirror", tls.port), "transport_socket": upstream_tls({"validation_context": trust(pki.root)})}}[kind]
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "main", "request_mirror_policies": [{"cluster": "mirror"}]}}]
        listener = px.static_listener("in", px.http_filter_chain(routes))
        with px.Proxy(px.REMORA, px.static_bootstrap([listener], [cluster("main", main.port), mirror]), directory=str(tmp_path)) as proxy:
            for _ in range(3):
                assert get(proxy.port("in")).status == 200
            px.wait_for(lambda: proxy.stat("cluster.mirror.upstream_rq_200") == 3, what="three copies were answered")


def test_a_mirror_is_removed_while_copies_are_on_their_way(tmp_path):
    """The copies end by themselves; requests go on, and are copied no more."""
    release = threading.Event()

    def held(peer):
        peer.read_head()
        release.wait(20)
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    with resources.running(tmp_path, True) as (ads, proxy, _), Upstream(held) as mirror:
        ads.set("cluster", cluster("mirror", mirror.port))
        px.wait_for(lambda: "mirror::" in proxy.admin("/clusters")[1], what="the mirror is known")
        ads.set("route", resources.routes("app", request_mirror_policies=[{"cluster": "mirror"}]))
        px.wait_for(lambda: get(proxy.port("in")).status == 200 and mirror.received(), what="a copy is on its way")
        ads.remove("cluster", "mirror")
        px.wait_for(lambda: "mirror::" not in proxy.admin("/clusters")[1], what="the mirror is gone")
        assert get(proxy.port("in")).status == 200
        release.set()
        assert get(proxy.port("in")).status == 200
        assert proxy.alive()
