"""Kept requests sent to a server by HTTP: the bytes that were received, to the raw path. Redirects are not followed."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from urllib.parse import urlsplit

from .kept_requests import MOST_BODY, KeptRequest, header
from .replay import wire
from .snippets import HOP_BY_HOP

TIMEOUT = 30.0  # seconds for a connection, and for each part of an answer
_LONGEST = 120.0  # seconds for an answer as a whole
_MOST = 50_000_000  # bytes of an answer that are read


class CannotSend(Exception):
    """A server that cannot be reached, or one that does not answer as HTTP has it."""


class RemoteServer:
    """A server that requests are sent to. ``url`` is ``http`` or ``https``; a path in it goes before each target.

    Raises:
        ValueError: the URL is of another kind.
    """

    def __init__(self, url: str) -> None:
        try:
            split = urlsplit(url)
            port = split.port
        except ValueError as error:
            raise ValueError(f"{url!r} is no URL: {error}") from None
        if split.scheme not in ("http", "https") or not split.hostname:
            raise ValueError(f"a server is named by its URL, such as https://www.example.com, not {url!r}")
        if split.query or split.fragment or split.username:
            raise ValueError(f"the URL of a server has no query, fragment or user: {url!r}")
        self.url = url
        self.is_secure = split.scheme == "https"
        self.name = split.hostname
        self.port = port or (443 if self.is_secure else 80)
        self.host = split.netloc
        self.path = split.path.rstrip("/")

    def answer(self, request: KeptRequest) -> KeptRequest:
        """Send a request made by `wixhttp.dev.traffic.replay.edited`, and return it with the server's answer. Its
        ``Host`` is the server's.

        Raises:
            CannotSend: it could not be sent, or the answer not be read.
        """
        kind = http.client.HTTPSConnection if self.is_secure else http.client.HTTPConnection
        connection = kind(self.name, self.port, timeout=TIMEOUT)
        started = time.perf_counter()
        request.time = time.time()
        try:
            self._send(connection, request)
            self._read(connection.getresponse(), request)
        except (OSError, http.client.HTTPException) as error:
            reason = "no answer in time" if isinstance(error, socket.timeout) else str(error) or type(error).__name__
            raise CannotSend(f"{self.url}: {reason}") from None
        finally:
            with contextlib.suppress(OSError):
                connection.close()
        request.host = self.host
        request.duration = round((time.perf_counter() - started) * 1000, 3)
        return request

    def _send(self, connection: http.client.HTTPConnection, request: KeptRequest) -> None:
        target = request.target
        if "://" in target:
            target = "/" + target.partition("://")[2].partition("/")[2]
        connection.putrequest(request.method, self.path + target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", self.host)
        for name, value in request.request_headers:
            if name.lower() not in HOP_BY_HOP and name.lower() != "accept-encoding":  # bodies are compared as they are
                connection.putheader(name, wire(value))
        if header(request.request_headers, "content-length") is not None:
            connection.putheader("Content-Length", str(len(request.request_body)))
        connection.putheader("Connection", "close")
        connection.endheaders(request.request_body or None)

    def _read(self, response: http.client.HTTPResponse, request: KeptRequest) -> None:
        request.status = response.status
        request.response_headers = response.getheaders()
        request.request_id = response.getheader("X-Request-Id") or ""
        until = time.monotonic() + _LONGEST
        parts = []
        size = 0
        while size < _MOST and time.monotonic() < until and (part := response.read1(65_536)):
            parts.append(part)
            size += len(part)
        request.response_body, request.response_size = b"".join(parts)[:MOST_BODY], size
