"""remora-iptables on real traffic: where does a connection land?

Two namespaces: `pod`, with the application on port 80, a helper on 8080, and two listeners in the
sidecar's place; `peer`, which stands for everybody else. Each listener says who it is and where the
connection was going. Every case runs on IPv4 and IPv6 and with both kinds of iptables.
"""

import pathlib
import re
import types

import pytest

from test.netns.namespaces import Listener, Namespace, add_address, connect_veth, land, run

SCRIPT = str(pathlib.Path(__file__).resolve().parents[2] / "tools/iptables/remora-iptables")
SIDECAR_UID = 1337
ALL = ["-b", "*", "-i", "*"]
EMPTY_TABLE = ("*nat", "*mangle", "COMMIT")

V4 = types.SimpleNamespace(
    name="v4", pod="10.77.0.2", peer="10.77.0.1", service="10.78.0.1", other="10.79.0.1",
    service_cidr="10.78.0.0/16", loopback="127.0.0.1", inbound_bind="127.0.0.6")
V6 = types.SimpleNamespace(
    name="v6", pod="fd77::2", peer="fd77::1", service="fd78::1", other="fd79::1",
    service_cidr="fd78::/16", loopback="::1", inbound_bind="::6")


@pytest.fixture(params=["nft", "legacy"])
def world(request):
    """The two namespaces, and `apply`, which runs remora-iptables in the pod."""
    pod, peer = Namespace("pod"), Namespace("peer")
    listeners = []
    try:
        connect_veth(pod, "eth0", peer, "eth0")
        for net in (V4, V6):
            bits = "/24" if net is V4 else "/64"
            add_address(pod, "eth0", net.pod + bits)
            add_address(peer, "eth0", net.peer + bits)
            for address in (net.service, net.other):
                add_address(peer, "lo", address + ("/32" if net is V4 else "/128"))
            pod.ip("-4" if net is V4 else "-6", "route", "add", "default", "via", net.peer)
        listeners += [
            Listener(pod, "outbound", 15001),
            Listener(pod, "inbound", 15006, transparent=True),
            Listener(pod, "other outbound", 16001),
            Listener(pod, "other inbound", 16006, transparent=True),
            Listener(pod, "app", 80),
            Listener(pod, "app", 8080),
            Listener(pod, "probe", 15021),
            Listener(pod, "tunnel", 15008),
            Listener(peer, "remote", 80),
            Listener(peer, "remote", 9000),
        ]

        def apply(*flags, check=True):
            return pod.run(SCRIPT, "--force-iptables-binary", request.param, *flags, check=check)

        def state():
            """All rules and routes of the pod, without counters and dates, and without tables
            and built-in chains, which exist from the first look at them."""
            saved = "".join(pod.run(f"{tool}-{request.param}-save")
                            for tool in ("iptables", "ip6tables"))
            rules = [re.sub(r"\[\d+:\d+\]", "", line) for line in saved.splitlines()
                     if not line.startswith("#")]
            rules = [r for r in rules if not r.endswith(" ACCEPT ") and r not in EMPTY_TABLE]
            routing = [pod.ip("-4", "rule"), pod.ip("-6", "rule"),
                       pod.ip("addr", "show", "dev", "lo")]
            routing += [route for family in ("-4", "-6")
                        for route in pod.ip(family, "route", "show", "table", "all").splitlines()
                        if "table 133" in route]
            return rules, routing

        yield types.SimpleNamespace(pod=pod, peer=peer, apply=apply, state=state,
                                    backend=request.param)
    finally:
        for listener in listeners:
            listener.close()
        pod.remove()
        peer.remove()


@pytest.fixture(params=[V4, V6], ids=lambda net: net.name)
def net(request):
    return request.param


@pytest.fixture(params=["REDIRECT", "TPROXY"])
def mode(request):
    return request.param


def who(*args, **kwargs):
    return land(*args, **kwargs)["who"]


# ---- Outbound


def test_outbound_lands_at_the_sidecar_which_sees_the_original_destination(world, net):
    world.apply(*ALL)
    landed = land(world.pod, net.service, 9000)
    assert (landed["who"], landed["original"]) == ("outbound", [net.service, 9000])


def test_what_the_sidecar_sends_is_not_redirected(world, net, mode):
    world.apply("-m", mode, *ALL)
    assert who(world.pod, net.service, 9000, uid=SIDECAR_UID) == "remote"


