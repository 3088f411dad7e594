"""Active health checks while endpoints and configurations change: a cluster warms by them, and hosts come and go by what they say."""

import json
import threading

import pytest

from test.support import mesh
from test.support.client import get
from test.support.mesh import assignment, eds_cluster
from test.support.proxy import typed, wait_for
from test.support.upstream import Upstream

CHECK = {"timeout": "5s", "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_threshold": 1, "healthy_threshold": 1,
         "http_health_check": {"path": "/health"}}


class Host(Upstream):
    """Answers requests with its name, and checks as it is told; checks that come before `let` wait."""

    def __init__(self, name, status=200, waits=False, header=b""):
        self.name, self.status, self.header = name, status, header
        self.answers, self.asks = 200, b""
        self.let = threading.Event()
        if not waits:
            self.let.set()
        super().__init__(self.serve)

    def serve(self, peer):
        while True:
            head, _ = peer.read_request()
            status, body, header = self.answers, self.name, self.asks
            if head.startswith(b"GET /health "):
                self.let.wait(60)
                status, header = self.status, self.header
            peer.send(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(body), header, body))


@pytest.fixture
def served(tmp_path):
    with mesh.running(tmp_path, False, ["--concurrency", "2", "--file-flush-interval-msec", "50"]) as (ads, proxy, _), Host(b"a") as a, Host(b"b") as b:
        yield ads, proxy, a, b


def bodies(proxy, count=12):
    return {get(proxy.port("in")).body for _ in range(count)}


def flags(proxy, port):
    lines = proxy.admin("/clusters")[1].splitlines()
    return next((line.rsplit("::", 1)[1] for line in lines if line.startswith("checked::") and f":{port}::health_flags::" in line), None)


def start(ads, proxy, *hosts, check=None, **more):
    """The cluster is a new one, so that it warms by its checks."""
    ads.set("endpoint", assignment("app", *[h.port for h in hosts]), assignment("checked", *[h.port for h in hosts]))
    ads.set("cluster", eds_cluster("app"), eds_cluster("checked", health_checks=[check or CHECK], **more))
    ads.set("route", mesh.routes("checked"))


def test_a_cluster_warms_by_its_first_checks(served):
    ads, proxy, a, _ = served
    with Host(b"late", waits=True) as late:
        start(ads, proxy, a, late)
        wait_for(lambda: late.received(), what="it is asked")
        wait_for(lambda: proxy.stat("cluster.checked.health_check.success") >= 1, what="the other has answered")
        assert proxy.stat("cluster_manager.warming_clusters") == 1
        late.let.set()
        wait_for(lambda: proxy.stat("cluster_manager.warming_clusters") == 0, what="it is warm")
        wait_for(lambda: bodies(proxy) == {b"a", b"late"}, what="both serve")


def test_a_host_leaves_and_comes_back_by_what_it_says(served):
    ads, proxy, a, b = served
    start(ads, proxy, a, b)
    wait_for(lambda: bodies(proxy) == {b"a", b"b"}, what="both serve")
    b.status = 503
    wait_for(lambda: flags(proxy, b.port) == "/failed_active_hc", what="it is out")
    wait_for(lambda: bodies(proxy) == {b"a"}, what="the other alone serves")
    assert proxy.stat("cluster.checked.membership_healthy") == 1
    assert proxy.stat("cluster.checked.health_check.healthy") == 1
    b.header = b"x-envoy-degraded: 1\r\n"
    b.status = 200
    wait_for(lambda: flags(proxy, b.port) == "/degraded_active_hc", what="it is degraded")
    assert proxy.stat("cluster.checked.membership_degraded") == 1
    b.header = b""
    wait_for(lambda: flags(proxy, b.port) == "healthy", what="it is back")
    wait_for(lambda: bodies(proxy) == {b"a", b"b"}, what="both serve again")


def test_a_host_that_discovery_drops_stays_while_it_passes(served):
    ads, proxy, a, b = served
    start(ads, proxy, a, b)
    wait_for(lambda: bodies(proxy) == {b"a", b"b"}, what="both serve")
    ads.set("endpoint", assignment("app", a.port), assignment("checked", a.port))
    wait_for(lambda: flags(proxy, b.port) == "/pending_dynamic_removal", what="it is dropped")
    assert bodies(proxy) == {b"a", b"b"}
    b.status = 500
    wait_for(lambda: proxy.stat("cluster.checked.membership_total") == 1, what="it is gone")
    assert flags(proxy, b.port) is None
    wait_for(lambda: bodies(proxy) == {b"a"}, what="the other alone serves")


