"""Mutual TLS with other implementations on the other side, both ways, HTTP/1.1 and TCP, with sessions resumed and without:
openssl s_client and s_server, curl, Envoy."""

import http.client
import re
import subprocess
import threading
import time

import pytest

from test.support import proxy as px
from test.support.client import Client, get
from test.support.proxy import wait_for
from test.support.tls import (CLIENT_ID, SERVER_ID, app, bootstrap, downstream, mutual, pki, tls_listener, trust,  # noqa: F401
                              upstream_tls)
from test.support.upstream import Upstream, answer_with

KINDS = pytest.mark.parametrize("tcp", [False, True], ids=["http", "tcp"])
RESUMED = pytest.mark.parametrize("resumed", [False, True], ids=["full", "resumed"])
VERSIONS = pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
TO_APP = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
IN = "listener.127.0.0.1_0.ssl."
ONE_REQUEST_PER_CONNECTION = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "common_http_protocol_options": {"max_requests_per_connection": 1},
    "explicit_http_config": {"http_protocol_options": {}}}}


def server(pki, app, tcp=False, binary=None, sessions=True):
    config = downstream(mutual(pki, CLIENT_ID), require_client_certificate=True,
                        disable_stateless_session_resumption=not sessions, disable_stateful_session_resumption=not sessions)
    return px.Proxy(binary or px.REMORA, bootstrap([tls_listener(config, tcp=tcp)], [px.static_cluster("app", app.port)]))


def client(pki, port, tcp=False, binary=None, sessions=True):
    """A proxy whose cluster speaks mutual TLS to `port`; each request goes over a connection of its own."""
    common = {"tls_certificates": [pki.client.message()], "validation_context": trust(pki.root, SERVER_ID)}
    more = {} if sessions else {"max_session_keys": 0}
    cluster = px.static_cluster("app", port, transport_socket=upstream_tls(common, sni="server.example", **more),
                                typed_extension_protocol_options=ONE_REQUEST_PER_CONNECTION)
    filters = px.tcp_filter_chain("app") if tcp else px.http_filter_chain(TO_APP)
    return px.Proxy(binary or px.REMORA, bootstrap([px.static_listener("in", filters)], [cluster]))


def files(pair):
    return ["-cert", pair.certificate_path, "-key", pair.key_path]


# --- they call us ---


def s_client(pki, port, *more):
    """One request; what came back, and what s_client said of the session."""
    process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *files(pki.client), "-CAfile",
                                pki.root.certificate_path, "-verify_return_error", "-ign_eof", *more],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(REQUEST, timeout=20)
    assert process.returncode == 0, err
    return out