def test_another_sidecar_user_can_be_named(world, net):
    world.apply("-u", "1444", "-g", "1445", *ALL)
    assert who(world.pod, net.service, 9000, uid=1444) == "remote"
    assert who(world.pod, net.service, 9000, uid=1445) == "remote"
    assert who(world.pod, net.service, 9000, uid=SIDECAR_UID) == "outbound"


def test_only_included_destinations_are_redirected(world, net):
    world.apply("-b", "*", "-i", f"{V4.service_cidr},{V6.service_cidr}")
    assert who(world.pod, net.service, 9000) == "outbound"
    assert who(world.pod, net.other, 9000) == "remote"


def test_excluded_destinations_are_left_alone(world, net):
    world.apply(*ALL, "-x", f"{V4.service_cidr},{V6.service_cidr}")
    assert who(world.pod, net.service, 9000) == "remote"
    assert who(world.pod, net.other, 9000) == "outbound"


def test_excluded_outbound_ports_are_left_alone(world, net):
    world.apply(*ALL, "-o", "9000,9001")
    assert who(world.pod, net.service, 9000) == "remote"
    assert who(world.pod, net.service, 80) == "outbound"


def test_an_included_outbound_port_is_redirected_whatever_its_destination(world, net):
    world.apply("-b", "*", "-q", "9000")
    assert who(world.pod, net.other, 9000) == "outbound"
    assert who(world.pod, net.other, 80) == "remote"


def test_without_included_destinations_nothing_outbound_is_redirected(world, net):
    world.apply("-b", "*")
    assert who(world.pod, net.service, 9000) == "remote"


def test_an_excluded_interface_is_left_alone_both_ways(world, net, mode):
    world.apply("-m", mode, *ALL, "-c", "eth0")
    assert who(world.pod, net.service, 9000) == "remote"
    assert who(world.peer, net.pod, 80) == "app"


def test_a_virtual_interface_is_treated_as_outbound(world, net, mode):
    world.apply("-m", mode, *ALL, "-k", "eth0")
    assert who(world.peer, net.pod, 80) == "outbound"


# ---- Inbound


def test_inbound_lands_at_the_sidecar_which_sees_the_original_destination(world, net):
    world.apply(*ALL)
    landed = land(world.peer, net.pod, 80)
    assert (landed["who"], landed["original"]) == ("inbound", [net.pod, 80])


def test_tproxy_keeps_both_addresses_of_an_inbound_connection(world, net):
    world.apply("-m", "TPROXY", *ALL)
    landed = land(world.peer, net.pod, 80)
    assert landed["who"] == "inbound"
    assert (landed["local"], landed["peer"]) == ([net.pod, 80], net.peer)


def test_only_included_inbound_ports_are_redirected(world, net, mode):
    world.apply("-m", mode, "-b", "80,81", "-i", "*")
    assert who(world.peer, net.pod, 80) == "inbound"
    assert who(world.peer, net.pod, 8080) == "app"


def test_excluded_probe_and_tunnel_ports_are_left_alone(world, net, mode):
    world.apply("-m", mode, *ALL, "-d", "8080")
    assert who(world.peer, net.pod, 8080) == "app"
    assert who(world.peer, net.pod, 15021) == "probe"
    assert who(world.peer, net.pod, 15008) == "tunnel"


def test_without_inbound_ports_nothing_inbound_is_redirected(world, net, mode):
    world.apply("-m", mode, "-i", "*")
    assert who(world.peer, net.pod, 80) == "app"


def test_the_sidecars_ports_can_be_named(world, net, mode):
    world.apply("-m", mode, "-p", "16001", "-z", "16006", *ALL)
    assert who(world.pod, net.service, 9000) == "other outbound"
    assert who(world.peer, net.pod, 80) == "other inbound"


# ---- Loops


def test_the_sidecar_reaches_its_application(world, net, mode):
    world.apply("-m", mode, *ALL)
    assert who(world.pod, net.loopback, 80, uid=SIDECAR_UID) == "app"
    assert who(world.pod, net.pod, 80, uid=SIDECAR_UID, bind=net.inbound_bind) == "app"


