"""Options of the HTTP connection manager that need counters, logs or time to be seen; test/differential compares the rest."""

import json
import subprocess
import time

import pytest

from test.support import proxy as px
from test.support.client import Client, get
from test.support.upstream import Upstream

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
ROUTES = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]


def common(**options):
    return {"common_http_protocol_options": options}


class Stand:
    """A proxy with one listener per configuration of the connection manager, in front of one upstream."""

    def __init__(self, tmp_path, configs, script=None):
        self.upstream = Upstream(script) if script else Upstream()
        self.log_path = tmp_path / "access.log"
        log = px.file_access_log(str(self.log_path), "%ACCESS_LOG_TYPE% %RESPONSE_CODE% %DURATION%\n")
        listeners = [px.static_listener(name, px.http_filter_chain(ROUTES, stat_prefix=name, access_log=log, **config))
                     for name, config in configs.items()]
        self.proxy = px.Proxy(px.REMORA, px.static_bootstrap(listeners, [px.static_cluster("app", self.upstream.port)]),
                              args=["--file-flush-interval-msec", "20"], directory=str(tmp_path))
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def log(self, count):
        def lines():
            found = self.log_path.read_text().splitlines() if self.log_path.exists() else []
            return found if len(found) >= count else None

        return px.wait_for(lines, what="access log")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.proxy.stop()
        self.upstream.close()


def test_fields_with_underscores_are_counted(tmp_path):
    with Stand(tmp_path, {"drop": common(headers_with_underscores_action="DROP_HEADER"),
                          "refuse": common(headers_with_underscores_action="REJECT_REQUEST")}) as stand:
        assert get(stand.ports["drop"], headers=[("x_a", "1"), ("y_b", "2"), ("x-c", "3")]).status == 200
        head = stand.upstream.received()[0]
        assert b"x-c: 3" in head and b"_" not in head
        refused = get(stand.ports["refuse"], headers=[("x_a", "1")])
        assert refused.status == 400 and refused.header("connection") == "close"
        assert len(stand.upstream.received()) == 1
        stats = stand.proxy.stats("^http1")
        assert stats["http1.dropped_headers_with_underscores"] == 2
        assert stats["http1.requests_rejected_with_underscores_in_headers"] == 1


def test_entries_of_the_log_besides_the_last(tmp_path):
    def answers_late(peer):
        peer.read_request()
        px.wait_for(lambda: (tmp_path / "access.log").read_text().count("Periodic") >= 2, what="periodic entries")
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        peer.wait_for_close()

    options = {"access_log_options": {"flush_access_log_on_new_request": True, "access_log_flush_interval": "0.05s"}}
    with Stand(tmp_path, {"in": options}, answers_late) as stand:
        assert get(stand.ports["in"], timeout=15).status == 200
        lines = stand.log(4)
        px.wait_for(lambda: stand.log(4)[-1].startswith("DownstreamEnd"), what="the last entry")
        lines = stand.log(4)
        assert lines[0] == "DownstreamStart 0 -"
        assert set(lines[1:-1]) == {"DownstreamPeriodic 0 -"}
        assert lines[-1].startswith("DownstreamEnd 200 ")
        assert sum(line.startswith("DownstreamEnd") for line in lines) == 1


def closing_time(port, first=True):
    """Seconds until the proxy ends a connection that had one request, or none."""
    with Client(port) as client:
        begin = time.monotonic()
        if first:
            client.send(GET)
            assert client.read_answer().header("connection") is None
        assert client.read_end(5.0) == "fin"
        return time.monotonic() - begin


def test_connections_end_after_their_time(tmp_path):
    quick = {"drain_timeout": "0.2s", "delayed_close_timeout": "0.1s"}
    with Stand(tmp_path, {"duration": {**common(max_connection_duration="0.2s"), **quick},
                          "idle": {**common(idle_timeout="0.2s"), **quick},
                          "safe": {**common(max_connection_duration="0.2s"), **quick, "http1_safe_max_connection_duration": True}
                          }) as stand:
        assert 0.35 < closing_time(stand.ports["duration"]) < 3
        assert 0.35 < closing_time(stand.ports["idle"]) < 3
        assert 0.15 < closing_time(stand.ports["duration"], first=False) < 3
        with Client(stand.ports["safe"]) as client:
            client.send(GET)
            assert client.read_answer().header("connection") is None
            reached = "http.safe.downstream_cx_max_duration_reached"
            px.wait_for(lambda: stand.proxy.stat(reached) == 1, what=reached)
            assert client.read_end(0.5) == "open", "an idle connection may have a request on its way"
            client.send(GET)
            assert client.read_answer().header("connection") == "close"
            assert client.read_end(3.0) == "fin"
        stats = stand.proxy.stats("downstream_cx")
        assert stats["http.duration.downstream_cx_max_duration_reached"] == 2
        assert stats["http.idle.downstream_cx_idle_timeout"] == 1


def test_draining_tells_the_client_to_close(tmp_path):
    with Stand(tmp_path, {"in": {}}) as stand, Client(stand.ports["in"]) as client:
        client.send(GET)
        assert client.read_answer().header("connection") is None
        stand.proxy.admin("/drain_listeners?graceful", method="POST")

        def told():
            client.send(GET)
            return client.read_answer().header("connection") == "close"

        px.wait_for(told, what="connection: close")
        assert client.read_end(5.0) == "fin"


def test_the_scheme_is_what_a_destination_port_means(tmp_path):
    """Only where somebody in front told the destination: the listener's own port says nothing."""
    inspector = px.typed("pp", "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
                         allow_requests_without_proxy_protocol=True)
    manager = px.http_filter_chain(ROUTES, use_remote_address=True, forward_proto_config={
        "https_destination_ports": [443], "http_destination_ports": [80]})

    with Upstream(once) as upstream:
        listener = px.static_listener("in", manager, listener_filters=[inspector])
        with px.Proxy(px.REMORA, px.static_bootstrap([listener], [px.static_cluster("app", upstream.port)]),
                      directory=str(tmp_path)) as proxy:
            for port, scheme in ((443, b"https"), (80, b"http"), (8080, b"http"), (None, b"http")):
                upstream.forget()
                with Client(proxy.port("in")) as client:
                    if port:
                        client.send(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 %d\r\n" % port)
                    client.send(GET)
                    assert client.read_answer().status == 200
                assert b"x-forwarded-proto: " + scheme + b"\r\n" in upstream.received()[0]


def once(peer):
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")


REFUSED = [
    ({"scoped_routes": {}}, "scoped_routes"),
    ({"path_normalization_options": {}}, "path_normalization_options"),
    ({"http_protocol_options": {"allow_chunked_length": True}}, "http_protocol_options.allow_chunked_length"),
    ({"local_reply_config": {"mappers": [{"status_code": 500}]}}, "local_reply_config.mappers[0].filter"),
    ({"use_remote_address": True, "original_ip_detection_extensions": [px.typed(
        "x", "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig")]}, "original_ip_detection_extensions"),
]


@pytest.mark.parametrize("config, field", REFUSED, ids=[field for _, field in REFUSED])
def test_what_cannot_be_honoured_is_refused_with_its_path(tmp_path, config, field):
    filters = px.http_filter_chain([], **config)
    if "scoped_routes" in config:
        filters[0]["typed_config"].pop("route_config")
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(px.static_bootstrap([px.static_listener("in", filters)], [])))
    done = subprocess.run([px.REMORA, "--mode", "validate", "-c", str(path)], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert field + ": " in done.stderr + done.stdout
