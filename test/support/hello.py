"""ClientHellos as bytes, well formed and not, without a TLS library; and one that a TLS library made."""

import ssl
import struct


def u16(number):
    return struct.pack(">H", number)


def vector8(data):
    return bytes([len(data)]) + data


def vector16(data):
    return u16(len(data)) + data


def extension(kind, content):
    return u16(kind) + vector16(content)


def server_name(name):
    return extension(0, vector16(b"\0" + vector16(name)))


def protocols(*names):
    return extension(16, vector16(b"".join(vector8(name) for name in names)))


# Groups with a random value in front, point formats, versions, signature algorithms and a key.
USUAL = (extension(10, vector16(b"\x0a\x0a\x00\x1d\x00\x17")) + extension(11, vector8(b"\0")) +
         extension(43, vector8(b"\x3a\x3a\x03\x04\x03\x03")) + extension(13, vector16(b"\x04\x03\x08\x04")) +
         extension(51, vector16(b"\x00\x1d" + vector16(b"k" * 32))))


def body(extensions, version=0x0303, ciphers=b"\x13\x01\x13\x02\x00\x2f", compression=b"\0", session=b""):
    tail = b"" if extensions is None else vector16(extensions)
    return u16(version) + b"R" * 32 + vector8(session) + vector16(ciphers) + vector8(compression) + tail


def message(content):
    return b"\x01" + struct.pack(">I", len(content))[1:] + content


def record(content, version=0x0301):
    return b"\x16" + u16(version) + vector16(content)


def hello(extensions=USUAL, **more):
    return record(message(body(extensions, **more)))


def hello_of_size(size):
    """One that is so many bytes long, header of its record included."""
    bare = len(hello(server_name(b"a") + USUAL + extension(21, b"")))
    return hello(server_name(b"a") + USUAL + extension(21, bytes(size - bare)))


def in_records(whole, size):
    """The same message in records of so many bytes."""
    content = whole[5:]
    return b"".join(record(content[at:at + size]) for at in range(0, len(content), size))


def made_by_openssl(name, *alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
