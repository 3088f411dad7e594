"""Tables by hand, where chance would hide what chooses: weighted clusters by number, matching trees, virtual clusters."""

from test.differential.route_tables import CLUSTERS, extension

API = "type.googleapis.com/"


def get(path, *lines, host="example.com", method="GET"):
    return method, path, [("host", host), *lines], b""


def to(cluster, **more):
    return {"match": {"prefix": "/"}, "route": {"cluster": cluster}, **more}


def host(routes, name="all", domains=("*",), **more):
    return {"name": name, "domains": list(domains), "routes": routes, **more}


def weighted(**more):
    clusters = [{"name": name, "weight": i + 1} for i, name in enumerate(CLUSTERS)]
    return {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters, **more}}}


def by_hash(**more):
    out = weighted(use_hash_policy=True)
    out["route"]["hash_policy"] = [{"header": {"header_name": "x-a"}}, {"query_parameter": {"name": "q"}}]
    return {**out, **more}


def header_input(name):
    return {"name": "i", "typed_config": {"@type": API + "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": name}}


def action(**route):
    return {"action": {"name": "r", "typed_config": {"@type": API + "envoy.config.route.v3.Route", **route}}}


def actions(*routes):
    return {"action": {"name": "r", "typed_config": {"@type": API + "envoy.config.route.v3.RouteList", "routes": list(routes)}}}


def is_value(name, **value):
    return {"single_predicate": {"input": header_input(name), "value_match": value}}


def matcher(predicate, on_match):
    return {"predicate": predicate, "on_match": on_match}


def tree(kind, name, **outcomes):
    return {"matcher_tree": {"input": header_input(name), kind: {"map": outcomes}}}


A_THEN_ANY = actions({"match": {"prefix": "/a"}, "route": {"cluster": "c1"}}, to("c2"))
STATE = {"name": "i", "typed_config": {
    "@type": API + "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput", "key": "absent"}}
TREES = {
    "list": {"matcher_list": {"matchers": [
        matcher(is_value("x-a", exact="1"), action(**to("c0"))),
        matcher({"or_matcher": {"predicate": [is_value("x-a", prefix="ab"), is_value(":path", contains="b")]}}, A_THEN_ANY),
        matcher({"and_matcher": {"predicate": [is_value("x-n", suffix="7"), {"not_matcher": is_value("x-a", exact="2")}]}},
                action(**to("c2")))]}},
    "exact": tree("exact_match_map", "x-a", one=action(**to("c0")), two=A_THEN_ANY),
    "prefix": {**tree("prefix_match_map", ":path", **{"/": action(**to("c0")), "/a": action(**to("c1")), "/a/b": A_THEN_ANY}),
               "on_no_match": action(**to("c2"))},
    "nested": {**tree("exact_match_map", "x-a", one={"matcher": tree("prefix_match_map", ":path", **{"/a": A_THEN_ANY})}),
               "on_no_match": {"matcher": tree("exact_match_map", "host", **{"example.com": action(**to("c2"))})}},
    "skipped": {"matcher_list": {"matchers": [
        matcher(is_value("x-a", exact="1"), {"matcher": tree("exact_match_map", "x-n", five=action(**to("c0")))}),
        matcher(is_value("x-a", prefix="1"), action(**to("c1")))]}},
    "state": {"matcher_tree": {"input": STATE, "exact_match_map": {"map": {"v": action(**to("c0"))}}},
              "on_no_match": action(**to("c1"))},
}
TREE_REQUESTS = [get(path, *lines) for path in ("/", "/a", "/a/b", "/b?a=/a") for lines in (
    (), (("x-a", "1"),), (("x-a", "one"),), (("x-a", "two"),), (("x-a", "abc"), ("x-n", "7")), (("x-a", "1"), ("x-a", "2")),
    (("x-a", "1"), ("x-n", "five")))]
COUNTED = [{"name": "reads", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}, {"name": "x-a"}]},
           {"name": "in a", "headers": [{"name": ":path", "string_match": {"prefix": "/a"}}]}]
NUMBERS = ["0", "1", "2", "3", "5", "6", "8", "9223372036854775807", "18446744073709551615"]

# name: (the table, requests)
CASES = {
    "by_number": ([host([weighted(header_name="X-Number")])], [get("/", ("x-number", n)) for n in NUMBERS]),
    "by_hash": ([host([by_hash()])], [get(f"/?q={i}", ("x-a", str(i))) for i in range(6)] + [get("/?q=4"), get("/?q=5")]),
    "to_named": ([host([{"match": {"prefix": "/"}, "route": {"host_rewrite_literal": "route", "append_x_forwarded_host": True,
                                                            "weighted_clusters": {"clusters": [
        {"cluster_header": "x-to", "weight": 1, "host_rewrite_literal": "part"}]}}}])],
        [get("/", ("x-to", "c1")), get("/"), get("/", ("x-to", "absent")), get("/", ("x-to", "c1"), ("x-to", "c2"))]),
    "as_part": ([host([{"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [
        {"name": "c1", "weight": 1, "host_rewrite_literal": "part"}]}}}])], [get("/"), get("/", host="part")]),
    "by_other_host": ([host([to("c0")], "one", ["one", "one:80", "*.one"]), host([to("c1")])],
                      [get("/"), get("/", ("x-vhost", "ONE")), get("/", ("x-vhost", "a.one")), get("/", ("x-vhost", "one:80")),
                       get("/", ("x-vhost", "")), get("/", ("x-vhost", "one"), ("x-vhost", "two")), get("/", host="one")],
                      {"vhost_header": "X-Vhost"}),
    "parameters": ([host([
        {"match": {"path_match_policy": extension("match.uri_template.v3.UriTemplateMatchConfig", path_template="/a/{x}")},
         "route": {"cluster": "c0"}},
        {"match": {"prefix": "/a/"}, "route": {"cluster": "c1", "prefix_rewrite": "/new/"}}, {**to("c2"), "match": {"path": "/a"}}])],
        [get(path) for path in ("/a;v", "/a;v/b", "/a/b;v", "/a/b;v/c;w", "/a;v/b;w/c?q;r", "/a;v/")],
        {"ignore_path_parameters_in_path_matching": True}),
    "counted": ([host([to("c0", stat_prefix="of.all", match={"prefix": "/a"}), to("c1"),
                       ], "v.h", virtual_clusters=COUNTED,
                      request_headers_to_add=[{"header": {"key": "x-cluster-is", "value": "%VIRTUAL_CLUSTER_NAME%"}}])],
                [get("/a", ("x-a", "1")), get("/a"), get("/b"), get("/a", method="POST"), get("/b", ("x-a", "1"))]),
    **{"tree_" + name: ([{"name": "all", "domains": ["*"], "matcher": found}], TREE_REQUESTS) for name, found in TREES.items()},
}


def tables():
    """As the generator makes them, and the requests of each."""
    out = []
    for name, (hosts, requests, *more) in CASES.items():
        out.append(({"name": name, "virtual_hosts": hosts, "validate_clusters": False, **(more[0] if more else {})}, requests))
    return out
