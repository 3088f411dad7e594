"""What the mesh knows and watches: the catalogue folder, the control plane, Prometheus."""

import json
import os
import urllib.parse

from lib.pods import METRICS_PORT
from lib.processes import DemoError, Process, wait_until

CONTROL_PLANE_PORT = 15010
PROMETHEUS_PORT = 9090


class Catalogue:
    """One YAML file a service; every change is one rename, so that a reader sees all or nothing."""

    def __init__(self, folder):
        self._folder = folder
        self._services = {}
        folder.mkdir()

    def add_service(self, name, vip, port, target_port, protocol, mtls, authorization=None):
        self._services[name] = {
            "name": name, "namespace": "demo", "vips": [vip],
            "ports": [{"port": port, "target_port": target_port, "protocol": protocol}],
            "workloads": [],
            "policy": {"timeout": "10s", "connect_timeout": "2s", "lb": "round_robin"},
            "account": name, "mtls": mtls,
        }
        self.authorize(name, authorization)

    def authorize(self, name, rules):
        """Who may call a service; None: everybody. Returns the rules before."""
        before = self._services[name].pop("authorization", None)
        if rules is not None:
            self._services[name]["authorization"] = rules
        self._write(name)
        return before

    @property
    def folder(self):
        return self._folder

    def register(self, pod, ready):
        """Makes a pod known; a pod that is not ready gets its configuration, but no traffic."""
        for service in pod.services:
            others = self._others(service, pod)
            self._services[service]["workloads"] = others + [{
                "node": pod.node_id, "address": pod.address, "host": pod.host.name,
                "zone": f"zone-{pod.host.name}", "region": "demo", "ready": ready,
                "sidecar": not pod.bare}]
            self._write(service)

    def deregister(self, pod):
        for service in pod.services:
            self._services[service]["workloads"] = self._others(service, pod)
            self._write(service)

    def _others(self, service, pod):
        return [w for w in self._services[service]["workloads"] if w["address"] != pod.address]

    def _write(self, service):
        # JSON is YAML.
        hidden = self._folder / f".{service}.yaml"
        hidden.write_text(json.dumps(self._services[service], indent=2) + "\n")
        os.replace(hidden, self._folder / f"{service}.yaml")


class ControlPlane:
    """Runs on host1; pods of both hosts reach it at the bridge's address, over mutual TLS."""

    def __init__(self, binary, host, catalogue, identity_folder, log):
        self.address = host.gateway
        self.port = CONTROL_PLANE_PORT
        self._host = host
        self._command = [binary, "--catalogue", catalogue.folder, "--listen",
                         f"{self.address}:{self.port}", "--identity", identity_folder]
        self._log = log
        self._process = None

    def start(self):
        self._process = Process("control plane", self._host.namespace.command(*self._command),
                                self._log)

        def accepting():
            self._process.check_alive()
            return self._host.namespace.run("ss", "-Hltn", f"sport = :{self.port}")
        wait_until(accepting, "the control plane listens")

    @property
    def pid(self):
        return self._process.pid

    def kill(self):
        self._process.kill_hard()

    def stop(self):
        if self._process is not None:
            self._process.stop()

    def refusals(self):
        """What sidecars refused, by the control plane's log."""
        with open(self._log) as log:
            return [line.strip() for line in log if ": refused " in line]


class Prometheus:
    """Debian's Prometheus on host1, scraping every sidecar each second."""

    def __init__(self, host, folder):
        self._host = host
        self._targets = folder / "targets.json"
        self.set_targets([])
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{
                "job_name": "sidecars", "metrics_path": "/stats/prometheus",
                "file_sd_configs": [{"files": [str(self._targets)], "refresh_interval": "1s"}]}]}))
        self._process = Process("prometheus", host.namespace.command(
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={host.gateway}:{PROMETHEUS_PORT}"), folder / "prometheus.log")

    def set_targets(self, pods):
        hidden = self._targets.with_name("new")
        hidden.write_text(json.dumps([
            {"targets": [f"{pod.address}:{METRICS_PORT}"],
             "labels": {"pod": pod.name, "host": pod.host.name}} for pod in pods]))
        os.replace(hidden, self._targets)

    def query(self, expression):
        """The samples of an instant query: [(labels, value)]; none while it is not up."""
        self._process.check_alive()
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        status, body = self._host.namespace.http_get(self._host.gateway, PROMETHEUS_PORT, path)
        if status is None or status == 503:
            return []
        answer = json.loads(body)
        if answer["status"] != "success":
            raise DemoError(f"PromQL: {expression}: {answer}")
        return [(sample["metric"], float(sample["value"][1]))
                for sample in answer["data"]["result"]]

    def number(self, expression):
        """The value of a query with one sample, or None."""
        samples = self.query(expression)
        if not samples or samples[0][1] != samples[0][1]:  # not a number: no traffic yet
            return None
        return samples[0][1]

    def stop(self):
        self._process.stop()
