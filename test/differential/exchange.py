"""One exchange of the differential test: bytes from a client, a scripted upstream, and what must agree."""

import contextlib
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from test.support import proxy as px
from test.support.client import Client
from test.support.upstream import ClosedPort, Upstream, answer_ok

CLIENT = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
LOG_FORMAT = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %PROTOCOL% %BYTES_RECEIVED% %BYTES_SENT%\n"


class Exchange:
    """`send`: bytes, or a list of steps: bytes to send, ("read", n) answers to await, ("end",) half-closes.
    `answers`: how many answers to await at the end (None: until the proxy ends the connection).
    `stricter`: why Remora may refuse what Envoy accepts; then only Remora's status is checked against `status`.
    `logs`: how many access-log lines to await. `exact_names`: names are compared in their case, too; `exact_ids`:
    and request ids. `logs_client`: the log tells who the client is."""

    def __init__(self, name, send, script=answer_ok, answers=1, head_only=False, hcm=None, route=None, cluster=None,
                 upstream=True, stricter=None, status=None, forwards=False, differs=None, logs=None, ignore=(),
                 exact_names=False, exact_ids=False, logs_client=False):
        self.name = name
        self.steps = [send] if isinstance(send, bytes) else send
        self.script = script
        self.answers = answers
        self.head_only = head_only
        self.hcm = hcm or {}
        self.route = route or {}
        self.cluster = cluster or {}
        self.upstream = upstream
        self.stricter = stricter
        self.status = status
        self.forwards = forwards  # with stricter: the request itself was fine and reaches the upstream
        self.differs = differs or {}
        self.logs = logs
        self.ignore = ignore
        self.exact_names = exact_names
        self.exact_ids = exact_ids
        self.logs_client = logs_client


class Side:
    """One proxy with a listener, a cluster, an upstream and an access log per exchange."""

    def __init__(self, binary, exchanges, directory):
        self.upstreams = {}
        self.closed_ports = []
        self.directory = directory
        listeners, clusters = [], []
        for e in exchanges:
            if e.upstream:
                self.upstreams[e.name] = self.make_upstream(e)
                port = self.upstreams[e.name].port
            else:
                self.closed_ports.append(ClosedPort())
                port = self.closed_ports[-1].port
            clusters.append(px.static_cluster(e.name, port, **e.cluster))
            routes = [
                {
                    "match": {"prefix": "/"},
                    "name": "main",
                    "route": {"cluster": e.name, **e.route},
                }
            ]
            filters = px.http_filter_chain(
                routes,
                stat_prefix=e.name,
                access_log=px.file_access_log(self.log_path(e), CLIENT + LOG_FORMAT if e.logs_client else LOG_FORMAT),
                **e.hcm,
            )
            listeners.append(px.static_listener(e.name, filters))
        self.proxy = px.Proxy(
            binary,
            px.static_bootstrap(listeners, clusters),
            args=["--file-flush-interval-msec", "20", "-l", "warning"],
            directory=directory,
        )
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def make_upstream(self, exchange):
        return Upstream(exchange.script)

    def forwarded(self, exchange):
        """What the upstream received."""
        received = [self.normal_bytes(c, exchange) for c in self.upstreams[exchange.name].received()]
        return [c for c in received if c]

    def log_path(self, exchange):
        return os.path.join(self.directory, exchange.name + ".log")

    def close(self):
        self.proxy.stop()
        for upstream in self.upstreams.values():
            upstream.close()
        for held in self.closed_ports:
            held.close()

    def run(self, exchange):
        """What the client, the upstream and the access log saw, with what may vary taken out."""
        answers = []
        with Client(self.ports[exchange.name]) as client:
            for step in exchange.steps:
                if isinstance(step, bytes):
                    client.send(step)
                elif step[0] == "read":
                    answers += [client.read_answer(exchange.head_only) for _ in range(step[1])]
                elif step[0] == "end":
                    client.sock.shutdown(socket.SHUT_WR)
            if exchange.answers is None:
                while not client.ended:
                    answer = client.read_answer(exchange.head_only)
                    if answer is None:
                        break
                    answers.append(answer)
            else:
                answers += [client.read_answer(exchange.head_only) for _ in range(exchange.answers)]
            end = client.read_end(0.3 if exchange.answers is not None else 3.0)
        result = {
            "answers": [normal_answer(a, exchange) for a in answers],
            "end": "closed" if end in ("fin", "reset") else "open",
        }
        expected_logs = exchange.logs if exchange.logs is not None else sum(
            1 for a in answers if a is not None and a.status >= 200
        )
        result["log"] = self._log_lines(exchange, expected_logs)
        if exchange.upstream:
            result["forwarded"] = self.forwarded(exchange)
        return {k: v for k, v in result.items() if k not in exchange.ignore}

    def _log_lines(self, exchange, count):
        def lines():
            try:
                with open(self.log_path(exchange)) as f:
                    found = f.read().splitlines()
            except FileNotFoundError:
                found = []
            return found if len(found) >= count else None

        if count == 0:
            return []
        try:
            return px.wait_for(lines, 3.0, "access log")
        except AssertionError:
            return ["<no log line>"]

    def normal_bytes(self, data, exchange):
        data = data.replace(b"x-forwarded-port: %d" % self.ports[exchange.name], b"x-forwarded-port: <port>")
        return without_deadlines(data) if exchange.exact_ids else normal_bytes(data)


