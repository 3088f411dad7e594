"""HTTP/2 streams whose two ends disagree, by the numbers of the list of attacks: bodies that are shorter or longer than
announced, GOAWAY races, resets and disconnects while the proxy is busy elsewhere, numbers at their extremes."""

import pytest

from test.support import h2_frames as h2
from test.support import proxy as px
from test.support.stand import GOOD, PATIENCE, Stand, await_true, must_serve

JWT = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
HTTP2 = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http2_protocol_options": {}}}}}


class Answers:
    """An HTTP/2 upstream that does what the test says on each stream, and answers 200 to /good."""

    act = None

    def __call__(self, peer):
        server = h2.H2Peer(peer)
        while (stream := server.next_request(whole=False)) is not None:
            if dict(server.responses[stream].headers)[":path"] == "/good":
                server.answer(stream)
            else:
                self.act(server, stream)


ANSWERS = Answers()


def close_at_once(peer):
    peer.read_head()


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    jwt = px.typed("envoy.filters.http.jwt_authn", JWT, providers={"p": {
        "issuer": "me", "remote_jwks": {"http_uri": {"uri": "http://keys/", "cluster": "keys", "timeout": "60s"}}}},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}])
    retry = {"retry_on": "5xx,reset", "num_retries": 5, "retry_back_off": {"base_interval": "3000s", "max_interval": "6000s"}}
    with Stand(tmp_path_factory.mktemp("streams"), {
        "in": {},
        "silent": {"script": lambda peer: peer.wait_for_close()},
        "h2": {"script": ANSWERS, "cluster": HTTP2},
        "h2_retry": {"script": ANSWERS, "cluster": HTTP2,
                     "route": {"retry_policy": {"retry_on": "refused-stream", "num_retries": 3}}},
        "few": {"hcm": {"drain_timeout": "0.3s", "common_http_protocol_options": {"max_requests_per_connection": 3}}},
        "keys": {"script": lambda peer: peer.wait_for_close()},
        "jwt": {"filters": [jwt]},
        "retry": {"script": close_at_once, "route": {"retry_policy": retry, "timeout": "0s"}},
    }) as stand:
        yield stand


def test_case_38_requests_behind_goaway_are_either_served_or_named(stand):
    """After three requests the connection is drained: what GOAWAY says was not processed was not, the rest was answered."""
    lane = stand["few"]
    mark = lane.mark()
    with h2.H2Client(lane.port) as client:
        for stream in range(1, 41, 2):
            client.send(client.headers(stream, [*h2.GET[:3], (":path", f"/{stream}")]))
        assert client.read_end(PATIENCE) == h2.NO_ERROR
        last = client.goaways[-1][0]
        answered = {s for s, r in client.responses.items() if r.ended and r.status == 200}
    assert answered == set(range(1, last + 1, 2)), "all that are named as processed are answered, and no others"
    served = [int(line.split(b" ")[1][1:]) for line in lane.heads()]
    assert set(served) == answered and len(served) == len(set(served))
    assert lane.since(mark) != {}
    lane.log(len(answered))


def test_case_38_an_upstreams_goaway_loses_nothing(stand):
    """Streams above its last stream were never processed: they are asked again on another connection, each once."""
    lane, served = stand["h2_retry"], []

    def act(server, stream):
        path = dict(server.responses[stream].headers)[":path"]
        if len(server.handled) == 1 and not served:
            while len([r for r in server.responses.values() if r.headers]) < 4:
                if server.read_frame() is None:
                    return
            served.append(path)
            server.send(h2.goaway(last=stream))
            server.answer(stream)
            server.handled.update(server.responses)  # it has given up on the others
            return
        served.append(path)
        server.answer(stream)

    ANSWERS.act = act
    with h2.H2Client(lane.port) as client:
        for stream in (1, 3, 5, 7):
            client.send(client.headers(stream, [*h2.GET[:3], (":path", f"/{stream}")]))
        answers = [client.response(stream) for stream in (1, 3, 5, 7)]
    assert [a.status for a in answers] == [200] * 4, answers
    assert sorted(served) == ["/1", "/3", "/5", "/7"]
    lane.log(4)


@pytest.mark.parametrize("pieces", [[(b"abc", True)], [(b"abcdefg", True)], [(b"abcde", False), (b"f", True)]],
                         ids=["less", "more", "more_later"])
