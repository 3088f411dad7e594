"""Policies and requests for the differential test of role-based access control."""

from test.support import proxy as px

FILTER = "envoy.filters.http.rbac"
HTTP = "envoy.extensions.filters.http.rbac.v3.RBAC"
TYPE = "type.googleapis.com/"
ANY = [{"any": True}]


def rbac(**fields):
    return px.typed(FILTER, HTTP, **fields)


def rules(action, permission=None, principal=None, name="p"):
    return {"action": action, "policies": {name: {
        "permissions": [permission] if permission else ANY, "principals": [principal] if principal else ANY}}}


def header(name="x", **match):
    return {"header": {"name": name, **match}}


def metadata(*path, invert=False, **value):
    return {"metadata": {"filter": FILTER, "path": [{"key": key} for key in path], "value": value, "invert": invert}}


def template(text):
    return {"uri_template": {"name": "u", "typed_config": {
        "@type": TYPE + "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", "path_template": text}}}


def path(**match):
    return {"url_path": {"path": match}}


def act(name, action=None):
    config = {"@type": TYPE + "envoy.config.rbac.v3.Action", "name": name}
    if action:
        config["action"] = action
    return {"action": {"name": "action", "typed_config": config}}


def asks(message="envoy.type.matcher.v3.HttpRequestHeaderMatchInput", **fields):
    return {"name": "input", "typed_config": {"@type": TYPE + message, **fields}}


X = asks(header_name="x")


def is_(value, what=None):
    return {"single_predicate": {"input": what or X, "value_match": value}}


def tree_list(*pairs, otherwise=None):
    tree = {"matcher_list": {"matchers": [{"predicate": when, "on_match": then} for when, then in pairs]}}
    if otherwise:
        tree["on_no_match"] = otherwise
    return tree


EXACT = {"string_match": {"exact": "admin"}}
REGEX = {"string_match": {"safe_regex": {"regex": ".*adm.n.*"}}}
WHO = rbac(shadow_rules=rules("DENY", header(**EXACT)))
NETWORK = "envoy.extensions.matching.common_inputs.network.v3."

LOCAL = {"address_prefix": "127.0.0.1", "prefix_len": 32}
OTHER = {"address_prefix": "10.0.0.0", "prefix_len": 8}

