"""JWT authentication through the binary: tokens that must be refused, keys that are fetched, claims for the upstream."""

import json
import threading
import time

import pytest

from test.support import proxy as px
from test.support import tokens
from test.support.client import Client, get
from test.support.upstream import ClosedPort, Upstream

JWT = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
PER_ROUTE = "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"
NAME = "envoy.filters.http.jwt_authn"
REQUIRED = [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}]


def echo_head(peer):
    """Answers with the request's head."""
    while True:
        head, _ = peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(head) + head)


class Mesh:
    """A proxy with the filter in front of an upstream that echoes, and a server of keys when there is to be one."""

    def __init__(self, providers, rules=REQUIRED, keys=None, route=None, args=(), name=NAME, clusters=(), **more):
        self.upstream = Upstream(echo_head)
        self.keys = Upstream(keys) if keys else None
        config = {"providers": providers, "rules": rules, **more}
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}, **(route or {})}]
        filters = px.http_filter_chain(routes, http_filters=[px.typed(name, JWT, **config)])
        clusters = [px.static_cluster("app", self.upstream.port), *clusters]
        if self.keys:
            clusters.append(px.static_cluster("keys", self.keys.port))
        self.proxy = px.Proxy(px.REMORA, px.static_bootstrap([px.static_listener("in", filters)], clusters), args=args)
        self.port = self.proxy.port("in")

    def get(self, token=None, path="/", headers=()):
        bearer = [("authorization", "Bearer " + token)] if token is not None else []
        return get(self.port, path, headers=[*bearer, *headers])

    def stat(self, name):
        return self.proxy.stat("http.ingress.jwt_authn." + name)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.proxy.stop()
        self.upstream.close()
        if self.keys:
            self.keys.close()


@pytest.fixture(scope="module")
def keys():
    return {alg: tokens.Key(alg, "k-" + alg) for alg in
            ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "EdDSA")}


def local(*some, **more):
    return {"issuer": "issuer", "local_jwks": {"inline_string": tokens.key_set(*some)}, **more}


def aggregate(name, *members):
    return {"name": name, "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": px.typed(
        "envoy.clusters.aggregate", "envoy.extensions.clusters.aggregate.v3.ClusterConfig", clusters=list(members))}


def remote(**more):
    uri = {"uri": "http://keys.example:8080/jwks?v=1", "cluster": "keys", "timeout": "5s"}
    return {"issuer": "issuer", "remote_jwks": {"http_uri": uri, **more}}


def test_every_algorithm_lets_its_tokens_in(keys):
    with Mesh({"p": local(*keys.values())}) as mesh:
        for alg, key in keys.items():
            answer = mesh.get(tokens.token(key))
            assert answer.status == 200, alg
            assert b"authorization" not in answer.body
        assert mesh.stat("allowed") == len(keys)
        assert mesh.stat("denied") == 0


