"""The machine: which cores do what, what a process has cost, what is written beside the figures."""

import contextlib
import datetime
import os
import platform
import re
import resource
import socket
import subprocess

CORES = sorted(os.sched_getaffinity(0))
# One core for the proxy, the others for load and application; with four or more, two proxy cores for the case of two workers.
PROXY_CORES = CORES[:2] if len(CORES) >= 4 else CORES[:1]
LOAD_CORES = CORES[len(PROXY_CORES):] or CORES


@contextlib.contextmanager
def on_cores(cores):
    """What is started meanwhile runs there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_many_files():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def cpu_ns(pids):
    """CPU time that all threads of the processes have had."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total


def memory_kib(pids):
    """rss, pss, private (written to) and anonymous memory of the processes together."""
    names = {"rss": "Rss", "pss": "Pss", "private": "Private_Dirty", "anonymous": "Anonymous"}
    found = dict.fromkeys(names, 0)
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            text = f.read()
        for name, label in names.items():
            found[name] += int(re.search(rf"^{label}:\s+(\d+)", text, re.M).group(1))
    return found


def _first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    line = (done.stdout or done.stderr).strip().splitlines()[0]
    return line.removeprefix(os.path.basename(command[0])).split("version:")[-1].strip()


def description(binaries):
    """CPU, kernel, versions, date."""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.+)", f.read())
    versions = {
        "remora": _first_line(binaries["remora"], "--version"),
        "envoy": _first_line(binaries["envoy"], "--version") if binaries.get("envoy") else None,
        "nginx": _first_line("nginx", "-v"),
        "haproxy": _first_line("haproxy", "-v"),
        "h2load": _first_line("h2load", "--version"),
        "wrk": _first_line("wrk", "-v"),
    }
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": model.group(1) if model else platform.machine(),
        "cores": len(CORES),
        "proxy_cores": PROXY_CORES,
        "load_cores": LOAD_CORES,
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
        "versions": {name: version for name, version in versions.items() if version},
    }
