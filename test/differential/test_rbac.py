"""Role-based access control: the same policies and requests for Envoy and for Remora."""

import os

import pytest

from test.differential.rbac_cases import HEADERS, OVERRIDES, PATH_POLICIES, PATHS, POLICIES, STRICTER, TO_APP
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream

LOG = ("%REQ(X-CASE)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
       "%DYNAMIC_METADATA(envoy.filters.http.rbac)% %DYNAMIC_METADATA(envoy.common)%\n")


# Name -> the filters in front of the router and the routes.
CASES = {**{name: (filters, [TO_APP]) for name, filters in {**POLICIES, **PATH_POLICIES}.items()}, **OVERRIDES}


def requests_of(policy):
    """Name -> bytes."""
    def get(path, *lines):
        return b"\r\n".join([b"GET " + path.encode() + b" HTTP/1.1", b"host: a", *lines]) + b"\r\n\r\n"

    if policy in PATH_POLICIES:
        return {path: get(path, b"x-case: " + path.encode()) for path in PATHS}
    return {name: get("/", b"x-case: " + name.encode(), *lines) for name, lines in HEADERS.items()}


class Side:
    """One proxy with a listener per policy. Every request has been sent and its log line read."""

    def __init__(self, binary, directory):
        self.directory = directory
        self.upstream = Upstream()
        listeners = []
        for name, (filters, routes) in CASES.items():
            chain = px.http_filter_chain(
                routes, stat_prefix=name, http_filters=filters, normalize_path=True,
                access_log=px.file_access_log(os.path.join(directory, name + ".log"), LOG))
            listeners.append(px.static_listener(name, chain))
        self.proxy = px.Proxy(
            binary, px.static_bootstrap(listeners, [px.static_cluster("app", self.upstream.port)]),
            args=["--file-flush-interval-msec", "20", "-l", "error"], directory=directory)
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def run(self, policy):
        """Request name -> (status, log line)."""
        statuses = {}
        requests = requests_of(policy)
        for name, data in requests.items():
            with Client(self.ports[policy]) as client:
                client.send(data)
                answer = client.read_answer()
                statuses[name] = answer.status if answer else None
                if statuses[name] == 403:
                    assert answer.body == b"RBAC: access denied"

        def lines():
            try:
                with open(os.path.join(self.directory, policy + ".log")) as f:
                    found = f.read().splitlines()
            except FileNotFoundError:
                found = []
            return found if len(found) >= len(requests) else None

        logged = {line.split(" ")[0]: line for line in px.wait_for(lines, 10.0, "access log")}
        return {name: (statuses[name], logged.get(name)) for name in requests}

    def stats(self, policy):
        return self.proxy.stats(f"http.{policy}.rbac")

    def close(self):
        self.proxy.stop()
        self.upstream.close()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    envoy = Side(px.ENVOY, str(tmp_path_factory.mktemp("envoy")))
    remora = Side(px.REMORA, str(tmp_path_factory.mktemp("remora")))
    yield envoy, remora
    envoy.close()
    remora.close()


@pytest.mark.parametrize("policy", CASES)
def test_decides_logs_and_counts_as_envoy(sides, policy):
    envoy, remora = sides
    theirs, ours = envoy.run(policy), remora.run(policy)
    assert remora.proxy.alive(), remora.proxy.output()
    strict = 0
    for name in theirs:
        if (policy, name) in STRICTER:
            before, after, reason = STRICTER[(policy, name)]
            assert (theirs[name][0], ours[name][0]) == (before, after), reason
            strict += 1
            continue
        assert ours[name] == theirs[name]
    if strict == 0:
        assert remora.stats(policy) == envoy.stats(policy)
