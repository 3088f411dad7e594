"""Exchanges with HTTP/2 on both sides: what upstreams do in h2_upstream_exchanges, seen by an HTTP/2 client, and what only such
a pair can do."""

from test.differential import h2_upstream_exchanges as up
from test.differential.h2_exchanges import H2Exchange, ask, in_turn, side_by_side
from test.support.h2_client import head
from test.support.h2_upstream import answer_ok

GET, HEAD = head("GET", "/p?q=1"), head("HEAD", "/")
GRPC = head("POST", "/pkg.Service/Method", ("content-type", "application/grpc"), ("te", "trailers"))
MESSAGE = b"\0\0\0\0\5hello"
PLAIN = up.http2_cluster()


def again(exchange):
    """The same upstream for an HTTP/2 client."""
    return H2Exchange(exchange.name, ask(GET if exchange.steps == [up.GET] else HEAD), script=exchange.script, hcm=exchange.hcm,
                      route=exchange.route, cluster=exchange.cluster, upstream=exchange.upstream, differs=exchange.differs,
                      logs=1 if exchange.logs is None else exchange.logs)


def own(name, act, script=answer_ok, **more):
    return H2Exchange(name, act, script=script, cluster=PLAIN, **more)


def grpc_answer(peer):
    while True:
        request = peer.read_request()
        peer.answer(request, body=request.body, fields=[("content-type", "application/grpc")], trailers=[("grpc-status", "0")])


def trailers_only(peer):
    while True:
        peer.answer(peer.read_request(), body=b"", fields=[("content-type", "application/grpc"), ("grpc-status", "5"),
                                                           ("grpc-message", "none%20such")])


def echo_streaming(peer):
    """Answers begin before the request has ended, and go on as it does."""
    request = peer.read_head()
    peer.headers(request.stream, [(":status", "200"), ("content-type", "application/grpc")])
    sent = 0
    while sent < len(request.body) or not request.ended:
        peer.wait(lambda: request.ended or len(request.body) > sent)
        piece = request.body[sent:]
        if piece:
            peer.data(request.stream, piece)
        sent += len(piece)
    peer.trailers(request.stream, [("grpc-status", "0")])
    peer.wait_for_close()


def chat(client):
    stream = client.request(GRPC, end=False)
    for i in range(1, 4):
        client.data(stream, MESSAGE, end=i == 3)
        client.wait(lambda: len(client.answers[stream].body) >= i * len(MESSAGE))
    client.answer(stream)
    return [stream]


def half_closed_at_once(client):
    """END_STREAM in a frame of its own, which gRPC servers tell from one on the head."""
    stream = client.request(GRPC, end=False)
    client.data(stream, b"", end=True)
    client.answer(stream)
    return [stream]


ALIKE = [again(e) for e in up.ALL if e.steps in ([up.GET], [up.HEAD])]
OWN = [
    own("three_in_turn", in_turn((GET, {}), (HEAD, {}), (head("POST", "/p"), {"body": b"x"})), logs=3),
    own("twenty_side_by_side", side_by_side(20), logs=20),
    own("post", ask(head("POST", "/p", ("content-length", "5")), body=b"hello")),
    own("post_trailers", ask(head("POST", "/p"), body=b"abc", trailers=[("x-sum", "7")])),
    own("request_trailers_alone", ask(head("POST", "/p"), trailers=[("x-sum", "7")])),
    own("cookies", ask(head("GET", "/", ("cookie", "a=1"), ("cookie", "b=2")))),
    own("te_trailers", ask(head("GET", "/", ("te", "trailers")))),
    own("scheme_https", ask(head("GET", "/", scheme="https"))),
    own("grpc_unary", ask(GRPC, body=MESSAGE), script=grpc_answer),
    own("grpc_trailers_only", ask(GRPC, body=MESSAGE), script=trailers_only),
    own("grpc_retried", ask(GRPC, body=MESSAGE), script=trailers_only,
               route={"retry_policy": {"retry_on": "unavailable", "num_retries": 2}}),
    own("grpc_chat", chat, script=echo_streaming),
    own("grpc_half_closed", half_closed_at_once, script=grpc_answer),
    own("grpc_no_upstream", ask(GRPC), upstream=False),  # with a body it would be chance how much of it came in time
]

ALL = ALIKE + OWN
