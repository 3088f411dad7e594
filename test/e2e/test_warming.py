"""What waits until it is complete and what goes on meanwhile: warming, listeners that are replaced, what a control plane is
told after it came back, fields that nobody knows, configuration from watched files.
"""

import json
import os

import pytest

from test.support import api, mesh
from test.support import proxy as px
from test.support.client import Client, get
from test.support.mesh import ADS, assignment, eds_cluster, ok, rds_listener, routes
from test.support.proxy import wait_for
from test.support.upstream import Upstream, answer_ok

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
# A field that Cluster does not have: number 49, varint 1.
UNKNOWN_FIELD = b"\x88\x03\x01"
VARIANTS = pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])


def direct(text, name="main"):
    return {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}}]}]}


def body(proxy, listener="in"):
    answer = get(proxy.port(listener))
    return answer.body if answer else None


# --- warming ---


@VARIANTS
def test_a_listener_waits_for_its_routes(tmp_path, delta):
    with mesh.running(tmp_path, delta) as (ads, proxy, _):
        ads.set("listener", rds_listener("late", route="later"))
        wait_for(lambda: proxy.stat("listener_manager.total_listeners_warming") == 1, what="a warming listener")
        assert "late" not in proxy.listeners()
        assert body(proxy) == b"one", "the others serve"
        ads.set("route", direct("late", "later"))
        wait_for(lambda: "late" in proxy.listeners(), what="the listener is there")
        assert body(proxy, "late") == b"late"
        assert proxy.stat("listener_manager.total_listeners_warming") == 0


@VARIANTS
def test_a_listener_that_is_replaced_serves_until_the_new_one_has_its_routes(tmp_path, delta):
    with mesh.running(tmp_path, delta) as (ads, proxy, _):
        port = proxy.port("in")
        ads.set("listener", rds_listener(route="later"))
        wait_for(lambda: proxy.stat("listener_manager.total_listeners_warming") == 1, what="a warming listener")
        assert body(proxy) == b"one"
        ads.set("route", direct("new", "later"))
        wait_for(lambda: body(proxy) == b"new", what="the new routes serve")
        assert proxy.port("in") == port


@VARIANTS
def test_a_cluster_waits_for_its_endpoints(tmp_path, delta):
    with mesh.running(tmp_path, delta) as (ads, proxy, _), Upstream(ok(b"late")) as upstream:
        ads.set("cluster", eds_cluster("late"))
        wait_for(lambda: proxy.stat("cluster_manager.warming_clusters") == 1, what="a warming cluster")
        dump = json.loads(proxy.admin("/config_dump?resource=dynamic_warming_clusters")[1])["configs"]
        assert [c["cluster"]["name"] for c in dump] == ["late"]
        ads.set("route", routes("late"))
        wait_for(lambda: get(proxy.port("in")).status == 503, what="a cluster that is not there yet takes no traffic")
        ads.set("endpoint", assignment("late", upstream.port))
        wait_for(lambda: body(proxy) == b"late", what="the cluster serves")
        assert proxy.stat("cluster_manager.warming_clusters") == 0


@VARIANTS
def test_a_fetch_that_nobody_answers_holds_up_a_listener_for_its_time_only(tmp_path, delta):
    with mesh.running(tmp_path, delta) as (ads, proxy, _):
        ads.set("listener", rds_listener("late", "never", source={**ADS, "initial_fetch_timeout": "0.3s"}))
        wait_for(lambda: "late" in proxy.listeners(), what="the listener does without")
        assert get(proxy.port("late")).status == 404
        ads.set("route", direct("after all", "never"))
        wait_for(lambda: body(proxy, "late") == b"after all", what="the routes came later")


# --- replacing ---


@VARIANTS
def test_connections_of_a_chain_that_changed_are_told_and_then_closed(tmp_path, delta):
    args = ["--drain-time-s", "1", "--drain-strategy", "immediate"]
    with mesh.running(tmp_path, delta, args) as (ads, proxy, _):
        port = proxy.port("in")
        with Client(port) as asking, Client(port) as silent:
            for client in (asking, silent):
                client.send(REQUEST)
                assert client.read_answer().header("connection") is None
            ads.set("listener", rds_listener(server_name="changed"))
            wait_for(lambda: get(port).header("server") == "changed", what="new connections get the new chain")
            asking.send(REQUEST)
            answer = asking.read_answer()
            assert (answer.header("connection"), answer.header("server")) == ("close", "envoy"), "it lives with the old one"
            assert silent.read_end(5) == "fin", "the drain time is over"
        assert proxy.stat("listener_manager.listener_in_place_updated") == 1


