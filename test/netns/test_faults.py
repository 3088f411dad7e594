"""What users of a service notice while its pods are killed, cut off, reset, slowed, made to fail, renamed or rolled: 500
requests a second go on, and with the retries and outlier detection that a mesh sets by default they should notice nothing."""

import contextlib

import pytest

from test.netns.fault_rig import CONNECTIONS, PORT, Load, Rig
from test.support import mesh
from test.support import proxy as px
from test.support.ads import AdsServer, ads_bootstrap
from test.support.dns import DnsServer

RETRIES = {
    "retry_on": "connect-failure,refused-stream,reset,unavailable,cancelled,retriable-status-codes",
    "retriable_status_codes": [503],
    "num_retries": 2,
    "retry_host_predicate": [px.typed("envoy.retry_host_predicates.previous_hosts",
                                      "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")],
    "host_selection_retry_max_attempts": 5,
}
OUTLIERS = {"consecutive_5xx": 5, "consecutive_gateway_failure": 5, "interval": "1s", "base_ejection_time": "30s",
            "max_ejection_percent": 50}
# What a mesh sends where its users say nothing: retries are bounded by num_retries alone.
LIMITS = {"thresholds": [{"max_connections": 4294967295, "max_pending_requests": 4294967295, "max_requests": 4294967295,
                          "max_retries": 4294967295}]}
DEFAULTS = {"outlier_detection": OUTLIERS, "circuit_breakers": LIMITS}


@pytest.fixture
def rig():
    rig = Rig()
    try:
        yield rig
    finally:
        rig.remove()


def assignment(pods):
    return {"cluster_name": "app", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
        "address": pod.address, "port_value": PORT}}}} for pod in pods]}]}


class Mesh:
    """The proxy of the rig, told of its pods by a control plane."""

    def __init__(self, rig, ads, directory, route, cluster):
        self.rig, self.ads, self.log = rig, ads, directory / "access.log"
        self.publish()
        ads.set("cluster", {**mesh.eds_cluster("app"), **{key: value for key, value in cluster.items() if value}})
        routes = mesh.routes("app", **{"retry_policy": RETRIES, **route})
        routes["virtual_hosts"][0]["include_request_attempt_count"] = True
        ads.set("route", routes)
        log = px.file_access_log(str(self.log), "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_HOST% "
                                 "%UPSTREAM_REQUEST_ATTEMPT_COUNT% %DURATION%\n")
        ads.set("listener", mesh.rds_listener(access_log=[log]))
        self.proxy = px.Proxy(px.REMORA, ads_bootstrap(ads.port), args=["--concurrency", "2"], directory=str(directory))

    def publish(self):
        self.ads.set("endpoint", assignment(self.rig.pods))

    def stat(self, name):
        return self.proxy.stat("cluster.app." + name)

    def wait_members(self, number):
        px.wait_for(lambda: self.stat("membership_total") == number, what=f"{number} members")


@contextlib.contextmanager
def running(rig, directory, pods=4, route=None, cluster=None):
    with rig.host.entered():
        for _ in range(pods):
            rig.add_pod()
        ads = AdsServer()
        made = Mesh(rig, ads, directory, route or {}, {**DEFAULTS, **(cluster or {})})
        try:
            yield made
        finally:
            made.proxy.stop()
            ads.stop()


def assert_good(load, log=None):
    failed = [line for line in log.read_text().splitlines() if not line.startswith("200 ")] if log else []
    assert set(load.answers) == {200}, (load.answers, failed)


def test_a_rolling_update_is_not_noticed(rig, tmp_path):
    with running(rig, tmp_path, pods=3) as mesh_, Load(mesh_.proxy.port("in")) as load:
        load.wait(200)
        for old in list(rig.pods):
            rig.add_pod()
            mesh_.publish()
            mesh_.wait_members(4)
            load.wait(100)
            # The application is told to end and the control plane hears of it at the same moment.
            old.end()
            rig.remove_pod(old)
            mesh_.publish()
            mesh_.wait_members(3)
            load.wait(100)
    assert_good(load, mesh_.log)


def test_killed_pods_are_not_noticed(rig, tmp_path):
    with running(rig, tmp_path) as mesh_, Load(mesh_.proxy.port("in")) as load:
        load.wait(200)
        rig.pods[0].kill()
        px.wait_for(lambda: mesh_.stat("outlier_detection.ejections_active") == 1, what="the dead pod is left out")
        load.wait(200)
        rig.pods[1].kill()
        px.wait_for(lambda: mesh_.stat("outlier_detection.ejections_active") == 2, what="both dead pods are left out")
        load.wait(200)
    assert_good(load, mesh_.log)


