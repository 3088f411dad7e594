"""Attacks on TLS and identity that must fail, by the numbers of the list of attacks. Cases 43 and 76 are in test_tls, 47 in
test_secrets, 44, 45 and 74 in test_listener_filters where the inspectors are meant, 48 in test_authorization too."""

import ssl
import time

import pytest

from test.support import hello
from test.support import proxy as px
from test.support.ads import AdsServer, ads_bootstrap
from test.support.certificates import Authority, chained
from test.support.client import Client, get
from test.support.proxy import wait_for
from test.support.tls import (CLIENT_ID, SERVER_ID, TlsUpstream, app, ask, bootstrap, client_context, connect,  # noqa: F401
                              downstream, fetch, mutual, pki, tls_listener, trust, upstream_tls)

IN = "listener.127.0.0.1_0.ssl."
WHY = ("fail_verify_no_cert", "fail_verify_error", "fail_verify_san", "fail_verify_cert_hash")
TO_APP = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
INSPECTOR = px.typed("inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")


def counted(proxy, prefix):
    stats = proxy.stats("fail_verify")
    return {name: stats[prefix + name] for name in WHY}


# --- 40: certificates that prove nothing ---


@pytest.fixture(scope="module")
def bad(pki):
    """Name -> a certificate with the right name that must not be believed; and the list of what was revoked."""
    uri = f"URI:{CLIENT_ID},DNS:server.example"
    middle = Authority(pki.directory, pair=pki.root.issue("middle", uri, constraints="CA:TRUE,pathlen:0"))
    lower = Authority(pki.directory, pair=middle.issue("lower", uri, constraints="CA:TRUE"))
    leaf = Authority(pki.directory, pair=pki.root.issue("leaf", uri))
    revoked = pki.root.issue("revoked", uri)
    return {
        "expired": pki.root.issue("expired", uri, between=("20200101", "20210101")),
        "not yet valid": pki.root.issue("future", uri, between=("20400101", "20410101")),
        "self-signed": Authority(pki.directory, "own", san=uri),
        "of another authority": pki.stranger,
        "for something else": pki.root.issue("email", uri, usage="emailProtection"),
        "of a leaf": chained(leaf.issue("below", uri), leaf),
        "below the path length": chained(lower.issue("deep", uri), lower, middle),
        "revoked": revoked,
    }, pki.root.revoke(revoked) + middle.revoke() + lower.revoke() + leaf.revoke()


def test_case_40_clients_that_prove_nothing(pki, app, bad):
    pairs, revoked = bad
    common = mutual(pki, CLIENT_ID)
    common["validation_context"]["crl"] = {"inline_string": revoked}
    listener = tls_listener(downstream(common, require_client_certificate=True))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        expected = dict.fromkeys(WHY, 0)
        for name, pair in [("none at all", None), *pairs.items()]:
            assert fetch(proxy.port("in"), client_context(pki, pair)) is None, name
            expected["fail_verify_error" if pair else "fail_verify_no_cert"] += 1
            assert counted(proxy, IN) == expected, name
        assert app.received() == []
        assert fetch(proxy.port("in"), client_context(pki, pki.client)) == "HTTP/1.1 200 OK"


def test_case_40_servers_that_prove_nothing(pki, bad, tmp_path):
    pairs, revoked = bad
    log = tmp_path / "log"
    rules = {**trust(pki.root, CLIENT_ID), "crl": {"inline_string": revoked}}
    servers = {name: TlsUpstream(pair) for name, pair in [*pairs.items(), ("good", pki.client)]}
    clusters = [px.static_cluster(name, server.port, transport_socket=upstream_tls({"validation_context": rules}))
                for name, server in servers.items()]
    routes = [{"match": {"prefix": "/" + name.replace(" ", "-")}, "route": {"cluster": name}} for name in servers]
    access_log = px.file_access_log(str(log), "%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n")
    listener = px.static_listener("in", px.http_filter_chain(routes, access_log=access_log))
    with px.Proxy(px.REMORA, bootstrap([listener], clusters), args=["--file-flush-interval-msec", "20"]) as proxy:
        for name, server in servers.items():
            answer = get(proxy.port("in"), "/" + name.replace(" ", "-"))
            if name == "good":
                assert answer.status == 200
                continue
            assert answer.status == 503, name
            assert counted(proxy, f"cluster.{name}.ssl.") == {**dict.fromkeys(WHY, 0), "fail_verify_error": 1}, name
            assert not any(server.received()), name
        lines = wait_for(lambda: log.exists() and log.read_text().count("\n") == len(servers) and log.read_text(), what="the log")
        for reason in ("expired", "not_yet_valid", "revoked", "path_length", "self-signed"):
            assert reason in lines
    for server in servers.values():
        server.close()


# --- 41: names that only look right ---

