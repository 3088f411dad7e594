"""A WebSocket server for tests (Debian's python3-websockets) in a thread of its own."""

import asyncio
import threading

import websockets


class Server:
    """Serves `handler(connection, path)`; `closed` collects (code, reason) of every connection as the server saw it."""

    def __init__(self, handler, **more):
        self.closed = []
        self.handler = handler
        self.loop = asyncio.new_event_loop()
        self.more = {"max_size": None, "compression": None, "ping_interval": None, **more}
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        started.wait(10)

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        serve = websockets.serve(self._serve, "127.0.0.1", 0, **self.more)
        self.server = self.loop.run_until_complete(serve)
        self.port = self.server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

    async def _serve(self, connection, path):
        try:
            await self.handler(connection, path)
        except websockets.ConnectionClosed:
            pass
        finally:
            await connection.close()
            self.closed.append((connection.close_code, connection.close_reason))

    async def _stop(self):
        self.server.close()
        await self.server.wait_closed()
        self.loop.stop()

    def close(self):
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop)
        self.thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


async def echo(connection, _path):
    async for message in connection:
        await connection.send(message)
