"""Runs a proxy (Remora, or Envoy for comparison) as a child process for a test, and asks its admin port.

Every address is loopback with port 0: the kernel chooses, the admin interface tells. Children are stopped by pid.
"""

import http.client
import json
import os
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REMORA = os.environ.get("REMORA_BIN", os.path.join(ROOT, ".bazel-bin", "proxy", "remora"))
WORKERS = int(os.environ.get("REMORA_WORKERS", "1"))
ENVOY = os.environ.get("ENVOY_BIN", "")


def wait_for(condition, timeout=15.0, what="condition"):
    """Polls until `condition()` is true; the value is returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out after {timeout} s: {what}")
        time.sleep(0.01)  # poll interval


class Proxy:
    """One running proxy. `bootstrap` is a dict in proto3 JSON form; an admin section is added."""

    def __init__(self, binary, bootstrap, args=(), wait_ready=True, directory=None, base_id=None):
        self.binary = binary
        self.is_envoy = os.path.basename(binary) == "envoy"
        self.directory = directory or tempfile.mkdtemp(prefix="remora-test-")
        bootstrap = dict(bootstrap)
        bootstrap.setdefault(
            "admin", {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
        )
        bootstrap.setdefault("node", {"id": "test-node", "cluster": "test-cluster"})
        self.config_path = os.path.join(self.directory, "bootstrap.json")
        with open(self.config_path, "w") as f:
            json.dump(bootstrap, f)
        self.admin_path = os.path.join(self.directory, "admin")
        if os.path.exists(self.admin_path):
            os.unlink(self.admin_path)
        self.log_path = os.path.join(self.directory, "stderr.log")
        command = [binary, "-c", self.config_path, "--admin-address-path", self.admin_path]
        if not any(a.startswith("--concurrency") for a in args):
            command += ["--concurrency", str(WORKERS)]
        if self.is_envoy:
            command += ["--use-dynamic-base-id"]
        command += list(args)
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.directory)
        if wait_ready:
            self.wait_ready()

    def output(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def alive(self):
        return self.process.poll() is None

    def admin_address(self):
        def read():
            if not self.alive():
                raise AssertionError(f"{self.binary} exited {self.process.returncode}:\n{self.output()}")
            try:
                with open(self.admin_path) as f:
                    return f.read().strip()
            except FileNotFoundError:
                return ""

        host, port = wait_for(read, what="admin address file").rsplit(":", 1)
        return host, int(port)

    def admin(self, path, method="GET", host=None):
        """(status, body) of an admin endpoint."""
        address, port = self.admin_address()
        connection = http.client.HTTPConnection(address, port, timeout=10)
        try:
            connection.request(method, path, headers={"Host": host or "localhost"})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()

    def wait_ready(self, timeout=20.0):
        def ready():
            if not self.alive():
                raise AssertionError(f"{self.binary} exited {self.process.returncode}:\n{self.output()}")
            try:
                return self.admin("/ready")[0] == 200
            except OSError:
                return False

        wait_for(ready, timeout, f"{self.binary} ready\n")

    def listeners(self):
        """Listener name -> (host, port) or a Unix path."""
        _, body = self.admin("/listeners?format=json")
        found = {}
        for status in json.loads(body).get("listener_statuses", []):
            address = status["local_address"]
            if "socket_address" in address:
                socket_address = address["socket_address"]
                found[status["name"]] = (socket_address["address"], socket_address["port_value"])
            elif "pipe" in address:
                found[status["name"]] = address["pipe"]["path"]
        return found

    def port(self, listener):
        return self.listeners()[listener][1]

    def stats(self, pattern=""):
        """Counters and gauges by Envoy's dotted name."""
        _, body = self.admin("/stats" + (f"?filter={pattern}" if pattern else ""))
        values = {}
        for line in body.splitlines():
            name, _, value = line.rpartition(": ")
            if value.lstrip("-").isdigit():
                values[name] = int(value)
        return values

    def stat(self, name):
        return self.stats().get(name, 0)

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=20.0):
        return self.process.wait(timeout)

    def stop(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(1.0 if self.is_envoy else 3.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        # A crash, or what a sanitizer has found, counts even when the test itself was content.
        died = self.process.returncode
        if not self.is_envoy and died not in (0, 1, -signal.SIGTERM, -signal.SIGKILL):
            raise AssertionError(f"{self.binary} ended with {died}:\n{self.output()[-8000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()


def static_listener(name, filters, address="127.0.0.1", port=0, **more):
    listener = {
        "name": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [{"filters": filters}],
    }
    listener.update(more)
    return listener


def typed(name, message, **fields):
    return {"name": name, "typed_config": {"@type": "type.googleapis.com/" + message, **fields}}


def http_filter_chain(routes, stat_prefix="ingress", access_log=None, http_filters=None, **more):
    """The filters of an HTTP listener; `routes` is a list of route dicts on one catch-all virtual host, or a whole
    route_config dict."""
    route_config = routes if isinstance(routes, dict) else {
        "name": "local",
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
    }
    config = {
        "stat_prefix": stat_prefix,
        "route_config": route_config,
        "http_filters": (http_filters or [])
        + [typed("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router")],
    }
    if access_log:
        config["access_log"] = [access_log]
    config.update(more)
    return [
        typed(
            "envoy.filters.network.http_connection_manager",
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            **config,
        )
    ]


def tcp_filter_chain(cluster, stat_prefix="tcp", **more):
    return [
        typed(
            "envoy.filters.network.tcp_proxy",
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            stat_prefix=stat_prefix,
            cluster=cluster,
            **more,
        )
    ]


def file_access_log(path, text):
    return typed(
        "envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=path,
        log_format={"text_format_source": {"inline_string": text}},
    )


def static_cluster(name, *ports, **more):
    cluster = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {
                    "lb_endpoints": [
                        {
                            "endpoint": {
                                "address": {"socket_address": {"address": "127.0.0.1", "port_value": p}}
                            }
                        }
                        for p in ports
                    ]
                }
            ],
        },
    }
    cluster.update(more)
    return cluster


def static_bootstrap(listeners, clusters, **more):
    return {"static_resources": {"listeners": listeners, "clusters": clusters}, **more}
