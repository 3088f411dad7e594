"""What tests of TLS share: certificates, contexts as configuration, clients and upstreams over Python's ssl."""

import socket
import ssl

import pytest

from test.support import proxy as px
from test.support.certificates import Authority
from test.support.upstream import Upstream, answer_ok

TLS = "envoy.extensions.transport_sockets.tls.v3."
SERVER_ID = "spiffe://cluster.local/ns/a/sa/server"
CLIENT_ID = "spiffe://cluster.local/ns/a/sa/client"


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


@pytest.fixture
def app():
    with Upstream() as upstream:
        yield upstream
