"""Pods: a namespace with an address, a sidecar as uid 1337, the redirection, and an application."""

import json
import pathlib
import shlex

from lib.authority import spiffe_id
from lib.bootstrap import bootstrap
from lib.network import Namespace
from lib.processes import DemoError, Process, wait_until

SIDECAR_UID = 1337
APPLICATION_UID = 65534
ADMIN_PORT = 15000
METRICS_PORT = 15090
IPTABLES = pathlib.Path(__file__).resolve().parents[2] / "iptables/remora-iptables"
APPS = pathlib.Path(__file__).resolve().parents[1] / "apps"

NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error.log warn;
events {{ worker_connections 512; }}
http {{
  log_format line '$remote_addr "$request" $status xfcc=$http_x_forwarded_client_cert '
    'id=$http_x_request_id';
  access_log {folder}/access.log line;
  client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  keepalive_timeout 3600s;
  keepalive_requests 100000000;
  server {{
    listen {port} backlog=512;
    location / {{ default_type text/plain; return 200 "{name}\\n"; }}
  }}
}}
"""


def start_nginx(namespace, name, folder, port):
    """A real web server that answers with its own name."""
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, name=name))
    process = Process(f"{name}'s nginx", namespace.command(
        "nginx", "-e", folder / "nginx.error.log", "-c", config, uid=APPLICATION_UID),
        folder / "nginx.log")
    wait_for_server(namespace, process, port)
    return process


def wait_for_server(namespace, process, port):
    def accepting():
        process.check_alive()
        return namespace.run("ss", "-Hltn", f"sport = :{port}")
    wait_until(accepting, f"{process.name} listens on {port}")


def outbound_stat(service, port):
    """A service's cluster as statistics name it."""
    return f"outbound|{port}||{service}_demo_svc_cluster_local"


class Pod:
    """`services`: names in the catalogue that its application serves; the first, or the pod's own
    name, is that of its service account. `bare`: without a sidecar."""

    def __init__(self, demo, host, name, services=(), bare=False):
        self.name = name
        self.bare = bare
        self.account = f"demo/{services[0] if services else name}"
        self.identity = spiffe_id(self.account)
        self.host = host
        self.services = services
        self.address = host.new_address()
        self.node_id = f"sidecar~{self.address}~{name}.demo~demo.svc.cluster.local"
        self.folder = demo.folder / name
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.identity_folder = self.folder / "identity"
        self.namespace = Namespace(f"{demo.prefix}-{name}")
        self.namespace.set_hosts(demo.names)
        host.attach(self.namespace, self.address)
        self.application = None
        self.sidecar = None
        self.ready_at = None  # when it was registered as ready, by the monotonic clock

    def intercept(self):
        """What an init container does: all TCP, in and out, goes through the sidecar."""
        self.namespace.run(IPTABLES, "-u", str(SIDECAR_UID), "-b", "*", "-i", "*")

    def start_sidecar(self, binary, control_plane):
        config = self.folder / "bootstrap.yaml"
        config.write_text(bootstrap(self, control_plane))
        self.sidecar = Process(f"{self.name}'s sidecar", self.namespace.command(
            binary, "-c", config, "--concurrency", "2", "--disable-hot-restart",
            "--drain-time-s", "1", "-l", "warning", uid=SIDECAR_UID), self.folder / "sidecar.log")

    def sidecar_is_ready(self):
        self.sidecar.check_alive()
        return self.admin("/ready", check=False)[0] == 200

    def start_application(self, start):
        self.application = start(self)

    def admin(self, path, check=True):
        status, body = self.namespace.http_get("127.0.0.1", ADMIN_PORT, path)
        if check and status != 200:
            raise DemoError(f"{self.name}'s sidecar: GET {path}: {status} {body}")
        return status, body

    def stat(self, name):
        """One counter or gauge by its exact name; 0 when the sidecar has not made it yet."""
        _, body = self.admin("/stats?filter=" + f"^{name}$".replace("|", "%5C%7C"))
        for line in body.splitlines():
            key, _, value = line.rpartition(": ")
            if key == name:
                return int(value)
        return 0

    def requests_out(self, service, port=80):
        return self.stat(f"cluster.{outbound_stat(service, port)}.upstream_rq_total")

    def requests_in(self, port):
        return self.stat(f"cluster.inbound|{port}||.upstream_rq_total")

    def endpoints(self, service, port=80):
        """Addresses that this pod's sidecar knows for a service."""
        prefix = f"outbound|{port}||{service}.demo.svc.cluster.local::"
        _, body = self.admin("/clusters")
        hosts = {line[len(prefix):].partition("::")[0] for line in body.splitlines()
                 if line.startswith(prefix)}
        return {host.rpartition(":")[0] for host in hosts if host[:1].isdigit()}

    def requests_served(self):
        """Lines in the web server's log."""
        log = self.folder / "access.log"
        return log.read_bytes().count(b"\n") if log.exists() else 0

    def certificates(self):
        """Serial numbers of what the sidecar shows and trusts."""
        _, body = self.admin("/certs")
        return {int(certificate["serial_number"], 16)
                for entry in json.loads(body)["certificates"]
                for part in ("cert_chain", "ca_cert") for certificate in entry.get(part, [])}

    def line_served(self, text):
        """The first line of the web server's log with some text in it; None when there is none."""
        lines = (self.folder / "access.log").read_text().splitlines(keepends=True)
        return next((line for line in lines if text in line and line.endswith("\n")), None)

    def curl(self, url, *args):
        return self.namespace.run("curl", "-sS", "--max-time", "10", *args, url)

    def status_of(self, url, *args):
        """The status of a request; 000 when the connection fails."""
        return self.namespace.run("curl", "-s", "--max-time", "10", "-o", "/dev/null", "-w",
                                  "%{http_code}", *args, url, check=False)

    def enter_command(self):
        return shlex.join(["ip", "netns", "exec", self.namespace.name, "bash"])

    def stop(self):
        for process in (self.application, self.sidecar):
            if process is not None:
                process.stop()
        self.namespace.remove()
