"""The filters grpc_stats and grpc_web: the same configuration and bytes for Envoy and for Remora."""

import os
import re

import pytest

from test.differential import grpc_filter_cases as cases
from test.differential.exchange import normal_answer
from test.support import proxy as px
from test.support.client import Client
from test.support.grpc import by_name
from test.support.upstream import Upstream

STATE = "envoy.filters.http.grpc_stats"
STATS_LOG = f"%GRPC_STATUS% %FILTER_STATE({STATE})% %FILTER_STATE({STATE}:PLAIN)% %FILTER_STATE({STATE}:TYPED)%\n"
WEB_LOG = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %GRPC_STATUS% %BYTES_RECEIVED% %BYTES_SENT%\n"
VARIES = re.compile(rb"x-request-id: [^\r]*\r\n|x-envoy-expected-rq-timeout-ms: [^\r]*\r\n")
TRAILERS = {"http_protocol_options": {"enable_trailers": True}}


class Side:
    """One proxy with a listener per filter. Every request has been sent and its log line read."""

    def __init__(self, binary, directory):
        self.directory = directory
        self.counted, self.web = Upstream(by_name(cases.STATS_ANSWERS)), Upstream(by_name(cases.WEB_ANSWERS))
        listeners, clusters = [], [px.static_cluster("web", self.web.port, max_requests_per_connection=1, **TRAILERS)]
        for name, config in cases.STATS_FILTERS.items():
            clusters.append(px.static_cluster(name, self.counted.port, **TRAILERS))
            filters = [px.typed("count", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", **config)]
            listeners.append(self._listener(name, [{"match": {"prefix": "/"}, "route": {"cluster": name}}], filters, STATS_LOG))
        web = [px.typed("web", "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb")]
        listeners.append(self._listener("web", cases.WEB_ROUTES, web, WEB_LOG))
        self.proxy = px.Proxy(binary, px.static_bootstrap(listeners, clusters),
                              args=["--file-flush-interval-msec", "20", "-l", "error"], directory=directory)
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def _listener(self, name, routes, filters, log):
        return px.static_listener(name, px.http_filter_chain(
            routes, stat_prefix=name, http_filters=filters,
            access_log=px.file_access_log(os.path.join(self.directory, name + ".log"), log), **TRAILERS))

    def log_lines(self, name, count):
        def lines():
            try:
                with open(os.path.join(self.directory, name + ".log")) as f:
                    found = f.read().splitlines()
            except FileNotFoundError:
                return None
            return found if len(found) >= count else None

        return px.wait_for(lines, 5.0, "access log")

    def count(self, name):
        """Log lines, metrics and series."""
        requests = list(cases.stats_requests())
        with Client(self.ports[name]) as client:
            for data in requests:
                client.send(data)
                assert client.read_answer() is not None, data
        log = self.log_lines(name, len(requests))
        stats = {k: v for k, v in self.proxy.stats(f"^cluster.{name}.grpc").items() if v}
        series = sorted(line for line in self.proxy.admin("/stats/prometheus")[1].splitlines()
                        if "_grpc_" in line and f'envoy_cluster_name="{name}"' in line)
        return log, stats, series

    def translate(self):
        """Request name -> (answer, what was forwarded)."""
        found = {}
        for number, (name, data) in enumerate(cases.web_requests().items()):
            mark = b"\r\nx-case: %d\r\n" % number
            data = data.replace(b"\r\n", mark, 1)
            before = [len(part) for part in self.web.received()]
            with Client(self.ports["web"], timeout=0.5 if name in cases.WEB_DIFFERS else 5.0) as client:
                client.send(data)
                answer = client.read_answer()
            # Whether a connection to the upstream is used again is not what is compared here.
            before += [0] * (len(self.web.received()) - len(before))
            new = [part[skip:] for part, skip in zip(self.web.received(), before)]
            forwarded = [VARIES.sub(b"", part) for part in new if mark in part]
            # How much of what turns out wrong has gone upstream by then is chance.
            refused = answer is not None and answer.status == 400
            found[name] = (without_connection(normal_answer(answer)), None if refused else forwarded)
        return found, self.log_lines("web", len(found))

    def close(self):
        self.proxy.stop()
        self.counted.close()
        self.web.close()


def without_connection(answer):
    """Whether the connection goes on after a local 400 is not what is compared here."""
    return answer and (answer[0], [h for h in answer[1] if h[0] != "connection"], *answer[2:])


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    envoy = Side(px.ENVOY, str(tmp_path_factory.mktemp("envoy")))
    remora = Side(px.REMORA, str(tmp_path_factory.mktemp("remora")))
    yield envoy, remora
    envoy.close()
    remora.close()


@pytest.mark.parametrize("name", cases.STATS_FILTERS)
def test_counts_as_envoy(sides, name):
    envoy, remora = sides
    theirs, ours = envoy.count(name), remora.count(name)
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]
    assert ours[2] == theirs[2]


def test_translates_as_envoy(sides):
    envoy, remora = sides
    (theirs, their_log), (ours, our_log) = envoy.translate(), remora.translate()
    for name, *lines in zip(theirs, their_log, our_log):
        if name in cases.WEB_DIFFERS:
            assert ours[name][0] is not None and b"<cut>" not in ours[name][0][2], cases.WEB_DIFFERS[name]
            continue
        assert ours[name] == theirs[name], name
        assert lines[1] == lines[0], name