# Name -> the filters in front of the router.
POLICIES = {
    "allow_exact": [rbac(rules=rules("ALLOW", header(**EXACT)))],
    "deny_exact": [rbac(rules=rules("DENY", header(**EXACT), name="a b c[d]\"e"))],
    "allow_inverted": [rbac(rules=rules("ALLOW", header(invert_match=True, **EXACT)))],
    "deny_inverted": [rbac(rules=rules("DENY", header(invert_match=True, **EXACT)))],
    "allow_not": [rbac(rules=rules("ALLOW", {"not_rule": header(**EXACT)}))],
    "deny_not": [rbac(rules=rules("DENY", {"not_rule": header(**EXACT)}))],
    "deny_regex": [rbac(rules=rules("DENY", header(**REGEX)))],
    "allow_regex": [rbac(rules=rules("ALLOW", header(**REGEX)))],
    "allow_regex_inverted": [rbac(rules=rules("ALLOW", header(invert_match=True, **REGEX)))],
    "deny_missing_as_empty": [rbac(rules=rules(
        "DENY", header(invert_match=True, treat_missing_header_as_empty=True, **EXACT)))],
    "deny_present": [rbac(rules=rules("DENY", header(present_match=True)))],
    "deny_absent": [rbac(rules=rules("DENY", header(present_match=False)))],
    "deny_joined": [rbac(rules=rules("DENY", header(string_match={"exact": "user,admin"})))],
    "deny_host": [rbac(rules=rules("DENY", header("host", string_match={"exact": "a"})))],
    "deny_method": [rbac(rules=rules("DENY", header(":method", string_match={"exact": "GET"})))],
    "prefixes": [rbac(rules=rules("ALLOW", header(**EXACT), name="q.r"), rules_stat_prefix="rp",
                      shadow_rules=rules("DENY", header(**EXACT), name="n m"), shadow_rules_stat_prefix="sp_",
                      track_per_rule_stats=True)],
    "log": [rbac(rules=rules("LOG", header(**EXACT)))],
    "log_shadow": [rbac(shadow_rules=rules("LOG", header(**EXACT)))],
    "empty": [rbac(rules={})],
    "empty_deny": [rbac(rules={"action": "DENY"})],
    "nothing": [rbac()],
    "first_of_two": [rbac(rules={"policies": {
        "b": {"permissions": [header(**EXACT)], "principals": ANY},
        "a": {"permissions": [header(string_match={"prefix": "ad"})], "principals": ANY}}})],
    "metadata": [WHO, rbac(rules=rules("ALLOW", metadata("shadow_engine_result", string_match={"exact": "allowed"})))],
    "metadata_inverted": [WHO, rbac(rules=rules(
        "ALLOW", metadata("shadow_engine_result", invert=True, string_match={"exact": "allowed"})))],
    "metadata_present": [WHO, rbac(rules=rules("ALLOW", metadata("shadow_effective_policy_id", present_match=True)))],
    "metadata_absent": [WHO, rbac(rules=rules("ALLOW", metadata("shadow_effective_policy_id", present_match=False)))],
    "metadata_null": [WHO, rbac(rules=rules("ALLOW", metadata("shadow_effective_policy_id", null_match={})))],
    "metadata_missing": [WHO, rbac(rules=rules("ALLOW", metadata("none", invert=True, string_match={"exact": "a"})))],
    "metadata_or": [WHO, rbac(rules=rules("ALLOW", metadata("shadow_engine_result", or_match={"value_matchers": [
        {"string_match": {"exact": "denied"}}, {"list_match": {"one_of": {"string_match": {"exact": "x"}}}}]})))],
    "tree_empty": [rbac(matcher={})],
    "tree_over_rules": [rbac(matcher={}, rules=rules("ALLOW"))],
    "tree_list": [rbac(matcher=tree_list(
        (is_({"exact": "admin"}), act("m1")), (is_({"prefix": "user,"}), act("m3", "LOG")), otherwise=act("m2", "DENY")))],
    "tree_map": [rbac(
        matcher={"matcher_tree": {"input": X, "exact_match_map": {"map": {
            "admin": act("m1"), "user": act("m2", "DENY"), "user,admin": act("m3")}}}, "on_no_match": act("nm")},
        shadow_matcher={"matcher_tree": {"input": X, "prefix_match_map": {"map": {
            "adm": act("s1"), "admin,": act("s2", "DENY"), "": act("e", "DENY")}}}},
        shadow_rules_stat_prefix="zz", track_per_rule_stats=True)],
    "tree_prefix_nested": [rbac(matcher={"matcher_tree": {"input": X, "prefix_match_map": {"map": {
        "adm": {"matcher": tree_list((is_({"exact": "none"}), act("inner")))}, "a": act("shorter")}}},
        "on_no_match": act("nm", "DENY")})],
    "tree_not": [rbac(matcher=tree_list(({"not_matcher": is_({"exact": "admin"})}, act("m1"))))],
    "tree_nested": [rbac(matcher=tree_list(
        (is_({"prefix": "a"}), {"matcher": tree_list((is_({"exact": "zzz"}), act("in")))}),
        (is_({"prefix": "ad"}), act("second")), otherwise=act("nm", "DENY")))],
    "tree_source": [rbac(matcher=tree_list(
        (is_({"exact": "127.0.0.1"}, asks(NETWORK + "DirectSourceIPInput")), act("ip"))))],
    "tree_server_name": [rbac(matcher=tree_list(
        ({"not_matcher": is_({"exact": "x"}, asks(NETWORK + "ServerNameInput"))}, act("sni"))))],
    "addresses": [rbac(rules=rules("ALLOW", {"destination_ip": LOCAL}, {"and_ids": {"ids": [
        {"direct_remote_ip": LOCAL}, {"remote_ip": LOCAL}, {"source_ip": LOCAL}, {"not_id": {"remote_ip": OTHER}}]}}))],
    "port_range": [rbac(rules=rules("ALLOW", {"destination_port_range": {"start": 1, "end": 2}}))],
    "authenticated": [rbac(rules=rules("ALLOW", None, {"authenticated": {}}))],
    "not_authenticated": [rbac(rules=rules("ALLOW", None, {"not_id": {"authenticated": {}}}))],
    "no_server_name": [rbac(rules=rules("ALLOW", {"requested_server_name": {"exact": ""}}))],
}

