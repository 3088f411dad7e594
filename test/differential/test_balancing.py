"""Which hosts are chosen, beyond lists and hashes: zones, panic, aggregate clusters, sessions. Envoy and Remora, with the same bootstrap."""

import base64
import collections
import os
import re
import subprocess
import time

import pytest

from test.differential.exchange import pair_of
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream, answer_with

NAMES = "abcdefgh"
PICKS = 100
TOLERANCE = 32  # of PICKS: beyond four standard deviations of what two sides may differ by chance


class Host:
    def __init__(self, name, zone="", priority=0, health=None, weight=None):
        self.name, self.zone, self.priority, self.health, self.weight = name, zone, priority, health, weight


def zone(names, where, **more):
    return [Host(name, where, **more) for name in names]


def zone_aware(**more):
    return {"common_lb_config": {"zone_aware_lb_config": {"min_cluster_size": 1, **more}}}


def policy(name, message, **fields):
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": px.typed(
        name, f"envoy.extensions.load_balancing_policies.{name}.v3.{message}", **fields)}]}}


def aggregate(*members, **more):
    return {"lb_policy": "CLUSTER_PROVIDED", "cluster_type": px.typed(
        "envoy.clusters.aggregate", "envoy.extensions.clusters.aggregate.v3.ClusterConfig", clusters=list(members)), **more}


SICK = {"health": "UNHEALTHY"}
# The proxy is in zone x; of its own cluster two hosts are there and two in y.
OWN = zone("ab", "x") + zone("cd", "y")
# name: (hosts, what the cluster says)
CLUSTERS = {
    "all_here": (zone("abc", "x") + zone("def", "y"), zone_aware()),
    "half_here": (zone("a", "x") + zone("bcd", "y"), zone_aware()),
    "three_zones": (zone("a", "x") + zone("bcd", "y") + zone("efgh", "z"), zone_aware()),
    "nobody_here": (zone("ab", "y") + zone("cd", "z"), zone_aware()),
    "too_small": (zone("ab", "x") + zone("cde", "y"), {}),
    "large_enough": (zone("abc", "x") + zone("def", "y"), {}),
    "some_requests": (zone("ab", "x") + zone("cd", "y"), zone_aware(routing_enabled={"value": 50})),
    "no_request": (zone("ab", "x") + zone("cd", "y"), zone_aware(routing_enabled={"value": 0})),
    "sick_here": (zone("a", "x") + zone("bc", "x", **SICK) + zone("def", "y"), zone_aware()),
    "weighted_instead": (zone("ab", "x") + zone("cd", "y"), {"common_lb_config": {"locality_weighted_lb_config": {}}}),
    "least_request": (zone("ab", "x") + zone("cd", "y"), {"lb_policy": "LEAST_REQUEST", **zone_aware()}),
    "by_policy": (zone("a", "x") + zone("bcd", "y"), policy("random", "Random", locality_lb_config={
        "zone_aware_lb_config": {"min_cluster_size": 2}})),
    "full_scan": (zone("abcd", ""), policy("least_request", "LeastRequest", selection_method="FULL_SCAN")),
    "random_weights": ([Host("a", weight=1), Host("b", weight=9)], {"lb_policy": "RANDOM"}),
    "slow_start_of_all": (zone("abcd", ""), {"round_robin_lb_config": {"slow_start_config": {
        "slow_start_window": "300s", "aggression": {"default_value": 2, "runtime_key": "a"}, "min_weight_percent": {"value": 20}}}}),
    "panic_fails": (zone("a", "") + zone("bc", "", **SICK), zone_aware(fail_traffic_on_panic=True)),
    "panic_uses_all": (zone("a", "") + zone("bc", "", **SICK), zone_aware()),
    # What aggregate clusters are made of, and what is made of them.
    "half": (zone("a", "") + zone("b", "", **SICK), {}),
    "layers": (zone("a", "") + zone("b", "", **SICK) + zone("c", "", priority=1), {}),
    "whole": (zone("d", ""), {}),
    "sick": (zone("e", "", **SICK), {}),
    "empty": ([], {}),
    "of_two": (None, aggregate("half", "whole")),
    "of_layers": (None, aggregate("layers", "whole")),
    "of_sick": (None, aggregate("sick", "empty", "missing", "whole")),
    "of_all_sick": (None, aggregate("sick")),
    "of_nobody": (None, aggregate("empty", "missing")),
}
# Hosts of sessions: f drains, g is unhealthy.
SESSION_HOSTS = zone("abc", "") + zone("f", "", health="DRAINING") + zone("g", "", **SICK)
SESSIONS = {
    "session": {},
    "session_draining": {"common_lb_config": {"override_host_status": {"statuses": ["UNKNOWN", "DRAINING"]}}},
    "session_none": {"common_lb_config": {"override_host_status": {}}},
}
for name, more in SESSIONS.items():
    CLUSTERS[name] = (SESSION_HOSTS, more)


