"""Retries, hedging and their timeouts: the same requests for Envoy and for Remora are repeated as often, for the same reason, at the same
hosts, and counted alike."""

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from test.differential.exchange import pair_of
from test.differential.retry_cases import CASES, cluster_of
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import ClosedPort, Upstream

LOG = "%REQ(:AUTHORITY)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n"
TOLD = re.compile(rb"\r\n((?:grpc-timeout|x-envoy-[a-z-]+):[^\r]*)")
COUNTED = re.compile(r"upstream_rq_(retry.*|per_try.*|timeout|max_duration_reached|completed|[2345]..|5xx|total)$"
                     r"|retry\.upstream_rq_...$|canary\.upstream_rq_...$|retry_or_shadow_abandoned$")
COUNTED_OF_HOSTS = ("rq_success", "rq_error", "rq_timeout", "rq_total", "canary")


class Rig:
    """The upstream of one case: hosts that share a list of acts, and what has come."""

    def __init__(self, case):
        self.case, self.heads, self.came, self.broken_off = case, [], threading.Condition(), threading.Event()
        self.hosts, self.closed = [], [ClosedPort() for _ in range(case.refused)]

    def next_port(self):
        place = len(self.hosts)
        self.hosts.append(Upstream(lambda peer: self.serve(peer, place)))
        return self.hosts[-1].port

    def serve(self, peer, place):
        while True:
            head, body = peer.read_request()
            with self.came:
                number = len(self.heads)
                self.heads.append((place, head, body))
                self.came.notify_all()
            self.case.acts[min(number, len(self.case.acts) - 1)](peer, self)

    def wait_for(self, count):
        with self.came:
            self.came.wait_for(lambda: len(self.heads) >= count, timeout=10)

    def close(self):
        for host in self.hosts + self.closed:
            host.close()


def told(head, first):
    """What the proxy says of the attempt; times are exact only before anything has happened."""
    lines = sorted(TOLD.findall(head.lower()))
    return lines if first else [re.sub(rb"timeout-ms: ?\d+", b"timeout-ms: some", line) for line in lines]


class Side:
    """One proxy with a virtual host and a cluster per case, all asked at once."""

    def __init__(self, binary, directory):
        self.log_path, self.rigs = os.path.join(directory, "access.log"), {name: Rig(case) for name, case in CASES.items()}
        hosts, clusters = [], []
        for name, case in CASES.items():
            rig = self.rigs[name]
            clusters.append(px.static_cluster(name, *[closed.port for closed in rig.closed]) if rig.closed
                            else cluster_of(name, case, rig.next_port))
            hosts.append({"name": name, "domains": [name], **case.vhost,
                          "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name, **case.route}}]})
        chain = px.http_filter_chain({"name": "local", "virtual_hosts": hosts}, use_remote_address=True,
                                     internal_address_config={"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]},
                                     access_log=px.file_access_log(self.log_path, LOG))
        self.proxy = px.Proxy(binary, px.static_bootstrap([px.static_listener("in", chain)], clusters), directory=directory,
                              args=["--concurrency", "1", "--file-flush-interval-msec", "20", "-l", "error"])
        with ThreadPoolExecutor(32) as pool:
            self.answers = dict(zip(CASES, pool.map(self.ask, CASES)))
        px.wait_for(lambda: len(self.logged()) == len(CASES), what="the access log")
        self.log = self.logged()
        self.stats = self.proxy.admin("/stats?filter=^cluster")[1].splitlines()
        self.clusters = self.proxy.admin("/clusters")[1].splitlines()

    def logged(self):
        with open(self.log_path, encoding="utf-8") as log:
            return dict(line.rstrip().split(" ", 1) for line in log if line.endswith("\n"))

    def ask(self, name):
        case = CASES[name]
        with Client(self.proxy.port("in"), timeout=20) as client:
            length = f"content-length: {len(case.body)}\r\n" if case.body else ""
            client.send(f"{case.method} / HTTP/1.1\r\nhost: {name}\r\n{length}{case.headers}\r\n{case.body}".encode())
            answer = client.read_answer()
            return answer and [answer.status, answer.body, answer.header("x-envoy-attempt-count")]

    def result(self, name):
        case, rig, prefix = CASES[name], self.rigs[name], f"cluster.{name}."
        counted = dict(line[len(prefix):].rsplit(": ", 1) for line in self.stats if line.startswith(prefix))
        counted = {k: v for k, v in counted.items() if COUNTED.match(k) and v != "0"}
        of_hosts = sorted(line.split("::", 2)[2] for line in self.clusters if line.startswith(name + "::")
                          and line.split("::")[-2] in COUNTED_OF_HOSTS)
        if case.compared is not list:
            of_hosts = [line for line in of_hosts if line.startswith("canary")]
            counted = {k: v for k, v in counted.items() if not k.startswith("canary")}
        return {"answer": self.answers[name], "log": self.log[name], "hosts": case.compared([place for place, _, _ in rig.heads]),
                "bodies": [body for _, _, body in rig.heads], "told": [told(head, i == 0) for i, (_, head, _) in enumerate(rig.heads)],
                "counted": counted, "of_hosts": of_hosts}

    def close(self):
        self.proxy.stop()
        for rig in self.rigs.values():
            rig.close()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    with pair_of(Side, tmp_path_factory) as pair:
        yield pair


@pytest.mark.parametrize("name", CASES)
def test_the_same_is_repeated(sides, name):
    theirs, ours = (side.result(name) for side in sides)
    assert ours == theirs
