#!/usr/bin/env python3
"""What a request costs two sidecars that speak mutual TLS over HTTP/1.1 to each other, held against Envoy.

    tools/bench/sidecar_pair.py [--rounds 5] [--seconds 3] [--connections 64] [--bytes 1024] [--json FILE]

    wrk -> sidecar (client) == mutual TLS ==> sidecar (server) -> nginx

Each pair of proxies is two processes of one worker, all on one core; load and application share another. The pairs take turns in
every round. Counted is the CPU time of both proxies' threads (/proc/PID/task/*/schedstat) over the requests that wrk saw answered.
REMORA_BIN and ENVOY_BIN name the binaries; the same bootstrap drives both. Ends with the medians and their ratio. On a machine that
is busy with other things, `chrt -r 5` in front keeps them out of the figures.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from test.support import proxy as px  # noqa: E402
from test.support.certificates import Authority  # noqa: E402

PROXY_CORE, LOAD_CORE = 0, 1
TLS = "envoy.extensions.transport_sockets.tls.v3."
IDS = {"client": "spiffe://cluster.local/ns/bench/sa/client", "server": "spiffe://cluster.local/ns/bench/sa/server"}

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{ listen unix:{folder}/app; location / {{ return 200 "{body}"; }} }}
}}
"""


def on_core(core):
    return lambda: os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def application(folder, size):
    config = os.path.join(folder, "nginx.conf")
    with open(config, "w") as f:
        f.write(NGINX.format(folder=folder, body="x" * size))
    nginx = subprocess.Popen(["nginx", "-e", os.path.join(folder, "error.log"), "-c", config], preexec_fn=on_core(LOAD_CORE))
    try:
        path = os.path.join(folder, "app")
        px.wait_for(lambda: os.path.exists(path) or nginx.poll() is not None, what="nginx")
        yield path
    finally:
        nginx.terminate()
        nginx.wait()


def listener(**chain):
    route = {"match": {"prefix": "/"}, "route": {"cluster": "next", "retry_policy": {"retry_on": "5xx", "num_retries": 2}}}
    made = px.static_listener("in", px.http_filter_chain([route]))
    made["filter_chains"][0].update(chain)
    return made


def tls_context(kind, pair, root, peer, **more):
    names = [{"san_type": "URI", "matcher": {"exact": peer}}]
    return px.typed("tls", TLS + kind, common_tls_context={
        "tls_certificates": [pair.message()], "alpn_protocols": ["http/1.1"],
        "validation_context": {"trusted_ca": {"inline_string": root.certificate}, "match_typed_subject_alt_names": names}}, **more)


class Pair:
    """Two sidecars of one kind. Their processes end with the context."""

    def __init__(self, name, binary, root, pairs, app, stack):
        self.name, self.costs = name, []

        def start(listeners, cluster):
            proxy = stack.enter_context(px.Proxy(binary, px.static_bootstrap([listeners], [cluster]), args=["--concurrency", "1"]))
            for task in os.listdir(f"/proc/{proxy.process.pid}/task"):
                os.sched_setaffinity(int(task), {PROXY_CORE})
            return proxy

        nginx = px.static_cluster("next")
        nginx["load_assignment"]["endpoints"][0]["lb_endpoints"] = [{"endpoint": {"address": {"pipe": {"path": app}}}}]
        server = start(listener(transport_socket=tls_context("DownstreamTlsContext", pairs["server"], root, IDS["client"],
                                                             require_client_certificate=True)), nginx)
        client = start(listener(), px.static_cluster("next", server.port("in"), transport_socket=tls_context(
            "UpstreamTlsContext", pairs["client"], root, IDS["server"], sni="server.bench")))
        self.proxies, self.port = [client, server], client.port("in")

    def cpu_ns(self):
        total = 0
        for proxy in self.proxies:
            folder = f"/proc/{proxy.process.pid}/task"
            for task in os.listdir(folder):
                with open(f"{folder}/{task}/schedstat") as f:
                    total += int(f.read().split()[0])
        return total

    def load(self, connections, seconds):
        """Microseconds of both proxies' CPU per request."""
        before = self.cpu_ns()
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{self.port}/"],
                              capture_output=True, text=True, check=True, preexec_fn=on_core(LOAD_CORE))
        spent = self.cpu_ns() - before
        if "Socket errors" in done.stdout or "Non-2xx" in done.stdout:
            sys.exit(f"{self.name}: not every request was served\n{done.stdout}")
        return spent / 1000 / int(re.search(r"(\d+) requests in", done.stdout).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of load on each pair in each round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--bytes", type=int, default=1024, help="of each answer's body")
    parser.add_argument("--json", help="write the figures of all rounds here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="remora-bench-") as folder, contextlib.ExitStack() as stack:
        root = Authority(folder)
        pairs = {name: root.issue(name, f"URI:{uri},DNS:{name}.bench") for name, uri in IDS.items()}
        app = stack.enter_context(application(folder, options.bytes))
        contenders = [Pair(name, binary, root, pairs, app, stack)
                      for name, binary in (("remora", px.REMORA), ("envoy", px.ENVOY)) if binary]
        for contender in contenders:
            contender.load(options.connections, 1)  # connections are made, tables are warm
        for number in range(1, options.rounds + 1):
            for contender in contenders:
                contender.costs.append(contender.load(options.connections, options.seconds))
            print(f"round {number}: " + ", ".join(f"{c.name} {c.costs[-1]:.1f}" for c in contenders), flush=True)
    medians = {c.name: statistics.median(c.costs) for c in contenders}
    for c in contenders:
        print(f"{c.name}: {medians[c.name]:.1f} us of CPU per request ({min(c.costs):.1f}-{max(c.costs):.1f})")
    if "envoy" in medians:
        print(f"remora / envoy: {medians['remora'] / medians['envoy']:.3f}")
    if options.json:
        with open(options.json, "w") as f:
            json.dump({c.name: c.costs for c in contenders}, f)


if __name__ == "__main__":
    main()
