"""Role-based access control of connections: the same policies for Envoy and for Remora."""

import os

import pytest

from test.differential.rbac_cases import ANY, LOCAL, NETWORK, OTHER, act, asks, is_, rules, tree_list
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream

pytestmark = pytest.mark.skipif(not px.ENVOY, reason="ENVOY_BIN is not set")

RBAC = "envoy.extensions.filters.network.rbac.v3.RBAC"
LOG = "%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% %DYNAMIC_METADATA(envoy.filters.network.rbac)%\n"
NO_NAME = {"requested_server_name": {"exact": ""}}


def ids(*principals):
    return {"policies": {"p q": {"permissions": ANY, "principals": list(principals)}}}


# Name -> the filter's fields.
POLICIES = {
    "nothing": {},
    "empty": {"rules": {}},
    "empty_deny": {"rules": {"action": "DENY"}},
    "allow": {"rules": rules("ALLOW")},
    "deny": {"rules": rules("DENY", name="a b[c]")},
    "log": {"rules": rules("LOG")},
    "local": {"rules": ids({"direct_remote_ip": LOCAL})},
    "not_local": {"rules": ids({"not_id": {"remote_ip": LOCAL}})},
    "either": {"rules": ids({"source_ip": OTHER}, {"source_ip": LOCAL})},
    "both": {"rules": ids({"and_ids": {"ids": [{"source_ip": OTHER}, {"source_ip": LOCAL}]}})},
    "authenticated": {"rules": ids({"authenticated": {}})},
    "not_authenticated": {"rules": ids({"not_id": {"authenticated": {}}})},
    "port_range": {"rules": rules("DENY", {"destination_port_range": {"start": 1024, "end": 65536}})},
    "no_port": {"rules": rules("ALLOW", {"destination_port_range": {"start": 1, "end": 2}})},
    "destination": {"rules": rules("ALLOW", {"and_rules": {"rules": [{"destination_ip": LOCAL}, NO_NAME]}})},
    "metadata": {"rules": rules("ALLOW", {"metadata": {"filter": "f", "path": [{"key": "k"}], "value": {"present_match": True}}})},
    "shadow": {"shadow_rules": rules("DENY", name="s")},
    "shadow_too": {"rules": rules("ALLOW"), "shadow_rules": rules("DENY"), "shadow_rules_stat_prefix": "s_"},
    "tree": {"matcher": tree_list((is_({"exact": "127.0.0.1"}, asks(NETWORK + "DirectSourceIPInput")), act("one")))},
    "tree_deny": {"matcher": tree_list((is_({"exact": "10.0.0.1"}, asks(NETWORK + "SourceIPInput")), act("one")),
                                       otherwise=act("other", "DENY"))},
    "tree_empty": {"matcher": {}, "shadow_matcher": tree_list((is_({"exact": "x"}, asks(NETWORK + "ServerNameInput")), act("n")))},
}


class Side:
    def __init__(self, binary, directory):
        self.directory = directory
        self.upstream = Upstream()
        listeners = []
        for name, fields in POLICIES.items():
            log = px.file_access_log(os.path.join(directory, name + ".log"), LOG)
            chain = [px.typed("envoy.filters.network.rbac", RBAC, stat_prefix=name, **fields)]
            listeners.append(px.static_listener(name, chain + px.tcp_filter_chain("app", access_log=[log])))
        self.proxy = px.Proxy(binary, px.static_bootstrap(listeners, [px.static_cluster("app", self.upstream.port)]),
                              args=["--file-flush-interval-msec", "20", "-l", "error"], directory=directory)
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def run(self, policy):
        """Whether an exchange got through, what was counted and logged."""
        with Client(self.ports[policy]) as client:
            client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = client.read_answer()

        def log():
            try:
                with open(os.path.join(self.directory, policy + ".log")) as f:
                    return f.read()
            except FileNotFoundError:
                return None

        line = px.wait_for(log, 10.0, "access log")
        return answer is not None, self.proxy.stats(f"^{policy}.rbac"), line

    def close(self):
        self.proxy.stop()
        self.upstream.close()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    made = [Side(binary, str(tmp_path_factory.mktemp(name))) for name, binary in (("envoy", px.ENVOY), ("remora", px.REMORA))]
    yield made
    for side in made:
        side.close()


@pytest.mark.parametrize("policy", POLICIES)
def test_decides_counts_and_logs_as_envoy(sides, policy):
    theirs, ours = (side.run(policy) for side in sides)
    assert ours == theirs
