"""What happens to a WebSocket while the configuration around it changes: nothing."""

import asyncio

import pytest
import websockets

from test.support import mesh
from test.support import proxy as px
from test.support import websocket as ws
from test.support.client import get
from test.support.mesh import assignment, eds_cluster, ok, rds_listener, routes
from test.support.proxy import wait_for
from test.support.upstream import Upstream

UPGRADES = {"upgrade_configs": [{"upgrade_type": "websocket"}]}


def listener_with_a_chain_more():
    listener = rds_listener(**UPGRADES)
    listener["filter_chains"].append({"filter_chain_match": {"destination_port": 9}, "filters": px.tcp_filter_chain("app")})
    return listener


def served(proxy, status, body=None):
    def check():
        answer = get(proxy.port("in"))
        return answer.status == status and (body is None or answer.body == body)
    wait_for(check, what=f"{status} for new requests")


def changes(ads, proxy, other):
    """Each with the wait until new requests feel it."""
    ads.set("route", routes("app", timeout="7s", prefix_rewrite="/changed"))
    wait_for(lambda: proxy.stat("http.in.rds.main.config_reload") >= 2, what="the new routes")
    yield "routes that changed"
    ads.set("endpoint", assignment("app", other.port))
    served(proxy, 200, b"two")
    yield "its endpoint is not among them any more"
    ads.set("cluster", eds_cluster("app", lb_policy="RANDOM", connect_timeout="3s"))
    wait_for(lambda: proxy.stat("cluster_manager.cluster_modified") >= 1, what="the cluster changed")
    yield "a cluster with another balancer"
    ads.set("listener", listener_with_a_chain_more())
    wait_for(lambda: proxy.stat("listener_manager.listener_in_place_updated") == 2, what="in-place update")
    yield "a listener with a filter chain more"
    ads.set("cluster", eds_cluster("second"))
    ads.set("endpoint", assignment("second", other.port))
    ads.set("route", routes("second"))
    wait_for(lambda: get(proxy.port("in")).status == 200 and proxy.stat("cluster.second.upstream_rq_total") >= 1,
             what="the other cluster serves")
    yield "routes that lead elsewhere"
    ads.remove("cluster", "app")
    wait_for(lambda: proxy.stat("cluster_manager.cluster_removed") == 1, what="the cluster is gone")
    yield "no cluster any more"
    ads.remove("route", "main")
    ads.set("route", {"name": "main", "virtual_hosts": []})
    served(proxy, 404)
    yield "no route any more"


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
def test_an_open_websocket_outlives_changes(tmp_path, delta):
    server = ws.Server(ws.echo)
    with mesh.running(tmp_path, delta) as (ads, proxy, _), Upstream(ok(b"two")) as other:
        ads.set("endpoint", assignment("app", server.port))
        ads.set("listener", rds_listener(**UPGRADES))
        wait_for(lambda: proxy.stat("listener_manager.listener_in_place_updated") == 1, what="the listener")

        async def talk():
            uri = f"ws://127.0.0.1:{proxy.port('in')}/socket"
            async with websockets.connect(uri, ping_interval=None) as connection:
                loop = asyncio.get_running_loop()
                steps = changes(ads, proxy, other)
                while (what := await loop.run_in_executor(None, next, steps, None)) is not None:
                    await connection.send(what)
                    assert await asyncio.wait_for(connection.recv(), 5) == what
                await connection.close(1001, "enough")

        asyncio.run(talk())
        wait_for(lambda: server.closed, what="the server's end")
        assert server.closed == [(1001, "enough")]
        assert proxy.stat("http.in.downstream_cx_upgrades_total") == 1
    server.close()
