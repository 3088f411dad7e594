"""gRPC deadlines, local answers and retries that Envoy and Remora are both given."""

from test.support.grpc import GRPC, answer, message, request, trailers_only

# ---------------------------------------------------------------------------------------------------------------------
# grpc-timeout: what of it the upstream hears

TIMEOUTS = [b"1H", b"99999999H", b"99999999M", b"99999999S", b"100000000m", b"99999000u",
            b"99999001u", b"99999999n", b"0m", b"0S", b"5", b"m", b"", b"-1S", b"+5S", b"5 S", b"05S", b"0000000005S", b"5s", b"1.5S",
            b"123456789m", b"5S, 6S", b"15000m"]
TIMEOUT_ROUTES = {
    "none": {},
    "any": {"max_grpc_timeout": "0s"},
    "at_most_10s": {"max_grpc_timeout": "10s", "grpc_timeout_offset": "2s"},
    "less_2s": {"max_grpc_timeout": "0s", "grpc_timeout_offset": "2s"},
    "per_try": {"max_grpc_timeout": "0s", "retry_policy": {"retry_on": "5xx", "per_try_timeout": "1s"}},
    "empty_duration": {"max_stream_duration": {}},
    "duration": {"max_stream_duration": {"max_stream_duration": "5s"}},
    "no_duration": {"max_stream_duration": {"max_stream_duration": "0s"}},
    "header_any": {"max_stream_duration": {"grpc_timeout_header_max": "0s"}},
    "header_and_duration": {"max_stream_duration": {"grpc_timeout_header_max": "10s", "max_stream_duration": "5s"}},
    "duration_before_timeout": {"max_stream_duration": {"max_stream_duration": "20s"}, "max_grpc_timeout": "3s"},
}


def timeout_requests():
    grpc = [request(b"grpc-timeout: " + value) for value in TIMEOUTS]
    others = [request(b"grpc-timeout: 5S", content_type=t)
              for t in (b"text/plain", b"application/grpc;a=b", b"application/grpc-web", b"application/grpc+proto")]
    return [*grpc, request(), *others]


# ---------------------------------------------------------------------------------------------------------------------
# deadlines that pass, and retries


def never(peer):
    peer.wait_for_close()


def half_an_answer(peer):
    peer.read_request()
    peer.send(answer([message(b"ab")])[:-len(b"0\r\ngrpc-status: 0\r\n\r\n")])
    peer.wait_for_close()


def failing(*statuses):
    left = {}  # by the upstream's port: each proxy has an upstream of its own

    def script(peer):
        port = peer.sock.getsockname()[1]
        while True:
            peer.read_request()
            n = left.get(port, 0)
            left[port] = n + 1
            peer.send(trailers_only(statuses[n] if n < len(statuses) else b"0"))

    return script


CLUSTER_DURATION = {"typed_extension_protocol_options": {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"max_stream_duration": "0.2s"},
        "explicit_http_config": {"http_protocol_options": {}}}}}
