"""A scripted HTTP/2 client. Frames are made by the Python package h2, which shares no code with the proxy; what h2 would
refuse to send goes out as raw frames."""

import socket
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import DataFrame, HeadersFrame

GET = [(":method", "GET"), (":scheme", "http"), (":authority", "test.example"), (":path", "/")]


def head(method="GET", path="/", *fields, authority="test.example", scheme="http"):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *fields]


class Answer:
    """One stream as it came back."""

    def __init__(self):
        self.informational = []
        self.headers = []
        self.body = b""
        self.trailers = []
        self.ended = False
        self.reset = None  # the code of RST_STREAM

    @property
    def status(self):
        return int(dict(self.headers).get(":status", 0))

    @property
    def over(self):
        return self.ended or self.reset is not None


class H2Client:
    """One connection. Everything is read in the calls that wait."""

    def __init__(self, port, settings=None, tls=None, timeout=5.0):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="server.example")
        self.timeout = timeout
        self.answers = {}
        self.ended = False
        self.goaways = []  # (last stream, code)
        self.hold_windows = False  # true: what is read gives no window back
        self.peer_settings = {}
        config = h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_inbound_headers=False,
            validate_outbound_headers=False, normalize_outbound_headers=False, normalize_inbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0, **settings})
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.sock.close()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            try:
                self.sock.sendall(data)
            except OSError:
                self.ended = True

    def raw(self, data):
        """Bytes past all checks."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.ended = True

    # --- sending ---

    def request(self, fields, body=None, trailers=None, end=True):
        """Opens a stream with a whole request; `end` false: it stays open. Answers the stream's id."""
        stream = self.h2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        last = end and body is None and trailers is None
        self.h2.send_headers(stream, fields, end_stream=last)
        self.flush()
        if body is not None:
            self.data(stream, body, end=end and trailers is None)
        if trailers is not None:
            self.h2.send_headers(stream, trailers, end_stream=True)
            self.flush()
        return stream

    def data(self, stream, body, end=False):
        while True:
            while body and self.room(stream) == 0:
                if not self.step() or self.answers[stream].over:
                    return
            piece, body = body[:self.room(stream)], body[self.room(stream):]
            try:
                self.h2.send_data(stream, piece, end_stream=end and not body)
            except h2.exceptions.ProtocolError:
                return  # the stream is over by now
            self.flush()
            if not body:
                return

    def room(self, stream):
        try:
            return min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
        except h2.exceptions.ProtocolError:
            return 0

    def raw_headers(self, stream, fields, end=True):
        self.answers.setdefault(stream, Answer())
        frame = HeadersFrame(stream, self.h2.encoder.encode(fields), flags=["END_HEADERS"])
        if end:
            frame.flags.add("END_STREAM")
        self.raw(frame.serialize())

    def raw_data(self, stream, body, end=False):
        self.raw(DataFrame(stream, body, flags=["END_STREAM"] if end else []).serialize())

    def reset(self, stream, code=8):
        self.h2.reset_stream(stream, code)
        self.flush()

    # --- reading ---

    def step(self, timeout=None):
        """Reads once; false when the connection has ended or nothing came in time."""
        if self.ended:
            return False
        self.sock.settimeout(timeout or self.timeout)
        try:
            data = self.sock.recv(65536)
        except (TimeoutError, socket.timeout):
            return False
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return False
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.ended = True
            return False
        for event in events:
            self._on(event)
        self.flush()
        return True

    def _on(self, event):
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append((event.last_stream_id, int(event.error_code)))
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.peer_settings.update({int(k): v.new_value for k, v in event.changed_settings.items()})
        answer = self.answers.get(getattr(event, "stream_id", None))
        if answer is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            answer.informational.append([tuple(f) for f in event.headers])
        elif isinstance(event, h2.events.ResponseReceived):
            answer.headers = [tuple(f) for f in event.headers]
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if not self.hold_windows and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = [tuple(f) for f in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)

    def wait(self, condition, timeout=None):
        """Reads until `condition()` is true; its value, or a false one when nothing more comes."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while not condition() and time.monotonic() < deadline:
            if not self.step(max(0.01, deadline - time.monotonic())):
                break
        return condition()

    def answer(self, stream):
        """The answer once it is over."""
        self.wait(lambda: self.answers[stream].over)
        return self.answers[stream]

    def get(self, fields=None, **more):
        return self.answer(self.request(fields or GET, **more))
