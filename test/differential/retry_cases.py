"""Retries, hedging and their timeouts: what an upstream does with one request after the other, and who is asked what."""

from test.support import proxy as px
from test.support.upstream import Closed


# --- what the upstream does with a request: acts get (peer, rig) ---

def answer(status, headers="", body=b"text"):
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode()

    def act(peer, rig):
        peer.send(head + body)
    return act


def after(count, act):
    """Once so many requests have come."""
    def wait(peer, rig):
        rig.wait_for(count)
        act(peer, rig)
    return wait


def half(status):
    """An answer that the proxy breaks off when it does not want it; that it did can be waited for."""
    def act(peer, rig):
        peer.send(f"HTTP/1.1 {status} X\r\ncontent-length: 100\r\n\r\nhalf".encode())
        peer.wait_for_close()
        rig.broken_off.set()
        raise Closed()
    return act


def after_break(act):
    def wait(peer, rig):
        rig.broken_off.wait(10)
        act(peer, rig)
    return wait


def silent(peer, rig):
    peer.wait_for_close()
    raise Closed()


def cuts(peer, rig):
    peer.reset()
    raise Closed()


def closes(peer, rig):
    raise Closed()


def nonsense(peer, rig):
    peer.send(b"nonsense\r\n\r\n")
    silent(peer, rig)


def begins(peer, rig):
    """And never ends."""
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun")
    silent(peer, rig)


def informs_and_fails(peer, rig):
    peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
    answer(503)(peer, rig)


OK, BAD = answer(200), answer(503)


class Case:
    """`acts`: the last one holds for all further requests. `hosts`: metadata and priority of each (they all share the acts).
    `compared`: what of the order of hosts is not by chance."""

    def __init__(self, acts, retry=None, route=None, headers="", vhost=None, cluster=None, method="GET", body="", hosts=({},), refused=0,
                 compared=list):
        self.acts, self.headers, self.vhost, self.cluster = acts, headers, vhost or {}, cluster or {}
        self.route = {**(route or {}), **({"retry_policy": {"retry_back_off": QUICK, **retry}} if retry else {})}
        self.method, self.body, self.hosts, self.refused, self.compared = method, body, hosts, refused, compared


QUICK = {"base_interval": "0.001s", "max_interval": "0.002s"}


def retry_on(words, times=1, **more):
    return {"retry_on": words, "num_retries": times, **more}


def header_is(name, value):
    return {"name": name, "string_match": {"exact": value}}


def wait_headers(name, form, **more):
    return {"rate_limited_retry_back_off": {"reset_headers": [{"name": name, "format": form}], **more}}


def grpc(code):
    return answer(200, f"content-type: application/grpc\r\ngrpc-status: {code}\r\n", body=b"")


GRPC = "content-type: application/grpc\r\n"
LATE = {"per_try_timeout": "0.5s"}
HEDGE = {"hedge_policy": {"hedge_on_per_try_timeout": True}}
CANARY = {"metadata": {"filter_metadata": {"envoy.lb": {"canary": True, "version": ["1", "2"]}}}}
PREDICATE = "type.googleapis.com/envoy.extensions.retry.host."


def retried(hosts):
    return set(hosts[1:])


def omitting(kind, **more):
    return {"retry_host_predicate": [{"name": "p", "typed_config": {"@type": PREDICATE + kind, **more}}],
            "host_selection_retry_max_attempts": 20}


def by_priority(frequency):
    return {"retry_priority": {"name": "p", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
        "update_frequency": frequency}}}


def conditions():
    """Every condition with every way to fail."""
    failures = {"500": answer(500), "502": answer(502), "503": BAD, "409": answer(409), "404": answer(404), "429": answer(429), "cut": cuts,
                "closed": closes, "limited": answer(503, "x-envoy-ratelimited: true\r\n"), "marked": answer(200, "x-again: yes\r\n"),
                "nonsense": nonsense, "silent": silent}
    words = ("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx", "refused-stream",
             "retriable-status-codes", "retriable-headers", "envoy-ratelimited", "http3-post-connect-failure")
    for word in words:
        for name, failure in failures.items():
            more = {"retriable_status_codes": [429], "retriable_headers": [header_is("x-again", "yes")], **(LATE if failure is silent else {})}
            yield f"on_{word}_{name}", Case([failure, OK], retry_on(word, **more))
        yield f"on_{word}_refused", Case([OK], retry_on(word, 3, **omitting("previous_hosts.v3.PreviousHostsPredicate")), refused=1, hosts=())
    for word in ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"):
        for code in (1, 4, 13, 8, 14, 5):
            yield f"on_{word}_{code}", Case([grpc(code), grpc(0)], retry_on(word), headers=GRPC)


