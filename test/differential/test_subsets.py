"""Subsets of hosts by their metadata: Envoy and Remora find the same hosts for what routes ask, fall back alike and count it."""

import collections
import os
import subprocess

import pytest

from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream, answer_with

PICKS = 12


def lb(**labels):
    return {"filter_metadata": {"envoy.lb": labels}}


def selector(*keys, **more):
    return {"keys": list(keys), **more}


def host(name, health=None, priority=0, zone="", **labels):
    return name, health, priority, zone, labels


PLAIN = [host("a", version="1", stage="prod"), host("b", version="1", stage="dev"), host("c", version="2", stage="prod"),
         host("d", version="2", stage="dev", canary=True), host("e"), host("f", version=["3", "4"], stage="prod")]
SICK = [host("a", health="UNHEALTHY", version="1"), host("b", version="1"), host("c", health="UNHEALTHY", version="2"),
        host("d", health="DEGRADED", version="3"), host("e", health="UNHEALTHY", version="3"), host("f")]
LAYERS = [host("a", version="1"), host("b", version="2"), host("c", priority=1, version="1"), host("d", version="3"),
          host("e", health="UNHEALTHY", version="4"), host("f", priority=1, version="4")]
VERSION, STAGE, BOTH = selector("version"), selector("stage"), selector("version", "stage")
V1, V2, V3, V9 = ({"version": v} for v in "1239")
ASKS = [None, {}, V1, V2, V3, {"version": "4"}, V9, {"version": 1}, {"version": ["3", "4"]}, {"stage": "prod"}, {"canary": True},
        {"version": "1", "stage": "prod"}, {"stage": "dev", "version": "2"}, {"version": "9", "stage": "prod"}, {"version": "1", "other": "x"}]
LISTS = [{"version": "1", "fallback_list": f} for f in (
    [{"version": "9"}, {"version": "2"}], [{"version": "9"}, {"stage": "prod"}, {}], [], "no list", ["no struct"])]

