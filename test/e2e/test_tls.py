"""TLS through the real binary: contexts with everything inline, and their peers."""

import http.client
import socket
import ssl
import subprocess

import pytest

from test.support import proxy as px
from test.support.client import get
from test.support.proxy import wait_for
from test.support.tls import (CLIENT_ID, SERVER_ID, TlsUpstream, app, ask, bootstrap, client_context, connect,  # noqa: F401
                              downstream, fetch, mutual, pki, tls_listener, trust, upstream_tls)
from test.support.upstream import Upstream, answer_with


def test_mutual_tls_serves_who_proves_the_right_name(pki, app):
    listener = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        port = proxy.port("in")
        assert fetch(port, client_context(pki, pki.client)) == "HTTP/1.1 200 OK"
        assert fetch(port, client_context(pki)) is None
        assert fetch(port, client_context(pki, pki.stranger)) is None
        assert fetch(port, client_context(pki, pki.server)) is None, "another identity of the same root"
        name = f"listener.127.0.0.1_0.ssl."
        stats = proxy.stats("ssl")
        assert stats[name + "handshake"] >= 1
        assert stats[name + "certificate.unnamed_cert_e3b0c442.expiration_unix_time_seconds"] > 0
        assert stats[name + "fail_verify_no_cert"] == 1
        assert stats[name + "fail_verify_error"] == 1
        assert stats[name + "fail_verify_san"] == 1


def test_case_46_plain_text_to_a_tls_port_is_refused_and_counted(pki, app):
    listener = tls_listener(downstream({"tls_certificates": [pki.server.message()]}))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port("in")), timeout=5) as sock:
            assert ask(sock) is None or True
        wait_for(lambda: proxy.stat("listener.127.0.0.1_0.ssl.connection_error") == 1, what="connection_error")
        assert not app.received()


def test_case_46_a_tls_client_to_a_plain_port_is_not_parsed_as_http(pki, app):
    filters = px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}])
    with px.Proxy(px.REMORA, bootstrap([px.static_listener("in", filters)], [px.static_cluster("app", app.port)])) as proxy:
        assert fetch(proxy.port("in"), client_context(pki)) is None
        assert not app.received()


def test_alpn_and_versions_are_negotiated(pki, app):
    common = {"tls_certificates": [pki.server.message()], "alpn_protocols": ["h2", "http/1.1"],
              "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}}
    with px.Proxy(px.REMORA, bootstrap([tls_listener(downstream(common))], [px.static_cluster("app", app.port)])) as proxy:
        with connect(proxy.port("in"), client_context(pki, alpn=["http/1.1"])) as sock:
            assert (sock.selected_alpn_protocol(), sock.version()) == ("http/1.1", "TLSv1.3")
        with connect(proxy.port("in"), client_context(pki, maximum=ssl.TLSVersion.TLSv1_2)) as sock:
            assert sock.version() == "TLSv1.2"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(pki, app, version):
    listener = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        context = client_context(pki, pki.client, maximum=version)
        with connect(proxy.port("in"), context) as first:
            assert ask(first) == "HTTP/1.1 200 OK"
            session = first.session
        with connect(proxy.port("in"), context, session=session) as second:
            assert second.session_reused
            assert ask(second) == "HTTP/1.1 200 OK"
        assert proxy.stat("listener.127.0.0.1_0.ssl.session_reused") == 1


REASON = "%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n"


def test_an_upstream_is_verified_and_told_what_we_speak(pki, tmp_path):
    with TlsUpstream(pki.server, pki.root, alpn=["http/1.1", "h2"]) as upstream:
        common = {"tls_certificates": [pki.client.message()], "validation_context": trust(pki.root, SERVER_ID)}
        cluster = px.static_cluster("app", upstream.port, transport_socket=upstream_tls(common, sni="server.example"))
        wrong = px.static_cluster("wrong", upstream.port, transport_socket=upstream_tls(
            {"validation_context": trust(pki.root, CLIENT_ID), "tls_certificates": [pki.client.message()]}))
        routes = [{"match": {"prefix": "/wrong"}, "route": {"cluster": "wrong"}},
                  {"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
        log = tmp_path / "log"
        listener = px.static_listener("in", px.http_filter_chain(routes, access_log=px.file_access_log(str(log), REASON)))
        with px.Proxy(px.REMORA, bootstrap([listener], [cluster, wrong]), args=["--file-flush-interval-msec", "20"]) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"ok"
            assert upstream.names == ["server.example"]
            assert upstream.protocols == ["http/1.1"]
            assert ("URI", CLIENT_ID) in upstream.peers[0]["subjectAltName"]
            connection.request("GET", "/wrong")
            response = connection.getresponse()
            # As Envoy 1.40, the body keeps the transport's reason to itself; the log has it.
            assert response.read() == b"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
            assert response.status == 503
            wait_for(lambda: "503 UF TLS_error:" in log.read_text(), what="the reason in the log")
            assert proxy.stat("cluster.wrong.ssl.fail_verify_san") == 1
            assert proxy.stat("cluster.wrong.upstream_cx_connect_fail") == 1


def test_case_76_an_upstream_that_answers_plain_text_is_an_error(pki):
    def plain(peer):
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        peer.wait_for_close()

    with Upstream(plain) as upstream:
        cluster = px.static_cluster("app", upstream.port, transport_socket=upstream_tls({"validation_context": trust(pki.root)}))
        listener = px.static_listener("in", px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]))
        with px.Proxy(px.REMORA, bootstrap([listener], [cluster])) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
            connection.request("GET", "/")
            assert connection.getresponse().status == 503
            assert proxy.stat("cluster.app.ssl.connection_error") == 1


def test_each_endpoint_is_reached_as_its_metadata_says(pki, app):
    with TlsUpstream(pki.server, pki.root) as secure:
        common = {"tls_certificates": [pki.client.message()], "validation_context": trust(pki.root, SERVER_ID)}
        cluster = px.static_cluster("app", app.port, secure.port)
        cluster["transport_socket_matches"] = [
            {"name": "tls", "match": {"tlsMode": "istio"}, "transport_socket": upstream_tls(common)},
            {"name": "plain", "match": {}, "transport_socket": px.typed(
                "raw", "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")},
        ]
        endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoints[1]["metadata"] = {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}}
        listener = px.static_listener("in", px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]))
        with px.Proxy(px.REMORA, bootstrap([listener], [cluster])) as proxy:
            for _ in range(4):
                connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
                connection.request("GET", "/")
                assert connection.getresponse().status == 200
            assert app.received() and secure.received()


