"""The same static bootstrap and the same bytes for Envoy and for Remora: both must answer, forward and log alike."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from test.differential import http1_exchanges, manager_exchanges
from test.differential.exchange import Side, drop_differences
from test.support import proxy as px

ALL = http1_exchanges.ALL + manager_exchanges.ALL


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    envoy = Side(px.ENVOY, ALL, str(tmp_path_factory.mktemp("envoy")))
    remora = Side(px.REMORA, ALL, str(tmp_path_factory.mktemp("remora")))
    yield envoy, remora
    envoy.close()
    remora.close()


@pytest.mark.parametrize("exchange", ALL, ids=lambda e: e.name)
def test_same_as_envoy(sides, exchange):
    remora = sides[1]
    with ThreadPoolExecutor(2) as both:
        theirs, ours = both.map(lambda side: side.run(exchange), sides)
    assert remora.proxy.alive(), remora.proxy.output()
    if exchange.stricter:
        first = ours["answers"][0]
        assert first and int(first[0].split(" ")[1]) == exchange.status, f"{exchange.stricter}\nRemora: {ours}\nEnvoy: {theirs}"
        assert exchange.forwards or not ours.get("forwarded"), "what is refused must not reach the upstream"
        return
    drop_differences(exchange, theirs, ours)
    assert ours == theirs
