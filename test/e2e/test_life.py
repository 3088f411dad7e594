"""How a proxy ends and drains: signals, /drain_listeners, /quitquitquit, the health check that an operator fails."""

import os
import signal
import threading
import time

from test.support import proxy as px
from test.support.client import Client, get
from test.support.proxy import wait_for
from test.support.upstream import Upstream, answer_ok

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Held:
    """An upstream that answers when it is told to."""

    def __init__(self):
        self.asked = threading.Event()
        self.go = threading.Event()

    def __call__(self, peer):
        while peer.read_request() is not None:
            self.asked.set()
            self.go.wait(20)
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def bootstrap(upstream, log=None, **listener):
    filters = px.http_filter_chain(
        [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}],
        access_log=px.file_access_log(log, "%RESPONSE_CODE%\n") if log else None)
    return px.static_bootstrap([px.static_listener("in", filters, **listener)], [px.static_cluster("app", upstream.port)])


def refuses(port):
    try:
        Client(port, timeout=1).close()
        return False
    except ConnectionResetError:
        return False  # was waiting to be accepted when the socket closed
    except ConnectionRefusedError:
        return True


def test_sigterm_lets_a_request_in_flight_finish_and_then_exits(tmp_path):
    held = Held()
    with Upstream(held) as upstream, px.Proxy(
            px.REMORA, bootstrap(upstream), ["--drain-time-s", "30"], directory=str(tmp_path)) as proxy:
        port = proxy.port("in")
        with Client(port) as client:
            client.send(REQUEST)
            assert held.asked.wait(5)
            proxy.signal(signal.SIGTERM)
            wait_for(lambda: refuses(port), what="new connections are refused")
            assert proxy.alive(), "a request is still being served"
            held.go.set()
            answer = client.read_answer()
            assert answer.status == 200
            assert answer.header("connection") == "close"
            assert client.read_end(5) == "fin"
        assert proxy.wait_exit(5) == 0, "with the last connection gone there is nothing to wait for"


def test_sigterm_exits_when_the_drain_time_is_over(tmp_path):
    held = Held()
    with Upstream(held) as upstream, px.Proxy(
            px.REMORA, bootstrap(upstream), ["--drain-time-s", "1"], directory=str(tmp_path)) as proxy:
        with Client(proxy.port("in")) as client:
            client.send(REQUEST)
            assert held.asked.wait(5)
            started = time.monotonic()
            proxy.signal(signal.SIGTERM)
            assert proxy.wait_exit(10) == 0
            assert 0.9 < time.monotonic() - started < 5
        held.go.set()


def test_sigterm_ends_an_idle_connection_politely(tmp_path):
    with Upstream(answer_ok) as upstream, px.Proxy(
            px.REMORA, bootstrap(upstream), ["--drain-time-s", "5", "--drain-strategy", "immediate"],
            directory=str(tmp_path)) as proxy:
        with Client(proxy.port("in")) as client:
            client.send(REQUEST)
            assert client.read_answer().status == 200
            proxy.signal(signal.SIGTERM)
            assert proxy.wait_exit(10) == 0
            assert client.read_end(1) == "fin"


def test_sigusr1_reopens_the_logs(tmp_path):
    log = str(tmp_path / "access.log")
    own = str(tmp_path / "remora.log")
    with Upstream(answer_ok) as upstream, px.Proxy(
            px.REMORA, bootstrap(upstream, log), ["--file-flush-interval-msec", "20", "--log-path", own],
            directory=str(tmp_path)) as proxy:
        port = proxy.port("in")
        assert get(port).status == 200
        wait_for(lambda: os.path.getsize(log) > 0, what="the first line")
        os.rename(log, log + ".1")
        os.rename(own, own + ".1")
        proxy.signal(signal.SIGUSR1)
        wait_for(lambda: os.path.exists(log) and os.path.exists(own), what="new files")
        assert get(port).status == 200
        wait_for(lambda: os.path.getsize(log) > 0, what="a line in the new file")
        with open(log + ".1") as old, open(log) as new:
            assert (old.read(), new.read()) == ("200\n", "200\n")


def test_quitquitquit_ends_the_process_at_once(tmp_path):
    with Upstream(answer_ok) as upstream, px.Proxy(px.REMORA, bootstrap(upstream), directory=str(tmp_path)) as proxy:
        assert proxy.admin("/quitquitquit")[0] == 405, "a change of state needs POST"
        assert proxy.alive()
        assert proxy.admin("/quitquitquit", "POST")[0] == 200
        assert proxy.wait_exit(5) == 0


