"""What an HTTP/2 client may do that costs it little and us much, by the numbers of the list of attacks: the connection is
closed by a counted limit, memory stays bounded, and others are served meanwhile."""

import socket

import pytest

from test.support import h2_frames as h2
from test.support.stand import GOOD, PATIENCE, Stand, await_true, must_serve

MB = 1024  # in KiB, as the kernel counts resident memory


def silent(peer):
    peer.wait_for_close()


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    with Stand(tmp_path_factory.mktemp("floods"), {
        "others": {},
        "in": {},
        "silent": {"script": silent},
        "stall": {"hcm": {"stream_idle_timeout": "0.5s"}},
    }) as stand:
        yield stand


@pytest.fixture(autouse=True)
def others_are_served(stand):
    """Before and after every attack, on the same thread."""
    must_serve(stand["others"], GOOD)
    yield
    must_serve(stand["others"], GOOD)


def resident(stand):
    """KiB that the process holds."""
    with open(f"/proc/{stand.proxy.process.pid}/status") as f:
        return int(next(line.split()[1] for line in f if line.startswith("VmRSS")))


class Bounded:
    """The process may not grow by more than `limit` KiB inside."""

    def __init__(self, stand, limit):
        self.stand, self.limit = stand, limit

    def __enter__(self):
        self.before = resident(self.stand)

    def __exit__(self, kind, *unused):
        if kind is None:
            grown = resident(self.stand) - self.before
            assert grown <= self.limit, f"{grown} KiB more than before"


def must_be_cut(stand, lane, piece, count, first=b"", counter=None, codes=(h2.ENHANCE_YOUR_CALM,), limit=4 * MB):
    """`count` times `piece` at once: the connection ends with a GOAWAY that says why, one counter tells, memory is bounded."""
    lane = stand[lane]
    before = stand.proxy.stat(counter) if counter else 0
    with Bounded(stand, limit), lane.counts("downstream_cx_protocol_error"), h2.H2Client(lane.port) as client:
        client.send(first(client) if callable(first) else first)
        client.send(piece * count)
        assert client.read_end(2 * PATIENCE) in codes, client.goaways
    if counter:
        await_true(lambda: stand.proxy.stat(counter) == before + 1, f"{counter} to be counted once")
    await_true(lambda: lane.stat("downstream_rq_active") == 0, "its streams to be gone")
    assert stand.proxy.alive()


def open_stream(client):
    return client.headers(1, h2.POST, False)


def test_case_27_streams_opened_and_reset(stand):
    """Rapid reset: cut after a counted number, whatever the upstream makes of it."""
    lane = stand["silent"]
    with Bounded(stand, 4 * MB), h2.H2Client(lane.port) as client:
        for stream in range(1, 20001, 2):
            if not client.send(client.headers(stream), h2.reset(stream)):
                break
        assert client.read_end(2 * PATIENCE) in (h2.ENHANCE_YOUR_CALM, None)
    await_true(lambda: lane.stat("downstream_rq_too_many_premature_resets") >= 1, "the resets to be counted as too many")
    assert lane.stat("downstream_rq_total") < 2000
    await_true(lambda: lane.stat("downstream_rq_active") == 0 and lane.stat("upstream_rq_active") == 0, "all to be gone")


@pytest.mark.parametrize("piece", [
    h2.frame(h2.CONTINUATION, 0, 1), h2.frame(h2.CONTINUATION, 0, 1, h2.literal(b"x", b"y") * 10),
    h2.frame(h2.CONTINUATION, 0, 1, b"\x82" * 1000), h2.frame(h2.CONTINUATION, 0, 1, b"\x20\x3f\xe1\x1f" * 100),
], ids=["empty", "fields", "indexed", "table_sizes"])
def test_case_28_continuations_without_end(stand, piece):
    codes = (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.COMPRESSION_ERROR, h2.INTERNAL_ERROR, None)
    must_be_cut(stand, "in", piece, 400_000 // len(piece), codes=codes,
                first=lambda client: h2.frame(h2.HEADERS, 0, 1, client.encode(h2.GET)))


@pytest.mark.parametrize("piece,counter", [
    (h2.settings({h2.INITIAL_WINDOW_SIZE: 100}), None), (h2.settings(), None), (h2.ping(), None),
    (h2.priority(1), "http2.inbound_priority_frames_flood"), (h2.priority(99), "http2.inbound_priority_frames_flood"),
    (h2.data(1), "http2.inbound_empty_frames_flood"),
    (h2.window_update(0, 1), "http2.inbound_window_update_frames_flood"),
    (h2.window_update(1, 1), "http2.inbound_window_update_frames_flood"),
    (h2.reset(1), None),
], ids=["settings", "empty_settings", "ping", "priority", "priority_idle", "empty_data", "window_update",
        "window_update_stream", "reset"])
