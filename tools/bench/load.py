"""Load by wrk and h2load. A load says how many requests were answered, and fails when one was not answered with 200."""

import dataclasses
import os
import re
import statistics
import subprocess
import tempfile


class Unserved(Exception):
    """Not every request was answered as it must be."""


@dataclasses.dataclass
class Done:
    requests: int
    seconds: float


def _run(command):
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tempfile.gettempdir()).stdout


@dataclasses.dataclass
class Wrk:
    """HTTP/1.1 as fast as it goes. Counting and pacing are h2load's."""

    connections: int
    path: str = "/"
    body: bytes = b""
    headers: tuple = ()

    def _headers(self):
        return [part for name, value in self.headers for part in ("-H", f"{name}: {value}")]

    def run(self, port, seconds):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(f'wrk.method = "{"POST" if self.body else "GET"}"\n')
            if self.body:
                script.write(f'wrk.body = "{self.body.decode()}"\n')
            script.flush()
            out = _run(["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "-s", script.name, *self._headers(),
                        f"http://127.0.0.1:{port}{self.path}"])
        if "Socket errors" in out or "Non-2xx" in out:
            raise Unserved(out)
        requests, seconds = re.search(r"(\d+) requests in ([\d.]+)s", out).groups()
        return Done(int(requests), float(seconds))

    def _h2load(self):
        return H2load(self.connections, 1, self.path, self.body, self.headers, http1=True)

    def count(self, port, requests):
        return self._h2load().count(port, requests)

    def latency(self, port, rate, seconds):
        return self._h2load().latency(port, rate, seconds)


@dataclasses.dataclass
class H2load:
    """HTTP/2, or HTTP/1.1 when the number or the rate of requests is to be exact."""

    connections: int
    streams: int
    path: str = "/"
    body: bytes = b""
    headers: tuple = ()
    http1: bool = False
    rates: dict = dataclasses.field(default_factory=dict)  # port -> requests per second, as seen last

    def _command(self, port, *more):
        command = ["h2load", f"-c{self.connections}", f"-m{self.streams}", *(["--h1"] if self.http1 else []), *more]
        for name, value in self.headers:
            command += ["-H", f"{name}: {value}"]
        return command + [f"http://127.0.0.1:{port}{self.path}"]

    def _go(self, port, *more):
        with tempfile.NamedTemporaryFile() as body:
            body.write(self.body)
            body.flush()
            out = _run(self._command(port, *(["-d", body.name] if self.body else []), *more))
        numbers = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
        if not numbers or int(numbers.group(1)) == 0 or any(int(n) for n in numbers.groups()[1:]):
            raise Unserved(out)
        seconds, unit = re.search(r"finished in ([\d.]+)(m?s|us)", out).groups()
        return Done(int(numbers.group(1)), float(seconds) * {"s": 1, "ms": 1e-3, "us": 1e-6}[unit])

    def run(self, port, seconds):
        # By number, as what is under way when time is up could not be told from what was never answered.
        if port not in self.rates:
            self._learn(port, self._go(port, "-n", str(20 * self.connections * self.streams)))
        return self._learn(port, self._go(port, "-n", str(max(100, int(self.rates[port] * seconds)))))

    def _learn(self, port, done):
        self.rates[port] = done.requests / done.seconds
        return done

    def count(self, port, requests):
        """Exactly so many; on fewer connections when there are few requests, as making them is not what is counted."""
        connections = max(1, min(self.connections, requests // 50))
        return dataclasses.replace(self, connections=connections)._go(port, "-n", str(requests))

    def latency(self, port, rate, seconds):
        """p50 and p99 in milliseconds at a rate that is kept."""
        clients = max(1, min(self.connections, 8, rate // 10))
        paced = dataclasses.replace(self, connections=clients)
        with tempfile.TemporaryDirectory(prefix="remora-bench-") as folder:
            log = os.path.join(folder, "log")
            paced._go(port, f"--rps={max(1, rate // clients)}", "-n", str(rate * seconds), f"--log-file={log}")
            with open(log) as f:
                rows = [line.split("\t") for line in f]
        if any(row[1] != "200" for row in rows):
            raise Unserved(f"statuses {sorted({row[1] for row in rows})}")
        taken = statistics.quantiles([int(row[2]) / 1000 for row in rows], n=100)
        return taken[49], taken[98]
