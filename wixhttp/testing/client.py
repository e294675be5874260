"""A client for the whole dispatcher, without sockets, and the caller of a test."""

from __future__ import annotations

import contextlib
import json as jsonlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from wixhttp.auth.caller import VISITOR, TokenInfo, caller_is, settings_are
from wixhttp.context import current_collections, using_by_default
from wixhttp.dispatch.app import App
from wixhttp.dispatch.blocking import answer
from wixhttp.dispatch.call import Call
from wixhttp.dispatch.stream_chunks import StreamBroken
from wixhttp.errors import HTTPError
from wixhttp.http.body import too_large
from wixhttp.http.encoding import Encoded
from wixhttp.http.request_head import UNKNOWN, Head, RequestHeaders
from wixhttp.messages import nearest
from wixhttp.misuse import warn_misuse
from wixhttp.project.auth_settings import SUBJECT_TYPES
from wixhttp.project.config import Config
from wixhttp.public_calls import explained
from wixhttp.secrets import SecretStore, fallback
from wixhttp.services import load_served_site

from .collections import memory_collections, project_config
from .cross_site import refused_elsewhere
from .requests import Pairs, Uploads, fake_head

if TYPE_CHECKING:
    from .deferred import DeferredRun

_SETTINGS = [field.name for field in fields_of(Config)]


@contextlib.contextmanager
@explained(more=[field.name for field in fields_of(TokenInfo)])
def fake_caller(
    subjectType: str = "MEMBER",  # noqa: N803 - Wix's names
    subjectId: str | None = "fake-caller",  # noqa: N803
    **fields: Any,
) -> Iterator[TokenInfo]:
    """Let `wixhttp.auth` take every request for one of this caller until the block ends, whatever token it brings.

    Functions that are called without a request have this caller, too. ``fields`` are the other members of a
    `wixhttp.auth.TokenInfo`, ``active`` (else true) among them.

    Raises:
        ValueError: there is no such type of subject.
        TypeError: there is no such member.
    """
    if subjectType not in SUBJECT_TYPES:
        raise ValueError(f"{subjectType!r} is no type of subject; known are {', '.join(SUBJECT_TYPES)}")
    info = replace(VISITOR, **{"active": True, "subjectType": subjectType, "subjectId": subjectId, **fields})
    with caller_is(info):
        yield info


class Answer:
    """The answer to a ``TestClient``, read as that of ``requests``."""

    def __init__(self, encoded: Encoded, url: str) -> None:
        self.status_code = encoded.status
        self.headers = RequestHeaders.of(encoded.fields)
        self.fields = encoded.fields
        self.url = url
        self.content = encoded.data if encoded.stream is None else _collect(encoded.stream)

    @property
    def ok(self) -> bool:
        """True if the status is below 400."""
        return self.status_code < 400

    @property
    def reason(self) -> str:
        """The phrase of the status: ``"Not Found"``."""
        known = HTTPStatus._value2member_map_.get(self.status_code)
        return known.phrase if isinstance(known, HTTPStatus) else ""

    @property
    def text(self) -> str:
        """The body as text in UTF-8."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The value that the body holds as JSON; ValueError where it holds none."""
        return jsonlib.loads(self.content)

    def raise_for_status(self) -> None:
        """Raise HTTPError for a status of 400 or more."""
        if not self.ok:
            raise HTTPError(
                self.status_code, reason=f"{self.status_code} {self.reason} for {self.url}: {self.text[:200]}"
            )

    def __repr__(self) -> str:
        return f"<Answer [{self.status_code}]>"


def _collect(stream: Any) -> bytes:
    try:
        return b"".join(stream)
    finally:
        stream.close()


