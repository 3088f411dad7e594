"""How requests are shared among hosts and kept within limits: weights, localities, priorities, least request, pools, circuit
breakers, connect timeouts, original destinations. Envoy must do the same with the same bootstrap.
"""

import collections
import contextlib
import os
import threading

import pytest

from test.support import proxy as px
from test.support.client import Client, get
from test.support.proxy import wait_for
from test.support.upstream import Upstream, answer_ok, answer_with, black_hole

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.fixture(params=["remora", "envoy"])
def binary(request):
    path = {"remora": px.REMORA, "envoy": px.ENVOY}[request.param]
    if not path or not os.path.exists(path):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    return path


def named(text):
    return answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text.encode()))


class Held:
    """An upstream that keeps requests until it is told to answer."""

    def __init__(self):
        self.waiting = 0
        self.lock = threading.Lock()
        self.go = threading.Event()

    def __call__(self, peer):
        while True:
            peer.read_request()
            with self.lock:
                self.waiting += 1
            self.go.wait(20)
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nheld")


def endpoint(port, **more):
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}, **more}


def cluster(*localities, **more):
    return {"name": "app", "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": "app", "endpoints": list(localities)}, **more}


def locality(zone, *endpoints, **more):
    return {"locality": {"zone": zone}, "lb_endpoints": list(endpoints), **more}


@contextlib.contextmanager
def running(binary, directory, made, routes=None, **hcm):
    routes = routes or [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
    config = px.static_bootstrap([px.static_listener("in", px.http_filter_chain(routes, **hcm))], [made])
    with px.Proxy(binary, config, args=["-l", "error"], directory=str(directory)) as proxy:
        yield proxy


def shares(proxy, count):
    return collections.Counter(get(proxy.port("in")).body.decode() for _ in range(count))


@pytest.fixture
def upstreams():
    made = {name: Upstream(named(name)) for name in ("a", "b", "c")}
    yield made
    for upstream in made.values():
        upstream.close()


# --- who gets a request ---


def test_round_robin_by_weight(binary, upstreams, tmp_path):
    endpoints = [endpoint(upstreams["a"].port, load_balancing_weight=3), endpoint(upstreams["b"].port)]
    with running(binary, tmp_path, cluster(locality("z", *endpoints))) as proxy:
        share = shares(proxy, 40)
        assert abs(share["a"] - 30) <= 1 and abs(share["b"] - 10) <= 1, share


def test_localities_by_weight(binary, upstreams, tmp_path):
    made = cluster(locality("near", endpoint(upstreams["a"].port), endpoint(upstreams["b"].port), load_balancing_weight=3),
                   locality("far", endpoint(upstreams["c"].port), load_balancing_weight=1),
                   common_lb_config={"locality_weighted_lb_config": {}})
    with running(binary, tmp_path, made) as proxy:
        share = shares(proxy, 40)
        assert abs(share["c"] - 10) <= 1 and abs(share["a"] - share["b"]) <= 2, share


def test_a_lower_priority_serves_when_the_higher_is_unhealthy(binary, upstreams, tmp_path):
    made = cluster(locality("near", endpoint(upstreams["a"].port, health_status="UNHEALTHY")),
                   locality("far", endpoint(upstreams["b"].port), priority=1))
    with running(binary, tmp_path, made) as proxy:
        assert set(shares(proxy, 10)) == {"b"}


def test_with_too_few_healthy_hosts_all_of_them_serve(binary, upstreams, tmp_path):
    unhealthy = [endpoint(upstreams[name].port, health_status="UNHEALTHY") for name in ("a", "b")]
    made = cluster(locality("z", *unhealthy, endpoint(upstreams["c"].port)))
    with running(binary, tmp_path, made) as proxy:
        assert set(shares(proxy, 30)) == {"a", "b", "c"}
        assert proxy.stat("cluster.app.lb_healthy_panic") >= 10


def test_least_request_avoids_the_busy_host(binary, upstreams, tmp_path):
    held = Held()
    with Upstream(held) as busy:
        made = cluster(locality("z", endpoint(busy.port), endpoint(upstreams["a"].port)), lb_policy="LEAST_REQUEST",
                       least_request_lb_config={"choice_count": 10})
        with running(binary, tmp_path, made) as proxy, contextlib.ExitStack() as stack:
            port = proxy.port("in")
            while held.waiting == 0:  # until one of them has it
                client = stack.enter_context(Client(port))
                client.send(REQUEST)
                wait_for(lambda: held.waiting or client._more(0.0) or client.read_answer(timeout=0.2), what="an answer")
            assert set(shares(proxy, 20)) == {"a"}
            held.go.set()


# --- connections ---


def test_connections_are_used_again(binary, upstreams, tmp_path):
    with running(binary, tmp_path, cluster(locality("z", endpoint(upstreams["a"].port)))) as proxy:
        assert shares(proxy, 6) == {"a": 6}
        assert len(upstreams["a"].received()) == 1


def test_a_connection_serves_so_many_requests(binary, upstreams, tmp_path):
    options = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"max_requests_per_connection": 2}, "explicit_http_config": {"http_protocol_options": {}}}}
    made = cluster(locality("z", endpoint(upstreams["a"].port)), typed_extension_protocol_options=options)
    with running(binary, tmp_path, made) as proxy:
        assert shares(proxy, 6) == {"a": 6}
        assert len(upstreams["a"].received()) == 3
        assert proxy.stat("cluster.app.upstream_cx_max_requests") == 3


