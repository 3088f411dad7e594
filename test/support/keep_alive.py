"""The keep-alive race: an upstream that closes idle connections, and clients that ask again at about that moment.

Each is a process of its own; every request has a number, by which the upstream sees whether it comes twice.
"""

import asyncio
import ctypes
import fcntl
import json
import multiprocessing
import random
import socket
import termios
import time


class _Connection(asyncio.Protocol):
    """The upstream's end: answers each request, and closes when it has stood idle for long enough."""

    def __init__(self, server):
        self.server, self.buffer, self.timer = server, b"", None

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data):
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, rest = self.buffer.split(b"\r\n\r\n", 1)
            body = 4 if head.startswith(b"POST") else 0
            if len(rest) < body:
                return
            self.buffer = rest[body:]
            self.server.count(int(head.split(b" ", 2)[1][1:]))
            self.transport.write(self.server.answer)
        self.timer = asyncio.get_running_loop().call_later(self.server.idle, self.close)

    def close(self):
        # As careful as an application can be: it does not close upon a request that has come. asyncio closes a turn later; what
        # comes from now on is refused as after a close().
        waiting, sock = ctypes.c_int(), self.transport.get_extra_info("socket")
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, waiting)
        if waiting.value == 0:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the other side was first
            self.transport.abort()
            self.server.closed += 1


class _Server:
    def __init__(self, idle, announce):
        self.idle, self.closed, self.twice = idle, 0, 0
        self.seen = set()
        keep = b"keep-alive: timeout=%d\r\n" % announce if announce else b""
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + keep + b"\r\nok"

    def count(self, number):
        self.twice += number in self.seen
        self.seen.add(number)


def _serve(listener, idle, announce, pipe):
    async def run():
        server, loop = _Server(idle, announce), asyncio.get_running_loop()
        await loop.create_server(lambda: _Connection(server), sock=listener, backlog=4096)
        over = asyncio.Event()
        loop.add_reader(pipe.fileno(), over.set)
        await over.wait()
        pipe.recv()
        pipe.send({"requests": len(server.seen), "twice": server.twice, "closed": server.closed})

    asyncio.run(run())


class Upstream:
    def __init__(self, idle, announce=0):
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = listener.getsockname()[1]
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=_serve, args=(listener, idle, announce, theirs), daemon=True)
        self.process.start()
        listener.close()

    def stop(self):
        """What it has counted."""
        self.pipe.send("stop")
        counted = self.pipe.recv()
        self.process.join(10)
        return counted


class _Asker(asyncio.Protocol):
    def __init__(self):
        self.buffer, self.waiter = b"", None

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(b"closed")

    def data_received(self, data):
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        if len(body) >= length:
            self.buffer = b""
            self.waiter.set_result(head[9:12])

    async def ask(self, number):
        self.waiter = asyncio.get_running_loop().create_future()
        if number % 2:
            self.transport.write(b"POST /%d HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\npay!" % number)
        else:
            self.transport.write(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % number)
        return await self.waiter


async def _ask_all(port, requests, clients, idle, spread, seed):
    """Rounds of all clients: a round begins about when the upstream closes what the last one has left."""
    loop, chance, statuses, next_number = asyncio.get_running_loop(), random.Random(seed), {}, iter(range(requests))
    askers = [(await loop.create_connection(_Asker, "127.0.0.1", port))[1] for _ in range(clients)]

    async def one(asker, number, delay):
        await asyncio.sleep(delay)
        status = (await asker.ask(number)).decode()
        statuses[status] = statuses.get(status, 0) + 1

    asked = 0
    while asked < requests:
        numbers = [n for _, n in zip(askers, next_number)]
        await asyncio.gather(*(one(a, n, chance.uniform(0, spread)) for a, n in zip(askers, numbers)))
        asked += len(numbers)
        # The first pauses are longer, so that the closes can be seen.
        await asyncio.sleep(idle * 2 if asked <= 2 * clients else chance.uniform(0.5, 1.3) * idle)
    for asker in askers:
        asker.transport.close()
    return statuses


def race(port, requests, clients, idle, seed=1):
    """Statuses and how often each came; "closed" where none came."""
    return asyncio.run(_ask_all(port, requests, clients, idle, idle * 0.4, seed))


def run(proxy_class, binary, bootstrap, listener, upstream, requests, clients, idle, directory=None):
    """One whole run through a proxy: what was answered, what the upstream counted, what the proxy did, in how long."""
    with proxy_class(binary, bootstrap, args=["--concurrency", "1"], directory=directory) as proxy:
        begun = time.monotonic()
        statuses = race(proxy.port(listener), requests, clients, idle)
        seconds = time.monotonic() - begun
        stats = proxy.stats("^cluster.app.(remora|upstream_cx_total|upstream_cx_destroy)")
    return {"answers": statuses, "upstream": upstream.stop(), "seconds": round(seconds, 1),
            "proxy": {name.split(".", 2)[2]: value for name, value in stats.items()}}


def report(outcome):
    return json.dumps(outcome, indent=1)