TRICKS = {
    "in a DNS name": (f"DNS:{CLIENT_ID}", None),
    "in the common name": ("DNS:a.example", "/CN=" + CLIENT_ID.replace("/", "\\/")),
    "with a suffix": (f"URI:{CLIENT_ID}.evil", None),
    "with a slash behind": (f"URI:{CLIENT_ID}/", None),
    "cut short": (f"URI:{CLIENT_ID[:-1]}", None),
    "of a longer domain": (f"URI:{CLIENT_ID.replace('cluster.local', 'cluster.local.evil')}", None),
    "in capitals": (f"URI:{CLIENT_ID.upper()}", None),
    "behind something": (f"URI:https://evil/?{CLIENT_ID}", None),
}


def test_case_41_names_that_only_look_right(pki, app):
    listener = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        for count, (name, (san, subject)) in enumerate(TRICKS.items(), 1):
            pair = pki.root.issue("trick", san, subject=subject)
            assert fetch(proxy.port("in"), client_context(pki, pair)) is None, name
            assert counted(proxy, IN)["fail_verify_san"] == count, name
        assert app.received() == []


def test_case_41_spiffe_ids(pki, app):
    """The trust domain picks the bundle; an identity is one URI of it."""
    validator = px.typed("envoy.tls.cert_validator.spiffe", "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
                         trust_domains=[{"name": "cluster.local", "trust_bundle": {"inline_string": pki.root.certificate}},
                                        {"name": "other", "trust_bundle": {"inline_string": pki.other.certificate}}])
    common = {"tls_certificates": [pki.server.message()], "validation_context": {"custom_validator_config": validator}}
    listener = tls_listener(downstream(common, require_client_certificate=True))
    refused = {
        "two": f"URI:{CLIENT_ID},URI:{SERVER_ID}",
        "of the other domain": "URI:spiffe://other/ns/a",
        "of an unknown domain": "URI:spiffe://cluster.local.evil/ns/a",
        "without a path": "URI:spiffe://cluster.local",
        "none": "DNS:cluster.local",
        "no SPIFFE ID": "URI:https://cluster.local/ns/a",
    }
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        assert fetch(proxy.port("in"), client_context(pki, pki.client)) == "HTTP/1.1 200 OK"
        for name, san in refused.items():
            assert fetch(proxy.port("in"), client_context(pki, pki.root.issue("svid", san))) is None, name
        assert sum(counted(proxy, IN).values()) == len(refused)


# --- 42, 75: tickets ---

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
def test_case_42_a_ticket_is_judged_by_the_rules_of_today(pki, app, tmp_path, version):
    def listener(*uris):
        return tls_listener(downstream(mutual(pki, *uris), require_client_certificate=True))

    ads = AdsServer()
    ads.set("cluster", px.static_cluster("app", app.port))
    ads.set("listener", listener(CLIENT_ID))
    with px.Proxy(px.REMORA, ads_bootstrap(ads.port), directory=str(tmp_path)) as proxy:
        context = client_context(pki, pki.client, maximum=version)

        def update(*uris):
            before = proxy.stat("listener_manager.lds.update_success")
            ads.set("listener", listener(*uris))
            wait_for(lambda: proxy.stat("listener_manager.lds.update_success") > before, what="the update")

        def resumed(session=None):
            with connect(proxy.port("in"), context, session=session) as sock:
                assert ask(sock, close=True) == "HTTP/1.1 200 OK"
                return sock.session_reused, sock.session

        session = resumed()[1]
        assert resumed(session)[0]
        update(CLIENT_ID, SERVER_ID)
        assert not resumed(session)[0], "other rules: a full handshake"
        update(SERVER_ID)
        assert fetch(proxy.port("in"), context, session=session) is None
        assert proxy.stat(IN + "fail_verify_san") >= 1
    ads.stop()


@VERSIONS
def test_case_75_a_ticket_of_another_filter_chain_is_none(pki, app, version):
    strict = tls_listener(downstream(mutual(pki, SERVER_ID), require_client_certificate=True))["filter_chains"][0]
    alike = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True), name="x")["filter_chains"][0]
    listener = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True),
                            filter_chain_match={"server_names": ["server.example"]})
    listener["filter_chains"] += [{**strict, "filter_chain_match": {"server_names": ["strict.example"]}},
                                  {**alike, "filter_chain_match": {"server_names": ["alike.example"]}}]
    listener["listener_filters"] = [INSPECTOR]
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        context = client_context(pki, pki.client, maximum=version)
        with connect(proxy.port("in"), context) as first:
            assert ask(first, close=True) == "HTTP/1.1 200 OK"
            session = first.session
        assert fetch(proxy.port("in"), context, name="strict.example", session=session) is None
        with connect(proxy.port("in"), context, name="alike.example", session=session) as sock:
            assert ask(sock, close=True) == "HTTP/1.1 200 OK"
            assert not sock.session_reused
        with connect(proxy.port("in"), context, session=session) as again:
            assert again.session_reused


