"""A proxy under attack: HTTP listeners, each with a recording upstream and an access log of its own, and what must hold
after an attack (shared by the security tests)."""

import os
import re
import time

from test.support import proxy as px
from test.support.client import Client
from test.support.proxy import wait_for
from test.support.upstream import ClosedPort, Upstream, answer_ok

LOG_FORMAT = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"
GOOD = b"GET /good HTTP/1.1\r\nhost: test.example\r\n\r\n"
PATIENCE = 5.0


def request(*lines, body=b""):
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Lane:
    """One listener: its port, its upstream, its log, its counters."""

    def __init__(self, stand, name, script):
        self.stand = stand
        self.name = name
        self.log_path = os.path.join(stand.directory, name + ".log")
        self.upstream = Upstream(script) if script else ClosedPort()
        self.lines_seen = 0

    @property
    def port(self):
        return self.stand.ports[self.name]

    def connect(self, **more):
        return Client(self.port, **more)

    def log(self, count=1):
        """The next `count` lines of the access log."""

        def read():
            try:
                with open(self.log_path) as f:
                    lines = f.read().splitlines()
            except FileNotFoundError:
                lines = []
            return lines if len(lines) >= self.lines_seen + count else None

        lines = wait_for(read, PATIENCE, f"{count} more lines in {self.log_path}")
        new = lines[self.lines_seen:]
        self.lines_seen = len(lines)
        return new

    def must_log(self, *lines):
        found = self.log(len(lines))
        assert found == list(lines), f"the log says {found}"

    def stat(self, name):
        """A counter of the connection manager, or of the cluster when the name begins so."""
        group = "cluster" if name.startswith("upstream_") else "http"
        return self.stand.proxy.stat(f"{group}.{self.name}.{name}")

    def counts(self, name, by=1):
        """A context in which a counter must grow by `by`."""
        return Counting(self, name, by)

    def received(self):
        """What the upstream has been sent, one entry per connection that carried anything."""
        return [c for c in self.upstream.received() if c]

    def mark(self):
        """Where the bytes of each upstream connection end now."""
        return [len(c) for c in self.upstream.received()]

    def since(self, mark):
        """Connection's number -> what the upstream has been sent on it since `mark`."""
        seen = dict(enumerate(mark))
        return {i: c[seen.get(i, 0):] for i, c in enumerate(self.upstream.received()) if len(c) > seen.get(i, 0)}

    def heads(self):
        """The first lines of all requests that the upstream saw."""
        return [m for c in self.received() for m in re.findall(rb"(?:^|\r\n\r\n)([A-Z]+ [^\r\n]* HTTP/1\.1)\r\n", c)]

    def must_be_well(self):
        """The process lives and serves the next client as if nothing had been."""
        assert self.stand.proxy.alive(), self.stand.proxy.output()


class Counting:
    def __init__(self, lane, name, by):
        self.lane, self.name, self.by = lane, name, by

    def __enter__(self):
        self.before = self.lane.stat(self.name)
        return self

    def __exit__(self, kind, *unused):
        if kind is None:
            wait_for(lambda: self.lane.stat(self.name) == self.before + self.by, PATIENCE,
                     f"{self.name} to grow by {self.by}, it grew by {self.lane.stat(self.name) - self.before}")


class Stand:
    """`lanes`: name -> {"script", "hcm", "route" or "routes", "cluster", "filters"}; an empty dict for the defaults."""

    def __init__(self, directory, lanes, **bootstrap):
        self.directory = str(directory)
        self.lanes = {name: Lane(self, name, lane.get("script", answer_ok)) for name, lane in lanes.items()}
        listeners, clusters = [], []
        for name, lane in lanes.items():
            routes = lane.get("routes") or [
                {"match": {"prefix": "/"}, "name": "main", "route": {"cluster": name, **lane.get("route", {})}}]
            filters = px.http_filter_chain(
                routes, stat_prefix=name, http_filters=lane.get("filters"),
                access_log=px.file_access_log(self.lanes[name].log_path, lane.get("log", LOG_FORMAT)), **lane.get("hcm", {}))
            listeners.append(px.static_listener(name, filters))
            clusters.append(px.static_cluster(name, self.lanes[name].upstream.port, **lane.get("cluster", {})))
        self.proxy = px.Proxy(
            px.REMORA, px.static_bootstrap(listeners, clusters, **bootstrap),
            args=["--file-flush-interval-msec", "20", "-l", "warning"], directory=self.directory)
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def __getitem__(self, name):
        return self.lanes[name]

    def close(self):
        self.proxy.stop()
        for lane in self.lanes.values():
            lane.upstream.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def must_refuse(lane, raw, status=400, detail="http1.codec_error", flag="DPE", counter="downstream_cx_protocol_error"):
    """Sends `raw` and a good request behind it: one answer, then the end; nothing is forwarded, the log and a counter
    tell."""
    before = lane.received()
    with lane.counts(counter), lane.counts(f"downstream_rq_{status // 100}xx"), lane.connect() as client:
        client.send(raw + GOOD)
        answer = client.read_answer()
        assert answer is not None and answer.status == status, f"{answer} to {raw[:200]!r}"
        assert answer.header("connection") == "close"
        assert client.read_end(PATIENCE) in ("fin", "reset")
        assert client.buffer == b"", "something behind the refusal"
    lane.must_log(f"{status} {flag} {detail}")
    assert lane.received() == before, "what is refused must not reach the upstream"
    lane.must_be_well()


def must_break_off(lane, head, body, detail="http1.codec_error"):
    """A request whose head is fine and whose body is not: what has begun upstream is cut, never completed, and its
    connection carries nothing else."""
    for together in (True, False):
        mark = lane.mark()
        with lane.counts("downstream_cx_protocol_error"), lane.connect() as client:
            if together:
                client.send(head + body + GOOD)
            else:
                client.send(head)
                await_true(lambda: b"".join(lane.since(mark).values()).endswith(b"\r\n\r\n"), "the head at the upstream")
                client.send(body + GOOD)
            answer = client.read_answer()
            assert answer is not None and answer.status == 400, f"{answer} to {body[:200]!r}"
            assert client.read_end(PATIENCE) in ("fin", "reset")
            assert client.buffer == b""
        lane.must_log(f"400 DPE {detail}")
        must_serve(lane, GOOD)
        for sent in lane.since(mark).values():
            if sent.startswith(GOOD[:9]):
                continue  # our own
            assert sent.count(b" HTTP/1.1\r\n") == 1, "a connection that carried a broken message is used again"
            assert not sent.endswith(b"0\r\n\r\n"), "a broken body must not look complete"
    lane.must_be_well()


def must_serve(lane, raw, status=200, count=1, detail="via_upstream", flag="-"):
    """Sends `raw`, reads `count` answers and returns (answers, what the upstream was sent since)."""
    mark = lane.mark()
    with lane.connect() as client:
        client.send(raw)
        answers = [client.read_answer() for _ in range(count)]
    assert [a.status if a else None for a in answers] == [status] * count, f"{answers} to {raw[:200]!r}"
    lane.must_log(*[f"{status} {flag} {detail}"] * count)
    lane.must_be_well()
    return answers, b"".join(lane.since(mark).values())


def upstream_values(sent, name):
    """The values of a header in the bytes that an upstream was sent."""
    return re.findall(rb"(?im)^" + name + rb":[ \t]*([^\r\n]*)", sent)


def await_true(condition, what):
    return wait_for(condition, PATIENCE, what)


def elapsed(since):
    return time.monotonic() - since
