"""The control client through the real binary: order, warming, NACKs, updates in place, reconnecting."""

import pytest

from test.support import api
from test.support import mesh as resources
from test.support import proxy as px
from test.support.ads import AdsServer, ads_bootstrap
from test.support.client import Client, get
from test.support.mesh import assignment, ok, rds_listener, routes
from test.support.proxy import wait_for
from test.support.upstream import Upstream


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def mesh(request, tmp_path):
    """A proxy that has CDS, EDS, LDS and RDS from ADS, and one upstream."""
    with resources.running(tmp_path, request.param) as made:
        yield made


def body(proxy, listener="in"):
    answer = get(proxy.port(listener))
    return answer.body if answer else None


def test_serves_what_it_was_told_and_asked_in_order(mesh):
    ads, proxy, _ = mesh
    assert body(proxy) == b"one"
    assert ads.types_in_order() == [api.type_url(k) for k in ("cluster", "endpoint", "listener", "route")]
    assert proxy.stat("cluster_manager.cds.update_success") == 1
    assert proxy.stat("listener_manager.lds.update_success") == 1
    assert proxy.stat("listener_manager.workers_started") == 1
    assert not ads.nacks()


def test_route_configurations_have_metrics_of_their_own(mesh):
    ads, proxy, _ = mesh
    assert body(proxy) == b"one"
    ads.set("route", routes("app", timeout="3s"))
    wait_for(lambda: proxy.stat("http.in.rds.main.config_reload") == 2, what="the second configuration")
    stats = proxy.stats("^http.in.rds.main")
    assert stats["http.in.rds.main.update_success"] == 2
    assert stats["http.in.rds.main.update_rejected"] == 0


def test_new_endpoints_take_traffic_and_old_connections_stay(mesh):
    ads, proxy, upstream = mesh
    with Upstream(ok(b"two")) as second, Client(proxy.port("in")) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.read_answer().body == b"one"
        ads.set("endpoint", assignment("app", second.port))
        wait_for(lambda: body(proxy) == b"two", what="traffic moves to the new endpoint")
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.read_answer().body == b"two", "the client's connection outlived the endpoint update"


def test_an_endpoint_update_keeps_warm_connections_to_hosts_that_stay(mesh):
    ads, proxy, upstream = mesh
    assert body(proxy) == b"one"
    before = len(upstream.received())
    with Upstream(ok(b"one")) as second:
        ads.set("endpoint", assignment("app", upstream.port, second.port))
        wait_for(lambda: proxy.stat("cluster.app.membership_total") == 2, what="two endpoints")
        for _ in range(8):
            assert body(proxy) == b"one"
        assert len(upstream.received()) <= max(before, px.WORKERS), "a worker's warm connection was reused"


def test_a_route_update_does_not_touch_connections(mesh):
    ads, proxy, _ = mesh
    with Client(proxy.port("in")) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.read_answer().status == 200
        ads.set("route", {"name": "main", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 204}}]}]})
        wait_for(lambda: get(proxy.port("in")).status == 204, what="new route")
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.read_answer().status == 204


def test_an_unknown_filter_is_nacked_and_the_old_listener_serves(mesh):
    ads, proxy, _ = mesh
    listener = rds_listener(port=proxy.port("in"))
    config = listener["filter_chains"][0]["filters"][0]["typed_config"]
    # A message that exists but is no filter.
    config["http_filters"].insert(0, {"name": "x", "typed_config": {
        "@type": "type.googleapis.com/envoy.config.core.v3.Node", "id": "x"}})
    ads.set("listener", listener)
    nack = ads.wait_nack("listener", "http_filters[0]")[0]
    assert "in" in nack and "envoy.config.core.v3.Node" in nack
    assert body(proxy) == b"one"
    assert proxy.stat("listener_manager.lds.update_rejected") == 1


def test_an_unknown_field_in_a_route_match_is_nacked(mesh):
    from google.protobuf import any_pb2

    ads, proxy, _ = mesh
    route = api.module("route")
    message = route.RouteConfiguration(name="main")
    host = message.virtual_hosts.add(name="all", domains=["*"])
    entry = host.routes.add()
    entry.route.cluster = "app"
    # Field 1000 of RouteMatch, a string: nobody knows it.
    entry.match.MergeFromString(b"\x0a\x01/" + b"\xc2\x3e\x01x")
    ads.set_raw("route", "main", any_pb2.Any(type_url=api.type_url("route"), value=message.SerializeToString()))
    nack = ads.wait_nack("route", "match")[0]
    assert "main" in nack and "1000" in nack
    assert body(proxy) == b"one"


