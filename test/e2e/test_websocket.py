"""WebSocket with a real client and server (python3-websockets) through one sidecar and through several, which speak
HTTP/1.1 or HTTP/2 among themselves."""

import asyncio
import hashlib
import http
import socket
import struct

import pytest
import websockets

from test.support import proxy as px
from test.support import websocket as ws

MIB = 1024 * 1024
UPGRADE = {
    "upgrade_configs": [{"upgrade_type": "websocket"}],
    "http2_protocol_options": {"allow_connect": True},
}
# Towards another sidecar.
HTTP2 = {
    "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
}


class Path:
    """A client's way to a server: `hops` proxies, each with a listener "in" before a cluster "app". With `http2` they
    speak that to each other."""

    def __init__(self, directory, port, hops, http2):
        self.http2 = http2
        self.proxies = []
        for i in range(hops):
            cluster = px.static_cluster("app", port, **(HTTP2 if http2 and i > 0 else {}))
            routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
            listener = px.static_listener("in", px.http_filter_chain(routes, "in", **UPGRADE))
            place = directory / str(i)
            place.mkdir()
            bootstrap = px.static_bootstrap([listener], [cluster])
            self.proxies.append(px.Proxy(px.REMORA, bootstrap, directory=str(place)))
            port = self.proxies[-1].port("in")
        self.port = port

    def connect(self, **more):
        return websockets.connect(f"ws://127.0.0.1:{self.port}/socket", max_size=None, compression=None,
                                  ping_interval=None, **more)

    def resident(self):
        """Bytes of memory that the proxies hold."""
        total = 0
        for proxy in self.proxies:
            with open(f"/proc/{proxy.process.pid}/status") as f:
                total += int(next(line for line in f if line.startswith("RssAnon")).split()[1]) * 1024
        return total

    def stop(self):
        # From the client's side on: one that drains waits for the connections of those before it.
        for proxy in reversed(self.proxies):
            proxy.stop()


@pytest.fixture(params=[(1, False), (2, False), (2, True), (3, True)], ids=["one", "pair", "http2", "http2_twice"])
def way(request, tmp_path):
    """Makes a path to a server and ends both."""
    ends = []

    def make(handler=ws.echo, **more):
        server = ws.Server(handler, **more)
        path = Path(tmp_path, server.port, *request.param)
        ends.extend([path.stop, server.close])
        return path, server

    yield make
    for end in ends:
        end()


def stat_becomes(proxy, name, value):
    px.wait_for(lambda: proxy.stat(name) == value, 5.0, f"{name} to be {value}, is {proxy.stat(name)}")


def test_messages_come_back(way):
    path, server = way()

    async def talk():
        async with path.connect() as connection:
            for message in ["hello", b"\x00\xff" * 300, "", "x" * 70_000]:
                await connection.send(message)
                assert await connection.recv() == message

    asyncio.run(talk())
    px.wait_for(lambda: server.closed, what="the server's end")
    assert server.closed == [(1000, "")]
    proxy = path.proxies[0]
    assert proxy.stat("http.in.downstream_cx_upgrades_total") == 1
    stat_becomes(proxy, "http.in.downstream_cx_upgrades_active", 0)
    stat_becomes(proxy, "cluster.app.upstream_cx_active", 0)


def test_fragments_stay_a_message(way):
    path, _ = way()

    async def talk():
        async with path.connect() as connection:
            await connection.send(["he", "ll", "o ", "", "there"])
            assert await connection.recv() == "hello there"

    asyncio.run(talk())


def test_pings_and_pongs_pass(way):
    async def pinging(connection, _path):
        await (await connection.ping(b"from the server"))
        await connection.send("heard you")
        await connection.wait_closed()

    path, _ = way(pinging)

    async def talk():
        async with path.connect() as connection:
            assert await connection.recv() == "heard you"
            await (await connection.ping(b"from the client"))

    asyncio.run(talk())


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4999])
def test_close_codes_pass(way, code):
    async def leaving(connection, _path):
        if await connection.recv() == "you first":
            await connection.close(code, "server says so")

    path, server = way(leaving)

    async def talk():
        async with path.connect() as connection:
            await connection.send("you first")
            await connection.wait_closed()
            assert (connection.close_code, connection.close_reason) == (code, "server says so")
        async with path.connect() as connection:
            await connection.close(code, "client says so")

    asyncio.run(talk())
    px.wait_for(lambda: (code, "client says so") in server.closed, what="the server's end")


def test_a_client_that_vanishes_is_told_to_the_server(way):
    path, server = way()

    async def talk():
        connection = await path.connect()
        await connection.send("x")
        await connection.recv()
        sock = connection.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.transport.abort()

    asyncio.run(talk())
    px.wait_for(lambda: server.closed, what="the server's end")
    assert server.closed[0][0] == 1006
    for proxy in path.proxies:
        stat_becomes(proxy, "http.in.downstream_cx_upgrades_active", 0)
        stat_becomes(proxy, "cluster.app.upstream_rq_active", 0)


def test_a_server_that_vanishes_is_told_to_the_client(way):
    async def vanishing(connection, _path):
        await connection.recv()
        connection.transport.abort()

    path, _ = way(vanishing)

    async def talk():
        async with path.connect() as connection:
            await connection.send("x")
            with pytest.raises(websockets.ConnectionClosed):
                await connection.recv()
            assert connection.close_code == 1006

    asyncio.run(talk())
    for proxy in path.proxies:
        stat_becomes(proxy, "http.in.downstream_cx_upgrades_active", 0)


def test_a_refusal_is_an_answer(way):
    async def refuse(_path, _headers):
        return http.HTTPStatus.UNAUTHORIZED, [("x-why", "no")], b"go away"

    path, _ = way(process_request=refuse)

    async def talk():
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            await path.connect()
        assert refused.value.status_code == 401

    asyncio.run(talk())


def test_much_goes_both_ways_in_little_memory(way):
    """64 MiB each way: what the proxies hold does not follow."""
    total, piece = 64 * MIB, b"\xa5" * MIB
    sums = {}

    async def both(connection, _path):
        received = hashlib.sha256()

        async def send():
            for _ in range(total // len(piece)):
                await connection.send(piece)

        sending = asyncio.ensure_future(send())
        for _ in range(total // len(piece)):
            received.update(await connection.recv())
        await sending
        sums["server"] = received.hexdigest()

    path, server = way(both)
    most = 0

    async def talk():
        nonlocal most
        received = hashlib.sha256()
        async with path.connect() as connection:
            before = path.resident()

            async def send():
                for _ in range(total // len(piece)):
                    await connection.send(piece)

            sending = asyncio.ensure_future(send())
            for _ in range(total // len(piece)):
                received.update(await connection.recv())
                most = max(most, path.resident() - before)
            await sending
            await connection.wait_closed()
        sums["client"] = received.hexdigest()

    asyncio.run(talk())
    px.wait_for(lambda: server.closed, what="the server's end")
    whole = hashlib.sha256()
    for _ in range(total // len(piece)):
        whole.update(piece)
    assert sums == {"server": whole.hexdigest(), "client": whole.hexdigest()}
    # HTTP/2 may have a window of 16 MiB under way in each direction.
    assert most < (40 if path.http2 else 8) * MIB * len(path.proxies), most
