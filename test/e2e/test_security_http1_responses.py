"""Answers of upstreams that could be read differently, that never end, or that come when nobody asked, by the numbers of
the list of attacks: the client gets a clean answer or a clean end, and the connection is never used again."""

import socket

import pytest

from test.support import proxy as px
from test.support.stand import GOOD, Stand, await_true, must_serve, request
from test.support.upstream import Closed

BEFORE = "upstream_reset_before_response_started{protocol_error}"
AFTER = "upstream_reset_after_response_started{protocol_error}"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
JWT = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"


class Scripted:
    """An upstream that answers what the test says, or an honest 200 to /good."""

    def __init__(self):
        self.answer = OK
        self.then = None  # called after the answer

    def __call__(self, peer):
        while True:
            head = peer.read_head()
            if head.startswith(b"GET /good "):
                peer.send(OK)
                continue
            peer.send(self.answer)
            if self.then:
                self.then(peer)


SCRIPT = Scripted()


def keys_that_never_come(peer):
    peer.wait_for_close()


def close_at_once(peer):
    peer.read_head()


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    jwt = px.typed("envoy.filters.http.jwt_authn", JWT, providers={"p": {
        "issuer": "me", "remote_jwks": {"http_uri": {"uri": "http://keys/", "cluster": "keys", "timeout": "60s"}}}},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}])
    retry = {"retry_on": "5xx,reset", "num_retries": 5, "retry_back_off": {"base_interval": "3000s", "max_interval": "6000s"}}
    with Stand(tmp_path_factory.mktemp("responses"), {
        "in": {"script": SCRIPT},
        "keys": {"script": keys_that_never_come},
        "jwt": {"filters": [jwt]},
        "retry": {"script": close_at_once, "route": {"retry_policy": retry, "timeout": "0s"}},
    }) as stand:
        yield stand