def test_case_67_answers_that_differ_from_their_length(stand, pieces):
    """The client's stream is reset; the answer never looks whole."""
    lane = stand["h2"]

    def act(server, stream):
        server.send(server.headers(stream, [(":status", "200"), ("content-length", "5")], False))
        for piece, end in pieces:
            server.send(h2.data(stream, piece, end))

    ANSWERS.act = act
    with h2.H2Client(lane.port) as client:
        response = client.request(1)
        assert not (response.ended and response.status == 200 and response.reset is None), response
    line = lane.log()[0]
    assert " UPE " in line or " UR " in line, line
    with lane.connect() as client:
        client.send(GOOD)
        assert client.read_answer().status == 200
    lane.log()


@pytest.mark.parametrize("pieces", [[(b"abc", True)], [(b"abcdefg", True)]], ids=["less", "more"])
def test_case_67_requests_that_differ_from_their_length(stand, pieces):
    """Towards an HTTP/2 upstream: its stream is reset, never ended."""
    lane, seen = stand["h2"], []
    ANSWERS.act = lambda server, stream: seen.append((server, stream))
    with h2.H2Client(lane.port) as client:
        client.send(client.headers(1, [*h2.POST, ("content-length", "5")], False))
        await_true(lambda: seen, "the head at the upstream")
        for piece, end in pieces:
            client.send(h2.data(1, piece, end))
        assert client.refused(1)
        server, stream = seen[0]
        await_true(lambda: server.responses[stream].reset is not None or server.ended, "the upstream's stream to be reset")
        assert not server.responses[stream].ended
    lane.log()


