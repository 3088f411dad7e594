"""The application behind the proxies: one nginx that answers what the cases ask for."""

import contextlib
import os
import subprocess

from test.support import proxy as px
from tools.bench import machine

KIB = "x" * 1024
GRPC_MESSAGE = b"\0" + (1024).to_bytes(4, "big") + KIB.encode()
STREAM_MESSAGES = 100
BULK_BYTES = 8 << 20

# `return` takes no string as long as 16 KiB, but puts one together. A gRPC answer is a file, with its status as a trailer.
LOCATIONS = """
    location / { return 200 $kib; }
    location /16k { return 200 $kib$kib$kib$kib$kib$kib$kib$kib$kib$kib$kib$kib$kib$kib$kib$kib; }
    location /bulk { root %(folder)s; }
    location /bench.Echo/Unary { error_page 405 =200 /unary; return 405; }
    location /bench.Echo/Stream { error_page 405 =200 /stream; return 405; }
    location /stream { root %(folder)s; default_type application/grpc; add_trailer grpc-status 0 always; }
    location /unary { root %(folder)s; default_type application/grpc; add_trailer grpc-status 0 always; }
"""

CONFIG = """
daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000; pid %(folder)s/pid; error_log %(folder)s/error.log;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; sendfile on; client_max_body_size 1m;
  client_body_buffer_size 64k; http2_max_concurrent_streams 1024; open_file_cache max=16;
  client_body_temp_path %(folder)s; proxy_temp_path %(folder)s; fastcgi_temp_path %(folder)s; uwsgi_temp_path %(folder)s;
  scgi_temp_path %(folder)s;
  server {
    listen 127.0.0.1:%(http1)d backlog=4096; listen unix:%(folder)s/app;
    set $kib "%(kib)s"; %(locations)s
  }
  server { listen 127.0.0.1:%(http2)d http2 backlog=4096; set $kib "%(kib)s"; %(locations)s }
}
"""


class Application:
    def __init__(self, folder):
        self.path = os.path.join(folder, "app")
        self.http1, self.http2 = machine.free_port(), machine.free_port()
        with open(os.path.join(folder, "unary"), "wb") as f:
            f.write(GRPC_MESSAGE)
        with open(os.path.join(folder, "stream"), "wb") as f:
            f.write(GRPC_MESSAGE * STREAM_MESSAGES)
        with open(os.path.join(folder, "bulk"), "wb") as f:
            f.write(b"x" * BULK_BYTES)
        with open(os.path.join(folder, "nginx.conf"), "w") as f:
            f.write(CONFIG % {"folder": folder, "http1": self.http1, "http2": self.http2, "kib": KIB,
                              "locations": LOCATIONS % {"folder": folder}})
        self.process = subprocess.Popen(["nginx", "-e", os.path.join(folder, "error.log"), "-c", f.name])
        px.wait_for(lambda: machine.listening(self.http2) or self.process.poll() is not None, what="the application")

    def close(self):
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def application(folder):
    os.makedirs(folder)
    made = Application(folder)
    try:
        yield made
    finally:
        made.close()
