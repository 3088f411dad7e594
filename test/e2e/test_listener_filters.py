"""Listener filters through the real binary: which filter chain serves what comes, in any segmentation; what is closed and
when; PROXY headers."""

import os
import socket
import time

import pytest

from test.support import hello, proxy_header
from test.support import proxy as px
from test.support.client import Client
from test.support.peer_time import be_idle
from test.support.upstream import Upstream

KINDS = {"tls_inspector": "TlsInspector", "http_inspector": "HttpInspector", "proxy_protocol": "ProxyProtocol"}


def listener_filter(name, disabled=None, **config):
    made = px.typed("envoy.filters.listener." + name, f"envoy.extensions.filters.listener.{name}.v3.{KINDS[name]}", **config)
    if disabled:
        made["filter_disabled"] = disabled
    return made


def says(name):
    """Answers the first bytes, and all that follow, with its name in front."""

    def script(peer):
        peer._more()
        peer.send(name.encode() + b":")
        while True:
            peer.send(peer.buffer)
            peer.buffer = b""
            peer._more()

    return script


class Chains:
    """A listener whose filter chains lead to one upstream each; `matches`: name of the chain -> its match."""

    def __init__(self, directory, filters, matches, script=says, **listener):
        self.upstreams = {name: Upstream(script(name)) for name in matches}
        made = px.static_listener("in", [], listener_filters=filters, **listener)
        made["filter_chains"] = [
            {"name": name, "filter_chain_match": match, "filters": px.tcp_filter_chain(name)}
            for name, match in matches.items()
        ]
        clusters = [px.static_cluster(name, upstream.port) for name, upstream in self.upstreams.items()]
        self.proxy = px.Proxy(px.REMORA, px.static_bootstrap([made], clusters), directory=str(directory))
        self.port = self.proxy.port("in")

    def connect(self):
        return Client(self.port)

    def chain_for(self, pieces):
        """The name of the chain that serves these bytes, or how the connection ended; all bytes must arrive."""
        pieces = [pieces] if isinstance(pieces, bytes) else pieces
        with self.connect() as client:
            for piece in pieces:
                client.send(piece)
            sent = sum(map(len, pieces))
            name = client._until(b":", time.monotonic() + 5)
            if name is None:
                return client.ended or "open"
            assert client._exactly(sent, time.monotonic() + 5) == b"".join(pieces)
            return name.decode()

    def stat(self, name, value):
        px.wait_for(lambda: self.proxy.stat(name) == value, 5.0, f"{name} to be {value}, is {self.proxy.stat(name)}")

    def close(self):
        assert self.proxy.alive(), self.proxy.output()
        self.proxy.stop()
        for upstream in self.upstreams.values():
            upstream.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


INSPECTORS = [listener_filter("tls_inspector"), listener_filter("http_inspector")]
PERMISSIVE = {
    "named": {"transport_protocol": "tls", "server_names": ["*.example.com"]},
    "istio": {"transport_protocol": "tls", "application_protocols": ["istio"]},
    "tls": {"transport_protocol": "tls"},
    "http": {"transport_protocol": "raw_buffer", "application_protocols": ["http/1.0", "http/1.1", "h2c"]},
    "plain": {"transport_protocol": "raw_buffer"},
}
SHORT = hello.hello(hello.server_name(b"b.example.com") + hello.USUAL)
# As large as those with post-quantum key shares.
LARGE = hello.hello(hello.server_name(b"B.Example.Com") + hello.protocols(b"h2") + hello.USUAL + hello.extension(99, b"k" * 1500))


@pytest.fixture(scope="module")
def permissive(tmp_path_factory):
    with Chains(tmp_path_factory.mktemp("permissive"), INSPECTORS, PERMISSIVE) as chains:
        yield chains


# --- one port for everything ---

