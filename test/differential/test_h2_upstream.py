"""HTTP/2 upstreams that behave well and badly: Envoy and Remora must answer, forward, log and count alike."""

import re

import pytest

from test.differential.exchange import Side, drop_differences, results_of
from test.differential.h2_upstream_exchanges import ALL
from test.support import proxy as px
from test.support.h2_upstream import H2Upstream

# Remora tells a server why it leaves (RFC 9113 section 5.4.1) and counts that; Envoy does not.
COUNTERS = re.compile(
    r"\.(http2\.(?!nghttp2_|goaway_sent|.*_active$|pending_send_bytes|deferred_stream_close).*|upstream_cx_(destroy.*|close_notify|protocol_error|"
    r"http\d_total)|upstream_rq_(rx_reset|tx_reset|retry|timeout|total))$")
VOLATILE = {"x-request-id": "<id>", "x-envoy-expected-rq-timeout-ms": "<ms>"}


def pseudo_first(fields):
    """The order of pseudo-headers among themselves means nothing (RFC 9113 section 8.3)."""
    return sorted(f for f in fields if f[0].startswith(":")) + [f for f in fields if not f[0].startswith(":")]


def forwarded(upstream):
    """What it received."""
    return [(pseudo_first([(k, VOLATILE.get(k, v)) for k, v in r.headers]), r.body, r.trailers, r.ended)
            for r in upstream.requests()]


class H2Side(Side):
    def make_upstream(self, exchange):
        return H2Upstream(exchange.script)

    def forwarded(self, exchange):
        return forwarded(self.upstreams[exchange.name])

    def counters(self, exchange):
        prefix = f"cluster.{exchange.name}"
        stats = self.proxy.stats(f"^cluster\\.{exchange.name}\\.")
        return {k[len(prefix) + 1:]: v for k, v in stats.items() if v and COUNTERS.search(k)}


def add_counters(exchange, sides, seen):
    try:
        px.wait_for(lambda: sides[0].counters(exchange) == sides[1].counters(exchange), 3.0)
    except AssertionError:
        pass  # the test says what differs
    for side, one in zip(sides, seen):
        one["counters"] = side.counters(exchange)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    with results_of(H2Side, ALL, tmp_path_factory, add_counters) as seen:
        yield seen


@pytest.mark.parametrize("exchange", ALL, ids=lambda e: e.name)
def test_same_as_envoy(results, exchange):
    theirs, ours = results[exchange.name]
    drop_differences(exchange, theirs, ours)
    assert ours == theirs
