"""Tunnels that an HTTP/2 client asks for: the same streams for Envoy and for Remora."""

import os

import pytest

from test.differential.exchange import LOG_FORMAT, normal_bytes
from test.differential.tunnel_exchanges import CONNECT, CONNECT_MATCH, ENDS_HERE, OK, PLAIN, SWITCH, WEBSOCKET, answer, echo, hold
from test.support import proxy as px
from test.support.h2_client import H2Client
from test.support.upstream import Upstream

EXTENDED = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", "/ws")]
TUNNEL = [(":method", "CONNECT"), (":authority", "target.example:443")]
REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno"
ALLOWED = {"http2_protocol_options": {"allow_connect": True}}

# name: the request, what follows it at once, what must come back, the upstream, the listener's part, the route's, the match
EXCHANGES = {
    "websocket": (EXTENDED, b"", b"ping", answer(SWITCH), WEBSOCKET, {}, None),
    "websocket_early": (EXTENDED, b"early", b"early", answer(SWITCH), WEBSOCKET, {}, None),
    "websocket_ahead": (EXTENDED, b"", b"ahead", answer(SWITCH + b"ahead"), WEBSOCKET, {}, None),
    "websocket_refused": (EXTENDED, b"", b"no", answer(REFUSED, hold), WEBSOCKET, {}, None),
    "websocket_unconfigured": (EXTENDED, b"", None, answer(SWITCH), {}, {}, None),
    "websocket_off": (EXTENDED, b"", None, answer(SWITCH), WEBSOCKET,
                      {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}, None),
    "other_protocol": ([(":protocol", "other") if n == ":protocol" else (n, v) for n, v in EXTENDED], b"", None, hold,
                       WEBSOCKET, {}, None),
    "connect_ends_here": (TUNNEL, b"", b"ping", echo, CONNECT, ENDS_HERE, CONNECT_MATCH),
    "connect_ends_here_early": (TUNNEL, b"early", b"early", echo, CONNECT, ENDS_HERE, CONNECT_MATCH),
    "connect_passed_on": (TUNNEL, b"", b"ping", answer(OK), CONNECT, {}, CONNECT_MATCH),
    "connect_refused": (TUNNEL, b"", b"no", answer(REFUSED, hold), CONNECT, {}, CONNECT_MATCH),
    "connect_unconfigured": (TUNNEL, b"", None, hold, {}, {}, CONNECT_MATCH),
    "connect_no_route": (TUNNEL, b"", None, hold, CONNECT, {}, None),
    "connect_not_websocket": (TUNNEL, b"", None, answer(PLAIN, hold), WEBSOCKET, {}, CONNECT_MATCH),
}


class Side:
    """One proxy with a listener, a cluster, an upstream and an access log per exchange."""

    def __init__(self, binary, directory):
        self.directory = directory
        self.upstreams = {}
        listeners, clusters = [], []
        for name, (_, _, _, script, hcm, route, match) in EXCHANGES.items():
            self.upstreams[name] = Upstream(script)
            clusters.append(px.static_cluster(name, self.upstreams[name].port))
            routes = [{"match": match or {"prefix": "/"}, "route": {"cluster": name, **route}}]
            log = px.file_access_log(os.path.join(directory, name), LOG_FORMAT)
            listeners.append(px.static_listener(name, px.http_filter_chain(routes, name, log, **ALLOWED, **hcm)))
        self.proxy = px.Proxy(binary, px.static_bootstrap(listeners, clusters),
                              args=["--file-flush-interval-msec", "20", "-l", "warning"], directory=directory)
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def close(self):
        self.proxy.stop()
        for upstream in self.upstreams.values():
            upstream.close()

    def run(self, name):
        fields, early, expected = EXCHANGES[name][:3]
        with H2Client(self.ports[name]) as client:
            assert client.wait(lambda: client.peer_settings.get(8) == 1), "SETTINGS_ENABLE_CONNECT_PROTOCOL"
            stream = client.request(fields, early or None, end=False)
            seen = client.answers[stream]
            client.wait(lambda: seen.headers or seen.over)
            if expected == b"ping":
                client.data(stream, b"ping")
            client.wait(lambda: seen.over if expected is None else expected in seen.body)
            if not seen.over and not client.ended:
                client.reset(stream)
            headers = [(k, "<date>" if k == "date" else v) for k, v in seen.headers]
            log = px.wait_for(lambda: self._log(name), 5.0, "access log")
        return {
            "headers": [h for h in headers if h[0] != "x-envoy-upstream-service-time"],
            "body": seen.body,
            "forwarded": [normal_bytes(c) for c in self.upstreams[name].received() if c],
            "log": log,
        }

    def _log(self, name):
        try:
            with open(os.path.join(self.directory, name)) as f:
                return f.read()
        except FileNotFoundError:
            return ""


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    envoy = Side(px.ENVOY, str(tmp_path_factory.mktemp("envoy")))
    remora = Side(px.REMORA, str(tmp_path_factory.mktemp("remora")))
    yield envoy, remora
    envoy.close()
    remora.close()


@pytest.mark.parametrize("name", EXCHANGES)
def test_same_as_envoy(sides, name):
    envoy, remora = sides
    theirs = envoy.run(name)
    ours = remora.run(name)
    assert remora.proxy.alive(), remora.proxy.output()
    if not theirs["headers"]:
        # The client takes Envoy's refusal for a violation of HTTP/2; that it was 403 only its log says.
        assert dict(ours.pop("headers"))[":status"] == theirs.pop("log").split()[0] == ours.pop("log").split()[0] == "403"
        theirs.pop("headers")
    assert ours == theirs