def test_case_29_floods_of_small_frames(stand, piece, counter):
    must_be_cut(stand, "silent", piece, 20_000, first=open_stream, counter=counter)


def test_case_29_window_updates_of_zero(stand):
    must_be_cut(stand, "silent", h2.window_update(0, 0), 10, first=open_stream, codes=(h2.PROTOCOL_ERROR,))


def test_case_29_empty_heads(stand):
    """Heads without a field, one stream each: every one is malformed."""
    pieces = b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS, stream) for stream in range(1, 4001, 2))
    must_be_cut(stand, "in", pieces, 1, codes=(h2.PROTOCOL_ERROR, h2.ENHANCE_YOUR_CALM))


@pytest.mark.parametrize("piece", [h2.ping(), h2.settings()], ids=["ping", "settings"])
def test_case_30_a_peer_that_never_reads_what_it_asks_for(stand, piece):
    """It asks for answers and takes none: what waits for it is bounded, then the connection goes."""
    lane = stand["silent"]
    with Bounded(stand, 4 * MB), lane.counts("downstream_cx_protocol_error"), h2.H2Client(lane.port) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sock.settimeout(PATIENCE)
        for _ in range(200):
            if not client.send(piece * 500):
                break
        await_true(lambda: lane.stat("downstream_cx_active") == 0, "the connection to be closed under it")
    assert stand.proxy.alive()


def test_case_30_answers_that_nobody_reads(stand):
    """A thousand requests whose answers are not read, however small: no more is held than the connection's buffers."""
    lane = stand["in"]
    with Bounded(stand, 16 * MB):
        with h2.H2Client(lane.port, window=100) as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for stream in range(1, 2001, 2):
                client.send(client.headers(stream))
            await_true(lambda: lane.stat("upstream_rq_active") == 0, "the upstream to have answered")
        await_true(lambda: lane.stat("downstream_rq_active") == 0, "all to be gone")
    lane.log()


def test_case_32_a_window_that_never_opens(stand):
    """The answer waits for a window: the stream's idle timeout frees it, the connection stays usable."""
    lane = stand["stall"]
    with h2.H2Client(lane.port, initial={h2.INITIAL_WINDOW_SIZE: 0}) as client:
        for stream in range(1, 41, 2):
            client.send(client.headers(stream))
        for stream in range(1, 41, 2):
            response = client.response(stream)
            assert response.reset is not None and response.body == b"" and not response.ended, response
        assert client.ping_pong()
        client.send(h2.settings({h2.INITIAL_WINDOW_SIZE: 65535}))
        assert client.request(41).body == b"ok"
    lane.log(21)
    await_true(lambda: lane.stat("upstream_rq_active") == 0, "all to be gone")


def test_case_32_a_window_that_opens_by_one_byte(stand):
    """The drip: one byte at a time is progress and is served; the updates are counted like others."""
    lane = stand["in"]
    with Bounded(stand, 2 * MB), h2.H2Client(lane.port, initial={h2.INITIAL_WINDOW_SIZE: 0}) as client:
        client.send(client.headers(1))
        client.send(h2.window_update(1, 1))
        client.send(h2.window_update(1, 1))
        assert client.response(1).body == b"ok"
    lane.log()


BOMB_FIELD = b"\x40\x01x\x7f" + bytes([0x80 | (3900 - 127) & 0x7f, (3900 - 127) >> 7]) + b"y" * 3900


@pytest.mark.parametrize("field,reference,count", [
    (BOMB_FIELD, b"\xbe", 16_000), (b"\x40\x06cookie\x01a", b"\xbe", 16_000), (b"\x40\x01a\x00", b"\xbe", 16_000),
    (b"", b"\x82", 16_000), (b"", h2.literal(b"a", b""), 4_000), (b"", h2.literal(b"", b""), 4_000),
], ids=["large", "cookies", "small", "static", "literal", "nothing"])
def test_case_73_and_31_header_bombs(stand, field, reference, count):
    """A few bytes on the wire that are many when decoded: cut on the decoded size (with 32 for each field) and on the number."""
    lane = stand["in"]
    before = lane.received()
    with Bounded(stand, 4 * MB):
        for _ in range(5):
            with h2.H2Client(lane.port) as client:
                head = client.encode(h2.GET)
                client.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, head + field))
                client.send(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 3, head + reference * count))
                response = client.response(3)
                assert response.status in (None, 431), response
                if response.status is None and response.reset is None:
                    assert client.read_end(PATIENCE) != "open"
    await_true(lambda: lane.stat("downstream_rq_active") == 0, "all to be gone")
    assert not any(b"y" * 8000 in sent or sent.count(b"\r\nx: ") > 100 for sent in lane.received()[len(before):])
    lane.log()


