"""Outlier detection: hosts that fail, given to Envoy and to Remora: the same are left out, for the same reason, and counted alike."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from test.differential.exchange import pair_of
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import ClosedPort, Upstream, answer_with

OK = answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood")


def status(code):
    return answer_with(b"HTTP/1.1 %d Bad\r\ncontent-length: 3\r\n\r\nbad" % code)


def grpc(code):
    return answer_with(b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: %d\r\ncontent-length: 0\r\n\r\n" % code)


def cuts(peer):
    while peer.read_request():
        peer.reset()


def silent(peer):
    peer.read_request()
    peer.wait_for_close()


SLOW_TO_JUDGE = {"interval": "300s", "base_ejection_time": "300s", "max_ejection_percent": 100}
SPLIT = {"split_external_local_origin_errors": True}
GRPC = "content-type: application/grpc\r\n"


class Case:
    """`bad`: what the bad hosts do (None: nobody listens); `good`: how many good ones there are besides."""

    def __init__(self, config, bad, good=2, route=None, headers="", tcp=False, ends=None):
        self.config = {**SLOW_TO_JUDGE, **config}
        self.bad, self.good, self.route, self.headers, self.tcp = bad, good, route or {}, headers, tcp
        self.ends = ends or {"ejections_enforced_total": len(bad)}


CASES = {
    "5xx": Case({"consecutive_5xx": 3}, [status(500)]),
    "gateway_is_5xx": Case({"consecutive_5xx": 3}, [status(503)]),
    "gateway": Case({"consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100}, [status(502)]),
    "gateway_not_enforced": Case({"consecutive_gateway_failure": 2, "consecutive_5xx": 6}, [status(504)]),
    "internal_is_no_gateway": Case({"consecutive_gateway_failure": 1, "enforcing_consecutive_gateway_failure": 100,
                                    "consecutive_5xx": 4}, [status(501)]),
    "refused": Case({"consecutive_5xx": 3}, [None]),
    "refused_split": Case({"consecutive_local_origin_failure": 2, **SPLIT}, [None]),
    "reset": Case({"consecutive_5xx": 3}, [cuts]),
    # That there was a connection ends the row of failures to reach the host.
    "reset_split": Case({"consecutive_local_origin_failure": 3, **SPLIT}, [cuts], ends={"ejections_enforced_total": 0}),
    "timeout": Case({"consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100}, [silent], route={"timeout": "0.1s"}),
    "timeout_split": Case({"consecutive_local_origin_failure": 2, **SPLIT}, [silent], route={"timeout": "0.1s"},
                          ends={"ejections_enforced_total": 0}),
    "per_try_timeout": Case({"consecutive_5xx": 2}, [silent], route={"retry_policy": {
        "retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.1s"}}),
    "retried": Case({"consecutive_5xx": 3}, [status(500)], route={"retry_policy": {"retry_on": "5xx", "num_retries": 3}}),
    "grpc_unavailable": Case({"consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100}, [grpc(14)], headers=GRPC),
    "grpc_internal": Case({"consecutive_5xx": 3, "consecutive_gateway_failure": 2}, [grpc(13)], headers=GRPC),
    "grpc_refusals_are_no_failures": Case({"consecutive_5xx": 2}, [grpc(7)], headers=GRPC, ends={"ejections_enforced_total": 0}),
    "two": Case({"consecutive_5xx": 2}, [status(500), status(500)]),
    "too_many": Case({"consecutive_5xx": 2, "max_ejection_percent": 50}, [status(500)] * 3, good=1,
                     ends={"ejections_enforced_total": 2, "ejections_overflow": 1}),
    "none_allowed": Case({"consecutive_5xx": 2, "max_ejection_percent": 0}, [status(500)], ends={"ejections_overflow": 1}),
    "one_always": Case({"consecutive_5xx": 2, "max_ejection_percent": 0, "always_eject_one_host": True}, [status(500)]),
    "never_enforced": Case({"consecutive_5xx": 3, "enforcing_consecutive_5xx": 0}, [status(500)],
                           ends={"ejections_detected_consecutive_5xx": 1}),
    "tcp_refused": Case({"consecutive_5xx": 3}, [None], tcp=True),
    "tcp_refused_split": Case({"consecutive_local_origin_failure": 2, **SPLIT}, [None], tcp=True),
    "success_rate": Case({"consecutive_5xx": 1000, "interval": "3s", "success_rate_minimum_hosts": 3, "success_rate_request_volume": 5,
                          "success_rate_stdev_factor": 1000}, [status(500)], good=4),
    "failure_percentage": Case({"consecutive_5xx": 1000, "interval": "1s", "enforcing_failure_percentage": 100, "enforcing_success_rate": 0,
                                "failure_percentage_minimum_hosts": 3, "failure_percentage_request_volume": 5}, [status(500)], good=2),
    "comes_back": Case({"consecutive_5xx": 2, "interval": "0.1s", "base_ejection_time": "0.4s"}, [status(500)],
                       ends={"ejections_enforced_total": 2}),
}


class Side:
    def __init__(self, binary, directory):
        self.upstreams, self.closed = {}, []
        listeners, clusters = [], []
        for name, case in CASES.items():
            ports = [self.port_of(name, bad) for bad in case.bad] + [self.port_of(name, OK) for _ in range(case.good)]
            clusters.append(px.static_cluster(name, *ports, outlier_detection=case.config, common_lb_config={"healthy_panic_threshold": {}}))
            routes = [{"match": {"prefix": "/"}, "route": {"cluster": name, **case.route}}]
            chain = px.tcp_filter_chain(name) if case.tcp else px.http_filter_chain(routes, name)
            listeners.append(px.static_listener(name, chain))
        self.log = Path(directory) / "outliers.log"
        logs = {"outlier_detection": {"event_log_path": str(self.log)}}
        self.proxy = px.Proxy(binary, px.static_bootstrap(listeners, clusters, cluster_manager=logs),
                              args=["--concurrency", "1", "--file-flush-interval-msec", "50"], directory=directory)

    def port_of(self, name, script):
        if script is None:
            self.closed.append(ClosedPort())
            return self.closed[-1].port
        upstream = Upstream(script)
        self.upstreams.setdefault(name, []).append(upstream)
        return upstream.port

    def ask(self, name, case):
        with Client(self.proxy.port(name)) as client:
            client.send(f"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{case.headers}\r\n".encode())
            answer = client.read_answer()
            return answer and answer.status

    def stats(self, name):
        text = self.proxy.admin(f"/stats?filter=^cluster.{name}.(outlier_detection|membership_healthy)")[1]
        return {line.rsplit(": ", 1)[0].split(".", 2)[2]: int(line.rsplit(": ", 1)[1]) for line in text.splitlines() if line}

    def flags(self, name):
        text = self.proxy.admin("/clusters")[1]
        return sorted(line.rsplit("::", 1)[1] for line in text.splitlines()
                      if line.startswith(f"{name}::") and "::health_flags::" in line)

    def events(self, name):
        """What the log says of the cluster's hosts; times and ports apart."""
        out = []
        for line in self.log.read_text().splitlines():
            if json.loads(line)["cluster_name"] != name:
                continue
            line, times = re.subn(r'"timestamp":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"', '"timestamp":"NOW"', line)
            assert times == 1, line
            out.append(re.sub(r'127.0.0.1:\d+', "HOST", re.sub(r'(since_last_action":)"\d+"', r"\1SOME", line)))
        return out

    def logged(self, name):
        """The events, once there is one for everything that was noticed and allowed."""
        def all_there():
            stats = self.stats(name)
            noticed = sum(value for key, value in stats.items() if "detected" in key) - stats["outlier_detection.ejections_overflow"]
            return sum('"EJECT"' in event for event in self.events(name)) >= noticed

        px.wait_for(all_there, what=f"{name}: events")
        return sorted(set(self.events(name)))

    def run(self, name):
        """Asks until what the case ends with has been counted; then the good hosts alone must answer."""
        case = CASES[name]

        def over():
            counted = self.stats(name)
            return all(counted[f"outlier_detection.{k}"] >= v for k, v in case.ends.items())

        # By time, not by count: some cases are judged once a second, however many requests fit into one.
        asked, give_up = 0, time.monotonic() + 60
        while not (over() and asked >= 12):
            self.ask(name, case)
            asked += 1
            assert time.monotonic() < give_up, self.stats(name)
        if name == "comes_back":
            return {"enforced": case.ends["ejections_enforced_total"], "log": self.logged(name)[:3]}
        stats = self.stats(name)
        out = {"stats": stats, "flags": self.flags(name), "log": self.logged(name)}
        if stats["outlier_detection.ejections_active"] == len(case.bad):
            # Workers hear of it a moment later.
            px.wait_for(lambda: {self.ask(name, case) for _ in range(8)} == {200}, what="good answers only")
        return out

    def close(self):
        self.proxy.stop()
        for upstream in sum(self.upstreams.values(), []) + self.closed:
            upstream.close()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    with pair_of(Side, tmp_path_factory) as pair:
        yield pair


# How often it was noticed depends on how many requests were sent, and that on chance.
OFTEN = {"never_enforced", "none_allowed", "too_many", "success_rate", "failure_percentage"}


@pytest.mark.parametrize("name", CASES)
def test_the_same_hosts_are_left_out(sides, name):
    with ThreadPoolExecutor(2) as both:
        theirs, ours = both.map(lambda side: side.run(name), sides)
    if name in OFTEN:
        for side in (theirs, ours):
            side["stats"] = {key: value > 0 if "detected" in key or "overflow" in key or "rate" in key or key.endswith(("5xx", "total"))
                             else value for key, value in side["stats"].items()}
            # How good the others were in the first interval is chance, too.
            side["log"] = sorted({re.sub(r'"num_ejections.*', "", event) for event in side["log"]})
    assert ours == theirs
