"""Choosing, rewriting and counting by routes, through the real binary; test/differential/test_routing.py compares with Envoy."""

import pytest

from test.support import proxy as px
from test.support.client import get
from test.support.upstream import Upstream

PATHS = "type.googleapis.com/envoy.extensions.path."
HEADER = {"name": "i", "typed_config": {
    "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": "x-to"}}


def echo_head(peer):
    while True:
        head, _ = peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(head) + head)


def template(kind, **fields):
    message = f"{kind}.uri_template.v3.UriTemplate{kind.capitalize()}Config"
    return {"name": "x", "typed_config": {"@type": PATHS + message, **fields}}


def route(prefix, **action):
    return {"@type": "type.googleapis.com/envoy.config.route.v3.Route", "match": {"prefix": prefix}, "route": {"cluster": "app", **action}}


def routed(**fields):
    return {"action": {"name": "r", "typed_config": route("/", **fields)}}


LISTED = [
    {"match": {"path_match_policy": template("match", path_template="/{lang}/files/{name=**}")},
     "route": {"cluster": "app", "path_rewrite_policy": template("rewrite", path_template_rewrite="/{name}/in/{lang}")}},
    {"match": {"prefix": "/", "cookies": [{"name": "user", "string_match": {"prefix": "tester"}}]}, "stat_prefix": "testers",
     "route": {"cluster": "app", "path_rewrite": "/tests/%REQ(x-suite)%", "host_rewrite": "%REQ(x-suite)%.tests"}},
    {"match": {"prefix": "/old"}, "redirect": {"regex_rewrite": {"pattern": {"regex": "^/old/(.*)$"}, "substitution": "/new/\\1"}}},
]
TREE = {"matcher_tree": {"input": HEADER, "exact_match_map": {"map": {
    "blue": routed(host_rewrite_literal="blue"), "green": routed(host_rewrite_literal="green")}}}}
HOSTS = [
    {"name": "listed", "domains": ["*"], "routes": LISTED, "virtual_clusters": [
        {"name": "posts", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]}]},
    {"name": "tree", "domains": ["tree"], "matcher": TREE},
]


@pytest.fixture(scope="module")
def proxy():
    upstream = Upstream(echo_head)
    filters = px.http_filter_chain({"name": "r", "virtual_hosts": HOSTS})
    bootstrap = px.static_bootstrap([px.static_listener("in", filters)], [px.static_cluster("app", upstream.port)])
    with px.Proxy(px.REMORA, bootstrap) as running:
        running.in_port = running.port("in")
        yield running
    upstream.close()


def asked(proxy, path, *headers, authority="a"):
    """The first line of the request as the application got it, and its host."""
    answer = get(proxy.in_port, path, headers=headers, authority=authority)
    assert answer.status == 200
    lines = answer.body.decode().split("\r\n")
    return lines[0].split()[1], next(line[6:] for line in lines if line.lower().startswith("host: "))


def test_a_template_matches_and_rewrites(proxy):
    assert asked(proxy, "/en/files/a/b.txt?v=1")[0] == "/a/b.txt/in/en?v=1"
    assert get(proxy.in_port, "/en/files").status == 404


def test_a_cookie_chooses_and_formats_rewrite(proxy):
    assert asked(proxy, "/x?q", ("cookie", "a=b; user=tester7"), ("x-suite", "load")) == ("/tests/load?q", "load.tests")
    assert get(proxy.in_port, "/x", headers=[("cookie", "user=other")]).status == 404


def test_a_redirect_is_made_of_the_path(proxy):
    answer = get(proxy.in_port, "/old/a?q=1")
    assert (answer.status, answer.header("location").split("/", 3)[3]) == (301, "new/a?q=1")


def test_a_tree_finds_the_route(proxy):
    for name in ("blue", "green"):
        assert asked(proxy, "/", ("x-to", name), authority="tree")[1] == name
    assert get(proxy.in_port, "/", headers=[("x-to", "red")], authority="tree").status == 404


def test_virtual_clusters_and_routes_count(proxy):
    before = proxy.stats("^vhost")
    asked(proxy, "/x", ("cookie", "user=tester"), ("x-suite", "a"))
    after = proxy.stats("^vhost")
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    ends = ("upstream_rq_200", "upstream_rq_2xx", "upstream_rq_completed", "upstream_rq_total")
    assert grown == {f"vhost.listed.{kind}.{end}": 1 for kind in ("vcluster.other", "route.testers") for end in ends}
    _, text = proxy.admin("/stats/prometheus")
    assert 'envoy_vhost_vcluster_upstream_rq_total{envoy_virtual_cluster="posts",envoy_virtual_host="listed"} 0' in text
