"""Random route tables and random requests, and some tables by hand: Envoy and Remora choose the same route, edit and rewrite
alike, answer and count alike.

REMORA_ROUTING_SEED chooses other tables than those of every run."""

import json
import os
import re
import subprocess

import pytest

from test.differential import route_cases
from test.differential.exchange import normal_answer
from test.differential.route_tables import CLUSTERS, Generator, request_bytes
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream

SEED = int(os.environ.get("REMORA_ROUTING_SEED", "1"))
TABLES = 12
REQUESTS = 50  # of each table
BY_HAND = list(route_cases.CASES)


def echo(cluster):
    def script(peer):
        while True:
            head, body = peer.read_request()
            told = cluster.encode() + b" " + head + body
            if head.startswith(b"HEAD "):
                told = b""  # has none to tell
            peer.send(b"HTTP/1.1 200 OK\r\nx-up: 1\r\nserver: up\r\nset-cookie: a=1\r\nvary: a\r\n"
                      b"content-length: %d\r\n\r\n" % len(told) + told)

    return script


def manager_options(generator):
    return {
        "use_remote_address": generator.chance(0.4),
        "generate_request_id": False,
        "server_header_transformation": generator.one(["OVERWRITE", "PASS_THROUGH"]),
    }


def bootstrap(tables, options, upstreams):
    clusters = [px.static_cluster(name, upstream.port) for name, upstream in zip(CLUSTERS, upstreams)]
    for cluster in clusters:
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["hostname"] = cluster["name"] + ".host"
    listeners = [px.static_listener(table["name"], px.http_filter_chain(table, table["name"], **more))
                 for table, more in zip(tables, options)]
    return px.static_bootstrap(listeners, clusters)


def ask(port, requests):
    """What came of each request, over one connection while it lasts."""
    seen = []
    client = Client(port)
    for request in requests:
        if client.ended:
            client.close()
            client = Client(port)
        client.send(request_bytes(*request))
        answer = client.read_answer(head_only=request[0] == "HEAD")
        if answer is not None and (answer.header("connection") or "") == "close":
            client.ended = "fin"
        seen.append(normal(answer))
    client.close()
    return seen


def normal(answer):
    if answer is None:
        return None
    status, headers, body, _ = normal_answer(answer)
    body = re.sub(rb"x-envoy-expected-rq-timeout-ms: \d+", b"x-envoy-expected-rq-timeout-ms: <ms>", body)
    headers = [(k, "<length>" if k == "content-length" and b"<ms>" in body else v) for k, v in headers]
    return status, headers, body.decode("latin-1").splitlines()


def make(generator):
    """The tables, what each one's connection manager is told, and the requests to each."""
    tables = [generator.table(f"t{i}") for i in range(TABLES)]
    options = [manager_options(generator) for _ in tables]
    requests = [[generator.request(table) for _ in range(REQUESTS)] for table in tables]
    for table, asked in route_cases.tables():
        tables.append(table)
        options.append({"generate_request_id": False})
        requests.append(asked)
    return tables, options, requests


def counts(proxy):
    """What virtual clusters and routes have counted, by both kinds of name."""
    _, text = proxy.admin("/stats/prometheus")
    series = [line for line in text.splitlines() if line.startswith("envoy_vhost_") and "_rq_time_" not in line]
    return proxy.stats("^vhost"), sorted(series)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    tables, options, requests = make(Generator(SEED))
    upstreams = [Upstream(echo(name)) for name in CLUSTERS]
    seen, counted = [], []
    for binary in (px.ENVOY, px.REMORA):
        directory = str(tmp_path_factory.mktemp(os.path.basename(binary)))
        with px.Proxy(binary, bootstrap(tables, options, upstreams), directory=directory) as proxy:
            ports = proxy.listeners()
            seen.append([ask(ports[table["name"]][1], asked) for table, asked in zip(tables, requests)])
            counted.append(counts(proxy))
    for upstream in upstreams:
        upstream.close()
    return tables, requests, seen, counted


@pytest.mark.parametrize("at", range(TABLES + len(BY_HAND)), ids=[f"t{i}" for i in range(TABLES)] + BY_HAND)
def test_requests_go_the_same_way(runs, at):
    tables, requests, (theirs, ours), _ = runs
    different = [(request, a, b) for request, a, b in zip(requests[at], theirs[at], ours[at]) if a != b]
    assert not different, f"{len(different)} requests to {tables[at]}: the first is {different[0]}"


def test_virtual_clusters_and_routes_are_counted_alike(runs):
    (their_stats, their_series), (our_stats, our_series) = runs[3]
    assert their_stats["vhost.v.h.vcluster.other.upstream_rq_total"] > 0
    assert our_stats == their_stats
    assert our_series == their_series


def test_the_requests_reach_what_they_are_to_compare(runs):
    _, _, (theirs, _), _ = runs
    answers = [answer for table in theirs for answer in table if answer]
    assert len(answers) >= 300
    statuses = {answer[0].split()[1] for answer in answers}
    assert {"200", "301", "404", "503"} <= statuses
    routes = {value for answer in answers for name, value in answer[1] if name == "x-route"}
    assert len(routes) > 40


@pytest.mark.parametrize("kind, accepted", [("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", True)] + [
    (f"envoy.extensions.matching.common_inputs.network.v3.{name}Input", False)
    for name in ("SourceIP", "SourcePort", "DirectSourceIP", "DestinationIP", "DestinationPort", "ServerName")])
def test_a_tree_of_routes_may_ask_for_the_same(tmp_path, kind, accepted):
    """Only of the request and of filter state; what a policy's tree may ask for, a route's may not."""
    source = {"name": "i", "typed_config": {"@type": route_cases.API + kind, **({"header_name": "x"} if accepted else {})}}
    tree = {"matcher_tree": {"input": source, "exact_match_map": {"map": {"a": route_cases.action(**route_cases.to("c0"))}}}}
    filters = px.http_filter_chain([])
    filters[0]["typed_config"]["route_config"] = {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "matcher": tree}]}
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(px.static_bootstrap([px.static_listener("in", filters)], [px.static_cluster("c0", 1)])))
    for binary in (px.ENVOY, px.REMORA):
        done = subprocess.run([binary, "-c", str(path), "--mode", "validate"], capture_output=True, timeout=60)
        assert (done.returncode == 0) == accepted, (binary, done.stderr)
