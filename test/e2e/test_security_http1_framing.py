"""Requests that two parsers could read differently, by the numbers of the list of attacks: refused, the connection closed,
nothing forwarded. The request line and the fields are here too; targets and paths have a file of their own."""

import pytest

from test.support.stand import GOOD, Stand, must_break_off, must_refuse, must_serve, request, upstream_values

HOST = b"host: test.example"
TRAILERS = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}}}
POST = b"POST /p HTTP/1.1"
CHUNKED_HEAD = request(POST, HOST, b"transfer-encoding: chunked")


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    with Stand(tmp_path_factory.mktemp("framing"), {
        "in": {},
        "http10": {"hcm": {"http_protocol_options": {"accept_http_10": True}}},
        "trailers": {"hcm": {"http_protocol_options": {"enable_trailers": True}}, "cluster": TRAILERS},
    }) as stand:
        yield stand


def named(*pairs):
    """Parameters with readable names."""
    return [pytest.param(*rest, id=name) for name, *rest in pairs]


def post(*fields, body=b"hello"):
    return request(POST, HOST, *fields, body=body)


@pytest.mark.parametrize("raw", named(
    ("length_first", post(b"content-length: 5", b"transfer-encoding: chunked", body=b"0\r\n\r\n")),
    ("coding_first", post(b"transfer-encoding: chunked", b"content-length: 5", body=b"0\r\n\r\n")),
    ("zero_length", post(b"content-length: 0", b"transfer-encoding: chunked", body=b"0\r\n\r\n")),
    ("get", request(b"GET / HTTP/1.1", HOST, b"content-length: 5", b"transfer-encoding: chunked", body=b"0\r\n\r\n")),
))
def test_case_01_length_and_transfer_encoding(stand, raw):
    must_refuse(stand["in"], raw, detail="http1.content_length_and_chunked_not_allowed")


@pytest.mark.parametrize("raw", named(
    ("two_fields", post(b"content-length: 5", b"content-length: 6")),
    ("far_apart", post(b"content-length: 5", b"x-a: 1", b"Content-Length: 0")),
    ("list", post(b"content-length: 5, 6")),
))
def test_case_02_differing_lengths(stand, raw):
    must_refuse(stand["in"], raw)


@pytest.mark.parametrize("raw", named(
    ("two_fields", post(b"content-length: 5", b"content-length: 5")),
    ("list", post(b"content-length: 5, 5")),
    ("list_without_blank", post(b"content-length: 5,5")),
))
def test_case_03_equal_lengths_twice(stand, raw):
    must_refuse(stand["in"], raw)


CONTROL = "http1.invalid_characters"


@pytest.mark.parametrize("value,detail", named(
    ("plus", b"+5", None), ("minus", b"-5", None), ("hex", b"0x5", None), ("two_numbers", b"5 5", None),
    ("empty", b"", None), ("blank", b" \t ", None), ("float", b"5.0", None), ("comma", b"5,", None),
    ("two_to_the_64", b"18446744073709551616", None), ("two_to_the_63", b"9223372036854775808", None),
    ("one_below_two_to_the_64", b"18446744073709551615", None), ("many_zeros", b"0" * 30 + b"5", None),
    ("vertical_tab_before", b"\x0b5", CONTROL), ("vertical_tab_behind", b"5\x0b", CONTROL),
    ("form_feed", b"5\x0c", CONTROL), ("nul", b"5\x00", CONTROL), ("unit_separator", b"\x1f5", CONTROL),
    ("next_line", b"5\x85", None), ("fullwidth_digit", "５".encode(), None),
))
def test_case_04_lengths_that_are_no_numbers(stand, value, detail):
    must_refuse(stand["in"], post(b"content-length: " + value), detail=detail or "http1.codec_error")


CODING = "http1.invalid_transfer_encoding"


