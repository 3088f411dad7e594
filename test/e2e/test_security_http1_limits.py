"""What slow, huge and extreme clients and servers may cost, by the numbers of the list of attacks: bounded, counted, and
nobody else notices."""

import socket
import time

import pytest

from test.support.stand import GOOD, PATIENCE, Stand, await_true, must_refuse, must_serve, request, upstream_values

KB = 1024
BIG = 8 * KB * KB
BODY = b"z" * BIG


class Large:
    """Answers /large with more than any buffer holds, everything else with 200."""

    def __call__(self, peer):
        while True:
            head, _ = peer.read_request()
            if b" /large " in head:
                peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BIG + BODY)
            else:
                peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


class Heads:
    """Answers with the head that the test says."""

    head = b""

    def __call__(self, peer):
        while True:
            peer.read_request()
            peer.send(self.head)


HEADS = Heads()


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    with Stand(tmp_path_factory.mktemp("limits"), {
        "in": {},
        "slow_head": {"hcm": {"request_headers_timeout": "0.4s"}},
        "slow_request": {"hcm": {"request_timeout": "0.4s"}},
        "slow_body": {"hcm": {"stream_idle_timeout": "0.4s"}, "script": lambda peer: peer.wait_for_close()},
        "slow_reader": {"hcm": {"stream_idle_timeout": "2s"}, "script": Large()},
        "silent": {"hcm": {"drain_timeout": "0.2s", "common_http_protocol_options": {"idle_timeout": "0.4s"}}},
        "small": {"hcm": {"max_request_headers_kb": 8, "common_http_protocol_options": {"max_headers_count": 10}}},
        "trailers": {"hcm": {"http_protocol_options": {"enable_trailers": True}}},
        "heads": {"script": HEADS},
    }) as stand:
        yield stand


def drip(clients, piece, until, interval=0.05):
    """Every client sends `piece` now and then, until all have been ended by the proxy."""
    deadline = time.monotonic() + until
    while waiting := [client for client in clients if not client.ended]:
        assert time.monotonic() < deadline, "a slow client holds its connection"
        for client in waiting:
            client.send(piece)
            client.read_end(0.001)
        waiting[0].read_end(interval)


@pytest.mark.parametrize("lane,first,piece,counter,line", [
    ("slow_head", b"GET / HTTP/1.1\r\nhost: a\r\n", b"x: y\r\n", "downstream_rq_header_timeout", "408 - request_header_timeout"),
    ("slow_head", b"GE", b"T", "downstream_rq_header_timeout", "408 - request_header_timeout"),
    ("slow_request", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n", b"x", "downstream_rq_timeout",
     "408 - request_overall_timeout"),
    ("slow_request", b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n",
     "downstream_rq_timeout", "408 - request_overall_timeout"),
], ids=["fields", "method", "length", "chunks"])
def test_case_53_slow_heads_and_bodies(stand, lane, first, piece, counter, line):
    lane, count = stand[lane], 20
    clients = [lane.connect() for _ in range(count)]
    with lane.counts(counter, count):
        for client in clients:
            client.send(first)
        must_serve(stand["in"], GOOD)  # somebody else on the same thread
        drip(clients, piece, 4.0)
    assert all(c.buffer.startswith(b"HTTP/1.1 408 ") for c in clients)
    assert lane.log(count) == [line] * count
    assert lane.stat("downstream_rq_active") == 0
    for client in clients:
        client.close()
    await_true(lambda: lane.stat("downstream_cx_active") == 0, "connections to be freed")


