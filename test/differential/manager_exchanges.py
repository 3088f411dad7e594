"""Exchanges about the connection manager's options that Envoy and Remora are both given."""

from test.differential.exchange import Exchange
from test.differential.http1_exchanges import GET, never_answers, request
from test.support.upstream import answer_with

TYPE = "type.googleapis.com/envoy.extensions."
XFF = TYPE + "http.original_ip_detection.xff.v3.XffConfig"
HEADER = TYPE + "http.original_ip_detection.custom_header.v3.CustomHeaderConfig"
EARLY = TYPE + "http.early_header_mutation.header_mutation.v3.HeaderMutation"
UUID = TYPE + "request_id.uuid.v3.UuidRequestIdConfig"
CASE = TYPE + "http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

LOOPBACK = {"address_prefix": "127.0.0.0", "prefix_len": 8}
TEN = {"address_prefix": "10.0.0.0", "prefix_len": 8}
INTERNAL = {"internal_address_config": {"cidr_ranges": [LOOPBACK, TEN]}}


def get(*headers, path=b"/"):
    return request(b"GET " + path + b" HTTP/1.1", b"host: a", *headers)


def upstream_http1(**options):
    return {"typed_extension_protocol_options": {OPTIONS: {
        "@type": "type.googleapis.com/" + OPTIONS,
        "explicit_http_config": {"http_protocol_options": options}}}}


def http1(**options):
    return {"http_protocol_options": options}


def common(**options):
    return {"common_http_protocol_options": options}


def preserve(**options):
    return {"header_key_format": {"stateful_formatter": {"name": "case", "typed_config": {"@type": CASE, **options}}}}