# name: (hosts, lb_subset_config, what the cluster says besides)
CLUSTERS = {
    "none": (PLAIN, {"subset_selectors": [VERSION, BOTH]}, {}),
    "any": (PLAIN, {"subset_selectors": [VERSION, STAGE], "fallback_policy": "ANY_ENDPOINT"}, {}),
    "default": (PLAIN, {"subset_selectors": [VERSION, selector("canary")], "fallback_policy": "DEFAULT_SUBSET", "default_subset": V2}, {}),
    "default_all": (PLAIN, {"subset_selectors": [VERSION], "fallback_policy": "DEFAULT_SUBSET"}, {}),
    "default_nobody": (PLAIN, {"subset_selectors": [VERSION], "fallback_policy": "DEFAULT_SUBSET", "default_subset": V9}, {}),
    "panic_any": (PLAIN, {"subset_selectors": [VERSION], "fallback_policy": "DEFAULT_SUBSET", "default_subset": V9, "panic_mode_any": True}, {}),
    "panic_alone": (PLAIN, {"subset_selectors": [VERSION], "panic_mode_any": True}, {}),
    "lists": (PLAIN, {"subset_selectors": [VERSION, BOTH], "list_as_any": True, "fallback_policy": "DEFAULT_SUBSET",
                      "default_subset": {"version": "4"}}, {}),
    "per_selector": (PLAIN, {"fallback_policy": "ANY_ENDPOINT", "default_subset": {"stage": "dev"}, "subset_selectors": [
        selector("version", fallback_policy="NO_FALLBACK"), selector("stage", fallback_policy="DEFAULT_SUBSET"),
        selector("canary", fallback_policy="ANY_ENDPOINT")]}, {}),
    "fewer_keys": (PLAIN, {"default_subset": {"stage": "dev"}, "fallback_policy": "DEFAULT_SUBSET", "subset_selectors": [
        selector("version", "stage", fallback_policy="KEYS_SUBSET", fallback_keys_subset=["stage"]),
        selector("stage"), selector("version", "other", fallback_policy="KEYS_SUBSET", fallback_keys_subset=["other"])]}, {}),
    "single": (PLAIN, {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": [selector("version", single_host_per_subset=True)]}, {}),
    "single_of_two": (PLAIN, {"subset_selectors": [selector("version", "stage", single_host_per_subset=True), STAGE]}, {}),
    "single_sick": (SICK, {"subset_selectors": [selector("version", single_host_per_subset=True)]}, {}),
    "fallback_list": (PLAIN, {"subset_selectors": [VERSION, BOTH], "metadata_fallback_policy": "FALLBACK_LIST"}, {}),
    "no_fallback_list": (PLAIN, {"subset_selectors": [VERSION, BOTH], "fallback_policy": "ANY_ENDPOINT"}, {}),
    "sick": (SICK, {"subset_selectors": [VERSION], "fallback_policy": "ANY_ENDPOINT"}, {}),
    "sick_no_panic": (SICK, {"subset_selectors": [VERSION], "fallback_policy": "ANY_ENDPOINT", "panic_mode_any": True},
                      {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}),
    "layers": (LAYERS, {"subset_selectors": [VERSION], "fallback_policy": "ANY_ENDPOINT"}, {}),
    "no_selectors": (PLAIN, {"fallback_policy": "NO_FALLBACK"}, {}),
    "least_request": (PLAIN, {"subset_selectors": [VERSION]}, {"lb_policy": "LEAST_REQUEST"}),
    "random": (PLAIN, {"subset_selectors": [VERSION]}, {"lb_policy": "RANDOM"}),
    "ring": (PLAIN, {"subset_selectors": [STAGE], "fallback_policy": "ANY_ENDPOINT"}, {"lb_policy": "RING_HASH"}),
    "maglev": (PLAIN, {"subset_selectors": [STAGE], "fallback_policy": "ANY_ENDPOINT"}, {"lb_policy": "MAGLEV"}),
    "policy": (PLAIN, None, {"load_balancing_policy": {"policies": [{"typed_extension_config": px.typed(
        "subset", "envoy.extensions.load_balancing_policies.subset.v3.Subset", subset_selectors=[VERSION, STAGE], fallback_policy="ANY_ENDPOINT",
        subset_lb_policy={"policies": [{"typed_extension_config": px.typed(
            "rr", "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin")}]})}]}}),
}
ZONES = [host("a", zone="x", version="1"), host("b", zone="x", version="2"), host("c", zone="x", version="2"), host("d", zone="x", version="2"),
         host("e", zone="y", version="1"), host("f", zone="y", version="1")]
# The locality weights are 3 and 1.
WEIGHTED = {
    "weights_forgotten": {"subset_selectors": [VERSION]},
    "weights_kept": {"subset_selectors": [VERSION], "locality_weight_aware": True},
    "weights_scaled": {"subset_selectors": [VERSION], "locality_weight_aware": True, "scale_locality_weight": True},
}
for name, config in WEIGHTED.items():
    CLUSTERS[name] = (ZONES, config, {"common_lb_config": {"locality_weighted_lb_config": {}}})


def endpoints(hosts, ports):
    groups = {}
    for name, health, priority, zone, labels in hosts:
        one = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": ports[name]}}}}
        if health:
            one["health_status"] = health
        if labels:
            one["metadata"] = lb(**labels)
        groups.setdefault((priority, zone), []).append(one)
    return [{"priority": priority, "locality": {"zone": zone}, "load_balancing_weight": 1 if zone == "y" else 3, "lb_endpoints": group}
            for (priority, zone), group in groups.items()]


def cluster(name, ports):
    hosts, subsets, more = CLUSTERS[name]
    out = {"name": name, "type": "STATIC", "connect_timeout": "1s", **more,
           "load_assignment": {"cluster_name": name, "endpoints": endpoints(hosts, ports)}}
    return out if subsets is None else {**out, "lb_subset_config": subsets}


def route(name, key, action):
    wanted = [{"name": "x-cluster", "string_match": {"exact": name}}, {"name": "x-ask", "string_match": {"exact": key}}]
    return {"match": {"prefix": "/", "headers": wanted}, "route": action}


def routes():
    for name in CLUSTERS:
        for i, ask in enumerate(ASKS + LISTS):
            action = {"cluster": name, "hash_policy": [{"header": {"header_name": "x-key"}}]}
            if ask is not None:
                action["metadata_match"] = lb(**ask)
            yield route(name, str(i), action)
    for i, (outer, inner) in enumerate(MERGED):
        clusters = [{"name": "none", "weight": 1, **({} if inner is None else {"metadata_match": lb(**inner)})}]
        action = {"weighted_clusters": {"clusters": clusters}}
        yield route("merged", str(i), {**action, **({} if outer is None else {"metadata_match": lb(**outer)})})
    yield route("other_space", "0", {"cluster": "any", "metadata_match": {"filter_metadata": {"other": V1}}})


MERGED = [(None, V1), (V1, None), (V1, {"stage": "dev"}), (V1, V2), (V1, {}), (None, None)]
TCP = {"tcp": {"metadata_match": lb(**V2)}, "tcp_asks_nothing": {},
       "tcp_weighted": {"weighted_clusters": {"clusters": [{"name": "none", "weight": 1, "metadata_match": lb(stage="dev")}]},
                        "metadata_match": lb(**V1)}}


class Side:
    def __init__(self, binary, ports, directory):
        tcp = [px.static_listener(name, px.tcp_filter_chain("none", **more)) for name, more in TCP.items()]
        for listener in tcp:
            config = listener["filter_chains"][0]["filters"][0]["typed_config"]
            if "weighted_clusters" in config:
                del config["cluster"]
        listener = px.static_listener("in", px.http_filter_chain(list(routes()), "in"))
        self.proxy = px.Proxy(binary, px.static_bootstrap([listener] + tcp, [cluster(name, ports) for name in CLUSTERS]),
                              args=["--concurrency", "1"], directory=directory)
        self.client = Client(self.proxy.port("in"))

    def ask(self, name, key, times=PICKS):
        """How often each host answered; a status in place of who could not."""
        seen = collections.Counter()
        for i in range(times):
            self.client.send(f"GET / HTTP/1.1\r\nhost: a\r\nx-cluster: {name}\r\nx-ask: {key}\r\nx-key: {i}\r\n\r\n".encode())
            answer = self.client.read_answer()
            seen[answer.body.decode() if answer.status == 200 else str(answer.status)] += 1
        return seen

    def stats(self, name):
        text = self.proxy.admin(f"/stats?filter=^cluster.{name}.(lb_subsets_(selected|fallback)|lb_healthy_panic|upstream_cx_none_healthy)")[1]
        return {line.rsplit(": ", 1)[0]: int(line.rsplit(": ", 1)[1]) for line in text.splitlines() if line}

    def gauges(self):
        text = self.proxy.admin("/stats?filter=lb_subsets_(active|created|removed|single)")[1]
        return {line.rsplit(": ", 1)[0]: int(line.rsplit(": ", 1)[1]) for line in text.splitlines() if line}

    def close(self):
        self.client.sock.close()
        self.proxy.stop()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    upstreams = {name: Upstream(answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + name.encode())) for name in "abcdef"}
    ports = {name: upstream.port for name, upstream in upstreams.items()}
    pair = [Side(binary, ports, str(tmp_path_factory.mktemp("side"))) for binary in (px.ENVOY, px.REMORA)]
    yield pair
    for side in pair:
        side.close()
    for upstream in upstreams.values():
        upstream.close()


@pytest.mark.parametrize("name", [name for name in CLUSTERS if name not in WEIGHTED])
def test_the_same_hosts_are_found(sides, name):
    by_hash = name in ("ring", "maglev")
    # How often they must be asked until each host that may be drawn by chance has been.
    more = 10 if name in ("sick", "sick_no_panic", "layers") else 3 if name in ("random", "least_request") else 1
    theirs, ours = ({str(ask): side.ask(name, str(i), PICKS * more) for i, ask in enumerate(ASKS + LISTS)} for side in sides)
    if not by_hash:
        theirs, ours = ({ask: sorted(seen) for ask, seen in side.items()} for side in (theirs, ours))
    assert ours == theirs
    theirs, ours = (side.stats(name) for side in sides)
    assert ours == theirs


@pytest.mark.parametrize("name", WEIGHTED)
def test_localities_weigh_the_same(sides, name):
    for key in ("2", "3"):
        theirs, ours = (side.ask(name, key, 60) for side in sides)
        assert sorted(ours) == sorted(theirs)
        assert all(abs(ours[who] - theirs[who]) <= 3 for who in ours), (ours, theirs)


@pytest.mark.parametrize("i", range(len(MERGED)))
def test_weighted_clusters_add_to_the_route(sides, i):
    theirs, ours = (sorted(side.ask("merged", str(i))) for side in sides)
    assert ours == theirs


def test_other_metadata_asks_nothing(sides):
    theirs, ours = (sorted(side.ask("other_space", "0")) for side in sides)
    assert ours == theirs


@pytest.mark.parametrize("name", TCP)
def test_tcp_connections_find_the_same_hosts(sides, name):
    seen = []
    for side in sides:
        answers = set()
        for _ in range(PICKS):
            with Client(side.proxy.port(name)) as client:
                client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                answer = client.read_answer()
                answers.add(answer.body if answer else None)
        seen.append(answers)
    assert seen[0] == seen[1]


def test_subsets_are_counted_alike(sides):
    theirs, ours = (side.gauges() for side in sides)
    # Envoy's count grows with its threads, each of which has subsets of its own: here one worker and the main thread.
    assert {name: 2 * value if "duplicate" not in name else value for name, value in ours.items()} == theirs


REFUSED = {
    "single_of_two": {"lb_subset_config": {"subset_selectors": [selector("a", "b", single_host_per_subset=True)]}},
    "fewer_of_none": {"lb_subset_config": {"subset_selectors": [selector("a", "b", fallback_policy="KEYS_SUBSET")]}},
    "fewer_of_others": {"lb_subset_config": {"subset_selectors": [selector("a", "b", fallback_policy="KEYS_SUBSET", fallback_keys_subset=["c"])]}},
    "fewer_is_all": {"lb_subset_config": {"subset_selectors": [selector("a", "b", fallback_policy="KEYS_SUBSET", fallback_keys_subset=["b", "a"])]}},
    "subset_without_policy": {"load_balancing_policy": {"policies": [{"typed_extension_config": px.typed(
        "subset", "envoy.extensions.load_balancing_policies.subset.v3.Subset", subset_selectors=[VERSION])}]}},
    "original_dst": {"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "lb_subset_config": {"subset_selectors": [VERSION]}},
    "two_ways": {"lb_subset_config": {"subset_selectors": [VERSION]}, "load_balancing_policy": {"policies": [{"typed_extension_config": px.typed(
        "rr", "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin")}]}},
    "unused_keys": {"lb_subset_config": {"subset_selectors": [selector("a", fallback_keys_subset=["c"])]}},
    "no_keys": {"lb_subset_config": {"subset_selectors": [selector()]}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_same_is_refused(tmp_path, name):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    from json import dumps
    config = {"name": "a", "type": "STATIC", "connect_timeout": "1s", **REFUSED[name]}
    path = tmp_path / "bootstrap.json"
    path.write_text(dumps({"static_resources": {"clusters": [config]}}))
    codes = [subprocess.run([binary, "-c", str(path), "--mode", "validate", *more], capture_output=True, timeout=60).returncode == 0
             for binary, more in ((px.ENVOY, ["--use-dynamic-base-id"]), (px.REMORA, []))]
    assert codes[0] == codes[1]
