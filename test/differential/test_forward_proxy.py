"""The dynamic forward proxy: the same configuration, names and requests for Envoy and for Remora."""

import os
import re

import pytest

from test.differential.exchange import pair_of
from test.support import forward_proxy as fp
from test.support import proxy as px
from test.support.client import Client
from test.support.dns import DnsServer
from test.support.upstream import Upstream

LOG = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_HOST%\n"
LONG_LABELS = ".".join(["a" * 60] * 5)

# Requests by listener: authorities in which PORT is the upstream's, or a whole request.
CASES = {
    "plain": ["app.test:PORT", "APP.test:PORT", "app.test:PORT", "127.0.0.1:PORT", "[::1]:PORT", "127.0.0.1:1", "app.test:1", "nowhere.test:PORT",
              "nowhere.test", "empty.test:PORT", "app.test.:PORT", "two.test:PORT"],
    "hostile": ["user@app.test:PORT", "app.test:0", "app.test:65536", "app.test:99999999999", "app.test:abc", "app.test:", ":PORT", "[::1", "[::1]x:PORT",
                "::1", "[app.test]:PORT", "app..test:PORT", LONG_LABELS, "a" * 64 + ".test", "app.test:PORT:PORT", "-", "127.1:PORT", "0x7f000001:PORT",
                "[::ffff:127.0.0.1]:PORT", "[fe80::1%25lo]:PORT", "app_test:PORT"],
    "literal": ["anything:PORT", "nowhere.test:1"],
    "rewritten": ["app.test:PORT", "wrong.test:PORT"],
    "header": [("other.test", "x-to: app.test:PORT\r\n"), "app.test:PORT", ("app.test:PORT", "x-to: nowhere.test\r\n")],
    "full": ["app.test:PORT", "two.test:PORT", "127.0.0.1:PORT", "app.test:PORT"],
    "no_filter": ["app.test:PORT", "127.0.0.1:PORT", "nowhere.test:PORT"],
    "other_cluster": ["app.test:PORT", "nowhere.test:PORT"],
    "tls": ["127.0.0.77", "nowhere.test"],
}
CACHES = {"full": {"max_hosts": 1}}
# Where Remora does otherwise: what it answers, by listener and authority.
BAD_NAME = "503 DF dns_resolution_failure{cares_failure:Misformatted_domain_name} -"
UNKNOWN = "503 UH no_healthy_upstream -"
DIFFERS = {
    "hostile": {
        # The listeners of this test are configured at port 0, and where Remora itself listens it does not send requests.
        "app.test:0": UNKNOWN,
        # Not looked up at all: no host is named.
        ":PORT": BAD_NAME, "app.test:PORT:PORT": BAD_NAME,
        # Sockets to IPv6 addresses reach mapped IPv4 ones.
        "[::ffff:127.0.0.1]:PORT": "200 - via_upstream [::ffff:127.0.0.1]:PORT",
    },
    # The cluster by itself looks nothing up.
    "no_filter": {"app.test:PORT": UNKNOWN, "127.0.0.1:PORT": UNKNOWN, "nowhere.test:PORT": UNKNOWN},
}
# Authorities that name no host take no place in the cache, so that all of its counters are others.
OTHER_COUNTS = ("hostile", "no_filter")


def echo(peer):
    while True:
        head, _ = peer.read_request()
        host = re.search(rb"\r\nhost: ([^\r]*)\r\n", head, re.I).group(1)
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(host), host))


class Side:
    def __init__(self, binary, directory):
        self.directory = directory
        self.dns, self.upstream = DnsServer(), Upstream(echo)
        self.dns.set("app.test", "127.0.0.1")
        self.dns.set("app.test.", "127.0.0.1")
        self.dns.set("two.test", "127.0.0.1", "127.0.0.2")
        self.dns.set("empty.test")
        self.dns.set("wrong.test", "127.0.0.9")
        port = self.upstream.port
        routes = {"literal": fp.for_route(host_rewrite_literal=f"app.test:{port}"), "header": fp.for_route(host_rewrite_header="x-to")}
        actions = {"rewritten": {"host_rewrite_literal": f"app.test:{port}"}}
        listeners, clusters = [], []
        for name in CASES:
            config = fp.cache(name, self.dns.port, **CACHES.get(name, {}))
            more = {}
            if name == "tls":
                more = {"transport_socket": px.typed("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext")}
            clusters.append(px.static_cluster(name, port) if name == "other_cluster" else fp.cluster(name, config, **more))
            filters = [] if name == "no_filter" else [fp.http_filter(config)]
            route = {"match": {"prefix": "/"}, "route": {"cluster": name, **actions.get(name, {})}, **routes.get(name, {})}
            chain = px.http_filter_chain([route], name, http_filters=filters,
                                         access_log=px.file_access_log(os.path.join(directory, name + ".log"), LOG))
            listeners.append(px.static_listener(name, chain))
        self.proxy = px.Proxy(binary, px.static_bootstrap(listeners, clusters), args=["--concurrency", "1", "--file-flush-interval-msec", "20"],
                              directory=directory)
        self.ports = {name: address[1] for name, address in self.proxy.listeners().items()}

    def normal(self, text):
        return text.replace(str(self.upstream.port), "PORT")

    def run(self, name):
        seen = []
        for case in CASES[name]:
            authority, more = case if isinstance(case, tuple) else (case, "")
            data = f"GET / HTTP/1.1\r\nhost: {authority}\r\n{more}\r\n".replace("PORT", str(self.upstream.port))
            with Client(self.ports[name]) as client:
                client.send(data.encode())
                answer = client.read_answer()
            seen.append((authority, answer and answer.status, answer and self.normal(answer.body.decode())))

        def lines():
            try:
                with open(os.path.join(self.directory, name + ".log")) as f:
                    found = f.read().splitlines()
            except FileNotFoundError:
                return None
            return found if len(found) >= len(CASES[name]) else None

        log = [self.normal(line) for line in px.wait_for(lines, 5.0, "access log")]
        stats = {k: v for k, v in self.proxy.stats(f"^dns_cache.{name}[.]").items()}
        return list(zip(seen, log)), stats

    def close(self):
        self.proxy.stop()
        self.upstream.close()
        self.dns.close()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    with pair_of(Side, tmp_path_factory) as pair:
        yield pair


@pytest.mark.parametrize("name", CASES)
def test_as_envoy(sides, name):
    envoy, remora = sides
    theirs, ours = envoy.run(name), remora.run(name)
    differs = DIFFERS.get(name, {})
    for (seen, log), (their_seen, their_log) in zip(ours[0], theirs[0]):
        if seen[0] in differs:
            assert log == differs[seen[0]]
        else:
            assert (seen, log) == (their_seen, their_log)
    if name not in OTHER_COUNTS:
        assert ours[1] == theirs[1]
