"""Where a proxy listens and connects: IPv4, IPv6, Unix sockets, the abstract ones too; several workers on one port."""

import os
import socket
import stat
import threading

import pytest

from test.support import proxy as px
from test.support.client import Client, get
from test.support.upstream import Upstream, answer_ok

ROUTES = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def listener(address):
    return {"name": "in", "address": address, "filter_chains": [{"filters": px.http_filter_chain(ROUTES)}]}


def cluster(address):
    return {"name": "app", "type": "STATIC", "connect_timeout": "1s", "load_assignment": {
        "cluster_name": "app", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}}


def unix_exchange(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(path)
        sock.sendall(REQUEST)
        return sock.recv(4096)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("bound,compat,clients", [
    ("::1", False, ["::1"]),
    ("::", True, ["::1", "127.0.0.1"]),
])
def test_ipv6(tmp_path, bound, compat, clients):
    with Upstream(answer_ok) as upstream:
        address = {"socket_address": {"address": bound, "port_value": 0, "ipv4_compat": compat}}
        config = px.static_bootstrap([listener(address)], [px.static_cluster("app", upstream.port)])
        with px.Proxy(px.REMORA, config, directory=str(tmp_path)) as proxy:
            for host in clients:
                assert get(proxy.port("in"), host=host).status == 200


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_an_upstream_over_ipv6(tmp_path):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        def serve():
            sock, _ = server.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nv6")

        threading.Thread(target=serve, daemon=True).start()
        address = {"socket_address": {"address": "::1", "port_value": server.getsockname()[1]}}
        config = px.static_bootstrap(
            [listener({"socket_address": {"address": "127.0.0.1", "port_value": 0}})], [cluster(address)])
        with px.Proxy(px.REMORA, config, directory=str(tmp_path)) as proxy:
            assert get(proxy.port("in")).body == b"v6"


def test_unix_socket_with_its_mode(tmp_path):
    path = str(tmp_path / "in.sock")
    with Upstream(answer_ok) as upstream:
        config = px.static_bootstrap(
            [listener({"pipe": {"path": path, "mode": 0o600}})], [px.static_cluster("app", upstream.port)])
        with px.Proxy(px.REMORA, config, args=["--concurrency", "2"], directory=str(tmp_path)):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            for _ in range(8):
                assert unix_exchange(path).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_unix_socket_left_behind_is_replaced(tmp_path):
    path = str(tmp_path / "in.sock")
    with Upstream(answer_ok) as upstream:
        config = px.static_bootstrap([listener({"pipe": {"path": path}})], [px.static_cluster("app", upstream.port)])
        for _ in range(2):
            proxy = px.Proxy(px.REMORA, config, directory=str(tmp_path))
            assert unix_exchange(path).startswith(b"HTTP/1.1 200 OK\r\n")
            proxy.process.kill()
            proxy.process.wait()
            proxy.log.close()


def test_abstract_unix_socket(tmp_path):
    name = f"@remora-test-{os.getpid()}-{os.path.basename(str(tmp_path))}"
    with Upstream(answer_ok) as upstream:
        config = px.static_bootstrap([listener({"pipe": {"path": name}})], [px.static_cluster("app", upstream.port)])
        with px.Proxy(px.REMORA, config, directory=str(tmp_path)):
            assert unix_exchange("\0" + name[1:]).startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_upstream_over_a_unix_socket(tmp_path):
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve():
            sock, _ = server.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nunix")

        threading.Thread(target=serve, daemon=True).start()
        config = px.static_bootstrap(
            [listener({"socket_address": {"address": "127.0.0.1", "port_value": 0}})], [cluster({"pipe": {"path": path}})])
        with px.Proxy(px.REMORA, config, directory=str(tmp_path)) as proxy:
            assert get(proxy.port("in")).body == b"unix"


def test_every_worker_serves_and_what_they_count_is_added_up(tmp_path):
    with Upstream(answer_ok) as upstream:
        config = px.static_bootstrap(
            [listener({"socket_address": {"address": "127.0.0.1", "port_value": 0}})],
            [px.static_cluster("app", upstream.port)])
        with px.Proxy(px.REMORA, config, args=["--concurrency", "4"], directory=str(tmp_path)) as proxy:
            port = proxy.port("in")
            clients = [Client(port) for _ in range(64)]
            for client in clients:
                client.send(REQUEST)
            for client in clients:
                assert client.read_answer().status == 200
            assert proxy.stat("listener.127.0.0.1_0.downstream_cx_active") == 64
            by_worker = proxy.stats(r"^listener.127.0.0.1_0.worker_\d.downstream_cx_active$")
            assert len(by_worker) == 4 and sum(by_worker.values()) == 64
            assert sum(1 for count in by_worker.values() if count > 0) > 1, "the kernel spreads connections"
            px.wait_for(lambda: proxy.stat("http.ingress.downstream_rq_completed") == 64, what="all are counted")
            for client in clients:
                client.close()


def test_an_address_in_use_is_refused_with_its_name(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": taken.getsockname()[1]}}
        config = px.static_bootstrap([listener(address)], [px.static_cluster("app", 1)])
        proxy = px.Proxy(px.REMORA, config, directory=str(tmp_path), wait_ready=False)
        try:
            assert proxy.wait_exit(10) != 0
            assert f"127.0.0.1:{taken.getsockname()[1]}" in proxy.output()
        finally:
            proxy.stop()


def test_connections_come_from_where_the_cluster_says(tmp_path):
    def tell_peer(peer):
        while True:
            peer.read_request()
            body = peer.sock.getpeername()[0].encode()
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    with Upstream(tell_peer) as upstream:
        made = px.static_cluster("app", upstream.port, upstream_bind_config={
            "source_address": {"address": "127.0.0.6", "port_value": 0}})
        with px.Proxy(px.REMORA, px.static_bootstrap([px.static_listener("in", px.http_filter_chain(ROUTES))], [made]),
                      directory=str(tmp_path)) as proxy:
            assert get(proxy.port("in")).body == b"127.0.0.6"
