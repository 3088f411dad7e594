"""gRPC through the real binary: deadlines, statistics with hostile names, gRPC-Web."""

import base64

from test.support import proxy as px
from test.support.client import Client
from test.support.grpc import answer, message, request
from test.support.upstream import Upstream, answer_with

TRAILERS = {"http_protocol_options": {"enable_trailers": True}}


def serve(upstream, http_filters=(), **route):
    filters = px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app", **route}}],
                                   http_filters=list(http_filters), **TRAILERS)
    return px.Proxy(px.REMORA, px.static_bootstrap([px.static_listener("in", filters)],
                                                   [px.static_cluster("app", upstream.port, **TRAILERS)]))


def test_a_deadline_of_the_client_is_kept_and_told():
    with Upstream(lambda peer: peer.wait_for_close()) as silent, serve(silent, max_grpc_timeout="10s") as proxy:
        with Client(proxy.port("in")) as client:
            client.send(request(b"grpc-timeout: 100000u"))
            got = client.read_answer()
        assert (got.status, got.header("grpc-status"), got.header("grpc-message")) == (200, "14", "upstream request timeout")
        assert b"\r\ngrpc-timeout: 100m\r\n" in silent.received()[0]
        assert proxy.stat("cluster.app.upstream_rq_timeout") == 1


def test_hostile_method_names_do_not_fill_the_metrics():
    limit, calls = 256, 400
    count = px.typed("count", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", stats_for_all_methods=True)
    with Upstream(answer_with(answer([message(b"x")]))) as upstream, serve(upstream, [count]) as proxy:
        with Client(proxy.port("in")) as client:
            for i in range(calls):
                client.send(request(path=b"/s%d/m" % i))
                assert client.read_answer().status == 200
        stats = proxy.stats("^cluster.app.grpc")
        assert len([name for name in stats if name.endswith(".m.total")]) == limit
        assert stats["cluster.app.grpc.calls_over_method_limit"] == stats["cluster.app.grpc.total"] == calls - limit


def test_a_browser_calls_a_grpc_service():
    web = px.typed("web", "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb")
    with Upstream(answer_with(answer([message(b"pong")]))) as upstream, serve(upstream, [web]) as proxy:
        with Client(proxy.port("in")) as client:
            client.send(request(b"accept: application/grpc-web-text", content_type=b"application/grpc-web-text",
                                body=base64.b64encode(message(b"ping"))))
            got = client.read_answer()
        texts = [base64.b64encode(message(b"pong")), base64.b64encode(message(b"grpc-status:0\r\n", 0x80))]
        assert (got.header("content-type"), got.body) == ("application/grpc-web-text+proto", b"".join(texts))
        assert message(b"ping") in upstream.received()[0]
        assert b"content-type: application/grpc\r\n" in upstream.received()[0]
