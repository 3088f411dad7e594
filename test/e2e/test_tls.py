"""TLS through the real binary: contexts inline and by secret discovery, warming, rotation, identity, other peers."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import threading

import pytest

from test.support import proxy as px
from test.support.ads import AdsServer, ads_bootstrap
from test.support.certificates import Authority, Mount
from test.support.proxy import wait_for
from test.support.upstream import Upstream, answer_ok

TLS = "envoy.extensions.transport_sockets.tls.v3."
SERVER_ID = "spiffe://cluster.local/ns/a/sa/server"
CLIENT_ID = "spiffe://cluster.local/ns/a/sa/client"
ADS = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    class Pki:
        directory = str(tmp_path_factory.mktemp("pki"))
        root = Authority(directory)
        other = Authority(directory, "other")
        server = root.issue("server", f"URI:{SERVER_ID},DNS:server.example")
        server2 = root.issue("server", f"URI:{SERVER_ID},DNS:server.example")
        client = root.issue("client", f"URI:{CLIENT_ID}")
        stranger = other.issue("client", f"URI:{CLIENT_ID}")
    return Pki


def downstream(common, **more):
    return px.typed("tls", TLS + "DownstreamTlsContext", common_tls_context=common, **more)


def upstream_tls(common, **more):
    return px.typed("tls", TLS + "UpstreamTlsContext", common_tls_context=common, **more)


def trust(root, *uris):
    context = {"trusted_ca": {"inline_string": root.certificate}}
    if uris:
        context["match_typed_subject_alt_names"] = [{"san_type": "URI", "matcher": {"exact": u}} for u in uris]
    return context


def mutual(pki, *uris):
    return {"tls_certificates": [pki.server.message()], "validation_context": trust(pki.root, *uris)}


def tls_listener(socket_config, cluster="app", name="in", port=0, tcp=False, **chain):
    filters = px.tcp_filter_chain(cluster) if tcp else px.http_filter_chain(
        [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}])
    listener = px.static_listener(name, filters, port=port)
    listener["filter_chains"][0].update(transport_socket=socket_config, **chain)
    return listener


def client_context(pki, pair=None, alpn=None, maximum=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=pki.root.certificate)
    if pair:
        context.load_cert_chain(pair.certificate_path, pair.key_path)
    if alpn:
        context.set_alpn_protocols(alpn)
    if maximum:
        context.maximum_version = maximum
    return context


def connect(port, context, name="server.example", session=None):
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    return context.wrap_socket(raw, server_hostname=name, session=session)


def ask(sock, path="/", close=False):
    """One request over a connection: the status line, or None when the other side ended it."""
    try:
        sock.sendall(b"GET %s HTTP/1.1\r\nhost: a\r\n%s\r\n" % (path.encode(), b"connection: close\r\n" if close else b""))
        data = b""
        while b"\r\n\r\nok" not in data:
            piece = sock.recv(65536)
            if not piece:
                return data.split(b"\r\n")[0].decode() or None
            data += piece
        return data.split(b"\r\n")[0].decode()
    except OSError:
        return None


def fetch(port, context, **more):
    try:
        with connect(port, context, **more) as sock:
            return ask(sock, close=True)
    except OSError:
        return None


class TlsUpstream(Upstream):
    """A raw upstream behind TLS, which keeps what each handshake said."""

    def __init__(self, pair, root=None, script=answer_ok, alpn=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pair.certificate_path, pair.key_path)
        if root:
            self.context.load_verify_locations(cadata=root.certificate)
            self.context.verify_mode = ssl.CERT_REQUIRED
        if alpn:
            self.context.set_alpn_protocols(alpn)
        self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        self.names, self.protocols, self.peers, self.reused = [], [], [], []

        def over_tls(peer):
            peer.sock = self.context.wrap_socket(peer.sock, server_side=True)
            self.protocols.append(peer.sock.selected_alpn_protocol())
            self.reused.append(peer.sock.session_reused)
            self.peers.append(peer.sock.getpeercert())
            script(peer)

        super().__init__(over_tls)


def bootstrap(listeners, clusters, secrets=()):
    return {"static_resources": {"listeners": listeners, "clusters": clusters, "secrets": list(secrets)}}


# ------------------------------------------------------------------ inline
@pytest.fixture
def app():
    with Upstream() as upstream:
        yield upstream


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
        assert stats[name + "fail_verify_no_cert"] == 1
        assert stats[name + "fail_verify_error"] == 1
        assert stats[name + "fail_verify_san"] == 1


def test_plain_text_to_a_tls_port_is_refused_and_counted(pki, app):
    listener = tls_listener(downstream({"tls_certificates": [pki.server.message()]}))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port("in")), timeout=5) as sock:
            assert ask(sock) is None or True
        wait_for(lambda: proxy.stat("listener.127.0.0.1_0.ssl.connection_error") == 1, what="connection_error")
        assert not app.received()


def test_a_tls_client_to_a_plain_port_is_not_parsed_as_http(pki, app):
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


def test_an_upstream_is_verified_and_told_what_we_speak(pki):
    with TlsUpstream(pki.server, pki.root, alpn=["http/1.1", "h2"]) as upstream:
        common = {"tls_certificates": [pki.client.message()], "validation_context": trust(pki.root, SERVER_ID)}
        cluster = px.static_cluster("app", upstream.port, transport_socket=upstream_tls(common, sni="server.example"))
        wrong = px.static_cluster("wrong", upstream.port, transport_socket=upstream_tls(
            {"validation_context": trust(pki.root, CLIENT_ID), "tls_certificates": [pki.client.message()]}))
        routes = [{"match": {"prefix": "/wrong"}, "route": {"cluster": "wrong"}},
                  {"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
        listener = px.static_listener("in", px.http_filter_chain(routes))
        with px.Proxy(px.REMORA, bootstrap([listener], [cluster, wrong])) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"ok"
            assert upstream.names == ["server.example"]
            assert upstream.protocols == ["http/1.1"]
            assert ("URI", CLIENT_ID) in upstream.peers[0]["subjectAltName"]
            connection.request("GET", "/wrong")
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == 503
            assert body.startswith("upstream connect error or disconnect/reset before headers. reset reason: remote "
                                   "connection failure, transport failure reason: TLS_error:"), body
            assert proxy.stat("cluster.wrong.ssl.fail_verify_san") == 1
            assert proxy.stat("cluster.wrong.upstream_cx_connect_fail") == 1


def test_an_upstream_that_answers_plain_text_is_an_error(pki):
    def plain(peer):
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        peer.wait_for_close()

    with Upstream(plain) as upstream:
        cluster = px.static_cluster("app", upstream.port, transport_socket=upstream_tls({"validation_context": trust(pki.root)}))
        listener = px.static_listener("in", px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]))
        with px.Proxy(px.REMORA, bootstrap([listener], [cluster])) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
            connection.request("GET", "/")
            response = connection.getresponse()
            assert (response.status, b"TLS_error:" in response.read()) == (503, True)
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
        listener = px.static_listener("in", px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]))
        with px.Proxy(px.REMORA, bootstrap([listener], [cluster])) as proxy:
            def status(host):
                connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
                connection.request("GET", "/", headers={"Host": host})
                return connection.getresponse().status

            assert status("server.example:8080") == 200
            assert status("evil.example") == 503
            assert status("server.example") == 200
            assert upstream.names == ["server.example", "evil.example"], "the first connection served both"


# ------------------------------------------------------------------ discovery
def sds(name, source=None):
    return {"name": name, "sds_config": source or ADS}


def by_sds(source=None, *uris):
    rules = {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": u}} for u in uris]}
    return {"tls_certificate_sds_secret_configs": [sds("default", source)],
            "combined_validation_context": {"default_validation_context": rules,
                                            "validation_context_sds_secret_config": sds("ROOTCA", source)}}


def secret(name, pair):
    return {"name": name, "tls_certificate": pair.message()}


def roots(*authorities, name="ROOTCA"):
    return {"name": name, "validation_context": {"trusted_ca": {"inline_string": "".join(a.certificate for a in authorities)}}}


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def mesh(request, pki, app, tmp_path):
    ads = AdsServer()
    ads.set("cluster", px.static_cluster("app", app.port))
    ads.set("listener", tls_listener(downstream(by_sds(None, CLIENT_ID), require_client_certificate=True)))
    proxy = px.Proxy(px.REMORA, ads_bootstrap(ads.port, delta=request.param), directory=str(tmp_path), wait_ready=False)
    yield ads, proxy
    proxy.stop()
    ads.stop()


def test_a_listener_warms_until_its_secrets_come(mesh, pki):
    ads, proxy = mesh
    wait_for(lambda: proxy.stat("listener_manager.total_listeners_warming") == 1, what="a warming listener")
    assert proxy.listeners() == {}
    ads.set("secret", secret("default", pki.server))
    ads.set("secret", roots(pki.root))
    proxy.wait_ready()
    assert fetch(proxy.port("in"), client_context(pki, pki.client)) == "HTTP/1.1 200 OK"
    assert proxy.stat("sds.default.update_success") == 1
    assert proxy.stat("sds.ROOTCA.update_success") == 1


def served_serial(port, context):
    with connect(port, context) as sock:
        return ssl.DER_cert_to_PEM_cert(sock.getpeercert(True))


def test_a_certificate_rotates_and_open_connections_live(mesh, pki):
    ads, proxy = mesh
    ads.set("secret", secret("default", pki.server), roots(pki.root))
    proxy.wait_ready()
    context = client_context(pki, pki.client)
    with connect(proxy.port("in"), context) as old:
        assert ask(old) == "HTTP/1.1 200 OK"
        ads.set("secret", secret("default", pki.server2))
        expected = ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pki.server2.certificate))
        wait_for(lambda: served_serial(proxy.port("in"), client_context(pki, pki.client)) == expected, what="the new certificate")
        assert ask(old) == "HTTP/1.1 200 OK"
    assert not ads.nacks()


def test_a_bad_secret_is_nacked_by_field_and_the_old_one_serves(mesh, pki):
    ads, proxy = mesh
    ads.set("secret", secret("default", pki.server), roots(pki.root))
    proxy.wait_ready()
    mismatched = {"name": "default", "tls_certificate": {**pki.server.message(), "private_key": {"inline_string": pki.client.key}}}
    ads.set("secret", mismatched)
    nack = ads.wait_nack("secret", "private_key")[0]
    assert "default" in nack and "BEGIN" not in nack
    ads.set("secret", {"name": "ROOTCA", "validation_context": {"trusted_ca": {"inline_string": "rubbish"}}})
    ads.wait_nack("secret", "trusted_ca")
    assert fetch(proxy.port("in"), client_context(pki, pki.client)) == "HTTP/1.1 200 OK"
    assert proxy.stat("sds.default.update_rejected") >= 1


def test_who_is_no_longer_trusted_is_disconnected(mesh, pki):
    ads, proxy = mesh
    ads.set("secret", secret("default", pki.server), roots(pki.root))
    proxy.wait_ready()
    context = client_context(pki, pki.client)
    with connect(proxy.port("in"), context) as old:
        assert ask(old) == "HTTP/1.1 200 OK"
        ads.set("secret", roots(pki.root, pki.other))
        trusted = client_context(pki, pki.stranger)
        wait_for(lambda: fetch(proxy.port("in"), trusted) == "HTTP/1.1 200 OK", what="the second root")
        assert ask(old) == "HTTP/1.1 200 OK", "a larger bundle disturbs nobody"
        ads.set("secret", roots(pki.other))
        wait_for(lambda: ask(old) is None, 15, "the old connection ends")
    assert fetch(proxy.port("in"), client_context(pki, pki.client)) is None


def test_keys_are_in_no_dump(mesh, pki):
    ads, proxy = mesh
    ads.set("secret", secret("default", pki.server), roots(pki.root))
    proxy.wait_ready()
    inline = tls_listener(downstream({"tls_certificates": [pki.server2.message()]}), name="second")
    ads.set("listener", inline)
    wait_for(lambda: "second" in proxy.listeners(), what="the second listener")
    dump = proxy.admin("/config_dump")[1]
    assert "PRIVATE KEY" not in dump and "[redacted]" in dump
    names = {s["name"] for c in json.loads(dump)["configs"] if c["@type"].endswith("SecretsConfigDump")
             for s in c["dynamic_active_secrets"]}
    assert names == {"default", "ROOTCA"}
    certificates = json.loads(proxy.admin("/certs")[1])["certificates"]
    assert any(d.get("subject_alt_names", [{}])[0].get("uri") == SERVER_ID or {"uri": SERVER_ID} in d["subject_alt_names"]
               for c in certificates for d in c.get("cert_chain", []))
    assert proxy.stat("server.days_until_first_cert_expiring") == 9
    assert "PRIVATE KEY" not in proxy.output()


def test_without_secrets_in_time_connections_are_refused(pki, app, tmp_path):
    ads = AdsServer()
    ads.set("cluster", px.static_cluster("app", app.port))
    soon = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0.2s"}
    ads.set("listener", tls_listener(downstream(by_sds(soon), require_client_certificate=True)))
    with px.Proxy(px.REMORA, ads_bootstrap(ads.port), directory=str(tmp_path)) as proxy:
        assert fetch(proxy.port("in"), client_context(pki, pki.client)) is None
        assert proxy.stat("listener.127.0.0.1_0.server_ssl_socket_factory.downstream_context_secrets_not_ready") == 1
        ads.set("secret", secret("default", pki.server), roots(pki.root))
        wait_for(lambda: fetch(proxy.port("in"), client_context(pki, pki.client)) == "HTTP/1.1 200 OK", what="secrets after all")
    ads.stop()


def test_secrets_over_a_service_of_their_own_and_upstream(pki, tmp_path):
    ads = AdsServer()
    ads.set("secret", secret("default", pki.client), roots(pki.root))
    source = {"api_config_source": {"api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": True,
                                    "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}]},
              "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    h2 = ads_bootstrap(ads.port)["static_resources"]["clusters"][0]
    with TlsUpstream(pki.server, pki.root) as upstream:
        cluster = px.static_cluster("app", upstream.port, transport_socket=upstream_tls(by_sds(source, SERVER_ID)))
        listener = px.static_listener("in", px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]))
        with px.Proxy(px.REMORA, bootstrap([listener], [cluster, {**h2, "name": "sds-grpc"}]), directory=str(tmp_path)) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"ok"
            assert ads.stream_count == 2, "a stream for each secret"
    ads.stop()


def file_source(directory, name, fields):
    path = os.path.join(directory, name + "-sds.json")
    with open(path, "w") as f:
        json.dump({"resources": [{"@type": "type.googleapis.com/" + TLS + "Secret", "name": name, **fields}]}, f)
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def test_files_are_read_again_when_their_directory_is_replaced(pki, app, tmp_path):
    mount = Mount(str(tmp_path / "mount"))
    mount.write(tls_crt=pki.server.certificate, tls_key=pki.server.key, ca_crt=pki.root.certificate)
    watched = {"watched_directory": {"path": mount.directory}}
    own = file_source(str(tmp_path), "default", {"tls_certificate": {
        "certificate_chain": {"filename": mount.path("tls.crt")}, "private_key": {"filename": mount.path("tls.key")}, **watched}})
    ca = file_source(str(tmp_path), "ROOTCA", {"validation_context": {"trusted_ca": {"filename": mount.path("ca.crt")}, **watched}})
    common = {"tls_certificate_sds_secret_configs": [sds("default", own)], "validation_context_sds_secret_config": sds("ROOTCA", ca)}
    listener = tls_listener(downstream(common, require_client_certificate=True))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)]), directory=str(tmp_path)) as proxy:
        context = client_context(pki, pki.client)
        assert fetch(proxy.port("in"), context) == "HTTP/1.1 200 OK"
        mount.write(tls_crt=pki.server2.certificate, tls_key=pki.client.key, ca_crt=pki.root.certificate)
        wait_for(lambda: proxy.stat("sds.default.key_rotation_failed") >= 1, what="a mismatched pair noticed")
        assert fetch(proxy.port("in"), context) == "HTTP/1.1 200 OK"
        mount.write(tls_crt=pki.server2.certificate, tls_key=pki.server2.key, ca_crt=pki.other.certificate)
        expected = ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pki.server2.certificate))
        wait_for(lambda: fetch(proxy.port("in"), client_context(pki, pki.stranger)) == "HTTP/1.1 200 OK", what="the other root")
        assert served_serial(proxy.port("in"), client_context(pki, pki.stranger)) == expected
        assert fetch(proxy.port("in"), context) is None


def test_static_secrets_and_unknown_ones(pki, app, tmp_path):
    common = {"tls_certificate_sds_secret_configs": [{"name": "own"}], "validation_context_sds_secret_config": {"name": "ca"}}
    listener = tls_listener(downstream(common, require_client_certificate=True))
    secrets = [secret("own", pki.server), roots(pki.root, name="ca")]
    clusters = [px.static_cluster("app", app.port)]
    with px.Proxy(px.REMORA, bootstrap([listener], clusters, secrets), directory=str(tmp_path)) as proxy:
        assert fetch(proxy.port("in"), client_context(pki, pki.client)) == "HTTP/1.1 200 OK"
    proxy = px.Proxy(px.REMORA, bootstrap([listener], clusters, secrets[:1]), wait_ready=False)
    assert proxy.wait_exit() != 0
    assert "Unknown static secret: ca" in proxy.output()
    proxy.stop()


def test_rotation_under_load_fails_no_request(pki, app, tmp_path):
    ads = AdsServer()
    ads.set("secret", secret("default", pki.server), roots(pki.root))
    ads.set("cluster", px.static_cluster("app", app.port))
    ads.set("listener", tls_listener(downstream(by_sds(None, CLIENT_ID), require_client_certificate=True)))
    with px.Proxy(px.REMORA, ads_bootstrap(ads.port), directory=str(tmp_path)) as proxy:
        port, failed, done, stop = proxy.port("in"), [], [0], threading.Event()

        def load():
            while not stop.is_set():
                answer = fetch(port, client_context(pki, pki.client))
                done[0] += 1
                if answer != "HTTP/1.1 200 OK":
                    failed.append(answer)

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        for i in range(50):
            ads.set("secret", secret("default", (pki.server2, pki.server)[i % 2]))
            wait_for(lambda: proxy.stat("sds.default.update_success") >= i + 2, what="an update")
        stop.set()
        for thread in threads:
            thread.join()
        assert not failed and done[0] > 0
    ads.stop()


# ------------------------------------------------------------------ other peers
def test_curl_and_openssl(pki, app):
    listener = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        port = proxy.port("in")
        files = ["--cert", pki.client.certificate_path, "--key", pki.client.key_path]
        done = subprocess.run(["curl", "-sS", "--cacert", pki.root.certificate_path, *files, "--resolve",
                               f"server.example:{port}:127.0.0.1", f"https://server.example:{port}/",
                               f"https://server.example:{port}/again"], capture_output=True, timeout=20)
        assert done.stdout == b"okok", done.stderr
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-cert", pki.client.certificate_path,
                               "-key", pki.client.key_path, "-CAfile", pki.root.certificate_path, "-reconnect", "-tls1_2"],
                              input=b"", capture_output=True, timeout=20)
        assert b"Verify return code: 0 (ok)" in done.stdout
        assert done.stdout.count(b"Reused, TLSv1.2") == 5
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-legacy_renegotiation", "-tls1_2",
                               "-cert", pki.client.certificate_path, "-key", pki.client.key_path],
                              input=b"R\n", capture_output=True, timeout=20)
        assert b"RENEGOTIATING" in done.stdout
        assert b"read:errno=0" in done.stderr or b"error" in done.stderr.lower()


@pytest.mark.skipif(not px.ENVOY, reason="ENVOY_BIN is not set")
@pytest.mark.parametrize("tcp", [False, True], ids=["http", "tcp"])
@pytest.mark.parametrize("remora_first", [False, True], ids=["envoy-to-remora", "remora-to-envoy"])
def test_mutual_tls_with_envoy_on_the_other_side(pki, app, tcp, remora_first):
    binaries = (px.REMORA, px.ENVOY) if remora_first else (px.ENVOY, px.REMORA)
    inner = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True), tcp=tcp)
    with px.Proxy(binaries[1], bootstrap([inner], [px.static_cluster("app", app.port)])) as server:
        common = {"tls_certificates": [pki.client.message()], "validation_context": trust(pki.root, SERVER_ID)}
        cluster = px.static_cluster("app", server.port("in"), transport_socket=upstream_tls(common, sni="server.example"))
        filters = px.tcp_filter_chain("app") if tcp else px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}])
        with px.Proxy(binaries[0], bootstrap([px.static_listener("in", filters)], [cluster])) as client:
            for _ in range(5):
                connection = http.client.HTTPConnection("127.0.0.1", client.port("in"), timeout=5)
                connection.request("POST", "/", body=b"x" * 300_000)
                assert connection.getresponse().read() == b"ok"
                connection.close()
            assert server.stats("ssl.handshake")[f"listener.127.0.0.1_0.ssl.handshake"] >= 1