@pytest.mark.parametrize("status,fields,pieces", [
    ("204", [("content-length", "5")], [(b"hello", True)]), ("304", [], [(b"hello", True)]), ("200", [("x", "a\r\nb")], []),
    ("200", [("Upper", "1")], []), ("200", [("connection", "x")], []), ("200", [("content-length", "x")], []),
    ("99", [], []), ("abc", [], []), ("101", [], []), ("200", [(":path", "/")], []), ("200", [("content-length", "5, 5")], []),
], ids=lambda v: repr(v)[:40])
def test_case_67_answers_that_break_the_rules(stand, status, fields, pieces):
    lane = stand["h2"]

    def act(server, stream):
        server.send(server.headers(stream, [(":status", status), *fields], not pieces))
        for piece, end in pieces:
            server.send(h2.data(stream, piece, end))

    ANSWERS.act = act
    with lane.connect() as client:
        client.send(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n" + GOOD)
        first = client.read_answer()
        if first is not None and first.status in (204, 304):
            assert first.body == b"" and b"hello" not in client.buffer
        else:
            assert first is None or first.status == 502, first
        if not client.ended:
            second = client.read_answer()
            assert second is None or second.status == 200
    lane.log()
    lane.must_be_well()


def test_case_77_data_behind_a_reset(stand):
    """It belongs to nothing: dropped, its window given back, the connection usable."""
    lane = stand["silent"]
    with h2.H2Client(lane.port) as client:
        for stream in range(1, 201, 2):
            client.send(client.headers(stream, h2.POST, False), h2.data(stream, b"abc"), h2.reset(stream),
                        h2.data(stream, b"x" * 16000, stream % 4 == 1))
            assert stream % 4 == 1 or client.ping_pong()  # all together is many times the connection's window
        await_true(lambda: lane.stat("downstream_rq_active") == 0, "all streams to be gone")
        client.send(client.headers(301, h2.POST, False), h2.reset(301))
        assert client.ping_pong()
    lane.log(101)
    await_true(lambda: lane.stat("upstream_rq_active") == 0, "the upstream requests to be given up")
    lane.must_be_well()


@pytest.mark.parametrize("how", ["reset", "goaway", "leave"])
def test_case_77_gone_while_authorization_is_pending(stand, how):
    lane = stand["jwt"]
    token = ("authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtZSJ9.c2ln")
    with h2.H2Client(lane.port) as client:
        for stream in range(1, 41, 2):
            client.send(client.headers(stream, [*h2.POST, token], False), h2.data(stream, b"abc"))
        await_true(lambda: lane.stat("downstream_rq_active") == 20, "twenty requests that wait for keys")
        if how == "reset":
            client.send(*[h2.reset(stream) for stream in range(1, 41, 2)])
            client.send(*[h2.data(stream, b"x", True) for stream in range(1, 41, 2)])
        elif how == "goaway":
            client.send(h2.goaway())
        if how == "reset":
            await_true(lambda: lane.stat("downstream_rq_active") == 0, "all twenty to be gone")
            assert client.ping_pong()
    await_true(lambda: lane.stat("downstream_rq_active") == 0, "all twenty to be gone")
    flags = {line.split(" ")[1] for line in lane.log(20)}
    assert flags == ({"DR"} if how == "reset" else {"DC"})
    assert lane.received() == []
    lane.must_be_well()


def test_case_77_gone_while_a_retry_waits(stand):
    lane = stand["retry"]
    with h2.H2Client(lane.port) as client:
        for stream in (1, 3, 5):
            client.send(client.headers(stream))
        await_true(lambda: lane.stat("upstream_rq_total") == 3 and lane.stat("upstream_rq_active") == 0,
                   "the retries to be planned")
        client.send(h2.reset(1))
        lane.upstream.close()
        await_true(lambda: lane.stat("downstream_rq_active") == 2, "one to be gone")
        assert client.ping_pong()
    lane.log(3)
    await_true(lambda: lane.stat("downstream_rq_active") == 0, "all to be gone")
    assert lane.stat("upstream_rq_pending_active") == 0
    lane.must_be_well()


NUMBERS = ["", "0", "-1", "4294967296", "18446744073709551616", "9" * 300, "0x10", "1.5", "1, 2"]


@pytest.mark.parametrize("name", ["x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms", "max-forwards",
                                  "x-envoy-upstream-rq-per-try-timeout-ms"])
def test_case_78_numbers_at_their_extremes(stand, name):
    lane = stand["in"]
    with h2.H2Client(lane.port) as client:
        for i, value in enumerate(NUMBERS):
            assert client.request(2 * i + 1, [*h2.GET, (name, value)]).status in (200, 504), value
    lane.log(len(NUMBERS))
    lane.must_be_well()


def test_case_78_grpc_timeouts_at_their_extremes(stand):
    values = ["0n", "1n", "99999999H", "999999999S", "-1S", "1", "S", "", "1X", "18446744073709551616H", "9" * 300 + "H", "1S, 2S"]
    lane = stand["in"]
    with h2.H2Client(lane.port) as client:
        for i, value in enumerate(values):
            fields = [*h2.POST[:3], (":path", "/p.S/M"), ("content-type", "application/grpc"), ("te", "trailers"),
                      ("grpc-timeout", value)]
            assert client.request(2 * i + 1, fields).status == 200, value
    lane.log(len(values))
    lane.must_be_well()


@pytest.mark.parametrize("frame", [
    h2.window_update(0, 0x7fffffff), h2.settings({h2.INITIAL_WINDOW_SIZE: 0x80000000}), h2.settings({h2.MAX_FRAME_SIZE: 16383}),
    h2.settings({h2.MAX_FRAME_SIZE: 1 << 24}), h2.settings({h2.ENABLE_PUSH: 2}), h2.window_update(0, 0),
    h2.frame(h2.SETTINGS, payload=b"\0" * 5), h2.frame(h2.PING, payload=b"\0" * 7), h2.frame(h2.SETTINGS, 0, 1),
    h2.frame(h2.DATA, 0, 0, b"x"), h2.frame(h2.HEADERS, 4, 0, b"\x82"), h2.frame(h2.HEADERS, 4, 2, b"\x82"),
    h2.frame(h2.PUSH_PROMISE, 4, 1, b"\0\0\0\2\x82"), h2.frame(h2.CONTINUATION, 4, 1, b"\x82"),
    b"\xff\xff\xff" + b"\0" * 6,
], ids=lambda f: f.hex()[:40])
def test_case_78_frames_at_their_extremes(stand, frame):
    lane = stand["in"]
    with lane.counts("downstream_cx_protocol_error"), h2.H2Client(lane.port) as client:
        client.send(frame)
        assert client.read_end(PATIENCE) in (h2.PROTOCOL_ERROR, h2.FLOW_CONTROL_ERROR, h2.FRAME_SIZE_ERROR, None)
    must_serve(lane, GOOD)


@pytest.mark.parametrize("values", [
    {h2.HEADER_TABLE_SIZE: 0xffffffff}, {h2.HEADER_TABLE_SIZE: 0}, {h2.INITIAL_WINDOW_SIZE: 0x7fffffff},
    {h2.MAX_CONCURRENT_STREAMS: 0}, {h2.MAX_HEADER_LIST_SIZE: 0}, {h2.MAX_FRAME_SIZE: (1 << 24) - 1}, {0xffff: 0xffffffff}],
    ids=repr)
def test_case_78_settings_at_their_extremes(stand, values):
    lane = stand["in"]
    with h2.H2Client(lane.port, initial=values) as client:
        assert client.request(1).status == 200
    lane.log()
    lane.must_be_well()
