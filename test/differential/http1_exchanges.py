"""The HTTP/1.1 exchanges that Envoy and Remora are both given."""

from test.differential.exchange import Exchange
from test.support.upstream import answer_with

HOST = b"host: test.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def request(*lines, body=b""):
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def read_head_then(raw, wait=True):
    """Answers after the head only, without reading the body."""

    def script(peer):
        peer.read_head()
        peer.send(raw)
        if wait:
            peer.wait_for_close()

    return script


def reset_after_head(peer):
    peer.read_head()
    peer.reset()


def close_after_head(peer):
    peer.read_head()


def cut_in_body(peer):
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")


def cut_in_chunk(peer):
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\nonly this")


def never_answers(peer):
    peer.wait_for_close()


def stalls_in_body(peer):
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart")
    peer.wait_for_close()


def close_delimited(peer):
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")


def continue_then_ok(peer):
    head = peer.read_head()
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = int([l for l in head.lower().split(b"\r\n") if l.startswith(b"content-length")][0].split(b":")[1])
    peer.read_exactly(length)
    peer.send(OK)
    peer.wait_for_close()


def fails_twice():
    left = {}  # by the upstream's port: each proxy has an upstream of its own

    def script(peer):
        port = peer.sock.getsockname()[1]
        while True:
            peer.read_request()
            left[port] = left.get(port, 2) - 1
            if left[port] >= 0:
                peer.send(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfail")
            else:
                peer.send(OK)

    return script


POST5 = request(b"POST /p HTTP/1.1", b"host: test.example", b"content-length: 5", body=b"hello")
CHUNKED = request(b"POST /p HTTP/1.1", b"host: test.example", b"transfer-encoding: chunked",
                  body=b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")


CODING = "a length that we cannot know is a framing error like the others: 400; Envoy answers 501"
VERSION = "a request line that is none of HTTP/1 is malformed: 400; Envoy answers 426"


def bad(name, raw, **more):
    """A request that both must refuse and close; nothing may reach the upstream."""
    return Exchange("bad_" + name, raw, answers=None, **more)


ORDINARY = [
    Exchange("get", GET),
    Exchange("get_in_pieces", [bytes([b]) for b in GET]),
    Exchange("keep_alive_two", [GET, ("read", 1), GET]),
    Exchange("pipelined_three", GET * 3, answers=3),
    Exchange("pipelined_post_get", POST5 + GET, answers=2),
    Exchange("connection_close", request(b"GET / HTTP/1.1", b"host: test.example", b"connection: close"), answers=None),
    Exchange("head", request(b"HEAD / HTTP/1.1", b"host: test.example"), head_only=True,
             script=answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n")),
    Exchange("head_chunked", request(b"HEAD / HTTP/1.1", b"host: test.example"), head_only=True,
             script=answer_with(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")),
    Exchange("post", POST5),
    Exchange("post_in_two", [POST5[:-3], POST5[-3:]]),
    Exchange("post_empty", request(b"POST /p HTTP/1.1", b"host: test.example", b"content-length: 0")),
    Exchange("post_no_length", request(b"POST /p HTTP/1.1", b"host: test.example")),
    Exchange("chunked", CHUNKED),
    Exchange("chunk_extension", request(b"POST /p HTTP/1.1", b"host: test.example", b"transfer-encoding: chunked",
                                        body=b"3;name=value\r\nabc\r\n0\r\n\r\n")),
    Exchange("transfer_encoding_case", request(b"POST /p HTTP/1.1", b"host: test.example", b"Transfer-Encoding: Chunked",
                                               body=b"3\r\nabc\r\n0\r\n\r\n")),
    Exchange("request_trailers_off", request(b"POST /p HTTP/1.1", b"host: test.example", b"transfer-encoding: chunked",
                                             body=b"3\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n")),
    Exchange("query", request(b"GET /a/b?x=1&y=%20 HTTP/1.1", b"host: test.example")),
    Exchange("many_headers", request(b"GET / HTTP/1.1", b"host: test.example",
                                     *[b"x-h%d: v%d" % (i, i) for i in range(40)])),
    Exchange("header_names_upper", request(b"GET / HTTP/1.1", b"HOST: test.example", b"X-Custom-THING:  spaced \t")),
    Exchange("repeated_header", request(b"GET / HTTP/1.1", b"host: test.example", b"x-a: 1", b"x-a: 2", b"cookie: a=1", b"cookie: b=2")),
    Exchange("empty_header_value", request(b"GET / HTTP/1.1", b"host: test.example", b"x-empty:")),
    Exchange("obs_text_value", request(b"GET / HTTP/1.1", b"host: test.example", b"x-obs: caf\xe9")),
    Exchange("connection_names_header", request(b"GET / HTTP/1.1", b"host: test.example", b"connection: keep-alive, x-hop",
                                                b"x-hop: 1", b"keep-alive: timeout=5")),
    Exchange("te_trailers", request(b"GET / HTTP/1.1", b"host: test.example", b"te: trailers")),
    Exchange("absolute_form", request(b"GET http://other.example/path?q HTTP/1.1", b"host: test.example")),
    Exchange("host_with_port", request(b"GET / HTTP/1.1", b"host: test.example:8080")),
    Exchange("options_asterisk", request(b"OPTIONS * HTTP/1.1", b"host: test.example")),
    Exchange("delete", request(b"DELETE /x HTTP/1.1", b"host: test.example")),
    Exchange("unusual_method", request(b"PURGE /x HTTP/1.1", b"host: test.example")),
    Exchange("double_slash", request(b"GET //a//b HTTP/1.1", b"host: test.example")),
    Exchange("dot_segments_kept", request(b"GET /a/../b HTTP/1.1", b"host: test.example")),
    Exchange("dot_segments_normalized", request(b"GET /a/../b/./c%2e HTTP/1.1", b"host: test.example"),
             hcm={"normalize_path": True}),
    Exchange("merge_slashes", request(b"GET //a///b HTTP/1.1", b"host: test.example"),
             hcm={"merge_slashes": True, "normalize_path": True}),
    Exchange("xff_remote_address", request(b"GET / HTTP/1.1", b"host: test.example", b"x-forwarded-for: 10.0.0.9"),
             hcm={"use_remote_address": True}),
    Exchange("xff_kept", request(b"GET / HTTP/1.1", b"host: test.example", b"x-forwarded-for: 10.0.0.9",
                                 b"x-envoy-max-retries: 3")),
    Exchange("request_id_kept", request(b"GET / HTTP/1.1", b"host: test.example",
                                        b"x-request-id: 11111111-2222-4333-8444-555555555555")),
    Exchange("leading_crlf", b"\r\n" + GET),
    Exchange("server_passed_through", GET, hcm={"server_header_transformation": "PASS_THROUGH"},
             script=answer_with(b"HTTP/1.1 200 OK\r\nserver: app\r\ncontent-length: 2\r\n\r\nok")),
    Exchange("server_overwritten", GET,
             script=answer_with(b"HTTP/1.1 200 OK\r\nserver: app\r\ncontent-length: 2\r\n\r\nok")),
    Exchange("via", GET, hcm={"via": "mesh"}),
]

EXPECT = [
    Exchange("expect_continue", [request(b"POST /p HTTP/1.1", b"host: test.example", b"content-length: 5",
                                         b"expect: 100-continue"), ("read", 1), b"hello"]),
    Exchange("expect_continue_proxied", [request(b"POST /p HTTP/1.1", b"host: test.example", b"content-length: 5",
                                                 b"expect: 100-continue"), ("read", 1), b"hello"],
             hcm={"proxy_100_continue": True}, script=continue_then_ok),
    Exchange("expect_other", request(b"POST /p HTTP/1.1", b"host: test.example", b"content-length: 5", b"expect: tea",
                                     body=b"hello"), answers=None, status=417,
             stricter="RFC 9110 10.1.1: an expectation that cannot be met is answered 417; Envoy forwards it"),
    Exchange("early_hints", GET, answers=2,
             script=answer_with(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n" + OK)),
]

ANSWERS = [
    Exchange("answer_chunked", GET, script=answer_with(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
    Exchange("answer_trailers_off", GET, script=answer_with(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n")),
    Exchange("answer_trailers_on", GET,
             hcm={"http_protocol_options": {"enable_trailers": True}},
             cluster={"typed_extension_protocol_options": {
                 "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                     "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                     "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}}},
             script=answer_with(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n")),
    Exchange("request_trailers_on", request(b"POST /p HTTP/1.1", b"host: test.example", b"transfer-encoding: chunked",
                                            body=b"3\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n"),
             hcm={"http_protocol_options": {"enable_trailers": True}},
             cluster={"typed_extension_protocol_options": {
                 "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                     "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                     "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}}}),
    Exchange("answer_until_close", GET, script=close_delimited, answers=1),
    Exchange("answer_204", GET, script=answer_with(b"HTTP/1.1 204 No Content\r\n\r\n")),
    Exchange("answer_304", GET, script=answer_with(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\netag: \"a\"\r\n\r\n")),
    Exchange("answer_404", GET, script=answer_with(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope")),
    Exchange("answer_500", GET, script=answer_with(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")),
    Exchange("answer_odd_reason", GET, script=answer_with(b"HTTP/1.1 299 Something else\r\ncontent-length: 0\r\n\r\n")),
    Exchange("answer_connection_close", [GET, ("read", 1), GET], script=answer_with(
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", then_close=True)),
    Exchange("answer_http10", GET, script=answer_with(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", then_close=True)),
    Exchange("answer_large", GET, script=answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"z" * 300000)),
    Exchange("answer_hop_headers", GET, script=answer_with(
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nkeep-alive: timeout=3\r\nproxy-connection: x\r\ncontent-length: 2\r\n\r\nok")),
    Exchange("answer_set_cookies", GET, script=answer_with(
        b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 2\r\n\r\nok")),
    Exchange("answer_date_kept", GET, script=answer_with(
        b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: 2\r\n\r\nok")),
]

MISBEHAVIOUR = [
    Exchange("no_listener", GET, upstream=False),
    Exchange("reset_before_answer", GET, script=reset_after_head),
    Exchange("close_before_answer", GET, script=close_after_head),
    Exchange("cut_in_body", GET, script=cut_in_body, answers=None),
    Exchange("cut_in_chunk", GET, script=cut_in_chunk, answers=None),
    Exchange("garbage", GET, script=answer_with(b"this is not HTTP\r\n\r\n")),
    Exchange("two_lengths", GET, script=answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok")),
    Exchange("length_and_chunked", GET, script=answer_with(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")),
    Exchange("bad_chunk_size", GET, answers=None, script=answer_with(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n")),
    Exchange("unasked_101", GET, script=answer_with(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
             status=502, forwards=True,
             stricter="an upgrade that nobody asked for would open a tunnel; Envoy passes it on"),
    Exchange("route_timeout", GET, script=never_answers, route={"timeout": "0.2s"}),
    Exchange("timeout_in_body", GET, script=stalls_in_body, route={"timeout": "0.3s"}, answers=None),
    Exchange("answer_before_request_ends", [POST5[:-2], ("read", 1)], answers=None, script=read_head_then(
        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")),
    Exchange("extra_bytes_after_answer", [GET, ("read", 1), GET],
             script=answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
                                then_close=True)),
    Exchange("retry_5xx", GET, script=fails_twice(), route={"retry_policy": {"retry_on": "5xx", "num_retries": 3}}),
    Exchange("retry_exhausted", GET, script=answer_with(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfail"),
             route={"retry_policy": {"retry_on": "5xx", "num_retries": 1}}),
    Exchange("retry_connect_failure", GET, upstream=False,
             route={"retry_policy": {"retry_on": "connect-failure", "num_retries": 2}}),
    Exchange("idle_stream", [b"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc"], script=never_answers,
             hcm={"stream_idle_timeout": "0.3s"}, answers=None),
    Exchange("request_headers_timeout", [b"GET / HTTP/1.1\r\nhost: a\r\n"], hcm={"request_headers_timeout": "0.3s"}, answers=None),
    Exchange("request_timeout", [b"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc"], script=never_answers,
             hcm={"request_timeout": "0.3s"}, answers=None),
    Exchange("connection_idle_timeout", [GET, ("read", 1)], hcm={"common_http_protocol_options": {"idle_timeout": "0.3s"}},
             answers=None, logs=1),
    Exchange("max_requests_per_connection", [GET, ("read", 1), GET, ("read", 1)],
             hcm={"common_http_protocol_options": {"max_requests_per_connection": 2}}, answers=None, logs=2),
    Exchange("client_ends_sending", [GET, ("end",)]),
]

BAD = [
    bad("length_and_chunked", request(b"POST / HTTP/1.1", b"host: a", b"content-length: 5", b"transfer-encoding: chunked",
                                      body=b"0\r\n\r\n")),
    bad("two_lengths", request(b"POST / HTTP/1.1", b"host: a", b"content-length: 5", b"content-length: 6", body=b"hello")),
    bad("same_length_twice", request(b"POST / HTTP/1.1", b"host: a", b"content-length: 5", b"content-length: 5", body=b"hello")),
    bad("length_list", request(b"POST / HTTP/1.1", b"host: a", b"content-length: 5, 5", body=b"hello")),
    bad("length_plus", request(b"POST / HTTP/1.1", b"host: a", b"content-length: +5", body=b"hello")),
    bad("length_hex", request(b"POST / HTTP/1.1", b"host: a", b"content-length: 0x5", body=b"hello")),
    bad("length_huge", request(b"POST / HTTP/1.1", b"host: a", b"content-length: 18446744073709551616", body=b"hello")),
    bad("unknown_coding", request(b"POST / HTTP/1.1", b"host: a", b"transfer-encoding: gzip", body=b"hello"), status=400,
        stricter=CODING),
    bad("identity_coding", request(b"POST / HTTP/1.1", b"host: a", b"transfer-encoding: identity", body=b"hello"), status=400,
        stricter=CODING),
    bad("chunked_twice", request(b"POST / HTTP/1.1", b"host: a", b"transfer-encoding: chunked, chunked", body=b"0\r\n\r\n"), status=400,
        stricter=CODING),
    bad("coding_space_colon", request(b"POST / HTTP/1.1", b"host: a", b"transfer-encoding : chunked", body=b"0\r\n\r\n")),
    bad("bare_lf", b"GET / HTTP/1.1\nhost: a\n\n", status=400, stricter="RFC 9112 2.2 lets a recipient refuse bare LF; "
        "two parsers could read it differently"),
    bad("bare_cr", b"GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n", status=400,
        stricter="RFC 9112 2.2: a bare CR is invalid; Envoy drops it"),
    bad("obs_fold", b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n", status=400,
        stricter="RFC 9112 5.2: a server refuses obs-fold; Envoy unfolds it"),
    bad("space_in_name", b"GET / HTTP/1.1\r\nhost: a\r\nx y: a\r\n\r\n"),
    bad("empty_name", b"GET / HTTP/1.1\r\nhost: a\r\n: a\r\n\r\n"),
    bad("nul_in_value", b"GET / HTTP/1.1\r\nhost: a\r\nx: a\x00b\r\n\r\n"),
    bad("no_host", b"GET / HTTP/1.1\r\n\r\n"),
    bad("two_hosts", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", status=400,
        stricter="RFC 9112 3.2: more than one Host is answered 400; Envoy joins them"),
    bad("chunk_size_0x", request(b"POST / HTTP/1.1", b"host: a", b"transfer-encoding: chunked", body=b"0x3\r\nabc\r\n0\r\n\r\n")),
    bad("version_2", b"GET / HTTP/2.0\r\nhost: a\r\n\r\n", status=400, stricter=VERSION),
    bad("version_lower", b"GET / http/1.1\r\nhost: a\r\n\r\n"),
    bad("http_09", b"GET /\r\n\r\n", status=400, stricter=VERSION),
    bad("http_10", b"GET / HTTP/1.0\r\nhost: a\r\n\r\n"),
    bad("space_in_target", b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n"),
    bad("fragment", b"GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n"),
    bad("no_slash", b"GET a HTTP/1.1\r\nhost: a\r\n\r\n"),
    bad("connect_unconfigured", b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n"),
    bad("headers_too_large", b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 62000 + b"\r\n\r\n"),
    bad("too_many_headers", request(b"GET / HTTP/1.1", b"host: a", *[b"x%d: 1" % i for i in range(101)])),
    bad("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not http at all\r\n\r\n"),
]

HTTP10 = [
    Exchange("http10_accepted", b"GET / HTTP/1.0\r\nhost: a\r\n\r\n", answers=None,
             hcm={"http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "d.example"}}),
    Exchange("http10_no_host", b"GET / HTTP/1.0\r\n\r\n", answers=None,
             hcm={"http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "d.example"}}),
    Exchange("http10_keep_alive", b"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n", answers=1,
             hcm={"http_protocol_options": {"accept_http_10": True}}),
]

ALL = ORDINARY + EXPECT + ANSWERS + MISBEHAVIOUR + BAD + HTTP10