def test_it_goes_at_once_where_health_is_ignored(served):
    ads, proxy, a, b = served
    start(ads, proxy, a, b, ignore_health_on_host_removal=True)
    wait_for(lambda: bodies(proxy) == {b"a", b"b"}, what="both serve")
    ads.set("endpoint", assignment("app", a.port), assignment("checked", a.port))
    wait_for(lambda: proxy.stat("cluster.checked.membership_total") == 1, what="it is gone")


def test_a_new_host_waits_for_its_check(served):
    ads, proxy, a, _ = served
    start(ads, proxy, a, common_lb_config={"ignore_new_hosts_until_first_hc": True, "healthy_panic_threshold": {"value": 100}})
    wait_for(lambda: bodies(proxy) == {b"a"}, what="it serves")
    with Host(b"new", waits=True) as new:
        ads.set("endpoint", assignment("app", a.port), assignment("checked", a.port, new.port))
        wait_for(lambda: flags(proxy, new.port) == "/failed_active_hc/pending_active_hc", what="it is pending")
        assert proxy.stat("cluster.checked.membership_excluded") == 1
        assert bodies(proxy) == {b"a"}, "no panic for a host that was not asked yet"
        new.let.set()
        wait_for(lambda: bodies(proxy) == {b"a", b"new"}, what="both serve")
        assert proxy.stat("cluster.checked.membership_excluded") == 0


def test_checks_begin_and_end_with_the_configuration(served):
    ads, proxy, a, b = served
    start(ads, proxy, a, b)
    wait_for(lambda: bodies(proxy) == {b"a", b"b"}, what="both serve")
    b.status = 500
    wait_for(lambda: bodies(proxy) == {b"a"}, what="one alone serves")
    ads.set("cluster", eds_cluster("app"), eds_cluster("checked"))
    wait_for(lambda: bodies(proxy) == {b"a", b"b"}, what="nobody asks any more")
    assert flags(proxy, b.port) == "healthy"
    ads.set("cluster", eds_cluster("app"), eds_cluster("checked", health_checks=[CHECK]))
    wait_for(lambda: bodies(proxy) == {b"a"}, what="it is asked again")


@pytest.mark.parametrize("ends", [True, False])
def test_a_passed_check_ends_an_ejection(served, ends):
    ads, proxy, a, b = served
    b.answers = 500
    start(ads, proxy, a, b, outlier_detection={"consecutive_5xx": 1, "max_ejection_percent": 100, "interval": "300s",
                                               "base_ejection_time": "300s", "successful_active_health_check_uneject_host": ends})
    ejections = "cluster.checked.outlier_detection.ejections_enforced_total"
    wait_for(lambda: bodies(proxy) and proxy.stat(ejections) >= (2 if ends else 1), what="ejections")
    checks = proxy.stat("cluster.checked.health_check.success")
    wait_for(lambda: proxy.stat("cluster.checked.health_check.success") >= checks + 6, what="more checks")
    assert proxy.stat(ejections) == 1 or ends
    assert flags(proxy, b.port) == ("healthy" if ends else "/failed_outlier_check")


def test_an_ordinary_answer_may_ask_to_be_left_out(served):
    ads, proxy, a, b = served
    start(ads, proxy, a, b, check={**CHECK, "interval": "300s", "no_traffic_interval": "300s"})
    wait_for(lambda: bodies(proxy) == {b"a", b"b"}, what="both serve")
    b.asks = b"x-envoy-immediate-health-check-fail: 1\r\n"
    wait_for(lambda: bodies(proxy) == {b"a"}, what="the other alone serves")
    assert flags(proxy, b.port) == "/failed_active_hc/excluded_via_immediate_hc_fail"
    assert proxy.stat("cluster.checked.health_check.passive_failure") >= 1
    assert proxy.stat("cluster.checked.health_check.attempt") == 2


def test_a_host_of_another_service_is_left_out(served):
    ads, proxy, a, b = served
    a.header = b"x-envoy-upstream-healthchecked-cluster: payments\r\n"
    b.header = b"x-envoy-upstream-healthchecked-cluster: orders\r\n"
    start(ads, proxy, a, b, check={**CHECK, "http_health_check": {"path": "/health", "service_name_matcher": {"prefix": "pay"}}})
    wait_for(lambda: bodies(proxy) == {b"a"}, what="the one of the service serves")
    assert flags(proxy, b.port) == "/failed_active_hc"
    assert proxy.stat("cluster.checked.health_check.verify_cluster") >= 2