FIRST_BYTES = [
    (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "http"),
    (b"GET / HTTP/1.0\r\n\r\n", "http"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http"),
    (b"EHLO there\r\n", "plain"),
    (b"\x00\x01\x02", "plain"),
    (SHORT, "named"),
    (LARGE, "named"),
    (hello.hello(hello.server_name(b"elsewhere.org") + hello.USUAL), "tls"),
    (hello.hello(hello.server_name(b"elsewhere.org") + hello.protocols(b"istio", b"h2") + hello.USUAL), "istio"),
    (hello.hello(), "tls"),
    (hello.made_by_openssl("x.example.com", "h2"), "named"),
]


@pytest.mark.parametrize("first,chain", FIRST_BYTES, ids=lambda v: v if isinstance(v, str) else repr(v[:9]))
def test_the_first_bytes_choose_the_chain(permissive, first, chain):
    assert permissive.chain_for(first) == chain


@pytest.mark.parametrize("first,chain", FIRST_BYTES, ids=lambda v: v if isinstance(v, str) else repr(v[:9]))
def test_they_do_so_byte_by_byte(permissive, first, chain):
    assert permissive.chain_for([bytes([byte]) for byte in first]) == chain


def test_case_74_a_large_hello_cut_anywhere_chooses_the_same_chain(permissive):
    for at in range(1, len(LARGE)):
        assert permissive.chain_for([LARGE[:at], LARGE[at:]]) == "named", at


@pytest.mark.parametrize("size", [1, 3, 5, 100, 1000])
def test_case_74_a_large_hello_in_records_chooses_the_same_chain(permissive, size):
    assert permissive.chain_for(hello.in_records(LARGE, size)) == "named"


def test_case_74_a_hello_in_two_records_sent_byte_by_byte(permissive):
    records = hello.in_records(SHORT, 64)
    assert permissive.chain_for([records[at:at + 1] for at in range(len(records))]) == "named"


# --- names ---

NAMES = [
    ("with a NUL", b"a\0.example.com", "plain"),
    ("empty", b"", "plain"),
    ("of 256 bytes", b"a" * 244 + b".example.com", "plain"),
    ("of 255 bytes", b"a" * 243 + b".example.com", "named"),
    ("of an address", b"10.0.0.1", "tls"),
    ("with a dot behind it", b"a.example.com.", "tls"),
    ("in capitals", b"A.EXAMPLE.COM", "named"),
    ("below a name", b"a.b.example.com", "named"),
    ("that only ends alike", b"evilexample.com", "tls"),
]


@pytest.mark.parametrize("name,chain", [case[1:] for case in NAMES], ids=[case[0] for case in NAMES])
def test_case_45_server_names(permissive, name, chain):
    assert permissive.chain_for(hello.hello(hello.server_name(name) + hello.USUAL)) == chain


def test_case_45_a_name_said_twice_is_none(permissive):
    twice = hello.server_name(b"a.example.com") + hello.server_name(b"b.example.com") + hello.USUAL
    assert permissive.chain_for(hello.hello(twice)) == "plain"


def test_what_is_no_tls_may_be_refused(tmp_path):
    strict = [listener_filter("tls_inspector", close_connection_on_client_hello_parsing_errors=True)]
    with Chains(tmp_path, strict, {"all": {}}) as chains:
        assert chains.chain_for(SHORT) == "all"
        assert chains.chain_for(b"GET / HTTP/1.1\r\n\r\n") in ("fin", "reset")
        assert chains.chain_for(hello.hello(hello.server_name(b"a\0b") + hello.USUAL)) in ("fin", "reset")
        chains.stat("tls_inspector.tls_not_found", 2)


# --- size and time ---


def test_case_44_a_hello_may_have_sixteen_kibibytes_and_no_more(permissive):
    before = permissive.proxy.stat("tls_inspector.client_hello_too_large")
    assert permissive.chain_for(hello.hello_of_size(16384)) == "tls"
    assert permissive.chain_for(hello.hello_of_size(16385)) in ("fin", "reset")
    assert permissive.chain_for(SHORT[:5] + b"\x01\x00\x50\x00") in ("fin", "reset"), "known by its length"
    permissive.stat("tls_inspector.client_hello_too_large", before + 2)


def test_a_first_line_may_have_sixty_four_kibibytes_and_no_more(permissive):
    before = permissive.proxy.stat("http_inspector.read_error")
    assert permissive.chain_for(b"GET /" + b"x" * 60000 + b" HTTP/1.1\r\n") == "http"
    assert permissive.chain_for(b"GET /" + b"x" * 70000) in ("fin", "reset")
    permissive.stat("http_inspector.read_error", before + 1)


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_case_44_a_hello_that_never_ends_is_closed_in_time_and_costs_nothing_meanwhile(tmp_path):
    with Chains(tmp_path, INSPECTORS, PERMISSIVE, listener_filters_timeout="1s") as chains:
        clients = [chains.connect() for _ in range(20)]
        for client in clients:
            client.send(LARGE[:700])
        chains.stat("listener.127.0.0.1_0.downstream_pre_cx_active", 20)
        before = cpu_seconds(chains.proxy.process)
        for client in clients:
            assert client.read_end(5) in ("fin", "reset")
            client.close()
        assert cpu_seconds(chains.proxy.process) - before < 0.3
        chains.stat("listener.127.0.0.1_0.downstream_pre_cx_timeout", 20)
        chains.stat("listener.127.0.0.1_0.downstream_cx_total", 0)
        assert chains.chain_for(SHORT) == "named", "others are served"


def test_who_leaves_in_the_middle_is_forgotten(tmp_path):
    with Chains(tmp_path, INSPECTORS, PERMISSIVE) as chains:
        with chains.connect() as client:
            client.send(SHORT[:20])
            chains.stat("listener.127.0.0.1_0.downstream_pre_cx_active", 1)
        chains.stat("listener.127.0.0.1_0.downstream_pre_cx_active", 0)
        chains.stat("listener.127.0.0.1_0.downstream_listener_filter_remote_close", 1)


def greets(_):
    def script(peer):
        peer.send(b"220 ready\r\n")
        peer.wait_for_close()

    return script


def greeting(client):
    return client._exactly(11, time.monotonic() + 5)


def test_a_server_that_speaks_first_is_heard_after_the_timeout(tmp_path):
    with Chains(tmp_path, INSPECTORS, {"plain": {"transport_protocol": "raw_buffer"}}, script=greets,
                listener_filters_timeout="0.2s", continue_on_listener_filters_timeout=True) as chains:
        with chains.connect() as client:
            started = time.monotonic()
            assert greeting(client) == b"220 ready\r\n"
            assert time.monotonic() - started >= 0.19
        chains.stat("listener.127.0.0.1_0.downstream_pre_cx_timeout", 1)
        with chains.connect() as client:
            client.send(SHORT[:20])  # half a hello is no answer either, and is handed on
            assert greeting(client) == b"220 ready\r\n"
        px.wait_for(lambda: SHORT[:20] in chains.upstreams["plain"].received(), 5, "the bytes at the server")


def test_or_at_once_where_the_inspectors_are_disabled(tmp_path):
    everywhere = {"not_match": {"destination_port_range": {"start": 1, "end": 2}}}
    filters = [listener_filter("tls_inspector", disabled=everywhere), listener_filter("http_inspector", disabled={"any_match": True})]
    with Chains(tmp_path, filters, {"plain": {}}, script=greets) as chains:
        with chains.connect() as client:
            assert greeting(client) == b"220 ready\r\n"
        chains.stat("listener.127.0.0.1_0.downstream_pre_cx_timeout", 0)


# --- PROXY protocol ---


def proxied(tmp_path, **config):
    matches = {"named": {"source_prefix_ranges": [{"address_prefix": "1.2.3.0", "prefix_len": 24}]}, "other": {}}
    return Chains(tmp_path, [listener_filter("proxy_protocol", **config)] + INSPECTORS, matches)


HEADERS = [proxy_header.line(b"TCP4 1.2.3.4 5.6.7.8 1000 2000"), proxy_header.v2(0x21, 0x11, proxy_header.USUAL),
           proxy_header.v2(0x21, 0x11, proxy_header.USUAL + proxy_header.tlv(2, b"x" * 3000))]


def chain_behind(chains, header, first, pieces=False):
    with chains.connect() as client:
        for piece in [bytes([byte]) for byte in header + first] if pieces else [header + first]:
            client.send(piece)
        name = client._until(b":", time.monotonic() + 5)
        assert name is not None, client.ended
        assert client._exactly(len(first), time.monotonic() + 5) == first
        return name.decode()


@pytest.mark.parametrize("pieces", [False, True], ids=["at once", "byte by byte"])
def test_a_proxy_header_says_whose_connection_it_is(tmp_path, pieces):
    with proxied(tmp_path) as chains:
        for header in HEADERS:
            for first in (b"hello\n", SHORT, b"GET / HTTP/1.1\r\n\r\n"):
                assert chain_behind(chains, header, first, pieces) == "named"
        assert chain_behind(chains, proxy_header.line(b"UNKNOWN"), b"hello\n", pieces) == "other"
        assert chain_behind(chains, proxy_header.v2(0x20, 0, b""), b"hello\n", pieces) == "other"
        chains.stat("tls_inspector.tls_found", len(HEADERS))


def test_without_one_the_connection_is_closed_unless_that_is_allowed(tmp_path):
    with proxied(tmp_path) as chains:
        assert chains.chain_for(b"hello\n") in ("fin", "reset")
        chains.stat("proxy_proto.not_found_disallowed", 1)
        chains.stat("downstream_cx_proxy_proto_error", 1)
    with proxied(tmp_path, allow_requests_without_proxy_protocol=True, stat_prefix="edge") as chains:
        assert chains.chain_for(b"hello\n") == "other"
        assert chain_behind(chains, HEADERS[0], b"hello\n") == "named"
        chains.stat("proxy_proto.edge.not_found_allowed", 1)
        chains.stat("proxy_proto.edge.versions.v1.found", 1)


def test_prometheus_names_of_proxy_protocol(tmp_path):
    with proxied(tmp_path, stat_prefix="edge") as chains:
        assert chain_behind(chains, HEADERS[1], b"hello\n") == "named"
        _, text = chains.proxy.admin("/stats/prometheus?filter=proxy_proto")
        assert 'envoy_proxy_proto_found{envoy_proxy_protocol_version="2",envoy_proxy_protocol_prefix="edge"} 1' in text \
            or 'envoy_proxy_proto_found{envoy_proxy_protocol_prefix="edge",envoy_proxy_protocol_version="2"} 1' in text
        assert "envoy_downstream_cx_proxy_proto_error 0" in text


# --- what is refused when it is configured ---

REFUSED = [
    (listener_filter("tls_inspector", max_client_hello_size=20000), "max_client_hello_size"),
    (listener_filter("tls_inspector", initial_read_buffer_size=10), "initial_read_buffer_size"),
    (listener_filter("proxy_protocol", disallowed_versions=["V1", "V2"]), "disallowed_versions"),
    (listener_filter("proxy_protocol", tlv_location="FILTER_STATE"), "tlv_location"),
    (listener_filter("proxy_protocol", rules=[{"tlv_type": 256, "on_tlv_present": {"key": "k"}}]), "rules[0].tlv_type"),
    (listener_filter("proxy_protocol", rules=[{"tlv_type": 2, "on_tlv_present": {}}]), "rules[0].on_tlv_present.key"),
]


@pytest.mark.parametrize("refused,path", REFUSED, ids=[case[1] for case in REFUSED])
def test_what_cannot_be_honoured_is_refused_with_its_path(tmp_path, refused, path):
    made = px.static_listener("in", px.tcp_filter_chain("app"), listener_filters=[refused])
    proxy = px.Proxy(px.REMORA, px.static_bootstrap([made], [px.static_cluster("app", 1)]), directory=str(tmp_path),
                     wait_ready=False)
    try:
        assert proxy.wait_exit(10) != 0
        assert "listener_filters[0].typed_config." + path in proxy.output()
    finally:
        proxy.stop()