# --- reconnecting ---


def first_request(ads, kind):
    return wait_for(lambda: next((r for r in ads.requests if r.type_url == api.type_url(kind)), None),
                    40, f"a request for {kind} on the new stream")


@VARIANTS
def test_a_control_plane_that_came_back_is_told_what_is_held(tmp_path, delta):
    with mesh.running(tmp_path, delta) as (ads, proxy, _):
        versions = {kind: next(iter(ads.resources[api.type_url(kind)].values()))[0] for kind in ("cluster", "listener")}
        ads.stop()
        wait_for(lambda: proxy.stat("control_plane.connected_state") == 0, what="control plane lost")
        ads.restart()
        for kind, name in (("cluster", "app"), ("listener", "in")):
            request = first_request(ads, kind)
            assert request.node.id == "test-node" or kind != "cluster", "the first request says who asks"
            if delta:
                assert dict(request.initial_resource_versions) == {name: versions[kind]}
            else:
                assert request.version_info and not request.response_nonce
        assert body(proxy) == b"one"
        assert proxy.stat("listener_manager.listener_modified") == 0


# --- what nobody knows ---


@pytest.mark.parametrize("flag", [None, "--ignore-unknown-dynamic-fields", "--reject-unknown-dynamic-fields"])
def test_a_field_that_nobody_knows(tmp_path, flag):
    with mesh.running(tmp_path, True, [flag] if flag else []) as (ads, proxy, _):
        ads.set("cluster", px.static_cluster("more", 1), unknown=UNKNOWN_FIELD)
        if flag == "--reject-unknown-dynamic-fields":
            nack = ads.wait_nack("cluster", "more")[0]
            assert "49: unknown field" in nack
            assert "more::" not in proxy.admin("/clusters")[1]
            return
        wait_for(lambda: "more::" in proxy.admin("/clusters")[1], what="the cluster is taken all the same")
        listed = "cluster 'more': 49: unknown field" in proxy.admin("/unsupported")[1]
        assert listed == (flag is None)
        assert proxy.stat("server.dynamic_unknown_fields") == (1 if flag is None else 0)
        assert not ads.nacks()


# --- files ---


def replace(path, kind, *resources):
    """As a file is replaced safely: by a rename."""
    url = api.type_url(kind)
    content = {"version_info": "1", "resources": [{"@type": url, **resource} for resource in resources]}
    with open(path + ".new", "w") as f:
        json.dump(content, f)
    os.rename(path + ".new", path)


def listener_for(text, **more):
    return px.static_listener("in", px.http_filter_chain([{**direct(text)["virtual_hosts"][0]["routes"][0], **more}]))


def test_clusters_and_listeners_from_watched_files(tmp_path):
    clusters, listeners = str(tmp_path / "cds.json"), str(tmp_path / "lds.json")
    with Upstream(answer_ok) as upstream:
        replace(clusters, "cluster", px.static_cluster("app", upstream.port))
        replace(listeners, "listener", listener_for("one"))
        sources = {f"{kind}_config": {"path_config_source": {"path": path}, "resource_api_version": "V3"}
                   for kind, path in (("cds", clusters), ("lds", listeners))}
        with px.Proxy(px.REMORA, {"dynamic_resources": sources}, directory=str(tmp_path)) as proxy:
            assert body(proxy) == b"one"
            port = proxy.port("in")
            replace(listeners, "listener", listener_for("two"))
            wait_for(lambda: body(proxy) == b"two", what="the file is read again")
            replace(listeners, "listener", listener_for("three", match={"prefix": "/", "nonesuch": 1}))
            wait_for(lambda: proxy.stat("listener_manager.lds.update_rejected") +
                     proxy.stat("listener_manager.lds.update_failure") >= 1, what="the broken file is refused")
            assert (body(proxy), proxy.port("in")) == (b"two", port)
            replace(clusters, "cluster", px.static_cluster("app", upstream.port), px.static_cluster("", 1))
            wait_for(lambda: proxy.stat("cluster_manager.cds.update_rejected") == 1, what="the broken cluster is refused")
            assert "app::" in proxy.admin("/clusters")[1]
            replace(listeners, "listener", listener_for("four"))
            wait_for(lambda: body(proxy) == b"four", what="a good file mends it")