CASES = {
    **dict(conditions()),
    # --- headers of the request ---
    "asked_retry_on": Case([BAD, OK], headers="x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 2\r\n"),
    "asked_junk": Case([BAD, OK], headers="x-envoy-retry-on: nonsense\r\n"),
    "asked_grpc_on": Case([grpc(14), grpc(0)], headers=GRPC + "x-envoy-retry-grpc-on: unavailable\r\n"),
    "asked_besides_policy": Case([answer(409), OK], retry_on("connect-failure"), headers="x-envoy-retry-on: retriable-4xx\r\n"),
    "asked_no_retries": Case([BAD, OK], retry_on("5xx"), headers="x-envoy-max-retries: 0\r\n"),
    "asked_more_retries": Case([BAD, BAD, BAD, OK], retry_on("5xx"), headers="x-envoy-max-retries: 3\r\n"),
    "asked_junk_retries": Case([BAD, BAD, OK], retry_on("5xx"), headers="x-envoy-max-retries: many\r\n"),
    "asked_statuses": Case([answer(418), OK], headers="x-envoy-retry-on: retriable-status-codes\r\n"
                                                       "x-envoy-retriable-status-codes: 404, 418,junk\r\n"),
    "asked_headers": Case([answer(200, "X-Sorry: no\r\n"), OK], headers="x-envoy-retry-on: retriable-headers\r\n"
                                                                        "x-envoy-retriable-header-names: a, X-SORRY\r\n"),
    "asked_other_headers": Case([answer(200, "x-sorry: no\r\n"), OK], headers="x-envoy-retry-on: retriable-headers\r\n"
                                                                              "x-envoy-retriable-header-names: sorry\r\n"),
    "asked_per_try": Case([silent, OK], retry_on("5xx"), headers="x-envoy-upstream-rq-per-try-timeout-ms: 500\r\n"),
    "asked_per_try_over_global": Case([silent, OK], retry_on("5xx"), headers="x-envoy-upstream-rq-timeout-ms: 200\r\n"
                                                                             "x-envoy-upstream-rq-per-try-timeout-ms: 300\r\n"),
    "asked_alt_response": Case([silent, OK], retry_on("connect-failure", **LATE), headers="x-envoy-upstream-rq-timeout-alt-response: 1\r\n"),
    # --- which requests, which answers ---
    "request_header_matches": Case([BAD, OK], retry_on("5xx", retriable_request_headers=[header_is(":method", "PUT"), header_is("x-a", "1")]),
                                   headers="x-a: 1\r\n"),
    "request_header_does_not": Case([BAD, OK], retry_on("5xx", retriable_request_headers=[header_is("x-a", "1")]), headers="x-a: 2\r\n"),
    "answer_header_inverted": Case([OK, OK], retry_on("retriable-headers", retriable_headers=[
        {"name": "x-fine", "present_match": True, "invert_match": True}])),
    "answer_header_word_missing": Case([answer(200, "x-again: yes\r\n"), OK], retry_on("5xx", retriable_headers=[header_is("x-again", "yes")])),
    # --- back-off that answers ask for ---
    "told_seconds": Case([answer(503, "retry-after: 1\r\n"), OK], retry_on("5xx", **wait_headers("Retry-After", "SECONDS"))),
    "told_zero": Case([answer(503, "retry-after: 0\r\n"), OK], retry_on("5xx", **wait_headers("retry-after", "SECONDS"))),
    "told_junk": Case([answer(503, "retry-after: soon\r\n"), OK], retry_on("5xx", **wait_headers("retry-after", "SECONDS"))),
    "told_too_long": Case([answer(503, "retry-after: 3\r\n"), OK], retry_on("5xx", **wait_headers("retry-after", "SECONDS", max_interval="2s"))),
    "told_by_another": Case([answer(503, "x-wait: 1\r\n"), OK], retry_on("5xx", **wait_headers("retry-after", "SECONDS"))),
    "told_the_past": Case([answer(503, "x-reset: 1000000000\r\n"), OK], retry_on("5xx", **wait_headers("x-reset", "UNIX_TIMESTAMP"))),
    "told_far_future": Case([answer(503, "x-reset: 99999999999\r\n"), OK], retry_on("5xx", **wait_headers("x-reset", "UNIX_TIMESTAMP"))),
    "told_for_no_retry": Case([answer(503, "retry-after: 1\r\n")], retry_on("5xx", 0, **wait_headers("retry-after", "SECONDS"))),
    # --- time ---
    "late_once": Case([silent, OK], retry_on("5xx", **LATE)),
    "late_twice": Case([silent], retry_on("5xx", **LATE)),
    "late_not_retried": Case([silent, OK], retry_on("connect-failure", **LATE)),
    "late_all": Case([silent], retry_on("5xx", 5), route={"timeout": "0.2s"}),
    "late_while_backing_off": Case([BAD, OK], {**retry_on("5xx"), "retry_back_off": {"base_interval": "1000s", "max_interval": "1000s"}},
                                   route={"timeout": "0.2s"}),
    "idle_once": Case([silent, OK], retry_on("5xx", per_try_idle_timeout="0.5s")),
    "idle_twice": Case([silent], retry_on("5xx", per_try_idle_timeout="0.5s")),
    "idle_not_retried": Case([silent], retry_on("connect-failure", per_try_idle_timeout="0.5s")),
    "idle_in_answer": Case([begins, OK], retry_on("5xx", per_try_idle_timeout="0.5s")),
    "idle_before_per_try": Case([begins, OK], retry_on("5xx", per_try_idle_timeout="0.5s", per_try_timeout="5s")),
    "duration": Case([silent, OK], retry_on("5xx"), cluster={"common_http_protocol_options": {"max_stream_duration": "0.5s"}}),
    "informs_first": Case([informs_and_fails, OK], retry_on("5xx")),
    # --- telling the upstream ---
    "counted": Case([BAD, silent, OK], retry_on("5xx", 2, **LATE), vhost={"include_request_attempt_count": True,
                    "include_attempt_count_in_response": True, "include_is_timeout_retry_header": True}),
    "counted_failing": Case([BAD], retry_on("5xx", 2), vhost={"include_attempt_count_in_response": True}),
    "client_counts": Case([OK], headers="x-envoy-attempt-count: 7\r\nx-envoy-is-timeout-retry: true\r\n",
                          vhost={"include_request_attempt_count": True, "include_is_timeout_retry_header": True}),
    # --- policy of the virtual host ---
    "vhost_policy": Case([BAD, BAD, OK], vhost={"retry_policy": retry_on("5xx", 2)}),
    "route_before_vhost": Case([BAD, BAD, OK], retry_on("5xx", 1), vhost={"retry_policy": retry_on("5xx", 2)}),
    "vhost_policy_hidden": Case([BAD, OK], {"num_retries": 3}, vhost={"retry_policy": retry_on("5xx", 2)}),
    "vhost_hedges": Case([after(2, OK), silent], retry_on("5xx", **LATE), vhost=HEDGE),
    "route_does_not_hedge": Case([silent, OK], retry_on("5xx", **LATE), route={"hedge_policy": {}}, vhost=HEDGE),
    # --- late attempts beside the next ---
    "hedge_first_wins": Case([after(2, OK), silent], retry_on("5xx", **LATE), route=HEDGE),
    "hedge_second_wins": Case([silent, OK], retry_on("5xx", **LATE), route=HEDGE),
    "hedge_third_wins": Case([silent, silent, OK], retry_on("5xx", 2, **LATE), route=HEDGE),
    "hedge_late_is_bad": Case([after(2, half(503)), after_break(OK)], retry_on("5xx", **LATE), route=HEDGE),
    "hedge_second_is_bad": Case([after_break(OK), half(503)], retry_on("5xx", **LATE), route=HEDGE),
    "hedge_second_is_cut": Case([silent, cuts, OK], retry_on("5xx", 2, **LATE), route=HEDGE),
    "hedge_both_bad": Case([after(2, half(503)), after_break(answer(500))], retry_on("5xx", **LATE), route=HEDGE),
    "hedge_both_cut": Case([after(2, cuts), after(2, cuts)], retry_on("5xx", **LATE), route=HEDGE),
    "hedge_none_answers": Case([silent], retry_on("5xx", **LATE), route={**HEDGE, "timeout": "1.5s"}),
    "hedge_no_retries": Case([silent], retry_on("5xx", 0, **LATE), route={**HEDGE, "timeout": "0.8s"}),
    "hedge_whatever_policy": Case([silent, OK], retry_on("connect-failure", **LATE), route=HEDGE),
    "hedge_without_policy": Case([silent], route={**HEDGE, "timeout": "0.3s"}, headers="x-envoy-upstream-rq-per-try-timeout-ms: 100\r\n"),
    "hedge_asked": Case([silent, OK], retry_on("5xx", **LATE), headers="x-envoy-hedge-on-per-try-timeout: true\r\n"),
    "hedge_asked_not": Case([silent, OK], retry_on("5xx", **LATE), route=HEDGE, headers="x-envoy-hedge-on-per-try-timeout: false\r\n"),
    "hedge_asked_junk": Case([silent, OK], retry_on("5xx", **LATE), headers="x-envoy-hedge-on-per-try-timeout: 1\r\n"),
    "hedge_with_body": Case([silent, OK], retry_on("5xx", **LATE), route=HEDGE, method="POST", body="payload"),
    "hedge_told": Case([silent, OK], retry_on("5xx", **LATE), route=HEDGE, vhost={"include_request_attempt_count": True,
                       "include_is_timeout_retry_header": True}),
    "hedge_by_idleness": Case([silent, OK], retry_on("5xx", per_try_idle_timeout="0.5s"), route=HEDGE),
    # --- where to ---
    "no_canaries": Case([BAD], retry_on("5xx", 6, **omitting("omit_canary_hosts.v3.OmitCanaryHostsPredicate")), hosts=(CANARY, {}, CANARY),
                        compared=retried),
    "not_labelled": Case([BAD], retry_on("5xx", 6, **omitting("omit_host_metadata.v3.OmitHostMetadataConfig", metadata_match={
        "filter_metadata": {"envoy.lb": {"version": "2"}}})), hosts=(CANARY, {}, CANARY), compared=retried),
    "only_canaries": Case([BAD], retry_on("5xx", 3, **omitting("omit_canary_hosts.v3.OmitCanaryHostsPredicate")), hosts=(CANARY, CANARY), compared=len),
    "not_the_same": Case([BAD], retry_on("5xx", 2, **omitting("previous_hosts.v3.PreviousHostsPredicate")), hosts=({}, {}, {}), compared=sorted),
    "next_priority": Case([BAD], retry_on("5xx", 5, **by_priority(1)), hosts=({}, {"priority": 1}, {"priority": 2})),
    "next_priority_by_two": Case([BAD], retry_on("5xx", 5, **by_priority(2)), hosts=({}, {"priority": 1}, {"priority": 2})),
    "next_priority_is_empty": Case([BAD], retry_on("5xx", 5, **by_priority(1)), hosts=({}, {"priority": 1, "health_status": "UNHEALTHY"},
                                                                                    {"priority": 2})),
}

def cluster_of(name, case, next_port):
    groups = {}
    for host in case.hosts:
        endpoint = {k: v for k, v in host.items() if k != "priority"}
        groups.setdefault(host.get("priority", 0), []).append(
            {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": next_port()}}}, **endpoint})
    cluster = px.static_cluster(name, **case.cluster)
    cluster["load_assignment"]["endpoints"] = [{"priority": p, "lb_endpoints": hosts} for p, hosts in sorted(groups.items())]
    return cluster
