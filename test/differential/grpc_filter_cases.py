"""What Envoy and Remora are given to count (grpc_stats) and to translate (grpc_web)."""

import base64

from test.support.grpc import answer, chunks, message, request, trailers_only

TRAILERS = b"grpc-status: 0\r\nGrpc-Message: a b\r\nx-tr: 1\r\nx-tr: 2\r\n"


def plain(content_type, body, status=b"200 OK", *lines):
    head = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *lines]
    if content_type:
        head.append(b"content-type: " + content_type)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


# ---------------------------------------------------------------------------------------------------------------------
# grpc_stats

STATS_ANSWERS = {
    "two": answer([message(b"abc") + message(b"")], TRAILERS),
    "cut_message": answer([message(b"abc") + b"\0\0"], b"grpc-status: 5\r\n"),
    "in_pieces": answer([b"\0\0", b"\0\0\5he", b"llo" + message(b"x")]),
    "no_trailers": answer([message(b"abc")], b""),
    "trailers_only": trailers_only(b"14"),
    "html": plain(b"text/html", b"abc"),
    "in_headers": plain(b"application/grpc", b"\0\0\0\0\0", b"200 OK", b"grpc-status: 3"),
}
STATS_FILTERS = {
    "default": {},
    "all": {"stats_for_all_methods": True, "emit_filter_state": True},
    "together": {"stats_for_all_methods": False, "emit_filter_state": True},
    "dots": {"stats_for_all_methods": True, "replace_dots_in_grpc_service_name": True},
    "listed": {"individual_method_stats_allowlist": {"services": [{"name": "a.B", "method_names": ["C"]},
                                                                  {"name": "q", "method_names": ["Z"]}]},
               "replace_dots_in_grpc_service_name": True},
}
STATS_PATHS = [b"/a.B/C", b"/a.B/D", b"/x/y/z", b"/x", b"/", b"//a.B//C", b"/a.B/C?q=1", b"/a.B/C/", b"/plain/Name"]


def stats_requests():
    body = message(b"q") + message(b"rr")
    for name in STATS_ANSWERS:
        yield request(b"x-answer: " + name.encode(), body=body)
    for path in STATS_PATHS:
        yield request(b"x-answer: two", path=path, body=body)
    yield request(b"x-answer: two", content_type=b"text/plain", body=body)
    yield request(b"x-answer: two", path=b"/no/Body")


# ---------------------------------------------------------------------------------------------------------------------
# grpc_web

WEB_ANSWERS = {
    "two": answer([message(b"abc") + message(b"d" * 7)], TRAILERS),
    "in_pieces": answer([b"\0\0", b"\0\0\5he", b"llo" + message(b"x")], TRAILERS),
    "empty": answer([message(b"")]),
    "no_trailers": answer([message(b"abc")], b""),
    "cut_message": answer([message(b"abc") + b"\0\0\0"], TRAILERS),
    "bad_flag": answer([message(b"abc", 9)], TRAILERS),
    "trailers_only": trailers_only(b"5", b"grpc-message: not found"),
    "in_headers": plain(b"application/grpc", b"\0\0\0\0\0", b"200 OK", b"grpc-status: 3"),
    "json": plain(b"application/json", b'{"a~b":1}'),
    "json_trailers": answer([b"abc"], TRAILERS, b"application/json"),
    "html_503": plain(b"text/html", b"<b>\n%\x01", b"503 X"),
    "empty_503": plain(None, b"", b"503 X"),
    "no_type": plain(None, b"abc"),
    "large": plain(b"text/plain", b"y" * 20000),
    **{t.replace("/", "_"): answer([message(b"abc")], TRAILERS, t.encode()) for t in (
        "application/grpc+proto", "application/grpc+json", "application/grpc+", "application/grpc;x=y", "Application/grpc",
        "application/grpc-web", "application/grpc-web+proto", "application/grpc-web+proto;x", "application/grpc-web+json",
        "application/grpc-web-text", "application/grpc-web-text+proto")},
}
WEB_TYPES = [b"application/grpc-web", b"application/grpc-web+proto", b"application/grpc-web-text",
             b"application/grpc-web-text+proto"]
