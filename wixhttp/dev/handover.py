"""The handing over of clients' connections from one worker to the next, so that none of them sees an end.

A connection between two requests is sent through a pair of sockets (``SCM_RIGHTS``), with what was read of it and not
served yet. That this process closes it afterwards is no end for the client: another one holds it. The messages wait
for the next worker as new connections wait in the listening socket's queue.
"""

from __future__ import annotations

import array
import asyncio
import math
import os
import socket
from collections.abc import Iterator
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from wixhttp.dispatch.async_stream import Scope
from wixhttp.server.connection import IDLE_GRACE, HTTPConnection, ServerConfig
from wixhttp.server.exchange import Exchange

EVENT_STREAM = "wixhttp.event_stream"  # in a scope: the answer is a stream of events, whose client comes again

_SIZE = 300_000  # bytes of unserved requests that one message may carry; doubled, the sizes of the sockets' buffers


class Handover:
    """The channel: every worker holds both ends, and those that no worker has taken yet are kept by the supervisor."""

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self.receiver, self._sender):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _SIZE)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * _SIZE)

    @property
    def descriptors(self) -> tuple[int, int]:
        """Those of its ends."""
        return self.receiver.fileno(), self._sender.fileno()

    def send(self, descriptor: int, unserved: bytes) -> bool:
        """Send a connection; return whether there was room for it."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        try:
            self._sender.sendmsg([b"+", unserved], rights)
        except OSError:  # the queue is full: of messages, or of descriptors that are on their way
            return False
        return True

    def receive(self) -> Iterator[tuple[socket.socket, bytes]]:
        """The connections that wait, oldest first."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.receiver, 2 * _SIZE, 1)
            except OSError:  # none
                return
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)  # else programs that a handler starts would hold it open
                yield socket.socket(fileno=descriptor), data[1:]


class ServedConnection(HTTPConnection):
    """A connection of the development server. ``unserved`` is what the worker before has read of it."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.retirement = cast(DevelopmentServerConfig, config).retirement
        self.unserved = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        unserved, self.unserved = self.unserved, b""
        if unserved and not self.is_closed:
            self.data_received(unserved)

    def data_received(self, data: bytes) -> None:
        if self.retirement.has_begun and self.exchange is None and not self.is_closed:
            self._keep(data)  # it was accepted a moment too late: the next worker answers
        else:
            super().data_received(data)

    def _end_request(self) -> None:
        if self.retirement.has_begun and (self._early or not self._has_ended):
            self.exchange = None
            self.deadline = math.inf
            self.loop.call_soon(self.hand_over)
        else:
            super()._end_request()

    def _advance_soon(self) -> None:
        if not self.retirement.has_begun:
            super()._advance_soon()

    def _advance(self) -> None:
        if not self.retirement.has_begun:
            super()._advance()

    def shutdown(self) -> None:
        """The worker ends. A stream of events is ended in order: its client connects again. An idle connection is
        handed over to the next worker, or ended, where there is none."""
        exchange = self.exchange
        if exchange is not None and exchange.started and exchange.scope.get(EVENT_STREAM):
            self._end_stream(exchange)
        elif exchange is not None and self._has_ended and exchange.is_stream:  # most such clients have left
            self.deadline = min(self.deadline, self.loop.time() + IDLE_GRACE)
        if not self.retirement.has_begun:
            self.is_stopping = True
            if self.exchange is None:
                self.close()
        else:
            self.hand_over()

    def _end_stream(self, exchange: Exchange) -> None:
        if exchange.is_whole and exchange.end_stream():
            self._end_request()
        else:
            self.close()

    def hand_over(self) -> None:
        """Let the next worker have this connection, if it is between two requests."""
        transport = self.transport
        is_idle = self.exchange is None and not self.is_closed and not transport.is_closing()
        if not is_idle or transport.get_write_buffer_size():
            return
        self.pause_reading()
        descriptor = transport.get_extra_info("socket").fileno()
        unserved = bytes(self._held + self._early)
        if len(unserved) > _SIZE:
            self.refuse(503, "too much of it is unserved to be handed over to the next worker")
        elif self.retirement.handover.send(descriptor, unserved):
            self._drop()
            transport.abort()


class Retirement:
    """The state of a worker that is replaced: whether that ``has_begun``, and the channel to its successor."""

    def __init__(self, handover: Handover) -> None:
        self.handover = handover
        self.has_begun = False


class DevelopmentServerConfig(ServerConfig):
    """The settings of the server of a worker; ``outer`` is the application in front of that of the site."""

    def __init__(self, outer: Any, retirement: Retirement, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, http=ServedConnection, **settings)
        self.app = outer
        self.retirement = retirement


def is_event_stream(message: Any) -> bool:
    """Return whether the message that begins an answer is that of a stream of events (``text/event-stream``)."""
    for name, value in message["headers"]:
        if value.startswith(b"text/event-stream") and name.lower() == b"content-type":
            return True
    return False


def note_event_stream(scope: Scope) -> None:
    """Note that the answer to a request is a stream of events."""
    scope[EVENT_STREAM] = True
