"""What carries the load: Remora and Envoy by the same bootstrap, nginx and HAProxy by a configuration that does the same."""

import os
import signal
import subprocess
import tempfile

from test.support import proxy as px
from tools.bench import machine

BINARIES = {"remora": os.path.abspath(px.REMORA), "envoy": px.ENVOY and os.path.abspath(px.ENVOY)}
RETRY = {"retry_on": "5xx", "num_retries": 2}
HTTP2 = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http2_protocol_options": {}}}}}


class Contender:
    """Processes that the figures are about, and the port that load goes to."""

    def __init__(self, name, pids, port, proxies=()):
        self.name, self.pids, self.port, self.proxies = name, pids, port, proxies

    def cpu_ns(self):
        return machine.cpu_ns(self.pids)

    def memory_kib(self):
        return machine.memory_kib(self.pids)


def start_proxy(stack, name, bootstrap, workers=1, under=None, cores=None, wait=True):
    """Remora or Envoy, which ends with the stack. `under`: a command that runs the binary, which must replace itself by it."""
    binary = BINARIES[name]
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="remora-bench-"))
    if under:
        binary = os.path.join(folder, name)
        with open(binary, "w") as f:
            f.write(f'#!/bin/sh\nexec {under} {BINARIES[name]} "$@"\n')
        os.chmod(binary, 0o755)
    with machine.on_cores(cores or machine.PROXY_CORES[:1]):
        proxy = px.Proxy(binary, bootstrap, args=["--concurrency", str(workers), "-l", "warning"], directory=folder,
                         wait_ready=False)
    stack.enter_context(proxy)
    if wait:
        proxy.wait_ready(60)
    return proxy


def by_bootstrap(stack, name, bootstrap, **how):
    """A contender of one proxy; its listener is called "in"."""
    proxy = start_proxy(stack, name, bootstrap, **how)
    return Contender(name, [proxy.process.pid], proxy.port("in"), [proxy])


def http_bootstrap(port, http_filters=None, cluster=None, **hcm):
    """Routes, of which the last matches, with a retry policy; statistics are on."""
    routes = [
        {"match": {"path": "/other"}, "route": {"cluster": "app"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "app", "retry_policy": RETRY}},
    ]
    listener = px.static_listener("in", px.http_filter_chain(routes, http_filters=http_filters, **hcm))
    return px.static_bootstrap([listener], [px.static_cluster("app", port, **(cluster or {}))])


def tcp_bootstrap(port):
    return px.static_bootstrap([px.static_listener("in", px.tcp_filter_chain("app"))], [px.static_cluster("app", port)])


NGINX_HEAD = """
%(modules)s
daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000; pid %(folder)s/pid; error_log %(folder)s/error.log;
events { worker_connections 16384; }
"""
NGINX_HTTP = """
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; client_body_buffer_size 64k;
  client_body_temp_path %(folder)s; proxy_temp_path %(folder)s; fastcgi_temp_path %(folder)s; uwsgi_temp_path %(folder)s;
  scgi_temp_path %(folder)s;
  upstream app { server 127.0.0.1:%(app)d; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location = /other { proxy_pass http://app; }
    location / {
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffers 8 32k;
      proxy_next_upstream error timeout http_500 http_502 http_503 http_504; proxy_next_upstream_tries 3;
    }
  }
}
"""
NGINX_TCP = """
stream {
  upstream app { server 127.0.0.1:%(app)d; }
  server { listen 127.0.0.1:%(port)d backlog=4096; proxy_pass app; }
}
"""
HAPROXY_HEAD = """
global
  nbthread 1
  maxconn 8000
defaults
  timeout connect 5s
  timeout client 1h
  timeout server 1h
"""
HAPROXY_HTTP = """
  mode http
  http-reuse always
  retries 2
  retry-on conn-failure empty-response 500 502 503 504
frontend in
  bind 127.0.0.1:%(port)d backlog 4096 %(proto)s
  acl other path /other
  use_backend other if other
  use_backend app if { path_beg / }
backend other
  server app 127.0.0.1:%(app)d %(proto)s
backend app
  server app 127.0.0.1:%(app)d %(proto)s
"""
HAPROXY_TCP = """
  mode tcp
listen in
  bind 127.0.0.1:%(port)d backlog 4096
  server app 127.0.0.1:%(app)d
"""


def _daemon(stack, name, text, command, values, wait=True):
    """A process that listens on a port of our choice; another one when somebody has taken it meanwhile."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="remora-bench-"))
    path = os.path.join(folder, "config")
    for _ in range(3):
        port = machine.free_port()
        with open(path, "w") as f:
            f.write(text % {"folder": folder, "port": port, **values})
        log = stack.enter_context(open(os.path.join(folder, "log"), "w"))
        with machine.on_cores(machine.PROXY_CORES[:1]):
            process = subprocess.Popen([*command, path], stdout=log, stderr=log)
        stack.callback(_end, process)
        if not wait:
            return Contender(name, [process.pid], port)
        px.wait_for(lambda: machine.listening(port) or process.poll() is not None, what=name)
        if process.poll() is None:
            return Contender(name, [process.pid], port)
    with open(log.name) as f:
        raise RuntimeError(f"{name} does not start: {f.read()}")


def _end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def nginx(stack, app, tcp=False, wait=True):
    modules = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;" if tcp else ""
    return _daemon(stack, "nginx", NGINX_HEAD + (NGINX_TCP if tcp else NGINX_HTTP), ["nginx", "-e", "stderr", "-c"],
                   {"app": app, "modules": modules}, wait)


def haproxy(stack, app, tcp=False, http2=False, wait=True):
    return _daemon(stack, "haproxy", HAPROXY_HEAD + (HAPROXY_TCP if tcp else HAPROXY_HTTP), ["haproxy", "-db", "-f"],
                   {"app": app, "proto": "proto h2" if http2 else ""}, wait)
