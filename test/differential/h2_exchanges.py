"""Exchanges with an HTTP/2 client and an HTTP/1.1 upstream that behaves well or badly."""

from test.differential import http1_exchanges as h1
from test.differential.exchange import Exchange
from test.support.h2_client import GET, head
from test.support.upstream import answer_with


class H2Exchange(Exchange):
    """`act(client)` sends and awaits; it answers the streams whose answers are compared. `stricter`: why Remora refuses what
    Envoy lets through."""

    def __init__(self, name, act, logs=1, **more):
        super().__init__(name, b"", logs=logs, **more)
        self.act = act


def ask(fields=None, **more):
    """One request and its answer."""

    def act(client):
        stream = client.request(fields or GET, **more)
        client.answer(stream)
        return [stream]

    return act


def raw(fields, end=True):
    """A head that a decent client would not send."""

    def act(client):
        client.wait(lambda: client.peer_settings)
        client.raw_headers(1, fields, end)
        client.wait(lambda: client.ended or client.answers[1].over, 3)
        return [1]

    return act


def in_turn(*requests):
    def act(client):
        streams = []
        for fields, more in requests:
            streams.append(client.request(fields, **more))
            client.answer(streams[-1])
        return streams

    return act


def side_by_side(count):
    def act(client):
        streams = [client.request(head("GET", f"/{i}")) for i in range(count)]
        for stream in streams:
            client.answer(stream)
        return streams

    return act


def trickled(client):
    stream = client.request(head("POST", "/p", ("content-length", "6")), end=False)
    for piece in (b"ab", b"cd", b"ef"):
        client.data(stream, piece, end=piece == b"ef")
    client.answer(stream)
    return [stream]


def wrong_length(declared, body):
    def act(client):
        stream = client.request(head("POST", "/p", ("content-length", str(declared))), end=False)
        client.raw_data(stream, body, end=True)
        client.wait(lambda: client.ended or client.answers[stream].over, 3)
        return [stream]

    return act


def open_and_wait(fields):
    """The request stays open; the proxy or the upstream must answer."""

    def act(client):
        stream = client.request(fields, end=False)
        client.answer(stream)
        return [stream]

    return act


def small_window(client):
    """A client that takes the answer in small steps."""
    stream = client.request(GET)
    client.answer(stream)
    return [stream]


def reset_by_client(code):
    """The client gives up while the upstream thinks, and asks something else on the same connection."""

    def act(client):
        client.wait(lambda: client.peer_settings)
        stream = client.request(head("GET", "/slow"))
        client.request(head("POST", "/slow"), end=False)
        client.wait(lambda: False, 0.3)
        client.reset(stream, code)
        client.wait(lambda: False, 0.2)
        return []

    return act


def leaves(client):
    client.wait(lambda: client.peer_settings)
    client.request(head("GET", "/slow"))
    client.wait(lambda: False, 0.3)
    client.sock.close()
    client.ended = True
    return []


