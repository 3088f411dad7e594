"""HTTP/2 on both sides: Envoy and Remora must answer, forward and log alike."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from test.differential import test_h2_upstream, test_http2
from test.differential.h2_both_exchanges import ALL
from test.support import proxy as px
from test.support.h2_upstream import H2Upstream


class BothSide(test_http2.H2Side):
    def make_upstream(self, exchange):
        return H2Upstream(exchange.script)

    def forwarded(self, exchange):
        return sorted(test_h2_upstream.forwarded(self.upstreams[exchange.name]))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What both proxies made of each exchange; the exchanges share nothing, so they run side by side."""
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    sides = [BothSide(binary, ALL, str(tmp_path_factory.mktemp(os.path.basename(binary)))) for binary in (px.ENVOY, px.REMORA)]
    with ThreadPoolExecutor(8) as pool:
        seen = dict(pool.map(lambda e: (e.name, [side.run(e) for side in sides]), ALL))
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
