"""HTTP/2 from client to application, and gRPC over it: single messages, and streams of them."""

import threading
import time
from concurrent import futures

import grpc

from tools.bench import contenders, measure
from tools.bench.application import GRPC_MESSAGE, STREAM_MESSAGES
from tools.bench.load import Done, H2load, Unserved

AS_GRPC = (("content-type", "application/grpc"), ("te", "trailers"))
STREAMS, IN_FLIGHT = 16, 32


class Http2(measure.LoadCase):
    peers = ("envoy", "haproxy")

    def __init__(self, name, title, load):
        self.name, self.title, self._load = name, title, load

    def load(self, bench):
        return self._load

    def application(self, bench):
        return bench.app.http2

    def start(self, bench, stack, name, under=None):
        port = self.application(bench)
        if name == "haproxy":
            return contenders.haproxy(stack, port, http2=True)
        return contenders.by_bootstrap(stack, name, contenders.http_bootstrap(port, cluster=contenders.HTTP2), under=under)

    def check(self, bench, contender):
        # The load looks at every status; a gRPC client looks at the trailer too.
        with grpc.insecure_channel(f"127.0.0.1:{contender.port}") as channel:
            call = channel.unary_unary("/bench.Echo/Unary", request_serializer=None, response_deserializer=None)
            if call(GRPC_MESSAGE[5:], timeout=10) != GRPC_MESSAGE[5:]:
                raise Unserved(contender.name)

    def direct(self, bench):
        return self.application(bench)


class EchoStreams:
    """Streams in both directions on which every message comes back, a few at a time under way on each."""

    def _stream(self, channel, until, allowance, done):
        """`until(sent)` says whether enough has been sent."""
        room = threading.Semaphore(allowance)
        sent = received = 0

        def messages():
            nonlocal sent
            while not until(sent):
                room.acquire()
                sent += 1
                yield GRPC_MESSAGE[5:]

        call = channel.stream_stream("/bench.Echo/Stream", request_serializer=None, response_deserializer=None)
        for message in call(messages(), timeout=120):
            received += len(message) == 1024
            room.release()
        if received != sent:
            raise Unserved(f"{received} of {sent} messages came back")
        done.append(received)

    def _go(self, port, streams, until):
        done, began = [], time.monotonic()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, futures.ThreadPoolExecutor(streams) as pool:
            for ended in [pool.submit(self._stream, channel, until, IN_FLIGHT, done) for _ in range(streams)]:
                ended.result()
        return Done(sum(done), time.monotonic() - began)

    def run(self, port, seconds):
        end = time.monotonic() + seconds
        return self._go(port, STREAMS, lambda sent: time.monotonic() > end)

    def count(self, port, requests):
        return self._go(port, 4, lambda sent: sent >= requests // 4)


class FromServer(Http2):
    """Few long answers, of which each message is counted."""

    paced = False
    traced_requests, counted_requests = 400, 200

    def __init__(self):
        super().__init__("grpc_stream", f"gRPC, {STREAM_MESSAGES} messages of 1 KiB from the server on each stream, per message",
                         H2load(4, 4, "/bench.Echo/Stream", GRPC_MESSAGE, AS_GRPC))

    def run(self, bench):
        result = super().run(bench)
        for found in result.figures.values():
            found["cpu_us"] = [cost / STREAM_MESSAGES for cost in found["cpu_us"]]
            found["rate"] = [rate * STREAM_MESSAGES for rate in found["rate"]]
            found["system_calls"] /= STREAM_MESSAGES
        result.figures["remora"]["instructions"] /= STREAM_MESSAGES
        return result


class Echo(Http2):
    paced = False

    def __init__(self):
        super().__init__("grpc_echo", f"gRPC streams both ways, {STREAMS} at once, per message of 1 KiB that comes back",
                         EchoStreams())

    def run(self, bench):
        def echo(messages, context):
            yield from messages

        server = grpc.server(futures.ThreadPoolExecutor(4 * STREAMS))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {
            "Stream": grpc.stream_stream_rpc_method_handler(echo),
            "Unary": grpc.unary_unary_rpc_method_handler(lambda message, context: message)}),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            return super().run(bench)
        finally:
            server.stop(0).wait()

    def application(self, bench):
        return self.port


CASES = [
    Http2("http2", "HTTP/2 to HTTP/2, 16 connections of 16 streams, 1 KiB", H2load(16, 16)),
    Http2("grpc_unary", "gRPC, one message each way, 16 connections of 16 streams, 1 KiB",
          H2load(16, 16, "/bench.Echo/Unary", GRPC_MESSAGE, AS_GRPC)),
    FromServer(),
    Echo(),
]
