"""The network: hosts and pods as network namespaces, a bridge on each host, an overlay between.

    host1 ── eth0 192.0.2.1 ══ veth, "the wire" ══ 192.0.2.2 eth0 ── host2
      │ vxlan0 10.244.1.0  ┈┈┈┈┈┈ overlay ┈┈┈┈┈┈  10.244.2.0 vxlan0 │
      │ cni0 10.244.1.1 (bridge)                   cni0 10.244.2.1 │
      ├ pod 10.244.1.2                             pod 10.244.2.2 ┤
      └ pod 10.244.1.3                             pod 10.244.2.3 ┘
"""

import contextlib
import ctypes
import http.client
import os
import pathlib
import shutil
import signal

from lib.processes import DemoError, run, wait_until

CLONE_NEWNET = 0x40000000
VXLAN_ID = 42
VXLAN_PORT = 4789
OVERLAY_MTU = 1450  # what is left of 1500 inside VXLAN over IPv4
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """One network namespace, with loopback up."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *args):
        return run("ip", "-n", self.name, *args)

    def command(self, *command, uid=None):
        """The words that run `command` in here, as another user when one is given."""
        words = ["ip", "netns", "exec", self.name]
        if uid is not None:
            words += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        return [*words, *command]

    def run(self, *command, **kwargs):
        return run(*self.command(*command), **kwargs)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in here: sockets it makes stay here."""
        with open("/proc/thread-self/ns/net") as outside, open(f"/run/netns/{self.name}") as inside:
            if _libc.setns(inside.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                _libc.setns(outside.fileno(), CLONE_NEWNET)

    def http_get(self, address, port, path, timeout=5.0):
        """(status, body), or (None, reason) when nobody answers."""
        connection = http.client.HTTPConnection(address, port, timeout=timeout)
        try:
            with self.entered():
                connection.connect()
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return None, str(error)
        finally:
            connection.close()

    def set_hosts(self, names):
        """What names mean in here: `ip netns exec` shows it to commands as /etc/hosts."""
        folder = pathlib.Path("/etc/netns", self.name)
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost"] + [f"{address} {name}" for name, address in names.items()]
        (folder / "hosts").write_text("\n".join(lines) + "\n")

    def remove(self):
        remove_namespace(self.name)


class Host:
    """A machine: a namespace with a bridge for its pods. Hands out their addresses."""

    def __init__(self, prefix, number):
        self.name = f"host{number}"
        self.number = number
        self.wire_address = f"192.0.2.{number}"
        self.gateway = f"10.244.{number}.1"
        self._next_pod = 2
        self.namespace = Namespace(f"{prefix}-{self.name}")
        self.namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for args in (("link", "add", "cni0", "type", "bridge"),
                     ("addr", "add", f"{self.gateway}/24", "dev", "cni0"),
                     ("link", "set", "cni0", "mtu", OVERLAY_MTU, "up")):
            self.namespace.ip(*args)

    def new_address(self):
        address = f"10.244.{self.number}.{self._next_pod}"
        self._next_pod += 1
        return address

    def attach(self, pod_namespace, address):
        """Connects a pod's eth0 to the bridge."""
        port = "pod" + address.rpartition(".")[2]
        self.namespace.ip("link", "add", port, "mtu", OVERLAY_MTU, "type", "veth", "peer", "name",
                          "eth0", "mtu", OVERLAY_MTU, "netns", pod_namespace.name)
        self.namespace.ip("link", "set", port, "master", "cni0", "up")
        pod_namespace.ip("addr", "add", f"{address}/24", "dev", "eth0")
        pod_namespace.ip("link", "set", "eth0", "up")
        pod_namespace.ip("route", "add", "default", "via", self.gateway)

    def overlay_packets(self):
        """How many packets have left through the overlay."""
        counter = "/sys/class/net/vxlan0/statistics/tx_packets"
        return int(self.namespace.run("cat", counter))


def connect_hosts(first, second):
    """The wire between two hosts, and the overlay over it."""
    first.namespace.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
                       second.namespace.name)
    for here, there in ((first, second), (second, first)):
        ip = here.namespace.ip
        ip("addr", "add", f"{here.wire_address}/24", "dev", "eth0")
        ip("link", "set", "eth0", "up")
        ip("link", "add", "vxlan0", "type", "vxlan", "id", VXLAN_ID, "local", here.wire_address,
           "remote", there.wire_address, "dstport", VXLAN_PORT, "dev", "eth0")
        ip("addr", "add", f"10.244.{here.number}.0/32", "dev", "vxlan0")
        ip("link", "set", "vxlan0", "mtu", OVERLAY_MTU, "up")
        ip("route", "add", f"10.244.{there.number}.0/24", "via", f"10.244.{there.number}.0",
           "dev", "vxlan0", "onlink")


def remove_namespace(name):
    """Ends what runs in a namespace, then the namespace."""
    def pids():
        return [int(pid) for pid in run("ip", "netns", "pids", name, check=False).split()]

    for stop_signal in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, stop_signal)
        try:
            wait_until(lambda: not pids(), f"{name} is empty", timeout=3.0)
            break
        except DemoError:
            continue
    run("ip", "netns", "del", name, check=False)
    shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


def remove_namespaces(prefix):
    """All that one demonstration made."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        if name.startswith(prefix + "-"):
            remove_namespace(name)


def require_root():
    if os.geteuid() != 0:
        raise SystemExit("demo: needs root, for network namespaces and iptables")