def test_the_request_names_the_server(pki):
    with TlsUpstream(pki.server) as upstream:
        cluster = px.static_cluster("app", upstream.port,
                                    transport_socket=upstream_tls({"validation_context": trust(pki.root)}))
        cluster["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "upstream_http_protocol_options": {"auto_sni": True, "auto_san_validation": True},
            "explicit_http_config": {"http_protocol_options": {}}}}
        listener = px.static_listener("in", px.http_filter_chain([
            {"match": {"prefix": "/renamed"}, "route": {"cluster": "app", "host_rewrite_literal": "server.example"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "app"}}]))
        with px.Proxy(px.REMORA, bootstrap([listener], [cluster])) as proxy:
            def status(host, path="/"):
                connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
                connection.request("GET", path, headers={"Host": host})
                return connection.getresponse().status

            assert status("server.example:8080") == 200
            assert status("evil.example") == 503
            assert status("server.example") == 200
            assert status("evil.example", "/renamed") == 200, "as the route says, which Envoy does, too"
            assert upstream.names == ["server.example", "evil.example"], "the first connection served both"


def test_the_host_names_itself(pki):
    with TlsUpstream(pki.server) as upstream:
        cluster = px.static_cluster("app", upstream.port, transport_socket=upstream_tls(
            {"validation_context": trust(pki.root)}, sni="other.example", auto_host_sni=True, auto_sni_san_validation=True))
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["hostname"] = "server.example"
        listener = px.static_listener("in", px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]))
        with px.Proxy(px.REMORA, bootstrap([listener], [cluster])) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            assert upstream.names == ["server.example"]


def test_mutual_tls_over_unix_sockets(pki, app, tmp_path):
    path = str(tmp_path / "tls")
    inner = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True), name="inner")
    inner["address"] = {"pipe": {"path": path}}
    common = {"tls_certificates": [pki.client.message()], "validation_context": trust(pki.root, SERVER_ID)}
    cluster = px.static_cluster("inner", 0, transport_socket=upstream_tls(common))
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = {"pipe": {"path": path}}
    outer = px.static_listener("in", px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "inner"}}]))
    with px.Proxy(px.REMORA, bootstrap([inner, outer], [cluster, px.static_cluster("app", app.port)])) as proxy:
        assert get(proxy.port("in")).status == 200
        assert proxy.stat("cluster.inner.ssl.handshake") == 1


def test_a_large_answer_fills_its_records(pki):
    size = 1 << 20
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size)
    with Upstream(answer_with(answer)) as upstream:
        listener = tls_listener(downstream({"tls_certificates": [pki.server.message()]}))
        with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", upstream.port)])) as proxy:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = client_context(pki).wrap_bio(incoming, outgoing, server_hostname="server.example")
            wire, clear = b"", 0
            with socket.create_connection(("127.0.0.1", proxy.port("in")), timeout=5) as sock:
                def until_done(step):
                    nonlocal wire
                    while True:
                        try:
                            return step()
                        except ssl.SSLWantReadError:
                            sock.sendall(outgoing.read())
                            wire += (data := sock.recv(65536))
                            incoming.write(data)

                until_done(tls.do_handshake)
                tls.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                while clear < len(answer):
                    clear += len(until_done(lambda: tls.read(65536)))
    records = []
    while wire:
        length = int.from_bytes(wire[3:5], "big")
        records.append(length)
        wire = wire[5 + length:]
    full = sum(length > 16000 for length in records)
    assert full > 0.8 * size / 16384, records


def test_a_permissive_port_takes_mutual_tls_and_plain_text(pki, app):
    filters = px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}])
    listener = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True),
                            filter_chain_match={"transport_protocol": "tls"})
    listener["filter_chains"].append({"filters": filters, "filter_chain_match": {"transport_protocol": "raw_buffer"}})
    listener["listener_filters"] = [px.typed("inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")]
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        port = proxy.port("in")
        assert fetch(port, client_context(pki, pki.client)) == "HTTP/1.1 200 OK"
        assert fetch(port, client_context(pki)) is None
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            assert ask(plain) == "HTTP/1.1 200 OK"


def test_case_43_no_renegotiation_no_old_versions_no_compression(pki, app):
    listener = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        def s_client(said, *more):
            return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port('in')}", "-cert",
                                   pki.client.certificate_path, "-key", pki.client.key_path, *more],
                                  input=said, capture_output=True, timeout=20)

        assert b"no renegotiation" in s_client(b"R\n", "-legacy_renegotiation", "-tls1_2").stderr
        for version in ("-tls1", "-tls1_1"):
            done = s_client(b"", version, "-cipher", "ALL:@SECLEVEL=0")
            assert b"alert protocol version" in done.stderr, version
        for version in ("-tls1_2", "-tls1_3"):
            assert b"Compression: NONE" in s_client(b"", version, "-comp").stdout, version
        assert proxy.stat("listener.127.0.0.1_0.ssl.handshake") == 3
