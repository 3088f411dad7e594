"""The steady state of keep-alive HTTP/1.1: few system calls per request, no epoll_ctl, no memory growth."""

import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from test.support import proxy as px

CONNECTIONS = 32


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@pytest.fixture
def nginx(tmp_path):
    """nginx on loopback, answering 1 KiB."""
    if not shutil.which("nginx", path="/usr/sbin:/usr/bin"):
        pytest.skip("nginx is not installed")
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(f"""
daemon off; worker_processes 1; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {tmp_path}/a; proxy_temp_path {tmp_path}/b; fastcgi_temp_path {tmp_path}/c;
  uwsgi_temp_path {tmp_path}/d; scgi_temp_path {tmp_path}/e;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{'x' * 1024}"; }} }}
}}
""")
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", str(tmp_path), "-c", str(config)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def listening():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    px.wait_for(listening, what="nginx")
    yield port
    process.terminate()
    process.wait()


@pytest.fixture
def proxy(nginx, tmp_path):
    routes = [
        {"match": {"path": "/other"}, "route": {"cluster": "app"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "app", "retry_policy": {"retry_on": "5xx", "num_retries": 2}}},
    ]
    bootstrap = px.static_bootstrap([px.static_listener("in", px.http_filter_chain(routes))],
                                    [px.static_cluster("app", nginx)])
    with px.Proxy(px.REMORA, bootstrap, directory=str(tmp_path)) as running:
        yield running


def load(port, seconds):
    out = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"],
                         capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out


def worker_thread(pid):
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm") as f:
            if f.read().startswith("wrk:"):
                return int(tid)
    raise AssertionError("no worker thread")


def test_few_system_calls_per_request(proxy, tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    port = proxy.port("in")
    load(port, 1)  # warm: connections to the upstream are open
    client = subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", "-d8s", f"http://127.0.0.1:{port}/"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = proxy.stat("http.ingress.downstream_rq_total")
    px.wait_for(lambda: proxy.stat("http.ingress.downstream_rq_total") > started + 1000, what="load runs")
    report = tmp_path / "strace.txt"
    tracer = subprocess.Popen(["strace", "-c", "-o", str(report), "-p", str(worker_thread(proxy.process.pid))],
                              stderr=subprocess.PIPE, text=True)
    assert "attached" in tracer.stderr.readline()
    before = proxy.stat("http.ingress.downstream_rq_total")
    px.wait_for(lambda: proxy.stat("http.ingress.downstream_rq_total") > before + 2000, what="2000 requests traced")
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    requests = proxy.stat("http.ingress.downstream_rq_total") - before
    client.wait()
    calls = {}
    for line in report.read_text().splitlines():
        fields = line.split()
        if len(fields) >= 5 and re.fullmatch(r"[\d.]+", fields[0]) and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3])
    per_request = sum(calls.values()) / requests
    assert per_request <= 6, calls
    # A connection may open or close while we look; a request never needs one.
    assert calls.get("epoll_ctl", 0) <= 4, calls
    for name in ("futex", "timerfd_settime", "brk", "mmap", "munmap"):
        assert calls.get(name, 0) <= requests * 0.01, calls


def test_memory_stays_flat_under_load(proxy):
    port = proxy.port("in")

    def resident_kib():
        with open(f"/proc/{proxy.process.pid}/smaps_rollup") as f:
            return int(re.search(r"Private_Dirty:\s+(\d+)", f.read()).group(1))

    load(port, 1)
    before = resident_kib()
    load(port, 3)
    assert resident_kib() - before < 512, (before, resident_kib())