def reasons(proxy, port):
    """But for slowness, which on a busy machine anybody may show."""
    prefix = f"checked::127.0.0.1:{port}::reason::"
    found = [line[len(prefix):] for line in proxy.admin("/clusters")[1].splitlines() if line.startswith(prefix)]
    return [reason for reason in found if not reason.startswith("slow")]


def test_what_is_wrong_with_a_host_is_said_in_words(served):
    ads, proxy, a, b = served
    start(ads, proxy, a, b)
    wait_for(lambda: bodies(proxy) == {b"a", b"b"}, what="both serve")
    assert reasons(proxy, a.port) == reasons(proxy, b.port) == []
    b.status = 503
    wait_for(lambda: "fails its health checks" in reasons(proxy, b.port), what="one is out")
    ads.set("endpoint", assignment("app", a.port), assignment("checked", b.port))
    wait_for(lambda: reasons(proxy, a.port) == ["no more listed by discovery, stays while it passes its health checks"], what="it is dropped")
    a.status = 503
    panic = "0 of 1 hosts healthy, below 50%, all are used"
    wait_for(lambda: f"panic, {panic}" in reasons(proxy, b.port), what="nobody is well")
    assert f"checked::priority_0::panic::{panic}" in proxy.admin("/clusters")[1].splitlines()
    status = next(c for c in json.loads(proxy.admin("/clusters?format=json")[1])["cluster_statuses"] if c["name"] == "checked")
    stats = [s for s in status["host_statuses"][0]["stats"] if s["name"].startswith("reason: ")]
    assert {"name": "reason: fails its health checks", "type": "GAUGE", "value": "1"} in stats


def test_endpoints_that_are_not_refreshed_go(served):
    ads, proxy, a, b = served
    total = "cluster.app.membership_total"
    ads.set("endpoint", {**assignment("app", a.port, b.port), "policy": {"endpoint_stale_after": "0.3s"}})
    wait_for(lambda: proxy.stat("cluster.app.assignment_stale") == 1 and proxy.stat(total) == 0, what="they are too old")
    assert get(proxy.port("in")).status == 503
    assert proxy.stat("cluster.app.assignment_timeout_received") == 1
    ads.set("endpoint", assignment("app", a.port, b.port))
    wait_for(lambda: proxy.stat(total) == 2, what="new ones")
    assert proxy.stat("cluster.app.assignment_stale") == 1


def test_events_go_to_a_log_that_may_be_rotated(served, tmp_path):
    ads, proxy, a, b = served
    log, old = tmp_path / "checks.log", tmp_path / "checks.log.1"
    sink = typed("file", "envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink", event_log_path=str(log))
    start(ads, proxy, a, b, check={**CHECK, "event_logger": [sink]})
    wait_for(lambda: log.exists() and log.read_text().count('"add_healthy_event":{"first_check":true}') == 2, what="both are in")
    log.rename(old)
    assert proxy.admin("/reopen_logs", "POST")[0] == 200
    wait_for(log.exists, what="a new file")
    b.status = 503
    wait_for(lambda: '"eject_unhealthy_event":{"failure_type":"ACTIVE","http_status_code":503}' in log.read_text(), what="one is out")
    assert "eject" not in old.read_text()


def test_a_log_that_cannot_be_opened_is_refused(served, tmp_path):
    ads, _, _, _ = served
    sink = typed("file", "envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink", event_log_path=str(tmp_path / "no" / "log"))
    ads.set("cluster", eds_cluster("app", health_checks=[{**CHECK, "event_logger": [sink]}]))
    ads.wait_nack("cluster", "health_checks[0].event_logger[0].typed_config.event_log_path: unable to open file")


def test_what_makes_no_sense_is_refused(served):
    ads, proxy, _, _ = served
    for check, reason in [({"custom_health_check": {"name": "envoy.health_checkers.redis"}, "http_health_check": None},
                           "custom_health_check: only HTTP, TCP and gRPC are supported"), ({"unhealthy_threshold": None}, "unhealthy_threshold: is required"), ({"timeout": "0s"}, "timeout: must be greater than 0s"),
                          ({"http_health_check": {"path": ""}}, "http_health_check.path: is required"),
                          ({"http_health_check": None}, "health_checker: is required: HTTP, TCP or gRPC")]:
        merged = {key: value for key, value in {**CHECK, **check}.items() if value is not None}
        ads.set("cluster", eds_cluster("app", health_checks=[merged]))
        ads.wait_nack("cluster", f"health_checks[0].{reason}")
