"""A scripted HTTP/2 upstream: it records every request and answers what a script says, well or badly.

Frames are made by the Python package h2, which shares no code with the proxy; what h2 would refuse to send goes out as
raw frames (`Peer.raw`).
"""

import socket
import struct
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame

from test.support.upstream import Closed

REFUSED_STREAM = 7
CANCEL = 8


class Request:
    """One stream as it came: fields in order, pseudo-headers included."""

    def __init__(self, stream, headers):
        self.stream = stream
        self.headers = headers
        self.body = b""
        self.trailers = []
        self.ended = False
        self.reset = None  # the code of RST_STREAM

    def get(self, name):
        return dict(self.headers).get(name)


class Peer:
    """One connection as a script sees it. Everything is read in the calls that wait; nothing runs by itself."""

    def __init__(self, sock, record, settings=None, window=None):
        self.sock = sock
        self.requests = record  # list of Request, in the order in which they came
        self.hold_windows = False  # true: what is read gives no window back
        self.goaway_received = None  # (last stream, code)
        self.pings = 0
        self.ping_acks = 0
        self.told = {}  # requests that read_head() and read_request() have given out already
        self.mute = False  # true: nothing is sent any more, not even acknowledgements
        config = h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_inbound_headers=False,
            validate_outbound_headers=False, normalize_outbound_headers=False, normalize_inbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0, **settings})
        self.h2.initiate_connection()
        if window:
            self.h2.increment_flow_control_window(window)
        self.flush()

    # --- reading ---

    def flush(self):
        data = self.h2.data_to_send()
        if data and not self.mute:
            self.sock.sendall(data)

    def step(self):
        """Reads once and takes in what came."""
        data = self.sock.recv(65536)
        if not data:
            raise Closed()
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            raise
        for event in events:
            self._on(event)
        self.flush()

    def _on(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.requests.append(Request(event.stream_id, [tuple(f) for f in event.headers]))
        elif isinstance(event, h2.events.DataReceived):
            self.of(event.stream_id).body += event.data
            if not self.hold_windows and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.of(event.stream_id).trailers = [tuple(f) for f in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            self.of(event.stream_id).ended = True
        elif isinstance(event, h2.events.StreamReset):
            self.of(event.stream_id).reset = int(event.error_code)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway_received = (event.last_stream_id, int(event.error_code))
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        elif isinstance(event, h2.events.PingAckReceived):
            self.ping_acks += 1

    def of(self, stream):
        return next(r for r in self.requests if r.stream == stream)

    def wait(self, condition):
        """Reads until `condition()` is true; its value."""
        while True:
            value = condition()
            if value:
                return value
            self.step()

    def _next(self, key, ready):
        told = self.told.setdefault(key, set())
        request = self.wait(lambda: next((r for r in self.requests if r.stream not in told and ready(r)), None))
        told.add(request.stream)
        return request

    def read_head(self):
        """The next request, as soon as its headers are there."""
        return self._next("head", lambda r: True)

    def read_request(self):
        """The next request that is complete."""
        return self._next("request", lambda r: r.ended)

    def wait_for_close(self):
        """Reads until the other side closes."""
        try:
            while True:
                self.step()
        except (Closed, OSError, h2.exceptions.ProtocolError):
            pass

    # --- sending ---

    def headers(self, stream, fields, end=False):
        """A header block: `fields` are pairs; an int instead stands for its :status alone."""
        if isinstance(fields, int):
            fields = [(":status", str(fields))]
        self.h2.send_headers(stream, fields, end_stream=end)
        self.flush()

    def informational(self, stream, status, fields=()):
        self.headers(stream, [(":status", str(status)), *fields])

    def data(self, stream, body, end=False):
        """Body, in as many frames as the other side's windows want, waiting for them."""
        while True:
            room = self.wait(lambda: min(self.h2.local_flow_control_window(stream),
                                         self.h2.max_outbound_frame_size)) if body else 0
            piece, body = body[:room], body[room:]
            self.h2.send_data(stream, piece, end_stream=end and not body)
            self.flush()
            if not body:
                return

    def trailers(self, stream, fields):
        self.h2.send_headers(stream, fields, end_stream=True)
        self.flush()

    def answer(self, request, status=200, body=b"ok", fields=(), trailers=None):
        """A whole answer."""
        stream = request.stream
        self.headers(stream, [(":status", str(status)), *fields], end=not body and trailers is None)
        if body:
            self.data(stream, body, end=trailers is None)
        if trailers is not None:
            self.trailers(stream, trailers)

    def reset(self, stream, code=CANCEL):
        self.h2.reset_stream(stream, code)
        self.flush()

    def goaway(self, last_stream, code=0, text=b""):
        """Says so, and goes on with what is open."""
        self.raw(GoAwayFrame(0, last_stream_id=last_stream, error_code=code, additional_data=text).serialize())

    def ping(self):
        self.h2.ping(b"12345678")
        self.flush()

    def change_settings(self, settings):
        self.h2.update_settings(settings)
        self.flush()

    def raw(self, data):
        """Bytes past all checks."""
        self.sock.sendall(data)

    def raw_headers(self, stream, fields, end=False):
        """A header block past h2's idea of what may be sent now."""
        frame = HeadersFrame(stream, self.h2.encoder.encode(fields), flags=["END_HEADERS"])
        if end:
            frame.flags.add("END_STREAM")
        self.raw(frame.serialize())

    def raw_data(self, stream, body, end=False):
        self.raw(DataFrame(stream, body, flags=["END_STREAM"] if end else []).serialize())

    def raw_reset(self, stream, code=CANCEL):
        self.raw(RstStreamFrame(stream, error_code=code).serialize())

    def raw_ping(self):
        self.raw(PingFrame(0, opaque_data=b"87654321").serialize())

    def abort(self):
        """Ends the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def answer_ok(peer):
    """Answers every request with 200 and a short body until the connection ends."""
    while True:
        peer.answer(peer.read_request())


class H2Upstream:
    """Listens on loopback; `script(peer)` runs in a thread per connection and closes it when it returns.

    `settings`: SETTINGS of ours by number; `window`: how much is added to the connection's window; `tls`: an
    ssl.SSLContext for a server."""

    def __init__(self, script=answer_ok, settings=None, window=None, tls=None):
        self.script = script
        self.settings = settings
        self.window = window
        self.tls = tls
        self.connections = []  # a list of Request each
        self.peers = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            record = []
            with self.lock:
                self.connections.append(record)
                self.open.add(sock)
            threading.Thread(target=self._serve, args=(sock, record), daemon=True).start()

    def _serve(self, sock, record):
        wrapped = sock
        try:
            if self.tls:
                wrapped = self.tls.wrap_socket(sock, server_side=True)
            peer = Peer(wrapped, record, self.settings, self.window)
            with self.lock:
                self.peers.append(peer)
            self.script(peer)
        except (Closed, OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            try:
                wrapped.close()
            except OSError:
                pass

    def requests(self):
        """All requests, connection by connection."""
        with self.lock:
            return [r for c in self.connections for r in c]

    def connection_count(self):
        with self.lock:
            return len(self.connections)

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
