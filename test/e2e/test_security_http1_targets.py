"""Targets, hosts, paths and fields that policy, route and upstream might see differently, by the numbers of the list of
attacks: what RBAC and the router decide on, and what the log shows, are the very bytes that are forwarded. Cases 70 and 71
are in test_security_policy."""

import pytest

from test.support import proxy as px
from test.support.stand import Stand, must_refuse, must_serve, request, upstream_values

RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"
LOG = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% %REQ(:AUTHORITY)% %REQ(:PATH)%\n"
DENIED = "rbac_access_denied_matched_policy[p]"


def rbac(action, permission):
    return px.typed("envoy.filters.http.rbac", RBAC, rules={
        "action": action, "policies": {"p": {"permissions": [permission], "principals": [{"any": True}]}}})


def path_lane(**hcm):
    """Everything below /admin is denied, and has a route of its own."""
    def to_app(prefix, name):
        return {"match": {"prefix": prefix}, "name": name, "route": {"cluster": name_of}}

    name_of = hcm.pop("lane")
    return {"hcm": hcm, "log": LOG, "routes": [to_app("/admin", "admin"), to_app("/", "main")],
            "filters": [rbac("DENY", {"url_path": {"path": {"prefix": "/admin"}}})]}


def host(name, *domains):
    return {"name": name, "domains": list(domains), "routes": [
        {"match": {"prefix": "/"}, "name": name, "route": {"cluster": "hosts"}}]}


HOSTS = {"name": "local", "virtual_hosts": [
    host("a", "a.example"), host("b", "b.example:81"), host("w", "*.w.example"), host("six", "[::1]", "[fe80::1%25eth0]"),
    host("all", "*")]}


def role(**match):
    return {"header": {"name": "x-role", **match}}