# ------------------------------------------------------------------------------------------------ overrides by routes

TO_APP = {"match": {"prefix": "/"}, "route": {"cluster": "app"}}
OWN = rbac(rules=rules("DENY", header(**EXACT), name="own"), rules_stat_prefix="op_", track_per_rule_stats=True,
           shadow_rules=rules("DENY", header(**EXACT), name="own shadow"), shadow_rules_stat_prefix="os_")


def override(name=FILTER, message=HTTP + "PerRoute", **fields):
    return {"typed_per_filter_config": {name: {"@type": TYPE + message, **fields}}}


def table(*routes, host=None, **more):
    return {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": list(routes), **(host or {})}], **more}


NO_USERS = {"rules": rules("DENY", header(string_match={"prefix": "user"}), name="route"), "rules_stat_prefix": "rp_",
            "shadow_rules": rules("DENY", header(**EXACT), name="route shadow"), "shadow_rules_stat_prefix": "rs_"}
NOBODY = override(rbac={"rules": rules("DENY")})
NAMED = {**OWN, "name": "mine"}

# Name -> the filters in front of the router and the route configuration.
OVERRIDES = {
    "route": ([OWN], table({**TO_APP, **override(rbac=NO_USERS)})),
    "route_off": ([OWN], table({**TO_APP, **override()})),
    "route_empty": ([OWN], table({**TO_APP, **override(rbac={})})),
    "route_nothing_allowed": ([OWN], table({**TO_APP, **override(rbac={"rules": {}})})),
    "route_shadow_only": ([OWN], table({**TO_APP, **override(rbac={"shadow_rules": rules("DENY", header(**EXACT))})})),
    "route_tree": ([OWN], table({**TO_APP, **override(rbac={"matcher": tree_list((is_({"exact": "admin"}), act("m1")))})})),
    "virtual_host": ([OWN], table(TO_APP, host=override(rbac=NO_USERS))),
    "whole_table": ([OWN], table(TO_APP, **override(rbac=NO_USERS))),
    "route_over_virtual_host": ([OWN], table({**TO_APP, **override(rbac=NO_USERS)}, host=NOBODY)),
    "weighted": ([OWN], table({"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [
        {"name": "app", "weight": 1, **override(rbac=NO_USERS)}]}}, **NOBODY})),
    "no_route": ([OWN], table({**TO_APP, "match": {"prefix": "/elsewhere"}}, host=override())),
    "direct": ([OWN], table({"match": {"prefix": "/"}, "direct_response": {"status": 200}, **NOBODY})),
    "of_all_by_that_name": ([OWN, rbac(rules=rules("DENY"))], table({**TO_APP, **override(rbac=NO_USERS)})),
    "of_another_name": ([NAMED], table({**TO_APP, **NOBODY})),
    "of_its_own_name": ([NAMED], table({**TO_APP, **override("mine", rbac=NO_USERS)})),
    "wrapped": ([OWN], table({**TO_APP, **override(message="envoy.config.route.v3.FilterConfig", config={
        "@type": TYPE + HTTP + "PerRoute", "rbac": NO_USERS})})),
}

