"""Authorization through the real binary: who is refused, where, how it is told, and what becomes of open connections when
a policy changes."""

import time

import pytest

from test.support import proxy as px
from test.support.ads import AdsServer, ads_bootstrap
from test.support.client import Client, get
from test.support.proxy import wait_for
from test.support.upstream import Upstream

HTTP = "envoy.extensions.filters.http.rbac.v3.RBAC"
NETWORK = "envoy.extensions.filters.network.rbac.v3.RBAC"
ANY = [{"any": True}]
TO_APP = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]


def rules(action, permission=None, principal=None, name="policy one"):
    return {"action": action, "policies": {name: {
        "permissions": [permission] if permission else ANY, "principals": [principal] if principal else ANY}}}


def http_rbac(**fields):
    return px.typed("envoy.filters.http.rbac", HTTP, **fields)


def network_rbac(**fields):
    return px.typed("envoy.filters.network.rbac", NETWORK, stat_prefix="tcp.", **fields)


def greet(peer):
    """A server that speaks first."""
    peer.send(b"welcome\n")
    peer.wait_for_close()


def logged(path, lines=1):
    def read():
        try:
            with open(path) as f:
                found = f.read().splitlines()
            return found if len(found) >= lines else None
        except FileNotFoundError:
            return None

    return wait_for(read, 10.0, f"{lines} lines in {path}")


class Tcp:
    """A listener with a network filter in front of a TCP proxy."""

    LOG = "%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% %DYNAMIC_METADATA(envoy.filters.network.rbac)% %BYTES_SENT%\n"

    def __init__(self, directory, script=greet, **fields):
        self.upstream = Upstream(script)
        self.log = str(directory / "tcp.log")
        filters = [network_rbac(**fields)] + px.tcp_filter_chain("app", "t", access_log=[px.file_access_log(self.log, self.LOG)])
        self.proxy = px.Proxy(
            px.REMORA, px.static_bootstrap([px.static_listener("in", filters)], [px.static_cluster("app", self.upstream.port)]),
            args=["--file-flush-interval-msec", "20"], directory=str(directory))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.proxy.stop()
        self.upstream.close()


def test_a_refused_connection_never_reaches_the_server(tmp_path):
    with Tcp(tmp_path, rules=rules("DENY"), shadow_rules=rules("ALLOW"), shadow_rules_stat_prefix="s_") as tcp:
        with Client(tcp.proxy.port("in")) as client:
            assert client.read_end(5.0) in ("fin", "reset")
            assert client.buffer == b""
        assert logged(tcp.log) == [
            '- rbac_access_denied_matched_policy[policy_one] '
            '{"s_shadow_effective_policy_id":"policy one","s_shadow_engine_result":"allowed"} 0']
        assert tcp.upstream.connections == []
        stats = tcp.proxy.stats("tcp.rbac")
        assert stats == {"tcp.rbac.allowed": 0, "tcp.rbac.denied": 1, "tcp.rbac.s_.shadow_allowed": 1,
                         "tcp.rbac.s_.shadow_denied": 0}


def test_an_allowed_connection_hears_a_server_that_speaks_first(tmp_path):
    local = {"direct_remote_ip": {"address_prefix": "127.0.0.0", "prefix_len": 8}}
    with Tcp(tmp_path, rules=rules("ALLOW", None, local)) as tcp, Client(tcp.proxy.port("in")) as client:
        assert client._exactly(8, time.monotonic() + 5) == b"welcome\n"
        assert tcp.proxy.stat("tcp.rbac.allowed") == 1


def test_a_refusal_may_be_delayed_and_lets_nothing_through_meanwhile(tmp_path):
    with Tcp(tmp_path, rules=rules("DENY"), delay_deny="0.2s") as tcp, Client(tcp.proxy.port("in")) as client:
        client.send(b"x" * 100)
        assert client.read_end(0.1) == "open"
        assert client.read_end(5.0) in ("fin", "reset")
        assert tcp.upstream.connections == []