@pytest.mark.parametrize("fields,detail", named(
    ("xchunked", [b"transfer-encoding: xchunked"], CODING),
    ("chunked_identity", [b"transfer-encoding: chunked, identity"], CODING),
    ("identity", [b"transfer-encoding: identity"], CODING),
    ("gzip_chunked", [b"transfer-encoding: gzip, chunked"], CODING),
    ("chunked_twice", [b"transfer-encoding: chunked, chunked"], CODING),
    ("parameter", [b"transfer-encoding: chunked;q=1"], CODING),
    ("second_field", [b"transfer-encoding: chunked", b"transfer-encoding: chunked"], CODING),
    ("second_field_other", [b"transfer-encoding: chunked", b"transfer-encoding: identity"], CODING),
    ("first_field_other", [b"transfer-encoding: x", b"transfer-encoding: chunked"], CODING),
    ("empty", [b"transfer-encoding:"], CODING),
    ("comma_behind", [b"transfer-encoding: chunked,"], CODING),
    ("comma_before", [b"transfer-encoding: ,chunked"], CODING),
    ("quoted", [b'transfer-encoding: "chunked"'], CODING),
    ("long_s", ["transfer-encoding: chun\u212aed".encode()], CODING),
    ("blank_before_colon", [b"transfer-encoding : chunked"], "http1.codec_error"),
    ("tab_before_colon", [b"transfer-encoding\t: chunked"], "http1.codec_error"),
    ("vertical_tab", [b"transfer-encoding:\x0bchunked"], CONTROL),
    ("nul", [b"transfer-encoding: chunked\x00"], CONTROL),
    ("bare_cr", [b"transfer-encoding: chunked\rx: y"], "http1.codec_error"),
    ("bare_lf_in_name", [b"x: y\ntransfer-encoding: chunked"], "http1.codec_error"),
    ("underscore_twin_with_length", [b"transfer-encoding: x", b"transfer_encoding: chunked"], CODING),
))
def test_case_05_transfer_encodings(stand, fields, detail):
    must_refuse(stand["in"], post(*fields, body=b"0\r\n\r\n"), detail=detail)


@pytest.mark.parametrize("lane", ["in", "http10"])
def test_case_06_transfer_encoding_in_http_10(stand, lane):
    must_refuse(stand[lane], request(b"POST /p HTTP/1.0", HOST, b"connection: keep-alive", b"transfer-encoding: chunked",
                                     body=b"0\r\n\r\n"), detail="http1.transfer_encoding_not_allowed")


