"""Messages between the supervisor and a worker: lines of JSON on a pair of sockets. Their end tells of the other's."""

from __future__ import annotations

import json
import socket
from typing import Any

RETIRE = "retire"  # to a worker: hand your connections over, finish what runs, and end
STOP = "stop"  # to a worker: finish what runs, for so many ``seconds``, and end
LOADING = "loading"  # of a worker: its settings are read, and its code is imported now
READY = "ready"  # of a worker: it accepts connections
TELL = "tell"  # to a worker that is ready: no other answers any more; say on the terminal what is served
RETIRED = "retired"  # of a worker: it answers no further request
IN_USE = "in use"  # of a worker that ends: the project binds an address, which a worker before it may hold still
AGAIN = "again"  # of a worker that serves the error page: somebody asks for the project; it may load by now

_PART = 65_536


class ControlEnd:
    """One end of the channel."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.has_ended = False  # the other end has
        self._rest = b""

    @classmethod
    def pair(cls) -> tuple[ControlEnd, ControlEnd]:
        """Both ends of a new channel."""
        first, second = socket.socketpair()
        return cls(first), cls(second)

    def send(self, kind: str, **values: Any) -> None:
        """Send a message; nothing where the other end is closed."""
        try:
            self.socket.sendall(json.dumps({"kind": kind, **values}).encode() + b"\n")
        except OSError:
            self.has_ended = True

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have come. Does not wait."""
        lines: list[bytes] = []
        while True:
            try:
                part = self.socket.recv(_PART, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            if not part:
                self.has_ended = True
                break
            *whole, self._rest = (self._rest + part).split(b"\n")
            lines += whole
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Close this end."""
        self.socket.close()
