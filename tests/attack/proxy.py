"""A TCP proxy between a worker and its broker, to be slowed down or held. Both ends are on this host."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.stream import Stack

PIECE = 16 << 10


class Proxy:
    """Passes bytes on. `uplink_bytes_s` bounds what goes to the broker, over all connections."""

    def __init__(self, target_port: int) -> None:
        self.uplink_bytes_s: float | None = None
        self._target_port = target_port
        self._open = threading.Event()
        self._open.set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._free_at = 0.0
        self.port = 0
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        self._ready.wait(10)

    @property
    def command(self) -> tuple[str, ...]:
        """A worker whose connections to the broker lead here."""
        return sys.executable, "-m", "tests.support.proxied_worker"

    @property
    def environment(self) -> dict[str, str]:
        """The ports that the worker exchanges."""
        return {"PROXIED_PORT": str(self._target_port), "PROXY_PORT": str(self.port)}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing through to the broker."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def close(self) -> None:
        self._open.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def listen() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(listen())
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass(reader, up_writer, up=True), self._pass(up_reader, writer, up=False))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                while up and not self._open.is_set():  # noqa: ASYNC110 -- another thread's event
                    await asyncio.sleep(0.05)
                if up and self.uplink_bytes_s is not None:
                    await self._throttle(len(piece))
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def _throttle(self, size: int) -> None:
        assert self.uplink_bytes_s is not None
        now = self._loop.time()
        self._free_at = max(now, self._free_at) + size / self.uplink_bytes_s
        await asyncio.sleep(self._free_at - now)


@contextmanager
def proxied(stack: Stack) -> Iterator[Proxy]:
    proxy = Proxy(stack.settings.kafka_port)
    try:
        yield proxy
    finally:
        proxy.close()
