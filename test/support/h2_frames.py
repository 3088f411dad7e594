"""A raw HTTP/2 client for tests: it writes whatever frames it is told, right or wrong, and reads what comes back.

Only header compression comes from a library (Debian's python3-hpack); what that cannot spell is written by hand.
"""

import socket
import struct
import time
from collections import namedtuple

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = 5, 6, 7, 8, 9
ENHANCE_YOUR_CALM = 11
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)

Frame = namedtuple("Frame", "type flags stream payload")


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(values=()):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", k, v) for k, v in dict(values).items()))


def settings_ack():
    return frame(SETTINGS, ACK)


def ping(data=b"\0" * 8, flags=0):
    return frame(PING, flags, payload=data)


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(code=NO_ERROR, last=0):
    return frame(GOAWAY, payload=struct.pack(">II", last, code))


def window_update(stream, by):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", by))


def priority(stream, on=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", on, weight))


def data(stream, payload=b"", end=False):
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def literal(name, value):
    """A field that is not indexed and not compressed, whatever its bytes are; both under 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


GET = ((":method", "GET"), (":scheme", "http"), (":authority", "test.example"), (":path", "/"))
POST = ((":method", "POST"), (":scheme", "http"), (":authority", "test.example"), (":path", "/"))


class Response:
    """What came on one stream."""

    def __init__(self):
        self.headers, self.trailers, self.informational = None, None, []
        self.body = b""
        self.ended = False
        self.reset = None  # the code of RST_STREAM

    @property
    def status(self):
        return int(self.header(":status")) if self.headers else None

    def header(self, name):
        return dict(self.headers).get(name)

    @property
    def done(self):
        return self.ended or self.reset is not None

    def __repr__(self):
        return f"<{self.headers} {self.body[:100]!r} ended={self.ended} reset={self.reset}>"


class H2Client:
    def __init__(self, port, initial=(), timeout=5.0, start=True, sock=None, window=1 << 24):
        self.sock = sock or socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 24
        self.buffer = b""
        self.block = b""  # of a header block that goes on
        self.ended = None  # "fin" or "reset"
        self.goaways = []  # (last stream, code)
        self.pings = []
        self.server_settings = None
        self.responses = {}
        self.ack_settings = True
        if start:
            self.send(PREFACE + settings({INITIAL_WINDOW_SIZE: window, **dict(initial)}))
            if window > 65535:
                self.send(window_update(0, window - 65535))

    # ------------------------------------------------------------------ writing
    def send(self, *parts):
        try:
            self.sock.sendall(b"".join(parts))
        except OSError:
            self.ended = self.ended or "reset"
        return not self.ended

    def encode(self, fields, huffman=False):
        return self.encoder.encode([(k if isinstance(k, bytes) else k.encode(), v if isinstance(v, bytes) else v.encode())
                                    for k, v in fields], huffman=huffman)

    def headers(self, stream, fields=GET, end=True, flags=END_HEADERS):
        return frame(HEADERS, flags | (END_STREAM if end else 0), stream, self.encode(fields))

    def request(self, stream, fields=GET, body=None):
        """Sends a request and waits for its answer."""
        self.send(self.headers(stream, fields, body is None), b"" if body is None else data(stream, body, True))
        return self.response(stream)

    # ------------------------------------------------------------------ reading
    def read_frame(self, timeout=None):
        """The next frame, or None when none came in time or the connection ended. Answers SETTINGS by itself."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            left = deadline - time.monotonic()
            if self.ended == "fin" or left <= 0:
                return None
            self.sock.settimeout(left)
            try:
                got = self.sock.recv(1 << 18)
            except (TimeoutError, socket.timeout):
                return None
            except OSError:
                self.ended = "reset"
                return None
            if not got:
                self.ended = "fin"
            self.buffer += got
        length = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        found = Frame(kind, flags, stream, self.buffer[9:9 + length])
        self.buffer = self.buffer[9 + length:]
        self._take(found)
        return found

    def _take(self, f):
        response = self.responses.setdefault(f.stream, Response()) if f.stream else None
        if f.type == SETTINGS and not f.flags & ACK:
            self.server_settings = dict(struct.unpack(">HI", f.payload[i:i + 6]) for i in range(0, len(f.payload), 6))
            if self.ack_settings:
                self.send(settings_ack())
        elif f.type == PING:
            self.pings.append((f.payload, f.flags))
        elif f.type == GOAWAY:
            self.goaways.append(struct.unpack(">II", f.payload[:8]))
        elif f.type == RST_STREAM:
            response.reset = struct.unpack(">I", f.payload)[0]
        elif f.type == DATA:
            response.body += f.payload
        elif f.type in (HEADERS, CONTINUATION):
            self.block += f.payload
            if f.flags & END_HEADERS:
                self._take_fields(response, self.decoder.decode(self.block))
                self.block = b""
        if f.type in (DATA, HEADERS) and f.flags & END_STREAM:
            response.ended = True

    def _take_fields(self, response, fields):
        if response.headers is not None:
            response.trailers = fields
        elif dict(fields).get(":status", "").startswith("1"):
            response.informational.append(fields)
        else:
            response.headers = fields

    def response(self, stream, timeout=None):
        """The answer on a stream, when it has ended or been reset; what there is of it when neither came in time."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        response = self.responses.setdefault(stream, Response())
        while not response.done and time.monotonic() < deadline:
            if self.read_frame(deadline - time.monotonic()) is None:
                break
        return response

    def ping_pong(self, timeout=None):
        """Everything that was sent before has been read once this is answered; False when it never is."""
        mark = struct.pack(">Q", len(self.pings) + 1)
        self.send(ping(mark))
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while (mark, ACK) not in self.pings:
            if self.read_frame(max(0, deadline - time.monotonic())) is None:
                return False
        return True

    def read_end(self, timeout=None):
        """Waits for the end of the connection: the code of the last GOAWAY, None without one, "open" when it stays open."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not self.ended and time.monotonic() < deadline:
            self.read_frame(max(0, deadline - time.monotonic()))
        if not self.ended:
            return "open"
        while self.read_frame(0) is not None:
            pass
        return self.goaways[-1][1] if self.goaways else None

    def refused(self, stream):
        """Whether the stream ends with PROTOCOL_ERROR, alone or with its connection, and without an answer."""
        response = self.response(stream)
        if response.headers is None and response.reset is None:
            return self.read_end() in (None, PROTOCOL_ERROR)
        return response.headers is None and response.reset == PROTOCOL_ERROR

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class H2Peer(H2Client):
    """The server's side of a connection that an Upstream has accepted: requests are in `responses`, by stream."""

    def __init__(self, peer, initial=(), timeout=10.0):
        super().__init__(0, timeout=timeout, start=False, sock=peer.sock)
        self.buffer = peer.buffer
        self.handled = set()
        self.send(settings(initial))
        while len(self.buffer) < len(PREFACE):
            got = self.sock.recv(65536)
            if not got:
                self.ended = "fin"
                return
            self.buffer += got
        assert self.buffer.startswith(PREFACE), self.buffer[:100]
        self.buffer = self.buffer[len(PREFACE):]

    def next_request(self, whole=True):
        """The number of a stream whose request has come (whole, or its head), each once; None when the connection ends."""
        while True:
            for number, request in self.responses.items():
                if request.headers and number not in self.handled and (request.done or not whole):
                    self.handled.add(number)
                    return number
            self.sock.settimeout(self.timeout)
            if self.read_frame() is None:
                return None

    def answer(self, stream, body=b"ok", fields=(), status="200", end=True):
        self.send(self.headers(stream, [(":status", status), *fields], end and not body),
                  data(stream, body, end) if body else b"")


def h2_answer_ok(peer):
    """A script for Upstream: answers every request with 200."""
    server = H2Peer(peer)
    while (stream := server.next_request()) is not None:
        server.answer(stream)
