"""A DNS server for tests: it answers over UDP what a test tells it, changes its mind when told to, or takes its time."""

import ipaddress
import socket
import struct
import threading

A, AAAA = 1, 28
NO_ERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


class DnsServer:
    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.lock = threading.Lock()
        self.answers = {}  # name -> addresses; names that are not here do not exist
        self.failing = False
        self.held = None  # questions whose answers wait, as long as they shall
        self.asked = []  # (name, type)
        threading.Thread(target=self._serve, daemon=True).start()

    def set(self, name, *addresses):
        with self.lock:
            self.answers[name] = list(addresses)

    def fail(self, failing=True):
        with self.lock:
            self.failing = failing

    def hold(self):
        """Answers nothing until release()."""
        with self.lock:
            self.held = []

    def release(self):
        with self.lock:
            held, self.held = self.held, None
            for question, peer in held:
                self.sock.sendto(self._answer(question), peer)

    def _serve(self):
        while True:
            try:
                question, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            with self.lock:
                answer = self._answer(question)
                if self.held is not None:
                    self.held.append((question, peer))
                else:
                    self.sock.sendto(answer, peer)

    def _answer(self, message):
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode().lower())
            at += 1 + message[at]
        kind = struct.unpack_from(">H", message, at + 1)[0]
        name = ".".join(labels)
        self.asked.append((name, kind))
        code = SERVFAIL if self.failing else NO_ERROR if name in self.answers else NXDOMAIN
        records = b""
        count = 0
        for address in self.answers.get(name, []) if code == NO_ERROR else []:
            ip = ipaddress.ip_address(address)
            if kind != (A if ip.version == 4 else AAAA):
                continue
            records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(ip.packed)) + ip.packed
            count += 1
        header = message[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, count, 0, 0)
        return header + message[12:at + 5] + records

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