class TestClient:
    """A client of a project's whole dispatcher, without a socket.

    ``project`` is the project's folder or its ``backend`` folder, or an ``App``. ``raise_exceptions`` lets what a
    handler raises through to the test; without it the answer is the 500 that a client would get. ``settings`` are
    settings of ``wixhttp.toml``: ``TestClient(".", max_body=10)``.

    A path that begins with a slash is an endpoint's, or a whole one such as ``/_functions/orders``; any other is a
    function's. Static endpoints are answered by their code, never from an earlier build; an ``App`` answers as it was
    made. Redirects are not followed. Requests to endpoints have the ``Origin`` of the site's own pages, as in a
    browser, unless ``headers`` have another. Where it alone lets a request with a body through, which a server would
    refuse from other senders (CSRF), a `wixhttp.errors.MisuseWarning` says so, once for each line.

    ``cookies`` are kept from answers, and sent with every further request: a dict by name, of values as they are sent.
    Path, domain and ``Secure`` are ignored; one that is deleted or has expired is dropped.

    The project's database is never touched: calls on collections, and sessions, reach those of `fake_data`, where the
    test is in its block, and else collections in memory that last as long as the client.

    Raises:
        ProjectError: the project cannot be loaded.
    """

    __test__ = False  # not a test class, whatever its name says to pytest

    def __init__(self, project: str | Path | App = ".", *, raise_exceptions: bool = True, **settings: Any) -> None:
        self.raise_exceptions = raise_exceptions
        self.cookies: dict[str, str] = {}
        for name in settings:
            if name not in _SETTINGS:
                raise TypeError(
                    f"TestClient takes settings of wixhttp.toml, and {name!r} is none; {nearest(name, _SETTINGS)}"
                )
        self.app = project if isinstance(project, App) else _own_app(replace(project_config(project), **settings))
        config = self.app.config
        self._secrets = SecretStore.from_config(config)
        self._collections = memory_collections(config)

    @explained()
    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Pairs | None = None,
        json: Any = None,
        text: str | None = None,
        data: Any = None,
        form: Pairs | None = None,
        files: Uploads | None = None,
        cookies: Mapping[str, str] | None = None,
        ip: str = "127.0.0.1",
    ) -> Answer:
        """The answer to a request. ``params`` join the query; ``data`` is bytes, or a form as in ``requests``.

        ``files`` are as in `fake_request`. ``cookies`` are sent with this request only, beside those of the client; a
        ``Cookie`` of ``headers`` is sent instead of all of them.
        """
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params, doseq=True)
        if isinstance(data, Mapping):
            data, form = None, data
        elif isinstance(data, str):
            data = data.encode()
        fields = _with_cookies(headers, {**self.cookies, **(cookies or {})})
        head, body = fake_head(
            url, method, headers=fields, json=json, text=text, data=data, form=form, files=files, ip=ip,
            config=self.app.config,
        )  # fmt: skip
        if body and not any(name.lower() == "origin" for name, _ in fields):
            refused = refused_elsewhere(self.app, head)
            if refused is not None:
                warn_misuse(refused)
        answer = self.send(head, body)
        _keep_cookies(self.cookies, answer.fields)
        return answer

    def send(self, head: Head, body: bytes) -> Answer:
        """The answer to a head and the bytes of its body. Cookies are neither added nor kept."""

        def read(call: Call) -> bytes:
            if len(body) > call.max_body:
                raise too_large(call.max_body)
            if head.length != UNKNOWN and len(body) != head.length:
                raise HTTPError(400, "The body is not as long as its Content-Length.")
            return body

        with self._own_settings(), self._own_errors():
            return Answer(answer(self.app, head, read, reraise=self.raise_exceptions), head.path)

    @contextlib.contextmanager
    def _own_settings(self) -> Iterator[None]:
        own = settings_are(self.app.config)
        with own, fallback(self._secrets), using_by_default(current_collections, self._collections):
            yield

    @explained()
    def run_deferred(self, *, delayed: bool = False, retries: bool = False) -> list[DeferredRun]:
        """Run the deferred functions and jobs that wait, one after the other, and those that they enqueue, until none
        is due. What became of each, in this order.

        ``delayed``: those that have never run and are due later, too. ``retries``: those that failed are run again at
        once, until they are done or dead. Without it an exception of one is raised here, if the client raises those of
        handlers.

        Raises:
            LookupError: the project has neither deferred functions nor jobs; one waits that is none of the project's.
        """
        from .deferred import run_waiting  # not for tests without

        with self._own_settings():
            return run_waiting(self.app, delayed=delayed, retries=retries, raises=self.raise_exceptions and not retries)

    @explained()
    def run_scheduled(self, function: str | Callable[..., Any], *, at: datetime | None = None) -> Any:
        """Run a scheduled function, as its time does: with the rights of the site's owner. The value that it returns;
        an ``async def`` is awaited, and an exception is raised here.

        ``function`` is the function, or its name in ``wixhttp jobs list``. ``at`` is the moment that it is due at, a
        datetime with a time zone; now unless given.

        Raises:
            LookupError: the project has no such scheduled function.
        """
        from .deferred import run_scheduled  # not for tests without

        with self._own_settings():
            return run_scheduled(self.app, function, at)

    @contextlib.contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except StreamBroken as broken:
            if self.raise_exceptions and broken.__cause__ is not None:
                raise broken.__cause__ from None
            raise

    def get(self, url: str, **options: Any) -> Answer:
        """``request("GET", ...)``."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Any) -> Answer:
        """``request("HEAD", ...)``."""
        return self.request("HEAD", url, **options)

    def post(self, url: str, **options: Any) -> Answer:
        """``request("POST", ...)``."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Answer:
        """``request("PUT", ...)``."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Answer:
        """``request("PATCH", ...)``."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Answer:
        """``request("DELETE", ...)``."""
        return self.request("DELETE", url, **options)

    def options(self, url: str, **options: Any) -> Answer:
        """``request("OPTIONS", ...)``."""
        return self.request("OPTIONS", url, **options)


def _with_cookies(headers: Pairs | None, cookies: Mapping[str, str]) -> list[tuple[str, str]]:
    fields = list(headers.items() if isinstance(headers, Mapping) else headers or ())
    if cookies and not any(name.lower() == "cookie" for name, _ in fields):
        fields.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
    return fields


def _keep_cookies(kept: dict[str, str], fields: Iterable[tuple[str, str]]) -> None:
    for field, text in fields:
        if field.lower() == "set-cookie":
            pair, *attributes = text.split(";")
            name, _, value = pair.strip().partition("=")
            kept[name] = value
            if _is_over({key.strip().lower(): said for key, _, said in (each.partition("=") for each in attributes)}):
                del kept[name]


def _is_over(attributes: Mapping[str, str]) -> bool:
    """Return whether a cookie is to be deleted (RFC 6265, 5.3): Max-Age wins over Expires; a malformed one is none."""
    try:
        return int(attributes["max-age"]) <= 0
    except (KeyError, ValueError):
        pass
    try:
        return parsedate_to_datetime(attributes["expires"]) <= datetime.now(timezone.utc)
    except (KeyError, TypeError, ValueError):  # TypeError: a date without a zone
        return False


def _own_app(config: Config) -> App:
    site = load_served_site(config)
    if site.endpoints is not None:
        site.endpoints.static = None
    return App(site)
