"""How connections to hosts come about: ahead of requests, to one of several addresses, to an original destination. Envoy and Remora, with the
same bootstrap."""

import contextlib

import pytest

from test.differential.exchange import pair_of
from test.support import proxy as px
from test.support import proxy_header
from test.support.client import Client
from test.support.upstream import ClosedPort, Upstream, answer_with, black_hole

COUNTERS = ("upstream_cx_total", "upstream_cx_active", "upstream_cx_connect_fail", "upstream_cx_connect_timeout", "upstream_cx_overflow",
            "upstream_rq_total", "original_dst_host_invalid")


def named(text):
    return answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text.encode()))


def address(ip, port):
    return {"address": {"socket_address": {"address": ip, "port_value": port}}}


def hosts(*endpoints, **more):
    return {"type": "STATIC", "load_assignment": {"cluster_name": "c", "endpoints": [{"lb_endpoints": [{"endpoint": e} for e in endpoints]}]},
            "connect_timeout": "2s", **more}


def several(first, *others, **more):
    return hosts({**first, "additional_addresses": list(others)}, **more)


def order(version, count=1):
    return {"upstream_connection_options": {"happy_eyeballs_config": {
        "first_address_family_version": version, "first_address_family_count": count}}}


def preconnect(limit=None, **policy):
    more = {} if limit is None else {"circuit_breakers": {"thresholds": [{"max_connections": limit}]}}
    return {"preconnect_policy": policy, **more}


class World:
    """Servers on both families, a port that refuses and one that never answers."""

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.a, self.b, self.d = (self.stack.enter_context(Upstream(named(name))) for name in "abd")
        self.six = self.stack.enter_context(Upstream(named("six"), "::1"))
        self.closed = self.stack.enter_context(ClosedPort()).port
        self.silent = self.stack.enter_context(black_hole())
        return self

    def __exit__(self, *unused):
        self.stack.close()

    def clusters(self):
        return clusters_of(self.a.port, self.b.port, self.six.port, self.closed, self.silent)


def clusters_of(port_a, port_b, port_six, closed, silent):
    a, b, six, no = (address("127.0.0.1", port_a), address("127.0.0.1", port_b), address("::1", port_six), address("127.0.0.1", closed))
    no_six, silent = address("::1", closed), address("127.0.0.1", silent)
    out = {f"ahead_{ratio}": hosts(a, **preconnect(per_upstream_preconnect_ratio=ratio)) for ratio in (1, 1.1, 1.5, 2, 3)}
    out["ahead_bounded"] = hosts(a, **preconnect(2, per_upstream_preconnect_ratio=3))
    out["ahead_of_one_stream"] = hosts(a, **preconnect(per_upstream_preconnect_ratio=1.5), max_requests_per_connection=1)
    out["refused_first"] = several(no, a)
    out["refused_twice"] = several(no, no_six, b)
    out["all_refused"] = several(no, no_six)
    out["silent_first"] = several(silent, a)
    out["silent_twice"] = several(silent, silent, b)
    out["silent_all"] = several(silent, silent, connect_timeout="0.5s")
    out["in_turn"] = several(no, b, six)  # the other family before the second of the first
    out["six_first"] = several(a, b, six, **order("V6"))
    out["four_first"] = several(six, b, a, **order("V4"))
    out["two_of_four"] = several(no, address("127.0.0.2", closed), six, b, **order("V4", 2))
    out["no_six"] = several(a, b, **order("V6"))
    out["good_first"] = several(a, no)
    return out


class Side:
    def __init__(self, binary, clusters, directory, **listener):
        routes = [{"match": {"prefix": "/", "headers": [{"name": "x-cluster", "string_match": {"exact": name}}]}, "route": {"cluster": name}}
                  for name in clusters]
        bootstrap = px.static_bootstrap([px.static_listener("in", px.http_filter_chain(routes), **listener)],
                                        [{"name": name, **one} for name, one in clusters.items()])
        self.proxy = px.Proxy(binary, bootstrap, args=["--concurrency", "1"], directory=directory)

    def ask(self, name, prefix=b"", lines=""):
        with Client(self.proxy.port("in"), timeout=15) as client:
            client.send(prefix + f"GET / HTTP/1.1\r\nhost: a\r\nx-cluster: {name}\r\n{lines}\r\n".encode())
            answer = client.read_answer()
        return answer.status, answer.body

    def counters(self, name):
        return {key: self.proxy.stat(f"cluster.{name}.{key}") for key in COUNTERS}

    def close(self):
        self.proxy.stop()


@pytest.fixture(scope="module")
def world():
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def sides(world, tmp_path_factory):
    with pair_of(lambda binary, directory: Side(binary, world.clusters(), directory), tmp_path_factory) as pair:
        yield pair


def same(sides, name):
    """Both come to the same counters, in the end."""
    seen = []

    def agree():
        seen[:] = [side.counters(name) for side in sides]
        return seen[0] == seen[1]
    try:
        px.wait_for(agree, timeout=5, what="the same counters")
    except AssertionError:
        raise AssertionError(f"Envoy, Remora: {seen}") from None


@pytest.mark.parametrize("name", sorted(clusters_of(1, 2, 3, 4, 5)))
def test_connections_come_about_alike(sides, name):
    for _ in range(2):
        theirs, ours = (side.ask(name) for side in sides)
        assert ours == theirs
        same(sides, name)