def test_a_pod_that_resets_is_not_noticed(rig, tmp_path):
    with running(rig, tmp_path) as mesh_, Load(mesh_.proxy.port("in")) as load:
        load.wait(200)
        rig.pods[0].tell("reset")
        px.wait_for(lambda: mesh_.stat("outlier_detection.ejections_active") == 1, what="the pod is left out")
        load.wait(200)
    assert_good(load, mesh_.log)


def test_a_black_hole_costs_some_a_try_and_is_left_out(rig, tmp_path):
    patient = {**RETRIES, "retry_on": RETRIES["retry_on"] + ",gateway-error", "per_try_timeout": "0.5s", "num_retries": 3}
    with running(rig, tmp_path, route={"retry_policy": patient}, cluster={"connect_timeout": "0.5s"}) as mesh_:
        with Load(mesh_.proxy.port("in")) as load:
            load.wait(200)
            rig.pods[0].black_hole()
            px.wait_for(lambda: mesh_.stat("outlier_detection.ejections_active") == 1, what="the lost pod is left out")
            load.wait(100)
        assert_good(load, mesh_.log)
        with Load(mesh_.proxy.port("in")) as later:
            later.wait(300)
        assert_good(later, mesh_.log)
        assert mesh_.stat("upstream_rq_per_try_timeout") + mesh_.stat("upstream_cx_connect_timeout") > 0


def test_a_slow_pod_slows_only_its_own_requests(rig, tmp_path):
    with running(rig, tmp_path, cluster={"lb_policy": "LEAST_REQUEST"}) as mesh_, Load(mesh_.proxy.port("in")) as load:
        load.wait(100)
        before = rig.pods[0].report()["served"]
        rig.pods[0].tell("slow 300")
        load.wait(400)
        slow = rig.pods[0].report()["served"] - before
        assert 0 < slow < 400 / 4 / 2, "least request turns away from it"
    assert_good(load, mesh_.log)
    assert load.slowest < 2.0


def test_pods_that_fail_at_times_are_not_noticed(rig, tmp_path):
    """At 30% of one pod's answers; retries stay within a fifth of what is active (or three)."""
    with running(rig, tmp_path) as mesh_, Load(mesh_.proxy.port("in")) as load:
        load.wait(100)
        rig.pods[0].tell("fail 30")
        load.wait(800)
        assert mesh_.stat("upstream_rq_retry_success") > 0
    assert_good(load, mesh_.log)


def test_a_storm_of_retries_stays_within_its_budget(rig, tmp_path):
    """The only pod fails always and takes its time: every request would be sent three times. Nothing is configured, so a fifth
    of the active requests may be retries (or three)."""
    with running(rig, tmp_path, pods=1, cluster={"outlier_detection": None, "circuit_breakers": None}) as mesh_:
        with Load(mesh_.proxy.port("in")) as load:
            load.wait(100)
            rig.pods[0].tell("fail 100")
            load.wait(600)
        report = rig.pods[0].report()
        assert report["most_active_retries"] <= max(3, CONNECTIONS // 5), report
        assert mesh_.stat("upstream_rq_retry_overflow") > 0
        assert mesh_.stat("upstream_rq_retry") == report["retries"]
    assert set(load.answers) == {200, 503}, load.answers


def test_names_that_flap_are_not_noticed(rig, tmp_path):
    with rig.host.entered():
        for _ in range(2):
            rig.add_pod()
        dns = DnsServer()
        names = [pod.address for pod in rig.pods]
        dns.set("app.test", *names)
        resolver = {"name": "cares", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [{"socket_address": {"address": "127.0.0.1", "port_value": dns.port}}]}}
        cluster = px.static_cluster("app", PORT, type="STRICT_DNS", dns_refresh_rate="0.05s", dns_lookup_family="V4_ONLY",
                                    typed_dns_resolver_config=resolver, outlier_detection=OUTLIERS)
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"]["socket_address"]["address"] = "app.test"
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app", "retry_policy": RETRIES}}]
        listener = px.static_listener("in", px.http_filter_chain(routes))
        with px.Proxy(px.REMORA, px.static_bootstrap([listener], [cluster]), directory=str(tmp_path)) as proxy:
            with Load(proxy.port("in")) as load:
                for answer in [names[:1], names, None, names[1:], names, None, names[::-1]]:
                    dns.fail(answer is None)
                    if answer is not None:
                        dns.set("app.test", *answer)
                    asked = len(dns.asked)
                    px.wait_for(lambda before=asked: len(dns.asked) > before + 1, what="it was asked for the name")
                    load.wait(60)
            assert_good(load)
