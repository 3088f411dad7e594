"""Active health checks: hosts that are well and ill in many ways, given to Envoy and to Remora: both ask alike and find the same."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from test.differential.exchange import pair_of
from test.support import proxy as px
from test.support import tls
from test.support.certificates import Authority
from test.support.grpc import message
from test.support.h2_upstream import H2Upstream
from test.support.upstream import ClosedPort, Upstream, answer_with


def answer(status, *headers, body=b""):
    head = b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n" % (status, len(body))
    return answer_with(head + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body)


OK = answer(200)


class Changes:
    """Answers `times` requests as `first` says and the rest as `then`: counted for each host."""

    def __init__(self, times, first, then):
        self.times, self.first, self.then = times, first, then

    def script(self):
        left = [self.times]

        def script(peer):
            while True:
                peer.read_request()
                left[0] -= 1
                peer.send(self.first if left[0] >= 0 else self.then)

        return script


def cuts(peer):
    while peer.read_request():
        peer.reset()


def silent(peer):
    peer.read_request()
    peer.wait_for_close()


def says(text):
    def script(peer):
        peer.read_exactly(4)
        peer.send(text)
        peer.wait_for_close()

    return script


class Http2:
    """What a host does that speaks HTTP/2: an answer to every request."""

    def __init__(self, status=200, body=b"", fields=(), trailers=None):
        self.answer = {"status": status, "body": body, "fields": fields, "trailers": trailers}

    def __call__(self, peer):
        while True:
            peer.answer(peer.read_request(), **self.answer)


def grpc(serving, status="0", *fields):
    """`serving`: the number of grpc.health.v1.HealthCheckResponse.ServingStatus."""
    return Http2(200, message(bytes([8, serving]) if serving else b""), [("content-type", "application/grpc"), *fields], [("grpc-status", status)])


def pongs_with(text):
    """Answers every PING, whatever is before it."""
    def script(peer):
        while True:
            while b"PING" not in peer.buffer:
                peer._more()
            peer.buffer = peer.buffer.split(b"PING", 1)[1]
            peer.send(text)

    return script


pongs = pongs_with(b"PONG")


def pongs_once(peer):
    peer.read_exactly(4)
    peer.send(b"PONG")


SOON = {"timeout": "5s", "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_threshold": 2, "healthy_threshold": 2}
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
BAD = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"


def http(**more):
    return {**SOON, "http_health_check": {"path": "/health?a=b", **more}}


def tcp(send=None, receive=(), **more):
    check = {"receive": [{"text": r.hex()} for r in receive], **more}
    if send:
        check["send"] = {"text": send.hex()}
    return {**SOON, "tcp_health_check": check}


def header(key, value="", **more):
    return {"header": {"key": key, "value": value}, **more}


SERVICE = "x-envoy-upstream-healthchecked-cluster"
PLAIN = {"name": "plain", "match": {"kind": "plain"}, "transport_socket": px.typed("raw", "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")}


def ranges(*pairs):
    return [{"start": a, "end": b} for a, b in pairs]


# Name: the check, what the hosts do (None: nobody listens), what the cluster says besides.
CASES = {
    "well": (http(), [OK, OK], {}),
    "ill": (http(), [OK, answer(500)], {}),
    "no_content_is_ill": (http(), [answer(204)], {}),
    "expected": (http(expected_statuses=ranges((200, 205), (404, 405))), [answer(204), answer(404), answer(205)], {}),
    "retriable_for_ever": (http(retriable_statuses=ranges((500, 501))), [answer(500), answer(501)], {}),
    "falls_ill": (http(), [Changes(3, GOOD, BAD)], {}),
    "falls_ill_retriably": (http(retriable_statuses=ranges((500, 501))), [Changes(3, GOOD, BAD)], {}),
    "gets_well": (http(), [Changes(3, BAD, GOOD)], {}),
    "degraded": (http(), [answer(200, b"x-envoy-degraded: 1"), OK], {}),
    "asks_to_be_left_out": (http(), [answer(503, b"x-envoy-immediate-health-check-fail: 1"), OK], {}),
    "asks_so_and_is_well": (http(), [answer(200, b"x-envoy-immediate-health-check-fail: 1"), OK], {}),
    "refused": (http(), [OK, None], {}),
    "cut": (http(), [OK, cuts], {}),
    "silent": ({**http(), "timeout": "0.2s"}, [silent], {}),
    "host": (http(host="checks.example"), [OK], {}),
    "method": (http(method="HEAD"), [answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")], {}),
    "headers": (http(request_headers_to_add=[{"header": {"key": "X-Why", "value": "health"}}], request_headers_to_remove=["user-agent"]),
                [OK], {}),
    "removed_and_added": (http(request_headers_to_remove=["user-agent", "x-new"], request_headers_to_add=[
        header("user-agent", "mine"), header("x-new", "100%%")]), [OK], {}),
    "header_actions": (http(request_headers_to_add=[
        header("x-a", "1"), header("x-a", "2"), header("x-b", "1", append_action="ADD_IF_ABSENT"),
        header("user-agent", "2", append_action="ADD_IF_ABSENT"), header("user-agent", "3", append_action="OVERWRITE_IF_EXISTS"),
        header("x-c", "1", append_action="OVERWRITE_IF_EXISTS"), header("x-d", "1", append_action="OVERWRITE_IF_EXISTS_OR_ADD"),
        header("x-empty"), header("x-kept", keep_empty_value=True)]), [OK], {}),
    "service": (http(service_name_matcher={"prefix": "pay"}),
                [answer(200, f"{SERVICE}: payments".encode()), answer(200, f"{SERVICE}: orders".encode()), OK, answer(500)], {}),
    "service_exactly": (http(service_name_matcher={"exact": "PAY", "ignore_case": True}), [answer(200, f"{SERVICE}: pay".encode())], {}),
    "body": (http(receive=[{"text": b"ali".hex()}, {"text": b"ve".hex()}]), [answer(200, body=b"I am alive"), answer(200, body=b"dead")], {}),
    "new_connections": ({**http(), "reuse_connection": False}, [OK, answer(200, b"connection: close")], {}),
    "closes": (http(), [answer_with(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", then_close=True)], {}),
    "tcp": (tcp(), [OK, None], {}),
    "tcp_closes": (tcp(b"PING", [b"PONG"]), [pongs_once], {}),
    "tcp_new_connections": ({**tcp(b"PING", [b"PONG"]), "reuse_connection": False}, [pongs], {}),
    "tcp_proxy_v1": (tcp(b"PING", [b"PONG"], proxy_protocol_config={"version": "V1"}), [pongs], {}),
    "tcp_proxy_v2": (tcp(b"PING", [b"PONG"], proxy_protocol_config={"version": "V2"}), [pongs], {}),
    "tcp_payload": (tcp(b"PING", [b"PO", b"NG"]), [pongs_with(b"+ PO, NG")], {}),
    "tcp_other_payload": ({**tcp(b"PING", [b"PO", b"NG"]), "timeout": "0.2s"}, [says(b"NGPO")], {}),
    "http2": (http(codec_client_type="HTTP2"), [Http2(), Http2(503), OK], {}),
    "grpc": ({**SOON, "grpc_health_check": {}}, [grpc(1), grpc(2), grpc(0), grpc(3)], {}),
    "grpc_service": ({**SOON, "grpc_health_check": {"service_name": "a.B", "authority": "checks.example"}}, [grpc(1)], {}),
    "grpc_errors": ({**SOON, "grpc_health_check": {}}, [grpc(1, "13"), Http2(200, fields=[("content-type", "application/grpc"), ("grpc-status", "12")]),
                                                        Http2(503), grpc(1, "0", ("x-envoy-degraded", "1")), OK], {}),
    "grpc_metadata": ({**SOON, "grpc_health_check": {"initial_metadata": [header("x-a", "1"), header("user-agent", "mine", append=False)]}},
                      [grpc(1)], {}),
    "tls": (http(), [OK, answer(500)], {"tls": True}),
    "tls_alpn": ({**http(), "tls_options": {"alpn_protocols": ["checks", "http/1.1"]}}, [OK], {"tls": True}),
    "tls_alpn_empty": ({**http(), "tls_options": {}}, [OK], {"tls": True}),
    "tls_not_for_checks": ({**http(), "transport_socket_match_criteria": {"kind": "plain"}}, [OK],
                           {"transport_socket_matches": [PLAIN], "transport_socket": tls.upstream_tls({})}),
    "tls_for_none_that_match": ({**http(), "transport_socket_match_criteria": {"kind": "other"}}, [OK], {"transport_socket_matches": [PLAIN]}),
    "eds_says_ill": (http(), [OK, OK], {"ill": 1}),
    "disabled": (http(), [OK, None], {"endpoint": {"disable_active_health_check": True}}),
    "named": (http(), [OK], {"endpoint": {"hostname": "one.example"}}),
    "elsewhere": (http(), [OK, None], {"endpoint": {"port_value": 0}}),
    "at_an_address": (http(), [OK, None], {"endpoint": {"port_value": 0, "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}}),
}


class Side:
    def __init__(self, binary, directory):
        self.directory, self.upstreams, self.closed = Path(directory), {}, []
        self.root = Authority(directory)
        self.pair = self.root.issue("server", "DNS:server.example")
        clusters = [self.cluster(name, *case) for name, case in CASES.items()]
        self.proxy = px.Proxy(binary, px.static_bootstrap([], clusters), directory=directory,
                              args=["--concurrency", "1", "--file-flush-interval-msec", "50"])

    def log_of(self, name):
        return self.directory / f"{name}.log"

    def cluster(self, name, check, hosts, more):
        log = str(self.log_of(name))
        sink = {"event_log_path": log} if name == "well" else {"event_logger": [px.typed(
            "file", "envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink", event_log_path=log)]}
        check = {**check, **sink, "always_log_health_check_failures": True, "always_log_health_check_success": True}
        ports = [self.port_of(name, script, "tls" in more) for script in hosts]
        transports = {key: value for key, value in more.items() if key.startswith("transport")}
        cluster = px.static_cluster(name, *ports, health_checks=[check], **transports)
        if "grpc_health_check" in check:
            cluster["http2_protocol_options"] = {}
        if "tls" in more:
            cluster["transport_socket"] = tls.upstream_tls({"validation_context": tls.trust(self.root)}, sni="server.example")
        endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        if "ill" in more:
            endpoints[more["ill"]]["health_status"] = "UNHEALTHY"
            endpoints[0]["metadata"] = {"filter_metadata": {"some.filter": {"key": ["a", 1.5, True, {"quote": '"'}]}}}
            cluster["load_assignment"]["endpoints"][0]["locality"] = {"region": "r", "zone": "z", "sub_zone": "s"}
        if "endpoint" in more:
            config = dict(more["endpoint"])
            if "port_value" in config:
                config["port_value"] = ports[0]
            endpoints[-1]["endpoint"]["health_check_config"] = config
        return cluster

    def port_of(self, name, script, secure):
        if script is None:
            self.closed.append(ClosedPort())
            return self.closed[-1].port
        if isinstance(script, Changes):
            script = script.script()
        if isinstance(script, Http2):
            upstream = H2Upstream(script)
        else:
            upstream = tls.TlsUpstream(self.pair, script=script, alpn=["checks", "h2", "http/1.1"]) if secure else Upstream(script)
        self.upstreams.setdefault(name, []).append(upstream)
        return upstream.port

    def stats(self, name):
        prefix = f"cluster.{name}."
        found = self.proxy.stats(f"^cluster.{name}.(health_check|membership_)")
        return {key[len(prefix):]: value for key, value in found.items()}

    def events(self, name):
        """Of each host the kinds of lines that the log has, in the order in which they were first seen; times and ports apart."""
        hosts = {}
        for line in self.log_of(name).read_text().splitlines():
            port = json.loads(line)["host"]["socket_address"]["port_value"]
            line, times = re.subn(r'"timestamp":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"', '"timestamp":"NOW"', line)
            assert times == 1, line
            hosts.setdefault(port, []).append(line.replace(f'"port_value":{port}', '"port_value":PORT'))
        return hosts

    def logged(self, name):
        """The events, once every host has many."""
        asked = [] if name == "disabled" else CASES[name][1]
        px.wait_for(lambda: sum(len(lines) >= 8 for lines in self.events(name).values()) >= len(asked), timeout=60, what=f"{name}: events")
        return sorted(list(dict.fromkeys(lines)) for lines in self.events(name).values())

    def run(self, name):
        hosts = len(CASES[name][1])
        px.wait_for(lambda: self.stats(name)["health_check.attempt"] >= 8 * hosts or name == "disabled", timeout=60, what=f"{name}: checks")
        stats = self.stats(name)
        seen = {key: value if key.startswith("membership") or key.endswith(("healthy", "degraded")) else value > 0
                for key, value in stats.items()}
        text = self.proxy.admin("/clusters")[1]
        flags = [line.rsplit("::", 1)[1] for line in text.splitlines() if line.startswith(f"{name}::") and "::health_flags::" in line]
        heads, reused = [], []
        for upstream in self.upstreams.get(name, []):
            if isinstance(upstream, H2Upstream):
                requests = [r for connection in upstream.connections for r in connection if r.ended]
                heads.append((sorted(requests[0].headers), requests[0].body))
                reused.append(len(upstream.connections) == 1)
            else:
                connections = upstream.received()
                first = connections[0] if connections else b""  # further checks may follow on one connection
                if name.startswith("tcp"):
                    heads.append(re.findall(rb"(?s).*?PING", re.sub(rb"\d{4,}", b"PORT", first))[:2])
                else:
                    heads.append(first.split(b"\r\n\r\n")[0])
                reused.append(len(connections) == 1)
        protocols = [u.protocols[0] for u in self.upstreams.get(name, []) if isinstance(u, tls.TlsUpstream)]
        return {"stats": seen, "flags": sorted(flags), "heads": heads, "reused": reused, "protocols": protocols, "log": self.logged(name)}

    def close(self):
        self.proxy.stop()
        for upstream in sum(self.upstreams.values(), []) + self.closed:
            upstream.close()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    with pair_of(Side, tmp_path_factory) as pair:
        yield pair


@pytest.mark.parametrize("name", CASES)
def test_the_same_hosts_are_well(sides, name):
    with ThreadPoolExecutor(2) as both:
        theirs, ours = both.map(lambda side: side.run(name), sides)
    assert ours == theirs
