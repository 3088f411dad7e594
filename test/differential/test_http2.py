"""HTTP/2 clients: Envoy and Remora must answer, forward and log alike."""

import re

import pytest

from test.differential.exchange import VOLATILE, Side, drop_differences, normal_bytes, results_of
from test.differential.h2_exchanges import ALL
from test.support.h2_client import H2Client

PROTOCOL_ERROR = 1


class H2Side(Side):
    def run(self, exchange):
        with H2Client(self.ports[exchange.name]) as client:
            streams = exchange.act(client)
            answers = [normal_answer(client.answers[s]) for s in streams]
            refused = client.goaways[-1][1] if client.goaways else None
        result = {"answers": answers, "goaway": refused, "log": self._log_lines(exchange, exchange.logs)}
        if exchange.upstream:
            result["forwarded"] = self.forwarded(exchange)
        return result

    def forwarded(self, exchange):
        received = [normal_bytes(c) for c in self.upstreams[exchange.name].received()]
        return sorted(in_one_piece(c) for c in received if c)


def in_one_piece(request):
    """Where a body is cut into chunks is nobody's business."""
    head, _, body = request.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return request
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size, 16)
        if count == 0:
            break
        whole, body = whole + body[:count], body[count + 2:]
    return head + b"\r\n\r\n" + whole + b"|" + body


def normal_answer(answer):
    headers = [(k, VOLATILE.get(k, v)) for k, v in answer.headers]
    body = re.sub(rb"127\.0\.0\.1:\d+", b"<address>", answer.body)
    if body != answer.body or b"upstream connect error" in body:
        headers = [(k, "<length>" if k == "content-length" else v) for k, v in headers]
    headers = [(k, re.sub(r"127\.0\.0\.1%3A\d+|127\.0\.0\.1:\d+", "<address>", v)) for k, v in headers]
    return {"informational": answer.informational, "headers": headers, "body": body, "trailers": answer.trailers,
            "reset": answer.reset}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    with results_of(H2Side, ALL, tmp_path_factory) as seen:
        yield seen


@pytest.mark.parametrize("exchange", ALL, ids=lambda e: e.name)
def test_same_as_envoy(results, exchange):
    theirs, ours = results[exchange.name]
    # Remora says why it ends a connection (RFC 9113 section 5.4.1); Envoy just closes it.
    said = (theirs.pop("goaway"), ours.pop("goaway"))
    assert said in ((None, None), (None, PROTOCOL_ERROR)) or said[0] == said[1]
    if exchange.stricter:
        assert not ours["forwarded"], f"{exchange.stricter}: {ours}"
        assert ours != theirs, "no longer a difference"
        return
    drop_differences(exchange, theirs, ours)
    assert ours == theirs