# --- 44, 45: hellos, without an inspector in front ---

ALERT, HANDSHAKE = 0x15, 0x16


def first_answer(port, data, pieces=False):
    """The type of the first record that comes back; None when the connection just ended."""
    with Client(port) as client:
        for piece in [bytes([byte]) for byte in data] if pieces else [data]:
            client.send(piece)
        record = client._exactly(1, time.monotonic() + 5)
        return record[0] if record else None


def test_case_44_hellos_in_pieces_too_large_or_never_finished(pki, app):
    listener = tls_listener(downstream({"tls_certificates": [pki.server.message()]}), transport_socket_connect_timeout="0.3s")
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        port, whole = proxy.port("in"), hello.made_by_openssl("server.example")
        assert first_answer(port, whole, pieces=True) == HANDSHAKE
        huge = hello.in_records(hello.record(b"\x01\x05\x00\x00") + bytes(0x50000), 16384)
        assert first_answer(port, huge[:200_000]) in (ALERT, None)
        with Client(port) as client:
            client.send(whole[:100])
            assert client.read_end(5) in ("fin", "reset")
        assert proxy.stat("listener.127.0.0.1_0.downstream_cx_transport_socket_connect_timeout") == 1
        assert fetch(port, client_context(pki)) == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("name,answers", [(b"a\0b", (ALERT, None)), (b"a" * 256, (ALERT, None)), (b"10.0.0.1", (HANDSHAKE,)),
                                          (b"a" * 255, (HANDSHAKE,))], ids=["nul", "256 bytes", "address", "255 bytes"])
def test_case_45_odd_server_names(pki, app, name, answers):
    listener = tls_listener(downstream({"tls_certificates": [pki.server.message()]}))
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        assert first_answer(proxy.port("in"), hello.hello(hello.server_name(name) + hello.USUAL)) in answers
        assert fetch(proxy.port("in"), client_context(pki)) == "HTTP/1.1 200 OK"


# --- 46: the wrong kind of port ---


def test_case_46_plain_text_to_a_strict_port(pki, app):
    listener = tls_listener(downstream(mutual(pki, CLIENT_ID), require_client_certificate=True),
                            filter_chain_match={"transport_protocol": "tls"})
    listener["listener_filters"] = [INSPECTOR]
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)])) as proxy:
        assert get(proxy.port("in")) is None
        wait_for(lambda: proxy.stat("listener.127.0.0.1_0.no_filter_chain_match") == 1, what="the refusal")
        assert app.received() == []


# --- 48, 49: identity is what was proved ---


def test_case_49_identity_comes_from_the_validated_chain_only(pki, app, tmp_path):
    """Whom nobody vouched for is let in here, and is nobody to policies, to the log and to the server."""
    log = tmp_path / "log"
    rbac = px.typed("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", shadow_rules={
        "policies": {"somebody": {"permissions": [{"any": True}], "principals": [{"authenticated": {}}]}}})
    common = mutual(pki)
    common["validation_context"]["trust_chain_verification"] = "ACCEPT_UNTRUSTED"
    listener = tls_listener(downstream(common))
    listener["filter_chains"][0]["filters"] = px.http_filter_chain(
        TO_APP, http_filters=[rbac], forward_client_cert_details="SANITIZE_SET", set_current_client_cert_details={"uri": True},
        access_log=px.file_access_log(str(log), "%DOWNSTREAM_PEER_URI_SAN% %DYNAMIC_METADATA(envoy.filters.http.rbac:"
                                                "shadow_engine_result)%\n"))
    cases = {pki.client: f"{CLIENT_ID} allowed", chained(pki.client, pki.server): f"{CLIENT_ID} allowed",
             pki.stranger: "- denied", chained(pki.stranger, pki.client): "- denied"}
    with px.Proxy(px.REMORA, bootstrap([listener], [px.static_cluster("app", app.port)]),
                  args=["--file-flush-interval-msec", "20"]) as proxy:
        for pair, expected in cases.items():
            before = sum(map(len, app.received()))
            with connect(proxy.port("in"), client_context(pki, pair)) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-client-cert: URI=spiffe://td/admin\r\n"
                             b"connection: close\r\n\r\n")
                assert sock.recv(100).startswith(b"HTTP/1.1 200")
            seen = b"".join(app.received())[before:].lower()
            assert b"admin" not in seen
            assert (f"uri={CLIENT_ID}".encode() in seen) == expected.endswith("allowed")
        lines = wait_for(lambda: log.exists() and log.read_text().count("\n") == len(cases) and log.read_text(), what="the log")
        assert lines.splitlines() == list(cases.values())
