"""Retries as a service owner sets them: when, to whom, and beside what is still under way."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from test.support import proxy as px
from test.support.client import get
from test.support.proxy import wait_for
from test.support.upstream import Closed, Upstream, answer_ok, answer_with

QUICK = {"base_interval": "0.001s", "max_interval": "0.002s"}
BAD = answer_with(b"HTTP/1.1 503 Bad\r\ncontent-length: 3\r\nretry-after: 1\r\n\r\nbad")
PREDICATE = "type.googleapis.com/envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate"


def running(tmp_path, *ports, retry=None, route=None, cluster=None):
    policy = {"retry_on": "5xx", "num_retries": 1, "retry_back_off": QUICK, **(retry or {})}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app", "retry_policy": policy, **(route or {})}}]
    bootstrap = px.static_bootstrap([px.static_listener("in", px.http_filter_chain(routes))],
                                    [px.static_cluster("app", *ports, **(cluster or {}))])
    return px.Proxy(px.REMORA, bootstrap, args=["--concurrency", "1"], directory=str(tmp_path))


class InTurn:
    """Requests are served by one script after the other, each with an event that says that its client has gone."""

    def __init__(self, *scripts):
        self.scripts, self.lock, self.came, self.gone = list(scripts), threading.Lock(), [], threading.Event()

    def __call__(self, peer):
        while True:
            peer.read_request()
            with self.lock:
                self.came.append(time.monotonic())
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            script(self, peer)


def never(turn, peer):
    peer.wait_for_close()
    turn.gone.set()
    raise Closed()


def fine(_, peer):
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")


def busy(_, peer):
    peer.send(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n")


def test_a_late_attempt_goes_on_until_another_has_answered(tmp_path):
    turn = InTurn(never, fine)
    with Upstream(turn) as upstream, running(tmp_path, upstream.port, retry={"per_try_timeout": "0.1s"},
                                             route={"hedge_policy": {"hedge_on_per_try_timeout": True}}) as proxy:
        answer = get(proxy.port("in"))
        assert (answer.status, answer.body) == (200, b"fine")
        assert turn.gone.wait(10), "the late one is broken off"
        wait_for(lambda: proxy.stat("cluster.app.upstream_rq_active") == 0, what="nothing is left")
        assert proxy.stat("cluster.app.upstream_rq_retry_success") == 1
        assert proxy.stat("cluster.app.upstream_rq_per_try_timeout") == 0


def test_an_answer_may_say_when_to_come_again(tmp_path):
    turn = InTurn(busy, fine)
    told = {"rate_limited_retry_back_off": {"reset_headers": [{"name": "Retry-After"}]}}
    with Upstream(turn) as upstream, running(tmp_path, upstream.port, retry=told) as proxy:
        assert get(proxy.port("in")).status == 200
        assert turn.came[1] - turn.came[0] >= 0.99
        assert proxy.stat("cluster.app.upstream_rq_retry_backoff_ratelimited") == 1


def test_retries_keep_away_from_canaries(tmp_path):
    with Upstream(BAD) as canary, Upstream(answer_ok) as stable:
        hosts = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": upstream.port}}}}
                 for upstream in (canary, stable, canary)]
        hosts[0]["metadata"] = hosts[2]["metadata"] = {"filter_metadata": {"envoy.lb": {"canary": True}}}
        hosts[2]["endpoint"]["address"]["socket_address"]["address"] = "127.0.0.2"
        predicate = {"retry_host_predicate": [{"name": "p", "typed_config": {"@type": PREDICATE}}], "host_selection_retry_max_attempts": 10}
        with running(tmp_path, retry=predicate, cluster={"load_assignment": {
                "cluster_name": "app", "endpoints": [{"lb_endpoints": hosts}]}}) as proxy:
            assert {get(proxy.port("in")).status for _ in range(9)} == {200}
            assert proxy.stat("cluster.app.upstream_rq_retry") > 0


def test_a_host_has_no_more_connections_than_it_may(tmp_path):
    both = threading.Event()

    def waits(_, peer):
        both.wait(10)
        fine(_, peer)

    limits = {"circuit_breakers": {"per_host_thresholds": [{"max_connections": 1}]}}
    with Upstream(InTurn(waits)) as upstream, running(tmp_path, upstream.port, cluster=limits) as proxy, ThreadPoolExecutor(2) as pool:
        port = proxy.port("in")
        asked = [pool.submit(get, port) for _ in range(2)]
        wait_for(lambda: proxy.stat("cluster.app.upstream_cx_overflow") >= 1, what="the second has to wait")
        both.set()
        assert [answer.result().status for answer in asked] == [200, 200]
        assert proxy.stat("cluster.app.upstream_cx_total") == 1