def test_case_50_forged_tokens_are_denied(keys):
    rsa, hmac = keys["RS256"], keys["HS256"]
    good = tokens.token(rsa)
    header, payload, signature = good.split(".")
    none = tokens.b64url(b'{"alg":"none"}')
    twice = tokens.b64url(b'{"alg":"RS256","alg":"RS256"}')
    as_secret = tokens.Key("HS256", "k-RS256")
    as_secret.secret = rsa.public_pem().encode()
    other = tokens.Key("RS256", "k-RS256")
    cases = {
        "alg none": (f"{none}.{payload}.AAAA", 401),
        "alg none, no signature": (f"{none}.{payload}.", 401),
        "public key as secret": (tokens.token(as_secret), 401),
        "wrong kid": (tokens.token(rsa, header={"kid": "nobody"}), 401),
        "another key": (tokens.token(other), 401),
        "another key's kid": (tokens.token(rsa, header={"kid": hmac.kid}), 401),
        "signature trimmed": (tokens.trimmed(good), 401),
        "signature gone": (f"{header}.{payload}.", 401),
        "payload exchanged": (f"{header}.{tokens.b64url(json.dumps(tokens.claims(sub='root')).encode())}.{signature}", 401),
        "padded": (good + "==", 401),
        "name twice": (f"{twice}.{payload}.{signature}", 401),
        "expired": (tokens.token(rsa, tokens.claims(exp=int(time.time()) - 100)), 401),
        "not yet": (tokens.token(rsa, tokens.claims(nbf=int(time.time()) + 100)), 401),
        "wrong issuer": (tokens.token(rsa, tokens.claims(iss="other")), 401),
        "no issuer": (tokens.token(rsa, tokens.claims(iss=None)), 401),
        "wrong audience": (tokens.token(rsa, tokens.claims(aud="other")), 403),
        "wrong audiences": (tokens.token(rsa, tokens.claims(aud=["other", "another"])), 403),
        "no audience": (tokens.token(rsa, tokens.claims(aud=None)), 403),
        "no expiry": (tokens.token(rsa, tokens.claims(exp=None)), 401),
    }
    with Mesh({"p": local(rsa, hmac, audiences=["audience"], require_expiration=True)}) as mesh:
        for name, (token, status) in cases.items():
            answer = mesh.get(token)
            assert answer.status == status, name
            assert answer.header("www-authenticate").endswith('error="invalid_token"'), name
        assert mesh.get().status == 401
        assert mesh.get(good).status == 200
        assert mesh.get(tokens.token(rsa, tokens.claims(aud=["x", "audience"]))).status == 200
        assert mesh.stat("denied") == len(cases) + 1
        assert mesh.upstream.received()[0].count(b"GET / HTTP/1.1") == 2, "only the good ones came through"


def test_claims_choose_the_route(keys):
    rsa = keys["RS256"]
    of_ann = {"filter": NAME, "path": [{"key": "claims"}, {"key": "sub"}], "value": {"string_match": {"exact": "ann"}}}
    provider = local(rsa, payload_in_metadata="claims", clear_route_cache=True)
    with Mesh({"p": provider}, route={"match": {"prefix": "/", "dynamic_metadata": [of_ann]}}) as mesh:
        assert mesh.get(tokens.token(rsa, tokens.claims(sub="ann"))).status == 200
        assert mesh.get(tokens.token(rsa, tokens.claims(sub="bob"))).status == 404


def test_case_50_long_tokens_are_read_or_refused(keys):
    rsa = keys["RS256"]
    long = tokens.token(rsa, tokens.claims(filler="x" * 36_000))
    longer = tokens.token(rsa, tokens.claims(filler="x" * 49_500))
    assert len(longer) > 64 * 1024
    with Mesh({"p": local(rsa, from_headers=[{"name": "x-token"}])}) as mesh:
        assert mesh.get(headers=[("x-token", long)]).status == 200
        assert mesh.get(headers=[("x-token", longer)]).status in (401, 431)
        assert mesh.get(headers=[("x-token", tokens.token(rsa))]).status == 200


def test_case_50_a_second_token_must_be_good_too(keys):
    good, bad = tokens.token(keys["RS256"]), tokens.trimmed(tokens.token(keys["RS256"]))
    optional = {"requires_any": {"requirements": [{"provider_name": "p"}, {"allow_missing": {}}]}}
    rules = [{"match": {"prefix": "/optional"}, "requires": optional}, *REQUIRED]
    with Mesh({"p": local(keys["RS256"])}, rules) as mesh:
        for path in ("/", "/optional"):
            assert mesh.get(good, f"{path}?access_token={good}").status == 200
            assert mesh.get(good, f"{path}?access_token={bad}").status == 401
            assert mesh.get(bad, f"{path}?access_token={good}").status == 401
            assert mesh.get(None, f"{path}?access_token={good}&access_token={bad}").status == 401
        assert mesh.get(None, "/optional").status == 200
        assert mesh.get(None, "/").status == 401


