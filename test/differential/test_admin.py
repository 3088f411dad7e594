"""The admin ports of Envoy and of Remora asked the same: the same statuses, and where tools read them the same contents."""

import json
import os
import re

import pytest

from test.support import proxy as px
from test.support.client import Client, get
from test.support.upstream import Upstream, answer_ok

# (method, path, how the answers compare): "status", "text" line by line in any order, "json" as a value.
ASKED = [
    ("GET", "/ready", "text"),
    ("GET", "/listeners", "text"),
    ("GET", "/listeners?format=json", "json"),
    ("GET", "/clusters", "text"),
    ("GET", "/clusters?format=json", "json"),
    ("GET", "/runtime", "json"),
    ("GET", "/certs", "json"),
    ("GET", "/stats?filter=^server.live$", "text"),
    ("GET", "/stats?usedonly&filter=^cluster.app.upstream_rq_(200|2xx|active|completed|pending_.*|total)$", "text"),
    ("GET", "/stats?usedonly&filter=^http.ingress.downstream_rq_.xx", "text"),
    ("GET", "/stats?usedonly&format=json&filter=^cluster.app.upstream_cx_total", "json"),
    ("GET", "/stats?type=Gauges&filter=^cluster.app.membership_(healthy|total)$", "text"),
    ("GET", "/stats?type=Nonesuch", "status"),
    ("GET", "/stats?filter=(", "text"),
    ("GET", "/stats?format=nonesuch", "status"),
    ("GET", "/stats?histogram_buckets=nonesuch", "status"),
    ("GET", "/stats/prometheus?usedonly&filter=^cluster.app.upstream_rq(_total|_completed|_2xx)?$", "text"),
    ("GET", "/config_dump?resource=static_clusters", "json"),
    ("GET", "/config_dump?resource=static_clusters&name_regex=a.*", "json"),
    ("GET", "/config_dump?resource=static_clusters&name_regex=b.*", "json"),
    ("GET", "/config_dump?resource=static_clusters&mask=cluster.name,cluster.load_assignment.cluster_name", "json"),
    ("GET", "/config_dump?resource=static_clusters&mask=cluster.nonesuch", "status"),
    ("GET", "/config_dump?resource=static_clusters&mask=cluster.load_assignment.endpoints.locality", "status"),
    ("GET", "/config_dump?resource=static_listeners", "json"),
    ("GET", "/config_dump?resource=static_listeners&mask=listener.name,listener.address.socket_address.address", "json"),
    ("GET", "/config_dump?resource=static_route_configs", "json"),
    ("GET", "/config_dump?resource=static_route_configs&mask=route_config.name", "json"),
    ("GET", "/config_dump?resource=dynamic_listeners", "json"),
    ("GET", "/config_dump?include_eds&resource=static_endpoint_configs&mask=endpoint_config.cluster_name", "json"),
    ("GET", "/config_dump?resource=bootstrap", "status"),
    ("GET", "/config_dump?resource=nonesuch", "status"),
    ("GET", "/config_dump?mask=bootstrap.node.id", "json"),
    ("GET", "/config_dump?mask=static_clusters", "json"),
    ("GET", "/config_dump?mask=static_clusters.cluster", "status"),
    ("GET", "/config_dump?mask=nonesuch", "status"),
    ("GET", "/config_dump?name_regex=(", "status"),
    ("GET", "/nonesuch", "status"),
    ("GET", "/logging", "text"),
    ("GET", "/quitquitquit", "text"),
    ("GET", "/drain_listeners", "text"),
    ("GET", "/reset_counters", "text"),
    ("GET", "/healthcheck/fail", "text"),
    ("POST", "/logging?level=nonesuch", "status"),
    ("POST", "/logging?nonesuch=debug", "status"),
    ("POST", "/logging?paths=main:debug,upstream:trace", "status"),
    ("POST", "/logging?level=warning", "status"),
    ("POST", "/healthcheck/fail", "text"),
    ("GET", "/ready", "text"),
    ("POST", "/healthcheck/ok", "text"),
    ("GET", "/ready", "text"),
    ("POST", "/reset_counters", "text"),
    ("GET", "/stats?filter=^cluster.app.upstream_rq_total$", "text"),
    ("POST", "/drain_listeners?graceful&skip_exit", "text"),
    ("POST", "/drain_listeners", "text"),
]
# Envoy counts requests that wait for a connection by host, too.
ONLY_ENVOY = ("rq_pending_active",)


