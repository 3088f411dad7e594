"""tcpdump, and what its packets say when they are put together again."""

import contextlib
import signal
import struct

from lib.processes import Process, wait_until

ETHERNET_BYTES = 14
PCAP_HEADER_BYTES = 24
PACKET_HEADER_BYTES = 16
TLS_HEADER_BYTES = 5
TLS_TYPES = range(20, 24)  # change cipher spec, alert, handshake, application data
TLS_MAX_RECORD_BYTES = 16384 + 256
SEQUENCE_SPACE = 1 << 32


class Capture:
    """Everything TCP that passes an interface of a namespace."""

    def __init__(self, namespace, interface, folder):
        self._file = folder / "capture.pcap"
        self._process = Process("tcpdump", namespace.command(
            "tcpdump", "-i", interface, "-w", self._file, "-s", "0", "-U", "--immediate-mode",
            "-B", "16384", "-Z", "root", "tcp"), folder / "tcpdump.log")

        def listening():
            self._process.check_alive()
            return "listening on" in self._process.log_tail()
        wait_until(listening, "tcpdump listens")

    def bytes(self):
        return self._file.read_bytes() if self._file.exists() else b""

    def stop(self):
        self._process.stop(signal.SIGINT)

    @contextlib.contextmanager
    def running(self):
        try:
            yield self
        finally:
            self.stop()

    def streams(self):
        """{(from address, from port, to address, to port): bytes in order}"""
        segments = {}
        for packet in packets(self.bytes()):
            parsed = tcp_segment(packet)
            if parsed is not None:
                stream, sequence, payload = parsed
                segments.setdefault(stream, []).append((sequence, payload))
        return {stream: in_order(parts) for stream, parts in segments.items()}


def packets(pcap):
    at = PCAP_HEADER_BYTES
    while at + PACKET_HEADER_BYTES <= len(pcap):
        captured = struct.unpack_from("<I", pcap, at + 8)[0]
        at += PACKET_HEADER_BYTES
        yield pcap[at:at + captured]
        at += captured


def tcp_segment(frame):
    """(stream, sequence number, payload) of an Ethernet frame; None when there is no payload."""
    ip = frame[ETHERNET_BYTES:]
    if len(ip) < 20 or ip[0] >> 4 != 4 or ip[9] != 6:
        return None
    tcp = ip[(ip[0] & 15) * 4:struct.unpack_from("!H", ip, 2)[0]]
    source, target, sequence = struct.unpack_from("!HHI", tcp)
    payload = tcp[(tcp[12] >> 4) * 4:]
    if not payload:
        return None
    return (address(ip[12:16]), source, address(ip[16:20]), target), sequence, payload


def address(four_bytes):
    return ".".join(str(byte) for byte in four_bytes)


def in_order(parts):
    """The bytes of segments, each once, up to the first gap."""
    first = parts[0][0]

    def distance(sequence):  # from the first segment seen, either way
        return (sequence - first + SEQUENCE_SPACE // 2) % SEQUENCE_SPACE - SEQUENCE_SPACE // 2
    parts = sorted((distance(sequence), payload) for sequence, payload in parts)
    start, together = parts[0][0], b""
    for at, payload in parts:
        known = start + len(together) - at
        if known < 0:
            break
        together += payload[known:]
    return together


def tls_records(stream):
    """How many TLS records a stream is made of, or None when it is not. The last may be cut short."""
    at = count = 0
    while at + TLS_HEADER_BYTES <= len(stream):
        kind, major, _, length = struct.unpack_from("!BBBH", stream, at)
        if kind not in TLS_TYPES or major != 3 or length > TLS_MAX_RECORD_BYTES:
            return None
        at += TLS_HEADER_BYTES + length
        count += 1
    return count
