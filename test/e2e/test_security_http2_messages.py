"""HTTP/2 requests and answers that break the rules of messages, by the numbers of the list of attacks: refused, counted,
nothing forwarded; and what is forwarded as HTTP/1 has one reading."""

import re

import pytest

from test.support import h2_frames as h2
from test.support.stand import GOOD, PATIENCE, Stand, await_true, must_serve

METHOD, SCHEME, AUTHORITY, PATH = h2.GET
FIELD, RULE = "http2.invalid.header.field", "http2.violation.of.messaging.rule"
AUTHORITY_DETAIL = "http2.invalid_authority"


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    with Stand(tmp_path_factory.mktemp("messages"), {
        "in": {},
        "stream_error": {"hcm": {"stream_error_on_invalid_http_message": True}},
    }) as stand:
        yield stand


def with_fields(*more):
    return [*h2.GET, *more]


MALFORMED = {
    # order and number of pseudo-header fields
    "pseudo_after_regular": ([METHOD, SCHEME, AUTHORITY, ("x", "1"), PATH], FIELD),
    "path_twice": (with_fields((":path", "/b")), FIELD), "path_twice_equal": (with_fields(PATH), FIELD),
    "method_twice": ([METHOD, METHOD, SCHEME, AUTHORITY, PATH], FIELD),
    "authority_twice": ([METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH], FIELD),
    "no_method": ([SCHEME, AUTHORITY, PATH], RULE), "no_scheme": ([METHOD, AUTHORITY, PATH], RULE),
    "no_path": ([METHOD, SCHEME, AUTHORITY], RULE), "no_authority": ([METHOD, SCHEME, PATH], RULE),
    "unknown": ([METHOD, SCHEME, AUTHORITY, PATH, (":x", "1")], FIELD),
    "status": ([METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")], FIELD),
    "protocol_without_connect": ([METHOD, SCHEME, AUTHORITY, PATH, (":protocol", "websocket")], FIELD),
    # fields of one connection
    "connection": (with_fields(("connection", "x")), FIELD), "keep_alive": (with_fields(("keep-alive", "1")), FIELD),
    "proxy_connection": (with_fields(("proxy-connection", "1")), FIELD),
    "transfer_encoding": (with_fields(("transfer-encoding", "chunked")), FIELD),
    "upgrade": (with_fields(("upgrade", "h2c")), FIELD),
    "te_gzip": (with_fields(("te", "gzip")), FIELD), "te_both": (with_fields(("te", "trailers, gzip")), FIELD),
    # names
    "upper_case": (with_fields(("X-A", "1")), FIELD),
    "upper_case_pseudo": ([METHOD, SCHEME, AUTHORITY, (":Path", "/")], FIELD),
    "blank_in_name": (with_fields(("x y", "1")), FIELD), "colon_in_name": (with_fields(("x:y", "1")), FIELD),
    "crlf_in_name": (with_fields(("x\r\ny", "1")), FIELD),
}
NAMES = {"empty_name": (with_fields(("", "1")), FIELD)}
SPLITTING = {
    "cr": (with_fields(("x", "a\rb")), FIELD), "lf": (with_fields(("x", "a\nb")), FIELD),
    "nul": (with_fields(("x", "a\0b")), FIELD), "control": (with_fields(("x", "a\x01b")), FIELD),
    "delete": (with_fields(("x", "a\x7fb")), FIELD), "request": (with_fields(("x", "a\r\n\r\nGET /evil HTTP/1.1")), FIELD),
    "path": ([METHOD, SCHEME, AUTHORITY, (":path", "/ HTTP/1.1\r\nx: y")], FIELD),
    "path_blank": ([METHOD, SCHEME, AUTHORITY, (":path", "/a b")], FIELD),
    "authority": ([METHOD, SCHEME, (":authority", "a\r\nx: y"), PATH], FIELD),
    "method": ([(":method", "GET /evil HTTP/1.1\r\nx: y"), SCHEME, AUTHORITY, PATH], FIELD),
    "method_blank": ([(":method", "G ET"), SCHEME, AUTHORITY, PATH], FIELD),
    "scheme": ([METHOD, (":scheme", "http\r\n"), AUTHORITY, PATH], FIELD),
}
TARGETS = {
    "host_twice": ([METHOD, SCHEME, PATH, ("host", "a"), ("host", "b")], FIELD),
    "host_differs": (with_fields(("host", "other.example")), AUTHORITY_DETAIL),
    "user": ([METHOD, SCHEME, (":authority", "u@a"), PATH], AUTHORITY_DETAIL),
    "slash_in_authority": ([METHOD, SCHEME, (":authority", "a/b"), PATH], FIELD),
    "empty_authority": ([METHOD, SCHEME, (":authority", ""), PATH], FIELD),
    "empty_path": ([METHOD, SCHEME, AUTHORITY, (":path", "")], FIELD),
    "no_slash": ([METHOD, SCHEME, AUTHORITY, (":path", "a")], RULE),
    "absolute": ([METHOD, SCHEME, AUTHORITY, (":path", "http://b/")], RULE),
    "asterisk": ([METHOD, SCHEME, AUTHORITY, (":path", "*")], RULE),
    "scheme_junk": ([METHOD, (":scheme", "!!"), AUTHORITY, PATH], FIELD),
    "scheme_empty": ([METHOD, (":scheme", ""), AUTHORITY, PATH], FIELD),
    "empty_method": ([(":method", ""), SCHEME, AUTHORITY, PATH], FIELD),
}
LENGTHS = {
    "word": (with_fields(("content-length", "x")), FIELD), "plus": (with_fields(("content-length", "+0")), FIELD),
    "list": (with_fields(("content-length", "0, 0")), FIELD),
    "twice": (with_fields(("content-length", "0"), ("content-length", "0")), FIELD),
    "huge": (with_fields(("content-length", "18446744073709551616")), FIELD),
    "five_and_no_body": (with_fields(("content-length", "5")), RULE),
}
GRPC = {"grpc": ([(":method", "POST"), SCHEME, AUTHORITY, (":path", "pkg.Service/Method"),
                  ("content-type", "application/grpc")], RULE)}


def must_refuse(stand, fields, detail):
    """The connection is closed with PROTOCOL_ERROR by default; the stream alone is reset where that is configured."""
    lane = stand["in"]
    before = lane.received()
    with lane.counts("downstream_cx_protocol_error"), h2.H2Client(lane.port) as client:
        client.send(client.headers(1, fields))
        assert client.read_end(PATIENCE) in (None, h2.PROTOCOL_ERROR), client.goaways
        assert client.responses.get(1, h2.Response()).headers is None
    lane.must_log(f"0 DPE {detail}")
    assert lane.received() == before

    lane = stand["stream_error"]
    before = lane.received()
    with h2.H2Client(lane.port) as client:
        client.send(client.headers(1, fields))
        assert client.response(1).reset == h2.PROTOCOL_ERROR
        lane.must_log(f"0 DPE {detail}")
        assert lane.received() == before
        assert client.request(3).status == 200, "the connection goes on"
    lane.must_log("200 - via_upstream")
    lane.must_be_well()


@pytest.mark.parametrize("name", MALFORMED)
def test_case_33_malformed_heads(stand, name):
    must_refuse(stand, *MALFORMED[name])


@pytest.mark.parametrize("trailers", [
    [(":path", "/admin")], [(":status", "200")], [("X", "1")], [("connection", "x")], [("te", "gzip")], [("x", "a\r\nb")]],
    ids=lambda t: t[0][0])
def test_case_33_malformed_trailers(stand, trailers):
    lane = stand["in"]
    mark = lane.mark()
    with lane.counts("downstream_cx_protocol_error"), h2.H2Client(lane.port) as client:
        client.send(client.headers(1, h2.POST, False), h2.data(1, b"abc"))
        await_true(lambda: b"".join(lane.since(mark).values()).endswith(b"abc\r\n"), "the body to be passed on")
        client.send(client.headers(1, trailers))
        assert client.refused(1)
    lane.log()
    sent = b"".join(lane.since(mark).values())
    assert sent.count(b" HTTP/1.1\r\n") == 1 and not sent.endswith(b"0\r\n\r\n")
    must_serve(lane, GOOD)
    assert b"".join(lane.since(mark).values()).count(b"\r\nabc\r\n") == 1


@pytest.mark.parametrize("name", SPLITTING)
def test_case_34_values_that_would_split_a_message(stand, name):
    must_refuse(stand, *SPLITTING[name])


@pytest.mark.parametrize("name", LENGTHS)
def test_case_35_lengths_that_are_wrong_at_once(stand, name):
    must_refuse(stand, *LENGTHS[name])


@pytest.mark.parametrize("pieces", [[(b"abc", True)], [(b"abcdefg", True)], [(b"abc", False), (b"defg", False)]],
                         ids=["less", "more", "more_in_two"])
def test_case_35_bodies_that_differ_from_their_length(stand, pieces):
    lane = stand["in"]
    mark = lane.mark()
    with h2.H2Client(lane.port) as client:
        client.send(client.headers(1, [*h2.POST, ("content-length", "5")], False))
        await_true(lambda: b"".join(lane.since(mark).values()).endswith(b"\r\n\r\n"), "the head to be passed on")
        for piece, end in pieces:
            client.send(h2.data(1, piece, end))
        assert client.refused(1)
    assert lane.log()[0].startswith("0 DPE ")
    must_serve(lane, GOOD)
    first, second = lane.since(mark).values()
    assert first.count(b" HTTP/1.1\r\n") == 1 and len(first.split(b"\r\n\r\n")[1]) < 5, "never completed, never used again"
    assert second.startswith(b"GET /good")


@pytest.mark.parametrize("name", TARGETS)
def test_case_36_authorities_paths_and_schemes(stand, name):
    must_refuse(stand, *TARGETS[name])


@pytest.mark.parametrize("fields,host", [
    ([METHOD, SCHEME, PATH, ("host", "h.example")], b"h.example"),
    (with_fields(("host", "test.example")), b"test.example"),
], ids=["host_only", "same"])
def test_case_36_host_in_place_of_authority(stand, fields, host):
    lane = stand["in"]
    mark = lane.mark()
    with h2.H2Client(lane.port) as client:
        assert client.request(1, fields).status == 200
    lane.log()
    sent = b"".join(lane.since(mark).values())
    assert re.findall(rb"(?m)^host: (.*)\r$", sent) == [host]


# Well formed as far as HTTP/2 goes; what would be no good HTTP/1 must not reach the upstream.
DOUBTFUL = {
    "path_not_ascii": [METHOD, SCHEME, AUTHORITY, (":path", b"/\xff")],
    "path_fragment": [METHOD, SCHEME, AUTHORITY, (":path", "/a#b")],
    "path_climbs": [METHOD, SCHEME, AUTHORITY, (":path", "//evil/..")],
    "name_256": with_fields(("n" * 256, "1")),
    "expect": with_fields(("expect", "tea")),
    "options_asterisk": [(":method", "OPTIONS"), SCHEME, AUTHORITY, (":path", "*")],
    "value_blank_around": with_fields(("x", " a ")),
    "value_not_ascii": with_fields(("x", b"\xff")),
    "scheme_other": [METHOD, (":scheme", "ftp"), AUTHORITY, PATH],
    "scheme_upper": [METHOD, (":scheme", "HTTP"), AUTHORITY, PATH],
    "method_other": [(":method", "FOO"), SCHEME, AUTHORITY, PATH],
    "te_trailers": with_fields(("te", "trailers")),
    "cookies": with_fields(("cookie", "a=1"), ("cookie", "b=2")),
    "http2_settings": with_fields(("http2-settings", "AAMAAABkAAQAAP__")),
    "length_zero": with_fields(("content-length", "0")),
    "connect": [(":method", "CONNECT"), (":authority", "a:80")],
    "connect_body": [(":method", "CONNECT"), (":authority", "a:80"), ("content-length", "5")],
    "trailer_field": with_fields(("trailer", "content-length")),
    "get_with_length": [*h2.GET, ("content-length", "3")],
}
ONE_HEAD = re.compile(
    rb"[A-Z]+ /[!-~]* HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9a-z-]{1,255}: (?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?\r\n)+\r\n")


@pytest.mark.parametrize("name", DOUBTFUL)
def test_case_37_what_is_forwarded_is_good_http1(stand, name):
    lane = stand["in"]
    mark = lane.mark()
    body = name in ("connect", "get_with_length")
    with h2.H2Client(lane.port) as client:
        client.send(client.headers(1, DOUBTFUL[name], not body))
        if body:
            client.send(h2.data(1, b"abc", True))
        response = client.response(1)
        status = response.status
    lane.log()
    must_serve(lane, GOOD)
    for sent in lane.since(mark).values():
        head = ONE_HEAD.match(sent)
        assert head and len(re.findall(rb"(?m)^host: ", head[0])) == 1, sent
        assert not re.search(rb"(?m)^(transfer-encoding|upgrade|connection|http2-settings|expect): ", head[0]) or body
        assert not (b"\r\ncontent-length: " in head[0] and b"\r\ntransfer-encoding: " in head[0])
    assert status is None or status >= 400 or len(lane.since(mark)) >= 1
    if name in ("path_not_ascii", "path_fragment", "path_climbs", "name_256", "expect", "options_asterisk"):
        assert status is None or 400 <= status < 500


def test_case_37_a_body_without_length_is_chunked(stand):
    lane = stand["in"]
    mark = lane.mark()
    with h2.H2Client(lane.port) as client:
        client.send(client.headers(1, h2.POST, False), h2.data(1, b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"), h2.data(1, b"", True))
        assert client.response(1).status == 200
    lane.log()
    sent = b"".join(lane.since(mark).values())
    assert sent.endswith(b"\r\n\r\n1b\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("name", NAMES)
def test_case_66_empty_names(stand, name):
    must_refuse(stand, *NAMES[name])


@pytest.mark.parametrize("name", GRPC)
def test_case_69_grpc_paths_without_a_slash(stand, name):
    must_refuse(stand, *GRPC[name])
