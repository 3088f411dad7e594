"""gRPC deadlines, retries and local answers: the same configuration and bytes for Envoy and for Remora."""

import concurrent.futures
import os
import re

import pytest

from test.differential import grpc_cases as cases
from test.differential.exchange import normal_answer
from test.support import proxy as px
from test.support.client import Client
from test.support.grpc import trailers_only
from test.support.upstream import ClosedPort, Upstream, answer_with

LOG = ("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% "
       "%GRPC_STATUS_NUMBER% %BYTES_SENT% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n")
TOLD = re.compile(rb"(?:grpc-timeout|x-envoy-[a-z-]+):[^\r]*")
COUNTED = ("upstream_rq_timeout", "upstream_rq_per_try_timeout", "upstream_rq_max_duration_reached", "upstream_rq_retry",
           "upstream_rq_retry_success", "upstream_rq_completed", "upstream_rq_5xx", "upstream_rq_2xx", "upstream_rq_504")
COUNTED_OF_HOSTS = ("rq_success", "rq_error", "rq_timeout")


def all_deadlines():
    for name, deadline in cases.DEADLINES.items():
        for kind, content_type in cases.DEADLINE_TYPES.items():
            yield f"{name}_{kind}", deadline, content_type


class Side:
    """One proxy with a listener per case."""

    def __init__(self, binary, directory):
        self.directory = directory
        self.upstreams = {}
        self.refused = ClosedPort()
        listeners, clusters = [], [px.static_cluster("app", self.refused.port)]
        answered = answer_with(trailers_only(b"0"))
        for name, route in cases.TIMEOUT_ROUTES.items():
            self._add(name, listeners, clusters, answered, route=route)
        for name, deadline, _ in all_deadlines():
            self._add(name, listeners, clusters, deadline.script, deadline.route, deadline.hcm, deadline.cluster)
        listeners.append(px.static_listener("local", px.http_filter_chain(cases.local_routes(), stat_prefix="local",
                                                                          access_log=self._log("local"))))
        self.proxy = px.Proxy(binary, px.static_bootstrap(listeners, clusters),
                              args=["--file-flush-interval-msec", "20", "-l", "error"], directory=directory)
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            names = {pool.submit(self._pass_deadline, *case): case[0] for case in all_deadlines()}
            self.deadlines = {names[done]: done.result() for done in concurrent.futures.as_completed(names)}

    def _add(self, name, listeners, clusters, script, route, hcm=None, cluster=None):
        self.upstreams[name] = Upstream(script)
        clusters.append(px.static_cluster(name, self.upstreams[name].port, **(cluster or {})))
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": name, **route}}]
        listeners.append(px.static_listener(name, px.http_filter_chain(
            routes, stat_prefix=name, access_log=self._log(name), **(hcm or {}))))

    def _log(self, name):
        return px.file_access_log(os.path.join(self.directory, name + ".log"), LOG)

    def log_lines(self, name, count):
        def lines():
            try:
                with open(os.path.join(self.directory, name + ".log")) as f:
                    found = f.read().splitlines()
            except FileNotFoundError:
                return None
            return found if len(found) >= count else None

        return px.wait_for(lines, 5.0, "access log")

    def told(self, name):
        """What each request told the upstream of timeouts."""
        with Client(self.ports[name]) as client:
            for data in cases.timeout_requests():
                client.send(data)
                assert client.read_answer().status == 200
        forwarded = b"".join(self.upstreams[name].received()).split(b"POST ")[1:]
        return [sorted(TOLD.findall(one)) for one in forwarded]

    def _pass_deadline(self, name, deadline, content_type):
        with Client(self.ports[name]) as client:
            client.send(deadline.request(content_type))
            answer = normal_answer(client.read_answer())
        forwarded = b"".join(self.upstreams[name].received()).split(b"POST ")[1:]
        told = [] if deadline.at_once else [sorted(TOLD.findall(one)) for one in forwarded]
        return {"answer": answer, "told": told[:1], "attempts": len(told), "log": self.log_lines(name, 1)}

    def counts(self, name):
        stats = self.proxy.stats(f"^cluster.{name}.")
        return {key: stats.get(f"cluster.{name}.{key}", 0) for key in COUNTED}

    def host_counts(self, name):
        lines = self.proxy.admin("/clusters")[1].splitlines()
        fields = [line.split("::") for line in lines if line.startswith(name + "::127.0.0.1")]
        return {field[2]: field[3] for field in fields if field[2] in COUNTED_OF_HOSTS}

    def local_answers(self):
        answers = []
        for head_only, data in cases.local_requests():
            with Client(self.ports["local"]) as client:
                client.send(data)
                answers.append(normal_answer(client.read_answer(head_only)))
        return answers, self.log_lines("local", len(answers))

    def close(self):
        self.proxy.stop()
        self.refused.close()
        for upstream in self.upstreams.values():
            upstream.close()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    envoy = Side(px.ENVOY, str(tmp_path_factory.mktemp("envoy")))
    remora = Side(px.REMORA, str(tmp_path_factory.mktemp("remora")))
    yield envoy, remora
    envoy.close()
    remora.close()


@pytest.mark.parametrize("name", cases.TIMEOUT_ROUTES)
def test_the_upstream_is_told_the_same_timeouts(sides, name):
    envoy, remora = sides
    requests = cases.timeout_requests()
    theirs, ours = envoy.told(name), remora.told(name)
    assert len(ours) == len(requests)
    for data, their, our in zip(requests, theirs, ours):
        assert our == their, data


@pytest.mark.parametrize("name", [name for name, _, _ in all_deadlines()])
def test_deadlines_and_retries_end_the_same(sides, name):
    envoy, remora = sides
    assert remora.deadlines[name] == envoy.deadlines[name]
    assert remora.counts(name) == envoy.counts(name)
    assert remora.host_counts(name) == envoy.host_counts(name)


def test_local_answers_are_the_same(sides):
    envoy, remora = sides
    theirs, ours = envoy.local_answers(), remora.local_answers()
    for (_, data), *rows in zip(cases.local_requests(), theirs[0], ours[0], theirs[1], ours[1]):
        assert (rows[1], rows[3]) == (rows[0], rows[2]), data