@pytest.fixture
def closing_app():
    with Upstream(answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", then_close=True)) as upstream:
        yield upstream


@KINDS
@VERSIONS
def test_openssl_as_client(pki, closing_app, tcp, version, tmp_path):
    session = str(tmp_path / "session")
    with server(pki, closing_app, tcp) as proxy:
        first = s_client(pki, proxy.port("in"), version, "-sess_out", session)
        assert b"New, TLSv1" in first and b"HTTP/1.1 200 OK" in first and b"Verify return code: 0 (ok)" in first
        second = s_client(pki, proxy.port("in"), version, "-sess_in", session)
        assert b"Reused, TLSv1" in second and b"HTTP/1.1 200 OK" in second
        stats = proxy.stats("ssl")
        assert (stats[IN + "handshake"], stats[IN + "session_reused"]) == (2, 1)


def test_openssl_as_client_of_a_server_without_sessions(pki, app, tmp_path):
    with server(pki, app, sessions=False) as proxy:
        for version in ("-tls1_2", "-tls1_3"):
            assert b"New, TLSv1" in s_client(pki, proxy.port("in"), version, "-sess_out", str(tmp_path / "session"))
            assert not (tmp_path / "session").exists()


def handshake(port, *more):
    """What s_client said of a handshake alone, and whether it succeeded."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *more], input=b"", capture_output=True,
                          timeout=20)
    return done.returncode == 0, done.stdout


def test_openssl_as_client_of_few_abilities(pki, app):
    config = {"tls_certificates": [pki.server.message(), pki.root.issue("server", f"URI:{SERVER_ID}", rsa=True).message()],
              "tls_params": {"cipher_suites": ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"],
                             "ecdh_curves": ["P-384"]}}
    with px.Proxy(px.REMORA, bootstrap([tls_listener(downstream(config))], [px.static_cluster("app", app.port)])) as proxy:
        def tls12(*more):
            return handshake(proxy.port("in"), "-tls1_2", *more)

        assert b"Cipher is ECDHE-ECDSA-AES128-GCM-SHA256" in tls12()[1]
        served, said = tls12("-sigalgs", "RSA-PSS+SHA256:RSA+SHA256")
        assert served and b"Cipher is ECDHE-RSA-AES256-GCM-SHA384" in said, "RSA for those who know no ECDSA"
        assert not tls12("-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")[0]
        assert not tls12("-groups", "X25519")[0]
        assert handshake(proxy.port("in"), "-tls1_3", "-groups", "X25519:P-384")[0]


def test_openssl_is_shown_the_staple(pki, app, tmp_path):
    pair = pki.root.issue("stapled", f"URI:{SERVER_ID}", between=("20250101", "20450101"))
    config = {"tls_certificates": [{**pair.message(), "ocsp_staple": {"filename": pki.root.staple(pair)}}]}
    listener = tls_listener(downstream(config, ocsp_staple_policy="MUST_STAPLE"))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        for version in ("-tls1_2", "-tls1_3"):
            assert b"OCSP Response Status: successful" in handshake(proxy.port("in"), version, "-status")[1]
        assert proxy.stat(IN + "ocsp_staple_responses") == 2


@RESUMED
def test_curl(pki, app, resumed):
    with server(pki, app) as proxy:
        port = proxy.port("in")
        done = subprocess.run(["curl", "-sS", "--cacert", pki.root.certificate_path, "--cert", pki.client.certificate_path,
                               "--key", pki.client.key_path, "-H", "connection: close", "--resolve",
                               f"server.example:{port}:127.0.0.1", f"https://server.example:{port}/",
                               f"https://server.example:{port}/again", *([] if resumed else ["--no-sessionid"])],
                              capture_output=True, timeout=20)
        assert done.stdout == b"okok", done.stderr
        assert proxy.stat(IN + "handshake") == 2
        assert proxy.stat(IN + "session_reused") == (1 if resumed else 0)


# --- we call them ---


class SServer:
    """`openssl s_server` that wants a certificate: -www tells of the session over HTTP, -rev sends lines back reversed."""

    def __init__(self, pki, version, *mode):
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", *files(pki.server), "-CAfile", pki.root.certificate_path,
             "-Verify", "2", "-verify_return_error", version, *mode],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output, self.port = b"", 0
        threading.Thread(target=self._read, daemon=True).start()
        self.port = wait_for(self._accepting, what="s_server")

    def _read(self):
        for line in self.process.stdout:
            self.output += line

    def _accepting(self):
        found = re.search(rb"ACCEPT [^\n]*:(\d+)\n", self.output)
        return int(found.group(1)) if found else 0

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()


@VERSIONS
@RESUMED
def test_openssl_as_server_of_http(pki, version, resumed):
    with SServer(pki, version, "-www") as peer, client(pki, peer.port, sessions=resumed) as proxy:
        pages = [get(proxy.port("in")).body for _ in range(3)]
        said = [b"Reused" if b"Reused, TLSv1" in page else b"New" if b"New, TLSv1" in page else page for page in pages]
        assert said == [b"New"] + [b"Reused" if resumed else b"New"] * 2
        assert CLIENT_ID.encode() in pages[0]
        assert proxy.stat("cluster.app.ssl.session_reused") == (2 if resumed else 0)


@VERSIONS
@RESUMED
def test_openssl_as_server_of_tcp(pki, version, resumed):
    with SServer(pki, version, "-rev") as peer, client(pki, peer.port, tcp=True, sessions=resumed) as proxy:
        for _ in range(3):
            with Client(proxy.port("in")) as sock:
                sock.send(b"stressed\n")
                assert sock._until(b"\n", time.monotonic() + 5) == b"desserts"
        assert proxy.stat("cluster.app.ssl.handshake") == 3
        assert proxy.stat("cluster.app.ssl.session_reused") == (2 if resumed else 0)


# --- Envoy ---


@pytest.mark.skipif(not px.ENVOY, reason="ENVOY_BIN is not set")
@KINDS
@RESUMED
@pytest.mark.parametrize("remora_first", [False, True], ids=["envoy-to-remora", "remora-to-envoy"])
def test_envoy(pki, app, tcp, resumed, remora_first):
    front, back = (px.REMORA, px.ENVOY) if remora_first else (px.ENVOY, px.REMORA)
    with server(pki, app, tcp, back) as inner, client(pki, inner.port("in"), tcp, front, resumed) as outer:
        for _ in range(5):
            connection = http.client.HTTPConnection("127.0.0.1", outer.port("in"), timeout=5)
            connection.request("POST", "/", body=b"x" * 300_000)
            assert connection.getresponse().read() == b"ok"
            connection.close()
        for stats in (inner.stats("ssl"), {k.replace("cluster.app.ssl.", IN): v for k, v in outer.stats("ssl").items()}):
            assert stats[IN + "handshake"] == 5
            assert stats[IN + "session_reused"] == (4 if resumed else 0)