def test_drain_listeners_stops_accepting_and_keeps_the_process(tmp_path):
    with Upstream(answer_ok) as upstream, px.Proxy(px.REMORA, bootstrap(upstream), directory=str(tmp_path)) as proxy:
        port = proxy.port("in")
        assert proxy.admin("/drain_listeners")[0] == 405
        assert proxy.admin("/drain_listeners", "POST")[0] == 200
        wait_for(lambda: refuses(port), what="the port is closed")
        assert proxy.alive() and proxy.stat("listener_manager.listener_stopped") == 1


def test_drain_of_inbound_listeners_leaves_the_others(tmp_path):
    with Upstream(answer_ok) as upstream:
        config = bootstrap(upstream, traffic_direction="INBOUND")
        other = bootstrap(upstream)["static_resources"]["listeners"][0]
        other["name"] = "out"
        other["traffic_direction"] = "OUTBOUND"
        config["static_resources"]["listeners"].append(other)
        with px.Proxy(px.REMORA, config, directory=str(tmp_path)) as proxy:
            inbound, outbound = proxy.port("in"), proxy.port("out")
            assert proxy.admin("/drain_listeners?inboundonly", "POST")[0] == 200
            wait_for(lambda: refuses(inbound), what="inbound is closed")
            assert get(outbound).status == 200


def test_a_graceful_drain_tells_clients_and_goes_on_accepting_meanwhile(tmp_path):
    with Upstream(answer_ok) as upstream, px.Proxy(
            px.REMORA, bootstrap(upstream), ["--drain-time-s", "2", "--drain-strategy", "immediate"],
            directory=str(tmp_path)) as proxy:
        port = proxy.port("in")
        with Client(port) as client:
            client.send(REQUEST)
            assert client.read_answer().header("connection") is None
            assert proxy.admin("/drain_listeners?graceful", "POST")[0] == 200
            late = wait_for(lambda: get(port), what="a new connection is served")
            assert late.status == 200
        wait_for(lambda: refuses(port), what="the drain time is over")
        assert proxy.alive()


def test_a_failed_health_check_says_so_until_it_is_mended(tmp_path):
    with Upstream(answer_ok) as upstream, px.Proxy(px.REMORA, bootstrap(upstream), directory=str(tmp_path)) as proxy:
        port = proxy.port("in")
        assert proxy.admin("/ready") == (200, "LIVE\n")
        with Client(port) as client:
            client.send(REQUEST)
            assert client.read_answer().header("connection") is None
            assert proxy.admin("/healthcheck/fail", "POST")[0] == 200
            assert proxy.admin("/ready") == (503, "DRAINING\n")
            wait_for(lambda: get(port).header("connection") == "close", what="new clients are told to go elsewhere")
            client.send(REQUEST)
            assert client.read_answer().header("connection") == "close", "those who are here, too"
        assert proxy.admin("/healthcheck/ok", "POST")[0] == 200
        assert proxy.admin("/ready") == (200, "LIVE\n")
        wait_for(lambda: get(port).header("connection") is None, what="connections live on again")


def test_a_gradual_drain_tells_few_clients_at_first_and_all_in_the_end(tmp_path):
    with Upstream(answer_ok) as upstream, px.Proxy(
            px.REMORA, bootstrap(upstream), ["--drain-time-s", "2"], directory=str(tmp_path)) as proxy:
        port = proxy.port("in")
        assert proxy.admin("/drain_listeners?graceful&skip_exit", "POST")[0] == 200
        told = [get(port).header("connection") == "close" for _ in range(10)]
        assert sum(told) < 5, told
        wait_for(lambda: all(get(port).header("connection") == "close" for _ in range(5)), what="the drain time is over")
        assert proxy.alive()


def test_a_second_sigterm_does_not_wait(tmp_path):
    held = Held()
    with Upstream(held) as upstream, px.Proxy(
            px.REMORA, bootstrap(upstream), ["--drain-time-s", "60"], directory=str(tmp_path)) as proxy:
        port = proxy.port("in")
        with Client(port) as client:
            client.send(REQUEST)
            assert held.asked.wait(5)
            proxy.signal(signal.SIGTERM)
            wait_for(lambda: refuses(port), what="draining")
            proxy.signal(signal.SIGTERM)
            assert proxy.wait_exit(5) == 0
        held.go.set()
