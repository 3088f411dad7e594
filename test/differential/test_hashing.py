"""Clusters that choose hosts by a hash: Envoy and Remora, over the same hosts, send every request to the same one."""

import os
import re

import pytest

from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream, answer_with

HOSTS = 6
WEIGHTS = [1, 1, 2, 5, 3, 1]


def policy(name, **more):
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": px.typed(
        f"envoy.load_balancing_policies.{name}",
        "envoy.extensions.load_balancing_policies.%s.v3.%s" % (name, "RingHash" if name == "ring_hash" else "Maglev"),
        **more)}]}}


# name: (what the cluster says, how its endpoints differ from plain ones)
CLUSTERS = {
    "ring": ({"lb_policy": "RING_HASH"}, None),
    "ring_small": ({"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 1}}, None),
    "ring_bounded": ({"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 9, "maximum_ring_size": 10}}, None),
    "ring_murmur": ({"lb_policy": "RING_HASH", "ring_hash_lb_config": {"hash_function": "MURMUR_HASH_2"}}, None),
    "ring_weights": ({"lb_policy": "RING_HASH"}, "weights"),
    "ring_keys": ({"lb_policy": "RING_HASH"}, "keys"),
    "ring_localities": ({"lb_policy": "RING_HASH", "common_lb_config": {"locality_weighted_lb_config": {}}}, "localities"),
    "ring_priorities": ({"lb_policy": "RING_HASH"}, "priorities"),
    "ring_unhealthy": ({"lb_policy": "RING_HASH"}, "unhealthy"),
    "ring_panic": ({"lb_policy": "RING_HASH"}, "panic"),
    "ring_policy": (policy("ring_hash", minimum_ring_size=64, hash_function="MURMUR_HASH_2"), "weights"),
    "maglev": ({"lb_policy": "MAGLEV"}, None),
    "maglev_small": ({"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 11}}, "weights"),
    "maglev_weights": ({"lb_policy": "MAGLEV"}, "weights"),
    "maglev_localities": ({"lb_policy": "MAGLEV", "common_lb_config": {"locality_weighted_lb_config": {}}}, "localities"),
    "maglev_policy": (policy("maglev", table_size=65539), "keys"),
}

# name: (hash policies, further fields of the route, header lines and path by number of the request)
REQUESTS = {
    "header": ([{"header": {"header_name": "X-Key"}}], {}, lambda i: (f"x-key: {i}", "/")),
    "several_values": ([{"header": {"header_name": "x-key"}}], {}, lambda i: (f"x-key: b{i}\r\nx-key: a", "/")),
    "several_values_turned": ([{"header": {"header_name": "x-key"}}], {}, lambda i: (f"x-key: a\r\nx-key: b{i}", "/")),
    "pseudo_header": ([{"header": {"header_name": ":path"}}], {"prefix_rewrite": "/same"}, lambda i: ("", f"/{i}?x")),  # as the route has rewritten it
    "authority": ([{"header": {"header_name": ":authority"}}], {}, lambda i: (f"host: h{i}", "/")),
    "rewritten": ([{"header": {"header_name": "x-key", "regex_rewrite": {
        "pattern": {"regex": "^/t/([0-9]+)/.*$"}, "substitution": "\\1"}}}], {}, lambda i: (f"x-key: /t/{i // 2}/{i}", "/")),
    "cookie": ([{"cookie": {"name": "s"}}], {}, lambda i: (f"cookie: a=1; s={i}; s=other", "/")),
    "quoted_cookie": ([{"cookie": {"name": "s"}}], {}, lambda i: (f'cookie: s="{i}"', "/")),
    "second_cookie_field": ([{"cookie": {"name": "s"}}], {}, lambda i: (f"cookie: a=1\r\ncookie: s={i}", "/")),
    "cookie_that_is_there": ([{"cookie": {"name": "s", "ttl": "9s"}}], {}, lambda i: (f"cookie: s={i}", "/")),
    "query": ([{"query_parameter": {"name": "k"}}], {}, lambda i: ("", f"/?a=1&k={i}&k=2")),
    "escaped_query": ([{"query_parameter": {"name": "k"}}], {}, lambda i: ("", f"/?k=%41{i}")),
    "empty_query": ([{"query_parameter": {"name": "k"}}, {"query_parameter": {"name": "j"}}], {}, lambda i: ("", f"/?k&j={i}")),
    "client": ([{"connection_properties": {"source_ip": True}}], {}, lambda i: (f"x-forwarded-for: 10.0.0.{i}", "/")),
    "two": ([{"header": {"header_name": "x-key"}}, {"query_parameter": {"name": "k"}}], {}, lambda i: (f"x-key: {i}", f"/?k={7 * i}")),
    "terminal": ([{"header": {"header_name": "x-key"}, "terminal": True}, {"query_parameter": {"name": "k"}}], {},
                 lambda i: (f"x-key: {i}" if i % 2 else "", f"/?k={i}")),
}
PICKS = 40


def endpoint(port, i, kind):
    out = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    if kind == "weights":
        out["load_balancing_weight"] = WEIGHTS[i]
    if kind == "keys":
        out["metadata"] = {"filter_metadata": {"envoy.lb": {"hash_key": f"key-{i}"}}}
    if (kind == "unhealthy" and i < 2) or (kind == "panic" and i < 4) or (kind == "priorities" and i == 0):
        out["health_status"] = "UNHEALTHY"
    return out


def assignment(name, ports, kind):
    endpoints = [endpoint(port, i, kind) for i, port in enumerate(ports)]
    if kind == "localities":
        groups = [{"locality": {"zone": f"z{i}"}, "load_balancing_weight": i + 1, "lb_endpoints": endpoints[2 * i:2 * i + 2]}
                  for i in range(3)]
    elif kind == "priorities":
        groups = [{"priority": i, "lb_endpoints": endpoints[3 * i:3 * i + 3]} for i in range(2)]
    else:
        groups = [{"lb_endpoints": endpoints}]
    return {"cluster_name": name, "endpoints": groups}


def route(path, cluster, policies, **more):
    return {"match": {"headers": [{"name": "x-case", "string_match": {"exact": path}}], "prefix": "/"},
            "route": {"cluster": cluster, "hash_policy": policies, **more}}


class Side:
    def __init__(self, binary, ports, directory):
        clusters = [{"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment(name, ports, kind), **how}
                    for name, (how, kind) in CLUSTERS.items()]
        header = [{"header": {"header_name": "x-key"}}]
        routes = [route(name, name, header) for name in CLUSTERS]
        routes += [route(name, "ring", policies, **more) for name, (policies, more, _) in REQUESTS.items()]
        routes.append(route("new_cookie", "maglev", [{"cookie": {"name": "s", "ttl": "3600.7s", "path": "/p", "attributes": [
            {"name": "SameSite", "value": "Strict"}, {"name": "Secure"}]}}]))
        routes.append(route("session_cookie", "ring", [{"cookie": {"name": "s", "ttl": "0s"}}]))
        hcm = {"use_remote_address": False, "xff_num_trusted_hops": 0}
        listener = px.static_listener("in", px.http_filter_chain(routes, "in", **hcm))
        tcp = px.static_listener("tcp", px.tcp_filter_chain("maglev", hash_policy=[{"source_ip": {}}]))
        self.proxy = px.Proxy(binary, px.static_bootstrap([listener, tcp], clusters), directory=directory)
        self.client = Client(self.proxy.port("in"))

    def ask(self, case, lines="", path="/"):
        host = "" if "host:" in lines else "host: a\r\n"
        self.client.send(f"GET {path} HTTP/1.1\r\n{host}x-case: {case}\r\n{lines}{chr(13) + chr(10) if lines else ''}\r\n".encode())
        return self.client.read_answer()

    def close(self):
        self.client.sock.close()
        self.proxy.stop()


def answer(i):
    return answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % i)


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    upstreams = [Upstream(answer(i)) for i in range(HOSTS)]
    ports = [upstream.port for upstream in upstreams]
    pair = [Side(binary, ports, str(tmp_path_factory.mktemp("side"))) for binary in (px.ENVOY, px.REMORA)]
    yield pair
    for side in pair:
        side.close()
    for upstream in upstreams:
        upstream.close()


def chosen(side, case, make):
    return b"".join(side.ask(case, *make(i)).body for i in range(PICKS)).decode()


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_same_host_by_every_table(sides, cluster):
    theirs, ours = (chosen(side, cluster, lambda i: (f"x-key: {i}", "/")) for side in sides)
    assert ours == theirs
    assert len(set(ours)) > 1


@pytest.mark.parametrize("case", REQUESTS)
def test_the_same_host_by_every_policy(sides, case):
    theirs, ours = (chosen(side, case, REQUESTS[case][2]) for side in sides)
    assert ours == theirs
    assert len(set(ours)) > 1


def test_values_in_another_order_hash_alike(sides):
    for side in sides:
        assert chosen(side, "several_values", REQUESTS["several_values"][2]) == \
            chosen(side, "several_values_turned", REQUESTS["several_values_turned"][2])


@pytest.mark.parametrize("case", ["new_cookie", "session_cookie"])
def test_a_client_without_a_cookie_is_given_the_same_kind_of_one(sides, case):
    shapes = []
    for side in sides:
        first = side.ask(case)
        cookie = first.header("set-cookie")
        value = re.match(r's="([0-9a-f]+)"', cookie)[1]
        shapes.append(cookie.replace(value, "VALUE"))
        again = side.ask(case, f"cookie: s={value}")
        assert (again.body, again.header("set-cookie")) == (first.body, None), "it stays where it was"
    assert shapes[0] == shapes[1]


def test_tables_are_counted_alike(sides):
    theirs, ours = ({line for line in side.proxy.admin("/stats?filter=(ring_hash|maglev)_lb")[1].splitlines() if line}
                    for side in sides)
    assert ours == theirs
    assert any(line.startswith("cluster.ring.ring_hash_lb.size: ") for line in ours)


def test_tcp_connections_go_by_the_address_of_the_client(sides):
    request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
    seen = []
    for side in sides:
        hosts = ""
        for i in range(1, 21):
            with Client(side.proxy.port("tcp"), source=f"127.0.0.{i}") as client:
                client.send(request)
                hosts += client.read_answer().body.decode()
        seen.append(hosts)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 1
