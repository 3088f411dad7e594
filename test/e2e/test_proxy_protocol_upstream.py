"""PROXY protocol towards upstreams: for whom a connection is made, over TCP and HTTP."""

import pytest

from test.support import proxy as px
from test.support import proxy_header
from test.support.client import Client
from test.support.upstream import Upstream

TRANSPORT = "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"


def proxied(version, **config):
    return px.typed("envoy.transport_sockets.upstream_proxy_protocol", TRANSPORT, config={"version": version, **config},
                    transport_socket=px.typed("envoy.transport_sockets.raw_buffer",
                                              "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"))


def reads_proxy_protocol(**config):
    return px.typed("envoy.filters.listener.proxy_protocol",
                    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol", **config)


def serve_http(peer):
    """Answers requests behind a PROXY header in text."""
    while b"\r\n" not in peer.buffer:
        peer._more()
    peer.buffer = peer.buffer.split(b"\r\n", 1)[1]
    while True:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def serve_tcp(peer):
    peer.wait_for_close()


class Pair:
    """A proxy before an upstream that expects PROXY headers."""

    def __init__(self, directory, transport, http=False, listener_filters=()):
        self.upstream = Upstream(serve_http if http else serve_tcp)
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
        filters = px.http_filter_chain(routes) if http else px.tcp_filter_chain("app")
        listener = px.static_listener("in", filters, listener_filters=list(listener_filters))
        cluster = px.static_cluster("app", self.upstream.port, transport_socket=transport)
        self.proxy = px.Proxy(px.REMORA, px.static_bootstrap([listener], [cluster]), directory=str(directory))
        self.port = self.proxy.port("in")

    def received(self, count):
        px.wait_for(lambda: len(self.upstream.received()) >= count and all(self.upstream.received()), 5, "the upstream")
        return [bytes(data) for data in self.upstream.received()]

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        assert self.proxy.alive(), self.proxy.output()
        self.proxy.stop()
        self.upstream.close()


def ends_of(client):
    own, peer = client.sock.getsockname(), client.sock.getpeername()
    return own[1], peer[1]


def header_of(client):
    own, peer = ends_of(client)
    return b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (own, peer)


def test_the_header_goes_out_before_the_client_has_said_anything(tmp_path):
    with Pair(tmp_path, proxied("V1")) as pair, Client(pair.port) as client:
        assert pair.received(1) == [header_of(client)]


def test_and_before_what_it_says(tmp_path):
    with Pair(tmp_path, proxied("V2")) as pair, Client(pair.port) as client:
        client.send(b"hello")
        own, peer = ends_of(client)
        expected = proxy_header.v2(0x21, 0x11, proxy_header.ends("127.0.0.1", "127.0.0.1", own, peer)) + b"hello"
        px.wait_for(lambda: pair.upstream.received() == [expected], 5, f"{expected}, not {pair.upstream.received()}")


def test_it_tells_what_a_header_in_front_told(tmp_path):
    everything = {"match_type": "INCLUDE_ALL"}
    said = proxy_header.v2(0x21, 0x11, proxy_header.USUAL + proxy_header.tlv(2, b"foo") + proxy_header.tlv(0xe1, b"x"))
    added = [{"type": 2, "value": "YmFy"}]
    expected = proxy_header.v2(0x21, 0x11, proxy_header.USUAL + proxy_header.tlv(2, b"bar") + proxy_header.tlv(0xe1, b"x"))
    with Pair(tmp_path, proxied("V2", pass_through_tlvs=everything, added_tlvs=added),
              listener_filters=[reads_proxy_protocol(pass_through_tlvs=everything)]) as pair, Client(pair.port) as client:
        client.send(said + b"hello")
        px.wait_for(lambda: pair.upstream.received() == [expected + b"hello"], 5, f"not {pair.upstream.received()}")


def test_requests_of_one_client_share_a_connection_and_those_of_two_do_not(tmp_path):
    with Pair(tmp_path, proxied("V1"), http=True) as pair:
        with Client(pair.port) as one, Client(pair.port) as two:
            for client in (one, two, one, two):
                client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                assert client.read_answer().status == 200
            received = pair.received(2)
            assert len(received) == 2
            for client, data in zip((one, two), received):
                assert data.startswith(header_of(client))
                assert data.count(b"GET / HTTP/1.1") == 2
        with Client(pair.port) as three:
            three.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert three.read_answer().status == 200
            assert pair.received(3)[2].startswith(header_of(three)), "idle connections of others are not taken"


REFUSED = [
    ({"allow_unspecified_address": True}, {}, "allow_unspecified_address"),
    ({"tlv_as_pool_key": True}, {}, "tlv_as_pool_key"),
    ({"transport_socket": None}, {}, "transport_socket"),
    ({}, {"pass_through_tlvs": {"tlv_type": [256]}}, "config.pass_through_tlvs.tlv_type[0]"),
    ({}, {"added_tlvs": [{"type": 1}]}, "config.added_tlvs[0].value"),
    ({}, {"added_tlvs": [{"type": 1, "format_string": {"text_format_source": {"inline_string": "x"}}}]},
     "config.added_tlvs[0].format_string"),
]


@pytest.mark.parametrize("top,config,path", REFUSED, ids=[case[2] for case in REFUSED])
def test_what_cannot_be_honoured_is_refused_with_its_path(tmp_path, top, config, path):
    transport = proxied("V2", **config)
    transport["typed_config"].update(top)
    transport["typed_config"] = {k: v for k, v in transport["typed_config"].items() if v is not None}
    cluster = px.static_cluster("app", 1, transport_socket=transport)
    listener = px.static_listener("in", px.tcp_filter_chain("app"))
    proxy = px.Proxy(px.REMORA, px.static_bootstrap([listener], [cluster]), directory=str(tmp_path), wait_ready=False)
    try:
        assert proxy.wait_exit(10) != 0
        assert "transport_socket.typed_config." + path in proxy.output()
    finally:
        proxy.stop()