PROPER = {"header_key_format": {"proper_case_words": {}}}
MIXED = request(b"GET / HTTP/1.1", b"Host: a", b"X-My-REQ: 1", b"x-my-req: 2", b"FOO$bar: 3", b"User-Agent: me")
MIXED_ANSWER = answer_with(
    b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-My-Header: 1\r\nx-my-header: 2\r\nX-ODD$thing: 3\r\n\r\nok")
MIXED_POST = request(b"POST / HTTP/1.1", b"HOST: a", b"Transfer-Encoding: chunked", b"X-REQUEST-ID: 7",
                     body=b"1\r\na\r\n0\r\n\r\n")


def spelled(name, send, **more):
    return Exchange("names_" + name, send, exact_names=True, script=more.pop("script", MIXED_ANSWER), **more)


NAMES = [
    spelled("proper_downstream", MIXED, hcm=http1(**PROPER)),
    spelled("proper_upstream", MIXED, cluster=upstream_http1(**PROPER)),
    spelled("proper_local", MIXED, upstream=False, hcm=http1(**PROPER)),
    spelled("proper_close", request(b"GET / HTTP/1.1", b"host: a", b"connection: close"), hcm=http1(**PROPER), answers=None),
    spelled("kept_downstream", MIXED, hcm=http1(**preserve())),
    spelled("kept_upstream", MIXED, cluster=upstream_http1(**preserve())),
    spelled("kept_both", MIXED, hcm=http1(**preserve()), cluster=upstream_http1(**preserve())),
    spelled("kept_with_reason", MIXED, hcm=http1(**preserve(forward_reason_phrase=True)),
            cluster=upstream_http1(**preserve(forward_reason_phrase=True))),
    spelled("kept_others_proper", MIXED, hcm=http1(**preserve(formatter_type_on_envoy_headers="PROPER_CASE")),
            cluster=upstream_http1(**preserve(formatter_type_on_envoy_headers="PROPER_CASE"))),
    spelled("kept_post", MIXED_POST, hcm=http1(**preserve()), cluster=upstream_http1(**preserve())),
    spelled("kept_local", MIXED, upstream=False, hcm=http1(**preserve(formatter_type_on_envoy_headers="PROPER_CASE"))),
    spelled("kept_then_proper", MIXED, hcm=http1(**preserve()), cluster=upstream_http1(**PROPER)),
    spelled("proper_then_kept", MIXED, hcm=http1(**PROPER), cluster=upstream_http1(**preserve())),
    Exchange("full_url", MIXED, cluster=upstream_http1(send_fully_qualified_url=True)),
    Exchange("full_url_absolute", request(b"GET https://q.example/a?b HTTP/1.1", b"Host: a"),
             cluster=upstream_http1(send_fully_qualified_url=True)),
]

UNDERSCORED = get(b"x_a: 1", b"x-b: 2", b"X_C: 3")
UNDERSCORES = [
    Exchange("underscores_allowed", UNDERSCORED),
    Exchange("underscores_refused", UNDERSCORED, hcm=common(headers_with_underscores_action="REJECT_REQUEST"), answers=None),
    Exchange("underscores_refused_always_closes", UNDERSCORED, answers=None,
             hcm={"stream_error_on_invalid_http_message": True, **common(headers_with_underscores_action="REJECT_REQUEST")}),
    Exchange("underscores_dropped", UNDERSCORED, hcm=common(headers_with_underscores_action="DROP_HEADER")),
    Exchange("underscores_dropped_trailers",
             request(b"POST / HTTP/1.1", b"host: a", b"transfer-encoding: chunked", body=b"1\r\na\r\n0\r\nx_t: 1\r\nx-t: 2\r\n\r\n"),
             hcm={**http1(enable_trailers=True), **common(headers_with_underscores_action="DROP_HEADER")},
             cluster=upstream_http1(enable_trailers=True)),
]


def status_at_least(code):
    return {"status_code_filter": {"comparison": {"op": "GE", "value": {"default_value": code, "runtime_key": "none"}}}}


def answers_of(*mappers, **more):
    return {"local_reply_config": {"mappers": list(mappers), **more}}


def replied(name, hcm, send=GET, **more):
    return Exchange("reply_" + name, send, upstream=more.pop("upstream", False), hcm=hcm, **more)


MAPPERS = (
    {"filter": status_at_least(503), "status_code": 504, "body": {"inline_string": "mapped"},
     "headers_to_add": [{"header": {"key": "x-mapped", "value": "yes"}}, {"header": {"key": "x-code", "value": "%RESPONSE_CODE%"}}]},
    {"filter": {"header_filter": {"header": {"name": "x-json", "string_match": {"exact": "1"}}}},
     "body_format_override": {"json_format": {"code": "%RESPONSE_CODE%", "body": "%LOCAL_REPLY_BODY%", "p": "%REQ(:path)%",
                                              "l": ["a", 1, None]}, "content_type": "application/problem+json"}},
    {"filter": {"response_flag_filter": {"flags": ["NR"]}}, "status_code": 410, "body": {"inline_string": ""}},
)
TEXT = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%:%RESPONSE_CODE%:%REQ(:path)%:%RESPONSE_FLAGS%:"
                                                "%RESP(x-mapped)%:%RESP(:status)%:%BYTES_SENT%:%PROTOCOL%:%ACCESS_LOG_TYPE%\n"},
        "content_type": "text/html; charset=UTF-8"}
FORMATTED = answers_of(*MAPPERS, body_format=TEXT)
NO_ROUTE = {"route_config": {"name": "x", "virtual_hosts": [
    {"name": "v", "domains": ["only.example"], "routes": [
        {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "direct"}}}]}]}}
