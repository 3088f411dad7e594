"""The dynamic forward proxy: requests go to the host that they name, whatever clients, names and control plane do meanwhile."""

import os

import pytest

from test.support import forward_proxy as fp
from test.support import proxy as px
from test.support.ads import AdsServer, ads_bootstrap
from test.support.client import Client, get
from test.support.dns import DnsServer
from test.support.proxy import wait_for
from test.support.upstream import Upstream

PENDING_LIMIT = 1024


class World:
    """A control plane, a DNS server, one upstream, and a proxy with listener and cluster "fwd"."""

    def __init__(self, directory, *args):
        self.ads, self.dns, self.upstream = AdsServer(), DnsServer(), Upstream()
        self.log_path = os.path.join(directory, "access.log")
        self.dns.set("app.test", "127.0.0.1")
        self.add("fwd", self.cache("fwd"))
        self.proxy = px.Proxy(px.REMORA, ads_bootstrap(self.ads.port, delta=True), args=["--file-flush-interval-msec", "20", *args],
                              directory=directory)

    def cache(self, name, **more):
        return fp.cache(name, self.dns.port, **more)

    def listener(self, name, config, **more):
        log = px.file_access_log(self.log_path, "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")
        chain = px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": name}}], name, access_log=log,
                                     http_filters=[fp.http_filter(config, **more)])
        return px.static_listener(name, chain)

    def add(self, name, config):
        self.ads.set("cluster", fp.cluster(name, config))
        self.ads.set("listener", self.listener(name, config))

    def port(self, name="fwd"):
        return wait_for(lambda: self.proxy.listeners().get(name), what=f"listener {name}")[1]

    def get(self, host, name="fwd"):
        return get(self.port(name), authority=f"{host}:{self.upstream.port}")

    def stat(self, name, cache="fwd"):
        return self.proxy.stat(f"dns_cache.{cache}.{name}")

    def pending(self, count, cache="fwd"):
        wait_for(lambda: self.stat("circuit_breakers.rq_pending_remaining", cache) == PENDING_LIMIT - count, what=f"{count} wait")

    def ask(self, host, name="fwd"):
        """A client whose request waits for the name."""
        client = Client(self.port(name))
        client.send(f"GET / HTTP/1.1\r\nhost: {host}:{self.upstream.port}\r\n\r\n".encode())
        self.pending(1, name)
        return client

    def must_log(self, line):
        def seen():
            with open(self.log_path) as f:
                return line in f.read().splitlines()

        wait_for(seen, what=line)

    def close(self):
        try:
            self.proxy.stop()
        finally:
            self.ads.stop()
            self.dns.close()
            self.upstream.close()


@pytest.fixture
def world(tmp_path):
    world = World(str(tmp_path))
    yield world
    world.close()


def test_requests_go_where_they_say(world):
    with Client(world.port()) as client:
        for host in ("app.test", "127.0.0.1", "localhost", "app.test"):
            client.send(f"GET / HTTP/1.1\r\nhost: {host}:{world.upstream.port}\r\n\r\n".encode())
            assert client.read_answer().status == 200
        client.send(b"GET / HTTP/1.1\r\nhost: nowhere.test\r\n\r\n")
        answer = client.read_answer()
        assert (answer.status, answer.body) == (503, b"DNS resolution failure")
    world.must_log("503 DF dns_resolution_failure{cares_norecords:Domain_name_not_found}")
    assert world.stat("num_hosts") == 4 and world.stat("dns_query_attempt") == 4


def test_authorities_that_name_no_host_are_not_looked_up(world):
    assert world.get("app.test").status == 200
    asked = len(world.dns.asked)
    for authority in ("", "-:", ":80", "user@app.test", "user:pass@app.test:80", "app.test:65536", "app.test:-1", "app.test:" + "0" * 5000 + "80",
                      "app.test:80:80", "app..test", "a" * 64 + ".test", "a." * 200, "a." * 20000, "[", "[]", "[::1", "::1", "[::1]x", "[app.test]",
                      "[::1]:99999", "[fe80::1%25lo]", "app.test%00"):
        assert get(world.port(), authority=authority).status in (400, 503), authority
    assert world.get("app.test").status == 200
    assert world.stat("num_hosts") == 1 and len(world.dns.asked) == asked


def test_only_so_many_names_are_kept_and_only_while_they_are_used(world):
    names = [f"n{i}.test" for i in range(5)]
    for name in names:
        world.dns.set(name, "127.0.0.1")
    world.add("few", world.cache("few", max_hosts=2, host_ttl="1s", dns_min_refresh_rate="1s"))
    wait_for(lambda: world.proxy.listeners().get("few"), what="the listener")
    answers = [world.get(name, "few") for name in names]
    assert [a.status for a in answers] == [200, 200, 503, 503, 503]
    assert answers[-1].body == b"DNS cache overflow"
    assert world.stat("host_overflow", "few") == 3 and world.stat("num_hosts", "few") == 2
    wait_for(lambda: world.stat("num_hosts", "few") == 0, what="nobody uses them")
    assert world.get(names[-1], "few").status == 200
    assert world.stat("host_removed", "few") == 2


def test_clients_that_leave_no_longer_wait(world):
    world.port()
    world.dns.hold()
    client = world.ask("app.test")
    client.close()
    world.pending(0)
    with world.ask("app.test") as again:
        world.dns.release()
        assert again.read_answer().status == 200
    world.pending(0)
    assert world.stat("dns_query_attempt") == 1


