"""Tunnels through the binary: CONNECT that ends here or is passed on, TCP through another proxy's tunnels, and what
updates and draining do to those that are open."""

import time

import pytest

from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import ClosedPort, Upstream

LOG = "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n"
CONNECT = {"match": {"connect_matcher": {}}}
MIB = 1024 * 1024


def echo(peer):
    while True:
        if not peer.buffer:
            peer._more()
        peer.send(peer.buffer)
        peer.buffer = b""


def agree(raw=b"HTTP/1.1 200 OK\r\n\r\n"):
    def script(peer):
        peer.read_head()
        peer.send(raw)
        echo(peer)

    return script


def terminator(port, **more):
    """Ends tunnels: a listener "end" whose CONNECT requests go to `port` as TCP."""
    route = {"cluster": "target", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
    listener = px.static_listener("end", px.http_filter_chain([{**CONNECT, "route": route}], "end", **more))
    return px.static_bootstrap([listener], [px.static_cluster("target", port)])


HTTP2 = {
    "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
}


def tunnel_to(port, log=None, tunneling=None, cluster=None, **more):
    """TCP through the proxy at `port`: a listener "in"."""
    tunneling = {"hostname": "target.example:443", **(tunneling or {})}
    logs = [px.file_access_log(log, LOG)] if log else []
    filters = px.tcp_filter_chain("proxy", "t", tunneling_config=tunneling, access_log=logs, **more)
    return px.static_bootstrap([px.static_listener("in", filters)], [px.static_cluster("proxy", port, **(cluster or {}))])


def run(bootstrap, directory):
    directory.mkdir(exist_ok=True)
    return px.Proxy(px.REMORA, bootstrap, args=["--file-flush-interval-msec", "20"], directory=str(directory))


def exactly(client, count):
    return client._exactly(count, time.monotonic() + 10)


def stat_becomes(proxy, name, value):
    px.wait_for(lambda: proxy.stat(name) == value, 5.0, f"{name} to be {value}, is {proxy.stat(name)}")


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("post", [False, True], ids=["connect", "post"])
def test_tcp_through_a_pair(tmp_path, post, http2):
    """TCP enters a tunnel at one sidecar and leaves it at another."""
    with Upstream(echo) as upstream:
        bootstrap = terminator(upstream.port)
        if post:
            route = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
            route = route["route_config"]["virtual_hosts"][0]["routes"][0]
            route["match"] = {"prefix": "/"}
            route["route"]["upgrade_configs"][0]["connect_config"] = {"allow_post": True}
        with run(bootstrap, tmp_path / "end") as end:
            log = str(tmp_path / "access.log")
            enter = tunnel_to(end.port("end"), log, {"use_post": True} if post else {}, HTTP2 if http2 else {})
            with run(enter, tmp_path / "enter") as proxy:
                with Client(proxy.port("in"), timeout=10) as client:
                    client.send(b"hello")
                    assert exactly(client, 5) == b"hello"
                    block = bytes(range(256)) * 4096
                    for _ in range(8):
                        client.send(block)
                        assert exactly(client, len(block)) == block
                    client.sock.shutdown(1)
                    assert client.read_end(5) == "fin"
                stat_becomes(proxy, "cluster.proxy.upstream_rq_active", 0)
                stat_becomes(end, "cluster.target.upstream_cx_active", 0)
                sent = 5 + 8 * MIB
                assert px.wait_for(lambda: open(log).read(), what="log") == f"- {sent} {sent} -\n"
                assert end.stat("http.end.downstream_cx_upgrades_total") == (0 if post else 1)


def test_a_tunnel_that_is_refused(tmp_path):
    with Upstream(agree(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")) as upstream:
        log = str(tmp_path / "access.log")
        bootstrap = tunnel_to(upstream.port, log, max_connect_attempts=2)
        with run(bootstrap, tmp_path / "enter") as proxy, Client(proxy.port("in")) as client:
            assert client.read_end(5) in ("fin", "reset")
            assert px.wait_for(lambda: open(log).read(), what="log") == "URX,UF 0 0 tunnel_response:403\n"
            assert len(upstream.received()) == 2
            assert proxy.stat("cluster.proxy.upstream_cx_connect_attempts_exceeded") == 1


def test_a_tunnel_to_nobody(tmp_path):
    with ClosedPort() as nobody:
        log = str(tmp_path / "access.log")
        with run(tunnel_to(nobody.port, log), tmp_path / "enter") as proxy, Client(proxy.port("in")) as client:
            assert client.read_end(5) in ("fin", "reset")
            assert px.wait_for(lambda: open(log).read(), what="log") == (
                "URX,UF 0 0 delayed_connect_error:_Connection_refused\n")


def test_a_tunnels_request_carries_what_is_configured(tmp_path):
    tunneling = {"hostname": "%DOWNSTREAM_LOCAL_ADDRESS%",
                 "headers_to_add": [{"header": {"key": "X-From", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}]}
    with Upstream(agree()) as upstream:
        with run(tunnel_to(upstream.port, None, tunneling), tmp_path / "enter") as proxy:
            port = proxy.port("in")
            with Client(port) as client:
                client.send(b"x")
                assert exactly(client, 1) == b"x"
            here = f"127.0.0.1:{port}"
            assert upstream.received() == [
                f"CONNECT {here} HTTP/1.1\r\nhost: {here}\r\nx-from: 127.0.0.1\r\n\r\nx".encode()]


def test_an_open_tunnel_survives_draining(tmp_path):
    with Upstream(echo) as upstream, run(terminator(upstream.port, drain_timeout="0.1s"), tmp_path / "end") as proxy:
        with Client(proxy.port("end")) as client:
            client.send(b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n")
            assert client.read_answer(head_only=True).status == 200
            assert proxy.admin("/drain_listeners?graceful", "POST")[0] == 200
            px.wait_for(lambda: not proxy.listeners() or proxy.stat("listener_manager.total_listeners_active") >= 0)
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                client.send(b"still")
                assert exactly(client, 5) == b"still"


@pytest.mark.parametrize(
    "bad, reason",
    [
        ({"tunneling_config": {}}, "tunneling_config.hostname: is required"),
        ({"tunneling_config": {"hostname": "%NOPE%"}}, "tunneling_config.hostname: "),
        ({"tunneling_config": {"hostname": "a", "post_path": "/x"}}, "post_path: is for use_post only"),
        ({"tunneling_config": {"hostname": "a", "headers_to_add": [{"header": {"key": "host", "value": "x"}}]}},
         "headers_to_add[0].header.key: "),
        ({"tunneling_config": {"hostname": "a", "propagate_response_headers": True}}, "propagate_response_headers: "),
    ],
    ids=["no_host", "bad_host", "path", "host_field", "propagate"],
)
def test_what_makes_no_sense_is_refused(tmp_path, bad, reason):
    listener = px.static_listener("in", px.tcp_filter_chain("c", "t", **bad))
    bootstrap = px.static_bootstrap([listener], [px.static_cluster("c", 1)])
    proxy = px.Proxy(px.REMORA, bootstrap, wait_ready=False, directory=str(tmp_path))
    assert proxy.wait_exit() != 0
    assert reason in proxy.output()
    proxy.stop()
