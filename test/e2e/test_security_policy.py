"""Attacks on policies that must fail, by the numbers of the list of attacks. Case 50 is in test_jwt, 52 in test_authorization."""

import pytest

from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream

TO_APP = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]


def policy(action, permission):
    return px.typed("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", rules={
        "action": action, "policies": {"p": {"permissions": [permission], "principals": [{"any": True}]}}})


class Stand:
    """Listeners with a policy each in front of one server that records what comes."""

    def __init__(self, directory, listeners):
        self.upstream = Upstream()
        self.proxy = px.Proxy(px.REMORA, px.static_bootstrap(
            [px.static_listener(name, px.http_filter_chain(TO_APP, http_filters=[filter], **more))
             for name, (filter, more) in listeners.items()], [px.static_cluster("app", self.upstream.port)]),
            directory=str(directory))
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def ask(self, listener, target, host=b"test.example", *fields):
        """(status, the head that the server saw or None)."""
        before = sum(map(len, self.upstream.received()))
        with Client(self.ports[listener]) as client:
            client.send(b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"host: " + host, *fields, b"connection: close"]) + b"\r\n\r\n")
            answer = client.read_answer()
        return answer.status if answer else None, b"".join(self.upstream.received())[before:] or None

    def close(self):
        assert self.proxy.alive(), self.proxy.output()
        self.proxy.stop()
        self.upstream.close()


# --- 70: the path and the host that are judged are those that go on ---

ADMIN = {"url_path": {"path": {"prefix": "/admin"}}}
ADMIN_HOST = {"header": {"name": ":authority", "string_match": {"exact": "admin.example", "ignore_case": True}}}
NORMAL = {"normalize_path": True, "merge_slashes": True, "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}
REJECTING = {**NORMAL, "path_with_escaped_slashes_action": "REJECT_REQUEST"}
PLAIN_HOST = {"strip_any_host_port": True, "strip_trailing_host_dot": True}


def x_contains(action, **match):
    return policy(action, {"header": {"name": "x", **match}})


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    exact, regex = {"exact": "admin"}, {"safe_regex": {"regex": ".*admin.*"}}
    stand = Stand(tmp_path_factory.mktemp("policy"), {
        "normal": (policy("DENY", ADMIN), NORMAL),
        "rejecting": (policy("DENY", ADMIN), REJECTING),
        "as_it_is": (policy("DENY", ADMIN), {}),
        "host": (policy("DENY", ADMIN_HOST), PLAIN_HOST),
        "deny": (x_contains("DENY", string_match=exact), {}),
        "deny_regex": (x_contains("DENY", string_match=regex), {}),
        "deny_all_but": (x_contains("DENY", string_match={"exact": "user"}, invert_match=True), {}),
        "allow": (x_contains("ALLOW", string_match={"exact": "user"}), {}),
        "allow_regex": (x_contains("ALLOW", string_match={"safe_regex": {"regex": "[a-z]+.?"}}), {}),
        "allow_all_but": (x_contains("ALLOW", string_match=exact, invert_match=True), {}),
    })
    yield stand
    stand.close()


TARGETS = [b"/admin", b"/admin/", b"//admin", b"/./admin", b"/x/../admin", b"/%2e%2e/admin", b"/..;/admin", b"/x/..;/admin",
           b"/x/..%5cadmin", b"/x/..%5C..%5Cadmin", b"\\admin", b"/\\admin", b"/x\\..\\admin", b"/x/..%2fadmin", b"/%2fadmin",
           b"/admin;p", b"/admin#x", b"/x#/../admin", b"/admin%00", b"/admin%2f", b"/%61dmin", b"/admin?x", b"/x?/admin", b"/ADMIN",
           b"/admin.", b"/\xc0\xafadmin", b"/..%c0%afadmin", b"http://test.example/admin", b"http://test.example//admin"]


@pytest.mark.parametrize("listener", ["normal", "rejecting", "as_it_is"])
@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_case_70_the_path_judged_is_the_path_forwarded(stand, listener, target):
    status, head = stand.ask(listener, target)
    if head is None:
        assert status in (400, 403, 307), "refused, or sent to ask again by another name"
        return
    path = head.split(b" ")[1]
    assert status == 200 and path.startswith(b"/")
    assert not path.startswith(b"/admin"), "what is forwarded was not allowed"
    if listener != "as_it_is":
        assert b"/../" not in path and b"//" not in path and b"\\" not in path and b"%2f" not in path.lower()


@pytest.mark.parametrize("target", [b"/admin", b"/x/../admin", b"/%2e%2e/admin", b"//admin", b"/x/..%2fadmin", b"/x/..%5cadmin",
                                    b"/\\admin", b"/./admin", b"/admin;p", b"/%61dmin"], ids=repr)
def test_case_70_no_spelling_of_a_refused_path_gets_through(stand, target):
    status, head = stand.ask("normal", target)
    assert status in (400, 403) and head is None


@pytest.mark.parametrize("host", [b"admin.example", b"ADMIN.Example", b"admin.example:8080", b"admin.example.", b"Admin.example.:80"])
def test_case_70_no_spelling_of_a_refused_host_gets_through(stand, host):
    status, head = stand.ask("host", b"/", host)
    assert status in (400, 403) and head is None
    status, head = stand.ask("host", b"http://" + host + b"/", b"test.example")
    assert status in (400, 403) and head is None, "as part of the target"


# --- 71: a header that is there twice, or that is no text ---

USER, ADMIN_, FF, INSIDE = b"x: user", b"x: admin", b"x: admin\xff", b"x: ad\xffmin"


@pytest.mark.parametrize("fields,refused_by", [
    ([], {"allow", "allow_regex", "allow_all_but"}),
    ([USER], set()),
    ([USER, USER], set()),
    ([ADMIN_], {"deny", "deny_regex", "deny_all_but", "allow", "allow_all_but"}),
    ([USER, ADMIN_], {"deny", "deny_regex", "deny_all_but", "allow", "allow_all_but"}),
    ([ADMIN_, USER], {"deny", "deny_regex", "deny_all_but", "allow", "allow_all_but"}),
    ([FF], {"deny_regex", "deny_all_but", "allow", "allow_regex"}),
    ([INSIDE], {"deny_regex", "deny_all_but", "allow", "allow_regex"}),
    ([USER, FF], {"deny_regex", "deny_all_but", "allow", "allow_regex"}),
], ids=lambda v: repr(v) if isinstance(v, list) else "")
def test_case_71_each_value_is_judged(stand, fields, refused_by):
    listeners = ["deny", "deny_regex", "deny_all_but", "allow", "allow_regex", "allow_all_but"]
    statuses = {name: stand.ask(name, b"/", b"a", *fields)[0] for name in listeners}
    assert statuses == {name: 403 if name in refused_by else 200 for name in listeners}
