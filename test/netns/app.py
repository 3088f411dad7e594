"""The application of a pod in the fault rig: an HTTP/1.1 server that misbehaves on command.

Usage: app.py ADDRESS PORT. Says "ready" once it listens. Each line of its input is a command:
  ok            answers 200
  slow MS       answers 200 after so long
  fail PERCENT  answers 503 to so many of a hundred requests, evenly
  reset         resets every connection at its next request
  report        prints one line of JSON: what it has served
SIGTERM ends it as a well-behaved server: no new connections, answers what it has begun, closes what is idle.
"""

import asyncio
import json
import signal
import socket
import struct
import sys

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that resets


class App:
    def __init__(self):
        self.mode, self.value = "ok", 0
        self.served = self.retries = self.active = self.active_retries = 0
        self.most_active_retries = 0
        self.ending = False
        self.idle = set()

    def obey(self, line):
        if line == "report":
            print(json.dumps({"served": self.served, "retries": self.retries, "most_active_retries": self.most_active_retries}),
                  flush=True)
            return
        self.mode, _, value = line.partition(" ")
        self.value = float(value or 0)

    async def connection(self, reader, writer):
        try:
            while not self.ending:
                self.idle.add(writer)
                head = await reader.readuntil(b"\r\n\r\n")
                self.idle.discard(writer)
                if self.mode == "reset":
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    return
                await self.answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.idle.discard(writer)
            writer.close()

    async def answer(self, head, writer):
        again = b"x-envoy-attempt-count: 1\r\n" not in head
        self.served += 1
        self.retries += again
        self.active += 1
        self.active_retries += again
        self.most_active_retries = max(self.most_active_retries, self.active_retries)
        bad = self.mode == "fail" and int(self.served * self.value / 100) != int((self.served - 1) * self.value / 100)
        if self.mode in ("slow", "fail"):
            await asyncio.sleep((self.value if self.mode == "slow" else 20) / 1000)  # the time that the work takes
        self.active -= 1
        self.active_retries -= again
        status = b"503 Service Unavailable" if bad else b"200 OK"
        ending = b"connection: close\r\n" if self.ending else b""
        writer.write(b"HTTP/1.1 " + status + b"\r\n" + ending + b"content-length: 2\r\n\r\nhi")
        await writer.drain()


async def main():
    app, loop = App(), asyncio.get_running_loop()
    server = await asyncio.start_server(app.connection, sys.argv[1], int(sys.argv[2]), backlog=1024)
    over = loop.create_future()

    def end():
        app.ending = True
        server.close()
        for writer in list(app.idle):
            writer.close()

        async def wait():
            while app.active:
                await asyncio.sleep(0.005)  # poll interval
            over.set_result(None)

        app.last = asyncio.ensure_future(wait())

    def read():
        line = sys.stdin.readline()
        if not line:
            loop.remove_reader(sys.stdin)
            return
        app.obey(line.strip())

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_reader(sys.stdin, read)
    print("ready", flush=True)
    await over


asyncio.run(main())
