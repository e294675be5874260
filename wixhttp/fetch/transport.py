"""One request to another server, by requests: in time, over connections that are used again, with errors that name no
more than the host.

Each process has connections of its own, for all its threads. Nothing is kept between requests but those: no cookies,
and no credentials from a ``.netrc``.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from wixhttp.errors import FetchError, FetchTimeout
from wixhttp.http.request_head import RequestHeaders

from .options import FetchRequest
from .response import FetchResponse

_MOST_HOSTS, _MOST_CONNECTIONS = 32, 64  # that are kept, and of each host
_MOST_REDIRECTS = 20  # Fetch, "HTTP-redirect fetch"
_PIECE = 65_536
# Their connection may be closed by the server just as it is used again: they may be sent twice (RFC 9110, 9.2.2).
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class _Attempt(threading.local):
    """The request of this thread: the deadline that ends its connection, and what was done for it."""

    deadline: _FetchDeadline | None = None
    connects = sends = 0


_attempt = _Attempt()


class _Watched(HTTPConnection):
    """A connection that tells the thread's attempt that it is used. Under its ``lock`` it is ended by the ``deadline``
    of the request that it is used for, never by that of an earlier one."""

    deadline: _FetchDeadline | None = None

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.lock = threading.Lock()
        super().__init__(*arguments, **keywords)

    def connect(self) -> None:
        _attempt.connects += 1
        super().connect()

    def request(self, *arguments: Any, **keywords: Any) -> None:
        _attempt.sends += 1
        deadline = _attempt.deadline
        with self.lock:
            self.deadline = deadline
        if deadline is not None:
            deadline.connection = self
        super().request(*arguments, **keywords)


class _WatchedTLS(_Watched, HTTPSConnection):
    """The same with TLS."""


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _WatchedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class _WatchingAdapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
        super().init_poolmanager(*arguments, **keywords)
        self.poolmanager.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedTLSPool}


class _PooledSession(requests.Session):
    """A session that threads may share: it keeps no cookies, and reads no ``.netrc``."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = _MOST_REDIRECTS
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _WatchingAdapter(_MOST_HOSTS, _MOST_CONNECTIONS)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """Drop the credentials where a redirect leads to another host."""
        is_elsewhere = self.should_strip_auth(response.request.url, prepared_request.url)  # type: ignore[no-untyped-call]
        if is_elsewhere:
            prepared_request.headers.pop("Authorization", None)


@functools.lru_cache(maxsize=1)
def _session(pid: int) -> _PooledSession:
    """The session of a process: connections are not to be shared with a fork."""
    return _PooledSession()


def _credentials(request: FetchRequest) -> Any:
    """Those of the URL, where no header has others, as ``auth=`` of requests: never ``None``, for which it would read a
    ``.netrc``."""
    given = requests.utils.get_auth_from_url(request.url)
    if any(given) and "authorization" not in {name.lower() for name in request.headers}:
        return given
    return lambda prepared: prepared


