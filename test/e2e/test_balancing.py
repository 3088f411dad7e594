"""Choices of hosts that change while they serve: subsets over EDS, merged updates, aggregate clusters, sessions."""

import contextlib
import threading

import pytest

from test.support import mesh
from test.support.client import get
from test.support.mesh import assignment, eds_cluster, ok
from test.support.proxy import REMORA, Proxy, http_filter_chain, static_bootstrap, static_cluster, static_listener, typed, wait_for
from test.support.upstream import Upstream, answer_with


@pytest.fixture
def served(tmp_path):
    with contextlib.ExitStack() as stack:
        ads, proxy, first = stack.enter_context(mesh.running(tmp_path, False, ["--concurrency", "2"]))
        yield ads, proxy, [first, stack.enter_context(Upstream(ok(b"two"))), stack.enter_context(Upstream(ok(b"three")))]


def labelled(versions, hosts, **health):
    out = assignment("app", *[host.port for host in hosts])
    endpoints = [one for group in out["endpoints"] for one in group["lb_endpoints"]]
    for version, one in zip(versions, endpoints):
        one["metadata"] = {"filter_metadata": {"envoy.lb": {"version": version}}}
    for at, status in health.items():
        endpoints[int(at[1:])]["health_status"] = status
    return out


def bodies(proxy, count=12):
    return {get(proxy.port("in")).body or None for _ in range(count)}


def route_for(version):
    return mesh.routes("app", metadata_match={"filter_metadata": {"envoy.lb": {"version": version}}})


SUBSETS = {"subset_selectors": [{"keys": ["version"]}], "fallback_policy": "DEFAULT_SUBSET", "default_subset": {"version": "1"}}


def test_subsets_follow_endpoints_routes_and_clusters(served):
    ads, proxy, hosts = served
    ads.set("cluster", eds_cluster("app", lb_subset_config=SUBSETS))
    ads.set("endpoint", labelled("122", hosts))
    ads.set("route", route_for("2"))
    wait_for(lambda: bodies(proxy) == {b"two", b"three"}, what="version 2")
    ads.set("endpoint", labelled("112", hosts))
    wait_for(lambda: bodies(proxy) == {b"three"}, what="one of version 2")
    ads.set("endpoint", labelled("133", hosts))
    wait_for(lambda: bodies(proxy) == {b"one"}, what="none, so version 1")
    assert proxy.stat("cluster.app.lb_subsets_fallback") > 0
    assert proxy.stat("cluster.app.lb_subsets_active") == 2
    ads.set("route", route_for("3"))
    wait_for(lambda: bodies(proxy) == {b"two", b"three"}, what="another version")
    ads.set("cluster", eds_cluster("app"))
    wait_for(lambda: len(bodies(proxy)) == 3, what="no subsets any more")
    assert proxy.stat("cluster.app.lb_subsets_active") == 0
    assert proxy.stat("cluster.app.lb_subsets_removed") == proxy.stat("cluster.app.lb_subsets_created")


def test_health_waits_for_more_where_it_is_told_to(served):
    ads, proxy, hosts = served
    ads.set("cluster", eds_cluster("app", common_lb_config={"update_merge_window": "300s", "healthy_panic_threshold": {}}))
    ads.set("endpoint", labelled("111", hosts))
    wait_for(lambda: len(bodies(proxy)) == 3, what="all hosts")
    ads.set("endpoint", labelled("111", hosts, _1="UNHEALTHY"))
    wait_for(lambda: proxy.stat("cluster.app.membership_healthy") == 2, what="it is known")
    assert len(bodies(proxy)) == 3, "the workers hear of it later"
    ads.set("endpoint", labelled("11", hosts[:2], _1="UNHEALTHY"))
    wait_for(lambda: bodies(proxy) == {b"one"}, what="a host that is gone is gone at once, and all else with it")
    assert proxy.stat("cluster_manager.update_merge_cancelled") == 1
    ads.set("cluster", eds_cluster("app", common_lb_config={"update_merge_window": "0.1s", "healthy_panic_threshold": {}}))
    wait_for(lambda: proxy.stat("cluster_manager.cluster_modified") >= 2, what="a short window")
    for status in ("HEALTHY", "UNHEALTHY", "HEALTHY"):
        ads.set("endpoint", labelled("11", hosts[:2], _1=status))
    wait_for(lambda: len(bodies(proxy)) == 2, what="the last of the changes")