@pytest.mark.parametrize("raw", named(
    ("everywhere", b"GET / HTTP/1.1\nhost: a\n\n"),
    ("request_line", b"GET / HTTP/1.1\nhost: a\r\n\r\n"),
    ("field", b"GET / HTTP/1.1\r\nhost: a\nx: b\r\n\r\n"),
    ("end_of_head", b"GET / HTTP/1.1\r\nhost: a\r\n\n"),
    ("in_front", b"\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("cr_in_value", b"GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n"),
    ("cr_in_name", b"GET / HTTP/1.1\r\nhost: a\r\nx\ry: b\r\n\r\n"),
    ("cr_in_target", b"GET /a\rb HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("cr_before_version", b"GET /\rHTTP/1.1\r\nhost: a\r\n\r\n"),
    ("cr_behind_version", b"GET / HTTP/1.1\rhost: a\r\n\r\n"),
    ("two_crs", b"GET / HTTP/1.1\r\r\nhost: a\r\n\r\n"),
    ("cr_cr_lf_behind_field", b"GET / HTTP/1.1\r\nhost: a\r\r\n\r\n"),
))
def test_case_07_bare_line_ends(stand, raw):
    must_refuse(stand["in"], raw)


@pytest.mark.parametrize("body", named(
    ("lf_behind_size", b"3\nabc\r\n0\r\n\r\n"), ("cr_behind_size", b"3\rabc\r\n0\r\n\r\n"),
    ("cr_cr_behind_size", b"3\r\rabc\r\n0\r\n\r\n"), ("lf_behind_data", b"3\r\nabc\n0\r\n\r\n"),
    ("cr_behind_data", b"3\r\nabc\r0\r\n\r\n"), ("lf_behind_last", b"0\n\r\n"), ("lf_at_end", b"0\r\n\n"),
))
def test_case_07_bare_line_ends_in_chunks(stand, body):
    must_break_off(stand["in"], CHUNKED_HEAD, body)


@pytest.mark.parametrize("raw", named(
    ("blank", b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n"),
    ("tab", b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n\tb\r\n\r\n"),
    ("host", b"GET / HTTP/1.1\r\nhost: a\r\n .evil\r\n\r\n"),
    ("hides_coding", b"POST / HTTP/1.1\r\nhost: a\r\nx: a\r\n transfer-encoding: chunked\r\n\r\n"),
    ("empty_line", b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n \r\n\r\n"),
    ("length", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n 5\r\n\r\nhello"),
))
def test_case_08_folded_lines(stand, raw):
    must_refuse(stand["in"], raw)


def test_case_08_folded_trailer(stand):
    must_break_off(stand["in"], CHUNKED_HEAD, b"0\r\nx: a\r\n b\r\n\r\n")


@pytest.mark.parametrize("raw", named(
    ("blank_before_colon", b"GET / HTTP/1.1\r\nhost: a\r\nx : b\r\n\r\n"),
    ("tab_before_colon", b"GET / HTTP/1.1\r\nhost: a\r\nx\t: b\r\n\r\n"),
    ("host_blank_colon", b"GET / HTTP/1.1\r\nhost : a\r\n\r\n"),
    ("in_method", b"G ET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("before_method", b" GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("tab_behind_method", b"GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("two_behind_method", b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("two_behind_target", b"GET /  HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("behind_version", b"GET / HTTP/1.1 \r\nhost: a\r\n\r\n"),
    ("before_first_field", b"GET / HTTP/1.1\r\n host: a\r\n\r\n"),
    ("tab_before_first_field", b"GET / HTTP/1.1\r\n\thost: a\r\nhost: b\r\n\r\n"),
    ("no_colon", b"GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n"),
    *[(f"name_with_{c:02x}", b"GET / HTTP/1.1\r\nhost: a\r\nx%cy: b\r\n\r\n" % c)
      for c in b'\x00\x01\x7f\x80\xff"(),/;<=>?@[\\]{}'],
))
def test_case_09_white_space_and_names(stand, raw):
    must_refuse(stand["in"], raw)


@pytest.mark.parametrize("byte", [b for b in list(range(0x20)) + [0x7f] if b not in b"\t\r\n"], ids=lambda b: f"{b:02x}")
def test_case_10_control_bytes_in_values(stand, byte):
    must_refuse(stand["in"], b"GET / HTTP/1.1\r\nhost: a\r\nx: a%cb\r\n\r\n" % byte, detail=CONTROL)


@pytest.mark.parametrize("body", named(
    ("0x", b"0x3\r\nabc\r\n0\r\n\r\n"), ("blank_before", b" 3\r\nabc\r\n0\r\n\r\n"), ("tab_before", b"\t3\r\nabc\r\n0\r\n\r\n"),
    ("cr_behind_blank", b"3 ;ext\rx\r\nabc\r\n0\r\n\r\n"), ("negative", b"-1\r\nabc\r\n0\r\n\r\n"),
    ("plus", b"+3\r\nabc\r\n0\r\n\r\n"), ("digits_17", b"00000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("too_large", b"8000000000000000\r\nabc\r\n0\r\n\r\n"), ("largest", b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    ("lf_in_extension", b"3;a\nb\r\nabc\r\n0\r\n\r\n"), ("nul_in_extension", b"3;a\x00b\r\nabc\r\n0\r\n\r\n"),
    ("longer", b"3\r\nabcd\r\n0\r\n\r\n"), ("shorter", b"5\r\nabc\r\n0\r\n\r\n"), ("no_size", b"\r\nabc\r\n0\r\n\r\n"),
    ("no_size_but_extension", b";x\r\nabc\r\n0\r\n\r\n"), ("two_sizes", b"3 5\r\nabc\r\n0\r\n\r\n"),
    ("no_digit", b"g\r\nabc\r\n0\r\n\r\n"), ("underscore", b"1_0\r\nabc\r\n0\r\n\r\n"),
    ("text_behind_blank", b"3 x\r\nabc\r\n0\r\n\r\n"), ("quote_over_lines", b'3;a="\r\nabc\n"\r\n0\r\n\r\n'),
))
def test_case_11_chunk_sizes(stand, body):
    must_break_off(stand["in"], CHUNKED_HEAD, body)


def test_case_12_chunk_extensions_are_dropped(stand):
    body = b"3;a=b;c\r\nabc\r\n2 ;d=\"e\"\r\nde\r\n0;last=1\r\n\r\n"
    _, sent = must_serve(stand["in"], CHUNKED_HEAD + body)
    assert b";" not in sent.split(b"\r\n\r\n", 1)[1]
    assert sent.endswith(b"0\r\n\r\n")


def test_case_12_chunk_extensions_up_to_the_limit(stand):
    each = b"1;" + b"e" * 1023 + b"\r\na\r\n"  # with the semicolon 1,024 bytes
    must_serve(stand["in"], CHUNKED_HEAD + each * 4 + b"0\r\n\r\n")
    must_break_off(stand["in"], CHUNKED_HEAD, each * 4 + b"0;\r\n\r\n")
    must_break_off(stand["in"], CHUNKED_HEAD, b"1;" + b"e" * 4096 + b"\r\na\r\n0\r\n\r\n")


@pytest.mark.parametrize("trailer", [b"content-length: 7", b"host: evil", b"Transfer-Encoding: chunked", b"connection: x-a",
                                     b"authorization: Basic eA==", b"x-forwarded-for: 10.0.0.1"])
def test_case_13_trailers_that_change_the_message_are_dropped(stand, trailer):
    _, sent = must_serve(stand["trailers"], CHUNKED_HEAD + b"1\r\na\r\n0\r\n" + trailer + b"\r\nx-kept: 1\r\n\r\n")
    assert sent.endswith(b"\r\n0\r\nx-kept: 1\r\n\r\n")


@pytest.mark.parametrize("trailer", [b":path: /admin", b":authority: evil", b": x", b"x y: z", b"x : y", b"x"])
@pytest.mark.parametrize("lane", ["in", "trailers"])
def test_case_13_trailers_that_are_no_fields(stand, lane, trailer):
    must_break_off(stand[lane], CHUNKED_HEAD, b"0\r\n" + trailer + b"\r\n\r\n")


@pytest.mark.parametrize("raw,detail", named(
    ("none", b"GET / HTTP/1.1\r\n\r\n", "missing_host_header"),
    ("none_with_absolute_target_of_another_scheme", b"GET ftp://a/ HTTP/1.1\r\n\r\n", "http1.invalid_scheme"),
    ("two", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", None),
    ("two_equal", b"GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n", None),
    ("two_with_absolute_target", b"GET http://a/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", None),
    ("list", b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", "http.invalid_authority"),
    ("path_in_host", b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", "http.invalid_authority"),
))
def test_case_14_hosts(stand, raw, detail):
    flag = "-" if detail == "missing_host_header" else "DPE"
    counter = "downstream_rq_4xx" if flag == "-" else "downstream_cx_protocol_error"
    must_refuse(stand["in"], raw, detail=detail or "http1.codec_error", flag=flag, counter=counter)


def test_case_14_the_target_wins_over_host(stand):
    _, sent = must_serve(stand["in"], b"GET http://right.example:81/x HTTP/1.1\r\nhost: wrong.example\r\n\r\n")
    assert sent.startswith(b"GET /x HTTP/1.1\r\n")
    assert upstream_values(sent, b"host") == [b"right.example:81"]
    assert b"wrong" not in sent


@pytest.mark.parametrize("line", named(
    ("http_09", b"GET /"), ("http_12", b"GET / HTTP/1.2"), ("trailing", b"GET / HTTP/1.1x"), ("lower", b"GET / http/1.1"),
    ("two_digits", b"GET / HTTP/1.10"), ("leading_zero", b"GET / HTTP/01.1"), ("comma", b"GET / HTTP/1,1"),
    ("no_minor", b"GET / HTTP/1"), ("other_name", b"GET / ICAP/1.1"), ("nothing", b"GET / "), ("sign", b"GET / HTTP/+1.1"),
))
def test_case_16_versions(stand, line):
    must_refuse(stand["in"], line + b"\r\nhost: a\r\n\r\n")


@pytest.mark.parametrize("raw", named(
    ("head", b"GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n"),
    ("length", post(b"content-length: x")),
    ("coding", request(POST, HOST, b"transfer-encoding: identity")),
))
def test_case_17_nothing_is_served_behind_an_error(stand, raw):
    """Requests in front are answered, the broken one is refused, those behind are never read."""
    lane = stand["in"]
    before = len(lane.heads())
    with lane.connect() as client:
        client.send(GOOD + raw + GOOD * 3)
        answers = [client.read_answer(), client.read_answer()]
        assert [a.status for a in answers] == [200, 400]
        assert client.read_end(5.0) in ("fin", "reset") and client.buffer == b""
        client.send(GOOD)  # nor what comes later
    assert [line[:3] for line in lane.log(2)] == ["200", "400"]
    assert lane.heads()[before:] == [b"GET /good HTTP/1.1"]


@pytest.mark.parametrize("raw", named(
    ("empty", b"GET / HTTP/1.1\r\nhost: a\r\n: v\r\n\r\n"),
    ("empty_before_host", b"GET / HTTP/1.1\r\n:\r\nhost: a\r\n\r\n"),
    ("bytes_256", b"GET / HTTP/1.1\r\nhost: a\r\n" + b"n" * 256 + b": v\r\n\r\n"),
    ("bytes_30000", b"GET / HTTP/1.1\r\nhost: a\r\n" + b"n" * 30000 + b": v\r\n\r\n"),
))
def test_case_66_names_that_are_empty_or_too_long(stand, raw):
    must_refuse(stand["in"], raw)


def test_case_66_the_longest_name_passes(stand):
    _, sent = must_serve(stand["in"], request(b"GET / HTTP/1.1", HOST, b"n" * 255 + b": v"))
    assert b"\r\n" + b"n" * 255 + b": v\r\n" in sent
