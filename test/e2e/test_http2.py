"""HTTP/2 clients that others wrote, through the real binary: curl, nghttp and h2load, in clear text and over TLS."""

import os
import re
import subprocess

import pytest

from test.support import proxy as px
from test.support.proxy import wait_for
from test.support.tls import downstream, pki  # noqa: F401
from test.support.upstream import Upstream

LOG = "%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT%\n"
BODY = bytes(i * 7 % 251 for i in range(3_000_000))


def serve(peer):
    """Echoes what was posted; GET /big answers much."""
    while True:
        head, body = peer.read_request()
        if head.startswith(b"GET /big"):
            body = BODY
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nx-head: %s\r\n\r\n" % (len(body), head.split(b"\r\n")[0]) + body)


@pytest.fixture(scope="module")
def app():
    upstream = Upstream(serve)
    yield upstream
    upstream.close()


class Server:
    """A proxy with one HTTP listener."""

    def __init__(self, app, directory, chain=None, **more):
        self.log = os.path.join(directory, "access.log")
        filters = px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}],
                                       access_log=px.file_access_log(self.log, LOG), **more)
        listener = px.static_listener("in", filters)
        listener["filter_chains"][0].update(chain or {})
        self.proxy = px.Proxy(px.REMORA, px.static_bootstrap([listener], [px.static_cluster("app", app.port)]),
                              args=["--file-flush-interval-msec", "20"], directory=directory)
        self.port = self.proxy.port("in")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.proxy.stop()

    def logged(self, count):
        def lines():
            try:
                with open(self.log) as f:
                    found = f.read().splitlines()
            except FileNotFoundError:
                return None
            return found if len(found) >= count else None
        return wait_for(lines, what=f"{count} lines of log")


@pytest.fixture
def server(app, tmp_path):
    with Server(app, str(tmp_path)) as one:
        yield one


def curl(*args, data=None):
    return subprocess.run(["curl", "-sS", "--max-time", "20", *args], input=data, capture_output=True, check=True).stdout


def test_curl_by_prior_knowledge(server):
    url = f"http://127.0.0.1:{server.port}"
    head = curl("--http2-prior-knowledge", "-i", url + "/x?y=1").decode()
    assert head.startswith("HTTP/2 200"), head
    assert "x-head: GET /x?y=1 HTTP/1.1" in head
    assert "server: envoy" in head
    assert "connection" not in head
    assert curl("--http2-prior-knowledge", url + "/big") == BODY
    assert curl("--http2-prior-knowledge", "--data-binary", "@-", url + "/echo", data=BODY) == BODY
    assert server.logged(3) == [
        "HTTP/2 200 - via_upstream 0 0",
        f"HTTP/2 200 - via_upstream 0 {len(BODY)}",
        f"HTTP/2 200 - via_upstream {len(BODY)} {len(BODY)}",
    ]
    stats = server.proxy.stats("http.ingress.downstream")
    assert stats["http.ingress.downstream_cx_http2_total"] == 3
    assert stats["http.ingress.downstream_rq_http2_total"] == 3
    assert stats["http.ingress.downstream_rq_rx_reset"] == 0
    wait_for(lambda: server.proxy.stat("http.ingress.downstream_cx_http2_active") == 0, what="connections gone")


def test_both_versions_on_one_port(server):
    url = f"http://127.0.0.1:{server.port}/"
    assert curl("--http1.1", "-i", url).startswith(b"HTTP/1.1 200")
    assert curl("--http2-prior-knowledge", "-i", url).startswith(b"HTTP/2 200")
    # The offer to upgrade in clear text is not taken (RFC 9113 has retired it).
    assert curl("--http2", "-i", url).startswith(b"HTTP/1.1 200")


def test_alpn_chooses(app, pki, tmp_path):
    chain = {"transport_socket": downstream({"tls_certificates": [pki.server.message()],
                                             "alpn_protocols": ["h2", "http/1.1"]})}
    with Server(app, str(tmp_path), chain) as server:
        url = f"https://127.0.0.1:{server.port}/big"
        assert curl("-k", "--http2", url) == BODY
        assert curl("-k", "--http2", "-i", "-I", url).startswith(b"HTTP/2 200")
        assert curl("-k", "--http1.1", "-i", "-I", url).startswith(b"HTTP/1.1 200")
        assert server.proxy.stat("http.ingress.downstream_cx_http2_total") == 2
        assert server.proxy.stat("http.ingress.downstream_cx_http1_total") == 1


def test_codec_type_http2_speaks_nothing_else(app, tmp_path):
    with Server(app, str(tmp_path), codec_type="HTTP2") as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert curl("--http2-prior-knowledge", "-i", url).startswith(b"HTTP/2 200")
        refused = subprocess.run(["curl", "-sS", "--http1.1", "--max-time", "10", url], capture_output=True)
        assert refused.returncode != 0
        wait_for(lambda: server.proxy.stat("http.ingress.downstream_cx_protocol_error") == 1, what="protocol error")


def test_nghttp_multiplexes(server):
    urls = [f"http://127.0.0.1:{server.port}/big?{i}" for i in range(8)]
    out = subprocess.run(["nghttp", "-n", "-s", *urls], capture_output=True, text=True, check=True, timeout=30).stdout
    assert len(re.findall(r" 200 +2M ", out)) == 8, out
    assert server.proxy.stat("http.ingress.downstream_cx_http2_total") == 1


def test_h2load_loses_nothing(server):
    out = subprocess.run(["h2load", "-n", "5000", "-c", "10", "-m", "20", f"http://127.0.0.1:{server.port}/x"],
                         capture_output=True, text=True, check=True, timeout=60).stdout
    assert "5000 succeeded, 0 failed, 0 errored" in out, out
    assert server.proxy.stat("http.ingress.downstream_rq_2xx") == 5000
    assert server.proxy.stat("http.ingress.downstream_rq_active") == 0
