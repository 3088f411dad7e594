"""Secrets through the real binary: discovery over ADS, over a service of its own and from files; warming, rotation, identity."""

import http.client
import json
import os
import ssl
import threading

import grpc
import pytest

from test.support import proxy as px
from test.support.ads import AdsServer, ads_bootstrap
from test.support.certificates import Mount
from test.support.client import get
from test.support.proxy import wait_for
from test.support.tls import (CLIENT_ID, SERVER_ID, TlsUpstream, app, ask, bootstrap, client_context, connect,  # noqa: F401
                              downstream, fetch, pki, tls_listener, TLS, upstream_tls)

ADS = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


FEW_REQUESTS_PER_CONNECTION = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "common_http_protocol_options": {"max_requests_per_connection": 20},
    "explicit_http_config": {"http_protocol_options": {}}}}


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
    dump = json.loads(proxy.admin("/config_dump?resource=dynamic_warming_secrets")[1])["configs"]
    assert {(s["name"], s["version_info"]) for s in dump} == {("default", "uninitialized"), ("ROOTCA", "uninitialized")}
    ads.set("secret", secret("default", pki.server))
    ads.set("secret", roots(pki.root))
    proxy.wait_ready()
    assert fetch(proxy.port("in"), client_context(pki, pki.client)) == "HTTP/1.1 200 OK"
    assert proxy.stat("sds.default.update_success") >= 1
    assert proxy.stat("sds.ROOTCA.update_success") >= 1


def test_a_cluster_warms_until_its_secrets_come_and_never_speaks_plain(pki, tmp_path):
    ads = AdsServer()
    with TlsUpstream(pki.server, pki.root) as upstream:
        ads.set("cluster", px.static_cluster("app", upstream.port))
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
        ads.set("listener", px.static_listener("in", px.http_filter_chain(routes)))
        with px.Proxy(px.REMORA, ads_bootstrap(ads.port), directory=str(tmp_path)) as proxy:
            secure = px.static_cluster("app", upstream.port, transport_socket=upstream_tls(by_sds(None, SERVER_ID)))
            late = px.static_cluster("late", upstream.port, transport_socket=upstream_tls(by_sds(None, SERVER_ID)))
            ads.set("cluster", secure, late)
            wait_for(lambda: proxy.stat("cluster_manager.warming_clusters") == 2, what="warming clusters")
            assert "late::" not in proxy.admin("/clusters")[1]
            ads.set("secret", secret("default", pki.client), roots(pki.root))
            wait_for(lambda: proxy.stat("cluster_manager.warming_clusters") == 0, what="warm clusters")
            wait_for(lambda: get(proxy.port("in")).status == 200, what="an answer over TLS")
            assert "late::" in proxy.admin("/clusters")[1]
    ads.stop()


def served_serial(port, context):
    with connect(port, context) as sock:
        return ssl.DER_cert_to_PEM_cert(sock.getpeercert(True))


def test_case_47_a_certificate_rotates_and_open_connections_live(mesh, pki):
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


def test_case_47_a_bad_secret_is_nacked_by_field_and_the_old_one_serves(mesh, pki):
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


