"""Random route tables and requests that are likely to reach them. A seed always gives the same ones."""

import random

CLUSTERS = ["c0", "c1", "c2"]
DOMAINS = [
    "example.com", "a.example.com", "b.example.com", "A.Example.org", "a.example.com:8080", "example.com:443", "[::1]",
    "[::1]:8080", "*.example.com", "*example.com", "*.b.example.com", "*.com", "*:8080", "www.*", "www.example.*", "a.*",
    "*-internal.example.com",
]
HOSTS = [
    "example.com", "EXAMPLE.com", "a.example.com", "b.example.com", "x.b.example.com", "www.example.com", "www.example.net",
    "a.example.com:8080", "a.example.com:80", "example.com:443", "a.example.org", "a.b", "other", "other:8080", "[::1]",
    "[::1]:8080", "one-internal.example.com", ".com", "xexample.com", "www.", "127.0.0.1:80",
]
PATHS = ["/", "/a", "/a/", "/a/b", "/A", "/A/B", "/ab", "/abc/d", "/a/b/c", "/b", "/b.txt", "/a%2Fb", "/a//b", "/a/b;v=1", "/a;v/b", "/~u"]
QUERIES = ["", "", "", "?", "?q", "?q=", "?q=1", "?q=1&r=2", "?r=2&q=abc", "?Q=1", "?q=%61", "?x=/a?q=2", "?&&q=5", "?q=1&q=2"]
TEMPLATES = {  # and what they may be rewritten to
    "/{x}/b": ["/{x}", "/new/{x}/end", "/plain"], "/a/{y=*}": ["/{y}", "/{y}/{y}"], "/{x}/{rest=**}": ["/{rest}", "/{rest}/{x}"],
    "/*": ["/one"], "/**": ["/any"], "/a/**": ["/"], "/{file}.txt": ["/{file}"], "/{all=a/*}/c": ["/{all}"],
}
REGEXES = ["/a.*", "/(a|b)/.*", ".*", "/[a-z]+", "(?i)/a", "/a/b"]
HEADERS = {  # names and the values that they may have
    "x-a": ["1", "abc", "ABC", "", "a,b", "prefix-1-suffix"],
    "x-n": ["-5", "0", "7", "10", "007", "7 ", "+7", "0x7", "7.0", "9223372036854775807", "99999999999999999999", ""],
    "user-agent": ["curl/8", "abc", ""],
    "x-forwarded-proto": ["http", "https"],
    "cookie": ["a=1", "b=1; a=abc"],
    "content-type": ["application/grpc", "application/grpc+proto", "application/grpcx", "text/plain"],
}
FORMATS = [
    "%REQ(x-a)%", "%REQ(X-Absent?x-a)%", "%REQ(x-absent)%", "<%REQ(x-absent)%>", "%REQ(:PATH):3%", "%REQ(host)%", "%REQ(x-e1)%%%",
    "%PROTOCOL%", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "%START_TIME(%Y)%",
    "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "%RESPONSE_CODE%", "%RESP(x-up)%", "%RESP(x-e1?server)%", "%RESPONSE_FLAGS%",
    "%UPSTREAM_CLUSTER%", "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "%ROUTE_NAME%", "%BYTES_RECEIVED%", "%RESPONSE_CODE_DETAILS%",
    "%DYNAMIC_METADATA(a:b)%", "%FILTER_STATE(a)%", "%REQUESTED_SERVER_NAME%", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "%HOSTNAME%",
    "%VIRTUAL_CLUSTER_NAME%", "%DOWNSTREAM_TLS_VERSION%", "%DOWNSTREAM_PEER_URI_SAN%", "%BYTES_SENT%", "%REQUEST_HEADERS_BYTES%",
]
REPEATED = ["x-a", "x-n", "cookie"]
EDITED = ["x-e1", "x-e2", "X-E3", "x-a", "user-agent", "x-forwarded-for", "x-envoy-custom", "accept", "x-request-id",
          "cookie", "content-type", "x-forwarded-host", "x-envoy-attempt-count", "x-envoy-original-path"]
EDITED_RESPONSE = ["x-e1", "x-e2", "X-E3", "x-up", "server", "content-type", "set-cookie", "vary", "cache-control",
                   "location", "date", "x-envoy-upstream-service-time", "x-envoy-attempt-count"]
ACTIONS = ["APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS"]


