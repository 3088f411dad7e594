"""HTTP/1.1 with filters on: RBAC with ten policies, JWT with a key set at hand."""

from test.support import proxy as px
from test.support import tokens
from tools.bench import contenders
from tools.bench.cases.http1 import Http1
from tools.bench.load import Wrk

HTTP = "envoy.extensions.filters.http."


def rbac():
    """The last of ten policies lets the request in."""
    policies = {f"p{i}": {
        "permissions": [{"and_rules": {"rules": [{"header": {"name": ":method", "string_match": {"exact": "GET"}}},
                                                 {"url_path": {"path": {"prefix": "/" if i == 9 else f"/service-{i}/"}}}]}}],
        "principals": [{"any": True}]} for i in range(10)}
    return px.typed("envoy.filters.http.rbac", HTTP + "rbac.v3.RBAC", rules={"action": "ALLOW", "policies": policies})


class Filters(Http1):
    peers = ("envoy",)

    def __init__(self, name, title):
        super().__init__(name, title, Wrk(64))
        self.key = None

    def filters(self):
        return [rbac()]

    def start(self, bench, stack, name, under=None):
        return contenders.by_bootstrap(stack, name, contenders.http_bootstrap(bench.app.http1, self.filters()), under=under)


class Jwt(Filters):
    def run(self, bench):
        self.key = tokens.Key("ES256")
        self._load = Wrk(64, headers=(("authorization", "Bearer " + tokens.token(self.key)),))
        return super().run(bench)

    def filters(self):
        provider = {"issuer": "issuer", "audiences": ["audience"], "local_jwks": {"inline_string": tokens.key_set(self.key)}}
        return [px.typed("envoy.filters.http.jwt_authn", HTTP + "jwt_authn.v3.JwtAuthentication", providers={"p": provider},
                         rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}])]


CASES = [
    Filters("filter_rbac", "HTTP/1.1, 64 connections, RBAC with ten policies"),
    Jwt("filter_jwt", "HTTP/1.1, 64 connections, JWT (ES256) verified for every request"),
]
