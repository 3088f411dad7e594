"""Clusters whose endpoints are names: STRICT_DNS and LOGICAL_DNS. Envoy must do the same with the same bootstrap."""

import os

import pytest

from test.support import proxy as px
from test.support.client import Client, get
from test.support.dns import AAAA, A, DnsServer
from test.support.proxy import wait_for
from test.support.upstream import Upstream, answer_with

NAME = "app.test"
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


def named(text):
    return answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text.encode()))


@pytest.fixture(params=["remora", "envoy"])
def binary(request):
    path = {"remora": px.REMORA, "envoy": px.ENVOY}[request.param]
    if not path or not os.path.exists(path):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    return path


@pytest.fixture
def world():
    """A DNS server, and upstreams that answer with their address, all on one port."""
    upstreams = {}
    with DnsServer() as dns:
        upstreams[HOSTS[0]] = Upstream(named(HOSTS[0]))
        for host in HOSTS[1:]:
            upstreams[host] = Upstream(named(host), host, upstreams[HOSTS[0]].port)
        yield dns, upstreams
    for upstream in upstreams.values():
        upstream.close()


def bootstrap(dns, port, kind="STRICT_DNS", **more):
    cluster = {
        "name": "app", "type": kind, "connect_timeout": "1s", "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "0.05s",
        "typed_dns_resolver_config": px.typed(
            "envoy.network.dns_resolver.cares", "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            resolvers=[{"socket_address": {"address": "127.0.0.1", "port_value": dns.port}}]),
        "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "socket_address": {"address": NAME, "port_value": port}}}}]}]},
        **more}
    filters = px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}])
    return px.static_bootstrap([px.static_listener("in", filters)], [cluster])


def answers(proxy, count=8):
    return {get(proxy.port("in")).body.decode() for _ in range(count)}


def test_all_addresses_of_a_name_take_traffic_and_follow_it(binary, world, tmp_path):
    dns, upstreams = world
    dns.set(NAME, *HOSTS[:2])
    with px.Proxy(binary, bootstrap(dns, upstreams[HOSTS[0]].port), directory=str(tmp_path)) as proxy:
        assert answers(proxy) == set(HOSTS[:2])
        with Client(proxy.port("in")) as client:
            client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert client.read_answer().status == 200
            dns.set(NAME, HOSTS[2])
            wait_for(lambda: answers(proxy) == {HOSTS[2]}, what="the new address")
            client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert client.read_answer().body.decode() == HOSTS[2], "the client's connection lives on"
        assert proxy.stat("cluster.app.membership_total") == 1
        assert proxy.stat("cluster.app.update_success") >= 2


def test_a_name_that_cannot_be_resolved_for_a_while_keeps_its_addresses(binary, world, tmp_path):
    dns, upstreams = world
    dns.set(NAME, HOSTS[0])
    with px.Proxy(binary, bootstrap(dns, upstreams[HOSTS[0]].port), directory=str(tmp_path)) as proxy:
        assert answers(proxy) == {HOSTS[0]}
        dns.fail()
        wait_for(lambda: proxy.stat("cluster.app.update_failure") >= 2, what="failed look-ups")
        assert answers(proxy) == {HOSTS[0]}
        dns.set(NAME, HOSTS[1])
        dns.fail(False)
        wait_for(lambda: answers(proxy) == {HOSTS[1]}, what="look-ups work again")


def test_a_name_without_addresses_has_no_hosts(binary, world, tmp_path):
    dns, upstreams = world
    dns.set(NAME, HOSTS[0])
    with px.Proxy(binary, bootstrap(dns, upstreams[HOSTS[0]].port), directory=str(tmp_path)) as proxy:
        assert answers(proxy) == {HOSTS[0]}
        dns.set(NAME)
        wait_for(lambda: proxy.stat("cluster.app.membership_total") == 0, what="no host is left")
        assert get(proxy.port("in")).status == 503


def test_of_a_logical_name_the_first_address_is_used(binary, world, tmp_path):
    dns, upstreams = world
    dns.set(NAME, HOSTS[1], HOSTS[0])
    config = bootstrap(dns, upstreams[HOSTS[0]].port, "LOGICAL_DNS")
    with px.Proxy(binary, config, directory=str(tmp_path)) as proxy:
        assert answers(proxy) == {HOSTS[1]}
        dns.set(NAME, HOSTS[2])
        # A logical host keeps the connections that it has.
        for upstream in upstreams.values():
            upstream.close()
        reopened = Upstream(named("moved"), HOSTS[2], upstreams[HOSTS[0]].port)
        wait_for(lambda: answers(proxy, 1) == {"moved"}, what="new connections go to the new address")
        reopened.close()
        assert proxy.stat("cluster.app.membership_total") == 1


def test_a_logical_name_may_be_reached_at_any_of_its_addresses(binary, world, tmp_path):
    dns, upstreams = world
    dns.set(NAME, "127.0.0.9", HOSTS[1])  # nobody is at the first
    config = bootstrap(dns, upstreams[HOSTS[0]].port, "LOGICAL_DNS", dns_refresh_rate="300s")
    with px.Proxy(binary, config, directory=str(tmp_path)) as proxy:
        assert answers(proxy, 3) == {HOSTS[1]}
        assert proxy.stat("cluster.app.membership_total") == 1
        assert proxy.stat("cluster.app.upstream_cx_total") == 2


def test_serving_waits_for_names(binary, world, tmp_path):
    dns, upstreams = world
    dns.hold()
    config = bootstrap(dns, upstreams[HOSTS[0]].port)
    with px.Proxy(binary, config, directory=str(tmp_path), wait_ready=False) as proxy:
        wait_for(lambda: dns.asked, what="the look-up")
        assert proxy.admin("/ready")[0] == 503
        dns.set(NAME, HOSTS[0])
        dns.release()
        proxy.wait_ready(30)
        assert answers(proxy) == {HOSTS[0]}


@pytest.mark.parametrize("family,kinds", [("V4_ONLY", {A}), ("V6_ONLY", {AAAA}), ("ALL", {A, AAAA})])
def test_families_are_asked_for_as_configured(binary, world, tmp_path, family, kinds):
    dns, upstreams = world
    dns.set(NAME, HOSTS[0], "::1")
    config = bootstrap(dns, upstreams[HOSTS[0]].port, dns_lookup_family=family)
    with px.Proxy(binary, config, directory=str(tmp_path)) as proxy:
        wait_for(lambda: proxy.stat("cluster.app.membership_total") == len(kinds), what="the hosts")
        assert {kind for name, kind in dns.asked if name == NAME} == kinds