def extension(message, **fields):
    return {"name": "x", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.path." + message, **fields}}


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.count = 0

    def chance(self, p):
        return self.random.random() < p

    def one(self, items):
        return self.random.choice(items)

    def some(self, items, most):
        return self.random.sample(items, self.random.randint(0, min(most, len(items))))

    # --- what must hold ---

    def string_match(self, values):
        value = self.one([v for v in values if v.strip()] or ["abc"]).strip()
        kind = self.one(["exact", "prefix", "suffix", "contains", "safe_regex"])
        if kind == "safe_regex":
            return {"safe_regex": {"regex": self.one([".*", "[a-z]+", "[0-9]*", "(?i)abc", ".+"])}}
        text = {"exact": value, "prefix": value[:2], "suffix": value[-2:], "contains": value[1:3] or value}[kind]
        out = {kind: text}
        if self.chance(0.3):
            out["ignore_case"] = True
        return out

    def header_match(self):
        name = self.one(list(HEADERS) + ["x-absent", "host", "cookie", ":method", ":authority", ":path", ":scheme"])
        values = HEADERS.get(name, ["GET", "/a", "example.com", "http", "abc"])
        kind = self.one(["present_match", "string_match", "string_match", "range_match", "none", "old"])
        out = {"name": name}
        if kind == "present_match":
            out[kind] = self.chance(0.7)
        elif kind == "string_match":
            out[kind] = self.string_match(values)
        elif kind == "range_match":
            out["name"] = "x-n"
            out[kind] = {"start": self.one([-10, 0, 7]), "end": self.one([0, 7, 8, 11, "9223372036854775807"])}
        elif kind == "old":
            value = self.one([v for v in values if v.strip()]).strip()
            out[self.one(["exact_match", "prefix_match", "suffix_match", "contains_match"])] = value
        if self.chance(0.25):
            out["invert_match"] = True
        if self.chance(0.25):
            out["treat_missing_header_as_empty"] = True
        return out

    def query_match(self):
        out = {"name": self.one(["q", "r", "Q", "x"])}
        if self.chance(0.3):
            out["present_match"] = self.chance(0.8)
        elif self.chance(0.7):
            out["string_match"] = self.string_match(["1", "2", "abc"])
        return out

    def cookie_match(self):
        out = {"name": self.one(["a", "b", "none"]), "string_match": self.string_match(["1", "abc"])}
        if self.chance(0.3):
            out["invert_match"] = True
        return out

    def path_match(self):
        kind = self.one(["prefix", "prefix", "path", "path_separated_prefix", "safe_regex", "path_match_policy"])
        if kind == "path_match_policy":
            return {kind: extension("match.uri_template.v3.UriTemplateMatchConfig", path_template=self.one(list(TEMPLATES)))}
        if kind == "safe_regex":
            return {kind: {"regex": self.one(REGEXES)}}
        path = self.one(PATHS)
        if kind == "path_separated_prefix":
            path = path.rstrip("/") or "/a"
        out = {kind: path}
        if self.chance(0.3):
            out["case_sensitive"] = self.chance(0.4)
        return out

    def match(self):
        out = self.path_match()
        if self.chance(0.35):
            out["headers"] = [self.header_match() for _ in range(self.random.randint(1, 2))]
        if self.chance(0.2):
            out["query_parameters"] = [self.query_match() for _ in range(self.random.randint(1, 2))]
        if self.chance(0.05):
            out["grpc"] = {}
        if self.chance(0.15):
            out["cookies"] = [self.cookie_match() for _ in range(self.random.randint(1, 2))]
        if self.chance(0.05):
            out["tls_context"] = {self.one(["presented", "validated"]): self.chance(0.3)}
        if self.chance(0.05):
            out["dynamic_metadata"] = [{"filter": "f", "path": [{"key": "k"}], "value": {"string_match": {"exact": "v"}},
                                        "invert": self.chance(0.7)}]
        if self.chance(0.02):
            out["filter_state"] = [{"key": "k", "string_match": {"prefix": "v"}}]
        if self.chance(0.1):
            out["runtime_fraction"] = {"default_value": {"numerator": self.one([0, 100])}}
        return out

    # --- what is done ---

    def edits(self, p):
        out = {}
        if not self.chance(p):
            return out
        for direction, names in (("request", EDITED), ("response", EDITED_RESPONSE)):
            added = [self.edit(self.one(names)) for _ in range(self.random.randint(0, 4))]
            removed = self.some(names, 2)
            if added:
                out[f"{direction}_headers_to_add"] = added
            if removed:
                out[f"{direction}_headers_to_remove"] = removed
        return out

    def value(self):
        self.count += 1
        plain = [f"v{self.count}", f"{self.count}%% of it", "", f"a, {self.count}"]
        return self.one(plain if self.chance(0.6) else FORMATS)

    def edit(self, name):
        out = {"header": {"key": name, "value": self.value()}}
        if self.chance(0.7):
            out["append_action"] = self.one(ACTIONS)
        elif self.chance(0.5):
            out["append"] = self.chance(0.5)
        if self.chance(0.3):
            out["keep_empty_value"] = True
        return out

    def regex_rewrite(self):
        pattern, by = self.one([
            ("^/a", "/rewritten"), ("/", "//"), ("b", ""), ("^/([^/]+)/(.*)$", r"/\2/\1"), ("x*", "-"), ("a|b", r"<\0>"), ("^/", ""),
        ])
        return {"pattern": {"regex": pattern}, "substitution": by}

    def cluster_specifier(self):
        kind = self.one(["cluster"] * 4 + ["cluster_header", "weighted_clusters", "weighted_clusters"])
        if kind == "cluster":
            return {kind: self.one(CLUSTERS)}
        if kind == "cluster_header":
            return {kind: self.one(["x-cluster", "X-A"])}
        chosen = self.random.randrange(3)
        weighted = [{"name": name, "weight": 100 if i == chosen else 0, **self.edits(0.5)} for i, name in enumerate(CLUSTERS)]
        if self.chance(0.2):
            weighted[chosen]["cluster_header"] = weighted[chosen].pop("name") and self.one(["x-cluster", "X-A"])
        if self.chance(0.2):
            weighted[chosen]["host_rewrite_literal"] = "weighted.example.com"
        return {kind: {"clusters": weighted}}

    def path_rewrite(self, match):
        if "path_match_policy" in match:
            template = match["path_match_policy"]["typed_config"]["path_template"]
            by = self.one(TEMPLATES[template])
            return {"path_rewrite_policy": extension("rewrite.uri_template.v3.UriTemplateRewriteConfig", path_template_rewrite=by)}
        return self.one([{"prefix_rewrite": self.one(["/", "/new", "/new/", "/n?x=1", "rel"])},
                         {"regex_rewrite": self.regex_rewrite()}, {"path_rewrite": self.path_format()}])

    def path_format(self):
        return self.one(["/f/%REQ(x-a)%", "%REQ(:path)%/more", "/%REQ(x-absent)%", "%REQ(x-absent)%", "%REQ(x-a)%", "/f?own=%REQ(x-n)%", "/%ROUTE_NAME%"])

    def route_action(self, match):
        out = self.cluster_specifier()
        if self.chance(0.5):
            out.update(self.path_rewrite(match))
        if self.chance(0.4):
            key = self.one(["host_rewrite_literal", "host_rewrite_header", "auto_host_rewrite", "host_rewrite_path_regex",
                            "host_rewrite"])
            out[key] = {"host_rewrite_literal": "new.example.com", "host_rewrite_header": self.one(["x-a", "X-Host"]),
                        "auto_host_rewrite": True, "host_rewrite_path_regex": self.regex_rewrite(),
                        "host_rewrite": self.one(["%REQ(x-a)%", "%REQ(x-a)%.example.com", "f-%REQ(:authority)%"])}[key]
        if self.chance(0.3):
            out["append_x_forwarded_host"] = True
        if self.chance(0.1):
            out["cluster_not_found_response_code"] = self.one(["NOT_FOUND", "INTERNAL_SERVER_ERROR"])
        if self.chance(0.2):
            out["timeout"] = self.one(["7s", "0s", "0.5s"])
        return out

    def redirect(self, match):
        out = {}
        if self.chance(0.4):
            out.update(self.one([{"https_redirect": True}, {"https_redirect": False}, {"scheme_redirect": "HTTPS"},
                                 {"scheme_redirect": "ftp"}, {"scheme_redirect": "http"}]))
        if self.chance(0.4):
            out["host_redirect"] = self.one(["new.example.com", "new.example.com:99", "[::2]"])
        if self.chance(0.3):
            out["port_redirect"] = self.one([80, 443, 8080])
        if self.chance(0.6):
            out.update(self.one([{"path_redirect": "/p"}, {"path_redirect": "/p?own=1"}, {"prefix_rewrite": "/new"},
                                 {"prefix_rewrite": "/"}, {"path_redirect": "/p#f"}, {"path_redirect": "rel"}, {"prefix_rewrite": "rel"},
                                 {"regex_rewrite": self.regex_rewrite()}, {"path_rewrite": self.path_format()}]))
        if "path_match_policy" in match:
            out.pop("prefix_rewrite", None)  # refused
        if self.chance(0.3):
            out["strip_query"] = True
        if self.chance(0.5):
            out["response_code"] = self.one(["FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT"])
        return out

    def direct(self):
        out = {"status": self.one([200, 200, 201, 204, 302, 304, 404, 503])}
        if self.chance(0.6) and out["status"] not in (204, 304):  # which have none, but Envoy sends it
            out["body"] = self.one([{"inline_string": "direct\n"}, {"inline_bytes": "AAEC"}, {"inline_string": ""}])
        return out

    def route(self, name):
        out = {"name": name, "match": self.match(), **self.edits(0.4)}
        kind = self.one(["route"] * 6 + ["redirect", "redirect", "direct_response"])
        out[kind] = {"route": lambda: self.route_action(out["match"]), "redirect": lambda: self.redirect(out["match"]),
                     "direct_response": self.direct}[kind]()
        if self.chance(0.2):
            out["stat_prefix"] = "p." + name
        # Tells which one it was, whatever answers.
        out.setdefault("response_headers_to_add", []).append({"header": {"key": "x-route", "value": name}})
        return out

    def virtual_host(self, name, domains):
        out = {"name": name, "domains": domains, **self.edits(0.4)}
        out["routes"] = [self.route(f"{name}-{i}") for i in range(self.random.randint(0, 5))]
        if self.chance(0.3):
            out["virtual_clusters"] = [{"name": f"vc{i}", "headers": [self.header_match()]} for i in range(2)]
        if self.chance(0.15):
            out["require_tls"] = self.one(["EXTERNAL_ONLY", "ALL"])
        if self.chance(0.2):
            out["include_request_attempt_count"] = True
        if self.chance(0.2):
            out["include_attempt_count_in_response"] = True
        return out

    def table(self, name):
        domains = self.random.sample(DOMAINS, self.random.randint(4, len(DOMAINS)))
        if self.chance(0.6):
            domains.append("*")
        hosts = []
        while domains:
            count = self.random.randint(1, 3)
            taken, domains = domains[:count], domains[count:]
            hosts.append(self.virtual_host(f"{name}h{len(hosts)}", taken))
        out = {"name": name, "virtual_hosts": hosts, "validate_clusters": False, **self.edits(0.5)}
        if self.chance(0.4):
            out["most_specific_header_mutations_wins"] = True
        if self.chance(0.3):
            out["ignore_port_in_host_matching"] = True
        if self.chance(0.3):
            out["ignore_path_parameters_in_path_matching"] = True
        if self.chance(0.2):
            out["internal_only_headers"] = ["x-a"]
        return out

    # --- what is asked ---

    def host_for(self, domain):
        if domain == "*":
            return self.one(HOSTS)
        host = domain.replace("*", self.one(["x", "abc", "x.b", "www"]))
        if self.chance(0.15):
            host = host.upper()
        if self.chance(0.15) and not host.endswith((":8080", ":443")):
            host += ":8080"
        return host

    def path_for(self, match):
        path = match.get("prefix") or match.get("path") or match.get("path_separated_prefix") or self.one(PATHS)
        if "path_match_policy" in match:
            return self.one(PATHS + ["/x/b", "/a/1", "/f.txt", "/a/1/c", "/a/b/c/d"])
        if "path" not in match and self.chance(0.5):
            path += self.one(["x", "/x", "/", "b/c"])
        return path.swapcase() if self.chance(0.1) else path

    def request(self, table):
        """(method, path, header lines, body)"""
        virtual_host = self.one(table["virtual_hosts"])
        host = self.host_for(self.one(virtual_host["domains"])) if self.chance(0.8) else self.one(HOSTS)
        match = self.one(virtual_host["routes"])["match"] if virtual_host["routes"] else {}
        path = self.path_for(match) if self.chance(0.8) else self.one(PATHS)
        lines = [("host", host)]
        if "cookies" in match and self.chance(0.8):
            lines.append(("cookie", self.one(HEADERS["cookie"])))
        wanted = [h["name"] for h in match.get("headers", []) if h["name"] != "host" and h["name"][0] != ":"]
        for name in dict.fromkeys(self.some(list(HEADERS), 2) + wanted * self.chance(0.8)):
            lines += [(name, self.one(HEADERS.get(name, ["1"]))) for _ in range(2 if name in REPEATED and self.chance(0.2) else 1)]
        if self.chance(0.4):
            lines.append(("x-cluster", self.one(CLUSTERS + ["absent", ""])))
        for name, value in (("x-e1", "sent"), ("X-Host", "sent.example.com"), ("accept", "*/*"), ("x-forwarded-for", "10.1.2.3"),
                            ("x-forwarded-host", "first.example.com"), ("x-envoy-attempt-count", "7"), ("x-envoy-original-path", "/sent")):
            if self.chance(0.2):
                lines.append((name, value))
        self.random.shuffle(lines)
        method = self.one(["GET"] * 6 + ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
        body = b"body" if method in ("POST", "PUT") else b""
        return method, path + self.one(QUERIES), lines, body


def request_bytes(method, path, lines, body):
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines)
    if body:
        head += f"content-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body