INTERNAL = {"use_remote_address": True,
            "internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}}
UNFINISHED = b"POST /a.B/C HTTP/1.1\r\nhost: t\r\ncontent-type: %b\r\ncontent-length: 10\r\n\r\nabc"
RETRIED = {"cancelled": b"1", "deadline-exceeded": b"4", "internal": b"13", "resource-exhausted": b"8", "unavailable": b"14"}


class Deadline:
    def __init__(self, script, *lines, hcm=None, route=None, cluster=None, unfinished=False, at_once=False):
        self.script, self.lines, self.unfinished = script, lines, unfinished
        self.at_once = at_once  # whether the upstream hears of it is a matter of luck
        self.hcm, self.route, self.cluster = hcm or {}, route or {}, cluster or {}

    def request(self, content_type):
        return UNFINISHED % content_type if self.unfinished else request(*self.lines, content_type=content_type)


DEADLINES = {
    "route": Deadline(never, route={"timeout": "0.2s"}),
    "route_cut": Deadline(half_an_answer, route={"timeout": "0.2s"}),
    "grpc_timeout": Deadline(never, b"grpc-timeout: 200m", route={"timeout": "0.5s", "max_grpc_timeout": "0s"}),
    "per_try": Deadline(never, route={"timeout": "2s", "retry_policy": {"retry_on": "5xx", "per_try_timeout": "0.1s"}}),
    "stream": Deadline(never, route={"max_stream_duration": {"max_stream_duration": "0.2s"}}),
    "stream_grpc_timeout": Deadline(never, b"grpc-timeout: 200m", route={
        "max_stream_duration": {"grpc_timeout_header_max": "0s", "max_stream_duration": "0.3s"}}),
    "stream_over_at_once": Deadline(never, b"grpc-timeout: 2m", at_once=True, route={"max_stream_duration": {
        "grpc_timeout_header_max": "0s", "grpc_timeout_header_offset": "1s", "max_stream_duration": "0.3s"}}),
    "stream_unfinished": Deadline(never, unfinished=True, route={"max_stream_duration": {"max_stream_duration": "0.2s"}}),
    "stream_cut": Deadline(half_an_answer, route={"max_stream_duration": {"max_stream_duration": "0.2s"}}),
    "listener": Deadline(never, hcm={"common_http_protocol_options": {"max_stream_duration": "0.2s"}}),
    "idle": Deadline(never, hcm={"stream_idle_timeout": "0.2s"}),
    "idle_unfinished": Deadline(never, unfinished=True, hcm={"stream_idle_timeout": "0.2s"}),
    "request": Deadline(never, unfinished=True, hcm={"request_timeout": "0.2s"}),
    "cluster": Deadline(never, cluster=CLUSTER_DURATION),
    "cluster_retried": Deadline(never, cluster=CLUSTER_DURATION,
                                route={"retry_policy": {"retry_on": "reset", "num_retries": 1}}),
    "cluster_cut": Deadline(half_an_answer, cluster=CLUSTER_DURATION),
    "cluster_unfinished": Deadline(never, unfinished=True, cluster=CLUSTER_DURATION),
    "attempt": Deadline(never, b"x-envoy-upstream-stream-duration-ms: 150", hcm=INTERNAL, route={"timeout": "1s"}),
    "attempt_by_a_stranger": Deadline(never, b"x-envoy-upstream-stream-duration-ms: 150", route={"timeout": "0.3s"}),
    "attempt_nonsense": Deadline(never, b"x-envoy-upstream-stream-duration-ms: 1x", hcm=INTERNAL, route={"timeout": "0.3s"}),
    "retry_words": Deadline(failing(b"14", b"1"), b"x-envoy-retry-grpc-on: unavailable,cancelled", hcm=INTERNAL,
                            route={"retry_policy": {"retry_on": "5xx", "num_retries": 3}}),
    "retry_words_alone": Deadline(failing(b"14", b"1"), b"x-envoy-retry-grpc-on: unavailable",
                                  b"x-envoy-max-retries: 4", hcm=INTERNAL),
    **{f"retry_{word}".replace("-", "_"): Deadline(failing(status), route={"retry_policy": {"retry_on": word}})
       for word, status in RETRIED.items()},
    "retry_none": Deadline(failing(b"2"), route={"retry_policy": {"retry_on": ",".join(RETRIED)}}),
    "retry_padded": Deadline(failing(b"014"), route={"retry_policy": {"retry_on": "unavailable"}}),
    "retry_257": Deadline(failing(b"257"), route={"retry_policy": {"retry_on": "cancelled"}}),
    "retry_5xx": Deadline(failing(b"14"), route={"retry_policy": {"retry_on": "5xx,gateway-error"}}),
}
DEADLINE_TYPES = {"grpc": GRPC, "plain": b"text/plain"}

# ---------------------------------------------------------------------------------------------------------------------
# local answers

DIRECT_STATUSES = [200, 201, 204, 301, 401, 403, 404, 405, 408, 409, 412, 429, 431, 499, 500, 501, 502, 503, 504, 505, 599]
CONTENT_TYPES = [b"application/grpc", b"application/grpc+proto", b"application/grpc+json", b"application/grpc+",
                 b"application/grpc-web", b"application/grpc-web+proto", b"application/grpc;a=b", b"application/grpcx",
                 b"Application/grpc", b"text/plain"]
MESSAGE = "a~b%c \"\u00e9\" \x7f /\r\n\t\x01end"


def local_routes():
    def direct(path, status, text=None):
        response = {"status": status} if text is None else {"status": status, "body": {"inline_string": text}}
        return {"match": {"path": path}, "direct_response": response}

    return [
        *[direct(f"/{status}/m", status, None if status == 204 else f"{status}~%\u00e9") for status in DIRECT_STATUSES],
        direct("/body/m", 503, MESSAGE),
        direct("/empty/m", 404),
        {"match": {"path": "/redirect/m"}, "redirect": {"path_redirect": "/x"}},
        {"match": {"prefix": "/g/", "grpc": {}}, "direct_response": {"status": 403}},
        {"match": {"prefix": "/refused"}, "route": {"cluster": "app"}},
    ]


def local_requests():
    """(head only, bytes) of each."""
    paths = [b"/503/m", b"/body/m", b"/empty/m", b"/redirect/m", b"/g/m", b"/nowhere", b"/refused"]
    for status in DIRECT_STATUSES:
        yield False, request(path=b"/%d/m" % status)
    for content_type in CONTENT_TYPES:
        for path in paths:
            yield False, request(path=path, content_type=content_type)
        for path in (b"/503/m", b"/empty/m"):
            yield True, request(path=path, content_type=content_type, method=b"HEAD")
