"""TCP through the proxy: bytes both ways, half-closes, resets, limits, time-outs, and what is counted and logged."""

import socket
import struct
import threading
import time

import pytest

from test.support import proxy as px
from test.support.client import Client
from test.support.peer_time import be_idle
from test.support.upstream import ClosedPort, Upstream

LOG = ("%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% "
       "%UPSTREAM_TRANSPORT_FAILURE_REASON%\n")
MIB = 1024 * 1024


class Session:
    """A proxy with one TCP listener "in" before cluster "app", and its access log."""
    def __init__(self, directory, clusters, **more):
        self.log_path = str(directory / "access.log")
        filters = px.tcp_filter_chain("app", "t", access_log=[px.file_access_log(self.log_path, LOG)], **more)
        if "weighted_clusters" in more:
            del filters[0]["typed_config"]["cluster"]
        listener = px.static_listener("in", filters)
        self.proxy = px.Proxy(
            px.REMORA, px.static_bootstrap([listener], clusters),
            args=["--file-flush-interval-msec", "50"], directory=str(directory))
        self.port = self.proxy.port("in")
    def connect(self, **more):
        return Client(self.port, **more)
    def stat(self, name, value):
        """Waits until the statistic has that value."""
        px.wait_for(lambda: self.proxy.stat(name) == value, 5.0, f"{name} to be {value}, is {self.proxy.stat(name)}")

    def logged(self, lines=1):
        """The first lines of the access log."""

        def read():
            try:
                with open(self.log_path) as f:
                    text = f.read().splitlines()
                return text if len(text) >= lines else None
            except FileNotFoundError:
                return None

        return px.wait_for(read, 15.0, f"{lines} lines in the access log")

    def resident(self):
        """Bytes of memory that the proxy holds."""
        with open(f"/proc/{self.proxy.process.pid}/status") as f:
            line = next(line for line in f if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.proxy.stop()


def echo(peer):
    while True:
        peer._more()
        peer.send(peer.buffer)
        peer.buffer = b""


def quiet(peer):
    peer.wait_for_close()


def read_all(client, timeout=5.0):
    """What comes until the end, and how it ended."""
    ended = client.read_end(timeout)
    return client.buffer, ended


def reset(client):
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


# --- bytes ---


def test_bytes_go_both_ways_and_are_counted(tmp_path):
    with Upstream(echo) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        with session.connect() as client:
            client.send(b"hello")
            assert client._exactly(5, time.monotonic() + 5) == b"hello"
            session.stat("cluster.app.upstream_cx_active", 1)
            client.sock.shutdown(socket.SHUT_WR)
            assert read_all(client) == (b"", "fin")
        session.stat("tcp.t.downstream_cx_total", 1)
        session.stat("tcp.t.downstream_cx_rx_bytes_total", 5)
        session.stat("tcp.t.downstream_cx_tx_bytes_total", 5)
        session.stat("cluster.app.upstream_cx_rx_bytes_total", 5)
        session.stat("cluster.app.upstream_cx_tx_bytes_total", 5)
        session.stat("cluster.app.upstream_cx_active", 0)
        session.stat("cluster.app.upstream_cx_total", 1)
        assert session.logged() == [f"- 5 5 app 127.0.0.1:{upstream.port} -"]


def test_bytes_are_counted_while_the_connection_is_open(tmp_path):
    with Upstream(echo) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        with session.connect() as client:
            client.send(b"hello")
            assert client._exactly(5, time.monotonic() + 5) == b"hello"
            session.stat("tcp.t.downstream_cx_rx_bytes_total", 5)
            session.stat("tcp.t.downstream_cx_tx_bytes_total", 5)
            session.stat("tcp.t.downstream_cx_tx_bytes_buffered", 0)


def test_the_server_may_speak_first(tmp_path):
    def greet(peer):
        peer.send(b"220 ready\r\n")
        peer.read_exactly(4)
        peer.send(b"bye")

    with Upstream(greet) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        with session.connect() as client:
            assert client._exactly(11, time.monotonic() + 5) == b"220 ready\r\n"
            client.send(b"QUIT")
            assert read_all(client) == (b"bye", "fin")


def test_the_server_answers_after_the_client_ended_its_half(tmp_path):
    def answer_at_the_end(peer):
        peer.wait_for_close()
        be_idle(0.2)  # the answer must not depend on arriving together with the end
        peer.send(b"you said: " + bytes(peer.record))

    with Upstream(answer_at_the_end) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        with session.connect() as client:
            client.send(b"last words")
            client.sock.shutdown(socket.SHUT_WR)
            assert read_all(client) == (b"you said: last words", "fin")


def test_the_client_goes_on_after_the_server_ended_its_half(tmp_path):
    done = threading.Event()

    def end_first(peer):
        peer.send(b"I am done")
        peer.sock.shutdown(socket.SHUT_WR)
        peer.wait_for_close()
        done.set()

    with Upstream(end_first) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        with session.connect() as client:
            assert read_all(client) == (b"I am done", "fin")
            for _ in range(3):
                client.sock.sendall(b"more ")
                be_idle(0.05)  # separate segments
            client.sock.shutdown(socket.SHUT_WR)
            assert done.wait(5)
        assert upstream.received() == [b"more more more "]


def test_what_a_client_sent_before_it_left_reaches_a_slow_server(tmp_path):
    size = 24 * MIB
    got = []

    def slow(peer):
        be_idle(1.5)
        peer.wait_for_close()
        got.append(len(peer.record))

    with Upstream(slow) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        client = session.connect(timeout=60)
        client.sock.sendall(bytes(size))
        client.close()
        px.wait_for(lambda: got, 60, "the server to have read everything")
        assert got == [size]


def test_what_a_server_sent_before_it_left_reaches_a_slow_client(tmp_path):
    size = 24 * MIB

    def send_and_leave(peer):
        peer.read_exactly(1)
        peer.send(bytes(size))

    with Upstream(send_and_leave) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        with session.connect(timeout=60) as client:
            client.send(b"x")
            be_idle(1.5)  # longer than the proxy's default patience with a closing connection
            body, ended = read_all(client, 60)
            assert (len(body), ended) == (size, "fin")


def test_two_hundred_megabytes_to_a_slow_reader_stay_bounded_in_memory(tmp_path):
    size = 200 * MIB
    chunk = bytes(range(256)) * 4096

    def pour(peer):
        peer.read_exactly(1)
        for _ in range(size // len(chunk)):
            peer.send(chunk)

    with Upstream(pour) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        with session.connect(timeout=60) as client:
            before = session.resident()
            client.sock.sendall(b"x")
            be_idle(1.0)  # everything up to the limits fills
            assert session.resident() - before < 16 * MIB
            assert session.proxy.stat("tcp.t.downstream_cx_tx_bytes_buffered") < 4 * MIB
            assert session.proxy.stat("cluster.app.upstream_flow_control_paused_reading_total") >= 1
            most, total, at = 0, 0, 0
            while True:
                data = client.sock.recv(MIB)
                if not data:
                    break
                assert data[0] == total % 256, f"wrong byte at {total}"
                total += len(data)
                if total - at > 20 * MIB:
                    at = total
                    most = max(most, session.resident() - before)
            assert total == size
            assert most < 16 * MIB
        stats = session.proxy.stats()
        paused = stats["cluster.app.upstream_flow_control_paused_reading_total"]
        assert paused == stats["cluster.app.upstream_flow_control_resumed_reading_total"]


def test_a_slow_server_holds_the_client_back(tmp_path):
    size = 50 * MIB
    go = threading.Event()

    def slow(peer):
        go.wait(30)
        total = 0
        while total < size:
            total += len(peer.sock.recv(MIB))
        peer.send(b"got it")

    with Upstream(slow) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        with session.connect(timeout=60) as client:
            before = session.resident()
            sender = threading.Thread(target=client.sock.sendall, args=(bytes(size),))
            sender.start()
            px.wait_for(lambda: session.proxy.stat("tcp.t.downstream_flow_control_paused_reading_total") >= 1,
                        10, "reading from the client to pause")
            be_idle(0.3)  # nothing more may be read meanwhile
            assert session.resident() - before < 16 * MIB
            paused = session.proxy.stat("tcp.t.downstream_flow_control_paused_reading_total")
            assert session.proxy.stat("tcp.t.downstream_flow_control_resumed_reading_total") == paused - 1
            go.set()
            assert client._exactly(6, time.monotonic() + 30) == b"got it"
            sender.join()
        assert session.proxy.stat("tcp.t.downstream_flow_control_resumed_reading_total") >= 1


# --- ends that are not polite ---


def test_a_reset_by_the_server_reaches_the_client(tmp_path):
    def send_and_reset(peer):
        peer.read_exactly(2)
        peer.send(b"half an ans")
        be_idle(0.2)  # the bytes go first
        peer.reset()

    with Upstream(send_and_reset) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        with session.connect() as client:
            client.send(b"hi")
            assert read_all(client) == (b"half an ans", "reset")
        assert session.logged()[0].startswith("UR 2 11 app ")


def test_a_client_that_resets_ends_the_upstream_connection(tmp_path):
    gone = threading.Event()

    def wait(peer):
        peer.wait_for_close()
        gone.set()

    with Upstream(wait) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        client = session.connect()
        client.send(b"hi")
        px.wait_for(lambda: upstream.received() == [b"hi"], what="bytes at the upstream")
        reset(client)
        assert gone.wait(5)
        session.stat("cluster.app.upstream_cx_active", 0)


def test_a_client_that_resets_while_bytes_are_on_their_way_to_it_is_not_taken_for_one_that_ended(tmp_path):
    seen = []

    def pour(peer):
        try:
            while True:
                peer.send(bytes(65536))
        except OSError as error:
            seen.append(type(error))

    with Upstream(pour) as upstream, Session(tmp_path, [px.static_cluster("app", upstream.port)]) as session:
        client = session.connect()
        be_idle(0.3)  # everything on the way fills
        reset(client)
        px.wait_for(lambda: seen, 5, "the upstream to notice")
        assert seen == [ConnectionResetError]
        session.stat("cluster.app.upstream_cx_active", 0)


# --- no upstream ---


def test_a_refused_upstream_closes_the_client(tmp_path):
    with ClosedPort() as closed, Session(tmp_path, [px.static_cluster("app", closed.port)]) as session:
        with session.connect() as client:
            assert client.read_end(5) in ("fin", "reset")
        session.stat("cluster.app.upstream_cx_connect_fail", 1)
        session.stat("cluster.app.upstream_cx_connect_attempts_exceeded", 1)
        session.stat("tcp.t.downstream_cx_total", 1)
        flags, _, _, cluster, host, reason = session.logged()[0].split(" ", 5)
        assert (sorted(flags.split(",")), cluster, host) == (["UF", "URX"], "app", f"127.0.0.1:{closed.port}")
        assert reason.replace("_", " ") == "delayed connect error: Connection refused"


def test_attempts_are_limited(tmp_path):
    with ClosedPort() as closed, Session(
            tmp_path, [px.static_cluster("app", closed.port)], max_connect_attempts=3) as session:
        with session.connect() as client:
            assert client.read_end(5) in ("fin", "reset")
        session.stat("cluster.app.upstream_cx_connect_fail", 3)
        session.stat("cluster.app.upstream_cx_connect_attempts_exceeded", 1)


def test_another_attempt_goes_to_another_host(tmp_path):
    with Upstream(echo) as upstream, ClosedPort() as closed:
        clusters = [px.static_cluster("app", closed.port, upstream.port)]
        with Session(tmp_path, clusters, max_connect_attempts=2) as session:
            for _ in range(4):
                with session.connect() as client:
                    client.send(b"hello")
                    assert client._exactly(5, time.monotonic() + 5) == b"hello"
            assert session.proxy.stat("cluster.app.upstream_cx_connect_fail") >= 1
            session.stat("cluster.app.upstream_cx_connect_attempts_exceeded", 0)


NOWHERE = [
    ("no such cluster", [], "NC - -", "tcp.t.downstream_cx_no_route"),
    ("no host", [px.static_cluster("app")], "UH app -", "cluster.app.upstream_cx_none_healthy"),
    ("too many connections", [px.static_cluster("app", 1, circuit_breakers={"thresholds": [{"max_connections": 0}]})],
     "UO app -", "cluster.app.upstream_cx_overflow"),
    ("destination was not restored",
     [{"name": "app", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s"}],
     "UH app -", "cluster.app.upstream_cx_none_healthy"),
]


@pytest.mark.parametrize("why,clusters,logged,counter", NOWHERE, ids=[case[0].replace(" ", "_") for case in NOWHERE])
def test_without_a_way_up_the_client_is_closed(tmp_path, why, clusters, logged, counter):
    with Session(tmp_path, clusters) as session:
        with session.connect() as client:
            assert client.read_end(5) in ("fin", "reset")
        session.stat(counter, 1)
        flags, _, _, cluster, host, _ = session.logged()[0].split(" ", 5)
        # A cluster without a usable host names none; one that is full may name the host it would have taken.
        assert f"{flags} {cluster}" == logged.rsplit(" ", 1)[0]


# --- choice and time ---


def test_weights_share_the_connections(tmp_path):
    with Upstream(echo) as heavy, Upstream(echo) as light:
        clusters = [px.static_cluster("heavy", heavy.port), px.static_cluster("light", light.port)]
        weights = {"clusters": [{"name": "heavy", "weight": 3}, {"name": "light", "weight": 1}]}
        with Session(tmp_path, clusters, weighted_clusters=weights) as session:
            for _ in range(120):
                with session.connect() as client:
                    client.send(b"x")
                    assert client._exactly(1, time.monotonic() + 5) == b"x"
            session.stat("tcp.t.downstream_cx_total", 120)
            share = session.proxy.stat("cluster.heavy.upstream_cx_total")
            assert share + session.proxy.stat("cluster.light.upstream_cx_total") == 120
            assert 66 <= share <= 114, share  # 90 expected, five standard deviations


def test_an_idle_connection_is_closed(tmp_path):
    with Upstream(quiet) as upstream:
        with Session(tmp_path, [px.static_cluster("app", upstream.port)], idle_timeout="0.3s") as session:
            with session.connect() as client:
                begun = time.monotonic()
                assert client.read_end(5) in ("fin", "reset")
                assert time.monotonic() - begun >= 0.25
            session.stat("tcp.t.idle_timeout", 1)
            session.stat("cluster.app.upstream_cx_active", 0)
            assert session.logged()[0].startswith("- 0 0 app ")


def tick(peer):
    for _ in range(8):
        peer.send(b".")
        be_idle(0.1)
    peer.wait_for_close()


@pytest.mark.parametrize("speaker", ["client", "server"])
def test_bytes_in_either_direction_keep_a_connection(tmp_path, speaker):
    with Upstream(tick if speaker == "server" else quiet) as upstream:
        with Session(tmp_path, [px.static_cluster("app", upstream.port)], idle_timeout="0.4s") as session:
            with session.connect() as client:
                for _ in range(8 if speaker == "client" else 0):
                    client.send(b".")
                    assert client.read_end(0.1) == "open"
                if speaker == "server":
                    assert client._exactly(8, time.monotonic() + 5) == b"." * 8
                session.stat("tcp.t.idle_timeout", 0)
                assert client.read_end(5) in ("fin", "reset")
            session.stat("tcp.t.idle_timeout", 1)


def test_an_idle_timeout_of_zero_is_none(tmp_path):
    with Upstream(quiet) as upstream:
        with Session(tmp_path, [px.static_cluster("app", upstream.port)], idle_timeout="0s") as session:
            with session.connect() as client:
                assert client.read_end(0.5) == "open"
            session.stat("tcp.t.idle_timeout", 0)


def test_a_connection_lives_no_longer_than_it_may(tmp_path):
    with Upstream(tick) as upstream:
        clusters = [px.static_cluster("app", upstream.port)]
        with Session(tmp_path, clusters, max_downstream_connection_duration="0.35s") as session:
            with session.connect() as client:
                assert client.read_end(5) in ("fin", "reset")
                assert 1 <= len(client.buffer) < 8
            session.stat("tcp.t.max_downstream_connection_duration", 1)
            assert session.logged()[0].startswith("DT 0 ")


def test_the_log_may_speak_when_connected_and_at_intervals(tmp_path):
    options = {"flush_access_log_on_connected": True, "access_log_flush_interval": "0.1s"}
    with Upstream(echo) as upstream:
        with Session(tmp_path, [px.static_cluster("app", upstream.port)], access_log_options=options) as session:
            host = f"app 127.0.0.1:{upstream.port} -"
            with session.connect() as client:
                assert session.logged()[0] == f"- 0 0 {host}"
                client.send(b"hello")
                assert client._exactly(5, time.monotonic() + 5) == b"hello"
                px.wait_for(lambda: f"- 5 5 {host}" in session.logged(), what="a line with the bytes so far")


# --- configuration ---


def refused(tmp_path, breakage):
    filters = px.tcp_filter_chain("app", "t")
    breakage(filters[0]["typed_config"])
    config = px.static_bootstrap([px.static_listener("in", filters)], [px.static_cluster("app", 1)])
    proxy = px.Proxy(px.REMORA, config, args=["--mode", "validate"], wait_ready=False, directory=str(tmp_path))
    status = proxy.wait_exit()
    proxy.stop()
    return status, proxy.output()


def weighted(*clusters):
    def change(config):
        del config["cluster"]
        config["weighted_clusters"] = {"clusters": list(clusters)}

    return change


BROKEN = [
    ("no stat_prefix", lambda c: c.update(stat_prefix=""), "stat_prefix"),
    ("no cluster", lambda c: c.pop("cluster"), "cluster_specifier"),
    ("no weighted cluster", weighted(), "clusters"),
    ("weight of zero", weighted({"name": "app", "weight": 0}), "weight"),
    ("no attempt", lambda c: c.update(max_connect_attempts=0), "max_connect_attempts"),
    ("no duration", lambda c: c.update(max_downstream_connection_duration="0s"), "max_downstream_connection_duration"),
]


@pytest.mark.parametrize("name,breakage,place", BROKEN, ids=[case[0].replace(" ", "_") for case in BROKEN])
def test_refused_with_the_place(tmp_path, name, breakage, place):
    status, output = refused(tmp_path, breakage)
    assert status not in (0, -6, -11), output
    # Envoy spells some paths in camel case.
    assert place.replace("_", "").lower() in output.replace("_", "").lower(), output