def cluster(name, hosts, more, ports):
    out = {"name": name, "connect_timeout": "1s", **more}
    if hosts is None:
        return out
    groups = {}
    for host in hosts:
        one = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": ports[host.name]}}}}
        if host.health:
            one["health_status"] = host.health
        if host.weight:
            one["load_balancing_weight"] = host.weight
        groups.setdefault((host.priority, host.zone), []).append(one)
    weights = {"x": 1, "y": 3}
    groups = [{"priority": priority, "locality": {"zone": where}, "load_balancing_weight": weights.get(where, 1), "lb_endpoints": group}
              for (priority, where), group in groups.items()]
    return {**out, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": groups}}


def session_filter(state=None, **more):
    fields = {} if state is None else {"session_state": state}
    return px.typed("session", "envoy.extensions.filters.http.stateful_session.v3.StatefulSession", **fields, **more)


def cookie(**fields):
    return px.typed("envoy.http.stateful_session.cookie", "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState", cookie={"name": "s", **fields})


def header():
    out = px.typed("envoy.http.stateful_session.header", "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState")
    out["typed_config"]["name"] = "X-Session"
    return out


def per_route(**fields):
    return {"typed_per_filter_config": {"session": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute", **fields}}}


def stateful(state, **more):
    return per_route(stateful_session={"session_state": state, **more})


# Sessions by route: what the route says of them.
ROUTES = {
    "plain": {}, "strict": stateful(cookie(), strict=True), "lasting": stateful(cookie(ttl="120s", path="/")),
    "by_path": stateful(cookie(path="/app")), "by_folder": stateful(cookie(path="/app/")), "by_header": stateful(header()),
    "by_header_strict": stateful(header(), strict=True), "off": per_route(disabled=True), "no_state": per_route(stateful_session={}),
}


def routes():
    for name in CLUSTERS:
        for kind, more in (ROUTES.items() if name in SESSIONS else [("plain", per_route(disabled=True))]):
            wanted = [{"name": "x-cluster", "string_match": {"exact": name}}, {"name": "x-kind", "string_match": {"exact": kind}}]
            yield {"match": {"prefix": "/", "headers": wanted}, "route": {"cluster": name}, **more}


class Side:
    def __init__(self, binary, ports, directory):
        chain = px.http_filter_chain(list(routes()), "in", http_filters=[session_filter(cookie())])
        clusters = [cluster("own", OWN, {}, ports)] + [cluster(name, hosts, more, ports) for name, (hosts, more) in CLUSTERS.items()]
        tcp = [px.static_listener(f"tcp_{name}", px.tcp_filter_chain(name)) for name in ("of_sick", "of_nobody")]
        bootstrap = px.static_bootstrap([px.static_listener("in", chain)] + tcp, clusters)
        bootstrap["cluster_manager"] = {"local_cluster_name": "own"}
        bootstrap["node"] = {"id": "n", "cluster": "c", "locality": {"zone": "x"}}
        self.proxy = px.Proxy(binary, bootstrap, args=["--concurrency", "1"], directory=directory)
        self.client = Client(self.proxy.port("in"))

    def ask(self, name, kind="plain", path="/", lines=""):
        self.client.send(f"GET {path} HTTP/1.1\r\nhost: a\r\nx-cluster: {name}\r\nx-kind: {kind}\r\n{lines}\r\n".encode())
        return self.client.read_answer()

    def spread(self, name, picks=PICKS):
        seen = collections.Counter()
        for _ in range(picks):
            answer = self.ask(name)
            seen[answer.body.decode() if answer.status == 200 else str(answer.status)] += 1
        return seen

    def stats(self, pattern):
        text = self.proxy.admin(f"/stats?filter={pattern}")[1]
        return {line.rsplit(": ", 1)[0]: int(line.rsplit(": ", 1)[1]) for line in text.splitlines() if line}

    def close(self):
        self.client.sock.close()
        self.proxy.stop()


@pytest.fixture(scope="module")
def ports():
    upstreams = {name: Upstream(answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + name.encode())) for name in NAMES}
    yield {name: upstream.port for name, upstream in upstreams.items()}
    for upstream in upstreams.values():
        upstream.close()


@pytest.fixture(scope="module")
def sides(ports, tmp_path_factory):
    with pair_of(lambda binary, directory: Side(binary, ports, directory), tmp_path_factory) as pair:
        yield pair


@pytest.mark.parametrize("name", [name for name in CLUSTERS if name not in SESSIONS])
def test_the_same_spread(sides, name):
    theirs, ours = (side.spread(name) for side in sides)
    # One of 5,000 requests Envoy sends to the first zone, whether there is room or not.
    least = 2 if name == "nobody_here" else 1
    assert sorted(who for who in ours if ours[who] >= least) == sorted(who for who in theirs if theirs[who] >= least)
    assert all(abs(ours[who] - theirs[who]) <= TOLERANCE for who in ours), (ours, theirs)
    theirs, ours = (side.stats(f"^cluster.{name}.(lb_zone|lb_healthy_panic|upstream_cx_none_healthy|upstream_rq_.xx)") for side in sides)
    for kind in ("sampled", "cross_zone", "all_directly"):  # by chance: which, not how many
        both = [side.pop(f"cluster.{name}.lb_zone_routing_{kind}") for side in (theirs, ours)]
        assert abs(both[0] - both[1]) <= TOLERANCE
    small = [side.pop(f"cluster.{name}.lb_zone_cluster_too_small") > 0 for side in (theirs, ours)]  # once for a thread and an update
    assert small[0] == small[1]
    assert ours == theirs


@pytest.mark.parametrize("name", ["half", "whole", "layers", "sick", "of_two", "of_layers", "of_sick"])
def test_members_and_aggregates_count_their_part(sides, name):
    """After all that was asked: which of the two counts connections, requests, answers."""
    counted = [{key: value > 0 for key, value in side.stats(f"^cluster.{name}.upstream_(rq_total|rq_completed|cx_total|rq_2xx)").items()}
               for side in sides]
    assert counted[0] == counted[1]


@pytest.mark.parametrize("name", ["of_sick", "of_nobody"])
def test_tcp_goes_to_members(sides, name):
    seen = []
    for side in sides:
        with Client(side.proxy.port(f"tcp_{name}")) as client:
            client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = client.read_answer()
            seen.append(answer and answer.body)
    assert seen[0] == seen[1]


def session_cookie(address, expires=None, raw=False):
    message = address.encode() if raw else b"\x0a" + bytes([len(address)]) + address.encode()
    if expires:
        number = expires
        message += b"\x10"
        while number >= 128:
            message += bytes([number % 128 + 128])
            number //= 128
        message += bytes([number])
    return "cookie: s=\"%s\"\r\n" % base64.b64encode(message).decode()


def session_header(address):
    return f"x-session: {base64.b64encode(address.encode()).decode()}\r\n"


def shape(answer, ports):
    """Who answered, and what the client is told to bring next time, with the ports as names."""
    names = {f"127.0.0.1:{port}": name for name, port in ports.items()}
    told = []
    for field in ("set-cookie", "x-session"):
        value = answer.header(field)
        if value is None:
            continue
        match = re.match(r'(s=")?([^";]*)("?.*)', value)
        inner = base64.b64decode(match[2])
        address = re.search(rb"127\.0\.0\.1:\d+", inner)[0].decode()
        rest = inner.replace(address.encode(), b"")
        rest = re.sub(rb"\x10.....$", b"EXPIRES", rest, flags=re.S) if "Max-Age" in value else rest
        told.append((field, match[1], names[address] in "abc" and names[address] == answer.body.decode(), rest, match[3]))
    return answer.status, told


SESSION_ASKS = {
    "nobody": lambda ports: "", "b": lambda ports: session_cookie(f"127.0.0.1:{ports['b']}"),
    "draining": lambda ports: session_cookie(f"127.0.0.1:{ports['f']}"), "sick": lambda ports: session_cookie(f"127.0.0.1:{ports['g']}"),
    "elsewhere": lambda ports: session_cookie("127.0.0.1:1"), "old_form": lambda ports: session_cookie(f"127.0.0.1:{ports['c']}", raw=True),
    "expired": lambda ports: session_cookie(f"127.0.0.1:{ports['b']}", expires=1000),
    "not_expired": lambda ports: session_cookie(f"127.0.0.1:{ports['b']}", expires=int(time.time()) + 1000),
    "garbage": lambda ports: "cookie: s=!!!\r\n", "empty": lambda ports: "cookie: s=\r\n",
    "header_b": lambda ports: session_header(f"127.0.0.1:{ports['b']}"), "header_elsewhere": lambda ports: session_header("127.0.0.1:1"),
    "header_garbage": lambda ports: "x-session: !!\r\n",
}


@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize("kind", ROUTES)
def test_sessions_stay_alike(sides, ports, name, kind):
    paths = ["/", "/app", "/app/x", "/apple"] if kind.startswith("by_") and "header" not in kind else ["/"]
    for ask, make in SESSION_ASKS.items():
        for path in paths:
            lines = make(ports)
            shapes, bodies = [], []
            for side in sides:
                answers = [side.ask(name, kind, path, lines) for _ in range(3)]
                shapes.append([shape(answer, ports) for answer in answers])
                bodies.append({answer.body for answer in answers})
            if name == "session_none":  # whether it is the one that was asked for is left to chance
                shapes = [{str(one) for one in side if one[1]} for side in shapes]
            assert shapes[0] == shapes[1], (ask, path)
            assert (len(bodies[0]) == 1) == (len(bodies[1]) == 1), (ask, path, bodies)
            if len(bodies[0]) == 1:
                assert bodies[0] == bodies[1], (ask, path)


REFUSED = {
    "aggregate_of_none": aggregate(),
    "aggregate_by_round_robin": {**aggregate("a"), "lb_policy": "ROUND_ROBIN"},
    "slow_start_backwards": {"type": "STATIC", "round_robin_lb_config": {"slow_start_config": {"min_weight_percent": {"value": 101}}}},
    "slow_start_zero_aggression": {"type": "STATIC", "round_robin_lb_config": {"slow_start_config": {
        "slow_start_window": "1s", "aggression": {"default_value": 0, "runtime_key": "a"}}}},
    "zone_percent": {"type": "STATIC", "common_lb_config": {"zone_aware_lb_config": {"routing_enabled": {"value": 101}}}},
    "local_cluster_missing": None,
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_same_is_refused(tmp_path, name):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    from json import dumps
    bootstrap = {"cluster_manager": {"local_cluster_name": "own"}} if REFUSED[name] is None else {
        "static_resources": {"clusters": [{"name": "c", "connect_timeout": "1s", **REFUSED[name]}]}}
    path = tmp_path / "bootstrap.json"
    path.write_text(dumps(bootstrap))
    codes = [subprocess.run([binary, "-c", str(path), "--mode", "validate", *more], capture_output=True, timeout=60).returncode == 0
             for binary, more in ((px.ENVOY, ["--use-dynamic-base-id"]), (px.REMORA, []))]
    assert codes[0] == codes[1]
