"""The bounds of a worker's connections: times, sizes, and the memory that unsent answers may take."""

from __future__ import annotations

import ipaddress
import logging
import resource
import time
from collections.abc import Iterable
from email.utils import formatdate
from typing import Any, NamedTuple, Protocol

from wixhttp.dispatch.request_ids import RequestIds
from wixhttp.project.config import Config

HEAD_TIMEOUT = 30.0
"""Seconds for the head of a request, from its first byte; for the first of a connection from its beginning."""

HEADS = 65_536
"""Bytes of a whole head, at most."""

STALLED = 5.0
"""Seconds after which a client gives way where the memory for unsent answers is short."""

_ENDLESS = 1 << 30  # where gunicorn's settings say 0: no limit

logger = logging.getLogger("wixhttp")


class Client(Protocol):
    """The connection of a client, as far as it is watched."""

    deadline: float
    """The loop's time at which `expire` is to be called."""

    def expire(self) -> None:
        """End the connection: its deadline has passed."""

    def abort(self, reason: str) -> None:
        """End the connection at once; ``reason`` is for the log."""

    taken: int
    """Bytes that the client had taken when `check_progress` looked last."""

    unsent: int
    """Bytes that the transport held when `check_progress` looked last."""

    def check_progress(self) -> float:
        """Seconds for which the client has taken nothing of what is there for it; 0 where nothing is."""


class _Held(NamedTuple):
    """A large answer that is being sent: its size in bytes, since when, and what its client had taken by then."""

    size: int
    since: float
    taken: int


class Limits:
    """The bounds that all connections of a worker share. ``cfg`` is gunicorn's configuration. Sizes are in bytes, times
    in seconds: ``line`` of a request line, ``field`` of a header field, ``fields`` in a head, ``head`` in all;
    ``connections`` at once. ``date`` is the field of that name, up to date to the second."""

    def __init__(self, config: Config, cfg: Any) -> None:
        self.line: int = cfg.limit_request_line or _ENDLESS
        self.field: int = cfg.limit_request_field_size or _ENDLESS
        self.fields: int = cfg.limit_request_fields or _ENDLESS
        self.smallest = min(self.line, self.field)  # a head of no more bytes is within both
        self.head = HEADS + min(self.line, HEADS)
        self.connections = min(cfg.worker_connections, _usable_descriptors())
        self.head_timeout = HEAD_TIMEOUT
        self.keep_alive: float = cfg.keepalive
        self.send_timeout = config.send_timeout
        self.max_unsent = config.max_unsent or _ENDLESS
        self.ids = RequestIds()
        self.date = b""
        self._held: dict[Client, _Held] = {}  # large answers that are being sent
        self._held_size = 0
        self._trusted = cfg.forwarded_allow_ips if cfg.secure_scheme_headers else []
        self._networks = [ipaddress.ip_network(each, strict=False) for each in self._trusted if each != "*"]
        self._scheme_fields = {
            name.replace("_", "-").lower().encode("latin-1"): value.encode("latin-1")
            for name, value in cfg.secure_scheme_headers.items()
        }

    def scheme_fields_of(self, client: tuple[str, int] | None) -> dict[bytes, bytes]:
        """The header fields, and the value of each, by which this peer may say that a request came over https
        (gunicorn's ``secure_scheme_headers`` and ``forwarded_allow_ips``)."""
        if not self._trusted:
            return {}
        if client is None or "*" in self._trusted:  # a Unix socket's peer is on this machine
            return self._scheme_fields
        address = ipaddress.ip_address(client[0])
        return self._scheme_fields if any(address in network for network in self._networks) else {}

    # --- answers that are not read ---

    def hold(self, client: Client, size: int) -> bool:
        """Reserve memory for an answer. Where it is short, clients that have had `STALLED` seconds give way, the
        slowest first. Return whether there is room; for one answer there always is."""
        client.check_progress()
        if self._held_size + size > self.max_unsent:
            self._make_room(size)
            if self._held and self._held_size + size > self.max_unsent:
                return False
        self._held[client] = _Held(size, time.monotonic(), client.taken)
        self._held_size += size
        return True

    def release(self, client: Client) -> None:
        """Give the memory of the answer to this client back."""
        if self._held:
            held = self._held.pop(client, None)
            self._held_size -= 0 if held is None else held.size

    def _make_room(self, size: int) -> None:
        now = time.monotonic()
        speeds: dict[Client, float] = {}
        for client, held in self._held.items():
            client.check_progress()
            if (seconds := now - held.since) >= STALLED:
                speeds[client] = (client.taken - held.taken) / seconds
        for client in sorted(speeds, key=speeds.__getitem__):
            if self._held_size + size <= self.max_unsent:
                return
            self.release(client)
            client.abort(f"its client reads {speeds[client]:.0f} bytes a second, and max_unsent is used up")

    # --- time ---

    def look(self, clients: Iterable[Client], now: float) -> None:
        """End the connections whose time is up, and those that wait longest where too much is unsent. To be called
        about twice a second; ``now`` is the loop's time."""
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        unsent = 0
        stalled: dict[Client, float] = {}
        for client in list(clients):
            if client.deadline <= now:
                client.expire()
            elif seconds := client.check_progress():
                if seconds > self.send_timeout > 0:
                    client.abort(f"its client has read nothing for {seconds:.0f} s (send_timeout)")
                    continue
                if seconds >= STALLED:
                    stalled[client] = seconds
            unsent += client.unsent
        for client in sorted(stalled, key=stalled.__getitem__, reverse=True):
            if unsent <= self.max_unsent:
                return
            unsent -= client.unsent
            client.abort(f"its client has read nothing for {stalled[client]:.0f} s, and max_unsent is used up")


def _usable_descriptors() -> int:
    """The number of connections that leave descriptors for files and for connections to other servers."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _ENDLESS if limit == resource.RLIM_INFINITY else max(limit - max(64, limit // 8), limit // 2)
