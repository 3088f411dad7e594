"""Requests at the moment at which an application closes idle connections: none is lost, none is made twice."""

import os
import signal
import threading

import pytest

from test.support import keep_alive
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream

LIMITS = {"circuit_breakers": {"thresholds": [{"max_connections": 10000, "max_pending_requests": 10000, "max_requests": 10000}]}}
ROUTE = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
LOG = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"


def bootstrap(port, log=None, **more):
    access_log = px.file_access_log(log, LOG) if log else None
    return px.static_bootstrap([px.static_listener("in", px.http_filter_chain(ROUTE, access_log=access_log))],
                               [px.static_cluster("app", port, **{**LIMITS, **more})])


@pytest.mark.parametrize("idle, announce, clients, requests", [(0.3, 0, 400, 6000), (1.0, 1, 1000, 4000)], ids=["seen", "announced"])
def test_none_is_lost_and_none_comes_twice(tmp_path, idle, announce, clients, requests):
    upstream = keep_alive.Upstream(idle, announce)
    outcome = keep_alive.run(px.Proxy, px.REMORA, bootstrap(upstream.port), "in", upstream, requests, clients, idle, str(tmp_path))
    assert outcome["answers"] == {"200": requests}, outcome
    assert outcome["upstream"]["requests"] == requests and outcome["upstream"]["twice"] == 0, outcome
    assert outcome["proxy"]["remora.upstream_cx_retired"] > 0, outcome


class Stand:
    """A proxy before a scripted upstream, and one client."""

    def __init__(self, script, directory, **cluster):
        self.upstream = Upstream(script)
        self.log = str(directory / "access.log")
        self.proxy = px.Proxy(px.REMORA, bootstrap(self.upstream.port, self.log, **cluster), args=["--concurrency", "1", "--file-flush-interval-msec", "20"],
                              directory=str(directory))
        self.client = Client(self.proxy.port("in"))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.client.close()
        self.proxy.stop()
        self.upstream.close()

    def ask(self, method="GET", body=b""):
        length = b"content-length: %d\r\n" % len(body) if body else b""
        self.client.send(method.encode() + b" / HTTP/1.1\r\nhost: a\r\n" + length + b"\r\n" + body)
        return self.client.read_answer().status

    def stat(self, name):
        return self.proxy.stat("cluster.app." + name)

    def logged(self, count):
        def lines():
            with open(self.log) as f:
                found = f.read().splitlines()
            return found if len(found) >= count else None

        return px.wait_for(lines, what="access log")


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_what_the_application_may_have_processed_is_not_sent_again(tmp_path, method):
    """It reads the second request and ends the connection without an answer: by FIN or RST."""
    requests = []

    def script(peer):
        for n in range(2):
            requests.append(peer.read_request())
            if n == 0:
                peer.send(OK)
        if len(requests) % 4:
            peer.reset()

    with Stand(script, tmp_path) as stand:
        answers = [stand.ask(method, b"pay!" if method != "GET" else b"") for _ in range(4)]
        assert answers == [200, 503, 200, 503]
        assert len(requests) == 4 and stand.stat("remora.upstream_rq_resent") == 0
        assert stand.logged(2)[1] == "503 UC upstream_reset_before_response_started{connection_termination}"


def all_stopped(pid):
    def state(task):
        with open(f"/proc/{pid}/task/{task}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]

    return all(state(task) == "T" for task in os.listdir(f"/proc/{pid}/task"))


def test_a_request_that_crossed_the_end_is_sent_again(tmp_path):
    """The application ends the connection before the request comes; the proxy, stopped meanwhile, finds both at once."""
    requests, idle, stopped, closed = [], threading.Event(), threading.Event(), threading.Event()

    def script(peer):
        requests.append(peer.read_request())
        peer.send(OK)
        if len(requests) > 1:
            peer.wait_for_close()
            return
        idle.set()
        stopped.wait(30)
        peer.sock.close()
        closed.set()

    with Stand(script, tmp_path) as stand:
        assert stand.ask() == 200
        assert idle.wait(30)
        # Both the end and the request are there when the proxy goes on.
        stand.proxy.signal(signal.SIGSTOP)
        px.wait_for(lambda: all_stopped(stand.proxy.process.pid), what="the stop")
        stand.client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\npay!")
        stopped.set()
        assert closed.wait(30)
        stand.proxy.signal(signal.SIGCONT)
        assert stand.client.read_answer().status == 200
        assert [body for _, body in requests] == [b"", b"pay!"]
        # It may have seen the end first; then there was nothing to send again.
        resent = stand.stat("remora.upstream_rq_resent")
        assert stand.logged(2)[1] == ("200 - via_upstream{resent}" if resent else "200 - via_upstream")


def kernel_timer(port):
    """Which timer runs for the connection to `port` and for how many seconds more, as /proc/net/tcp says; 2 is the keep-alive one."""
    with open("/proc/net/tcp") as f:
        for line in f.read().splitlines()[1:]:
            fields = line.split()
            if fields[2].endswith(f":{port:04X}") and fields[3] == "01":
                kind, left = fields[5].split(":")
                return int(kind, 16), int(left, 16) / os.sysconf("SC_CLK_TCK")
    return None


def test_the_kernel_probes_idle_connections_as_configured(tmp_path):
    def script(peer):
        peer.read_request()
        peer.send(OK)
        peer.wait_for_close()

    keepalive = {"tcp_keepalive": {"keepalive_time": 300, "keepalive_interval": 30, "keepalive_probes": 3}}
    with Stand(script, tmp_path, upstream_connection_options=keepalive) as stand:
        assert stand.ask() == 200
        kind, left = px.wait_for(lambda: (kernel_timer(stand.upstream.port) or (0, 0))[0] == 2 and kernel_timer(stand.upstream.port))
        assert kind == 2 and 100 < left <= 301


def test_an_idle_connection_goes_after_the_time_of_its_cluster(tmp_path):
    closed = threading.Event()

    def script(peer):
        peer.read_request()
        peer.send(OK)
        peer.wait_for_close()
        closed.set()

    options = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": "0.2s"}, "explicit_http_config": {"http_protocol_options": {}}}}
    with Stand(script, tmp_path, typed_extension_protocol_options=options) as stand:
        assert stand.ask() == 200
        assert "idle_close_ms" not in stand.proxy.admin("/clusters")[1]
        assert closed.wait(30)
        px.wait_for(lambda: stand.stat("upstream_cx_idle_timeout") == 1, what="the count")
        assert stand.stat("remora.upstream_cx_retired") == 0 and stand.stat("upstream_cx_destroy_local") == 1