def test_continuous_enforcement_counts_every_piece(tmp_path):
    def echo(peer):
        while True:
            peer.send(peer.read_exactly(1))

    with Tcp(tmp_path, echo, rules=rules("ALLOW"), enforcement_type="CONTINUOUS") as tcp:
        with Client(tcp.proxy.port("in")) as client:
            for count in (1, 2, 3):
                client.send(b"a")
                assert client._exactly(1, time.monotonic() + 5) == b"a"
                assert tcp.proxy.stat("tcp.rbac.allowed") >= count


def test_a_refused_connection_in_front_of_http_leaves_its_counters_right(tmp_path):
    with Upstream() as upstream:
        filters = [network_rbac(rules={})] + px.http_filter_chain(TO_APP)
        with px.Proxy(px.REMORA, px.static_bootstrap(
                [px.static_listener("in", filters)], [px.static_cluster("app", upstream.port)]), directory=str(tmp_path)) as proxy:
            assert get(proxy.port("in")) is None
            wait_for(lambda: proxy.stat("tcp.rbac.denied") == 1, 5.0, "denied")
            assert proxy.stat("http.ingress.downstream_cx_active") == 0
            assert proxy.stat("listener.127.0.0.1_0.downstream_cx_active") == 0
            assert upstream.connections == []


def test_case_48_the_client_cert_header_of_a_stranger_is_believed_only_where_that_is_said(tmp_path):
    with Upstream() as upstream:
        modes = ["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"]
        listeners = [px.static_listener(mode, px.http_filter_chain(TO_APP, forward_client_cert_details=mode)) for mode in modes]
        with px.Proxy(px.REMORA, px.static_bootstrap(listeners, [px.static_cluster("app", upstream.port)]),
                      directory=str(tmp_path)) as proxy:
            for mode in modes:
                before = sum(map(len, upstream.received()))
                assert get(proxy.port(mode), headers=[("x-forwarded-client-cert", "URI=spiffe://td/admin")]).status == 200
                seen = b"".join(upstream.received())[before:]
                assert (b"spiffe://td/admin" in seen) == (mode == "ALWAYS_FORWARD_ONLY"), mode


# ------------------------------------------------------------------------------------------------ policies that change


def http_listener(policy):
    return px.static_listener("in", px.http_filter_chain(TO_APP, http_filters=[http_rbac(rules=policy)]))


def tcp_listener(policy):
    return px.static_listener("in", [network_rbac(rules=policy)] + px.tcp_filter_chain("app"))


@pytest.fixture
def mesh(tmp_path):
    """A control plane, a server, and what starts a proxy between them."""
    ads, upstream = AdsServer(), Upstream()
    ads.set("cluster", px.static_cluster("app", upstream.port))
    started = []

    def start(listener):
        ads.set("listener", listener)
        proxy = px.Proxy(px.REMORA, ads_bootstrap(ads.port), args=["--drain-time-s", "1", "--drain-strategy", "immediate"],
                         directory=str(tmp_path))
        started.append(proxy)
        return proxy

    yield ads, upstream, start
    for proxy in started:
        proxy.stop()
    ads.stop()
    upstream.close()


GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.mark.parametrize("listener", [http_listener, tcp_listener])
def test_a_connection_that_would_be_refused_now_is_drained_in_time(mesh, listener):
    ads, _, start = mesh
    proxy = start(listener(rules("ALLOW")))
    with Client(proxy.port("in")) as client:
        client.send(GET)
        assert client.read_answer().status == 200
        ads.set("listener", listener(rules("DENY")))
        wait_for(lambda: proxy.stat("listener_manager.listener_in_place_updated") + proxy.stat(
            "listener_manager.listener_modified") >= 1, 5.0, "the update")
        assert client.read_end(10.0) in ("fin", "reset"), "it lived on what it had been allowed before"
    answer = get(proxy.port("in"))
    assert answer is None or answer.status == 403