def test_case_75_who_is_no_longer_trusted_is_disconnected(mesh, pki):
    ads, proxy = mesh
    ads.set("secret", secret("default", pki.server), roots(pki.root))
    proxy.wait_ready()
    context = client_context(pki, pki.client)
    with connect(proxy.port("in"), context) as old:
        assert ask(old) == "HTTP/1.1 200 OK"
        session = old.session
        ads.set("secret", roots(pki.root, pki.other))
        trusted = client_context(pki, pki.stranger)
        wait_for(lambda: fetch(proxy.port("in"), trusted) == "HTTP/1.1 200 OK", what="the second root")
        assert ask(old) == "HTTP/1.1 200 OK", "a larger bundle disturbs nobody"
        ads.set("secret", roots(pki.other))
        wait_for(lambda: ask(old) is None, 15, "the old connection ends")
    assert fetch(proxy.port("in"), client_context(pki, pki.client)) is None
    assert fetch(proxy.port("in"), context, session=session) is None, "a ticket of before opens nothing"


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
    assert proxy.stat("server.days_until_first_cert_expiring") in (9, 10), "ten days, less the moments since"
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


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_secrets_over_a_service_of_their_own_and_upstream(pki, tmp_path, unix):
    ads = AdsServer(path=str(tmp_path / "sds") if unix else None)
    ads.set("secret", secret("default", pki.client), roots(pki.root))
    source = {"api_config_source": {"api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": True,
                                    "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}]},
              "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    h2 = ads_bootstrap(ads.port)["static_resources"]["clusters"][0]
    if unix:
        h2["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = {"pipe": {"path": ads.path}}
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


def test_a_thousand_rotations_under_load_fail_no_request(pki, tmp_path):
    """Listener and cluster live on the secrets. Every other change is one of whom to trust, so that open connections are looked
    at again."""
    ads, upstream = AdsServer(), TlsUpstream(pki.server, pki.root)
    ads.set("secret", secret("default", pki.server), roots(pki.root))
    ads.set("cluster", px.static_cluster("app", upstream.port, transport_socket=upstream_tls(by_sds(None, SERVER_ID)),
                                         typed_extension_protocol_options=FEW_REQUESTS_PER_CONNECTION))
    ads.set("listener", tls_listener(downstream(by_sds(None, CLIENT_ID), require_client_certificate=True)))
    with px.Proxy(px.REMORA, ads_bootstrap(ads.port), directory=str(tmp_path)) as proxy:
        port, failed, done, stop = proxy.port("in"), [], [0, 0], threading.Event()

        def load(which, requests):
            context = client_context(pki, pki.client)
            while not stop.is_set():
                try:
                    with connect(port, context) as sock:
                        answers = [ask(sock, close=i + 1 == requests) for i in range(requests)]
                except OSError as error:
                    answers = [repr(error)]
                done[which] += len(answers)
                failed.extend(answer for answer in answers if answer != "HTTP/1.1 200 OK")

        threads = [threading.Thread(target=load, args=args) for args in ((0, 1), (1, 100))]
        for thread in threads:
            thread.start()
        try:
            for i in range(2, 1002):
                assert not failed, failed
                name, first = ("default", "ROOTCA")[i % 2], i // 2 % 2 == 0
                ads.set("secret", secret(name, pki.server if first else pki.server2) if name == "default" else
                        roots(pki.root, *([] if first else [pki.other])))
                wait_for(lambda: proxy.stat(f"sds.{name}.update_success") > i // 2, what="an update")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not failed and min(done) > 100, (failed[:3], done)
        assert len(upstream.connections) > 10 and not ads.nacks()
    ads.stop()
    upstream.close()


def test_the_control_client_itself_speaks_mutual_tls(pki, app, tmp_path):
    credentials = grpc.ssl_server_credentials([(pki.server.key.encode(), pki.server.certificate.encode())],
                                              pki.root.certificate.encode(), require_client_auth=True)
    ads = AdsServer(credentials=credentials)
    ads.set("cluster", px.static_cluster("app", app.port))
    ads.set("listener", px.static_listener("in", px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}])))
    config = ads_bootstrap(ads.port)
    config["static_resources"]["clusters"][0]["transport_socket"] = upstream_tls(
        {"tls_certificates": [pki.client.message()],
         "validation_context": {"trusted_ca": {"inline_string": pki.root.certificate},
                                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": SERVER_ID}}]}})
    with px.Proxy(px.REMORA, config, directory=str(tmp_path)) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        assert proxy.stat("cluster.xds.ssl.handshake") == 1
    ads.stop()


def test_an_upstream_that_is_no_longer_trusted_loses_its_connections(pki, tmp_path):
    ads = AdsServer()
    ads.set("secret", secret("default", pki.client), roots(pki.root))
    with TlsUpstream(pki.server) as upstream:
        ads.set("cluster", px.static_cluster("app", upstream.port, transport_socket=upstream_tls(by_sds(None, SERVER_ID))))
        ads.set("listener", px.static_listener("in", px.http_filter_chain([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}])))
        with px.Proxy(px.REMORA, ads_bootstrap(ads.port), directory=str(tmp_path)) as proxy:
            def status():
                connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=5)
                connection.request("GET", "/")
                return connection.getresponse().status

            assert (status(), status()) == (200, 200)
            assert proxy.stat("cluster.app.upstream_cx_active") == 1
            ads.set("secret", secret("default", pki.client))
            ads.set("secret", roots(pki.other))
            wait_for(lambda: proxy.stat("cluster.app.upstream_cx_active") == 0, what="the warm connection is closed")
            assert status() == 503
            assert proxy.stat("cluster.app.client_ssl_socket_factory.ssl_context_update_by_sds") >= 1
    ads.stop()
