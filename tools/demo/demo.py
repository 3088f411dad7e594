"""A service mesh of two hosts on one machine: real applications, sidecars, an overlay, xDS.

tools/demo/run.sh installs and builds what this needs, and starts it.
"""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

from lib import scenarios
from lib.authority import Authority
from lib.bootstrap import CONTROL_PLANE_ACCOUNT
from lib.load import Load
from lib.mesh import Catalogue, ControlPlane, Prometheus
from lib.network import Host, connect_hosts, remove_namespaces, require_root
from lib.pods import APPS, APPLICATION_UID, SIDECAR_UID, Pod, start_nginx, wait_for_server
from lib.processes import DemoError, Process, wait_until
from lib.report import Report

WEB_PORT = 8080  # every web server of every pod, and of a host itself: they do not collide
SERVICES = {  # name: (address, port, port of the workload, protocol)
    "web": ("10.96.0.10", 80, WEB_PORT, "http"),
    "backend": ("10.96.0.20", 80, WEB_PORT, "http"),
    "greeter": ("10.96.0.30", 2525, 2525, "tcp"),
    "digest": ("10.96.0.40", 7000, 7000, "tcp"),
    "legacy": ("10.96.0.50", 80, WEB_PORT, "http"),
}
PERMISSIVE = {"legacy"}  # the others are STRICT
AUTHORIZATION = {  # of the others everybody in the mesh may call everything
    "backend": [{"principals": ["demo/client"], "methods": ["GET"]}],
    "digest": [{"principals": ["demo/client"]}],
}


def nginx(pod):
    return start_nginx(pod.namespace, pod.name, pod.folder, WEB_PORT)


def tcp_server(kind, port):
    def start(pod):
        command = pod.namespace.command(
            "python3", "-B", pod.folder / "tcp_server.py", kind, str(port), pod.name,
            uid=APPLICATION_UID)
        shutil.copy(APPS / "tcp_server.py", pod.folder)
        process = Process(f"{pod.name}'s {kind}", command, pod.folder / "application.log")
        wait_for_server(pod.namespace, process, port)
        return process
    return start


class Demo:
    """Everything that is up; `close` takes it down again."""

    def __init__(self, options):
        self.report = Report(quiet=options.check)
        self.measure_seconds = 2 if options.check else 5
        self.prefix = f"remora{os.getpid()}"
        self.folder = pathlib.Path(tempfile.gettempdir(), f"{self.prefix}-demo")
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.names = {name: service[0] for name, service in SERVICES.items()}
        self.authority = Authority(self.folder / "authority")
        self.hosts = []
        self.pods = []
        self.bare_pods = []
        self.control_plane = None
        self.prometheus = None
        self._binary = self.folder / "sidecar"

    def start(self):
        report = self.report
        report.title("Two hosts, an overlay, a control plane")
        # The sidecar's user can't look into everybody's folders.
        shutil.copy(os.environ["REMORA_BIN"], self._binary)
        self._binary.chmod(0o755)
        for number in (1, 2):
            self.hosts.append(Host(self.prefix, number))
        connect_hosts(*self.hosts)
        self._start_control_plane()
        monitoring = self.folder / "prometheus"
        monitoring.mkdir()
        self.prometheus = Prometheus(self.hosts[0], monitoring)
        host1, host2 = self.hosts
        self.start_pods([
            (host1, "client", (), None),
            (host1, "stranger", (), None),
            (host1, "web-1", ("web",), nginx),
            (host2, "web-2", ("web",), nginx),
            (host2, "backend-1", ("backend",), nginx),
            (host2, "greeter-1", ("greeter",), tcp_server("greeter", 2525)),
            (host2, "digest-1", ("digest",), tcp_server("digest", 7000)),
            (host2, "legacy-1", ("legacy",), nginx),
        ])
        self._start_bare()
        report.show("\n".join(
            f"{pod.host.name}  {pod.name:<10} {pod.address:<12} sidecar pid {pod.sidecar.pid:<8} "
            f"{pod.identity}" for pod in self.pods))
        report.say("web-2, backend-1 and host2 itself all listen on port 8080 of host2: every pod "
                   "has a network of its own, nothing collides.")
        report.promise("every sidecar runs as user 1337",
                       all(uid_of(pod.sidecar.pid) == 1337 for pod in self.pods))

    def _start_control_plane(self):
        self.catalogue = Catalogue(self.folder / "catalogue")
        for name, (vip, port, target_port, protocol) in SERVICES.items():
            self.catalogue.add_service(
                name, vip, port, target_port, protocol,
                "PERMISSIVE" if name in PERMISSIVE else "STRICT", AUTHORIZATION.get(name))
        identity = self.folder / "control-plane"
        self.authority.issue(CONTROL_PLANE_ACCOUNT, identity, os.getuid())
        self.control_plane = ControlPlane(os.environ["CONTROL_PLANE_BIN"], self.hosts[0],
                                          self.catalogue, identity,
                                          self.folder / "control_plane.log")
        self.control_plane.start()

    def start_pods(self, wanted):
        """Brings pods up in the order that a cluster does: network, identity, redirection,
        sidecar, application, and traffic only then."""
        started = []
        for host, name, services, _ in wanted:
            pod = Pod(self, host, name, services)
            self.pods.append(pod)
            started.append(pod)
            self.catalogue.register(pod, ready=False)
            self.authority.issue(pod.account, pod.identity_folder, SIDECAR_UID)
            pod.intercept()
            pod.start_sidecar(self._binary, self.control_plane)
        for pod, (_, _, _, start) in zip(started, wanted):
            wait_until(pod.sidecar_is_ready, f"{pod.sidecar.name} is ready")
            if start is not None:
                pod.start_application(start)
        for pod in started:
            pod.ready_at = time.monotonic()
            self.catalogue.register(pod, ready=True)
        self.prometheus.set_targets(self.pods)
        return started

    def remove_pod(self, pod):
        pod.stop()
        self.catalogue.deregister(pod)
        self.pods.remove(pod)
        self.prometheus.set_targets(self.pods)

    def _start_bare(self):
        """Pods without sidecars, and a web server on host2 itself: to compare latency with. One of
        the pods is part of a service all the same."""
        for host, name, services, start in ((self.hosts[0], "bare-client", (), None),
                                            (self.hosts[1], "bare-server", ("legacy",), nginx)):
            pod = Pod(self, host, name, services, bare=True)
            self.bare_pods.append(pod)
            if start is not None:
                pod.start_application(start)
            self.catalogue.register(pod, ready=True)
        folder = self.folder / "host2"
        folder.mkdir()
        folder.chmod(0o777)
        start_nginx(self.hosts[1].namespace, "host2", folder, WEB_PORT)

    def new_web_pod(self, name):
        return (self.hosts[1], name, ("web",), nginx)

    def pod(self, name):
        return next(pod for pod in self.pods + self.bare_pods if pod.name == name)

    def web_load(self, name):
        """Requests from the client to all web pods, until told to stop."""
        return Load(self.pod("client").namespace, "http://web/", self.folder, name, connections=8,
                    paced=True)

    def check_all_alive(self):
        for pod in self.pods:
            pod.sidecar.check_alive()

    def close(self):
        remove_namespaces(self.prefix)
        shutil.rmtree(self.folder, ignore_errors=True)