HEADERS = {
    "none": [], "admin": [b"x: admin"], "user": [b"x: user"], "user_admin": [b"x: user", b"x: admin"],
    "admin_user": [b"x: admin", b"x: user"], "admin_admin": [b"x: admin", b"x: admin"], "byte_ff": [b"x: admin\xff"],
    "byte_inside": [b"x: adm\xffn"], "empty": [b"x:"], "host_case": [b"X: ADMIN"],
}

PATH_POLICIES = {
    "path_exact": [rbac(rules=rules("DENY", path(exact="/admin")))],
    "path_prefix": [rbac(rules=rules("DENY", path(prefix="/admin")))],
    "path_regex": [rbac(rules=rules("DENY", path(safe_regex={"regex": "/admin.*"})))],
    "path_header": [rbac(rules=rules("DENY", header(":path", string_match={"exact": "/admin"})))],
    "path_contains": [rbac(rules=rules("DENY", path(contains="ADMIN", ignore_case=True)))],
    "path_allow": [rbac(rules=rules("ALLOW", path(prefix="/a")))],
}
for _i, _text in enumerate(["/a/*", "/**", "/a/**", "/a/**/b", "/{x}", "/{x=a/*}", "/*.mpd", "/**.mpd", "/a/", "/", "/a=b",
                            "/*/x/{y=*/z}.m"]):
    PATH_POLICIES[f"template_{_i}"] = [rbac(rules=rules("ALLOW", template(_text)))]

PATHS = ["/admin", "/admin/", "/ADMIN", "//admin", "/a/../admin", "/%2e%2e/admin", "/admin?x=1", "/admin;x",
         "/admin%2f", "/./admin", "/x/..%5cadmin", "/..;/admin", "/admin%2Fx", "/adm%69n", "/x?/admin", "/", "/a", "/a/",
         "/a/b", "/a/b/", "/a/b/c", "/a=b", "/a/b.mpd", "/x.mpd", "/a%20b", "/a*b", "/a/b?x", "//a", "/a//b", "/q/x/y/z.m",
         "/%61dmin", "/admin%20", "/admin%3Fx", "/admin.", "/a/%2e%2e/admin"]

EACH = "each of several values is judged: to grant all must match, to refuse one"
NO_TEXT = "what is no text matches no regular expression that would grant, and every one that would refuse"

# (policy, request) -> (Envoy's status, Remora's, why it is stricter)
STRICTER = {
    ("allow_exact", "user_admin"): (200, 403, EACH),
    ("allow_exact", "admin_user"): (200, 403, EACH),
    ("deny_inverted", "user_admin"): (200, 403, EACH),
    ("deny_inverted", "admin_user"): (200, 403, EACH),
    ("deny_not", "user_admin"): (200, 403, EACH),
    ("deny_not", "admin_user"): (200, 403, EACH),
    ("allow_regex", "user_admin"): (200, 403, EACH),
    ("allow_regex", "admin_user"): (200, 403, EACH),
    ("deny_missing_as_empty", "user_admin"): (200, 403, EACH),
    ("deny_missing_as_empty", "admin_user"): (200, 403, EACH),
    ("deny_joined", "user_admin"): (200, 403, EACH),
    ("prefixes", "user_admin"): (200, 403, EACH),
    ("prefixes", "admin_user"): (200, 403, EACH),
    ("first_of_two", "user_admin"): (200, 403, EACH),
    ("first_of_two", "admin_user"): (200, 403, EACH),
    ("tree_list", "user_admin"): (200, 403, EACH),
    ("tree_not", "user_admin"): (200, 403, EACH),
    ("tree_not", "admin_user"): (200, 403, EACH),
    ("tree_not", "admin_admin"): (200, 403, EACH),
    ("allow_regex", "byte_ff"): (200, 403, NO_TEXT),
    ("allow_regex", "byte_inside"): (200, 403, NO_TEXT),
    ("tree_nested", "admin_user"): (200, 403, EACH),
}
