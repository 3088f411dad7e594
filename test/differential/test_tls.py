"""What mutual TLS proves, as the server, policies and the log see it: the same certificates and headers for Envoy and for Remora."""

import os

import pytest

from test.support import proxy as px
from test.support.certificates import Authority
from test.support.client import Answer
from test.support.tls import CLIENT_ID, bootstrap, client_context, connect, downstream, mutual, pki, tls_listener  # noqa: F401
from test.support.upstream import Upstream

pytestmark = pytest.mark.skipif(not px.ENVOY, reason="ENVOY_BIN is not set")

MODES = ["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"]
ALL = {"subject": True, "cert": True, "chain": True, "dns": True, "uri": True}
# Name of a listener -> how it tells of clients.
TELLS = {**{mode.lower(): {"forward_client_cert_details": mode} for mode in MODES},
         "all": {"forward_client_cert_details": "APPEND_FORWARD", "set_current_client_cert_details": ALL},
         "uri": {"forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": {"uri": True}}}
LOG = " ".join(f"%DOWNSTREAM_{what}%" for what in (
    "PEER_URI_SAN", "PEER_DNS_SAN", "PEER_EMAIL_SAN", "PEER_IP_SAN", "LOCAL_URI_SAN", "LOCAL_DNS_SAN", "PEER_SUBJECT", "LOCAL_SUBJECT",
    "PEER_ISSUER", "PEER_SERIAL", "PEER_FINGERPRINT_256", "PEER_FINGERPRINT_1", "PEER_CERT", "PEER_CERT_V_START", "PEER_CERT_V_END",
    "TLS_VERSION")) + " %REQUESTED_SERVER_NAME%\n"
CAME = {"none": [], "one": ["By=a;URI=b"], "two": ["By=a", "By=b;Hash=c"], "empty": [""], "odd": ['Subject="a,b;c";URI=x,By=y']}


PROVED = "a certificate that nobody vouched for proves nothing, to whomever it is told"
KIND = "to grant, a certificate is known by the first kind of name that it has"

# (listener, client) -> (Envoy's status, Remora's, why it is stricter)
STRICTER = {
    ("anybody", "nobody"): (200, 403, "without a certificate nobody is authenticated"),
    ("anybody", "untrusted"): (200, 403, PROVED),
    ("client", "untrusted"): (200, 403, PROVED),
    ("suffix", "untrusted"): (200, 403, PROVED),
    ("dns", "everything"): (200, 403, KIND),
}


def echo_told(peer):
    """Answers with what was told of the client."""
    while True:
        head, _ = peer.read_request()
        told = [line for line in head.split(b"\r\n") if line.lower().startswith(b"x-forwarded-client-cert:")]
        body = b"\n".join(told)
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


def rbac(names, **fields):
    rules = {"action": "ALLOW", "policies": {"p": {"permissions": [{"any": True}], "principals": [
        {"authenticated": {"principal_name": name} if name else {}} for name in names]}}}
    return px.typed("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", rules=rules, **fields)


# Name of a listener -> whom it lets in.
POLICIES = {
    "anybody": [None],
    "client": [{"exact": CLIENT_ID}],
    "suffix": [{"suffix": "/sa/client"}],
    "dns": [{"exact": "client.example"}],
    "subject": [{"contains": "CN=plain"}],
    "second": [{"exact": "spiffe://cluster.local/second"}],
}


# What a client's certificate proves, as conditions of routes that answer with a status of their own.
BY_PROOF = [{"match": {"prefix": "/", "tls_context": tls_context}, "direct_response": {"status": 210 + i}} for i, tls_context in enumerate((
    {"presented": True, "validated": True}, {"presented": True, "validated": False}, {"validated": True}, {"presented": False}))]