BIG_BODY = bytes(i % 251 for i in range(200_000))
BIG = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(BIG_BODY) + BIG_BODY
TRAILERS = {"http_protocol_options": {"enable_trailers": True}}
CHUNKED_TRAILERS = (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\nx-more: y\r\n\r\n")
STREAM_ERRORS = {"stream_error_on_invalid_http_message": True}


def answers(text):
    return answer_with(text)


ORDINARY = [
    H2Exchange("get", ask()),
    H2Exchange("get_query", ask(head("GET", "/a/b?x=1&y=%20"))),
    H2Exchange("three_in_turn", in_turn((GET, {}), (head("GET", "/2"), {}), (head("GET", "/3"), {})), logs=3),
    H2Exchange("post", ask(head("POST", "/p", ("content-length", "5")), body=b"hello")),
    H2Exchange("post_no_length", ask(head("POST", "/p"), body=b"hello")),
    H2Exchange("post_empty", ask(head("POST", "/p"))),
    H2Exchange("post_zero_length", ask(head("POST", "/p", ("content-length", "0")))),
    H2Exchange("post_empty_data", ask(head("POST", "/p"), body=b"")),
    H2Exchange("post_trickled", trickled),
    H2Exchange("post_big", ask(head("POST", "/p"), body=BIG_BODY)),
    H2Exchange("put", ask(head("PUT", "/p"), body=b"x")),
    H2Exchange("delete_with_body", ask(head("DELETE", "/p"), body=b"x")),
    H2Exchange("options", ask(head("OPTIONS", "/p"))),
    H2Exchange("head", ask(head("HEAD", "/")), script=answers(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n")),
    H2Exchange("head_chunked", ask(head("HEAD", "/")), script=answers(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")),
    H2Exchange("many_headers", ask(head("GET", "/", *[(f"x-h{i}", f"v{i}") for i in range(40)]))),
    H2Exchange("repeated_header", ask(head("GET", "/", ("x-a", "1"), ("x-a", "2")))),
    H2Exchange("cookies", ask(head("GET", "/", ("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")))),
    H2Exchange("empty_header_value", ask(head("GET", "/", ("x-empty", "")))),
    H2Exchange("obs_text_value", ask(head("GET", "/", ("x-obs", "caf\xe9")))),
    H2Exchange("te_trailers", ask(head("GET", "/", ("te", "trailers")))),
    H2Exchange("authority_with_port", ask(head("GET", "/", authority="test.example:8080"))),
    H2Exchange("authority_upper", ask(head("GET", "/", authority="TEST.example"))),
    H2Exchange("host_beside_authority", ask(head("GET", "/", ("host", "test.example")))),
    H2Exchange("host_only", ask([(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "test.example")])),
    H2Exchange("scheme_https_in_clear", ask(head("GET", "/", scheme="https"))),
    H2Exchange("request_trailers", ask(head("POST", "/p"), body=b"abc", trailers=[("x-t", "1")])),
    H2Exchange("expect_continue", ask(head("POST", "/p", ("expect", "100-continue")), body=b"hello")),
    H2Exchange("expect_continue_upstream", ask(head("POST", "/p", ("expect", "100-continue"), ("content-length", "5")), body=b"hello"),
               script=h1.continue_then_ok, hcm={"proxy_100_continue": True}),
    H2Exchange("x_forwarded", ask(head("GET", "/", ("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")))),
    H2Exchange("x_request_id", ask(head("GET", "/", ("x-request-id", "my-own-id")))),
    H2Exchange("grpc_no_cluster_host", ask(head("POST", "/s/m", ("content-type", "application/grpc"), ("te", "trailers"))),
               upstream=False),
    H2Exchange("no_upstream", ask(), upstream=False),
]

RESPONSES = [
    H2Exchange("big_answer", ask(), script=answers(BIG)),
    H2Exchange("big_answer_small_window", small_window, script=answers(BIG)),
    H2Exchange("chunked_answer", ask(), script=answers(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
    H2Exchange("answer_trailers", ask(), script=answers(CHUNKED_TRAILERS),
               cluster={"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                   "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                   "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}}}),
    H2Exchange("no_content", ask(), script=answers(b"HTTP/1.1 204 No Content\r\n\r\n")),
    H2Exchange("not_modified", ask(), script=answers(b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n")),
    H2Exchange("hop_by_hop_answer", ask(), script=answers(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nupgrade: h3\r\n\r\nok"),
               differs={"answers": "what Connection names is for one hop"}),
    H2Exchange("server_and_date", ask(), script=answers(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: mine\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nok")),
    H2Exchange("until_close", ask(), script=h1.close_delimited),
    H2Exchange("early_hints", ask(), script=answers(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + h1.OK)),
    H2Exchange("early_hints_passed", ask(), script=answers(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + h1.OK),
               hcm={"proxy_100_continue": True}),
    H2Exchange("cut_in_body", ask(), script=h1.cut_in_body),
    H2Exchange("cut_in_chunk", ask(), script=h1.cut_in_chunk),
    H2Exchange("closes_without_answer", ask(), script=h1.close_after_head),
    H2Exchange("resets_without_answer", ask(), script=h1.reset_after_head),
    H2Exchange("not_http", ask(), script=answers(b"SSH-2.0-OpenSSH\r\n\r\n")),
    H2Exchange("two_lengths", ask(), script=answers(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok")),
    H2Exchange("length_and_chunked", ask(), script=answers(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")),
    H2Exchange("early_answer", open_and_wait(head("POST", "/p")), script=h1.read_head_then(h1.OK)),
    H2Exchange("early_refusal", open_and_wait(head("POST", "/p")),
               script=h1.read_head_then(b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\n\r\nbig")),
    H2Exchange("timeout", ask(), script=h1.never_answers, route={"timeout": "0.3s"}),
    H2Exchange("timeout_in_body", ask(), script=h1.stalls_in_body, route={"timeout": "0.3s"}),
    H2Exchange("request_timeout", open_and_wait(head("POST", "/p")), script=h1.never_answers, hcm={"request_timeout": "0.3s"}),
    H2Exchange("stream_idle_timeout", open_and_wait(head("POST", "/p")), script=h1.never_answers, hcm={"stream_idle_timeout": "0.3s"}),
    H2Exchange("max_stream_duration", ask(), script=h1.never_answers,
               hcm={"common_http_protocol_options": {"max_stream_duration": "0.3s"}}),
    H2Exchange("retried", ask(), script=h1.fails_twice(), route={"retry_policy": {"retry_on": "5xx", "num_retries": 3}}),
    H2Exchange("retried_post", ask(head("POST", "/p"), body=b"hello"), script=h1.fails_twice(),
               route={"retry_policy": {"retry_on": "5xx", "num_retries": 3}}),
    H2Exchange("prefix_rewrite", ask(head("GET", "/a")), route={"prefix_rewrite": "/new/"}),
    H2Exchange("host_rewrite", ask(), route={"host_rewrite_literal": "other.example"}),
]

OWN_DETAIL = {"log": "the detail names the broken rule; Envoy blames the client for a reset that it did not send"}

BEGUN_OR_NOT = {"forwarded": "whether the head has left when the body turns out wrong is chance"}

REFUSED = [
    H2Exchange("client_resets", reset_by_client(8), script=h1.never_answers, logs=2),
    H2Exchange("client_resets_no_error", reset_by_client(0), script=h1.never_answers, logs=2,
               differs={"log": "DR and why; Envoy says nothing"}),
    H2Exchange("client_leaves", leaves, script=h1.never_answers),
    H2Exchange("body_too_short", wrong_length(10, b"short"), differs={**OWN_DETAIL, **BEGUN_OR_NOT}),
    H2Exchange("body_too_long", wrong_length(2, b"longer"), differs={**OWN_DETAIL, **BEGUN_OR_NOT}),
    H2Exchange("body_too_long_stream_error", wrong_length(2, b"longer"), hcm=STREAM_ERRORS,
               differs={**OWN_DETAIL, **BEGUN_OR_NOT}),
    H2Exchange("no_path", raw([(":method", "GET"), (":scheme", "http"), (":authority", "a")])),
    H2Exchange("empty_path", raw(head("GET", ""))),
    H2Exchange("relative_path", raw(head("GET", "x"))),
    H2Exchange("asterisk", raw(head("GET", "*"))),
    H2Exchange("no_method", raw([(":path", "/"), (":scheme", "http"), (":authority", "a")])),
    H2Exchange("no_scheme", raw([(":method", "GET"), (":path", "/"), (":authority", "a")])),
    H2Exchange("two_paths", raw(head("GET", "/", (":path", "/b")))),
    H2Exchange("unknown_pseudo", raw(head("GET", "/", (":other", "x")))),
    H2Exchange("status_in_request", raw(head("GET", "/", (":status", "200")))),
    H2Exchange("pseudo_after_regular", raw([(":method", "GET"), ("x-a", "1"), (":path", "/"), (":scheme", "http"), (":authority", "a")])),
    H2Exchange("upper_case_name", raw(head("GET", "/", ("X-Upper", "1")))),
    H2Exchange("connection_header", raw(head("GET", "/", ("connection", "close")))),
    H2Exchange("keep_alive_header", raw(head("GET", "/", ("keep-alive", "timeout=1")))),
    H2Exchange("transfer_encoding", raw(head("POST", "/", ("transfer-encoding", "chunked")))),
    H2Exchange("upgrade_header", raw(head("GET", "/", ("upgrade", "websocket")))),
    H2Exchange("te_gzip", raw(head("GET", "/", ("te", "gzip")))),
    H2Exchange("line_feed_in_value", raw(head("GET", "/", ("x-a", "a\nb")))),
    H2Exchange("nul_in_value", raw(head("GET", "/", ("x-a", "a\0b")))),
    H2Exchange("space_in_name", raw(head("GET", "/", ("x a", "1")))),
    H2Exchange("empty_name", raw(head("GET", "/", ("", "1")))),
    H2Exchange("two_lengths_request", raw(head("POST", "/", ("content-length", "1"), ("content-length", "2")), end=False)),
    H2Exchange("bad_length", raw(head("POST", "/", ("content-length", "x")), end=False)),
    H2Exchange("other_host", raw(head("GET", "/", ("host", "other.example"))), stricter="two names for one target"),
    H2Exchange("space_in_path", raw(head("GET", "/a b"))),
    H2Exchange("non_ascii_path", raw(head("GET", "/caf\xe9")), stricter="two readers could decode it differently"),
    H2Exchange("fragment", raw(head("GET", "/a#b"))),
    H2Exchange("double_slash_climbs", raw(head("GET", "//evil/..")), stricter="another host to a reader of references"),
    H2Exchange("scheme_ftp", raw(head("GET", "/", scheme="ftp")), stricter="nothing that is served here"),
    H2Exchange("authority_with_space", raw(head("GET", "/", authority="a b"))),
    H2Exchange("too_many_headers", raw(head("GET", "/", *[(f"x-{i}", "1") for i in range(120)])), differs=OWN_DETAIL),
    H2Exchange("too_large_headers", raw(head("GET", "/", *[(f"x-{i}", "y" * 8000) for i in range(9)]))),
    H2Exchange("upper_case_name_stream_error", raw(head("GET", "/", ("X-Upper", "1"))), hcm=STREAM_ERRORS),
    H2Exchange("connection_header_stream_error", raw(head("GET", "/", ("connection", "close"))), hcm=STREAM_ERRORS),
]

ALL = ORDINARY + RESPONSES + REFUSED
