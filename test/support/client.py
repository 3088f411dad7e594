"""A raw HTTP/1.1 client for tests: sends given bytes, reads answers by RFC 9112's framing, says how it ended."""

import socket
import time


class Answer:
    def __init__(self, head, body, trailers=b""):
        lines = head.decode("latin-1").split("\r\n")
        self.status_line = lines[0]
        self.status = int(lines[0].split(" ")[1]) if " " in lines[0] else 0
        self.headers = [tuple(p.strip() for p in line.split(":", 1)) for line in lines[1:] if line]
        self.body = body
        self.trailers = trailers

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None

    def __repr__(self):
        return f"<{self.status_line} {self.headers} {self.body[:200]!r}>"


class Client:
    def __init__(self, port, host="127.0.0.1", timeout=5.0, source=None):
        self.sock = socket.create_connection((host, port), timeout=timeout, source_address=source and (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.buffer = b""
        self.ended = None  # "fin" or "reset" once the other side ended

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            self.ended = self.ended or "reset"

    def _more(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except (TimeoutError, socket.timeout):
            return False
        except OSError:
            self.ended = "reset"
            return False
        if not data:
            self.ended = "fin"
            return False
        self.buffer += data
        return True

    def _until(self, marker, deadline):
        while marker not in self.buffer:
            if self.ended or not self._more(deadline):
                return None
        piece, self.buffer = self.buffer.split(marker, 1)
        return piece

    def _exactly(self, count, deadline):
        while len(self.buffer) < count:
            if self.ended or not self._more(deadline):
                break
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        return piece

    def read_answer(self, head_only=False, timeout=None):
        """One response (1xx included as an answer of its own), or None when none came in time."""
        deadline = time.monotonic() + (timeout or self.timeout)
        head = self._until(b"\r\n\r\n", deadline)
        if head is None:
            return None
        answer = Answer(head, b"")
        if answer.status < 200 or answer.status in (204, 304) or head_only:
            return answer
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            return self._read_chunked(answer, deadline)
        length = answer.header("content-length")
        if length is not None:
            answer.body = self._exactly(int(length), deadline)
            return answer
        while not self.ended and self._more(deadline):
            pass
        answer.body, self.buffer = self.buffer, b""
        return answer

    def _read_chunked(self, answer, deadline):
        while True:
            line = self._until(b"\r\n", deadline)
            if line is None:
                answer.body += b"<cut>"
                return answer
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            answer.body += self._exactly(size, deadline)
            self._exactly(2, deadline)
        while True:
            line = self._until(b"\r\n", deadline)
            if not line:
                return answer
            answer.trailers += line + b"\r\n"

    def read_end(self, timeout=1.0):
        """Waits for the other side to end the connection: "fin", "reset", or "open" when it does not in time."""
        deadline = time.monotonic() + timeout
        while not self.ended and self._more(deadline):
            pass
        return self.ended or "open"

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def get(port, path="/", host="127.0.0.1", headers=(), timeout=5.0, authority="test.example"):
    """One GET on a connection of its own."""
    extra = "".join(f"{k}: {v}\r\n" for k, v in headers)
    with Client(port, host, timeout) as client:
        client.send(f"GET {path} HTTP/1.1\r\nhost: {authority}\r\n{extra}\r\n".encode())
        return client.read_answer()
