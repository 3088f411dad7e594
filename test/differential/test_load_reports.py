"""What weight a host earns by the load that it reports: Envoy and Remora, with the same bootstrap and the same reports."""

import base64
import re
import struct

import pytest

from test.differential.exchange import pair_of
from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import Upstream


def double(field, value):
    return bytes([field << 3 | 1]) + struct.pack("<d", value)


def entry(field, key, value):
    inner = b"\x0a" + bytes([len(key)]) + key + double(2, value)
    return bytes([field << 3 | 2, len(inner)]) + inner


def b64(data):
    return base64.b64encode(data).decode()


METRICS = ["named_metrics.queue", "utilization.*", "mem_utilization"]
GOOD = "endpoint-load-metrics: TEXT rps_fractional:70,cpu_utilization:0.01"
IGNORED = 7000  # what the other host has earned, as nobody else has
PLAIN = double(1, 0.5) + double(6, 100)

# name: (the header of one host, its weight, what the policy says)
CASES = {
    "text": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,rps_fractional:100", 200, {}),
    "text_spaces": ("endpoint-load-metrics: TEXT  cpu_utilization: 0.5 , , rps_fractional:1e2", 200, {}),
    "json": ('endpoint-load-metrics: JSON {"cpu_utilization": 0.5, "rps_fractional": 100}', 200, {}),
    "json_camel": ('endpoint-load-metrics: JSON {"cpuUtilization": 0.5, "rpsFractional": 100}', 200, {}),
    "json_text": ('endpoint-load-metrics: JSON {"cpu_utilization": "0.5", "rps_fractional": "1e2"}', 200, {}),
    "json_null": ('endpoint-load-metrics: JSON {"cpu_utilization": 0.5, "rps_fractional": 100, "eps": null}', 200, {}),
    "json_unknown": ('endpoint-load-metrics: JSON {"cpu_utilization": 0.5, "rps_fractional": 100, "new": 1}', IGNORED, {}),
    "json_rps": ('endpoint-load-metrics: JSON {"cpu_utilization": 0.5, "rps_fractional": 100, "rps": 100}', 200, {}),
    "json_rps_text": ('endpoint-load-metrics: JSON {"cpu_utilization": 0.5, "rps_fractional": 100, "rps": "x"}', IGNORED, {}),
    "bin": ("endpoint-load-metrics: BIN " + b64(PLAIN), 200, {}),
    "grpc": ("endpoint-load-metrics-bin: " + b64(PLAIN), 200, {}),
    "both": ("endpoint-load-metrics: TEXT cpu_utilization:1,rps_fractional:100\r\nendpoint-load-metrics-bin: " + b64(PLAIN), 200, {}),
    "twice": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,rps_fractional:100\r\nendpoint-load-metrics: TEXT eps:1", 200, {}),
    "application": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,application_utilization:0.25,rps_fractional:100", 400, {}),
    "errors": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,eps:50,rps_fractional:100", 100, {"error_utilization_penalty": 1}),
    "errors_by_default": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,eps:50,rps_fractional:100", 200, {}),
    "errors_free": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,eps:50,rps_fractional:100", 200, {"error_utilization_penalty": 0}),
    "metric": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,application_utilization:0.25,named_metrics.queue:0.8,rps_fractional:100",
               125, {"metric_names_for_computing_utilization": METRICS}),
    "metric_unwanted": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,named_metrics.other:0.8,rps_fractional:100",
                        200, {"metric_names_for_computing_utilization": METRICS}),
    "metric_of_family": ("endpoint-load-metrics-bin: " + b64(PLAIN + entry(5, b"disk", 0.25) + entry(8, b"queue", 0.2)), 400,
                         {"metric_names_for_computing_utilization": METRICS}),
    "metric_in_json": ('endpoint-load-metrics: JSON {"rps_fractional": 100, "utilization": {"disk": 0.25}, "mem_utilization": 0.4}', 250,
                       {"metric_names_for_computing_utilization": METRICS}),
    "tiny": ("endpoint-load-metrics: TEXT cpu_utilization:1,rps_fractional:0.1", 1, {}),
    "huge": ("endpoint-load-metrics: TEXT cpu_utilization:0.0000001,rps_fractional:1e30", 4294967295, {}),
    "no_rate": ("endpoint-load-metrics: TEXT cpu_utilization:0.5", IGNORED, {}),
    "no_utilization": ("endpoint-load-metrics: TEXT rps_fractional:100", IGNORED, {}),
    "duplicate": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,rps_fractional:100,cpu_utilization:0.5", IGNORED, {}),
    "unknown_metric": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,rps_fractional:100,mood:1", IGNORED, {}),
    "not_a_number": ("endpoint-load-metrics: TEXT cpu_utilization:nan,rps_fractional:100", IGNORED, {}),
    "other_form": ("endpoint-load-metrics: XML cpu_utilization:0.5,rps_fractional:100", IGNORED, {}),
    "no_form": ("endpoint-load-metrics: cpu_utilization:0.5,rps_fractional:100", IGNORED, {}),
    "lower_case": ("endpoint-load-metrics: text cpu_utilization:0.5,rps_fractional:100", IGNORED, {}),
    "bad_base64": ("endpoint-load-metrics-bin: !!!!", IGNORED, {}),
    "bad_protobuf": ("endpoint-load-metrics-bin: " + b64(b"\x09\x01"), IGNORED, {}),
    "bad_json": ("endpoint-load-metrics: JSON {", IGNORED, {}),
    "silent": ("x-nothing: 1", IGNORED, {}),
    "trailer": ("transfer-encoding: chunked", 200, {}),
    "blackout": ("endpoint-load-metrics: TEXT cpu_utilization:0.5,rps_fractional:100", 1, {"blackout_period": "600s"}),
}
TRAILER = b"2\r\nok\r\n0\r\nendpoint-load-metrics: TEXT cpu_utilization:0.5,rps_fractional:100\r\n\r\n"


