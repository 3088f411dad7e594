"""HTTP/2 on both sides: Envoy and Remora must answer, forward and log alike."""

import pytest

from test.differential import test_h2_upstream, test_http2
from test.differential.exchange import drop_differences, results_of
from test.differential.h2_both_exchanges import ALL
from test.support.h2_upstream import H2Upstream


class BothSide(test_http2.H2Side):
    def make_upstream(self, exchange):
        return H2Upstream(exchange.script)

    def forwarded(self, exchange):
        return sorted(test_h2_upstream.forwarded(self.upstreams[exchange.name]))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    with results_of(BothSide, ALL, tmp_path_factory) as seen:
        yield seen


@pytest.mark.parametrize("exchange", ALL, ids=lambda e: e.name)
def test_same_as_envoy(results, exchange):
    theirs, ours = results[exchange.name]
    drop_differences(exchange, theirs, ours)
    assert ours == theirs
