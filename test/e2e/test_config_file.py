"""A bootstrap that cannot be honoured is refused at start with the field's path; a good one serves."""

import copy
import subprocess

import pytest

from test.support import proxy as px
from test.support.client import get
from test.support.upstream import Upstream

ROUTE = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]


def bootstrap(port=1):
    return copy.deepcopy(
        px.static_bootstrap([px.static_listener("in", px.http_filter_chain(ROUTE))], [px.static_cluster("app", port)]))


def refused(tmp_path, config, args=("--mode", "validate")):
    """Exit status and output of a start that must fail."""
    proxy = px.Proxy(px.REMORA, config, args=list(args), wait_ready=False, directory=str(tmp_path))
    status = proxy.wait_exit()
    proxy.stop()
    return status, proxy.output()


def hcm(config):
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def test_a_good_bootstrap_validates(tmp_path):
    status, output = refused(tmp_path, bootstrap())
    assert status == 0, output


def test_a_good_bootstrap_serves(tmp_path):
    with Upstream() as upstream, px.Proxy(px.REMORA, bootstrap(upstream.port), directory=str(tmp_path)) as proxy:
        assert get(proxy.port("in")).body == b"ok"


def unknown_http_filter(c):
    hcm(c)["http_filters"].insert(0, px.typed("x", "google.protobuf.Duration"))
    hcm(c)["http_filters"][0]["typed_config"]["value"] = "1s"


def unknown_filter_type(c):
    hcm(c)["http_filters"].insert(0, px.typed("x", "envoy.extensions.filters.http.nonesuch.v3.Nonesuch"))


def unknown_network_filter(c):
    c["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0] = px.typed(
        "x", "envoy.extensions.filters.network.nonesuch.v3.Nonesuch")


def unknown_field_in_route_match(c):
    hcm(c)["route_config"]["virtual_hosts"][0]["routes"][0]["match"]["nonesuch"] = 1


def unknown_top_field(c):
    c["nonesuch"] = {}


def broken_cluster(c):
    c["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"][
        "socket_address"]["address"] = "not an address"


def no_router(c):
    hcm(c)["http_filters"] = []


def route_to_unknown_cluster(c):
    hcm(c)["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "missing"


def bad_regex(c):
    hcm(c)["route_config"]["virtual_hosts"][0]["routes"][0]["match"] = {"safe_regex": {"regex": "("}}


def duplicate_listener(c):
    c["static_resources"]["listeners"].append(copy.deepcopy(c["static_resources"]["listeners"][0]))


def duplicate_cluster(c):
    c["static_resources"]["clusters"].append(copy.deepcopy(c["static_resources"]["clusters"][0]))


def duplicate_domain(c):
    hosts = hcm(c)["route_config"]["virtual_hosts"]
    hosts.append({**hosts[0], "name": "again"})


def negative_timeout(c):
    c["static_resources"]["clusters"][0]["connect_timeout"] = "-1s"


def a_context_for_servers_on_a_cluster(c):
    c["static_resources"]["clusters"][0]["transport_socket"] = px.typed(
        "envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext")


BROKEN = [
    (unknown_http_filter, "http_filters[0]"),
    (unknown_filter_type, "http_filters[0]"),
    (unknown_network_filter, "filters[0]"),
    (unknown_field_in_route_match, "nonesuch"),
    (unknown_top_field, "nonesuch"),
    (broken_cluster, "app"),
    (no_router, "http_filters"),
    (route_to_unknown_cluster, "missing"),
    (bad_regex, "safe_regex"),
    (duplicate_listener, "in"),
    (duplicate_cluster, "app"),
    (duplicate_domain, "virtual_hosts[1].domains"),
    (negative_timeout, "connect_timeout"),
    (a_context_for_servers_on_a_cluster, "transport_socket"),
]


@pytest.mark.parametrize("breakage,named", BROKEN, ids=[b[0].__name__ for b in BROKEN])
def test_refused_with_the_place(tmp_path, breakage, named):
    config = bootstrap()
    breakage(config)
    status, output = refused(tmp_path, config)
    assert status not in (0, -6, -11), output
    assert named in output, output


def test_unknown_static_field_allowed_when_asked(tmp_path):
    config = bootstrap()
    config["nonesuch"] = {}
    status, output = refused(tmp_path, config, ["--mode", "validate", "--allow-unknown-static-fields"])
    assert status == 0, output


def test_unknown_flag_is_refused(tmp_path):
    status, output = refused(tmp_path, bootstrap(), ["--mode", "validate", "--nonesuch"])
    assert status != 0 and "--nonesuch" in output


def test_version_and_help():
    version = subprocess.run([px.REMORA, "--version"], capture_output=True, text=True)
    assert version.returncode == 0 and "version:" in version.stdout
    help_text = subprocess.run([px.REMORA, "--help"], capture_output=True, text=True)
    assert help_text.returncode == 0 and "--disable-hot-restart" in help_text.stdout


def test_yaml_config_merges_over_the_file(tmp_path):
    with Upstream() as upstream:
        overlay = '{"node": {"id": "from-flag"}}'
        with px.Proxy(px.REMORA, bootstrap(upstream.port), args=["--config-yaml", overlay], directory=str(tmp_path)) as proxy:
            assert '"id": "from-flag"' in proxy.admin("/server_info")[1]