def host(name):
    """Reports what the request tells it to."""
    def script(peer):
        while True:
            head, _ = peer.read_request()
            case = re.search(rb"x-case: (\S+)", head)[1].decode()
            header = CASES[case][0] if name == "a" else GOOD
            body = TRAILER if "chunked" in header else b"ok"
            length = b"" if "chunked" in header else b"content-length: 2\r\n"
            peer.send(b"HTTP/1.1 200 OK\r\n" + header.encode() + b"\r\n" + length + b"\r\n" + body)
    return script


def cluster(case, hosts):
    config = {"blackout_period": "0s", "weight_update_period": "0.1s", **CASES[case][2]}
    policy = px.typed("p", "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin", **config)
    return px.static_cluster(case, *[one.port for one in hosts.values()], load_balancing_policy={"policies": [{"typed_extension_config": policy}]},
                             http_protocol_options={"enable_trailers": True})


class Side:
    def __init__(self, binary, hosts, directory):
        routes = [{"match": {"prefix": "/", "headers": [{"name": "x-case", "string_match": {"exact": case}}]}, "route": {"cluster": case}}
                  for case in CASES]
        bootstrap = px.static_bootstrap([px.static_listener("in", px.http_filter_chain(routes))], [cluster(case, hosts) for case in CASES])
        self.proxy = px.Proxy(binary, bootstrap, args=["--concurrency", "1"], directory=directory)
        self.ports = {one.port: name for name, one in hosts.items()}
        with Client(self.proxy.port("in")) as client:
            for case in CASES:
                for _ in range(6):
                    client.send(f"GET / HTTP/1.1\r\nhost: a\r\nx-case: {case}\r\n\r\n".encode())
                    assert client.read_answer().status == 200

    def weights(self, case):
        text = self.proxy.admin("/clusters")[1]
        return {self.ports[int(port)]: int(weight) for port, weight in re.findall(rf"^{case}::127.0.0.1:(\d+)::weight::(\d+)$", text, re.M)}

    def close(self):
        self.proxy.stop()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    hosts = {name: Upstream(host(name)) for name in "ab"}
    with pair_of(lambda binary, directory: Side(binary, hosts, directory), tmp_path_factory) as pair:
        yield pair
    for one in hosts.values():
        one.close()


@pytest.mark.parametrize("case", CASES)
def test_the_same_weight(sides, case):
    wanted = {"a": CASES[case][1], "b": 1 if case == "blackout" else 7000}
    theirs, ours = sides
    px.wait_for(lambda: theirs.weights(case) == wanted, what=f"Envoy's weights to be {wanted}")
    px.wait_for(lambda: ours.weights(case) == wanted, what=f"our weights to be {wanted}")
