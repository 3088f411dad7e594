"""Hosts that fail are left out and come back, while endpoints and configurations change around them."""

import re

import pytest

from test.support import mesh
from test.support.client import get
from test.support.mesh import assignment, eds_cluster, ok, routes
from test.support.proxy import wait_for
from test.support.upstream import Upstream, answer_with

BAD = answer_with(b"HTTP/1.1 500 Bad\r\ncontent-length: 3\r\n\r\nbad")
FOR_LONG = {"consecutive_5xx": 2, "max_ejection_percent": 100, "interval": "0.1s", "base_ejection_time": "300s"}


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def served(request, tmp_path):
    with mesh.running(tmp_path, request.param, ["--concurrency", "2"]) as (ads, proxy, good), Upstream(BAD) as bad:
        yield ads, proxy, good, bad


def answers(proxy, count=12):
    return {get(proxy.port("in")).status for _ in range(count)}


def start(served, **outlier):
    ads, proxy, good, bad = served
    ads.set("cluster", eds_cluster("app", outlier_detection={**FOR_LONG, **outlier}))
    ads.set("endpoint", assignment("app", good.port, bad.port))
    wait_for(lambda: proxy.stat("cluster.app.membership_total") == 2, what="both hosts")
    wait_for(lambda: 500 in answers(proxy), what="the bad host is asked")
    wait_for(lambda: answers(proxy) == {200}, what="it is left out")


def health_flags(proxy, port):
    text = proxy.admin("/clusters")[1]
    return next(line.rsplit("::", 1)[1] for line in text.splitlines() if f":{port}::health_flags::" in line)


def test_it_stays_out_over_updates_of_endpoints(served):
    start(served)
    ads, proxy, good, bad = served
    assert proxy.stat("cluster.app.outlier_detection.ejections_active") == 1
    assert proxy.stat("cluster.app.membership_healthy") == 1
    assert health_flags(proxy, bad.port) == "/failed_outlier_check"
    with Upstream(ok(b"three")) as third:
        ads.set("endpoint", assignment("app", good.port, bad.port, third.port))
        wait_for(lambda: get(proxy.port("in")).body == b"three", what="the new host takes part")
        assert answers(proxy) == {200}
        ads.set("endpoint", assignment("app", good.port, third.port))
        wait_for(lambda: proxy.stat("cluster.app.outlier_detection.ejections_active") == 0, what="it is gone")


def test_it_stays_out_over_an_update_of_the_cluster(served):
    start(served)
    ads, proxy, _, bad = served
    ads.set("cluster", eds_cluster("app", lb_policy="RANDOM", outlier_detection=FOR_LONG))
    wait_for(lambda: proxy.stat("cluster_manager.cluster_modified") >= 2, what="the cluster changed")
    assert answers(proxy) == {200}
    assert health_flags(proxy, bad.port) == "/failed_outlier_check"
    assert proxy.stat("cluster.app.outlier_detection.ejections_active") == 1


def test_it_comes_back_where_nobody_judges_any_more(served):
    start(served)
    ads, proxy, _, bad = served
    ads.set("cluster", eds_cluster("app"))
    wait_for(lambda: 500 in answers(proxy), what="it is asked again")
    assert health_flags(proxy, bad.port) == "healthy"
    assert proxy.stat("cluster.app.membership_healthy") == 2


def test_it_comes_back_after_its_time_and_is_left_out_again(served):
    start(served, base_ejection_time="0.3s")
    _, proxy, _, _ = served
    for times in (2, 3):
        wait_for(lambda: 500 in answers(proxy), what="it is tried again")
        # Requests go on: those before may have met it once only.
        wait_for(lambda: answers(proxy) and proxy.stat("cluster.app.outlier_detection.ejections_enforced_total") >= times,
                 what="it is left out again")


def test_why_it_is_left_out_is_said_in_words(served):
    start(served)
    _, proxy, _, bad = served
    lines = [line.split("::reason::")[1] for line in proxy.admin("/clusters")[1].splitlines() if f":{bad.port}::reason::" in line]
    assert len(lines) == 1
    assert re.fullmatch(r"outlier, left out \d+ s ago for 300 s after 5xx in a row, time 1", lines[0]), lines


def test_when_all_are_out_there_is_panic(served):
    ads, proxy, _, bad = served
    ads.set("cluster", eds_cluster("app", outlier_detection=FOR_LONG))
    ads.set("endpoint", assignment("app", bad.port))
    wait_for(lambda: get(proxy.port("in")).status == 500 and proxy.stat("cluster.app.membership_healthy") == 0, what="no host is left")
    assert answers(proxy) == {500}, "better a host that failed than none"
    assert proxy.stat("cluster.app.lb_healthy_panic") >= 12


def test_what_makes_no_sense_is_refused(served):
    ads, proxy, _, _ = served
    for field, value, reason in [("max_ejection_percent", 101, "max_ejection_percent: must be from 0 to 100"),
                                 ("interval", "0s", "interval: must be greater than 0s"),
                                 ("enforcing_success_rate", 101, "enforcing_success_rate: must be from 0 to 100")]:
        ads.set("cluster", eds_cluster("app", outlier_detection={field: value}))
        ads.wait_nack("cluster", f"outlier_detection.{reason}")
    assert answers(proxy) == {200}
    ads.set("cluster", eds_cluster("app"))
    ads.set("route", routes("app"))