def uid_of(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    raise DemoError(f"process {pid} has no user")


def remove_what_the_dead_left():
    """What demonstrations that were killed could not take down themselves."""
    temporary = pathlib.Path(tempfile.gettempdir())
    for left in [*pathlib.Path("/run/netns").glob("remora*-*"), *temporary.glob("remora*-demo")]:
        prefix = left.name.partition("-")[0]
        pid = prefix.removeprefix("remora")
        if pid.isdigit() and not pathlib.Path("/proc", pid).exists():
            remove_namespaces(prefix)
            shutil.rmtree(temporary / f"{prefix}-demo", ignore_errors=True)


def keep_up(demo):
    print("\n=== It stays up. To enter a pod or a host:")
    for pod in demo.pods:
        print(f"    {pod.enter_command()}    # {pod.name}")
    for host in demo.hosts:
        print(f"    ip netns exec {host.namespace.name} bash    # {host.name}")
    print(f"Try `curl http://web/` in the client; admin of a sidecar: 127.0.0.1:15000.\n"
          f"Catalogue, bootstraps and logs: {demo.folder}\n"
          f"Ctrl-C takes it down.", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass


def parse_options():
    parser = argparse.ArgumentParser(prog="tools/demo/run.sh", description=__doc__)
    parser.add_argument("--check", action="store_true",
                        help="say less; for unattended runs")
    parser.add_argument("--keep", action="store_true",
                        help="leave it up at the end, until interrupted")
    parser.epilog = ("REMORA_BIN names another binary to run as the sidecar. The exit code is 0 "
                     "only when every promise is kept.")
    return parser.parse_args()


def main():
    options = parse_options()
    require_root()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    remove_what_the_dead_left()
    demo = Demo(options)
    try:
        demo.start()
        for scenario in scenarios.ALL:
            scenario(demo)
        demo.report.tables()
        if options.keep:
            keep_up(demo)
    except DemoError as error:
        print(f"\nBROKEN: {error}", file=sys.stderr)
        for pod in demo.pods:
            if pod.sidecar is not None and (tail := pod.sidecar.log_tail()):
                print(f"--- {pod.sidecar.name} said last:\n{tail}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        demo.close()
    return 1 if demo.report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
