"""Exchanges with an HTTP/1.1 client and an HTTP/2 upstream that behaves well or badly."""

import struct

from test.differential.exchange import Exchange
from test.support.h2_upstream import CANCEL, REFUSED_STREAM, answer_ok

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HOST = b"host: test.example"
GET = b"GET /p?q=1 HTTP/1.1\r\n" + HOST + b"\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n\r\n"
BIG = 300_000

# Reasons that several exchanges share.
GONE_BEFORE = "what came before the end that was too early has gone already"
FIN_AT_ONCE = "an answer that ends the connection goes out with FIN; Envoy sends that a second later"
POLITE = {"counters": "a GOAWAY is no error of the protocol"}
RESENT = dict.fromkeys(("forwarded", "counters"), "what the server says it has not processed is sent once more without a policy")


def http2_cluster(common=None, **options):
    """The cluster's fields for HTTP/2 upstream."""
    config = {"@type": "type.googleapis.com/" + OPTIONS, "explicit_http_config": {"http2_protocol_options": options}}
    if common:
        config["common_http_protocol_options"] = common
    return {"typed_extension_protocol_options": {OPTIONS: config}}


def request(*lines, body=b""):
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def post(body, *more):
    return request(b"POST /p HTTP/1.1", HOST, b"content-length: %d" % len(body), *more, body=body)


