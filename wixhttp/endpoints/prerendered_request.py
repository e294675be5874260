"""The request that a static endpoint sees (``prerender = True``): no query, headers or client, as during a build."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wixhttp.endpoints.web.url import URL, URLSearchParams
from wixhttp.http.request_head import Head, PlainHead

Warn = Callable[[str], None]
"""Logs, once, that the endpoint reads a member that is empty in it."""


class PrerenderedHead(PlainHead):
    """The head that a static endpoint sees: a GET without headers and client. Reading the headers warns."""

    __slots__ = ("_warn",)

    def __init__(self, head: Head, warn: Warn) -> None:
        super().__init__("GET", head.path, scheme=head.scheme, host=head.host, client="")
        self.request_id = head.request_id
        self._warn = warn

    def fields(self) -> Iterable[tuple[str, str]]:
        self._warn("request.headers")
        return ()


class PrerenderedURL(URL):
    """The URL that a static endpoint sees: without a query. Reading the query warns."""

    __slots__ = ("_warn",)

    _warn: Warn

    @classmethod
    def seen_by(cls, warn: Warn, origin: str, pathname: str) -> PrerenderedURL:
        """The URL of a request."""
        url: PrerenderedURL = cls.of(origin, pathname, "")  # type: ignore[assignment]  # of the class it is called on
        url._warn, url._href = warn, URL.of(origin, pathname, "").href
        return url

    @property
    def search(self) -> str:
        self._warn("url.search")
        return ""

    @property
    def searchParams(self) -> URLSearchParams:
        self._warn("url.searchParams")
        return super().searchParams
