"""What a user's tests call: fake requests for single functions, and a client for the whole dispatcher. No sockets.

    from wixhttp.testing import TestClient, fake_data, fake_request

    assert get_hello(fake_request("/_functions/hello/sub?q=1")).status == 200
    assert TestClient("backend").post("/_functions/orders", json={"id": 1}).json() == {"id": 1}
    with fake_data() as wix_data:
        wix_data.seed("books", [{"_id": "emma", "title": "Emma"}])
        assert TestClient("backend").get("books/emma").ok

The pytest plugin hands them out as the fixtures ``client``, ``fake_request``, ``secrets`` and ``wix_data``.
"""

from __future__ import annotations

import contextlib
import json as jsonlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from .app import App, Call
from .config import Config, load_config
from .data import ambient
from .direct import StreamBroken, answer
from .encoding import Encoded
from .errors import HTTPError
from .fakedata import FakeData, fake_data, memory_collections
from .head import UNKNOWN, Head, Headers, PlainHead
from .jsontext import encode_json
from .loader import functions_file
from .request import AsyncRequest, Request, set_body
from .secrets import SecretStore, fallback
from .site import load_site
from .url import ascii_target, decode, split_target

__all__ = ["Answer", "FakeData", "TestClient", "fake_async_request", "fake_data", "fake_request"]

MOUNT = "/_functions"

_Kind = TypeVar("_Kind", Request, AsyncRequest)
_Fields = Mapping[str, str] | Iterable[tuple[str, str]]


def fake_request(
    url: str,
    method: str = "GET",
    *,
    headers: _Fields | None = None,
    json: Any = None,
    text: str | None = None,
    data: bytes | None = None,
    form: Mapping[str, str] | None = None,
    ip: str = "127.0.0.1",
) -> Request:
    """A request that the dispatcher could have given to a ``def`` handler.

    ``url`` is a path (``/_functions/hello/sub?q=1``, or just ``hello/sub?q=1``) or a full URL. At most one of ``json``
    (any value that a response could send), ``text``, ``data`` (bytes) and ``form`` is the body; each sets the
    Content-Type that a client would, unless ``headers`` has one.

    Raises:
        TypeError: for more than one body.

    >>> fake_request("/_functions/hello/sub?q=1").path
    ['sub']
    """
    head, body = fake_head(url, method, headers=headers, json=json, text=text, data=data, form=form, ip=ip)
    return _request(Request, head, body)


def fake_async_request(
    url: str,
    method: str = "GET",
    *,
    headers: _Fields | None = None,
    json: Any = None,
    text: str | None = None,
    data: bytes | None = None,
    form: Mapping[str, str] | None = None,
    ip: str = "127.0.0.1",
) -> AsyncRequest:
    """A request that the dispatcher could have given to an ``async def`` handler. See ``fake_request``."""
    head, body = fake_head(url, method, headers=headers, json=json, text=text, data=data, form=form, ip=ip)
    return _request(AsyncRequest, head, body)


def fake_head(
    url: str,
    method: str = "GET",
    *,
    headers: _Fields | None = None,
    json: Any = None,
    text: str | None = None,
    data: bytes | None = None,
    form: Mapping[str, str] | None = None,
    ip: str = "127.0.0.1",
    base_path: str = "",
) -> tuple[PlainHead, bytes]:
    """Head and body of a request, as ``fake_request`` takes it."""
    body, content_type = _body(json, text, data, form)
    fields = [(str(name), str(value)) for name, value in _pairs(headers)]
    given = {name.lower() for name, _ in fields}
    if content_type and "content-type" not in given:
        fields.append(("Content-Type", content_type))
    if body and "content-length" not in given:
        fields.append(("Content-Length", str(len(body))))
    scheme, host, target = _split(url, base_path)
    if "host" not in given:
        fields.append(("Host", host))
    host = next(value for name, value in fields if name.lower() == "host")
    path, query = split_target(target)
    head = PlainHead(method.upper(), path, query, fields, scheme=scheme, host=host, client=ip, length=len(body))
    return head, body


def _pairs(headers: _Fields | None) -> Iterable[tuple[str, str]]:
    if headers is None:
        return ()
    return headers.items() if isinstance(headers, Mapping) else headers


