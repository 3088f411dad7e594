"""Upgrades and tunnels between Remora and Envoy, over HTTP/1.1 and HTTP/2, with either of them in front."""

import asyncio
import os
import time

import pytest
import websockets

from test.e2e.test_tunnels import CONNECT, HTTP2, echo
from test.e2e.test_websocket import UPGRADE
from test.support import proxy as px
from test.support import websocket as ws
from test.support.client import Client
from test.support.upstream import Upstream

# Envoy wants to be told that it may.
HTTP2_ALLOWED = {
    "typed_extension_protocol_options": {
        name: {**options, "explicit_http_config": {"http2_protocol_options": {"allow_connect": True}}}
        for name, options in HTTP2["typed_extension_protocol_options"].items()
    }
}


@pytest.fixture(params=["remora_in_front", "envoy_in_front"])
def order(request):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    return (px.REMORA, px.ENVOY) if request.param == "remora_in_front" else (px.ENVOY, px.REMORA)


def run(binary, bootstrap, directory):
    directory.mkdir()
    return px.Proxy(binary, bootstrap, directory=str(directory))


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_websocket(order, tmp_path, http2):
    front, back = order

    def bootstrap(port, **cluster):
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
        listener = px.static_listener("in", px.http_filter_chain(routes, "in", **UPGRADE))
        return px.static_bootstrap([listener], [px.static_cluster("app", port, **cluster)])

    async def talk(port):
        async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None, ping_interval=None) as connection:
            for message in ["hello", b"\x00" * 200_000]:
                await connection.send(message)
                assert await connection.recv() == message
            await connection.close(3001, "done")

    with ws.Server(ws.echo) as server, run(back, bootstrap(server.port), tmp_path / "back") as behind:
        with run(front, bootstrap(behind.port("in"), **(HTTP2_ALLOWED if http2 else {})), tmp_path / "front") as before:
            asyncio.run(talk(before.port("in")))
            px.wait_for(lambda: server.closed, what="the server's end")
            assert server.closed == [(3001, "done")]


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("post", [False, True], ids=["connect", "post"])
def test_tcp_in_a_tunnel(order, tmp_path, http2, post):
    front, back = order
    match = {"match": {"prefix": "/"}} if post else CONNECT
    upgrade = {"upgrade_type": "CONNECT", "connect_config": {"allow_post": post}}
    routes = [{**match, "route": {"cluster": "target", "upgrade_configs": [upgrade]}}]
    filters = px.http_filter_chain(routes, "end", http2_protocol_options={"allow_connect": True})
    with Upstream(echo) as upstream:
        end = px.static_bootstrap([px.static_listener("end", filters)], [px.static_cluster("target", upstream.port)])
        with run(back, end, tmp_path / "back") as behind:
            tunnel = {"hostname": "target.example:443", "use_post": post}
            cluster = px.static_cluster("proxy", behind.port("end"), **(HTTP2_ALLOWED if http2 else {}))
            listener = px.static_listener("in", px.tcp_filter_chain("proxy", "t", tunneling_config=tunnel))
            with run(front, px.static_bootstrap([listener], [cluster]), tmp_path / "front") as before:
                with Client(before.port("in"), timeout=10) as client:
                    for block in [b"hello", os.urandom(300_000)]:
                        client.send(block)
                        assert client._exactly(len(block), time.monotonic() + 10) == block