def test_a_connect_that_gets_no_answer_is_given_up(binary, tmp_path):
    with black_hole() as port:
        with running(binary, tmp_path, cluster(locality("z", endpoint(port)), connect_timeout="0.2s")) as proxy:
            answer = get(proxy.port("in"))
            assert answer.status == 503 and b"connection timeout" in answer.body
            assert proxy.stat("cluster.app.upstream_cx_connect_timeout") == 1
            assert proxy.stat("cluster.app.upstream_cx_connect_fail") == 1


def test_a_header_may_name_the_original_destination(binary, upstreams, tmp_path):
    made = {"name": "app", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s",
            "original_dst_lb_config": {"use_http_header": True}}
    with running(binary, tmp_path, made) as proxy:
        for name in ("a", "b"):
            there = [("x-envoy-original-dst-host", f"127.0.0.1:{upstreams[name].port}")]
            assert get(proxy.port("in"), headers=there).body == name.encode()
        assert get(proxy.port("in"), headers=[("x-envoy-original-dst-host", "nowhere")]).status == 503
        assert proxy.stat("cluster.app.original_dst_host_invalid") == 1


# --- circuit breakers ---

OVERFLOW = b"upstream connect error or disconnect/reset before headers. reset reason: overflow"


def breaker(**thresholds):
    return {"circuit_breakers": {"thresholds": [{"track_remaining": True, **thresholds}]}}


@contextlib.contextmanager
def holding(proxy, held, count):
    """So many requests are on their way."""
    with contextlib.ExitStack() as stack:
        for at in range(count):
            stack.enter_context(Client(proxy.port("in"))).send(REQUEST)
            wait_for(lambda: proxy.stat("http.ingress.downstream_rq_active") == at + 1, what="the request is there")
        yield


def test_requests_over_the_limit_overflow(binary, tmp_path):
    held = Held()
    with Upstream(held) as upstream:
        made = cluster(locality("z", endpoint(upstream.port)), **breaker(max_requests=2))
        with running(binary, tmp_path, made) as proxy, holding(proxy, held, 2):
            wait_for(lambda: held.waiting == 2, what="both are at the upstream")
            stats = proxy.stats("^cluster.app.circuit_breakers.default")
            assert stats["cluster.app.circuit_breakers.default.rq_open"] == 1
            assert stats["cluster.app.circuit_breakers.default.remaining_rq"] == 0
            answer = get(proxy.port("in"))
            assert (answer.status, answer.body, answer.header("x-envoy-overloaded")) == (503, OVERFLOW, "true")
            held.go.set()
            wait_for(lambda: get(proxy.port("in")).status == 200, what="room again")


def test_requests_wait_for_a_connection_only_up_to_the_limit(binary, tmp_path):
    held = Held()
    with Upstream(held) as upstream:
        made = cluster(locality("z", endpoint(upstream.port)), **breaker(max_connections=1, max_pending_requests=1))
        with running(binary, tmp_path, made) as proxy, holding(proxy, held, 2):
            wait_for(lambda: held.waiting == 1, what="the first is at the upstream")
            assert proxy.stat("cluster.app.upstream_rq_pending_active") == 1
            assert proxy.stat("cluster.app.circuit_breakers.default.cx_open") == 1
            assert proxy.stat("cluster.app.circuit_breakers.default.rq_pending_open") == 1
            assert get(proxy.port("in")).body == OVERFLOW
            assert proxy.stat("cluster.app.upstream_cx_active") == 1
            assert proxy.stat("cluster.app.upstream_cx_overflow") >= 1
            held.go.set()
            wait_for(lambda: held.waiting == 2, what="who waited is served on the same connection")
        assert len(upstream.received()) == 1


