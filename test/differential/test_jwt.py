"""JWT authentication held against Envoy: the same configuration and tokens, the same answers, forwarded heads and logs."""

import os
import time

import pytest

from test.support import proxy as px
from test.support import tokens
from test.support.client import get
from test.support.upstream import Upstream

pytestmark = pytest.mark.skipif(not px.ENVOY, reason="ENVOY_BIN is not set")

JWT = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
NAME = "envoy.filters.http.jwt_authn"
LOG = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"
VARYING = ("x-request-id", "x-envoy-expected-rq-timeout-ms", "date", "server", "x-envoy-upstream-service-time")
NOW = int(time.time())


def echo_head(peer):
    while True:
        head, _ = peer.read_request()
        lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(tuple(v.encode() for v in VARYING))]
        body = b"\n".join(lines[:1] + sorted(lines[1:]))
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


class Side:
    def __init__(self, binary, config, directory, routes):
        self.upstream = Upstream(echo_head)
        self.log = os.path.join(directory, "access.log")
        filters = px.http_filter_chain(routes, http_filters=[px.typed(NAME, JWT, **config)],
                                       access_log=px.file_access_log(self.log, LOG))
        self.proxy = px.Proxy(
            binary,
            px.static_bootstrap([px.static_listener("in", filters)], [px.static_cluster("app", self.upstream.port)]),
            args=["--file-flush-interval-msec", "20", "-l", "warning"], directory=directory)
        self.port = self.proxy.port("in")

    def ask(self, requests):
        """Per request: status, headers, body and log line."""
        seen = []
        for path, headers in requests.values():
            answer = get(self.port, path, headers=headers)
            kept = sorted((k.lower(), v) for k, v in answer.headers if k.lower() not in VARYING)
            seen.append([answer.status, kept, answer.body])

        def lines():
            try:
                with open(self.log) as f:
                    found = f.read().splitlines()
            except FileNotFoundError:
                return None
            return found if len(found) >= len(requests) else None

        for one, line in zip(seen, px.wait_for(lines, what="access log")):
            one.append(line)
        stats = {k: v for k, v in self.proxy.stats("jwt_authn").items() if "jwt_cache" not in k}
        return dict(zip(requests, seen)), stats

    def close(self):
        self.proxy.stop()
        self.upstream.close()


TO_APP = {"match": {"prefix": "/"}, "route": {"cluster": "app"}}


def compare(config, requests, tmp_path, stricter=None, routes=(TO_APP,)):
    """`stricter`: name of a request that Envoy lets through -> the status that Remora gives, and why."""
    results = []
    for name, binary in (("remora", px.REMORA), ("envoy", px.ENVOY)):
        directory = tmp_path / name
        directory.mkdir()
        side = Side(binary, config, str(directory), list(routes))
        try:
            results.append(side.ask(requests))
        finally:
            side.close()
    (ours, our_stats), (theirs, their_stats) = results
    for name in requests:
        if name in (stricter or {}):
            assert ours[name][0] == stricter[name][0], name
            assert theirs[name][:3] != ours[name][:3], f"{name}: no longer a difference"
            continue
        assert ours[name] == theirs[name], name
    if not stricter:
        assert our_stats == their_stats


@pytest.fixture(scope="module")
def keys():
    return {alg: tokens.Key(alg, "k-" + alg) for alg in ("RS256", "PS256", "ES256", "ES384", "HS256", "EdDSA")}


def provider(*some, **more):
    return {"issuer": "issuer", "local_jwks": {"inline_string": tokens.key_set(*some)}, **more}


def bearer(token, path="/"):
    return path, [("authorization", "Bearer " + token)]