LOG = ("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %PROTOCOL% %BYTES_RECEIVED% %REQ(:METHOD)% %REQ(:PATH)% "
       "%REQ(:AUTHORITY)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% "
       "%RESP(content-type)%\n")


class Side:
    def __init__(self, binary, directory):
        self.upstream = Upstream(answer_ok)
        filters = px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}])
        bootstrap = px.static_bootstrap([px.static_listener("in", filters)],
                                        [px.static_cluster("app", self.upstream.port), px.static_cluster("empty")])
        bootstrap["layered_runtime"] = {"layers": [{"name": "fixed", "static_layer": {"a": {"b": 1}, "c": "x"}}]}
        self.log = os.path.join(directory, "admin.log")
        bootstrap["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                              "access_log": [px.file_access_log(self.log, LOG)]}
        self.proxy = px.Proxy(binary, bootstrap, args=["-l", "warning", "--file-flush-interval-msec", "20"],
                              directory=directory)
        self.port = self.proxy.port("in")
        assert get(self.port).status == 200
        px.wait_for(lambda: self.proxy.stat("http.ingress.downstream_rq_completed") == 1, what="the request is counted")
        px.wait_for(lambda: self.proxy.stat("http.ingress.downstream_cx_active") == 0, what="the client is gone")

    def close(self):
        self.proxy.stop()
        self.upstream.close()

    def normal(self, text):
        text = text.replace(str(self.upstream.port), "70001").replace(str(self.port), "70002")
        return re.sub(r'"last_updated": "[^"]*"', '"last_updated": "TIME"', text)

    def logged(self, path):
        """The line of the access log about a path that was asked once: lines are written a moment later."""

        def found():
            with open(self.log) as f:
                lines = [line for line in f.read().splitlines() if f" {path} " in line]
            return lines[-1] if lines else None

        return px.wait_for(found, what=f"a line about {path}")

    def ask(self, method, path):
        status, body = self.proxy.admin(path, method)
        return status, self.normal(body)


def without(value):
    """JSON without what only one side has, and without order where there is none."""
    if isinstance(value, dict):
        return {k: without(v) for k, v in value.items()}
    if isinstance(value, list):
        kept = [without(v) for v in value if not (isinstance(v, dict) and v.get("name") in ONLY_ENVOY)]
        return sorted(kept, key=lambda v: json.dumps(v, sort_keys=True))
    return value


def lines(text):
    return sorted(line.replace("{} ", " ").rstrip() for line in text.splitlines()
                  if line and not any(f"::{name}::" in line for name in ONLY_ENVOY))


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    envoy, remora = (Side(binary, str(tmp_path_factory.mktemp("side"))) for binary in (px.ENVOY, px.REMORA))
    yield envoy, remora
    envoy.close()
    remora.close()


def test_the_admin_port_answers_as_envoys(sides):
    envoy, remora = sides
    wrong = []
    for method, path, how in ASKED:
        theirs, ours = envoy.ask(method, path), remora.ask(method, path)
        same = theirs[0] == ours[0]
        if how == "text":
            same = same and lines(theirs[1]) == lines(ours[1])
        elif how == "json" and same and ours[0] == 200:
            same = without(json.loads(theirs[1])) == without(json.loads(ours[1]))
        if not same:
            wrong.append(f"{method} {path}\n  Envoy:  {theirs[0]} {theirs[1][:1500]}\n  Remora: {ours[0]} {ours[1][:1500]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path,raw", [
    ("/ready?logged", b"GET /ready?logged HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    ("/nonesuch?logged", b"GET /nonesuch?logged HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    ("/logging?paths=main:info", b"POST /logging?paths=main:info HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello"),
    ("/logging?logged", b"GET /logging?logged HTTP/1.1\r\nhost: localhost\r\n\r\n"),
], ids=["ready", "nonesuch", "post", "get where post is due"])
def test_what_is_asked_is_logged_as_envoy_does(sides, path, raw):
    for side in sides:
        with Client(side.proxy.admin_address()[1]) as client:
            client.send(raw)
            assert client.read_answer() is not None
    envoy, remora = sides
    assert remora.logged(path) == envoy.logged(path)
