"""HTTP/2 upstreams that behave well and badly: Envoy and Remora must answer, forward, log and count alike."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from test.differential.exchange import Side
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


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What both proxies made of each exchange; the exchanges share nothing, so they run side by side."""
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    sides = [H2Side(binary, ALL, str(tmp_path_factory.mktemp(os.path.basename(binary))))
             for binary in (px.ENVOY, px.REMORA)]

    def run(exchange):
        seen = [side.run(exchange) for side in sides]
        try:
            px.wait_for(lambda: sides[0].counters(exchange) == sides[1].counters(exchange), 1.0)
        except AssertionError:
            pass  # the test says what differs
        for side, one in zip(sides, seen):
            one["counters"] = side.counters(exchange)
        return exchange.name, seen

    with ThreadPoolExecutor(8) as pool:
        seen = dict(pool.map(run, ALL))
    assert sides[1].proxy.alive(), sides[1].proxy.output()
    yield seen
    for side in sides:
        side.close()


@pytest.mark.parametrize("exchange", ALL, ids=lambda e: e.name)
def test_same_as_envoy(results, exchange):
    theirs, ours = results[exchange.name]
    for key, reason in exchange.differs.items():
        assert reason, "a difference needs its reason"
        ours.pop(key, None)
        theirs.pop(key, None)
    assert ours == theirs
