"""A raw, scripted upstream: it records every byte that it receives and answers what a script says.

It shares no code with the proxy on purpose.
"""

import contextlib
import socket
import threading


class Closed(Exception):
    pass


class Peer:
    """One accepted connection as a script sees it."""

    def __init__(self, sock, record):
        self.sock = sock
        self.record = record  # bytearray of everything received
        self.buffer = b""

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed()
        self.record += data
        self.buffer += data

    def read_head(self):
        """Bytes up to and including the empty line."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head + b"\r\n\r\n"

    def read_exactly(self, count):
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_request(self):
        """(head, body): one whole request, by content-length or chunked."""
        head = self.read_head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while True:
                while b"\r\n" not in self.buffer:
                    self._more()
                line, self.buffer = self.buffer.split(b"\r\n", 1)
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    while not (self.buffer.startswith(b"\r\n") or b"\r\n\r\n" in self.buffer):
                        self._more()
                    if self.buffer.startswith(b"\r\n"):
                        self.buffer = self.buffer[2:]
                    else:
                        self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]
                    return head, body
                body += self.read_exactly(size)
                self.read_exactly(2)
        for line in lower.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head, self.read_exactly(int(line.split(b":")[1]))
        return head, b""

    def send(self, data):
        self.sock.sendall(data)

    def wait_for_close(self):
        """Reads until the other side closes."""
        try:
            while True:
                self._more()
        except (Closed, OSError):
            pass

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.sock.close()


def answer_ok(peer):
    """Answers every request with 200 and a short body until the connection ends."""
    while True:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def answer_with(raw, then_close=False):
    def script(peer):
        while True:
            peer.read_request()
            peer.send(raw)
            if then_close:
                return

    return script


class Upstream:
    """Listens on loopback; `script(peer)` runs in a thread per connection and closes it when it returns."""

    def __init__(self, script=answer_ok, host="127.0.0.1", port=0):
        self.script = script
        self.connections = []  # one bytearray each
        self.lock = threading.Lock()
        self.listener = socket.create_server((host, port), backlog=256, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            record = bytearray()
            with self.lock:
                self.connections.append(record)
                self.open.add(sock)
            threading.Thread(target=self._serve, args=(sock, record), daemon=True).start()

    def _serve(self, sock, record):
        try:
            self.script(Peer(sock, record))
        except (Closed, OSError):
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            try:
                sock.close()
            except OSError:
                pass

    def received(self):
        with self.lock:
            return [bytes(c) for c in self.connections]

    def forget(self):
        with self.lock:
            self.connections.clear()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            for sock in list(self.open):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class ClosedPort:
    """A port that refuses connections: bound and not listening, so that nobody else is given it meanwhile."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


@contextlib.contextmanager
def black_hole():
    """A port where connects get no answer: the queue of the listener is full."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()[1]