ROLES = {
    "deny_exact": rbac("DENY", role(string_match={"exact": "guest"})),
    "allow_exact": rbac("ALLOW", role(string_match={"exact": "admin"})),
    "allow_not": rbac("ALLOW", role(string_match={"exact": "guest"}, invert_match=True)),
    "deny_not": rbac("DENY", role(string_match={"exact": "admin"}, invert_match=True)),
    "deny_not_or_missing": rbac("DENY", role(string_match={"exact": "admin"}, invert_match=True,
                                             treat_missing_header_as_empty=True)),
    "not_rule": rbac("ALLOW", {"not_rule": role(string_match={"exact": "guest"})}),
    "deny_regex": rbac("DENY", role(string_match={"safe_regex": {"regex": "guest.*"}})),
    "allow_regex": rbac("ALLOW", role(string_match={"safe_regex": {"regex": "[a-z]*"}})),
    "allow_range": rbac("ALLOW", role(range_match={"start": 1, "end": 10})),
}


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    full = {"normalize_path": True, "merge_slashes": True}
    with Stand(tmp_path_factory.mktemp("targets"), {
        "in": {},
        "hosts": {"routes": HOSTS, "log": LOG},
        "plain": path_lane(lane="plain"),
        "normal": path_lane(lane="normal", normalize_path=True),
        "full": path_lane(lane="full", path_with_escaped_slashes_action="UNESCAPE_AND_FORWARD", **full),
        "reject": path_lane(lane="reject", path_with_escaped_slashes_action="REJECT_REQUEST", **full),
        "redirect": path_lane(lane="redirect", path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT", **full),
        **{name: {"filters": [rule]} for name, rule in ROLES.items()},
    }) as stand:
        yield stand


@pytest.mark.parametrize("target,detail", [
    (b"//evil/..", "http1.invalid_url"), (b"//evil/../x", "http1.invalid_url"), (b"//evil.example/a/../..", "http1.invalid_url"),
    (b"/a#b", None), (b"/#", None), (b"/a?b#c", None), (b"#", "http1.codec_error"),
    (b"/a b", "http1.codec_error"), (b"/a\tb", "http1.codec_error"), (b"/a\x00b", "http1.codec_error"),
    (b"/a\x7fb", "http1.codec_error"), (b"/\xc3\xa4", "http1.codec_error"),
    (b"a.example:80", "http1.codec_error"), (b"a.example", "http1.codec_error"), (b":80", "http1.codec_error"),
    (b"[::1]:80", "http1.codec_error"), (b"", "http1.codec_error"), (b"*", "http1.invalid_url"), (b"*/", "http1.invalid_url"),
    (b"\\", "http1.codec_error"), (b"?x", "http1.codec_error"), (b"./", "http1.codec_error"),
    (b"http:/a/", "http1.codec_error"), (b"http:a", "http1.codec_error"), (b"http//a/", "http1.codec_error"),
    (b"http:///x", "http1.invalid_url"), (b"http://", "http1.invalid_url"), (b"http://:80/", "http1.invalid_url"),
    (b"http://a@b@c/", "http1.invalid_url"), (b"http://a:x/", "http1.invalid_url"), (b"http://a:70000/", "http1.invalid_url"),
    (b"http://a,b/", "http1.invalid_url"), (b"http://[::1/", "http1.invalid_url"), (b"http://a\\@b/", "http1.invalid_url"),
    (b"ftp://a/", "http1.invalid_scheme"), (b"file:///etc", "http1.invalid_scheme"), (b"javascript://a/", "http1.invalid_scheme"),
], ids=lambda v: repr(v) if isinstance(v, bytes) else "")
def test_case_15_targets(stand, target, detail):
    raw = b"GET " + target + b" HTTP/1.1\r\nhost: a\r\n\r\n"
    if detail is None:
        must_refuse(stand["in"], raw, detail="path_normalization_failed", flag="-",
                    counter="downstream_rq_failed_path_normalization")
    else:
        must_refuse(stand["in"], raw, detail=detail)


def test_case_15_connect_form_and_asterisk_serve_nobody(stand):
    must_refuse(stand["in"], b"CONNECT /a HTTP/1.1\r\nhost: a\r\n\r\n", detail="http1.invalid_url")
    must_refuse(stand["in"], b"CONNECT http://a/ HTTP/1.1\r\nhost: a\r\n\r\n", detail="http1.invalid_url")
    must_refuse(stand["in"], b"CONNECT a HTTP/1.1\r\nhost: a\r\n\r\n", detail="http1.invalid_url")
    before = stand["in"].received()
    with stand["in"].connect() as client:
        client.send(b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.read_answer().status == 404
    stand["in"].log()
    assert stand["in"].received() == before


# What becomes of a path with no normalisation, with normalize_path, and with everything on: the path that is forwarded, or
# the status of the refusal.
PATHS = [
    (b"/%2e%2e/admin", b"/%2e%2e/admin", 403, 403),
    (b"/a/..%2fadmin", b"/a/..%2fadmin", b"/a/..%2fadmin", 403),
    (b"/admin%2f", 403, 403, 403),
    (b"//admin", b"//admin", b"//admin", 403),
    (b"///admin", b"///admin", b"///admin", 403),
    (b"/admin/", 403, 403, 403),
    (b"/ADMIN", b"/ADMIN", b"/ADMIN", b"/ADMIN"),
    (b"/admin;x", 403, 403, 403),
    (b"/admin%00", 403, 400, 400),
    (b"/admin#x", 400, 400, 400),
    (b"/./admin", b"/./admin", 403, 403),
    (b"/x/../admin", b"/x/../admin", 403, 403),
    (b"\\admin", 400, 400, 400),
    (b"/\\admin", b"/\\admin", b"//admin", 403),
    (b"/a\\..\\admin", b"/a\\..\\admin", 403, 403),
    (b"/%61dmin", b"/%61dmin", 403, 403),
    (b"/%2561dmin", b"/%2561dmin", b"/%2561dmin", b"/%2561dmin"),
    (b"/%2fadmin", b"/%2fadmin", b"/%2fadmin", 403),
    (b"/%5cadmin", b"/%5cadmin", b"/%5cadmin", 403),
    (b"/x/%2e%2e%2fadmin", b"/x/%2e%2e%2fadmin", b"/x/..%2fadmin", 403),
    (b"/%2f%2e%2e/admin", b"/%2f%2e%2e/admin", b"/%2f../admin", 403),
    (b"/x/..//admin", b"/x/..//admin", b"//admin", 403),
    (b"/x/..%252fadmin", b"/x/..%252fadmin", b"/x/..%252fadmin", b"/x/..%252fadmin"),
    (b"/%0aadmin", b"/%0aadmin", b"/%0aadmin", b"/%0aadmin"),
    (b"/%zz", b"/%zz", b"/%zz", b"/%zz"),
    (b"/%", b"/%", b"/%", b"/%"),
    (b"/x/..;/..;/admin", b"/x/..;/..;/admin", 403, 403),
    (b"/x/%2e%2e;p/admin", b"/x/%2e%2e;p/admin", 403, 403),
    (b"/.;/admin", b"/.;/admin", 403, 403),
    (b"/x/..%5cadmin", b"/x/..%5cadmin", b"/x/..%5cadmin", 403),
    (b"/x/..\\admin", b"/x/..\\admin", 403, 403),
    (b"/x/..%00/admin", b"/x/..%00/admin", 400, 400),
    (b"/admin%23x", 403, 403, 403),
    (b"/admin%3fx", 403, 403, 403),
    (b"/x/...;/admin", b"/x/...;/admin", b"/x/...;/admin", b"/x/...;/admin"),
]
BAD_TEXT = [
    (b"/x/\xc0\xafadmin", 400, 400, 400),
    (b"/admin\xff", 400, 400, 400),
    (b"/%c0%afadmin", b"/%c0%afadmin", b"/%c0%afadmin", b"/%c0%afadmin"),
    (b"/x%c0%ae%c0%ae/admin", b"/x%c0%ae%c0%ae/admin", b"/x%c0%ae%c0%ae/admin", b"/x%c0%ae%c0%ae/admin"),
    (b"/x/%e0%80%af../admin", b"/x/%e0%80%af../admin", b"/x/%e0%80%af../admin", b"/x/%e0%80%af../admin"),
    (b"/x/%ef%bc%8f../admin", b"/x/%ef%bc%8f../admin", b"/x/%ef%bc%8f../admin", b"/x/%ef%bc%8f../admin"),
    (b"/x/%u002fadmin", b"/x/%u002fadmin", b"/x/%u002fadmin", b"/x/%u002fadmin"),
]
QUERIES = [
    (b"/?/admin", b"/?/admin", b"/?/admin", b"/?/admin"),
    (b"/x?/../admin", b"/x?/../admin", b"/x?/../admin", b"/x?/../admin"),
    (b"/x?%2e%2e%2f//", b"/x?%2e%2e%2f//", b"/x?%2e%2e%2f//", b"/x?%2e%2e%2f//"),
    (b"/x?\\..\\admin", b"/x?\\..\\admin", b"/x?\\..\\admin", b"/x?\\..\\admin"),
    (b"/admin?x=/../", 403, 403, 403),
    (b"/a/../admin?x", b"/a/../admin?x", 403, 403),
]


def decide(lane, target):
    """Sends a GET; checks that route, policy, log and upstream agree; answers the path forwarded or the status."""
    mark = lane.mark()
    with lane.connect() as client:
        client.send(b"GET " + target + b" HTTP/1.1\r\nhost: a\r\n\r\n")
        answer = client.read_answer()
    status, detail, route, _, logged = lane.log()[0].split(" ", 4)
    assert int(status) == answer.status
    sent = b"".join(lane.since(mark).values())
    if answer.status != 200:
        assert sent == b""
        assert (answer.status == 403) == (detail == DENIED)
        assert (answer.status == 403) == (route == "admin"), "policy and route see the same path"
        return answer.status
    path = sent.split(b" ")[1]
    assert path == logged.encode(), "the log shows what is forwarded"
    assert not path.startswith(b"/admin") and route == "main"
    return path


def check_paths(stand, row):
    target, plain, normal, full = row
    assert [decide(stand[name], target) for name in ("plain", "normal", "full")] == [plain, normal, full]


@pytest.mark.parametrize("row", PATHS, ids=lambda r: repr(r[0]))
def test_case_22_policy_and_route_see_what_is_forwarded(stand, row):
    check_paths(stand, row)


@pytest.mark.parametrize("target", [b"/a/..%2fadmin", b"/admin%2f", b"/%5cadmin", b"/x%2F"])
def test_case_22_escaped_slashes_rejected_or_redirected(stand, target):
    assert decide(stand["reject"], target) == 400
    mark = stand["redirect"].mark()
    with stand["redirect"].connect() as client:
        client.send(b"GET " + target + b" HTTP/1.1\r\nhost: a\r\n\r\n")
        answer = client.read_answer()
    assert answer.status == 307
    assert answer.header("location") in ("/admin", "/admin/", "/x/")
    assert stand["redirect"].since(mark) == {}


def routed(lane, target, authority):
    """(status, route, the Host that the upstream got) of a GET."""
    mark = lane.mark()
    with lane.connect() as client:
        client.send(b"GET " + target + b" HTTP/1.1\r\nhost: " + authority + b"\r\n\r\n")
        answer = client.read_answer()
    _, _, route, logged, _ = lane.log()[0].split(" ", 4)
    sent = b"".join(lane.since(mark).values())
    if not sent:
        return answer.status, None, None
    assert upstream_values(sent, b"host") == [logged.encode()]
    return answer.status, route, logged.encode()


@pytest.mark.parametrize("authority,route", [
    (b"a.example", "a"), (b"A.EXAMPLE", "a"), (b"a.Example:80", "all"), (b"a.example.", "all"), (b"a.example.:80", "all"),
    (b"b.example:81", "b"), (b"B.Example:81", "b"), (b"b.example", "all"), (b"b.example:081", "all"),
    (b"x.w.example", "w"), (b"w.example", "all"), (b".w.example", "all"), (b"x.w.example.", "all"),
    (b"[::1]", "six"), (b"[::1]:80", "all"), (b"[fe80::1%25eth0]", "six"), (b"[fe80::1%eth0]", "all"),
    (b"user@a.example", "all"), (b"a.example,b.example", "all"), (b"a.example:80:80", "all"), (b"%61.example", "all"),
], ids=lambda v: v.decode() if isinstance(v, bytes) else "")
def test_case_23_hosts_match_as_they_are_sent(stand, authority, route):
    assert routed(stand["hosts"], b"/", authority) == (200, route, authority)


@pytest.mark.parametrize("target,route,forwarded", [
    (b"http://a.example/", "a", b"a.example"), (b"http://A.example/", "a", b"A.example"),
    (b"http://user:pw@a.example/", "a", b"a.example"), (b"https://b.example:81/", "b", b"b.example:81"),
    (b"HTTP://[::1]/", "six", b"[::1]"), (b"http://a.example.", "all", b"a.example."), (b"http://a.example", "a", b"a.example"),
])
def test_case_23_hosts_of_absolute_targets(stand, target, route, forwarded):
    assert routed(stand["hosts"], target, b"other.example") == (200, route, forwarded)


@pytest.mark.parametrize("row", BAD_TEXT, ids=lambda r: repr(r[0]))
def test_case_25_overlong_and_invalid_text_is_never_a_slash(stand, row):
    check_paths(stand, row)


@pytest.mark.parametrize("row", QUERIES, ids=lambda r: repr(r[0]))
def test_case_26_a_query_is_no_part_of_the_path(stand, row):
    check_paths(stand, row)


def allowed(lane, *values):
    raw = request(b"GET / HTTP/1.1", b"host: a", *[b"x-role: " + v for v in values])
    with lane.connect() as client:
        client.send(raw)
        status = client.read_answer().status
    assert status in (200, 403)
    assert lane.log()[0].startswith(str(status))
    return status == 200


# The values sent, and which of ROLES let them pass.
@pytest.mark.parametrize("values,passes", [
    ([], {"deny_exact", "deny_not", "not_rule", "deny_regex"}),
    ([b"admin"], {"deny_exact", "allow_exact", "allow_not", "deny_not", "deny_not_or_missing", "not_rule", "deny_regex",
                  "allow_regex"}),
    ([b"guest"], {"allow_regex"}),
    ([b"admin,guest"], {"deny_exact", "allow_not", "not_rule", "deny_regex"}),
    ([b""], {"deny_exact", "allow_not", "not_rule", "deny_regex", "allow_regex"}),
    ([b"guest", b"admin"], {"allow_regex"}),
    ([b"5", b"50"], {"deny_exact", "allow_not", "not_rule", "deny_regex"}),
], ids=lambda v: repr(sorted(v)))
def test_case_24_no_value_one_or_two(stand, values, passes):
    assert {name for name in ROLES if allowed(stand[name], *values)} == passes


@pytest.mark.parametrize("target", [b"pkg.Service/Method", b"admin", b"Service"])
def test_case_69_grpc_paths_without_a_slash(stand, target):
    must_refuse(stand["in"], b"POST " + target + b" HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n"
                b"content-length: 0\r\n\r\n")


def test_case_20_connection_cannot_remove_what_matters(stand):
    """What is for the next hop stays, whoever names it; what is for this hop goes."""
    kept = [b"authorization: Basic eA==", b"x-forwarded-for: 10.0.0.1", b"content-length: 5", b"cookie: a=b",
            b"x-forwarded-proto: http", b"x-request-id: 11111111-2222-4333-8444-555555555555", b"content-type: text/plain"]
    named = b"close, Host, Authorization, X-Forwarded-For, Content-Length, Cookie, X-Forwarded-Proto, :path, X-Request-Id, " \
            b"Content-Type, Transfer-Encoding, X-Gone, te"
    _, sent = must_serve(stand["in"], request(b"POST / HTTP/1.1", b"host: a.example", b"connection: " + named, b"x-gone: 1",
                                              b"x-kept: 1", *kept, body=b"hello"))
    head, body = sent.split(b"\r\n\r\n")
    assert head.startswith(b"POST / HTTP/1.1\r\n") and body == b"hello"
    assert upstream_values(head, b"host") == [b"a.example"]
    for field in kept + [b"x-kept: 1"]:
        assert b"\r\n" + field in head
    assert b"x-gone" not in head and b"connection" not in head


@pytest.mark.parametrize("lines", [
    [b"connection: host", b"connection: authorization, x-a"], [b"connection: ,,host, ,", b"connection:"],
    [b"connection: HOST", b"proxy-connection: authorization"],
], ids=repr)
def test_case_20_in_several_fields_and_shapes(stand, lines):
    _, sent = must_serve(stand["in"], request(b"GET / HTTP/1.1", b"host: a.example", b"authorization: x", *lines))
    assert upstream_values(sent, b"host") == [b"a.example"] and upstream_values(sent, b"authorization") == [b"x"]
    assert b"connection" not in sent


@pytest.mark.parametrize("value", [b"tea", b"100-continue, tea", b"200-ok", b"", b"100-continue;q=1", b"100"])
def test_case_21_other_expectations(stand, value):
    before = stand["in"].received()
    with stand["in"].counts("downstream_rq_4xx"), stand["in"].connect() as client:
        client.send(request(b"POST / HTTP/1.1", b"host: a", b"content-length: 5", b"expect: " + value, body=b"hello"))
        assert client.read_answer().status == 417
    assert stand["in"].log() == ["417 - expectation_failed"]
    assert stand["in"].received() == before


def test_case_21_an_expectation_twice(stand):
    with stand["in"].connect() as client:
        client.send(request(b"POST / HTTP/1.1", b"host: a", b"content-length: 5", b"expect: 100-continue", b"expect: tea"))
        answer = client.read_answer()
        assert answer.status == 417, answer
    stand["in"].log()