class _FetchDeadline:
    """The time at which a request is to be over; ``is_over`` once its connection was ended for it."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds
        self.is_over = False
        self.connection: _Watched | None = None

    @property
    def left(self) -> float:
        return self.at - time.monotonic()

    def end(self) -> None:
        """End the connection that is used now, whatever its thread waits for. Called by the timer."""
        self.is_over = True
        connection = self.connection
        if connection is None:
            return
        with connection.lock:
            sock = connection.sock if connection.deadline is self else None
            if sock is not None:
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def release(self) -> None:
        """Leave the connection to the next request: `end` does nothing any more, or is over."""
        connection = self.connection
        if connection is not None:
            with connection.lock:
                if connection.deadline is self:
                    connection.deadline = None


def send(request: FetchRequest, due: tuple[float, str], *, is_relayed: bool = True) -> FetchResponse:
    """The response to a request. ``due`` is the time by ``time.monotonic`` at which it is over, and the rule for that.
    Without ``is_relayed`` no proxy gets it.

    Raises:
        FetchTimeout: it took too long.
        FetchError: it failed.
    """
    deadline = _FetchDeadline(due[0] - time.monotonic())
    options: dict[str, Any] = {} if is_relayed else {"proxies": {"http": "", "https": "", "all": ""}}
    timer: threading.Timer | None = None
    _attempt.deadline = deadline
    try:
        if deadline.left <= 0:
            raise _too_late(request, due[1])
        timer = threading.Timer(deadline.left, deadline.end)
        timer.daemon = True
        timer.start()
        try:
            return _sent_again(request, deadline, options)
        except requests.Timeout:
            raise _too_late(request, due[1]) from None
        except (requests.RequestException, OSError, ValueError) as error:
            if deadline.is_over or deadline.left <= 0:
                raise _too_late(request, due[1]) from None
            raise FetchError(f"{request.source} failed: {_cause(error)}") from None
    finally:
        if timer is not None:
            timer.cancel()
        deadline.release()
        _attempt.deadline = None


def _too_late(request: FetchRequest, rule: str) -> FetchTimeout:
    return FetchTimeout(f"{request.source} did not answer in time: {rule}")


def _sent_again(request: FetchRequest, deadline: _FetchDeadline, options: dict[str, Any]) -> FetchResponse:
    """The response; where a connection that was used before turned out to be closed, that to a second try."""
    _attempt.connects = _attempt.sends = 0
    try:
        return _sent(request, deadline, options)
    except requests.ConnectionError as error:
        is_stale = _attempt.sends > _attempt.connects and isinstance(_root(error), ConnectionError)
        if not is_stale or request.method not in _IDEMPOTENT or deadline.is_over:
            raise
    return _sent(request, deadline, options)


def _sent(request: FetchRequest, deadline: _FetchDeadline, options: dict[str, Any]) -> FetchResponse:
    with _session(os.getpid()).request(
        request.method,
        request.url,
        headers=request.headers,
        data=request.body,
        auth=_credentials(request),
        timeout=max(deadline.left, 0.001),
        allow_redirects=request.redirect == "follow",
        stream=True,
        **options,
    ) as answer:
        if request.redirect == "error" and answer.is_redirect:
            raise FetchError(f"{request.source} answered {answer.status_code}, a redirect, and redirect is 'error'")
        body = bytearray()
        for piece in answer.iter_content(_PIECE):
            body += piece
            if len(body) > request.size:
                rule = f"at most {request.size} bytes are read; fetch(url, size=...) sets another bound"
                raise FetchError(f"{request.source} answered with a body that is too long: {rule}")
        if deadline.is_over:  # a body without a length ends like one that was cut
            raise requests.Timeout
        headers = RequestHeaders.of(answer.headers.items())
        return FetchResponse(
            answer.status_code,
            answer.reason or "",
            headers,
            answer.url or request.url,
            bool(answer.history),
            bytes(body),
            request.source,
        )


def _root(error: BaseException) -> BaseException:
    """The innermost reason of an error of requests."""
    seen = {id(error)}
    while True:
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((each for each in error.args if isinstance(each, BaseException)), None)
        inner = inner or error.__cause__ or error.__context__
        if inner is None or id(inner) in seen:
            return error
        seen.add(id(inner))
        error = inner


def _cause(error: BaseException) -> str:
    """The cause of a failure in words. Never the text of requests or urllib3, which quotes the URL."""
    if isinstance(error, requests.TooManyRedirects):
        return f"more than {_MOST_REDIRECTS} redirects"
    if isinstance(error, requests.exceptions.InvalidSchema):
        return "a redirect leads to what is neither http nor https"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy does not answer: {_words(_root(error))}"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return "the URL cannot be sent"
    return _words(_root(error))


def _words(root: BaseException) -> str:
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {root.verify_message}"
    if isinstance(root, OSError) and root.strerror:
        return f"{root.strerror} ({type(root).__name__})"
    return type(root).__name__
