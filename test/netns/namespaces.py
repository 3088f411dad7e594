"""Network namespaces for tests: making and removing them, and sockets inside them.

Everything is named after this process, so that several runs do not meet. A socket stays in the
namespace where it was made, so one process holds sockets in all of them.
"""

import contextlib
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import threading

CLONE_NEWNET = 0x40000000
SO_ORIGINAL_DST = 80  # IP6T_SO_ORIGINAL_DST has the same number
IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75
TIMEOUT_SECONDS = 2.0

_libc = ctypes.CDLL(None, use_errno=True)


def run(*command, check=True, text_in=None):
    """Runs a command, returns its standard output; shows its errors when it fails."""
    done = subprocess.run(command, input=text_in, capture_output=True, text=True)
    if check and done.returncode != 0:
        said = done.stdout + done.stderr
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{said}")
    return done.stdout


class Namespace:
    """One network namespace with loopback up."""

    def __init__(self, label):
        self.name = f"rt{os.getpid()}-{label}"
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *args):
        return run("ip", "-n", self.name, *args)

    def run(self, *command, check=True):
        return run("ip", "netns", "exec", self.name, *command, check=check)

    @contextlib.contextmanager
    def entered(self, uid=0):
        """The calling thread is in this namespace, with this user and group for its sockets."""
        with open("/proc/thread-self/ns/net") as outside, open(f"/run/netns/{self.name}") as inside:
            if _libc.setns(inside.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                _libc.setfsgid(uid)
                _libc.setfsuid(uid)
                yield
            finally:
                _libc.setfsuid(0)
                _libc.setfsgid(0)
                _libc.setns(outside.fileno(), CLONE_NEWNET)

    def remove(self):
        run("ip", "netns", "del", self.name, check=False)


def connect_veth(first, first_device, second, second_device):
    first.ip("link", "add", first_device, "type", "veth", "peer", "name", second_device,
             "netns", second.name)
    first.ip("link", "set", first_device, "up")
    second.ip("link", "set", second_device, "up")


def add_address(namespace, device, address):
    extra = ["nodad"] if ":" in address else []
    namespace.ip("addr", "add", address, "dev", device, *extra)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def original_destination(connection):
    """What SO_ORIGINAL_DST says, or None where connection tracking knows nothing."""
    try:
        if connection.family == socket.AF_INET:
            raw = connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
            port, address = struct.unpack_from("!2xH4s", raw)
            return [socket.inet_ntoa(address), port]
        raw = connection.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        port, address = struct.unpack_from("!2xH4x16s", raw)
        return [socket.inet_ntop(socket.AF_INET6, address), port]
    except OSError:
        return None


class Listener:
    """Accepts connections on a port, IPv4 and IPv6, and tells each client where it landed."""

    def __init__(self, namespace, name, port, transparent=False):
        self._name = name
        self._stop_read, self._stop_write = os.pipe()
        with namespace.entered():
            self._sockets = [self._listen(family, port, transparent)
                             for family in (socket.AF_INET, socket.AF_INET6)]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @staticmethod
    def _listen(family, port, transparent):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if transparent:
                listener.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
        elif transparent:
            listener.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        listener.bind(("", port))
        listener.listen()
        return listener

    def _serve(self):
        while True:
            ready, _, _ = select.select([*self._sockets, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            for listener in ready:
                connection, peer = listener.accept()
                with connection:
                    connection.sendall(json.dumps({
                        "who": self._name,
                        "local": list(connection.getsockname()[:2]),
                        "original": original_destination(connection),
                        "peer": peer[0],
                    }).encode())

    def close(self):
        os.write(self._stop_write, b"x")
        self._thread.join()
        for listener in self._sockets:
            listener.close()
        os.close(self._stop_read)
        os.close(self._stop_write)


def land(namespace, address, port, uid=0, bind=None):
    """Connects and returns what the listener that got the connection says of it."""
    with namespace.entered(uid):
        client = socket.socket(family_of(address), socket.SOCK_STREAM)
    with client:
        client.settimeout(TIMEOUT_SECONDS)
        if bind:
            client.bind((bind, 0))
        client.connect((address, port))
        said = b""
        while chunk := client.recv(4096):
            said += chunk
    return json.loads(said)
