"""Upgrades and tunnels that Envoy and Remora are both given."""

from test.support.upstream import Closed

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: abc\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
ASK = b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n"
GET = b"GET /2 HTTP/1.1\r\nhost: a\r\n\r\n"
WEBSOCKET = {"upgrade_configs": [{"upgrade_type": "websocket"}]}
CONNECT = {"upgrade_configs": [{"upgrade_type": "CONNECT"}]}
ENDS_HERE = {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
CONNECT_MATCH = {"connect_matcher": {}}
HEAD = b"\r\n\r\n"

# Reasons that several exchanges share.
NOT_501 = "framing that two parsers could read differently is 400"
HALF_CLOSE = "each direction of a tunnel ends for itself; Envoy ends both and loses what was under way"
PLAIN_REQUEST = "an upgrade to what is not configured is a plain request; nothing of it reaches the upstream"


def connect(*lines, host=b"target.example:443", body=b""):
    return b"\r\n".join([b"CONNECT " + host + b" HTTP/1.1", b"host: " + host, *lines]) + b"\r\n\r\n" + body


class Tunnel:
    """`steps`: bytes to send, ("until", bytes) to await from the proxy, ("end",) to half-close. Then the client
    resets the connection or, with `ends`, waits until the proxy has closed it. `differs` names what differs, and why."""

    def __init__(self, name, steps, script, hcm=None, route=None, match=None, upstream=True, ends=False, differs=None):
        self.name = name
        self.steps = steps
        self.script = script
        self.hcm = hcm or {}
        self.route = route or {}
        self.match = match or {"prefix": "/"}
        self.upstream = upstream
        self.ends = ends
        self.differs = differs or {}


def echo(peer):
    while True:
        if not peer.buffer:
            peer._more()
        peer.send(peer.buffer)
        peer.buffer = b""


def hold(peer):
    peer.wait_for_close()


def answer(raw, then=echo):
    def script(peer):
        peer.read_head()
        peer.send(raw)
        if then:
            then(peer)

    return script


def first(raw):
    """Raw TCP: the server speaks first."""

    def script(peer):
        peer.send(raw)
        echo(peer)

    return script


def reset_at_first_byte(peer):
    peer._more()
    peer.reset()


def answer_at_the_end(peer):
    try:
        while True:
            peer._more()
    except Closed:
        pass
    peer.send(b"after " + peer.buffer)


def say_and_end(raw):
    def script(peer):
        peer.send(raw)
        peer.sock.shutdown(1)
        peer.wait_for_close()

    return script


def until(text):
    return ("until", text)


UPGRADES = [
    Tunnel("ws", [ASK + HEAD[2:], until(HEAD), b"hello", until(b"hello")], answer(SWITCH), WEBSOCKET),
    Tunnel("ws_early", [ASK + HEAD[2:] + b"early", until(b"early")], answer(SWITCH), WEBSOCKET),
    Tunnel("ws_ahead", [ASK + HEAD[2:], until(b"ahead")], answer(SWITCH + b"ahead"), WEBSOCKET),
    Tunnel("ws_other_case", [ASK.replace(b"websocket", b"WebSocket") + HEAD[2:], until(HEAD), b"x", until(b"x")],
           answer(SWITCH), WEBSOCKET),
    Tunnel("ws_post", [ASK.replace(b"GET", b"POST") + HEAD[2:], until(HEAD), b"x", until(HEAD + b"x")], answer(SWITCH),
           WEBSOCKET),
    Tunnel("ws_route_enables", [ASK + HEAD[2:], until(HEAD), b"x", until(HEAD + b"x")], answer(SWITCH), {}, WEBSOCKET),
    Tunnel("ws_route_enables_what_is_off", [ASK + HEAD[2:], until(HEAD), b"x", until(HEAD + b"x")], answer(SWITCH),
           {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}, WEBSOCKET),
    Tunnel("ws_route_disables", [ASK + HEAD[2:], until(HEAD)], answer(SWITCH), WEBSOCKET,
           {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}),
    Tunnel("ws_off", [ASK + HEAD[2:], until(HEAD)], answer(SWITCH),
           {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}),
    Tunnel("ws_unconfigured", [ASK + HEAD[2:], until(HEAD)], answer(PLAIN, hold),
           differs={"client": PLAIN_REQUEST, "forwarded": PLAIN_REQUEST, "log": PLAIN_REQUEST}),
    Tunnel("h2c", [ASK.replace(b"Upgrade\r\n", b"Upgrade, HTTP2-Settings\r\nhttp2-settings: AAA\r\n")
                   .replace(b"websocket\r\n", b"h2c\r\n") + HEAD[2:], until(b"ok")], answer(PLAIN, hold), WEBSOCKET),
    Tunnel("ws_without_connection", [ASK.replace(b"connection: Upgrade\r\n", b"") + HEAD[2:], until(b"ok")],
           answer(PLAIN, hold), WEBSOCKET),
    Tunnel("ws_401", [ASK + HEAD[2:] + GET, until(b"no")], answer(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno", hold),
           WEBSOCKET, differs={"log": "bytes behind a refused upgrade are nobody's: they are not counted"}),
    Tunnel("ws_200", [ASK + HEAD[2:] + GET, until(HEAD)], answer(PLAIN, hold), WEBSOCKET,
           differs={k: "any answer but 101 is an ordinary one; Envoy drops the body of a 2xx or 3xx to WebSocket"
                    for k in ("client", "log")}),
    Tunnel("ws_101_with_length", [ASK + HEAD[2:], until(b"protocol error")],
           answer(SWITCH.replace(b"sec-", b"content-length: 3\r\nsec-"), hold), WEBSOCKET),
    Tunnel("ws_101_chunked", [ASK + HEAD[2:], until(b"protocol error")],
           answer(SWITCH.replace(b"sec-", b"transfer-encoding: chunked\r\nsec-"), hold), WEBSOCKET),
    Tunnel("ws_101_to_something_else", [ASK + HEAD[2:], until(HEAD)], answer(SWITCH.replace(b"websocket", b"other"), hold),
           WEBSOCKET, differs={k: "a protocol that was not asked for is refused" for k in ("client", "log")}),
    Tunnel("ws_nobody_there", [ASK + HEAD[2:], until(b"failure")], hold, WEBSOCKET, upstream=False),
    Tunnel("ws_answer_timeout", [ASK + HEAD[2:], until(b"timeout")], hold, WEBSOCKET, {"timeout": "0.2s"}),
    Tunnel("ws_request_timeout", [ASK + HEAD[2:], until(b"timeout")], hold, {**WEBSOCKET, "request_timeout": "0.2s"}),
    Tunnel("ws_idle_before", [ASK + HEAD[2:], until(b"stream timeout")], hold, {**WEBSOCKET, "stream_idle_timeout": "0.2s"}),
    Tunnel("ws_idle", [ASK + HEAD[2:], until(HEAD)], answer(SWITCH, hold), {**WEBSOCKET, "stream_idle_timeout": "0.2s"},
           ends=True),
    Tunnel("ws_max_duration", [ASK + HEAD[2:], until(HEAD)], answer(SWITCH, hold),
           {**WEBSOCKET, "common_http_protocol_options": {"max_stream_duration": "0.2s"}}, ends=True),
    Tunnel("ws_server_resets", [ASK + HEAD[2:], until(HEAD), b"x"], answer(SWITCH, reset_at_first_byte), WEBSOCKET, ends=True),
    Tunnel("ws_client_leaves", [ASK + HEAD[2:], until(HEAD), b"x", until(HEAD + b"x")], answer(SWITCH), WEBSOCKET),
    Tunnel("ws_client_ends", [ASK + HEAD[2:], until(HEAD), b"bye", ("end",)], answer(SWITCH, answer_at_the_end), WEBSOCKET,
           ends=True, differs={"client": HALF_CLOSE, "forwarded": HALF_CLOSE, "log": HALF_CLOSE}),
    Tunnel("ws_server_ends", [ASK + HEAD[2:], until(b"last"), ("end",)], answer(SWITCH, say_and_end(b"last")), WEBSOCKET,
           ends=True, differs={"log": HALF_CLOSE}),
]

TUNNELS = [
    Tunnel("connect_no_route", [connect(), until(HEAD)], hold, CONNECT),
    Tunnel("connect_no_route_unconfigured", [connect(), until(HEAD)], hold),
    Tunnel("connect_unconfigured", [connect(), until(HEAD)], hold, {}, {}, CONNECT_MATCH),
    Tunnel("get_meets_connect_matcher", [GET, until(HEAD)], hold, CONNECT, {}, CONNECT_MATCH),
    Tunnel("connect_passed_on", [connect(), until(HEAD), b"hello", until(b"hello")], answer(OK), CONNECT, {}, CONNECT_MATCH),
    Tunnel("connect_passed_on_early", [connect(body=b"early"), until(b"early")], answer(OK), CONNECT, {}, CONNECT_MATCH),
    Tunnel("connect_passed_on_ahead", [connect(), until(b"ahead")], answer(OK + b"ahead"), CONNECT, {}, CONNECT_MATCH),
    Tunnel("connect_passed_on_chunked", [connect(), until(HEAD), b"x", until(HEAD + b"x")],
           answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), CONNECT, {}, CONNECT_MATCH),
    Tunnel("connect_passed_on_length", [connect(), until(HEAD), b"x", until(HEAD + b"x")],
           answer(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"), CONNECT, {}, CONNECT_MATCH,
           differs={"client": "RFC 9110 9.3.6: a length has no meaning there and must not be sent"}),
    Tunnel("connect_refused_by_upstream", [connect(body=GET), until(b"no")],
           answer(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno", hold), CONNECT, {},
           CONNECT_MATCH, differs={"log": "bytes behind a refused CONNECT are nobody's: they are not counted"}),
    Tunnel("connect_other_host_field", [b"CONNECT t.example:443 HTTP/1.1\r\nhost: other\r\n\r\n", until(HEAD)], answer(OK),
           CONNECT, {}, CONNECT_MATCH),
    Tunnel("connect_ports_stay", [connect(), until(HEAD)], answer(OK), {**CONNECT, "strip_any_host_port": True}, {}, CONNECT_MATCH),
    Tunnel("connect_host_rewrite", [connect(), until(HEAD)], answer(OK), CONNECT, {"host_rewrite_literal": "other:1"},
           CONNECT_MATCH),
    Tunnel("connect_ends_here", [connect(), until(b"220 hi"), b"hello", until(b"hello")], first(b"220 hi"), CONNECT, ENDS_HERE,
           CONNECT_MATCH),
    Tunnel("connect_ends_here_by_route", [connect(), until(HEAD), b"x", until(HEAD + b"x")], echo, {}, ENDS_HERE, CONNECT_MATCH),
    Tunnel("connect_ends_here_early", [connect(body=b"early"), until(b"early")], echo, CONNECT, ENDS_HERE, CONNECT_MATCH),
    Tunnel("connect_ends_here_nobody_there", [connect(), until(b"failure")], hold, CONNECT, ENDS_HERE, CONNECT_MATCH, upstream=False),
    Tunnel("connect_ends_here_retried", [connect(), until(b"failure")], hold, CONNECT,
           {**ENDS_HERE, "retry_policy": {"retry_on": "connect-failure", "num_retries": 2}}, CONNECT_MATCH, upstream=False),
    Tunnel("connect_ends_here_server_resets", [connect(), until(HEAD), b"x"], reset_at_first_byte, CONNECT, ENDS_HERE,
           CONNECT_MATCH, ends=True),
    Tunnel("connect_ends_here_server_ends", [connect(), until(b"last"), ("end",)], say_and_end(b"last"), CONNECT, ENDS_HERE,
           CONNECT_MATCH, ends=True),
    Tunnel("connect_ends_here_client_ends", [connect(), until(HEAD), b"bye", ("end",)], answer_at_the_end, CONNECT, ENDS_HERE,
           CONNECT_MATCH, ends=True, differs={"client": HALF_CLOSE, "forwarded": HALF_CLOSE, "log": HALF_CLOSE}),
    Tunnel("connect_ends_here_idle", [connect(), until(HEAD)], hold, {**CONNECT, "stream_idle_timeout": "0.2s"}, ENDS_HERE,
           CONNECT_MATCH, ends=True),
    Tunnel("connect_ends_here_proxy_protocol", [connect(), until(b"PROXY TCP4"), b"x", until(b"x")], echo, CONNECT,
           {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {"proxy_protocol_config": {"version": "V1"}}}]},
           CONNECT_MATCH, differs={k: "the ports differ" for k in ("client", "forwarded")}),
    Tunnel("post_ends_here", [b"POST /t HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", until(b"hello"),
                              b"0\r\n\r\n", until(b"0\r\n\r\n")], echo, CONNECT,
           {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}]}),
    Tunnel("post_not_allowed", [b"POST /t HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", until(b"ok")], answer(PLAIN, hold),
           CONNECT, ENDS_HERE),
    Tunnel("connect_and_upgrade", [connect(b"connection: upgrade", b"upgrade: websocket"), until(HEAD), b"x", until(HEAD + b"x")],
           echo, {"upgrade_configs": CONNECT["upgrade_configs"] + WEBSOCKET["upgrade_configs"]}, ENDS_HERE, CONNECT_MATCH),
    Tunnel("connect_length", [connect(b"content-length: 5", body=b"hello"), until(b"Bad Request")], echo, CONNECT, ENDS_HERE,
           CONNECT_MATCH),
    Tunnel("connect_length_0", [connect(b"content-length: 0"), until(HEAD), b"x", until(HEAD + b"x")], echo, CONNECT, ENDS_HERE,
           CONNECT_MATCH),
    Tunnel("connect_chunked", [connect(b"transfer-encoding: chunked"), until(b"\r\n\r\n")], echo, CONNECT, ENDS_HERE,
           CONNECT_MATCH, differs={"client": NOT_501, "log": NOT_501}),
    Tunnel("connect_no_port", [connect(host=b"t.example"), until(b"Bad Request")], echo, CONNECT, ENDS_HERE, CONNECT_MATCH),
    Tunnel("connect_a_path", [b"CONNECT /x HTTP/1.1\r\nhost: a\r\n\r\n", until(b"Bad Request")], echo, CONNECT, ENDS_HERE,
           CONNECT_MATCH),
    Tunnel("connect_user", [connect(host=b"u@t.example:443"), until(b"Bad Request")], echo, CONNECT, ENDS_HERE, CONNECT_MATCH),
]

ALL = UPGRADES + TUNNELS
