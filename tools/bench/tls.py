"""Certificates of the benchmark, and the messages that use them."""

from test.support import proxy as px
from test.support.certificates import Authority

PACKAGE = "envoy.extensions.transport_sockets.tls.v3."
IDS = {side: f"spiffe://cluster.local/ns/bench/sa/{side}" for side in ("client", "server")}


class Identities:
    def __init__(self, folder):
        self.root = Authority(folder)
        self.pairs = {side: self.root.issue(side, f"URI:{uri},DNS:{side}.bench") for side, uri in IDS.items()}

    def _context(self, kind, own, peer, alpn, **more):
        names = [{"san_type": "URI", "matcher": {"exact": IDS[peer]}}]
        return px.typed("tls", PACKAGE + kind, common_tls_context={
            "tls_certificates": [self.pairs[own].message()], "alpn_protocols": [alpn],
            "validation_context": {"trusted_ca": {"inline_string": self.root.certificate},
                                   "match_typed_subject_alt_names": names}}, **more)

    def downstream(self, alpn):
        return self._context("DownstreamTlsContext", "server", "client", alpn, require_client_certificate=True)

    def upstream(self, alpn):
        return self._context("UpstreamTlsContext", "client", "server", alpn, sni="server.bench")