def must_fail(lane, answer, head=b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n", status=502, flag="UPE", detail=BEFORE):
    """The upstream's answer breaks the protocol: the client is told, the connection is given up and counted."""
    SCRIPT.answer, SCRIPT.then = answer, None
    with lane.counts("upstream_cx_protocol_error"), lane.connect() as client:
        client.send(head)
        got = client.read_answer()
        assert got is not None and got.status == status, f"{got} to {answer[:200]!r}"
    lane.must_log(f"{status} {flag} {detail}")
    must_not_be_reused(lane)


def must_not_be_reused(lane):
    mark = lane.mark()
    must_serve(lane, GOOD)
    assert list(lane.since(mark)) == [len(lane.upstream.received()) - 1] and len(mark) < len(lane.upstream.received())


def answer(*lines, body=b""):
    return request(b"HTTP/1.1 200 OK", *lines, body=body)


@pytest.mark.parametrize("raw", [
    answer(b"content-length: 2", b"transfer-encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
    answer(b"transfer-encoding: chunked", b"content-length: 2", body=b"2\r\nok\r\n0\r\n\r\n"),
    answer(b"content-length: 2", b"content-length: 3", body=b"ok"),
    answer(b"content-length: 2", b"content-length: 2", body=b"ok"),
    answer(b"content-length: 2, 2", body=b"ok"), answer(b"content-length: +2", body=b"ok"),
    answer(b"content-length: 0x2", body=b"ok"), answer(b"content-length:", body=b"ok"),
    answer(b"content-length: 18446744073709551618", body=b"ok"),
    answer(b"transfer-encoding: identity", body=b"ok"), answer(b"transfer-encoding: gzip, chunked", body=b"0\r\n\r\n"),
    answer(b"transfer-encoding: chunked", b"transfer-encoding: chunked", body=b"0\r\n\r\n"),
    answer(b"transfer-encoding : chunked", body=b"0\r\n\r\n"), answer(b"x: a\x00b"), answer(b"x: a\rb"), answer(b" x: folded"),
    answer(b"x: a", b" folded"), answer(b": empty"), answer(b"n" * 256 + b": v"), b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    b"HTTP/1.2 200 OK\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"http/1.1 200 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 099 Low\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 200OK\r\n\r\n", b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"ICY 200 OK\r\n\r\n", b"HTTP/1.1\r\n\r\n",
], ids=lambda raw: repr(raw[:60]))
def test_case_18_heads_that_are_ambiguous(stand, raw):
    must_fail(stand["in"], raw)


@pytest.mark.parametrize("raw,head", [
    (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", b"GET"),
    (b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"GET"),
], ids=repr)
def test_case_18_a_204_that_announces_a_body(stand, raw, head):
    must_fail(stand["in"], raw, head + b" /x HTTP/1.1\r\nhost: a\r\n\r\n")


@pytest.mark.parametrize("method,raw,status", [
    (b"GET", b"HTTP/1.1 204 No Content\r\n\r\nhello", 204),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello", 304),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 304),
    (b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200),
    (b"HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
    (b"GET", OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", 200),
    (b"GET", OK + b"\r\n", 200),
    (b"GET", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200),
], ids=repr)
def test_case_18_bytes_that_belong_to_no_answer(stand, method, raw, status):
    """They are dropped, and with them the connection: the next request must not get them as its answer."""
    lane = stand["in"]
    SCRIPT.answer, SCRIPT.then = raw, None
    with lane.counts("upstream_cx_protocol_error"), lane.connect() as client:
        client.send(method + b" /x HTTP/1.1\r\nhost: a\r\n\r\n" + GOOD)
        first = client.read_answer(head_only=method == b"HEAD")
        second = client.read_answer()
        assert [first.status, second.status] == [status, 200] and second.body == b"ok"
        assert first.body in (b"", b"ok")
    lane.log(2)
    must_serve(lane, GOOD)


def test_case_18_bytes_on_an_idle_connection(stand):
    """An answer that is sent before its request is asked for is poison for whoever asks next."""
    lane = stand["in"]
    peers = []
    SCRIPT.answer, SCRIPT.then = OK, peers.append
    must_serve(lane, b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
    with lane.counts("upstream_cx_protocol_error"), lane.counts("upstream_cx_destroy"):
        peers[0].send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    answers, _ = must_serve(lane, GOOD)
    assert answers[0].body == b"ok"


@pytest.mark.parametrize("raw", [
    b"HTTP/1.1 102 Processing\r\n\r\n" * 101 + OK,
    (b"HTTP/1.1 103 Early Hints\r\nlink: </" + b"x" * 8000 + b">\r\n\r\n") * 11 + OK,
    b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nhello" + OK,
    b"HTTP/1.1 100 Continue\r\ntransfer-encoding: chunked\r\n\r\n" + OK,
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
], ids=["count", "bytes", "length", "coding", "unasked_101"])
def test_case_18_informational_storms(stand, raw):
    must_fail(stand["in"], raw)


def test_case_18_a_hundred_informational_answers_pass(stand):
    SCRIPT.answer, SCRIPT.then = b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + OK, None
    answers, _ = must_serve(stand["in"], b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
    assert answers[0].body == b"ok"


@pytest.mark.parametrize("raw", [
    b"zz\r\nok\r\n0\r\n\r\n", b"2\r\nokay\r\n0\r\n\r\n", b"2 2\r\nok\r\n0\r\n\r\n", b"2\nok\n0\n\n",
    b"2\r\nok\r\n0\r\n: x\r\n\r\n", b"10000000000000000\r\n", b"2;" + b"e" * 5000 + b"\r\nok\r\n0\r\n\r\n",
], ids=lambda raw: repr(raw[:30]))
def test_case_18_chunks_that_are_broken(stand, raw):
    """The head has been passed on: the client's connection is cut, which is all that can still be said."""
    lane = stand["in"]
    SCRIPT.answer, SCRIPT.then = answer(b"transfer-encoding: chunked", body=raw), None
    with lane.counts("upstream_cx_protocol_error"), lane.connect() as client:
        client.send(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n" + GOOD)
        first = client.read_answer()
        assert first.status == 200 and first.body.endswith(b"<cut>")
        assert client.read_answer() is None and client.ended
    lane.must_log(f"200 UPE {AFTER}")
    must_not_be_reused(lane)


@pytest.mark.parametrize("framing", [b"content-length: 5", b"transfer-encoding: chunked"])
def test_case_18_an_answer_before_the_request_has_ended(stand, framing):
    """It is passed on; what is left of the request could be read as another one, so both connections end."""
    lane = stand["in"]
    SCRIPT.answer, SCRIPT.then = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", None
    with lane.counts("upstream_cx_destroy"), lane.counts("downstream_rq_rx_reset"), lane.connect() as client:
        client.send(b"POST /x HTTP/1.1\r\nhost: a\r\n" + framing + b"\r\n\r\n")
        got = client.read_answer()
        assert got.status == 403 and got.header("connection") == "close"
        client.send(GOOD)
        assert client.read_answer() is None
    lane.log()
    must_not_be_reused(lane)


@pytest.mark.parametrize("raw", [
    answer(b"content-length: 100", body=b"short"), answer(b"transfer-encoding: chunked", body=b"20\r\nshort")], ids=repr)
def test_case_67_an_answer_shorter_than_announced(stand, raw):
    lane = stand["in"]
    SCRIPT.answer = raw

    def leave(peer):
        peer.sock.close()
        raise Closed()

    SCRIPT.then = leave
    with lane.connect() as client:
        client.send(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        got = client.read_answer()
        assert got.status == 200 and b"short" in got.body and client.ended
    line = lane.log()[0]
    assert line.startswith("200 ") and "upstream_reset_after_response_started" in line
    must_not_be_reused(lane)


def test_case_77_the_client_leaves_while_authorization_is_pending(stand):
    lane = stand["jwt"]
    token = b"authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtZSJ9.c2ln"
    before = lane.stat("downstream_cx_destroy_remote_active_rq")
    clients = [lane.connect() for _ in range(20)]
    for client in clients:
        client.send(request(b"POST / HTTP/1.1", b"host: a", token, b"content-length: 9", body=b"abc"))
    await_true(lambda: lane.stat("downstream_rq_active") == 20, "twenty requests that wait for keys")
    for i, client in enumerate(clients):
        if i % 2:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
    await_true(lambda: lane.stat("downstream_cx_destroy_remote_active_rq") == before + 20, "all twenty to be gone")
    assert lane.log(20) == ["0 DC downstream_remote_disconnect"] * 20
    assert lane.stat("downstream_rq_active") == 0 and lane.received() == []
    lane.must_be_well()


def waits_to_retry(lane, attempts):
    """A retry is counted when it is made: until then no attempt is under way."""
    return lane.stat("upstream_rq_total") == attempts and lane.stat("upstream_rq_active") == 0


def test_case_77_the_client_leaves_while_a_retry_waits(stand):
    lane = stand["retry"]
    with lane.connect() as client:
        client.send(GOOD)
        await_true(lambda: waits_to_retry(lane, 1), "the retry to be planned")
    lane.must_log("0 DC downstream_remote_disconnect")
    await_true(lambda: lane.stat("downstream_rq_active") == 0, "the request to be gone")
    assert lane.stat("upstream_rq_pending_active") == 0 and len(lane.received()) == 1
    lane.must_be_well()


def test_case_77_the_upstream_is_gone_while_a_retry_waits(stand):
    """The retry finds nobody; with the client gone too nothing is left behind."""
    lane = stand["retry"]
    attempts = lane.stat("upstream_rq_total")
    with lane.connect() as client:
        client.send(GOOD)
        await_true(lambda: waits_to_retry(lane, attempts + 1), "the retry to be planned")
        lane.upstream.close()
        client.send(GOOD)  # one more waits behind it
    lane.log()
    await_true(lambda: lane.stat("downstream_rq_active") == 0, "the request to be gone")
    lane.must_be_well()