def test_a_pod_that_calls_itself_through_its_service_comes_back_in(world, net, mode):
    world.apply("-m", mode, *ALL)
    landed = land(world.pod, net.pod, 80, uid=SIDECAR_UID)
    assert (landed["who"], landed["original"]) == ("inbound", [net.pod, 80])


def test_an_application_that_calls_itself_directly_is_left_alone(world, net, mode):
    world.apply("-m", mode, *ALL)
    assert who(world.pod, net.loopback, 80) == "app"
    assert who(world.pod, net.pod, 80) == "app"


def test_replies_to_what_the_pod_itself_opened_are_not_diverted(world, net):
    world.apply("-m", "TPROXY", "-b", "*")
    assert who(world.pod, net.service, 9000) == "remote"


# ---- The tool itself


def test_applying_twice_gives_the_same_rules(world, mode):
    world.apply("-m", mode, *ALL)
    once = world.state()
    world.apply("-m", mode, *ALL)
    assert world.state() == once


def test_new_flags_replace_old_rules(world):
    world.apply("-m", "REDIRECT", "-b", "80", "-i", V4.service_cidr)
    fresh = world.state()
    world.apply("-m", "TPROXY", *ALL, "--drop-invalid", "-o", "9000")
    world.apply("-m", "REDIRECT", "-b", "80", "-i", V4.service_cidr)
    assert world.state() == fresh


def test_clean_restores_what_was_there_and_spares_the_rules_of_others(world, net, mode):
    foreign = ["-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "7777", "-j", "RETURN"]
    for tool in ("iptables", "ip6tables"):
        world.pod.run(f"{tool}-{world.backend}", *foreign)
    before = world.state()
    world.apply("-m", mode, *ALL)
    assert who(world.peer, net.pod, 80) == "inbound"
    world.apply("--clean")
    assert world.state() == before
    assert who(world.peer, net.pod, 80) == "app"
    assert who(world.pod, net.service, 9000) == "remote"


def test_clean_of_a_clean_namespace_does_nothing(world):
    before = world.state()
    world.apply("--clean")
    assert world.state() == before


def test_dry_run_prints_the_rules_and_changes_nothing(world, mode):
    before = world.state()
    printed = world.apply("-m", mode, *ALL, "--dry-run")
    assert "REDIRECT --to-ports 15001" in printed
    assert "*nat" in printed and "# IPv6" in printed
    assert ("rule add fwmark 1337" in printed) == (mode == "TPROXY")
    assert world.state() == before


@pytest.mark.parametrize("flags, complaint", [
    (["-m", "DNAT"], "neither REDIRECT nor TPROXY"),
    (["-p", "0"], "is not a port"),
    (["-p", ""], "is not a number"),
    (["-b", "80,http"], '"http" is not a port'),
    (["-b", "80,65536"], "65536 is not a port"),
    (["-i", "10.0.0.0/8,everything"], "is not a CIDR"),
    (["-i", "10.0.0.0/8\n-A OUTPUT -j DROP"], "is not a CIDR"),
    (["-i", "10.0.0.0/99"], "refused the rules"),
    (["-u", ""], "would loop"),
    (["--redirect-dns"], "DNS is not redirected"),
    (["--cni-mode=true"], "not a CNI plugin"),
    (["--native-nftables"], "iptables-restore only"),
    (["--run-validation"], "no separate validation"),
    (["--dry-run=perhaps"], "neither true nor false"),
    (["--frobnicate", "1"], "unknown flag"),
    (["stray"], "unexpected argument"),
])
def test_what_cannot_be_done_is_refused_before_anything_changes(world, flags, complaint):
    before = world.state()
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        world.apply(*flags)
    assert world.state() == before


def test_flags_may_be_written_in_every_common_way(world):
    spellings = (["-p", "16001", "-i", "*"], ["-p16001", "-i*"], ["-p=16001", "-i=*"],
                 ["--envoy-port", "16001", "--istio-service-cidr", "*"],
                 ["--envoy-port=16001", "--istio-service-cidr=*", "--dual-stack", "--reconcile=0"])
    plans = {world.apply(*flags, "-n") for flags in spellings}
    assert len(plans) == 1
    assert "--to-ports 16001" in plans.pop()


def test_another_namespace_can_be_named(world, net):
    run(SCRIPT, "--network-namespace", f"/run/netns/{world.pod.name}", *ALL)
    assert who(world.pod, net.service, 9000) == "outbound"