@pytest.fixture(scope="module")
def clients(pki):
    other = Authority(pki.directory, "unknown")
    return {
        "nobody": None,
        "uri": pki.client,
        "everything": pki.root.issue("client", f"URI:{CLIENT_ID},URI:spiffe://cluster.local/second,DNS:client.example,DNS:b.example,"
                                               "email:a@example.com,IP:10.0.0.1,IP:::1"),
        "dns": pki.root.issue("client", "DNS:client.example"),
        "subject": pki.root.issue("plain", "email:a@example.com", subject=r'/O=Acme, Inc/OU=a\/b;c/CN=plain "x"'),
        "untrusted": other.issue("client", f"URI:{CLIENT_ID}"),
    }


class Side:
    def __init__(self, binary, pki, directory):
        self.directory = directory
        self.upstream = Upstream(echo_told)
        listeners = []
        for name in [*TELLS, *POLICIES, "routes"]:
            listener = tls_listener(downstream({"tls_certificates": [pki.server.message()], "validation_context": {
                **mutual(pki)["validation_context"], "trust_chain_verification": "ACCEPT_UNTRUSTED"}}), name=name)
            listener["filter_chains"][0]["filters"] = px.http_filter_chain(
                BY_PROOF if name == "routes" else [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}], stat_prefix=name, **TELLS.get(name, {}),
                http_filters=[rbac(POLICIES[name])] if name in POLICIES else [],
                access_log=px.file_access_log(os.path.join(directory, name + ".log"), LOG))
            listeners.append(listener)
        self.proxy = px.Proxy(binary, bootstrap(listeners, [px.static_cluster("app", self.upstream.port)]),
                              args=["--file-flush-interval-msec", "20", "-l", "error"], directory=directory)
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def ask(self, pki, listener, pair, came):
        """(status, what the server was told)."""
        with connect(self.ports[listener], client_context(pki, pair)) as sock:
            lines = "".join(f"x-forwarded-client-cert: {value}\r\n" for value in came)
            sock.sendall(f"GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n".encode())
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(65536)
            head, body = data.split(b"\r\n\r\n", 1)
            answer = Answer(head, body)
            while len(body) < int(answer.header("content-length")):
                body += sock.recv(65536)
        return answer.status, body

    def logged(self, listener, count):
        def lines():
            try:
                with open(os.path.join(self.directory, listener + ".log")) as f:
                    found = f.read().splitlines()
            except FileNotFoundError:
                return None
            return found if len(found) >= count else None

        return px.wait_for(lines, 10.0, "access log")

    def close(self):
        self.proxy.stop()
        self.upstream.close()


@pytest.fixture(scope="module")
def sides(pki, tmp_path_factory):
    made = [Side(binary, pki, str(tmp_path_factory.mktemp(name))) for name, binary in (("remora", px.REMORA), ("envoy", px.ENVOY))]
    yield made
    for side in made:
        side.close()


@pytest.mark.parametrize("listener", TELLS)
def test_servers_are_told_and_logs_say_the_same(sides, pki, clients, listener):
    requests = [(who, came) for who in clients for came in CAME]
    ours, theirs = ([side.ask(pki, listener, clients[who], CAME[came]) for who, came in requests] for side in sides)
    logs = [side.logged(listener, len(requests)) for side in sides]
    for request, our, their, our_line, their_line in zip(requests, ours, theirs, *logs):
        if request[0] == "untrusted":
            if listener != "always_forward_only":
                assert our == (200, b""), PROVED
            assert CLIENT_ID not in our_line and CLIENT_ID in their_line, PROVED
            continue
        assert our == their, request
        assert our_line == their_line, request


def test_routes_know_what_a_certificate_proves(sides, pki, clients):
    found = [{who: side.ask(pki, "routes", pair, [])[0] for who, pair in clients.items()} for side in sides]
    assert found[0] == found[1]
    assert {found[0][who] for who in ("uri", "untrusted", "nobody")} == {210, 211, 213}


@pytest.mark.parametrize("listener", POLICIES)
def test_policies_know_the_same_clients(sides, pki, clients, listener):
    for who, pair in clients.items():
        ours, theirs = (side.ask(pki, listener, pair, [])[0] for side in sides)
        if (listener, who) in STRICTER:
            assert (theirs, ours) == STRICTER[(listener, who)][:2], STRICTER[(listener, who)][2]
        else:
            assert ours == theirs, who