CHUNKED = request(b"POST /p HTTP/1.1", HOST, b"transfer-encoding: chunked", b"trailer: x-sum",
                  body=b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nx-sum: 7\r\n\r\n")
TRAILERS_ON = {"http_protocol_options": {"enable_trailers": True}}


def answers(status=200, body=b"ok", fields=(), trailers=None):
    """Every request gets this answer."""

    def script(peer):
        while True:
            peer.answer(peer.read_request(), status, body, fields, trailers)

    return script


def after_request(*acts):
    """Once the first request is complete, each act is done with (peer, stream)."""

    def script(peer):
        stream = peer.read_request().stream
        for act in acts:
            act(peer, stream)
        peer.wait_for_close()

    return script


def after_head(*acts):
    def script(peer):
        stream = peer.read_head().stream
        for act in acts:
            act(peer, stream)
        peer.wait_for_close()

    return script


def first_connection(script, then=answer_ok):
    """`script` for each upstream's first connection, `then` for those that follow."""
    seen = set()

    def choose(peer):
        port = peer.sock.getsockname()[1]  # each proxy has an upstream of its own
        chosen = then if port in seen else script
        seen.add(port)
        chosen(peer)

    return choose


# --- what is done to a stream ---


def headers(fields=200, end=False):
    return lambda peer, stream: peer.headers(stream, fields, end)


def block(*fields, end=False):
    """A header block that need not make sense."""
    return lambda peer, stream: peer.raw_headers(stream, list(fields), end)


def data(body, end=False):
    return lambda peer, stream: peer.raw_data(stream, body, end)


def reset(code):
    return lambda peer, stream: peer.raw_reset(stream, code)


def goaway(last, code=0):
    return lambda peer, stream: peer.goaway(last, code)


def frame(kind, flags=0, payload=b"", stream=None):
    """A raw frame; on the request's stream unless `stream` says another."""

    def act(peer, own):
        number = own if stream is None else stream
        peer.raw(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", number) + payload)

    return act


def many(act, times):
    def repeated(peer, stream):
        for _ in range(times):
            act(peer, stream)

    return repeated


def close(peer, stream):
    peer.sock.shutdown(2)


def abort(peer, stream):
    peer.abort()


def await_request(peer, stream):
    peer.wait(lambda: peer.of(stream).ended)


OK = ((":status", "200"), ("content-length", "2"))
STATUS = (":status", "200")


def http1_answer(peer):
    peer.mute = True
    peer.sock.recv(65536)
    peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    peer.wait_for_close()


def stalls(peer):
    peer.hold_windows = True
    peer.read_head()
    peer.wait_for_close()


def never_answers(peer):
    peer.read_request()
    peer.wait_for_close()


RETRY = {"retry_policy": {"retry_on": "refused-stream", "num_retries": 1}}
RETRY_RESET = {"retry_policy": {"retry_on": "reset", "num_retries": 1}}
QUICK = {"timeout": "0.3s"}

ORDINARY = [
    Exchange("get", GET),
    Exchange("two", [GET, ("read", 1), GET]),
    Exchange("pipelined", GET * 3, answers=3),
    Exchange("head", HEAD, answers(fields=[("content-length", "1234")], body=b""), head_only=True),
    Exchange("post", post(b"hello")),
    Exchange("post_empty", post(b"")),
    Exchange("post_big", post(b"b" * BIG)),
    Exchange("chunked_trailers_off", CHUNKED),
    Exchange("chunked_trailers_on", CHUNKED, hcm=TRAILERS_ON),
    Exchange("big_answer", GET, answers(body=b"a" * BIG, fields=[("content-length", str(BIG))])),
    Exchange("answer_without_length", GET, answers(body=b"a" * 1000)),
    Exchange("no_content", GET, answers(204, b"")),
    Exchange("not_modified", GET, answers(304, b"", [("etag", "x")])),
    Exchange("not_found", GET, answers(404, b"no")),
    Exchange("server_error", GET, answers(503, b"no")),
    Exchange("end_in_empty_frame", GET, after_request(headers(), data(b"", True))),
    Exchange("trailers_off", GET, answers(trailers=[("x-sum", "7")])),
    Exchange("trailers_on", GET, answers(trailers=[("x-sum", "7")]), hcm=TRAILERS_ON),
    Exchange("trailers_only", GET, answers(200, b"", [("content-type", "application/grpc"), ("grpc-status", "13")])),
    Exchange("trailers_without_body", GET, answers(200, b"", trailers=[("x-sum", "0")]), hcm=TRAILERS_ON),
    Exchange("early_hints", GET, after_request(block((":status", "103"), ("link", "</x>")), block(*OK),
                                               data(b"ok", True))),
    Exchange("several_cookies", GET, answers(fields=[("set-cookie", "a=1"), ("set-cookie", "b=2")])),
    Exchange("client_cookies", request(b"GET / HTTP/1.1", HOST, b"cookie: a=1; b=2", b"cookie: c=3")),
    Exchange("connection_fields_go", request(b"GET / HTTP/1.1", HOST, b"connection: keep-alive, x-hop", b"x-hop: 1",
                                             b"keep-alive: timeout=3", b"te: trailers, deflate")),
    Exchange("continue", [request(b"POST /p HTTP/1.1", HOST, b"content-length: 5", b"expect: 100-continue"),
                          ("read", 1), b"hello"]),
    Exchange("padded_data", GET, after_request(headers(), frame(0, 9, b"\x03ok\0\0\0"))),
    Exchange("unknown_frame", GET, after_request(frame(0xBE, 0, b"hi", 0), headers(), data(b"ok", True))),
]

RESETS = [
    Exchange("reset_cancel", GET, after_request(reset(CANCEL))),
    Exchange("reset_internal", GET, after_request(reset(2))),
    Exchange("reset_refused", GET, after_request(reset(REFUSED_STREAM)), differs=RESENT),
    Exchange("reset_http11_required", GET, after_request(reset(13))),
    Exchange("reset_no_error", GET, after_request(reset(0))),
    Exchange("reset_in_headers", GET, after_request(headers(), reset(2)), answers=None),
    Exchange("reset_mid_body", GET, after_request(headers(), data(b"part"), reset(2)), answers=None),
    Exchange("reset_mid_body_of_known_length", GET,
             after_request(block(STATUS, ("content-length", "10")), data(b"part"), reset(2)), answers=None),
    Exchange("refused_and_retried", GET,
             lambda peer: (peer.raw_reset(peer.read_request().stream, REFUSED_STREAM), answer_ok(peer)), route=RETRY),
    Exchange("refused_twice", GET, lambda peer: [peer.raw_reset(peer.read_request().stream, REFUSED_STREAM)
                                                 for _ in range(9)], route=RETRY),
    Exchange("reset_and_retried", GET,
             lambda peer: (peer.raw_reset(peer.read_request().stream, 2), answer_ok(peer)), route=RETRY_RESET),
]

EARLY = [
    Exchange("early_answer", [request(b"POST /p HTTP/1.1", HOST, b"content-length: 10", body=b"half."), ("read", 1)],
             after_head(block((":status", "413"), ("content-length", "2")), data(b"no", True)), answers=0,
             differs={"end": FIN_AT_ONCE}),
    Exchange("early_answer_and_reset",
             [request(b"POST /p HTTP/1.1", HOST, b"content-length: 10", body=b"half."), ("read", 1)],
             after_head(block((":status", "413"), ("content-length", "2")), data(b"no", True), reset(0)), answers=0,
             differs={"end": FIN_AT_ONCE, "counters": "a stream that the server has ended is not reset again"}),
    Exchange("answer_begins_early",
             [request(b"POST /p HTTP/1.1", HOST, b"content-length: 10", body=b"half."), b"other"],
             after_head(block(*OK), data(b"o"), await_request, data(b"k", True))),
]

LENGTHS = [
    Exchange("body_too_short", GET, after_request(block(STATUS, ("content-length", "10")), data(b"abc", True)),
             answers=None, differs={"answers": GONE_BEFORE, "log": GONE_BEFORE}),
    Exchange("body_too_long", GET, after_request(block(STATUS, ("content-length", "2")), data(b"abcd", True)),
             answers=None),
    Exchange("length_without_body", GET, after_request(block(STATUS, ("content-length", "3"), end=True))),
    Exchange("lengths_differ", GET, after_request(
        block(STATUS, ("content-length", "2"), ("content-length", "3")), data(b"ok", True))),
    Exchange("length_is_no_number", GET, after_request(
        block(STATUS, ("content-length", "x")), data(b"ok", True))),
    Exchange("no_content_with_body", GET, after_request(block((":status", "204")), data(b"ok", True)), answers=None),
]

ENDINGS = [
    Exchange("goaway_unprocessed", GET, after_request(goaway(0)), differs=RESENT),
    Exchange("goaway_unprocessed_and_retried", GET, first_connection(after_request(goaway(0))), route=RETRY),
    Exchange("goaway_processed", GET, after_request(goaway(1), block(*OK), data(b"ok", True)), differs=POLITE),
    Exchange("goaway_with_error", GET, after_request(goaway(1, 11), block(*OK), data(b"ok", True)), differs=POLITE),
    Exchange("goaway_then_next", [GET, ("read", 1), GET], first_connection(
        after_request(block(*OK), data(b"ok", True), goaway(1)))),
    Exchange("closed_before_answer", GET, after_request(close)),
    Exchange("closed_in_body", GET, after_request(block(STATUS, ("content-length", "9")), data(b"ok"), close),
             answers=None),
    Exchange("aborted", GET, after_request(abort)),
    Exchange("speaks_http1", GET, http1_answer),
    Exchange("never_answers", GET, never_answers, route=QUICK),
    Exchange("window_stalls", post(b"b" * BIG), stalls, route=QUICK),
    Exchange("silent", GET, lambda peer: (setattr(peer, "mute", True), never_answers(peer)),
             cluster=http2_cluster(connection_keepalive={"interval": "0.2s", "timeout": "0.2s"})),
]

MALFORMED = [
    Exchange("no_status", GET, after_request(block(("x-y", "1"), end=True))),
    Exchange("two_statuses", GET, after_request(block(STATUS, STATUS, end=True))),
    Exchange("status_is_no_number", GET, after_request(block((":status", "2x0"), end=True))),
    Exchange("status_too_long", GET, after_request(block((":status", "2000"), end=True))),
    Exchange("status_after_fields", GET, after_request(block(("x-y", "1"), STATUS, end=True))),
    Exchange("request_pseudo_header", GET, after_request(block(STATUS, (":path", "/"), end=True))),
    Exchange("upper_case_name", GET, after_request(block(STATUS, ("X-Y", "1"), end=True))),
    Exchange("bad_name", GET, after_request(block(STATUS, ("x\0y", "1"), end=True))),
    Exchange("bad_value", GET, after_request(block(STATUS, ("x-y", "1\n2"), end=True))),
    Exchange("connection_field", GET, after_request(block(STATUS, ("connection", "close"), end=True))),
    Exchange("transfer_encoding", GET, after_request(block(STATUS, ("transfer-encoding", "chunked"), end=True))),
    Exchange("switching_protocols", GET, after_request(block((":status", "101")), data(b"ok", True))),
    Exchange("informational_that_ends", GET, after_request(block((":status", "103"), end=True))),
    Exchange("body_before_headers", GET, after_request(data(b"ok", True))),
    Exchange("trailers_without_end", GET, after_request(headers(), data(b"ok"), block(("x-t", "1"))), answers=None),
    Exchange("status_in_trailers", GET, after_request(headers(), data(b"ok"), block(STATUS, end=True)), answers=None),
    Exchange("no_status_one_stream", GET, after_request(block(("x-y", "1"), end=True)),
             cluster=http2_cluster(override_stream_error_on_invalid_http_message=True)),
    Exchange("too_many_headers", GET, after_request(
        block(STATUS, *[("x-%d" % i, "1") for i in range(120)], end=True))),
    Exchange("as_many_headers_as_allowed", GET, after_request(
        block(STATUS, *[("x-%d" % i, "1") for i in range(12)], end=True)),
             cluster=http2_cluster(common={"max_headers_count": 15})),
    Exchange("more_headers_than_allowed", GET, after_request(
        block(STATUS, *[("x-%d" % i, "1") for i in range(20)], end=True)),
             cluster=http2_cluster(common={"max_headers_count": 15})),
]

FRAMES = [
    Exchange("push_promise", GET, after_request(frame(5, 4, b"\0\0\0\2\x88"))),
    Exchange("data_on_idle_stream", GET, after_request(frame(0, 1, b"x", 99))),
    Exchange("even_stream", GET, after_request(frame(1, 5, b"\x88", 2))),
    Exchange("window_overflow", GET, after_request(frame(8, 0, b"\x7f\xff\xff\xff")),
             differs={"counters": "a stream's window is that stream's error (RFC 9113 section 6.9.1)"}),
    Exchange("connection_window_overflow", GET, after_request(frame(8, 0, b"\x7f\xff\xff\xff", 0))),
    Exchange("window_of_nothing", GET, after_request(frame(8, 0, b"\0\0\0\0"))),
    Exchange("bad_settings", GET, after_request(frame(4, 0, b"\0\4\xff\xff\xff\xff", 0))),
    Exchange("settings_of_odd_size", GET, after_request(frame(4, 0, b"\0\4\xff", 0))),
    Exchange("frame_too_large", GET, after_request(frame(0, 0, b"x" * 20000))),
    Exchange("bad_padding", GET, after_request(headers(), frame(0, 9, b"\x20ok")), answers=None),
    Exchange("bad_hpack", GET, after_request(frame(1, 5, b"\xff\xff\xff\xff\xff\xff"))),
    Exchange("continuation_of_nothing", GET, after_request(frame(9, 4, b"\x88"))),
    Exchange("headers_interrupted", GET, after_request(frame(1, 0, b"\x88"), frame(6, 0, b"12345678", 0))),
    Exchange("empty_frames", GET, after_request(headers(), many(data(b""), 3)), answers=None),
    Exchange("priority_flood", GET, after_request(many(frame(2, 0, b"\0\0\0\0\x10"), 250))),
    Exchange("window_update_flood", GET, after_request(many(frame(8, 0, b"\0\0\0\1", 0), 50))),
]

ALL = ORDINARY + RESETS + EARLY + LENGTHS + ENDINGS + MALFORMED + FRAMES
for exchange in ALL:
    exchange.cluster = {**http2_cluster(), **exchange.cluster}
    if exchange.script.__module__ == "test.support.upstream":
        exchange.script = answer_ok