def _split(url: str, base_path: str) -> tuple[str, str, str]:
    scheme, host, target = "http", "localhost", url
    if "://" in url.partition("?")[0]:
        scheme, _, rest = url.partition("://")
        host, slash, target = rest.partition("/")
        target = slash + target
    if not target.startswith("/"):
        target = f"{base_path}{MOUNT}/{target}"
    return scheme, host, ascii_target(target.replace(" ", "%20").encode("utf-8", "surrogatepass"))


def _body(json: Any, text: str | None, data: bytes | None, form: Mapping[str, str] | None) -> tuple[bytes, str]:
    given = [
        name for name, value in (("json", json), ("text", text), ("data", data), ("form", form)) if value is not None
    ]
    if len(given) > 1:
        raise TypeError(f"a request has one body; {' and '.join(given)} are given")
    if json is not None:
        return encode_json(json), "application/json"
    if text is not None:
        return text.encode(), "text/plain; charset=utf-8"
    if form is not None:
        return urlencode(form).encode(), "application/x-www-form-urlencoded"
    if data is not None and not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data is bytes, not {type(data).__name__}; for a str write text=, for a form form=")
    return bytes(data or b""), ""


def _request(kind: type[_Kind], head: PlainHead, body: bytes) -> _Kind:
    mount = head.path.partition(MOUNT)[0] + MOUNT
    if head.path.startswith(mount + "-dev/"):
        mount += "-dev"
    raw_name, _, rest = head.path[len(mount) :].lstrip("/").partition("/")
    request = kind(head, "", mount, decode(raw_name), rest)
    set_body(request, body)
    return request


class Answer:
    """What a ``TestClient`` gets back, read as that of ``requests``."""

    def __init__(self, encoded: Encoded, url: str) -> None:
        self.status_code = encoded.status
        self.headers = Headers.of(encoded.fields)
        self.fields = encoded.fields
        self.url = url
        self.content = encoded.data if encoded.stream is None else _collect(encoded.stream)

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
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

    The project's database is never touched: calls on collections reach those of `fake_data`, where the test is in its
    block, and else collections in memory that last as long as the client.

    Raises:
        ProjectError: the project cannot be loaded.
    """

    __test__ = False  # not a test class, whatever its name says to pytest

    def __init__(self, project: str | Path | App = ".", *, raise_exceptions: bool = True, **settings: Any) -> None:
        self.raise_exceptions = raise_exceptions
        self.app = project if isinstance(project, App) else App(load_site(project_config(project, **settings)))
        config = self.app.config
        self._secrets = SecretStore(config.root, config.mode, config.secrets_file)
        self._collections = memory_collections(config)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: _Fields | None = None,
        json: Any = None,
        text: str | None = None,
        data: Any = None,
        form: Mapping[str, str] | None = None,
        ip: str = "127.0.0.1",
    ) -> Answer:
        """The answer to a request. ``params`` join the query; ``data`` is bytes, or a form as in ``requests``."""
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params, doseq=True)
        if isinstance(data, Mapping):
            data, form = None, dict(data)
        elif isinstance(data, str):
            data = data.encode()
        head, body = fake_head(
            url, method, headers=headers, json=json, text=text, data=data, form=form, ip=ip,
            base_path=self.app.config.base_path,
        )  # fmt: skip
        return self.send(head, body)

    def send(self, head: Head, body: bytes) -> Answer:
        """The answer to a head and the bytes of its body."""

        def read(call: Call) -> bytes:
            if len(body) > call.max_body:
                raise self.app.too_large(call)
            if head.length != UNKNOWN and len(body) != head.length:
                raise HTTPError(400, "The body is not as long as its Content-Length.")
            return body

        with fallback(self._secrets), ambient.fallback(self._collections), self._own_errors():
            return Answer(answer(self.app, head, read, reraise=self.raise_exceptions), head.path)

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


def project_config(project: str | Path, **settings: Any) -> Config:
    """The settings of a project named by its folder or by its ``backend`` folder."""
    root = Path(project).absolute()
    if root.name == "backend" and not (root / "backend").is_dir():
        root = root.parent
    functions_file(root)
    config = load_config(root)
    return replace(config, **settings) if settings else config