def test_one_bad_cluster_among_many_is_named_and_the_others_apply(mesh):
    ads, proxy, _ = mesh
    good = [px.static_cluster(f"good-{i}", 1) for i in range(20)]
    bad = px.static_cluster("bad", 1)
    bad["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] = "nowhere"
    ads.set("cluster", *good, bad)
    nack = ads.wait_nack("cluster", "bad")[0]
    assert "good-" not in nack
    clusters = wait_for(lambda: (lambda t: t if "good-19::" in t else None)(proxy.admin("/clusters")[1]), what="good clusters")
    assert "bad::" not in clusters
    assert body(proxy) == b"one"


def test_a_removed_cluster_gives_503_nc(mesh):
    ads, proxy, _ = mesh
    assert body(proxy) == b"one"
    ads.remove("cluster", "app")
    wait_for(lambda: get(proxy.port("in")).status == 503, what="cluster gone")


def test_a_removed_listener_stops_accepting(mesh):
    ads, proxy, _ = mesh
    port = proxy.port("in")
    ads.remove("listener", "in")

    def refused():
        try:
            Client(port).close()
            return False
        except ConnectionResetError:
            return False  # was waiting to be accepted when the socket closed
        except ConnectionRefusedError:
            return True

    wait_for(refused, what="connection refused")


def test_a_listener_update_in_place_keeps_its_connections_and_port(mesh):
    ads, proxy, _ = mesh
    port = proxy.port("in")
    with Client(port) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.read_answer().status == 200
        listener = rds_listener()
        listener["filter_chains"].append({
            "filter_chain_match": {"destination_port": 9}, "filters": px.tcp_filter_chain("app")})
        ads.set("listener", listener)
        wait_for(lambda: proxy.stat("listener_manager.listener_in_place_updated") == 1, what="in-place update")
        assert proxy.port("in") == port
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.read_answer().status == 200
        assert client.read_end(0.2) == "open", "a chain that did not change keeps its connections"


def test_the_control_plane_dies_and_comes_back(mesh):
    ads, proxy, _ = mesh
    assert body(proxy) == b"one"
    ads.stop()
    wait_for(lambda: proxy.stat("control_plane.connected_state") == 0, what="control plane lost")
    assert body(proxy) == b"one"
    with Upstream(ok(b"two")) as second:
        ads.restart()
        wait_for(lambda: proxy.stat("control_plane.connected_state") == 1, 40, "connected again")
        assert body(proxy) == b"one"
        ads.set("endpoint", assignment("app", second.port))
        wait_for(lambda: body(proxy) == b"two", what="updates work again")


def test_a_listener_replaced_many_times_under_load_loses_nothing(mesh):
    ads, proxy, _ = mesh
    port = proxy.port("in")
    failures = []
    for i in range(100):
        listener = rds_listener(server_name=f"v{i}")
        ads.set("listener", listener)
        answer = get(port)
        if answer is None or answer.status != 200:
            failures.append((i, answer))
    assert not failures
    wait_for(lambda: get(port).header("server") == "v99", what="last version serves")
    assert proxy.alive()


def test_the_control_plane_may_be_a_cluster_of_clusters(tmp_path):
    """Of which the first member has nobody."""
    ads = AdsServer()
    bootstrap = ads_bootstrap(ads.port, clusters=[px.static_cluster("nobody"), {
        "name": "all", "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": px.typed(
            "envoy.clusters.aggregate", "envoy.extensions.clusters.aggregate.v3.ClusterConfig", clusters=["nobody", "xds"])}])
    bootstrap["dynamic_resources"]["ads_config"]["grpc_services"][0]["envoy_grpc"]["cluster_name"] = "all"
    with Upstream(ok(b"one")) as upstream:
        ads.set("endpoint", assignment("app", upstream.port))
        ads.set("cluster", resources.eds_cluster("app"))
        ads.set("route", routes("app"))
        ads.set("listener", rds_listener())
        try:
            with px.Proxy(px.REMORA, bootstrap, directory=str(tmp_path)) as proxy:
                assert body(proxy) == b"one"
        finally:
            ads.stop()