VOLATILE = {"date": "<date>", "x-envoy-upstream-service-time": "<ms>", "x-request-id": "<id>"}


def normal_answer(answer, exchange=None):
    """`exchange`: what of it is compared to the letter; none: nothing."""
    if answer is None:
        return None
    exact_names = exchange is not None and exchange.exact_names
    headers = [(k if exact_names else k.lower(), VOLATILE.get(k.lower(), v)) for k, v in answer.headers]
    if exchange is not None and exchange.exact_ids:
        headers = [(k, answer.header(k) if k == "x-request-id" else v) for k, v in headers]
    # A failed connection's text carries the errno's words and the address of the upstream.
    body = re.sub(rb"127\.0\.0\.1:\d+", b"<address>", answer.body)
    if body != answer.body or b"transport failure reason" in body or b"upstream connect error" in body:
        headers = [(k, "<length>" if k == "content-length" else v) for k, v in headers]
    return (answer.status_line, headers, body, answer.trailers)


def without_deadlines(data):
    return re.sub(rb"(?i)(x-envoy-expected-rq-timeout-ms): \d+", rb"\1: <ms>", data)


def normal_bytes(data):
    return re.sub(rb"(?i)(x-request-id): [0-9a-f-]{36}", rb"\1: <id>", without_deadlines(data))


def drop_differences(exchange, theirs, ours):
    """Takes out what the exchange lists as different, with its reason."""
    for key, reason in exchange.differs.items():
        assert reason, "a difference needs its reason"
        ours.pop(key, None)
        theirs.pop(key, None)


@contextlib.contextmanager
def pair_of(make_side, tmp_path_factory):
    """Envoy's side and Remora's: `make_side(binary, directory)`, closed at the end."""
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    sides = [make_side(binary, str(tmp_path_factory.mktemp(os.path.basename(binary)))) for binary in (px.ENVOY, px.REMORA)]
    yield sides
    for side in sides:
        side.close()


@contextlib.contextmanager
def results_of(make_side, exchanges, tmp_path_factory, after=lambda exchange, sides, seen: None):
    """What Envoy and Remora made of each exchange, by name; the exchanges share nothing, so they run side by side.
    `after` may add to what was seen of one."""
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    sides = [make_side(binary, exchanges, str(tmp_path_factory.mktemp(os.path.basename(binary))))
             for binary in (px.ENVOY, px.REMORA)]

    def run(exchange):
        seen = [side.run(exchange) for side in sides]
        after(exchange, sides, seen)
        return exchange.name, seen

    with ThreadPoolExecutor(8) as pool:
        seen = dict(pool.map(run, exchanges))
    assert sides[1].proxy.alive(), sides[1].proxy.output()
    yield seen
    for side in sides:
        side.close()