def test_case_31_table_sizes_that_change_all_the_time(stand):
    """Within what SETTINGS allow: served, and the table never grows."""
    lane = stand["in"]
    with Bounded(stand, 2 * MB), h2.H2Client(lane.port) as client:
        for stream in range(1, 401, 2):
            size = b"\x3f\xe1\x1f" if stream % 4 == 1 else b"\x20"
            head = b"\x82\x86\x84\x41\x01a" + b"\x40\x02x%c\x01y" % (97 + stream % 26)
            client.send(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, size + head))
            assert client.response(stream).status == 200
    lane.log()


@pytest.mark.parametrize("fields", [[("x", "y" * 61 * 1024)], [(f"x{i}", "1") for i in range(101)],
                                    [("cookie", "a=%d" % i) for i in range(120)], [("x%d" % i, "y" * 1000) for i in range(62)]],
                         ids=["field", "count", "cookies", "sum"])
def test_case_31_header_lists_over_the_limit(stand, fields):
    lane = stand["in"]
    before = lane.received()
    with Bounded(stand, 2 * MB), h2.H2Client(lane.port) as client:
        block = client.encode([*h2.GET, *fields])
        pieces = [block[i:i + 16384] for i in range(0, len(block), 16384)]
        client.send(h2.frame(h2.HEADERS, h2.END_STREAM | (h2.END_HEADERS if len(pieces) == 1 else 0), 1, pieces[0]))
        for i, piece in enumerate(pieces[1:], 2):
            client.send(h2.frame(h2.CONTINUATION, h2.END_HEADERS if i == len(pieces) else 0, 1, piece))
        response = client.response(1)
        assert response.status in (None, 431), response
        if response.status is None and response.reset is None:
            assert client.read_end(PATIENCE) != "open"
    assert lane.received() == before
    lane.log()


def test_case_72_resets_that_the_server_is_made_to_send(stand):
    """MadeYouReset: the client breaks a rule of each stream in turn so that it is we who reset it. Counted all the same."""
    lane = stand["silent"]
    many = lane.stat("downstream_rq_too_many_premature_resets")
    with Bounded(stand, 4 * MB), h2.H2Client(lane.port) as client:
        for stream in range(1, 8001, 2):
            if not client.send(client.headers(stream, h2.POST, False), h2.window_update(stream, 0)):
                break
        client.read_end(2 * PATIENCE)
        assert client.ended
    assert lane.stat("downstream_rq_total") < 8000
    assert lane.stat("downstream_rq_too_many_premature_resets") >= many
    await_true(lambda: lane.stat("downstream_rq_active") == 0 and lane.stat("upstream_rq_active") == 0, "all to be gone")


@pytest.mark.parametrize("offence", ["window_overflow", "data_behind_end", "self_dependency", "too_long"])
def test_case_72_other_ways_to_make_us_reset(stand, offence):
    lane = stand["silent"]
    with Bounded(stand, 4 * MB), h2.H2Client(lane.port) as client:
        for stream in range(1, 8001, 2):
            end = offence == "data_behind_end"
            head = client.headers(stream, [*h2.POST, ("content-length", "1")] if offence == "too_long" else h2.POST, end)
            wrong = {"window_overflow": h2.window_update(stream, 0x7fffffff), "data_behind_end": h2.data(stream, b"x"),
                     "self_dependency": h2.priority(stream, stream), "too_long": h2.data(stream, b"xx")}[offence]
            if not client.send(head, wrong):
                break
        client.read_end(2 * PATIENCE)
        assert client.ended, "four thousand streams that we had to reset, and the connection goes on"
    await_true(lambda: lane.stat("downstream_rq_active") == 0 and lane.stat("upstream_rq_active") == 0, "all to be gone")


def test_case_72_more_streams_at_once_than_we_allow(stand):
    """Each of them is refused; refusals are not free of charge."""
    lane = stand["silent"]
    with Bounded(stand, 16 * MB), h2.H2Client(lane.port) as client:
        for stream in range(1, 40001, 2):
            if not client.send(client.headers(stream, h2.POST, False)):
                break
        assert lane.stat("downstream_rq_active") <= 1024
        client.ping_pong()
    await_true(lambda: lane.stat("downstream_rq_active") == 0 and lane.stat("upstream_rq_active") == 0, "all to be gone")
