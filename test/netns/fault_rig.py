"""A mesh of one proxy and several pods, each in a network namespace of its own, under a steady load while things go wrong.

Everything that is called here runs in the proxy's namespace: enter it first (`with rig.host.entered()`).
"""

import asyncio
import collections
import json
import os
import subprocess
import sys
import threading
import time

from test.netns.namespaces import Namespace, add_address, run

APP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "app.py")
PORT = 8080
RATE = 500  # requests a second
CONNECTIONS = 25


class Pod:
    """An application in its own namespace, reachable over the host's bridge."""

    def __init__(self, host, number):
        self.address = f"10.91.0.{number}"
        self.device = f"pod{number}"
        self.namespace = Namespace(f"fpod{number}")
        host.ip("link", "add", self.device, "type", "veth", "peer", "name", "eth0", "netns", self.namespace.name)
        host.ip("link", "set", self.device, "master", "br0", "up")
        self.namespace.ip("link", "set", "eth0", "up")
        add_address(self.namespace, "eth0", f"{self.address}/24")
        self.app = None
        self.start()

    def start(self):
        self.app = subprocess.Popen(["ip", "netns", "exec", self.namespace.name, sys.executable, APP, self.address, str(PORT)],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.app.stdout.readline() == "ready\n"

    def tell(self, command):
        self.app.stdin.write(command + "\n")
        self.app.stdin.flush()

    def report(self):
        self.tell("report")
        return json.loads(self.app.stdout.readline())

    def end(self):
        """As a deployment ends a pod."""
        self.app.terminate()
        self.app.wait()

    def kill(self):
        self.app.kill()
        self.app.wait()

    def black_hole(self):
        """From now on nothing comes in, and nobody is told."""
        run("ip", "netns", "exec", self.namespace.name, "iptables", "-w", "-I", "INPUT", "-j", "DROP")

    def remove(self):
        self.kill()
        self.app.stdin.close()
        self.app.stdout.close()
        self.namespace.remove()


class Rig:
    def __init__(self):
        self.host = Namespace("fhost")
        self.pods, self.made = [], 10
        self.host.ip("link", "add", "br0", "type", "bridge")
        self.host.ip("link", "set", "br0", "up")
        add_address(self.host, "br0", "10.91.0.1/24")

    def add_pod(self):
        self.made += 1
        self.pods.append(Pod(self.host, self.made))
        return self.pods[-1]

    def remove_pod(self, pod):
        self.pods.remove(pod)
        pod.remove()

    def remove(self):
        for pod in self.pods:
            pod.remove()
        self.host.remove()


class Load:
    """GET requests at an even rate over keep-alive connections, from entering to leaving; then `answers` counts what came:
    by status, "closed" where there was no answer, "late" after five seconds."""

    def __init__(self, port):
        self.port, self.answers, self.slowest = port, collections.Counter(), 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._stop.set()
        self._thread.join()

    def wait(self, requests):
        """Until so many more were answered."""
        until, give_up = sum(self.answers.values()) + requests, time.monotonic() + 60
        while sum(self.answers.values()) < until:
            assert time.monotonic() < give_up, self.answers
            time.sleep(0.01)  # poll interval

    async def _run(self):
        await asyncio.gather(*(self._client(i) for i in range(CONNECTIONS)))

    async def _client(self, number):
        loop = asyncio.get_running_loop()
        period = CONNECTIONS / RATE
        due = loop.time() + period * number / CONNECTIONS
        stream = None
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - loop.time()))  # the rate
            due = max(due + period, loop.time())
            began = loop.time()
            try:
                if stream is None:
                    stream = await asyncio.open_connection("127.0.0.1", self.port)
                what, stream = await asyncio.wait_for(self._ask(stream), 5)
            except (asyncio.IncompleteReadError, ConnectionError):
                what, stream = "closed", None
            except asyncio.TimeoutError:
                what, stream = "late", None
            self.answers[what] += 1
            self.slowest = max(self.slowest, loop.time() - began)
        if stream:
            stream[1].close()

    @staticmethod
    async def _ask(stream):
        reader, writer = stream
        writer.write(b"GET / HTTP/1.1\r\nhost: app\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        if b"connection: close" in head:
            writer.close()
            stream = None
        return int(head[9:12]), stream