NO_WEB_TYPES = [b"application/grpc-web+json", b"application/grpc-web;a=b", b"Application/grpc-web", b"application/grpc",
                b"application/grpc-web-text;a"]
ACCEPTED = [b"application/grpc-web-text", b"application/grpc-web-text+proto", b"application/grpc-web+proto", b"*/*",
            b"application/grpc-web-text, x"]
BINARY = message(b"hello")
TEXT = base64.b64encode(BINARY)
TEXTS = {"bad_character": b"AAA!", "short": b"AAA", "padding_between": b"AA==AAAA", "padding": b"AAA=", "three_paddings": b"A===",
         "bits_left": b"AB==", "empty": b"", "newline": b"AAAA\r\n", "url_alphabet": b"A-__", "padding_first": b"=AAA",
         "padding_inside": b"AA=A"}
IN_PIECES = {"characters": [TEXT[i:i + 1] for i in range(len(TEXT))], "two": [TEXT[:5], TEXT[5:]], "short_end": [TEXT, b"AA"]}

# Where Remora is better than Envoy, with the reason.
WEB_DIFFERS = {
    "text newline": "a text with two faults is refused for the first; Envoy looks at the length before",
    "text padding_between": "a text may be several ones; Envoy takes them only when they come in reads of their own",
    "answer no_trailers text": "Envoy never ends a text answer that has no trailers",
    "answer in_headers text": "Envoy never ends a text answer that has no trailers",
    "answer cut_message text": "Envoy loses what is no whole message",
    "answer bad_flag text": "Envoy loses messages with flags that it does not know",
}


def _body(content_type):
    return TEXT if b"text" in content_type else BINARY


def web_requests():
    """Name -> bytes."""
    found = {}
    for t in [*WEB_TYPES, *NO_WEB_TYPES]:
        found[f"type {t.decode()}"] = request(b"x-answer: two", content_type=t, body=_body(t))
    for t in WEB_TYPES:
        for accept in ACCEPTED:
            found[f"accept {t.decode()} {accept.decode()}"] = request(
                b"x-answer: two", b"accept: " + accept, content_type=t, body=_body(t))
    for name in WEB_ANSWERS:
        for kind, t in (("binary", WEB_TYPES[0]), ("text", WEB_TYPES[2])):
            found[f"answer {name} {kind}"] = request(
                b"x-answer: " + name.encode(), b"accept: " + t, b"te: gzip", b"grpc-accept-encoding: zzz", content_type=t,
                body=_body(t))
    for name, text in TEXTS.items():
        found[f"text {name}"] = request(b"x-answer: two", content_type=WEB_TYPES[2], body=text)
    head = (b"POST /a.B/C HTTP/1.1\r\nhost: t\r\nx-answer: two\r\ncontent-type: application/grpc-web-text\r\n"
            b"transfer-encoding: chunked\r\n\r\n")
    for name, pieces in IN_PIECES.items():
        found[f"pieces {name}"] = head + chunks(pieces)
    found["get"] = b"GET /a.B/C HTTP/1.1\r\nhost: t\r\nx-answer: two\r\ncontent-type: application/grpc-web\r\n\r\n"
    for path in (b"/empty/m", b"/body/m"):
        for t in (WEB_TYPES[0], WEB_TYPES[2]):
            found[f"local {path.decode()} {t.decode()}"] = request(b"accept: " + t, path=path, content_type=t)
    return found


WEB_ROUTES = [{"match": {"prefix": "/empty"}, "direct_response": {"status": 404}},
              {"match": {"prefix": "/body"}, "direct_response": {"status": 403, "body": {"inline_string": "no"}}},
              {"match": {"prefix": "/"}, "route": {"cluster": "web"}}]
