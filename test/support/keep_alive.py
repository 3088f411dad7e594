"""The keep-alive race: an upstream that closes idle connections, and clients that ask again at about that moment.

Each is a process of its own; every request has a number, by which the upstream sees whether it comes twice.
"""

import ctypes
import fcntl
import json
import multiprocessing
import random
import select
import socket
import termios
import threading
import time
from collections import Counter, deque

MOST_EVENTS = 1024
PATIENCE_S = 120


class _Connection:
    def __init__(self, sock):
        self.sock, self.buffer, self.due = sock, b"", None


class _Server:
    """Answers each request, and closes connections that have stood idle for long enough."""

    def __init__(self, listener, idle, announce, pipe):
        self.listener, self.idle, self.pipe = listener, idle, pipe
        self.closed, self.twice, self.seen = 0, 0, set()
        self.connections, self.idlers = {}, deque()  # all are idle for the same time: who comes first is due first
        keep = b"keep-alive: timeout=%d\r\n" % announce if announce else b""
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + keep + b"\r\nok"
        listener.setblocking(False)
        self.poll = select.epoll()
        for source in (listener, pipe):
            self.poll.register(source.fileno(), select.EPOLLIN)

    def run(self):
        while True:
            wait = self.idlers[0][0] - time.monotonic() if self.idlers else -1
            for fd, _ in self.poll.poll(max(wait, 0) if self.idlers else None, MOST_EVENTS):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd == self.pipe.fileno():
                    self.pipe.recv()
                    self.pipe.send({"requests": len(self.seen), "twice": self.twice, "closed": self.closed})
                    return
                elif fd in self.connections:
                    self.read(self.connections[fd])
            self.close_idle()

    def accept(self):
        try:
            while True:
                sock, _ = self.listener.accept()
                self.connections[sock.fileno()] = _Connection(sock)
                self.poll.register(sock.fileno(), select.EPOLLIN)
        except BlockingIOError:
            pass

    def read(self, connection):
        try:
            data = connection.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.forget(connection)
            return
        connection.due = None
        connection.buffer += data
        while b"\r\n\r\n" in connection.buffer:
            head, rest = connection.buffer.split(b"\r\n\r\n", 1)
            body = 4 if head.startswith(b"POST") else 0
            if len(rest) < body:
                return
            connection.buffer = rest[body:]
            number = int(head.split(b" ", 2)[1][1:])
            self.twice += number in self.seen
            self.seen.add(number)
            connection.sock.send(self.answer)
        connection.due = time.monotonic() + self.idle
        self.idlers.append((connection.due, connection))

    def close_idle(self):
        now = time.monotonic()
        while self.idlers and self.idlers[0][0] <= now:
            due, connection = self.idlers.popleft()
            if connection.due != due:
                continue
            # As careful as an application can be: it does not close upon a request that has come.
            waiting = ctypes.c_int()
            fcntl.ioctl(connection.sock.fileno(), termios.FIONREAD, waiting)
            if waiting.value == 0:
                self.forget(connection)
                self.closed += 1

    def forget(self, connection):
        del self.connections[connection.sock.fileno()]
        connection.due = None
        connection.sock.close()


class Upstream:
    def __init__(self, idle, announce=0):
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = listener.getsockname()[1]
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(
            target=lambda: _Server(listener, idle, announce, theirs).run(), daemon=True)
        self.process.start()
        listener.close()

    def stop(self):
        """What it has counted."""
        self.pipe.send("stop")
        counted = self.pipe.recv()
        self.process.join(10)
        return counted


class _Clients:
    def __init__(self, port, count):
        self.port, self.statuses, self.poll, self.waiting = port, Counter(), select.epoll(), {}
        self.idle = [self.connect() for _ in range(count)]

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.poll.register(sock.fileno(), select.EPOLLIN)
        return sock

    def send(self, number):
        sock = self.idle.pop()
        if number % 2:
            request = b"POST /%d HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\npay!" % number
        else:
            request = b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % number
        self.waiting[sock.fileno()] = (sock, b"")
        sock.send(request)

    def read(self, wait):
        for fd, _ in self.poll.poll(wait, MOST_EVENTS):
            if fd not in self.waiting:
                continue  # ended while idle: the next request will tell
            sock, buffer = self.waiting[fd]
            try:
                data = sock.recv(65536)
            except OSError:
                data = b""
            head, end, body = (buffer + data).partition(b"\r\n\r\n")
            complete = end and len(body) >= int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
            if data and not complete:
                self.waiting[fd] = (sock, buffer + data)
                continue
            del self.waiting[fd]
            self.statuses[head[9:12].decode() if complete else "closed"] += 1
            if not complete:
                sock.close()
                sock = self.connect()
            self.idle.append(sock)


def race(port, requests, clients, idle, seed=1):
    """Rounds of all clients: a round begins about when the upstream closes what the last one has left.

    Statuses and how often each came; "closed" where none came.
    """
    chance, crowd, silence, asked = random.Random(seed), _Clients(port, clients), threading.Event(), 0
    while asked < requests:
        begun, share = time.monotonic(), min(clients, requests - asked)
        due = deque(sorted(begun + chance.uniform(0, idle * 0.4) for _ in range(share)))
        while due or crowd.waiting:
            now = time.monotonic()
            assert now < begun + PATIENCE_S, "no answer"
            while due and due[0] <= now:
                due.popleft()
                crowd.send(asked)
                asked += 1
            crowd.read(max(due[0] - now, 0) if due else 1)
        # Nothing is waited for: silence of that length is what is tried. The first ones are longer, so that closes can be seen.
        silence.wait(idle * 2 if asked <= 2 * clients else chance.uniform(0.5, 1.3) * idle)
    return dict(crowd.statuses)


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
