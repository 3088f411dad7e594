"""The proxy behind remora-iptables, on real traffic: a redirected connection gets to the listener, the filter chain and the
upstream that its original destination asks for. By REDIRECT and by TPROXY, IPv4 and IPv6; Envoy on the same bootstrap
must do the same.
"""

import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import types

import pytest

from test.netns.namespaces import Listener, Namespace, add_address, connect_veth, land
from test.support import proxy as px

SCRIPT = str(pathlib.Path(__file__).resolve().parents[2] / "tools/iptables/remora-iptables")
SIDECAR_GID = "1337"
ADMIN_PORT = 15000
NETS = [
    types.SimpleNamespace(any="0.0.0.0", pod="10.77.0.2", peer="10.77.0.1", service="10.78.0.1", other="10.79.0.1",
                          bind="127.0.0.6", bits=24, host_bits=32, flag="-4"),
    types.SimpleNamespace(any="::", pod="fd77::2", peer="fd77::1", service="fd78::1", other="fd79::1",
                          bind="::6", bits=64, host_bits=128, flag="-6"),
]
# Who answers at which port of the peer, besides "remote".
EXACT_PORT, WILDCARD_PORT, UNMATCHED_PORT = 7001, 7002, 7003


def address(ip, port):
    return {"socket_address": {"address": ip, "port_value": port}}


def original_dst_cluster(name, bind=None):
    cluster = {"name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "2s"}
    if bind:
        cluster["upstream_bind_config"] = {"source_address": {"address": bind, "port_value": 0}}
    return cluster


def static_cluster(name, ip, port):
    return {"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(ip, port)}}]}]}}


def listener(name, ip, port, cluster, **more):
    return {"name": name, "address": address(ip, port),
            "filter_chains": [{"filters": px.tcp_filter_chain(cluster, name)}], **more}


def bootstrap(transparent):
    """What a control plane makes of such a pod, once for each family."""
    listeners, clusters = [], [original_dst_cluster("passthrough")]
    for net in NETS:
        version = net.flag[1:]
        exact, wildcard, unmatched, inbound = (f"{n}{version}" for n in ("exact", "wildcard", "unmatched", "inbound"))
        clusters += [static_cluster(exact, net.peer, EXACT_PORT), static_cluster(wildcard, net.peer, WILDCARD_PORT),
                     static_cluster(unmatched, net.peer, UNMATCHED_PORT), original_dst_cluster(inbound, net.bind)]
        chain = {"filter_chain_match": {"destination_port": 80}, "filters": px.tcp_filter_chain(inbound, inbound)}
        listeners += [
            listener(f"virtualOutbound{version}", net.any, 15001, "passthrough", use_original_dst=True),
            listener(exact, net.service, 9000, exact, bind_to_port=False),
            listener(wildcard, net.any, 9001, wildcard, bind_to_port=False),
            listener(f"virtualInbound{version}", net.any, 15006, inbound, transparent=transparent, filter_chains=[chain],
                     default_filter_chain={"filters": px.tcp_filter_chain(unmatched, unmatched)},
                     listener_filters=[px.typed("envoy.filters.listener.original_dst",
                                                "envoy.extensions.filters.listener.original_dst.v3.OriginalDst")]),
        ]
    return {"admin": {"address": address("127.0.0.1", ADMIN_PORT)}, **px.static_bootstrap(listeners, clusters)}


def is_ready(pod):
    connection = http.client.HTTPConnection("127.0.0.1", ADMIN_PORT, timeout=5)
    try:
        with pod.entered():
            connection.connect()
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def sidecar(pod, binary, config, directory):
    """As the group whose traffic is not redirected; as root, which TPROXY needs."""
    path = directory / "bootstrap.json"
    path.write_text(json.dumps(config))
    log = directory / "log"
    more = ["--use-dynamic-base-id"] if os.path.basename(binary) == "envoy" else []
    with open(log, "wb") as output:
        process = subprocess.Popen(
            ["ip", "netns", "exec", pod.name, "setpriv", "--regid", SIDECAR_GID, "--clear-groups", binary,
             "-c", str(path), "--concurrency", "2", "-l", "warning", *more], stdout=output, stderr=output)
    try:
        def ready():
            assert process.poll() is None, log.read_text()
            return is_ready(pod)

        px.wait_for(ready, what="the sidecar is ready")
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=["REDIRECT", "TPROXY"])
def mode(request):
    return request.param


@pytest.fixture(scope="module", params=["remora", "envoy"])
def world(request, mode, tmp_path_factory):
    binary = {"remora": px.REMORA, "envoy": px.ENVOY}[request.param]
    if not binary or not os.path.exists(binary):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    pod, peer = Namespace("ipod"), Namespace("ipeer")
    listeners = []
    try:
        connect_veth(pod, "eth0", peer, "eth0")
        for net in NETS:
            add_address(pod, "eth0", f"{net.pod}/{net.bits}")
            add_address(peer, "eth0", f"{net.peer}/{net.bits}")
            for ip in (net.service, net.other):
                add_address(peer, "lo", f"{ip}/{net.host_bits}")
            pod.ip(net.flag, "route", "add", "default", "via", net.peer)
        listeners += [Listener(pod, "app", 80), Listener(pod, "app", 8080), Listener(peer, "remote", 9000),
                      Listener(peer, "remote", 9001), Listener(peer, "remote", 9002), Listener(peer, "exact", EXACT_PORT),
                      Listener(peer, "wildcard", WILDCARD_PORT), Listener(peer, "unmatched", UNMATCHED_PORT)]
        pod.run(SCRIPT, "-m", mode, "-b", "*", "-i", "*", "-g", SIDECAR_GID)
        config = bootstrap(transparent=mode == "TPROXY")
        with sidecar(pod, binary, config, tmp_path_factory.mktemp("sidecar")):
            yield types.SimpleNamespace(pod=pod, peer=peer)
    finally:
        for each in listeners:
            each.close()
        pod.remove()
        peer.remove()


@pytest.fixture(params=NETS, ids=lambda net: "v" + net.flag[1:])
def net(request):
    return request.param


def test_a_connection_goes_to_the_listener_of_exactly_its_destination(world, net):
    assert land(world.pod, net.service, 9000)["who"] == "exact"


def test_else_to_the_listener_of_its_port_at_any_address(world, net):
    assert land(world.pod, net.service, 9001)["who"] == "wildcard"
    assert land(world.pod, net.other, 9001)["who"] == "wildcard"


def test_else_it_is_passed_on_to_where_it_was_going(world, net):
    for ip, port in ((net.other, 9000), (net.service, 9002)):
        landed = land(world.pod, ip, port)
        assert (landed["who"], landed["local"], landed["peer"]) == ("remote", [ip, port], net.pod)


def test_inbound_chains_are_chosen_by_the_port_that_was_meant(world, net):
    landed = land(world.peer, net.pod, 80)
    assert (landed["who"], landed["local"], landed["peer"]) == ("app", [net.pod, 80], net.bind)
    assert land(world.peer, net.pod, 8080)["who"] == "unmatched"