CONTENT_TYPE = [{"header": {"key": "content-type", "value": "a/b"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
GRPC = request(b"POST /s HTTP/1.1", b"host: a", b"content-type: application/grpc", b"content-length: 0")

REPLIES = [
    replied("mapped_and_formatted", FORMATTED),
    replied("mapped", answers_of(*MAPPERS)),
    replied("head", FORMATTED, request(b"HEAD / HTTP/1.1", b"host: a"), head_only=True),
    replied("json", {**FORMATTED, **NO_ROUTE}, get(b"x-json: 1", path=b"/j")),
    replied("no_route", {**FORMATTED, **NO_ROUTE}),
    replied("no_route_empty", {**answers_of(*MAPPERS), **NO_ROUTE}),
    replied("direct_response", {**FORMATTED, **NO_ROUTE}, request(b"GET /j HTTP/1.1", b"host: only.example")),
    replied("not_understood", answers_of(body_format={
        "text_format": "%LOCAL_REPLY_BODY%:%RESPONSE_CODE%:%REQ(:path)%:%RESPONSE_CODE_DETAILS%"}),
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n", answers=None),
    replied("grpc", FORMATTED, GRPC),
    replied("grpc_mapped", {**answers_of(*MAPPERS), **NO_ROUTE}, GRPC),
    replied("redirect", {"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT", **FORMATTED}, get(path=b"/a%2fb")),
    replied("timeout", FORMATTED, script=never_answers, route={"timeout": "0.2s"}, upstream=True),
    replied("of_the_upstream_stays", FORMATTED, upstream=True,
            script=answer_with(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno")),
    replied("content_type_of_a_mapper", answers_of({"filter": status_at_least(500), "headers_to_add": CONTENT_TYPE},
                                                   body_format={"text_format": "x", "content_type": "q/q"})),
    replied("content_type_without_body", answers_of({"filter": status_at_least(500), "headers_to_add": CONTENT_TYPE,
                                                     "body": {"inline_string": ""}})),
    replied("json_without_empty_values", answers_of(body_format={
        "json_format": {"a": "%REQ(nope)%", "b": "%REQ(nope)%x", "c": "%RESPONSE_CODE%"}, "omit_empty_values": True})),
    replied("text_without_empty_values", answers_of(body_format={"text_format": "[%REQ(nope)%]", "omit_empty_values": True})),
]


def detect(*configs, **more):
    return {"original_ip_detection_extensions": [{"name": str(i), "typed_config": c} for i, c in enumerate(configs)], **more}


def by_list(**options):
    return {"@type": XFF, **options}


def by_header(**options):
    return {"@type": HEADER, "header_name": "X-Ip", **options}


RANGES = {"xff_trusted_cidrs": {"cidrs": [TEN, LOOPBACK]}}
RETRIES = b"x-envoy-max-retries: 3"
THREE = b"x-forwarded-for: 9.9.9.9, 1.1.1.1, 10.0.0.2, 10.0.0.3"


def detected(name, send, hcm, **more):
    return Exchange("ip_" + name, send, hcm=hcm, logs_client=True, **more)


DETECTION = [
    detected("last", get(b"x-forwarded-for: 1.1.1.1, 10.0.0.2"), detect(by_list())),
    detected("only_one_internal", get(b"x-forwarded-for: 10.0.0.2", RETRIES), detect(by_list(), **INTERNAL)),
    detected("two_internal", get(b"x-forwarded-for: 10.0.0.1, 10.0.0.2", RETRIES), detect(by_list(), **INTERNAL)),
    detected("one_hop", get(b"x-forwarded-for: 1.1.1.1, 10.0.0.2"), detect(by_list(xff_num_trusted_hops=1))),
    detected("appended", get(b"x-forwarded-for: 1.1.1.1"), detect(by_list(skip_xff_append=False))),
    detected("appended_to_nothing", get(), detect(by_list(skip_xff_append=False))),
    detected("junk", get(b"x-forwarded-for: junk"), detect(by_list())),
    detected("ranges", get(THREE), detect(by_list(**RANGES))),
    detected("ranges_all_trusted", get(b"x-forwarded-for: 10.0.0.1, 10.0.0.2"), detect(by_list(**RANGES))),
    detected("ranges_untrusted_peer", get(THREE, RETRIES), detect(by_list(xff_trusted_cidrs={"cidrs": [TEN]}), **INTERNAL)),
    detected("ranges_single_internal", get(b"x-forwarded-for: 10.0.0.2", RETRIES), detect(by_list(**RANGES), **INTERNAL)),
    detected("ranges_junk", get(b"x-forwarded-for: 9.9.9.9, junk, 10.0.0.3"), detect(by_list(**RANGES))),
    detected("header", get(b"x-ip: 10.1.2.3", RETRIES), detect(by_header(), **INTERNAL)),
    detected("header_trusted", get(b"x-ip: 10.1.2.3", RETRIES),
             detect(by_header(allow_extension_to_set_address_as_trusted=True), **INTERNAL)),
    detected("header_twice", get(b"x-ip: 1.1.2.3", b"x-ip: 4.4.4.4"), detect(by_header())),
    detected("header_v6", get(b"x-ip: 2001:db8::1"), detect(by_header())),
    detected("header_with_port", get(b"x-ip: 1.2.3.4:5"), detect(by_header())),
    detected("header_missing_refused", get(), detect(by_header(reject_with_status={"code": "Unauthorized"}))),
    detected("header_junk_refused", get(b"x-ip: zz"), detect(by_header(reject_with_status={"code": "OK"}))),
    detected("header_then_list", get(b"x-forwarded-for: 7.7.7.7"), detect(by_header(), by_list(skip_xff_append=False))),
]


def early(*mutations):
    return {"early_header_mutation_extensions": [{"name": "e", "typed_config": {"@type": EARLY, "mutations": list(mutations)}}]}


def append(key, value, action=None, **more):
    option = {"header": {"key": key, "value": value}, **more}
    if action:
        option["append_action"] = action
    return {"append": option}


def traced(client=100, random=100, overall=100, **uuid):
    shares = {"client_sampling": client, "random_sampling": random, "overall_sampling": overall}
    config = {"tracing": {k: {"value": v} for k, v in shares.items()}}
    if uuid:
        config["request_id_extension"] = {"typed_config": {"@type": UUID, **uuid}}
    return config


ID = b"x-request-id: 00000001-2222-4333-8444-555555555555"
TRACED_ID = b"x-request-id: 00000001-2222-9333-8444-555555555555"
EDGE = {"use_remote_address": True, "preserve_external_request_id": True}


def identified(name, send, hcm):
    return Exchange("id_" + name, send, hcm=hcm, exact_ids=True)


COMPLETED = [
    Exchange("early_edits", get(b"x-a: 1", b"x-c: 3", b"x-pre-1: 1", b"x-pre-2: 1", b"x-b: 2"), hcm=early(
        {"remove": "x-a"}, append("x-b", "n"),
        append("x-d", "%REQ(x-b)%-%PROTOCOL%-%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        {"remove_on_match": {"key_matcher": {"prefix": "x-pre-"}}})),
    Exchange("early_edits_steer", get(), hcm=early(
        append("x-forwarded-for", "5.5.5.5"), append("x-request-id", "zzz"), append("x-envoy-max-retries", "3"))),
    Exchange("early_edits_empty", get(), hcm=early(
        append("x-e", ""), append("x-k", "", keep_empty_value=True), append("x-m", "%REQ(nope)%"),
        append("x-n", "a%REQ(nope)%b%%"))),
    Exchange("early_edits_actions", get(b"x-a: 1", b"x-z: 1"), hcm=early(
        append("x-z", "over", "OVERWRITE_IF_EXISTS_OR_ADD"), append("x-a", "2", "ADD_IF_ABSENT"), append("x-b", "2", "OVERWRITE_IF_EXISTS"), append("x-c", "2", "ADD_IF_ABSENT"))),
    Exchange("scheme_overwritten", get(b"x-forwarded-proto: ftp"), cluster=upstream_http1(send_fully_qualified_url=True),
             hcm={"scheme_header_transformation": {"scheme_to_overwrite": "https"}}),
    Exchange("scheme_of_the_upstream", get(b"x-forwarded-proto: https"), cluster=upstream_http1(send_fully_qualified_url=True),
             hcm={"scheme_header_transformation": {"match_upstream": True}}),
    Exchange("scheme_not_of_the_upstream", get(b"x-forwarded-proto: https"), cluster=upstream_http1(send_fully_qualified_url=True)),
    Exchange("forwarded_port", get(), hcm={"append_x_forwarded_port": True}),
    Exchange("forwarded_port_kept", get(b"x-forwarded-port: 7"), hcm={"append_x_forwarded_port": True}),
    Exchange("forwarded_port_replaced", get(b"x-forwarded-port: 7"),
             hcm={"append_x_forwarded_port": True, "use_remote_address": True}),
    Exchange("forwarded_port_trusted", get(b"x-forwarded-port: 7"),
             hcm={"append_x_forwarded_port": True, "use_remote_address": True, "xff_num_trusted_hops": 1}),
    Exchange("user_agent", get(), hcm={"add_user_agent": True, "use_remote_address": True, "via": "m"}),
    Exchange("user_agent_kept", get(b"user-agent: mine", b"x-envoy-downstream-service-cluster: c",
                                    b"x-envoy-downstream-service-node: n"), hcm={"add_user_agent": True}),
    Exchange("via_both_ways", get(b"via: 1.1 x"), hcm={"via": "mesh"},
             script=answer_with(b"HTTP/1.1 200 OK\r\nvia: up\r\ncontent-length: 2\r\n\r\nok")),
    identified("not_traced", get(ID), {}),
    identified("sampled", get(ID), traced()),
    identified("not_sampled", get(ID), traced(random=0.005)),
    identified("sampled_by_its_number", get(ID), traced(random=0.02)),
    identified("stays_traced", get(TRACED_ID), traced(random=0)),
    identified("over_all", get(TRACED_ID), traced(overall=0)),
    identified("by_client", get(ID, b"x-client-trace-id: abc"), traced(random=0)),
    identified("forced_by_a_stranger", get(ID, b"x-envoy-force-trace: true"), traced(random=0)),
    identified("forced", get(ID, b"x-envoy-force-trace: true"), {**traced(random=0), **INTERNAL, "use_remote_address": True}),
    identified("forced_untraced", get(ID, b"x-envoy-force-trace: true"), {**INTERNAL, "use_remote_address": True}),
    identified("not_packed", get(ID), traced(pack_trace_reason=False)),
    identified("not_by_id", get(ID), traced(use_request_id_for_trace_sampling=False)),
    identified("junk", get(b"x-request-id: junk"), traced()),
    identified("longer", get(TRACED_ID + b"-and-more"), traced(overall=0)),
    identified("of_a_stranger", get(TRACED_ID), {**traced(random=0), **EDGE}),
    identified("of_a_stranger_untraced", get(TRACED_ID), EDGE),
    identified("of_a_stranger_not_packed", get(TRACED_ID), {**EDGE, **traced(random=0, pack_trace_reason=False)}),
]

HTTP10 = http1(accept_http_10=True)
OLD = b"GET / HTTP/1.0\r\nhost: a\r\n"
PLAIN = [
    Exchange("http10_refused", OLD + b"\r\n", answers=None),
    Exchange("http10", OLD + b"\r\n", hcm=HTTP10, answers=None),
    Exchange("http10_default_host", b"GET / HTTP/1.0\r\n\r\n", answers=None,
             hcm=http1(accept_http_10=True, default_host_for_http_10="fallback")),
    Exchange("http10_keep_alive_then_close", [OLD + b"connection: keep-alive\r\n\r\n", ("read", 1), OLD + b"\r\n"], hcm=HTTP10, answers=None),
    Exchange("http10_chunked_answer", OLD + b"connection: keep-alive\r\n\r\n", hcm=HTTP10, answers=None,
             script=answer_with(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
    Exchange("http10_post", b"POST / HTTP/1.0\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", hcm=HTTP10, answers=None),
    Exchange("custom_method", request(b"FROB / HTTP/1.1", b"host: a"), hcm=http1(allow_custom_methods=True)),
    Exchange("custom_method_refused", request(b"FROB / HTTP/1.1", b"host: a"), answers=None),
    Exchange("upgrade_ignored", get(b"connection: upgrade", b"upgrade: websocket"),
             hcm={"upgrade_configs": [{"upgrade_type": "websocket"}], **http1(ignore_http_11_upgrade=[{"exact": "websocket"}])}),
    Exchange("upgrade_ignored_with_body", request(b"POST / HTTP/1.1", b"host: a", b"connection: upgrade", b"upgrade: TLS/1.0",
                                                  b"content-length: 2", body=b"hi"),
             hcm=http1(ignore_http_11_upgrade=[{"prefix": "TLS/"}])),
    Exchange("absolute_url_refused", request(b"GET http://q/x HTTP/1.1", b"host: a"), hcm=http1(allow_absolute_url=False)),
    Exchange("stream_error_stays_open", [b"GET / HTTP/1.1\r\n\r\n", ("read", 1), GET],
             hcm=http1(override_stream_error_on_invalid_http_message=True)),
    Exchange("stream_error_overridden", [b"GET / HTTP/1.1\r\n\r\n"], answers=None,
             hcm={"stream_error_on_invalid_http_message": True, **http1(override_stream_error_on_invalid_http_message=False)}),
]

ALL = NAMES + UNDERSCORES + REPLIES + DETECTION + COMPLETED + PLAIN
