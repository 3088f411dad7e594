"""The same first bytes for Envoy and for Remora: both must hand on the same bytes, count, match and log alike."""

import os
import time

import pytest

from test.differential.listener_exchanges import HTTP, PROXY, TLS
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream

LOG = "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %REQUESTED_SERVER_NAME% %FILTER_CHAIN_NAME%\n"
RULES = [{"tlv_type": kind, "on_tlv_present": {"key": key}} for kind, key in [(2, "authority"), (4, "empty"), (5, "id")]]
PATTERN = "inspector|proxy_proto|listener_filter|no_filter"


def listener_filter(name, message, **config):
    return px.typed("envoy.filters.listener." + name, f"envoy.extensions.filters.listener.{name}.v3.{message}", **config)


SETUPS = {
    "tls": (TLS, [listener_filter("tls_inspector", "TlsInspector")]),
    "tls_only": (TLS, [listener_filter("tls_inspector", "TlsInspector", close_connection_on_client_hello_parsing_errors=True)]),
    "http": (HTTP, [listener_filter("http_inspector", "HttpInspector")]),
    "proxy": (PROXY, [listener_filter("proxy_protocol", "ProxyProtocol", rules=RULES)]),
    "proxy_optional": (PROXY, [listener_filter("proxy_protocol", "ProxyProtocol", rules=RULES,
                                               allow_requests_without_proxy_protocol=True)]),
    "proxy_2_only": (PROXY, [listener_filter("proxy_protocol", "ProxyProtocol", disallowed_versions=["V1"], stat_prefix="edge")]),
    "proxy_1_only": (PROXY, [listener_filter("proxy_protocol", "ProxyProtocol", disallowed_versions=["V2"])]),
}
CHAINS = {
    "named": {"transport_protocol": "tls", "server_names": ["foo.com", "*.example"]},
    "tls": {"transport_protocol": "tls"},
    "http": {"application_protocols": ["http/1.1"]},
    "old": {"application_protocols": ["http/1.0"]},
    "h2c": {"application_protocols": ["h2c"]},
    "other": {},
}


def echo(peer):
    while True:
        peer._more()
        peer.send(peer.buffer)
        peer.buffer = b""


class Side:
    """One proxy with one listener."""

    def __init__(self, binary, filters, directory):
        self.log = os.path.join(directory, "access.log")
        self.upstream = Upstream(echo)
        made = px.static_listener("in", [], listener_filters=filters)
        made["filter_chains"] = [
            {"name": name, "filter_chain_match": match,
             "filters": px.tcp_filter_chain("app", access_log=[px.file_access_log(self.log, LOG)])}
            for name, match in CHAINS.items()
        ]
        self.proxy = px.Proxy(binary, px.static_bootstrap([made], [px.static_cluster("app", self.upstream.port)]),
                              args=["--file-flush-interval-msec", "10", "-l", "error"], directory=directory)
        self.port = self.proxy.port("in")
        self.logged = 0

    def close(self):
        self.proxy.stop()
        self.upstream.close()

    def lines(self):
        try:
            with open(self.log) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def run(self, first):
        before = self.proxy.stats(PATTERN)
        with Client(self.port) as client:
            own = f"127.0.0.1:{client.sock.getsockname()[1]}"
            client.send(first.data)
            # What is served comes back: at least the last bytes.
            deadline = time.monotonic() + 3
            while not client.ended and not client.buffer.endswith(first.data[-4:]) and client._more(deadline):
                pass
            served = client.buffer
        result = {"fate": "served" if served else "closed", "bytes": served}
        if served:
            px.wait_for(lambda: len(self.lines()) > self.logged, 5, "a line in the access log")
            line = self.lines()[-1]
            result["log"] = line.replace(own, "CLIENT").replace(f":{self.port} ", ":PORT ")
            self.logged = len(self.lines())
        after = self.proxy.stats(PATTERN)
        result["counted"] = {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}
        return result


@pytest.fixture(scope="module", params=SETUPS)
def sides(request, tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    exchanges, filters = SETUPS[request.param]
    envoy = Side(px.ENVOY, filters, str(tmp_path_factory.mktemp("envoy")))
    remora = Side(px.REMORA, filters, str(tmp_path_factory.mktemp("remora")))
    yield request.param, exchanges, envoy, remora
    envoy.close()
    remora.close()


def test_same_as_envoy(sides):
    setup, exchanges, envoy, remora = sides
    wrong = []
    for first in exchanges:
        ours = remora.run(first)
        assert remora.proxy.alive(), remora.proxy.output()
        refused_anyway = setup in ("tls_only", "proxy_2_only", "proxy_1_only") and ours["fate"] == "closed"
        if first.differs:
            if ours["fate"] != first.fate and not refused_anyway:
                wrong.append(f"{first.name}: {ours}")
            continue
        theirs = envoy.run(first)
        if ours != theirs:
            wrong.append(f"{first.name}\n  Envoy:  {str(theirs)[:300]}\n  Remora: {str(ours)[:300]}")
    assert not wrong, "\n".join(wrong)