@pytest.mark.parametrize("first,status", [
    (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc", 408),
    (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", 408),
    (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", 504)], ids=["length", "chunk", "answer"])
def test_case_53_a_stream_on_which_nothing_moves(stand, first, status):
    lane = stand["slow_body"]
    with lane.counts("downstream_rq_idle_timeout"), lane.connect() as client:
        client.send(first)
        assert client.read_answer().status == status
        assert (client.read_end(0.3) == "open") == (status == 504), "a request that had ended leaves the connection usable"
    lane.must_log(f"{status} SI stream_idle_timeout")
    await_true(lambda: lane.stat("upstream_rq_active") == 0, "the upstream request to be given up")


def test_case_53_a_connection_that_says_nothing(stand):
    lane = stand["silent"]
    with lane.counts("downstream_cx_idle_timeout", 2), lane.connect() as mute, lane.connect() as blank:
        blank.send(b"\r\n\r\n")
        assert mute.read_end(PATIENCE) == "fin" and blank.read_end(PATIENCE) == "fin"


def test_case_53_readers_that_do_not_read(stand):
    """Each of them wants 8 MiB and takes nothing: what the proxy holds is bounded, a timeout frees it, others are served."""
    lane, count = stand["slow_reader"], 10
    before = resident(stand)
    with lane.counts("downstream_rq_idle_timeout", count):
        clients = []
        for _ in range(count):
            client = lane.connect()
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.send(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
            clients.append(client)
        await_true(lambda: lane.stat("upstream_flow_control_paused_reading_total") >= count, "the senders to be stopped")
        assert resident(stand) - before < count * 4 * KB, "more than 4 MiB for each"
        must_serve(stand["in"], GOOD)
    for client in clients:
        client.close()
    lane.log(count)
    await_true(lambda: lane.stat("downstream_cx_active") == 0 and lane.stat("upstream_rq_active") == 0, "all to be freed")


def resident(stand):
    """KiB that the process holds."""
    with open(f"/proc/{stand.proxy.process.pid}/status") as f:
        return int(next(line.split()[1] for line in f if line.startswith("VmRSS")))


TOO_LARGE = {"status": 431, "detail": "http1.headers_too_large"}
TOO_MANY = {"status": 431, "detail": "http1.too_many_headers"}


@pytest.mark.parametrize("lane,raw,more", [
    ("in", request(b"GET / HTTP/1.1", b"host: a", b"x: " + b"y" * 61 * KB), TOO_LARGE),
    ("in", request(b"GET / HTTP/1.1", b"host: a", *[b"x%d: " % i + b"y" * 1000 for i in range(62)]), TOO_LARGE),
    ("in", b"GET /" + b"a" * 61 * KB + b" HTTP/1.1\r\nhost: a\r\n\r\n", TOO_LARGE),
    ("in", b"GET /?" + b"a" * 200 * KB + b" HTTP/1.1\r\nhost: a\r\n\r\n", TOO_LARGE),
    ("in", request(b"GET / HTTP/1.1", b"host: " + b"a" * 61 * KB), TOO_LARGE),
    ("in", request(b"GET / HTTP/1.1", b"host: a", *[b"x%d: 1" % i for i in range(100)]), TOO_MANY),
    ("in", request(b"GET / HTTP/1.1", b"host: a", *[b"x: 1"] * 5000), TOO_MANY),
    ("in", b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 70 * KB, TOO_LARGE),
    ("small", request(b"GET / HTTP/1.1", b"host: a", b"x: " + b"y" * 8 * KB), TOO_LARGE),
    ("small", request(b"GET / HTTP/1.1", b"host: a", *[b"x: 1"] * 10), TOO_MANY),
], ids=["field", "fields", "path", "query", "host", "count", "same_name", "unfinished", "configured", "configured_count"])
def test_case_54_heads_over_the_limits(stand, lane, raw, more):
    must_refuse(stand[lane], raw, **more)


@pytest.mark.parametrize("lane,raw", [
    ("in", request(b"GET / HTTP/1.1", b"host: a", b"x: " + b"y" * 59 * KB)),
    ("in", request(b"GET / HTTP/1.1", b"host: a", *[b"x%d: 1" % i for i in range(99)])),
    ("in", b"GET /" + b"a" * 59 * KB + b" HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("small", request(b"GET / HTTP/1.1", b"host: a", b"x: " + b"y" * 7 * KB)),
], ids=["field", "count", "path", "configured"])
def test_case_54_heads_within_the_limits(stand, lane, raw):
    must_serve(stand[lane], raw)


@pytest.mark.parametrize("trailers,detail", [
    (b"x: " + b"y" * 61 * KB + b"\r\n", "http1.headers_too_large"),
    (b"".join(b"x%d: y\r\n" % i for i in range(101)), "http1.too_many_headers"),
], ids=["bytes", "count"])
@pytest.mark.parametrize("lane", ["in", "trailers"])
def test_case_54_trailers_over_the_limits(stand, lane, trailers, detail):
    """They are limited whether or not anybody wants them."""
    lane = stand[lane]
    with lane.counts("downstream_cx_protocol_error"), lane.connect() as client:
        client.send(request(b"POST / HTTP/1.1", b"host: a", b"transfer-encoding: chunked", body=b"0\r\n" + trailers + b"\r\n"))
        assert client.read_answer().status == 431 and client.read_end(PATIENCE) != "open"
    lane.must_log(f"431 DPE {detail}")


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: " + b"y" * 81 * KB + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + b"".join(b"x%d: y\r\n" % i for i in range(101)) + b"\r\n",
    b"HTTP/1.1 200 " + b"y" * 81 * KB + b"\r\n\r\n",
], ids=["bytes", "count", "reason"])
def test_case_54_answers_over_the_limits(stand, head):
    lane = stand["heads"]
    HEADS.head = head
    with lane.counts("upstream_cx_protocol_error"), lane.connect() as client:
        client.send(GOOD)
        assert client.read_answer().status == 502
    lane.must_log("502 UPE upstream_reset_before_response_started{protocol_error}")


EXTREMES = [b"", b"0", b"-1", b"+1", b"1e9", b"4294967295", b"4294967296", b"9223372036854775807", b"9223372036854775808",
            b"18446744073709551616", b"9" * 300, b"0x10", b"1.5", b"nan", b" ", b"\xff", b"1, 2"]


@pytest.mark.parametrize("name", [
    b"x-envoy-max-retries", b"x-envoy-upstream-rq-timeout-ms", b"x-envoy-upstream-rq-per-try-timeout-ms",
    b"x-envoy-expected-rq-timeout-ms", b"x-envoy-attempt-count", b"x-envoy-hedge-on-per-try-timeout",
    b"x-envoy-retriable-status-codes", b"x-forwarded-port", b"max-forwards", b"keep-alive"])
def test_case_78_numbers_at_their_extremes(stand, name):
    lane = stand["in"]
    for value in EXTREMES:
        with lane.connect() as client:
            client.send(request(b"GET / HTTP/1.1", b"host: a", name + b": " + value))
            answer = client.read_answer()
            assert answer is not None and answer.status in (200, 504), f"{answer} to {name!r} {value!r}"
        lane.log()
    lane.must_be_well()


@pytest.mark.parametrize("value", [
    b"0n", b"1n", b"0S", b"99999999H", b"99999999n", b"999999999S", b"-1S", b"+1S", b"1", b"S", b"", b"1X", b"1s", b"1 S",
    b"0x1S", b"18446744073709551616H", b"9" * 300 + b"H", b"1.5S", b"\xffS", b"1S, 2S"])
def test_case_78_grpc_timeouts_at_their_extremes(stand, value):
    lane = stand["in"]
    with lane.connect() as client:
        client.send(request(b"POST /p.S/M HTTP/1.1", b"host: a", b"content-type: application/grpc", b"content-length: 0",
                            b"grpc-timeout: " + value))
        answer = client.read_answer()
        assert answer is not None and answer.status in (200, 504), answer
    lane.log()
    lane.must_be_well()


@pytest.mark.parametrize("length", [b"9223372036854775807", b"9223372036854775806", b"4294967296"])
def test_case_78_the_longest_body_that_can_be_announced(stand, length):
    """Announced and not sent: the request waits, the client leaves, nothing overflows."""
    lane = stand["in"]
    mark = lane.mark()
    with lane.connect() as client:
        client.send(request(b"POST / HTTP/1.1", b"host: a", b"content-length: " + length, body=b"x" * 1000))
        await_true(lambda: b"".join(lane.since(mark).values()).endswith(b"x" * 1000), "what was sent to be passed on")
    assert upstream_values(b"".join(lane.since(mark).values()), b"content-length") == [length]
    lane.must_log("0 DC downstream_remote_disconnect")
    await_true(lambda: lane.stat("upstream_rq_active") == 0, "the upstream request to be given up")