def test_claims_reach_the_upstream_and_nobody_else_writes_them(keys):
    key = keys["ES256"]
    provider = local(key, forward_payload_header="x-payload", claim_to_headers=[
        {"header_name": "x-sub", "claim_name": "sub"}, {"header_name": "x-team", "claim_name": "org.team"},
        {"header_name": "x-roles", "claim_name": "roles"}])
    rules = [{"match": {"prefix": "/open"}}, *REQUIRED]
    with Mesh({"p": provider}, rules) as mesh:
        payload = tokens.claims(org={"team": 7}, roles=["a", "b"])
        token = tokens.token(key, payload)
        head = mesh.get(token, headers=[("X-Sub", "root"), ("x-team", "0"), ("x-payload", "forged")]).body.decode().lower()
        assert "x-sub: subject\r\n" in head
        assert "x-team: 7\r\n" in head
        assert f"x-payload: {token.split('.')[1]}\r\n".lower() in head
        assert "x-roles: wyjhiiwiyijd\r\n" in head  # base64 of the list
        assert head.count("x-sub:") == head.count("x-team:") == head.count("x-payload:") == 1
        assert b"x-sub" not in mesh.get(path="/open", headers=[("x-sub", "root")]).body
        newline = tokens.token(key, tokens.claims(sub="a\r\nx-admin: yes"))
        answer = mesh.get(newline)
        assert answer.status == 503
        assert mesh.stat("denied") == 1


def test_routes_may_ask_for_something_else(keys):
    key = keys["RS256"]
    def route(**config):
        return {"typed_per_filter_config": {NAME: {"@type": "type.googleapis.com/" + PER_ROUTE, **config}}}
    with Mesh({"p": local(key)}, route=route(disabled=True)) as mesh:
        assert mesh.get().status == 200
    with Mesh({"p": local(key)}, route=route(disabled=True), name="mine") as mesh:
        assert mesh.get().status == 401, "meant for a filter of another name"
    more = {"rules": [], "requirement_map": {"strict": {"provider_name": "p"}}}
    with Mesh({"p": local(key)}, route=route(requirement_name="strict"), **more) as mesh:
        assert mesh.get().status == 401
        assert mesh.get(tokens.token(key)).status == 200
    with Mesh({"p": local(key)}, route=route(requirement_name="typo"), **more) as mesh:
        answer = mesh.get(tokens.token(key))
        assert answer.status == 403
        assert b"Wrong requirement_name: typo" in answer.body


