"""The server of one worker process: uvicorn's, whose connections have deadlines, and which stops in time."""

from __future__ import annotations

import asyncio
import signal
import socket
from types import FrameType

import uvicorn

from .connection import HTTPConnection, ServerConfig

_LOOK_EVERY = 5  # ticks of uvicorn's server, of 0.1 seconds each


class WorkerServer(uvicorn.Server):
    """uvicorn's server, whose connections have deadlines, and which stops in ``graceful_timeout`` seconds."""

    PAUSE = 0.05  # seconds between two looks whether all has ended, at stop
    config: ServerConfig

    async def on_tick(self, counter: int) -> bool:
        """Called every 0.1 seconds. Return whether it is time to stop."""
        if counter % _LOOK_EVERY == 0:
            self.look()
        return await super().on_tick(counter)

    def look(self) -> None:
        """End the connections whose time is up."""
        self.config.limits.look(self.connections, asyncio.get_running_loop().time())

    @property
    def connections(self) -> set[HTTPConnection]:
        """The connections that are open."""
        return self.server_state.connections  # type: ignore[return-value]  # those that the configuration names

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what runs, at most for ``graceful_timeout`` seconds: requests, then tasks of handlers."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.config.grace
        self.config.application.begin_stop()
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.connections):
            connection.shutdown()
        tasks = self.server_state.tasks
        while (self.connections or tasks) and loop.time() < end and not self.force_exit:
            self.look()
            await asyncio.sleep(self.PAUSE)
        self.config.application.is_ending = True
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        if not self.force_exit:
            await self.config.application.runner.settle(end - loop.time())
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop: in order on SIGTERM, at once on SIGINT and SIGQUIT."""
        super().handle_exit(sig, frame)
        self.force_exit = self.force_exit or sig != signal.SIGTERM