def test_an_aggregate_cluster_follows_its_members(served):
    ads, proxy, hosts = served
    ads.set("cluster", {"name": "app", "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": typed(
        "envoy.clusters.aggregate", "envoy.extensions.clusters.aggregate.v3.ClusterConfig", clusters=["near", "far"])})
    ads.set("cluster", eds_cluster("near"))
    ads.set("cluster", eds_cluster("far"))
    for name, host in (("near", hosts[1]), ("far", hosts[2])):
        ads.set("endpoint", assignment(name, host.port))
    wait_for(lambda: bodies(proxy) == {b"two"}, what="the first member")
    ads.set("endpoint", assignment("near"))
    wait_for(lambda: bodies(proxy) == {b"three"}, what="the next member")
    assert proxy.stat("cluster.app.upstream_rq_200") > 0 and proxy.stat("cluster.far.upstream_rq_total") > 0
    ads.set("endpoint", assignment("near", hosts[0].port))
    wait_for(lambda: bodies(proxy) == {b"one"}, what="the first member again")


def policy_config(name, message, **fields):
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": typed(
        name, f"envoy.extensions.load_balancing_policies.{message}", **fields)}]}}


def test_hosts_get_what_their_load_reports_say(served):
    ads, proxy, _ = served
    policy = policy_config("w", "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin",
                           blackout_period="0.2s", weight_update_period="0.1s", weight_expiration_period="300s")
    answer = b"HTTP/1.1 200 OK\r\nendpoint-load-metrics: TEXT cpu_utilization:0.1,rps_fractional:%d\r\ncontent-length: 3\r\n\r\n%d"
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(Upstream(answer_with(answer % (rate, rate)))) for rate in (100, 300)]
        ads.set("cluster", eds_cluster("app", **policy))
        ads.set("endpoint", assignment("app", *[host.port for host in hosts]))

        def shares():
            bodies = [get(proxy.port("in")).body for _ in range(40)]
            return bodies.count(b"300"), bodies.count(b"100")
        # Two workers, each in its own turn: three to one, and a few more or less.
        wait_for(lambda: sum(shares()) == 40 and abs(shares()[0] - 30) <= 3, what="three to one")
        weights = proxy.admin("/clusters")[1]
        assert all(f"app::127.0.0.1:{host.port}::weight::{weight}\n" in weights for host, weight in zip(hosts, (1000, 3000)))
        refused = policy_config("w", "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin", enable_oob_load_report=True)
        ads.set("cluster", eds_cluster("app", **refused))
        wait_for(lambda: proxy.stat("cluster_manager.cds.update_rejected") == 1, what="no reports but those of answers")


def test_the_slow_host_is_left_alone(served):
    ads, proxy, hosts = served

    def slow(peer):
        while True:
            peer.read_request()
            threading.Event().wait(0.3)
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow")

    with Upstream(slow) as one:
        ads.set("cluster", eds_cluster("app", **policy_config("e", "peak_ewma.v3alpha.PeakEwma", decay_time="300s", default_rtt="0s")))
        ads.set("endpoint", assignment("app", hosts[1].port, one.port))
        wait_for(lambda: {get(proxy.port("in")).body for _ in range(4)} >= {b"slow"}, what="it has been tried")
        assert [get(proxy.port("in")).body for _ in range(40)].count(b"slow") <= 2


def test_a_session_stays_where_it_began(tmp_path):
    state = typed("envoy.http.stateful_session.cookie", "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
                  cookie={"name": "session", "ttl": "60s", "path": "/"})
    session = typed("session", "envoy.extensions.filters.http.stateful_session.v3.StatefulSession", session_state=state)
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(Upstream(ok(b"%d" % i))) for i in range(4)]
        chain = http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}], http_filters=[session])
        bootstrap = static_bootstrap([static_listener("in", chain)], [static_cluster("app", *[host.port for host in hosts])])
        proxy = Proxy(REMORA, bootstrap, directory=str(tmp_path))
        stack.callback(proxy.stop)
        first = get(proxy.port("in"))
        cookie = first.header("set-cookie").split(";")[0]
        assert "Max-Age=60; Path=/; HttpOnly" in first.header("set-cookie")
        for _ in range(8):
            again = get(proxy.port("in"), headers=[("cookie", cookie)])
            assert (again.body, again.header("set-cookie")) == (first.body, None)
        assert len({get(proxy.port("in")).body for _ in range(8)}) == 4, "who has no session goes anywhere"
