"""The first bytes of connections, for Envoy and Remora alike. `differs`: why Remora does otherwise (only its fate is checked then)."""

from test.support import hello, proxy_header


class First:
    """`fate`: what becomes of the connection in Remora where it differs: "served" or "closed"."""

    def __init__(self, name, data, differs=None, fate=None):
        self.name = name
        self.data = data
        self.differs = differs
        self.fate = fate


SNI = hello.server_name
A = SNI(b"a") + hello.USUAL


def names(*hosts):
    return hello.extension(0, hello.vector16(b"".join(b"\0" + hello.vector16(host) for host in hosts)))


TLS = [
    First("usual", hello.hello(SNI(b"Foo.COM") + hello.protocols(b"h2", b"http/1.1") + hello.USUAL,
                               ciphers=b"\x1a\x1a\x13\x01\xc0\x2b")),
    First("openssl", hello.made_by_openssl("x.example", "h2", "http/1.1")),
    First("no_name", hello.hello()),
    First("no_extensions", hello.hello(None)),
    First("empty_extensions", hello.hello(b"")),
    First("name_nul", hello.hello(SNI(b"a\0b") + hello.USUAL)),
    First("name_256", hello.hello(SNI(b"a" * 256) + hello.USUAL)),
    First("name_255", hello.hello(SNI(b"a" * 255) + hello.USUAL)),
    First("name_empty", hello.hello(SNI(b"") + hello.USUAL)),
    First("name_ip", hello.hello(SNI(b"10.0.0.1") + hello.USUAL)),
    First("name_dot", hello.hello(SNI(b"example.com.") + hello.USUAL)),
    First("names_two", hello.hello(names(b"a", b"b") + hello.USUAL)),
    First("name_type", hello.hello(hello.extension(0, hello.vector16(b"\1" + hello.vector16(b"a"))) + hello.USUAL)),
    First("name_twice", hello.hello(SNI(b"a") + SNI(b"b") + hello.USUAL)),
    First("alpn_twice", hello.hello(SNI(b"a") + hello.protocols(b"h2") + hello.protocols(b"x") + hello.USUAL)),
    First("extension_twice", hello.hello(hello.extension(99, b"") * 2 + A)),
    First("alpn_malformed", hello.hello(SNI(b"a") + hello.extension(16, b"\0\5\2h2") + hello.USUAL)),
    First("alpn_empty", hello.hello(SNI(b"a") + hello.extension(16, b"\0\0") + hello.USUAL)),
    First("ssl3", hello.hello(SNI(b"a"), version=0x0300)),
    First("tls10", hello.hello(SNI(b"a"), version=0x0301)),
    First("tls12", hello.hello(SNI(b"a"), version=0x0303)),
    First("version5", hello.hello(SNI(b"a"), version=0x0305)),
    First("versions_unknown", hello.hello(SNI(b"a") + hello.extension(43, hello.vector8(b"\x7f\x1c")))),
    First("versions_malformed", hello.hello(SNI(b"a") + hello.extension(43, b"\5\3"))),
    First("ciphers_odd", hello.hello(A, ciphers=b"\x13\x01\x13")),
    First("ciphers_none", hello.hello(A, ciphers=b"")),
    First("compression_none", hello.hello(A, compression=b"")),
    First("compression_other", hello.hello(A, compression=b"\1")),
    First("session_33", hello.hello(A, session=b"s" * 33)),
    First("trailing", hello.record(hello.message(hello.body(A) + b"x"))),
    First("excess", hello.record(hello.message(hello.body(A)) + b"\x01\0\0\0")),
    First("records_of_one", hello.in_records(hello.hello(A), 1)),
    First("empty_record", hello.record(b"") + hello.hello(A)),
    First("server_hello", hello.record(b"\x02\0\0\x05hello")),
    First("alert", b"\x15\x03\x01\0\2\2\x28"),
    First("record_version", hello.record(hello.message(hello.body(A)), version=0x03ff)),
    First("record_ssl2", hello.record(hello.message(hello.body(A)), version=0x0200)),
    First("record_too_long", b"\x16\x03\x01\xff\xff" + b"x" * 100),
    First("largest", hello.hello_of_size(16384)),
    First("too_large", hello.hello_of_size(16385)),
    First("far_too_large", hello.in_records(hello.hello_of_size(20000), 16000),
          differs="it is not taken for plain bytes", fate="closed"),
    First("http", b"GET / HTTP/1.1\r\n\r\n"),
    First("ssl2", b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10\x01\0\x80" + b"x" * 40),
    First("one_byte", b"x", differs="the first byte is enough", fate="served"),
]

LINES = [
    "GET / HTTP/1.1\r\n", "GET / HTTP/1.0\r\n", "GET / HTTP/1.1\n", "GET / HTTP/2.0\r\n", "GET / HTTP/1.2\r\n", "GET /\r\n",
    "GET\r\n", "\r\nGET / HTTP/1.1\r\n", "get / http/1.1\r\n", "GET  /  HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", "FOO BAR BAZ\r\n",
    "FOO BAR HTTP/1.1\r\n", "G\0T / HTTP/1.1\r\n", "GET /a b HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n", "PRI * HTTP/1.1\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET http://x/ HTTP/1.1\r\n", " GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\r\n",
    "GET / HTTP/10.1\r\n", "GET\t/ HTTP/1.1\r\n", "GET /\x01 HTTP/1.1\r\n", "GET /\x7f HTTP/1.1\r\n", "GET /\xff HTTP/1.1\r\n",
    "F(O", "hello world\n", "220 smtp ESMTP\r\n", "\n", "GET / XTTP/1.1\r\n", "GET / HTTP/1.1x\r\n", "GET *x HTTP/1.1\r\n",
    "GET http:/x HTTP/1.1\r\n", "GET http:// HTTP/1.1\r\n", "GET a+b://x HTTP/1.1\r\n", "GET ://x HTTP/1.1\r\n",
    "GET 1://x HTTP/1.1\r\n", "GET ?x HTTP/1.1\r\n", "CONNECT a:1 HTTP/1.1\r\n", "CONNECT * HTTP/1.1\r\n", "GET / \r\n",
    "GET  \r\n", "GET / HTTP/1.1 x\r\n", "GET /\rx HTTP/1.1\r\n", "GET /x\r HTTP/1.1\r\n", "M-SEARCH * HTTP/1.1\r\n",
    "SSH-2.0-OpenSSH_9\r\n", "GET /" + "x" * 65000 + " HTTP/1.1\r\n", "GET /" + "x" * 66000 + " HTTP/1.1\r\n",
]
HTTP = [First(f"line_{at}", line.encode("latin-1")) for at, line in enumerate(LINES)]


def one(text, **more):
    return First("v1 " + text.decode("latin-1").replace("\0", "NUL"), proxy_header.line(text) + b"data", **more)


def two(name, command, family, content, **more):
    return First("v2 " + name, proxy_header.v2(command, family, content) + b"data", **more)


STRICT_NUMBER = {"differs": "a number or address that two readers could take differently", "fate": "closed"}
TLVS = (proxy_header.tlv(2, b"foo.com") + proxy_header.tlv(5, b"id\xff\x80x") + proxy_header.tlv(2, b"second") +
        proxy_header.tlv(4, b"") + proxy_header.tlv(0xe0, b"zz"))
E4 = proxy_header.USUAL
E6 = proxy_header.ends("1:2:3::4", "5:6::7:8")

PROXY = [
    one(b"TCP4 1.2.3.4 5.6.7.8 1000 2000"),
    one(b"TCP6 1:2:3::4 5:6::7:8 1000 2000"),
    one(b"TCP6 ::ffff:1.2.3.4 ::ffff:5.6.7.8 1000 2000"),
    one(b"TCP4 127.0.0.1 127.0.0.1 0 65535"),
    one(b"UNKNOWN"),
    one(b"UNKNOWN ff:: aa:: 1 2"),
    one(b"UNKNOWNX"),
    one(b"TCP4 1::1 5::1 1000 2000"),
    one(b"TCP6 1.2.3.4 5.6.7.8 1000 2000"),
    one(b"TCP4 1.2.3.4 5.6.7.8 65536 1"),
    one(b"TCP4 1.2.3.4 5.6.7.8 -1 1"),
    one(b"TCP4 1.2.3.4 5.6.7.8 01000 2000", **STRICT_NUMBER),
    one(b"TCP4 1.2.3.4 5.6.7.8 +1000 2000", **STRICT_NUMBER),
    one(b"TCP4 1.2.3.4\0 5.6.7.8 1000 2000", **STRICT_NUMBER),
    one(b"TCP6 fe80::1%lo 5:6::7:8 1000 2000", **STRICT_NUMBER),
    one(b"TCP4 1.2.3.4 5.6.7.8 1000 2000 ", differs="white space before the end", fate="closed"),
    one(b"TCP4 1.2.3.4 5.6.7.8 1000 2000\r", differs="white space before the end", fate="closed"),
    one(b"TCP4 1.2.3.04 5.6.7.8 1000 2000"),
    one(b"TCP4 1.2.3 5.6.7.8 1000 2000"),
    one(b"TCP4 0.0.0.0 5.6.7.8 1000 2000"),
    one(b"TCP4 224.0.0.1 5.6.7.8 1000 2000"),
    one(b"TCP4 255.255.255.255 5.6.7.8 1000 2000"),
    one(b"TCP6 :: 5:6::7:8 1000 2000"),
    one(b"TCP6 ff02::1 5:6::7:8 1000 2000"),
    one(b"TCP4  1.2.3.4 5.6.7.8 1000 2000"),
    one(b"TCP4 1.2.3.4 5.6.7.8 1000 2000 x"),
    one(b"TCP4 1.2.3.4 5.6.7.8 1000"),
    one(b"UDP4 1.2.3.4 5.6.7.8 1000 2000"),
    First("v1 108 bytes", b"PROXY UNKNOWN " + b"x" * 92 + b"\r\ndata"),
    First("v1 109 bytes", b"PROXY UNKNOWN " + b"x" * 93 + b"\r\ndata",
          differs="a version that is not let in is refused before its line ends", fate="closed"),
    First("v1 lower case", b"proxy TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n"),
    First("v1 tab", b"PROXY\tTCP4 1.2.3.4 5.6.7.8 1000 2000\r\n"),
    First("v1 twice", proxy_header.line(b"TCP4 1.2.3.4 5.6.7.8 1000 2000") * 2),
    First("none", b"GET / HTTP/1.1\r\n\r\n"),
    First("none after an empty line", b"\r\nGET / HTTP/1.1\r\n\r\n"),
    First("none that begins alike", b"PROXYX abcdefghijkl\r\n"),
    two("usual", 0x21, 0x11, E4),
    two("over IPv6", 0x21, 0x21, E6),
    two("of UDP", 0x21, 0x12, E4),
    two("of a Unix socket", 0x21, 0x31, b"\0" * 216),
    two("of nothing", 0x21, 0, b""),
    two("without transport", 0x21, 0x10, E4),
    two("of an unknown family", 0x21, 0x41, E4),
    two("of an unknown transport", 0x21, 0x13, E4),
    two("local", 0x20, 0, b""),
    two("local with ends", 0x20, 0x11, E4 + proxy_header.tlv(2, b"foo.com")),
    two("local with junk", 0x20, 0x77, b"junkjunk"),
    two("version 1", 0x11, 0x11, E4),
    two("version 3", 0x31, 0x11, E4),
    two("unknown command", 0x22, 0x11, E4),
    two("too short", 0x21, 0x11, E4[:11]),
    two("too short for IPv6", 0x21, 0x21, E4),
    two("from anywhere", 0x21, 0x11, proxy_header.ends("0.0.0.0", "5.6.7.8")),
    two("to a group", 0x21, 0x11, proxy_header.ends("1.2.3.4", "239.1.1.1")),
    two("mapped", 0x21, 0x21, proxy_header.ends("::ffff:1.2.3.4", "::ffff:5.6.7.8")),
    two("extensions", 0x21, 0x11, E4 + TLVS),
    two("extension cut after its type", 0x21, 0x11, E4 + b"\2"),
    two("extension cut in its length", 0x21, 0x11, E4 + b"\2\0"),
    two("extension cut in its value", 0x21, 0x11, E4 + b"\2\0\5abcd"),
    two("empty extension", 0x21, 0x11, E4 + b"\2\0\0"),
    two("large", 0x21, 0x11, E4 + proxy_header.tlv(9, b"x" * 60000)),
]
