"""The admin port as tools use it: Envoy's paths, JSON shapes and rules about methods and hosts."""

import json

import pytest

from test.support import proxy as px
from test.support.client import Client, get
from test.support.proxy import wait_for
from test.support.upstream import Upstream, answer_ok


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A proxy that has served one request."""
    with Upstream(answer_ok) as upstream:
        filters = px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}])
        config = px.static_bootstrap([px.static_listener("in", filters)], [px.static_cluster("app", upstream.port)])
        with px.Proxy(px.REMORA, config, directory=str(tmp_path_factory.mktemp("admin"))) as proxy:
            assert get(proxy.port("in")).status == 200
            yield proxy, upstream


def as_json(proxy, path):
    status, body = proxy.admin(path)
    assert status == 200, body
    return json.loads(body)


def test_server_info(served):
    info = as_json(served[0], "/server_info")
    assert info["state"] == "LIVE"
    assert info["node"]["id"] == "test-node"
    assert info["command_line_options"]["concurrency"] == px.WORKERS


def test_stats_as_text_json_and_prometheus(served):
    proxy, _ = served
    wait_for(lambda: proxy.stat("http.ingress.downstream_rq_completed") == 1, what="the request is counted")
    text = proxy.admin("/stats?filter=^cluster.app.upstream_rq_total$")[1]
    assert text == "cluster.app.upstream_rq_total: 1\n"
    found = as_json(proxy, "/stats?format=json&filter=^cluster.app.upstream_rq_total$")
    assert found["stats"] == [{"name": "cluster.app.upstream_rq_total", "value": 1}]
    status, body = proxy.admin("/stats/prometheus")
    assert status == 200
    assert 'envoy_cluster_upstream_rq_total{envoy_cluster_name="app"} 1\n' in body
    assert 'envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="ingress"} 1\n' in body
    assert body == proxy.admin("/stats?format=prometheus")[1] or "envoy_server_uptime" in body


def test_used_only_leaves_out_what_was_never_written(served):
    proxy, _ = served
    used = proxy.admin("/stats?usedonly")[1]
    assert "cluster.app.upstream_rq_total: 1" in used
    assert "cluster.app.upstream_rq_timeout" not in used
    assert "cluster.app.upstream_rq_timeout: 0" in proxy.admin("/stats")[1]


def test_what_agents_ask_to_know_that_a_sidecar_is_ready(served):
    pattern = ("^(server\\.state|listener_manager\\.workers_started|cluster_manager\\.cds\\.update_success|"
               "listener_manager\\.lds\\.update_success)$").replace("\\", "%5C").replace("|", "%7C").replace("^", "%5E")
    lines = served[0].admin(f"/stats?usedonly&filter={pattern}")[1].splitlines()
    assert "listener_manager.workers_started: 1" in lines
    assert "server.state: 0" in lines


def test_clusters_as_text_and_json(served):
    proxy, upstream = served
    text = proxy.admin("/clusters")[1]
    host = f"127.0.0.1:{upstream.port}"
    assert f"app::{host}::rq_total::1\n" in text
    assert f"app::{host}::health_flags::healthy\n" in text
    assert "app::default_priority::max_connections::1024\n" in text
    [status] = as_json(proxy, "/clusters?format=json")["cluster_statuses"]
    assert status["name"] == "app"
    [host_status] = status["host_statuses"]
    assert host_status["address"]["socket_address"]["port_value"] == upstream.port
    assert host_status["health_status"]["eds_health_status"] == "HEALTHY"


def test_listeners_as_text_and_json(served):
    proxy, _ = served
    assert proxy.admin("/listeners")[1] == f"in::127.0.0.1:{proxy.port('in')}\n"


def test_config_dump_holds_what_was_configured(served):
    proxy, _ = served
    dump = as_json(proxy, "/config_dump")
    kinds = [config["@type"].rsplit(".", 1)[1] for config in dump["configs"]]
    assert kinds[0] == "BootstrapConfigDump"
    assert {"ClustersConfigDump", "ListenersConfigDump"} <= set(kinds)
    clusters = as_json(proxy, "/config_dump?resource=static_clusters")["configs"]
    assert [c["cluster"]["name"] for c in clusters] == ["app"]
    masked = as_json(proxy, "/config_dump?resource=static_clusters&mask=cluster.name")["configs"]
    assert "connect_timeout" not in masked[0]["cluster"]


def test_config_dump_includes_endpoints_when_asked(served):
    dump = as_json(served[0], "/config_dump?include_eds")
    [endpoints] = [c for c in dump["configs"] if c["@type"].endswith("EndpointsConfigDump")]
    assert endpoints["static_endpoint_configs"]


def test_log_levels_are_shown_and_changed(served):
    proxy, _ = served
    assert proxy.admin("/logging")[0] == 405
    assert "info" in proxy.admin("/logging", "POST")[1]
    changed = proxy.admin("/logging?level=debug", "POST")
    assert changed[0] == 200 and "debug" in changed[1]
    assert proxy.admin("/logging?level=nonsense", "POST")[0] == 400
    assert proxy.admin("/logging?level=info", "POST")[0] == 200


def test_counters_are_reset(served):
    proxy, _ = served
    assert proxy.admin("/reset_counters", "POST")[0] == 200
    assert proxy.stat("cluster.app.upstream_rq_total") == 0
    assert get(proxy.port("in")).status == 200
    wait_for(lambda: proxy.stat("cluster.app.upstream_rq_total") == 1, what="counting goes on")


def test_help_names_every_endpoint(served):
    text = served[0].admin("/help")[1]
    for path in ("/ready", "/server_info", "/stats", "/stats/prometheus", "/clusters", "/listeners", "/config_dump",
                 "/certs", "/memory", "/logging", "/runtime", "/healthcheck/fail", "/healthcheck/ok", "/drain_listeners",
                 "/quitquitquit", "/reset_counters", "/reopen_logs", "/unsupported", "/help"):
        assert f"  {path}" in text


def test_memory_and_runtime(served):
    assert int(as_json(served[0], "/memory")["total_physical_bytes"]) > 0
    assert as_json(served[0], "/runtime")["layers"] is not None


def test_an_unknown_path_is_404_and_says_where_help_is(served):
    status, text = served[0].admin("/nothing")
    assert status == 404
    assert "/help" in text or "admin commands" in text


def test_a_host_that_is_not_local_is_refused(served):
    """A web page in the operator's browser must not reach the port by DNS rebinding."""
    proxy, _ = served
    assert proxy.admin("/config_dump", host="evil.example")[0] in (400, 403)
    assert proxy.admin("/quitquitquit", "POST", host="evil.example:80")[0] in (400, 403)
    assert proxy.alive()
    assert proxy.admin("/stats/prometheus", host="10.1.2.3:15090")[0] == 200, "scrapes name the pod's address"


@pytest.mark.parametrize("raw", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01",
    b"GET /stats HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    b"GET " + b"/" * 100000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
], ids=["no host", "not HTTP", "two lengths", "long target"])
def test_what_is_not_a_request_gets_an_error_and_harms_nobody(served, raw):
    proxy, _ = served
    with Client(proxy.admin_address()[1]) as client:
        client.send(raw)
        answer = client.read_answer(timeout=2)
        assert answer is None or answer.status in (400, 403, 414, 431)
    assert proxy.admin("/ready")[0] == 200
