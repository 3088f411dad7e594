"""Many streams and many connections, by the numbers of the list of attacks: memory is flat once it has been warmed up, and
nothing is left behind."""

import resource
import socket

import pytest

from test.support import h2_frames as h2
from test.support.stand import GOOD, Stand, await_true, must_serve

STREAMS = 100_000
CONNECTIONS = 10_000
AT_ONCE = 100


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    local = [{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}]
    with Stand(tmp_path_factory.mktemp("scale"), {"in": {}, "others": {}, "local": {"routes": local}}) as stand:
        yield stand


def resident(stand):
    """KiB that the process holds."""
    with open(f"/proc/{stand.proxy.process.pid}/status") as f:
        return int(next(line.split()[1] for line in f if line.startswith("VmRSS")))


class Counter:
    """Reads frames and counts ended streams, without a look inside: Python is the slow one here."""

    def __init__(self, sock):
        self.sock, self.buffer, self.ended, self.resets = sock, b"", 0, 0

    def until(self, count):
        while self.ended + self.resets < count:
            got = self.sock.recv(1 << 20)
            assert got, "the connection ended"
            self.buffer += got
            at, buffer = 0, self.buffer
            while len(buffer) - at >= 9:
                length = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
                if len(buffer) - at < 9 + length:
                    break
                kind = buffer[at + 3]
                if kind == h2.RST_STREAM:
                    self.resets += 1
                elif kind in (h2.DATA, h2.HEADERS) and buffer[at + 4] & h2.END_STREAM:
                    self.ended += 1
                at += 9 + length
            self.buffer = buffer[at:]


def run_streams(stand, lane, total, flat_after):
    """`total` streams over one connection, AT_ONCE at a time; answers the growth of memory (KiB) behind `flat_after`."""
    lane, warm = stand[lane], None
    with h2.H2Client(lane.port, window=(1 << 31) - 1) as client:
        first = client.request(1)
        assert first.status == 200
        block = client.encode(h2.GET)  # all of it indexed by now
        assert len(block) < 10
        counter = Counter(client.sock)
        sent, stream = 0, 3
        while sent < total:
            client.sock.sendall(b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream + 2 * i, block)
                                         for i in range(AT_ONCE)))
            sent, stream = sent + AT_ONCE, stream + 2 * AT_ONCE
            counter.until(sent)
            if warm is None and sent >= flat_after:
                warm = resident(stand)
        grown = resident(stand) - warm
        assert (counter.ended, counter.resets) == (sent, 0)
    await_true(lambda: lane.stat("downstream_rq_active") == 0 and lane.stat("downstream_cx_active") == 0, "all to be gone")
    return grown


def test_case_39_a_hundred_thousand_streams_over_one_connection(stand):
    assert run_streams(stand, "local", STREAMS, 1000) <= 256
    assert stand["local"].stat("downstream_rq_total") >= STREAMS


def test_case_39_streams_that_go_upstream(stand):
    assert run_streams(stand, "in", 5_000, 1000) <= 1024
    assert stand["in"].stat("upstream_rq_active") == 0


def open_all(port, count, first):
    """`count` connections with a request on each."""
    clients = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        sock.sendall(first)
        clients.append(sock)
    return clients


def answered(sock, kind):
    """Reads the answer to the request on a connection."""
    if kind == "http1":
        got = b""
        while not got.endswith(b"ok"):
            more = sock.recv(4096)
            assert more, got
            got += more
        return
    Counter(sock).until(1)


def hold(stand, kind, count):
    """Opens `count` connections, each answered once, and closes them; KiB held by the process while they were open."""
    lane = stand["local"]
    head = h2.hpack.Encoder().encode(h2.GET)
    first = GOOD if kind == "http1" else (
        h2.PREFACE + h2.settings() + h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, head))
    clients = []
    try:
        clients = open_all(lane.port, count, first)
        for sock in clients:
            answered(sock, kind)
        assert lane.stat("downstream_cx_active") == count
        must_serve(stand["others"], GOOD)
        return resident(stand)
    finally:
        for sock in clients:
            sock.close()
        await_true(lambda: lane.stat("downstream_cx_active") == 0, "all to be gone")


@pytest.mark.parametrize("kind,each", [("http1", 8), ("http2", 32)])
def test_ten_thousand_connections_at_once(stand, kind, each):
    """What one costs is bounded (`each`, KiB) and none is left behind: the next thousand cost nothing."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(CONNECTIONS, soft - 500)
    few = hold(stand, kind, 1000)
    many = hold(stand, kind, count)
    assert many - few <= (count - 1000) * each, f"{few} KiB with a thousand, {many} KiB with {count}"
    assert hold(stand, kind, 1000) <= many + 8 * 1024
    assert stand["local"].stat("downstream_rq_active") == 0
