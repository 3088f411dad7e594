"""PROXY protocol headers as bytes, well formed and not."""

import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def line(text):
    return b"PROXY " + text + b"\r\n"


def ends(source, destination, source_port=1000, destination_port=2000):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    return (socket.inet_pton(family, source) + socket.inet_pton(family, destination) +
            struct.pack(">HH", source_port, destination_port))


def v2(command, family, content, length=None):
    return (SIGNATURE + bytes([command, family]) +
            struct.pack(">H", len(content) if length is None else length) + content)


def tlv(kind, value):
    return bytes([kind]) + struct.pack(">H", len(value)) + value


USUAL = ends("1.2.3.4", "5.6.7.8")
