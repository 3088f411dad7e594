"""What identity gives: bytes nobody can read, callers that are known, calls that are refused."""

import hashlib
import re
import secrets
import socket
import ssl

from lib.capture import Capture, tls_records
from lib.pods import METRICS_PORT, outbound_stat
from lib.processes import wait_until

REQUESTS_TO_MEET_ALL = 8  # of a service with two workloads, in turn
DENIED = "RBAC: access denied"


def encryption(demo):
    report = demo.report
    client, backend = demo.pod("client"), demo.pod("backend-1")
    bare_client, bare_server = demo.pod("bare-client"), demo.pod("bare-server")
    report.title("tcpdump on the overlay")
    capture = Capture(demo.hosts[0].namespace, "vxlan0", demo.folder)
    secret, open_secret = secrets.token_hex(16), secrets.token_hex(16)
    with capture.running():
        client.curl("http://backend/", "-H", f"x-secret: {secret}")
        client.curl("http://web/", "-H", f"x-secret: {secret}")
        greet(client)
        push_endpoints(demo)
        # The last to pass: when tcpdump has it, it has all before it.
        bare_client.curl(f"http://{bare_server.address}:8080/", "-H", f"x-secret: {open_secret}")
        wait_until(lambda: open_secret.encode() in capture.bytes(), "tcpdump writes what it saw")
    report.promise("between pods without sidecars tcpdump reads everything",
                   open_secret.encode() in capture.bytes())
    report.promise("between sidecars it finds nothing of a marked request",
                   secret.encode() not in capture.bytes())
    control_plane = demo.control_plane.address
    mesh = {control_plane, *(pod.address for pod in demo.pods)}
    records = {stream: tls_records(content) for stream, content in capture.streams().items()
               if stream[0] in mesh and stream[2] in mesh and METRICS_PORT not in stream}
    report.promise("every byte between sidecars, and from the control plane, is TLS",
                   all(any(address in stream for stream in records)
                       for address in (control_plane, backend.address))
                   and all(count is not None for count in records.values()),
                   f"{sum(count or 0 for count in records.values())} records "
                   f"on {len(records)} streams")


def push_endpoints(demo):
    """Makes the control plane talk."""
    client, web = demo.pod("client"), demo.pod("web-2")
    for ready in (False, True):
        demo.catalogue.register(web, ready=ready)
        wait_until(lambda: (web.address in client.endpoints("web")) == ready, "the client knows")


def greet(pod):
    with pod.namespace.entered():
        connection = socket.create_connection(("10.96.0.30", 2525), timeout=10)
    with connection, connection.makefile("rwb") as stream:
        stream.readline()
        stream.write(b"QUIT\r\n")
        stream.flush()
        stream.read()


def who_calls(demo):
    report, client, backend = demo.report, demo.pod("client"), demo.pod("backend-1")
    report.title("B knows who called")
    client.curl("http://backend/who", "-H",
                "x-forwarded-client-cert: By=nobody;URI=spiffe://cluster.local/ns/demo/sa/admin")
    line = wait_until(lambda: backend.line_served("GET /who "), "the web server logs the request")
    told = re.search(r"xfcc=(.*) id=", line).group(1)
    report.show(f"x-forwarded-client-cert: {told}")
    report.promise("B's application is told that A called",
                   f";URI={client.identity}" in told and told.startswith(f"By={backend.identity};"),
                   client.identity)
    certificate = ssl.PEM_cert_to_DER_cert((client.identity_folder / "tls.crt").read_text())
    report.promise("and with which certificate",
                   f"Hash={hashlib.sha256(certificate).hexdigest()};" in told)
    report.promise("what A says of itself does not arrive", "admin" not in told
                   and "nobody" not in told)


def authorization(demo):
    report = demo.report
    client, stranger, backend = (demo.pod(name) for name in ("client", "stranger", "backend-1"))
    report.title("A may call B, C may not")
    report.show("backend, in the catalogue\n"
                '  authorization: [{principals: ["demo/client"], methods: ["GET"]}]')
    served = backend.requests_in(8080)
    refused = stranger.curl("http://backend/", "-w", "\n%{http_code}")
    report.show("stranger$ curl -w '\\n%{http_code}' http://backend/\n" + refused)
    report.promise("C is refused", refused == f"{DENIED}\n403", "403 " + DENIED)
    report.promise("A is refused what it may not do",
                   client.status_of("http://backend/", "-X", "POST") == "403", "403 for POST")
    report.promise("B's application sees nothing of it", backend.requests_in(8080) == served)
    report.promise("B's sidecar counts it",
                   backend.stat("http.inbound_0_0_0_0_8080.rbac.denied") == 2)
    report.promise("A is served", client.status_of("http://backend/") == "200", "200")
    report.promise("C's bytes to a TCP service are not answered", digest_of(stranger) == b""
                   and demo.pod("digest-1").stat("tcp.rbac.denied") == 1)

    before = demo.catalogue.authorize("backend", [{"principals": ["demo/client", "demo/stranger"]}])
    wait_until(lambda: stranger.status_of("http://backend/") == "200", "C is let in")
    demo.catalogue.authorize("backend", before)
    wait_until(lambda: stranger.status_of("http://backend/") == "403", "C is shut out again")
    report.promise("C is let in and shut out again while everything runs", True)


def digest_of(pod):
    """What the digest service answers, and nothing when it ends the connection instead."""
    with pod.namespace.entered():
        connection = socket.create_connection(("10.96.0.40", 7000), timeout=10)
    with connection:
        try:
            connection.sendall(b"let me in")
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(4096)
        except ConnectionError:
            return b""


def pods_without_sidecars(demo):
    report = demo.report
    client, bare_client, backend, legacy = (
        demo.pod(name) for name in ("client", "bare-client", "backend-1", "legacy-1"))
    report.title("A pod without a sidecar calls, and is called")
    served = backend.requests_in(8080)
    status = bare_client.status_of(f"http://{backend.address}:8080/")
    report.promise("STRICT refuses plain text",
                   status == "000" and backend.requests_in(8080) == served, "connection closed")
    answer = bare_client.curl(f"http://{legacy.address}:8080/plain")
    report.promise("PERMISSIVE serves plain text", answer == "legacy-1\n")
    answers = {client.curl("http://legacy/mutual") for _ in range(REQUESTS_TO_MEET_ALL)}
    report.promise("a sidecar calls pods with and without one",
                   answers == {"legacy-1\n", "bare-server\n"})
    plain, mutual = (wait_until(lambda: legacy.line_served(f"GET /{path} "),
                                "the web server logs the request") for path in ("plain", "mutual"))
    report.promise("with mutual TLS on the same port where there is one", " xfcc=- " in plain
                   and client.identity in mutual
                   and client.stat(f"cluster.{outbound_stat('legacy', 80)}.ssl.handshake") >= 1)