def test_an_update_that_changes_no_policy_disturbs_nobody(mesh):
    ads, _, start = mesh
    proxy = start(http_listener(rules("ALLOW")))
    with Client(proxy.port("in")) as client:
        client.send(GET)
        assert client.read_answer().status == 200
        before = proxy.stat("listener_manager.lds.update_success")
        ads.set("listener", http_listener(rules("ALLOW")))
        wait_for(lambda: proxy.stat("listener_manager.lds.update_success") > before, 5.0, "the update")
        assert client.read_end(1.5) == "open"
        client.send(GET)
        assert client.read_answer().status == 200


OWN_POLICY = "type.googleapis.com/" + HTTP + "PerRoute"


def overridden(**rbac):
    return {"typed_per_filter_config": {"envoy.filters.http.rbac": {"@type": OWN_POLICY, **rbac}}}


def test_routes_may_bring_a_policy_of_their_own(mesh):
    """It comes and goes with the routes, for connections that are open too."""
    ads, _, start = mesh
    rds = {"route_config_name": "routes", "config_source": {"ads": {}, "resource_api_version": "V3"}}
    listener = px.static_listener("in", px.http_filter_chain([], http_filters=[http_rbac(rules=rules("DENY"))]))
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["route_config"]
    manager["rds"] = rds

    def routes(*some):
        return {"name": "routes", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": list(some)}]}

    def to_app(path, **override):
        return {"match": {"prefix": path}, "route": {"cluster": "app"}, **override}

    allowed = overridden(rbac={"rules": rules("ALLOW")})
    ads.set("route", routes(to_app("/off", **overridden()), to_app("/allowed", **allowed), to_app("/")))
    proxy = start(listener)
    with Client(proxy.port("in")) as client:
        def status(path):
            client.send(GET.replace(b"/ ", path + b" ", 1))
            return client.read_answer().status

        assert [status(path) for path in (b"/off", b"/allowed", b"/")] == [200, 200, 403]
        ads.set("route", routes(to_app("/off", **allowed), to_app("/allowed", **overridden(rbac={"rules": {}})), to_app("/")))
        wait_for(lambda: status(b"/allowed") == 403, 5.0, "the new policy")
        assert [status(path) for path in (b"/off", b"/")] == [200, 403]
        bad = overridden(rbac={"rules": {"policies": {"p": {"permissions": ANY, "principals": [{}]}}}})
        ads.set("route", routes(to_app("/", **bad)))
        ads.wait_nack("route", 'typed_per_filter_config["envoy.filters.http.rbac"].rbac.rules.policies["p"].principals[0]')
        assert [status(path) for path in (b"/off", b"/")] == [200, 403]


@pytest.mark.parametrize("listener", [http_listener, tcp_listener])
@pytest.mark.parametrize("policy,reason", [
    ({"permissions": ANY, "principals": [{}]}, "has no identifier that is supported"),
    ({"permissions": [{}], "principals": ANY}, "has no rule that is supported"),
    ({"permissions": ANY, "principals": [{"not_id": {}}]}, "has no identifier that is supported"),
    ({"permissions": [{"and_rules": {"rules": [{"any": True}, {}]}}], "principals": ANY}, "has no rule that is supported"),
    ({"permissions": ANY}, "principals: must not be empty"),
    ({"principals": ANY}, "permissions: must not be empty"),
], ids=["principal", "permission", "inner principal", "inner permission", "no principals", "no permissions"])
def test_case_52_what_is_of_an_unknown_kind_refuses_the_listener(mesh, listener, policy, reason):
    ads, _, start = mesh
    proxy = start(listener(rules("ALLOW")))
    assert get(proxy.port("in")).status == 200
    ads.set("listener", listener({"policies": {"p": policy}}))
    ads.wait_nack("listener", reason)
    assert get(proxy.port("in")).status == 200, "the last good policy stays"


def test_a_condition_in_cel_is_refused_for_what_it_is(mesh):
    ads, _, start = mesh
    proxy = start(http_listener(rules("ALLOW")))
    policy = rules("ALLOW")
    policy["policies"]["policy one"]["condition"] = {}
    ads.set("listener", http_listener(policy))
    ads.wait_nack("listener", "condition: conditions in CEL are not supported")
    assert proxy.alive()
