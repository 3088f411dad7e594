"""Two TCP protocols that HTTP proxies do not understand, for the demonstration.

greeter: the server speaks first, as mail servers and databases do; then it answers line by line.
digest:  the client sends any number of bytes and half-closes; the server answers their SHA-256.
"""

import hashlib
import socketserver
import sys


class Greeter(socketserver.StreamRequestHandler):
    def handle(self):
        name = self.server.pod
        self.wfile.write(f"220 {name} ready\r\n".encode())
        for line in self.rfile:
            word = line.strip().decode(errors="replace")
            if word == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(f"250 {name} heard {word}\r\n".encode())


class Digest(socketserver.BaseRequestHandler):
    def handle(self):
        digest = hashlib.sha256()
        while chunk := self.request.recv(65536):
            digest.update(chunk)
        self.request.sendall(digest.hexdigest().encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main():
    kind, port, pod = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with Server(("", port), {"greeter": Greeter, "digest": Digest}[kind]) as server:
        server.pod = pod
        server.serve_forever()


if __name__ == "__main__":
    main()