def test_each_priority_has_limits_of_its_own(binary, tmp_path):
    held = Held()
    limits = {"circuit_breakers": {"thresholds": [{"max_requests": 1}, {"priority": "HIGH", "max_requests": 1}]}}
    routes = [{"match": {"prefix": "/high"}, "route": {"cluster": "app", "priority": "HIGH"}},
              {"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
    with Upstream(held) as upstream:
        with running(binary, tmp_path, cluster(locality("z", endpoint(upstream.port)), **limits), routes) as proxy:
            with holding(proxy, held, 1):
                assert get(proxy.port("in")).body == OVERFLOW
                with Client(proxy.port("in")) as client:
                    client.send(b"GET /high HTTP/1.1\r\nhost: a\r\n\r\n")
                    wait_for(lambda: held.waiting == 2, what="the urgent one is served")
                    assert get(proxy.port("in"), "/high").body == OVERFLOW
                    held.go.set()
                    assert client.read_answer().status == 200


def test_retries_over_the_limit_are_withheld(binary, tmp_path):
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app", "retry_policy": {"retry_on": "5xx"}}}]
    with Upstream(answer_with(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")) as upstream:
        made = cluster(locality("z", endpoint(upstream.port)), **breaker(max_retries=0))
        with running(binary, tmp_path, made, routes) as proxy:
            assert get(proxy.port("in")).status == 500
            assert proxy.stat("cluster.app.upstream_rq_retry_overflow") == 1
            assert proxy.stat("cluster.app.upstream_rq_total") == 1


# --- back-pressure ---

LARGE = 48 * 1024 * 1024
CHUNK = bytes(65536)


def test_a_client_that_reads_slowly_holds_the_upstream_back(binary, tmp_path):
    sent = []

    def pour(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LARGE)
        for at in range(0, LARGE, len(CHUNK)):
            peer.send(CHUNK)
            sent.append(at)
        peer.wait_for_close()

    with Upstream(pour) as upstream:
        with running(binary, tmp_path, cluster(locality("z", endpoint(upstream.port)))) as proxy:
            with Client(proxy.port("in")) as client:
                client.send(REQUEST)
                paused = "cluster.app.upstream_flow_control_paused_reading_total"
                wait_for(lambda: proxy.stat(paused) >= 1, what="a pause")
                assert len(sent) < LARGE / len(CHUNK), "the rest waits at the upstream"
                got = 0
                while got < LARGE:
                    data = client.sock.recv(1024 * 1024)
                    assert data
                    got += len(data)
            assert proxy.stat("cluster.app.upstream_flow_control_resumed_reading_total") >= 1


def test_an_upstream_that_reads_slowly_holds_the_client_back(binary, tmp_path):
    go = threading.Event()

    def slow(peer):
        peer.read_head()
        go.wait(30)
        left = LARGE - len(peer.buffer)
        while left > 0:
            left -= len(peer.sock.recv(1024 * 1024))
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        peer.wait_for_close()

    with Upstream(slow) as upstream:
        with running(binary, tmp_path, cluster(locality("z", endpoint(upstream.port)))) as proxy:
            with Client(proxy.port("in"), timeout=60) as client:
                client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % LARGE)
                sender = threading.Thread(target=client.sock.sendall, args=(bytes(LARGE),))
                sender.start()
                wait_for(lambda: proxy.stat("http.ingress.downstream_flow_control_paused_reading_total") >= 1, what="a pause")
                assert proxy.stat("cluster.app.upstream_flow_control_backed_up_total") >= 1
                assert proxy.stat("cluster.app.upstream_cx_tx_bytes_total") < LARGE
                go.set()
                sender.join()
                assert client.read_answer().status == 200
            for resumed in ("cluster.app.upstream_flow_control_drained_total",
                            "http.ingress.downstream_flow_control_resumed_reading_total"):
                assert proxy.stat(resumed) >= 1


def test_a_host_takes_no_more_tcp_sessions_than_its_limit(tmp_path):
    def greet(peer):
        peer.send(b"hi")
        peer.wait_for_close()

    log = tmp_path / "access.log"
    limits = {"circuit_breakers": {"per_host_thresholds": [{"max_connections": 1}]}}
    filters = px.tcp_filter_chain("app", access_log=[px.file_access_log(str(log), "%RESPONSE_FLAGS% %UPSTREAM_CLUSTER%\n")])
    with Upstream(greet) as app:
        bootstrap = px.static_bootstrap([px.static_listener("in", filters)], [px.static_cluster("app", app.port, **limits)])
        with px.Proxy(px.REMORA, bootstrap, args=["--file-flush-interval-msec", "50"], directory=str(tmp_path)) as proxy:
            with Client(proxy.port("in")) as first, Client(proxy.port("in")) as second:
                answers = sorted(client.sock.recv(2) for client in (first, second))
                assert answers == [b"", b"hi"], "one is served, the other refused"
                px.wait_for(lambda: log.exists() and log.read_text() == "UO app\n", what="the refusal is logged")
                assert proxy.stat("cluster.app.upstream_cx_overflow") == 1
            px.wait_for(lambda: proxy.stat("cluster.app.upstream_cx_active") == 0, what="the session has ended")
            with Client(proxy.port("in")) as third:
                assert third.sock.recv(2) == b"hi"