def answers(body, status="200 OK"):
    def script(peer):
        while True:
            peer.read_request()
            peer.send(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
    return script


def test_keys_are_fetched_once_for_everybody(keys):
    key = keys["RS256"]
    with Mesh({"p": remote()}, keys=answers(tokens.key_set(key)), args=["--concurrency", "2"]) as mesh:
        assert mesh.keys.received() == [], "nobody has asked"
        for _ in range(8):
            assert mesh.get(tokens.token(key)).status == 200
        assert mesh.get(tokens.token(tokens.Key("RS256", key.kid))).status == 401
        received = b"".join(mesh.keys.received())
        assert received.count(b"GET ") == 1
        assert received.startswith(b"GET /jwks?v=1 HTTP/1.1\r\nhost: keys.example:8080\r\n")
        assert mesh.stat("jwks_fetch_success") == 1


def test_keys_are_fetched_over_a_cluster_of_clusters(keys):
    key = keys["RS256"]
    provider = remote()
    provider["remote_jwks"]["http_uri"]["cluster"] = "all_keys"
    with Mesh({"p": provider}, keys=answers(tokens.key_set(key)), clusters=[px.static_cluster("none"), aggregate("all_keys", "none", "keys")]) as mesh:
        assert mesh.get(tokens.token(key)).status == 200


def test_a_request_waits_for_the_keys(keys):
    key = keys["RS256"]
    release = threading.Event()

    def slow(peer):
        peer.read_request()
        release.wait(10)
        body = tokens.key_set(key)
        peer.send(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        peer.wait_for_close()

    with Mesh({"p": remote()}, keys=slow) as mesh:
        with Client(mesh.port) as one, Client(mesh.port) as two, Client(mesh.port) as gone:
            for client in (one, two, gone):
                client.send(b"POST / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer " + tokens.token(key).encode()
                            + b"\r\ncontent-length: 4\r\n\r\nbody")
            px.wait_for(mesh.keys.received, what="the fetch")
            gone.close()
            assert mesh.get().status == 401, "others need no keys"
            release.set()
            assert one.read_answer().status == 200
            assert two.read_answer().status == 200
        assert len(mesh.keys.received()) == 1


@pytest.mark.parametrize("script", [answers("{}"), answers("no json"), answers('{"keys":[]}'), answers("gone", "404 Not Found"),
                                    answers("x" * (1024 * 1024 + 1))], ids=["no keys", "no json", "empty", "404", "too long"])
def test_case_50_without_keys_everybody_is_denied(keys, script):
    with Mesh({"p": remote()}, keys=script) as mesh:
        answer = mesh.get(tokens.token(keys["RS256"]))
        assert answer.status == 401
        assert answer.body == b"Jwks remote fetch is failed"
        assert mesh.stat("jwks_fetch_failed") == 1


def test_case_50_unreachable_keys_deny(keys):
    provider = remote(retry_policy={"num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}})
    with ClosedPort() as closed, Mesh({"p": provider}, keys=answers("")) as mesh:
        mesh.keys.close()
        answer = mesh.get(tokens.token(keys["RS256"]))
        assert answer.status == 401
        assert answer.body == b"Jwks remote fetch is failed"
        assert closed.port  # nothing listens anywhere
    provider = remote()
    provider["remote_jwks"]["http_uri"]["cluster"] = "nowhere"
    with Mesh({"p": provider}) as mesh:
        assert mesh.get(tokens.token(keys["RS256"])).status == 401


def test_keys_are_refreshed_in_the_background(keys):
    old, new = keys["RS256"], tokens.Key("RS256", "new")
    served = [tokens.key_set(old)]

    def rotating(peer):
        while True:
            peer.read_request()
            body = served[-1]
            peer.send(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())

    with Mesh({"p": remote(async_fetch={}, cache_duration="0.2s")}, keys=rotating) as mesh:
        assert mesh.get(tokens.token(old)).status == 200
        assert mesh.get(tokens.token(new)).status == 401
        served.append(tokens.key_set(new))
        px.wait_for(lambda: mesh.get(tokens.token(new)).status == 200, what="the new key")
        assert mesh.get(tokens.token(old)).status == 401, "what was taken back opens nothing"
        assert mesh.stat("jwks_fetch_success") >= 2


@pytest.mark.parametrize("provider,where", [
    ({"issuer": "i"}, "providers"),
    ({"local_jwks": {"inline_string": "{}"}}, "local_jwks"),
    ({"local_jwks": {"filename": "/nowhere"}}, "local_jwks"),
    ({"remote_jwks": {"http_uri": {"uri": "http://", "cluster": "c", "timeout": "1s"}}}, "uri"),
    ({"remote_jwks": {"http_uri": {"uri": "http://a/", "cluster": "c"}}}, "timeout"),
    ({"remote_jwks": {"http_uri": {"uri": "http://a/", "timeout": "1s"}}}, "cluster"),
], ids=["no keys", "empty set", "no file", "no host", "no timeout", "no cluster"])
def test_half_a_provider_is_refused(provider, where):
    filters = px.http_filter_chain([], http_filters=[px.typed(NAME, JWT, providers={"p": provider}, rules=REQUIRED)])
    proxy = px.Proxy(px.REMORA, px.static_bootstrap([px.static_listener("in", filters)], []), wait_ready=False)
    assert proxy.wait_exit() != 0
    assert where in proxy.output()
    proxy.stop()


def test_a_requirement_of_nobody_is_refused():
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "q"}}]
    filters = px.http_filter_chain([], http_filters=[px.typed(NAME, JWT, rules=rules)])
    proxy = px.Proxy(px.REMORA, px.static_bootstrap([px.static_listener("in", filters)], []), wait_ready=False)
    assert proxy.wait_exit() != 0
    assert "Required provider ['q'] is not configured" in proxy.output()
    proxy.stop()