def test_only_so_many_requests_wait_and_known_names_need_not(world):
    world.add("narrow", world.cache("narrow", dns_cache_circuit_breaker={"max_pending_requests": 1}))
    assert world.get("app.test", "narrow").status == 200
    world.dns.set("late.test", "127.0.0.1")
    world.dns.hold()
    with Client(world.port("narrow")) as client:
        client.send(f"GET / HTTP/1.1\r\nhost: late.test:{world.upstream.port}\r\n\r\n".encode())
        wait_for(lambda: world.stat("circuit_breakers.rq_pending_open", "narrow") == 1, what="it waits")
        answer = world.get("another.test", "narrow")
        assert (answer.status, answer.body) == (503, b"Dynamic forward proxy pending request overflow")
        assert world.get("app.test", "narrow").status == 200
        world.dns.release()
        assert client.read_answer().status == 200
    assert world.stat("dns_rq_pending_overflow", "narrow") == 1


def test_a_server_that_does_not_answer(world):
    world.add("slow", world.cache("slow", dns_query_timeout="0.2s"))
    world.port("slow")
    world.dns.hold()
    assert world.get("app.test", "slow").body == b"DNS resolution failure"
    world.must_log("503 DF dns_resolution_failure{resolve_timeout}")
    assert world.stat("dns_query_timeout", "slow") == 1


def test_listener_and_cluster_may_change_while_a_request_waits(world):
    world.port()
    world.dns.hold()
    with world.ask("app.test") as client:
        changed = world.listener("fwd", world.cache("fwd"))
        changed["filter_chains"][0]["filters"][0]["typed_config"]["server_name"] = "another"
        world.ads.set("listener", changed)
        wait_for(lambda: world.proxy.stat("listener_manager.listener_modified") == 1, what="the changed listener")
        world.ads.set("cluster", fp.cluster("fwd", world.cache("fwd"), connect_timeout="2s"))
        wait_for(lambda: world.proxy.stat("cluster_manager.cluster_modified") == 1, what="the changed cluster")
        world.dns.release()
        assert client.read_answer().status == 200
    assert world.get("app.test").header("server") == "another"
    assert world.stat("dns_query_attempt") == 1


def test_listener_and_cluster_may_go_while_a_request_waits(world):
    world.port()
    world.dns.hold()
    with world.ask("app.test") as client:
        world.ads.remove("listener", "fwd")
        wait_for(lambda: world.proxy.stat("listener_manager.listener_removed") == 1, what="no listener")
        world.ads.remove("cluster", "fwd")
        wait_for(lambda: world.proxy.stat("cluster_manager.cluster_removed") == 1, what="no cluster")
        world.dns.release()
        assert client.read_answer().status == 503


def test_a_cache_of_which_nobody_is_left_may_change(tmp_path):
    world = World(str(tmp_path), "--drain-time-s", "1")
    try:
        assert world.get("app.test").status == 200
        world.ads.remove("listener", "fwd")
        world.ads.remove("cluster", "fwd")
        wait_for(lambda: not world.proxy.stats("^dns_cache[.]"), what="the cache has gone with all who had it")
        world.add("fwd", world.cache("fwd", max_hosts=7))
        assert world.get("app.test").status == 200
    finally:
        world.close()


def test_what_cannot_be_honoured_is_refused_with_its_place(world):
    world.port()
    type_at = "cluster_type.typed_config"
    good = world.cache("c")
    clusters = {
        f"{type_at}.sub_clusters_config: is not supported": fp.cluster_type(sub_clusters_config={}),
        f"{type_at}.dns_cache_config: is required": fp.cluster_type(),
        f"{type_at}.dns_cache_config.name: is required": fp.cluster_type(dns_cache_config={}),
        f"{type_at}.dns_cache_config.max_hosts: must be at least 1": fp.cluster_type(dns_cache_config={**good, "max_hosts": 0}),
        f"{type_at}.dns_cache_config.dns_min_refresh_rate: must be at least 1s": fp.cluster_type(
            dns_cache_config={**good, "dns_min_refresh_rate": "0.5s"}),
        f"{type_at}.dns_cache_config.preresolve_hostnames[0].address: is not the name of a host": fp.cluster_type(
            dns_cache_config={**good, "preresolve_hostnames": [{"address": "a b", "port_value": 80}]}),
        f"{type_at}.dns_cache_config: config specified DNS cache 'fwd' with different settings": fp.cluster_type(
            dns_cache_config=world.cache("fwd", max_hosts=9)),
        f"{type_at}: needs lb_policy CLUSTER_PROVIDED": {**fp.cluster_type(dns_cache_config=good), "lb_policy": "ROUND_ROBIN"},
        "health_checks: is not supported": {**fp.cluster_type(dns_cache_config=good), "health_checks": [{
            "timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1, "tcp_health_check": {}}]},
    }
    for reason, fields in clusters.items():
        world.ads.set("cluster", {"name": "bad", **fields})
        world.ads.wait_nack("cluster", reason)
    world.ads.remove("cluster", "bad")
    typed = px.typed(fp.FILTER, fp.MESSAGE + "FilterConfig", sub_cluster_config={})
    filters = {
        "sub_cluster_config: is not supported": typed,
        "dns_cache_config: is required": px.typed(fp.FILTER, fp.MESSAGE + "FilterConfig"),
        "dns_cache_config: config specified DNS cache 'fwd' with different settings": fp.http_filter(world.cache("fwd", max_hosts=9)),
    }
    for reason, one in filters.items():
        chain = px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "fwd"}}], "bad", http_filters=[one])
        world.ads.set("listener", px.static_listener("bad", chain))
        world.ads.wait_nack("listener", "http_filters[0].typed_config." + reason)
    assert world.get("app.test").status == 200
