"""gRPC's own interop client and server (Go), and Debian's Python gRPC, through one sidecar and through pairs."""

import concurrent.futures
import contextlib
import os
import socket
import subprocess
import threading
import time

import pytest

from test.support import proxy as px
from test.support.tls import CLIENT_ID, SERVER_ID, downstream, pki, trust, upstream_tls  # noqa: F401

grpc = pytest.importorskip("grpc")

PEERS = os.path.dirname(px.ENVOY) if px.ENVOY else ""
GO_CLIENT, GO_SERVER = (os.path.join(PEERS, f"grpc_interop_{side}") for side in ("client", "server"))
GO_CASES = ["empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
            "cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server", "status_code_and_message",
            "special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service"]
HTTP2 = {"typed_extension_protocol_options": {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}}}}}
ROUTES = [{"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}]


def sidecar(port, inbound_tls=None, outbound_tls=None):
    """Carries gRPC to `port`."""
    filters = px.http_filter_chain(ROUTES, http_filters=[
        px.typed("stats", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", stats_for_all_methods=True)])
    listener = px.static_listener("in", filters)
    if inbound_tls:
        listener["filter_chains"][0]["transport_socket"] = inbound_tls
    cluster = px.static_cluster("app", port, **HTTP2, **({"transport_socket": outbound_tls} if outbound_tls else {}))
    return px.Proxy(px.REMORA, px.static_bootstrap([listener], [cluster]))


def identity(pki, pair, peer):
    return {"tls_certificates": [pair.message()], "validation_context": trust(pki.root, peer), "alpn_protocols": ["h2"]}


@contextlib.contextmanager
def through(way, port, pki):
    """The port to call for what listens on `port`."""
    with contextlib.ExitStack() as stack:
        encrypted = way == "pair with TLS"
        inner_tls = downstream(identity(pki, pki.server, CLIENT_ID)) if encrypted else None
        inner = stack.enter_context(sidecar(port, inbound_tls=inner_tls))
        proxies = [inner]
        if way != "one":
            outer_tls = upstream_tls(identity(pki, pki.client, SERVER_ID)) if encrypted else None
            proxies.append(stack.enter_context(sidecar(inner.port("in"), outbound_tls=outer_tls)))
        yield proxies[-1].port("in")
        for proxy in proxies:
            assert proxy.alive(), proxy.output()


WAYS = ["one", "pair", "pair with TLS"]

# ---------------------------------------------------------------------------------------------------------------------
# Go


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def go_server():
    if not (os.access(GO_CLIENT, os.X_OK) and os.access(GO_SERVER, os.X_OK)):
        pytest.skip("gRPC's interop programs are not there")
    port = free_port()
    process = subprocess.Popen([GO_SERVER, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    px.wait_for(lambda: accepts(port), what="interop server")
    yield port
    process.kill()
    process.wait()


@pytest.mark.parametrize("way", WAYS)
def test_interop_client_and_server(go_server, pki, way):
    def run(port, case):
        command = [GO_CLIENT, "--server_host", "127.0.0.1", "--server_port", str(port), "--test_case", case]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    with through(way, go_server, pki) as port, concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = {case: pool.submit(run, port, case) for case in GO_CASES}
        failed = {case: done.result().stderr for case, done in running.items() if done.result().returncode != 0}
    assert not failed


# ---------------------------------------------------------------------------------------------------------------------
# Python


class Service(grpc.GenericRpcHandler):
    """Bytes in and out; what a method does is its name."""

    def __init__(self):
        self.cancelled = threading.Event()

    def service(self, call):
        name = call.method.rsplit("/", 1)[1]
        if call.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01")  # SERVING
        return {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Sleep": grpc.unary_unary_rpc_method_handler(self.sleep),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Join": grpc.stream_unary_rpc_method_handler(lambda requests, context: b",".join(requests)),
            "Chat": grpc.stream_stream_rpc_method_handler(lambda requests, context: (b"re " + r for r in requests)),
        }.get(name)

    def echo(self, request, context):
        context.set_trailing_metadata([("seen", str(dict(context.invocation_metadata()).get("x-key")))])
        if request == b"fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no: \t\u00e9 100%")
        return request

    def sleep(self, request, context):
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(10)
        return b""

    def count(self, request, context):
        for i in range(int(request)):
            yield b"%d" % i


@pytest.fixture(scope="module")
def python_server():
    service = Service()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), [service])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, service
    server.stop(None)


@pytest.mark.parametrize("way", WAYS)
def test_python_client_and_server(python_server, pki, way):
    server_port, service = python_server
    with through(way, server_port, pki) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10) == b"\x08\x01"

        echo = channel.unary_unary("/t.S/Echo")
        answer, call = echo.with_call(b"x" * 300_000, metadata=[("x-key", "v")], timeout=10)
        assert (answer, dict(call.trailing_metadata())["seen"]) == (b"x" * 300_000, "v")
        with pytest.raises(grpc.RpcError) as error:
            echo(b"fail", timeout=10)
        assert (error.value.code(), error.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "no: \t\u00e9 100%")
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/t.S/None")(b"", timeout=10)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED

        assert list(channel.unary_stream("/t.S/Count")(b"1000", timeout=10)) == [b"%d" % i for i in range(1000)]
        assert channel.stream_unary("/t.S/Join")(iter([b"a", b"b", b"c"]), timeout=10) == b"a,b,c"
        assert list(channel.stream_stream("/t.S/Chat")(iter([b"a", b"b"]), timeout=10)) == [b"re a", b"re b"]

        service.cancelled.clear()
        started = time.monotonic()
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/t.S/Sleep")(b"", timeout=0.3)
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - started < 5
        assert service.cancelled.wait(5), "the server hears that nobody waits any more"

        service.cancelled.clear()
        call = channel.unary_unary("/t.S/Sleep").future(b"", timeout=10)
        call.cancel()
        with pytest.raises(grpc.FutureCancelledError):
            call.result()