@pytest.mark.parametrize("ratio", [1.5, 2, 3])
def test_hosts_next_in_turn_are_connected_before(world, tmp_path_factory, ratio):
    """In proxies of their own: Envoy reckons with the connections of all clusters together."""
    def clusters():
        return {"c": hosts(*[address(f"127.0.0.{i}", world.a.port) for i in range(1, 2)], address("127.0.0.1", world.b.port),
                           address("127.0.0.1", world.d.port), address("::1", world.six.port),
                           **preconnect(predictive_preconnect_ratio=ratio))}
    with pair_of(lambda binary, directory: Side(binary, clusters(), directory), tmp_path_factory) as pair:
        for _ in range(4):
            assert [side.ask("c")[0] for side in pair] == [200, 200]
            same(pair, "c")


TCP_COUNTERS = ("upstream_cx_total", "upstream_cx_active", "upstream_cx_overflow", "upstream_rq_total")


class TcpSide:
    """A listener for each cluster, of its name; sessions stay until they are closed."""

    def __init__(self, binary, clusters, directory):
        bootstrap = px.static_bootstrap([px.static_listener(name, px.tcp_filter_chain(name)) for name in clusters],
                                        [{"name": name, **one} for name, one in clusters.items()])
        self.proxy = px.Proxy(binary, bootstrap, args=["--concurrency", "1"], directory=directory)
        self.sessions = []

    def ask(self, name):
        self.sessions.append(Client(self.proxy.port(name), timeout=15))
        self.sessions[-1].send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        answer = self.sessions[-1].read_answer()
        return answer and answer.body

    def leave(self):
        while self.sessions:
            self.sessions.pop().close()

    def counters(self, name):
        return {key: self.proxy.stat(f"cluster.{name}.{key}") for key in TCP_COUNTERS}

    def close(self):
        self.leave()
        self.proxy.stop()


@pytest.mark.parametrize("name,policy", [
    ("none", {}), ("half", preconnect(per_upstream_preconnect_ratio=1.5)), ("twice", preconnect(per_upstream_preconnect_ratio=2)),
    ("thrice", preconnect(per_upstream_preconnect_ratio=3))])
def test_tcp_connections_are_made_ahead_alike(world, tmp_path_factory, name, policy):
    with pair_of(lambda binary, directory: TcpSide(binary, {name: hosts(address("127.0.0.1", world.a.port), **policy)}, directory),
                 tmp_path_factory) as pair:
        for _ in range(2):
            theirs, ours = (side.ask(name) for side in pair)
            assert ours == theirs
            same(pair, name)
        for side in pair:
            side.leave()
        same(pair, name)


def test_a_session_has_the_tcp_connection_that_fills_the_limit(world, tmp_path_factory):
    """Envoy refuses it, as it looks at the limit first: the connection that it made ahead keeps out whom it was made for."""
    cluster = hosts(address("127.0.0.1", world.a.port), **preconnect(2, per_upstream_preconnect_ratio=3))
    with pair_of(lambda binary, directory: TcpSide(binary, {"bounded": cluster}, directory), tmp_path_factory) as pair:
        assert [side.ask("bounded") for side in pair] == [b"a", b"a"]
        same(pair, "bounded")
        assert [side.ask("bounded") for side in pair] == [None, b"a"]
        counted = pair[1].counters("bounded")
        assert (counted["upstream_cx_total"], counted["upstream_cx_active"], counted["upstream_rq_total"]) == (2, 2, 2)


def test_an_original_destination_stands_in_metadata_a_header_or_the_connection(world, tmp_path_factory):
    key = {"metadata_key": {"key": "envoy.filters.listener.proxy_protocol", "path": [{"key": "to"}]}}
    clusters = {name: {"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s", "original_dst_lb_config": config}
                for name, config in {
                    "all": {"use_http_header": True, **key}, "metadata": key, "header": {"use_http_header": True},
                    "named": {"use_http_header": True, "http_header_name": "X-To"},
                    "port": {"use_http_header": True, "upstream_port_override": world.b.port, **key}}.items()}
    filters = [px.typed("envoy.filters.listener.proxy_protocol", "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
                        rules=[{"tlv_type": 0xE0, "on_tlv_present": {"key": "to"}}])]
    good = {name: f"127.0.0.1:{getattr(world, name).port}" for name in "abd"}
    here = proxy_header.ends("1.2.3.4", "127.0.0.1", 1000, world.d.port)
    with pair_of(lambda binary, directory: Side(binary, clusters, directory, listener_filters=filters), tmp_path_factory) as pair:
        for name in clusters:
            for tlv in (None, good["a"], "nowhere", "127.0.0.1", ""):
                for header in (None, good["b"], "nowhere"):
                    prefix = proxy_header.v2(0x21, 0x11, here + (b"" if tlv is None else proxy_header.tlv(0xE0, tlv.encode())))
                    field = "x-to" if name == "named" else "x-envoy-original-dst-host"
                    lines = "" if header is None else f"{field}: {header}\r\n"
                    theirs, ours = (side.ask(name, prefix, lines) for side in pair)
                    assert ours == theirs, (name, tlv, header)
            same(pair, name)