RULES = [{"match": {"prefix": "/open"}}, {"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}]


def test_tokens(keys, tmp_path):
    rsa = keys["RS256"]
    good = tokens.token(rsa)
    header, payload, signature = good.split(".")
    c, t, b64 = tokens.claims, tokens.token, tokens.b64url
    requests = {
        "missing": ("/a?x=1", []),
        "open": ("/open", []),
        **{alg: bearer(t(key)) for alg, key in keys.items()},
        "no kid": bearer(t(rsa, header={"kid": None})),
        "alg none": bearer(f'{b64(b"""{"alg":"none"}""")}.{payload}.AAAA'),
        "no signature": bearer(f"{header}.{payload}."),
        "wrong kid": bearer(t(rsa, header={"kid": "nobody"})),
        "kid of another": bearer(t(rsa, header={"kid": "k-HS256"})),
        "other key": bearer(t(tokens.Key("RS256", rsa.kid))),
        "expired": bearer(t(rsa, c(exp=NOW - 1000))),
        "within the skew": bearer(t(rsa, c(exp=NOW - 20))),
        "no expiry": bearer(t(rsa, c(exp=None))),
        "not yet": bearer(t(rsa, c(nbf=NOW + 1000))),
        "expiry is text": bearer(t(rsa, c(exp="soon"))),
        "expiry below zero": bearer(t(rsa, c(exp=-1))),
        "wrong issuer": bearer(t(rsa, c(iss="other"))),
        "no issuer": bearer(t(rsa, c(iss=None))),
        "issuer is a number": bearer(t(rsa, c(iss=1))),
        "audience is a number": bearer(t(rsa, c(aud=1))),
        "signature trimmed": bearer(tokens.trimmed(good)),
        "signature impossible": bearer(good[:-1]),
        "two parts": bearer(f"{header}.{payload}"),
        "four parts": bearer(good + ".x"),
        "no base64": bearer(f"a$.{payload}.{signature}"),
        "no json": bearer(f"{b64(b'{')}.{payload}.{signature}"),
        "payload is a list": bearer(t(rsa, b"[]")),
        "spaces before": ("/", [("authorization", "Bearer   " + good)]),
        "comma behind": bearer(good + ",x"),
        "lower case": ("/", [("authorization", "bearer " + good)]),
        "parameter": ("/p?access_token=" + good, []),
        "parameter among others": (f"/p?a=1&access_token={good}&b=2", []),
        "both": bearer(good, "/p?access_token=" + good),
        "both, one bad": bearer(good, "/p?access_token=" + tokens.trimmed(good)),
        "two headers": ("/", bearer(good)[1] * 2),
        "short ed25519": bearer(tokens.trimmed(t(keys["EdDSA"]))),
        "signature shortened": bearer(good[:-5] + "A"),
        "signature cut in a byte": bearer(good[:-5] + "B"),
        "padded": bearer(good + "=="),
        "two dots at once": bearer(f"{header}..{payload}.{signature}"),
        "expiry zero": bearer(t(rsa, c(exp=0))),
        "parameter twice": (f"/p?access_token={good}&access_token=x", []),
    }
    stricter = {
        "signature cut in a byte": (401, "is no base64; Envoy refuses it for another reason"),
        "padded": (401, "one token has one spelling"),
        "two dots at once": (401, "three parts are three parts"),
        "expiry zero": (401, "1970 is over"),
        "parameter twice": (401, "the upstream may read the other one"),
    }
    compare({"providers": {"p": provider(*keys.values())}, "rules": RULES}, requests, tmp_path, stricter)


def test_audiences_and_limits(keys, tmp_path):
    rsa = keys["RS256"]
    c, t = tokens.claims, tokens.token
    config = {
        "providers": {
            "p": provider(rsa, audiences=["audience", "http://b/"]),
            "q": provider(rsa, subjects={"prefix": "spiffe://"}, max_lifetime="100s", clock_skew_seconds=1),
        },
        "rules": [
            {"match": {"prefix": "/own"}, "requires": {"provider_and_audiences": {"provider_name": "p", "audiences": ["own"]}}},
            {"match": {"prefix": "/q"}, "requires": {"provider_name": "q"}},
            *RULES,
        ],
    }
    requests = {
        "one": bearer(t(rsa)),
        "other": bearer(t(rsa, c(aud="other"))),
        "none": bearer(t(rsa, c(aud=None))),
        "empty": bearer(t(rsa, c(aud=[]))),
        "list": bearer(t(rsa, c(aud=["x", "audience"]))),
        "with scheme": bearer(t(rsa, c(aud=["https://b"]))),
        "with slash": bearer(t(rsa, c(aud="audience/"))),
        "own": bearer(t(rsa, c(aud="own")), "/own"),
        "not own": bearer(t(rsa), "/own"),
        "subject": bearer(t(rsa, c(sub="spiffe://a", exp=NOW + 50)), "/q"),
        "wrong subject": bearer(t(rsa, c(exp=NOW + 50)), "/q"),
        "too long to live": bearer(t(rsa, c(sub="spiffe://a")), "/q"),
        "for ever": bearer(t(rsa, c(sub="spiffe://a", exp=None)), "/q"),
        "skewed": bearer(t(rsa, c(sub="spiffe://a", exp=NOW - 20)), "/q"),
    }
    compare(config, requests, tmp_path)


def test_requirements(keys, tmp_path):
    p, q = keys["RS256"], keys["ES256"]
    def requires(prefix, **requirement):
        return {"match": {"prefix": prefix}, "requires": requirement}
    both = {"requirements": [{"provider_name": "p"}, {"provider_name": "q"}]}
    config = {
        "providers": {
            "p": provider(p, payload_in_metadata="p", failed_status_in_metadata="failed",
                          from_headers=[{"name": "x-p"}]),
            "q": provider(q, issuer="other", from_headers=[{"name": "x-q", "value_prefix": "Q "}], payload_in_metadata="q"),
        },
        "rules": [
            requires("/any", requires_any=both),
            requires("/all", requires_all=both),
            requires("/optional", requires_any={"requirements": [{"provider_name": "p"}, {"allow_missing": {}}]}),
            requires("/lenient", requires_any={"requirements": [{"provider_name": "p"}, {"allow_missing_or_failed": {}}]}),
            requires("/missing", allow_missing={}),
            requires("/failed", allow_missing_or_failed={}),
        ],
    }
    tokens_p = {"": None, "good": tokens.token(p), "bad": tokens.trimmed(tokens.token(p)), "unknown": tokens.token(p, tokens.claims(iss="x")),
                "expired": tokens.token(p, tokens.claims(exp=1))}
    tokens_q = {"": None, "good": tokens.token(q, tokens.claims(iss="other")), "bad": "x.y.z"}
    requests, stricter = {}, {}
    for path in ("/any", "/all", "/optional", "/lenient", "/missing", "/failed", "/elsewhere"):
        for name_p, token_p in tokens_p.items():
            for name_q, token_q in tokens_q.items():
                headers = ([("x-p", token_p)] if token_p else []) + ([("x-q", "Q " + token_q)] if token_q else [])
                requests[f"{path} {name_p}/{name_q}"] = (path, headers)
                if path == "/missing" and name_p == "good" and name_q == "bad":
                    stricter[f"{path} {name_p}/{name_q}"] = (401, "each token must be good")
    # Which of two bad tokens is named differs where all are looked at.
    for name in ("bad", "unknown", "expired"):
        del requests[f"/missing {name}/bad"]
    compare(config, requests, tmp_path, stricter)


def test_what_the_upstream_gets(keys, tmp_path):
    key = keys["ES256"]
    names = ["sub", "n", "yes", "part", "negative", "list", "nothing", "empty", "deep.value", "deep.list", "absent"]
    config = {
        "providers": {"p": provider(
            key, forward=True, forward_payload_header="X-Payload", pad_forward_payload_header=True, payload_in_metadata="payload",
            header_in_metadata="header", normalize_payload_in_metadata={"space_delimited_claims": ["scope", "sub"]},
            claim_to_headers=[{"header_name": "X-C-" + n, "claim_name": n} for n in names], from_headers=[{"name": "x-token"}],
            from_params=["t"], from_cookies=["id"])},
        "rules": RULES,
    }
    rich = tokens.token(key, tokens.claims(n=5, yes=True, part=1.5, negative=-3, list=[1, "a", None], nothing=None, empty="",
                                           deep={"value": "v", "list": ["x"]}, scope="a  b c"))
    plain = tokens.token(key)
    requests = {
        "claims": ("/", [("x-token", rich)]),
        "forged": ("/", [("x-token", plain), ("x-c-sub", "root"), ("x-payload", "forged"), ("X-C-Absent", "here")]),
        "two": ("/", [("x-token", plain), ("x-token", rich)]),
        "parameter": ("/?t=" + plain, []),
        "empty parameter": ("/?t=", []),
        "empty header": ("/", [("x-token", "")]),
        "cookie": ("/", [("cookie", f"a=b; id={plain}; c=d")]),
        "quoted cookie": ("/", [("cookie", f'id="{plain}"')]),
        "elsewhere": bearer(plain),
    }
    compare(config, requests, tmp_path)


def test_stripped_answers(keys, tmp_path):
    config = {"providers": {"p": provider(keys["RS256"])}, "rules": RULES, "strip_failure_response": True,
              "bypass_cors_preflight": True}
    requests = {"missing": ("/", []), "bad": bearer("x"), "good": bearer(tokens.token(keys["RS256"]))}
    compare(config, requests, tmp_path)


def test_overrides_by_routes(keys, tmp_path):
    key = keys["RS256"]

    def route(path, name=NAME, **override):
        return {"match": {"prefix": path}, "route": {"cluster": "app"}, "typed_per_filter_config": {
            name: {"@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig", **override}}}

    weighted = route("/weighted", disabled=True)
    weighted["route"] = {"weighted_clusters": {"clusters": [{
        "name": "app", "weight": 1, "typed_per_filter_config": route("/", requirement_name="strict")["typed_per_filter_config"]}]}}
    config = {"providers": {"p": provider(key)}, "rules": RULES,
              "requirement_map": {"strict": {"provider_name": "p"}}}
    routes = [route("/open", requirement_name="strict"), route("/off", disabled=True),
              route("/typo", requirement_name="typo"), route("/other", name="other", disabled=True), weighted, TO_APP]
    paths = ["/open", "/off", "/typo", "/other", "/weighted", "/"]
    requests = {}
    for path in paths:
        requests.update({path: (path, []), f"{path} good": bearer(tokens.token(key), path), f"{path} bad": bearer("x", path)})
    compare(config, requests, tmp_path, routes=routes)
