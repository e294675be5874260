"""Requests made from plain values: what the test kit and ``wixhttp call`` send, and what single functions are given."""

from __future__ import annotations

import dataclasses
import mimetypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, TypeVar
from urllib.parse import urlencode

from wixhttp.http.json_codec import encode_json
from wixhttp.http.request import AsyncRequest, Request, set_body
from wixhttp.http.request_head import SAFE_METHODS, Notes, PlainHead
from wixhttp.http.url import ascii_target, decode, split_target
from wixhttp.messages import nearest
from wixhttp.project.config import Config
from wixhttp.public_calls import explained, named

if TYPE_CHECKING:  # tests of functions that verify nothing load neither
    from wixhttp.access import ApiKey
    from wixhttp.webhooks import Webhook

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]
FileContent = str | bytes | BinaryIO
Upload = FileContent | tuple[str, FileContent] | tuple[str, FileContent, str]
Uploads = Mapping[str, Upload] | Iterable[tuple[str, Upload]]

MOUNT = "/_functions"


class RequestParts(TypedDict, total=False):
    """The parts of a request beside URL and method, as `fake_request` takes them."""

    headers: Pairs | None
    json: Any
    text: str | None
    data: bytes | None
    form: Pairs | None
    files: Uploads | None
    ip: str
    webhook: Webhook | Mapping[str, Any] | None
    api_key: ApiKey | str | None
    attempt: int
    deferred_id: str | None


_AnyRequest = TypeVar("_AnyRequest", Request, AsyncRequest)


@explained()
def fake_request(
    url: str,
    method: str = "GET",
    *,
    headers: Pairs | None = None,
    json: Any = None,
    text: str | None = None,
    data: bytes | None = None,
    form: Pairs | None = None,
    files: Uploads | None = None,
    ip: str = "127.0.0.1",
    webhook: Webhook | Mapping[str, Any] | None = None,
    api_key: ApiKey | str | None = None,
    attempt: int = 1,
    deferred_id: str | None = None,
) -> Request:
    """A request that the dispatcher could have given to a ``def`` handler.

    ``url`` is a path (``/_functions/hello/sub?q=1``, or just ``hello/sub?q=1``) or a full URL. At most one of ``json``
    (any value that a response could send), ``text``, ``data`` (bytes) and ``form`` is the body; each sets the
    Content-Type that a client would, unless ``headers`` has one. ``files`` make the body multipart, with the fields of
    ``form``: ``{"photo": ("a.png", b"...", "image/png")}``, or just the content, as bytes, text or an open file.

    What decorators would have noted on it is given: ``webhook`` (a `Webhook`, or its fields, ``{"id": "evt_1"}``),
    ``api_key`` (an `ApiKey`, or the name of one), and of deferred work ``attempt`` and ``deferred_id``. A function that
    is called directly verifies nothing, asks for no key and counts nothing.

    Raises:
        TypeError: for more than one body, for a field that a `Webhook` does not have, and for a ``webhook`` or an
            ``api_key`` of another kind.
        ValueError: ``attempt`` is below 1.

    >>> fake_request("/_functions/hello/sub?q=1").path
    ['sub']
    """
    head, body = fake_head(
        url, method, headers=headers, json=json, text=text, data=data, form=form, files=files, ip=ip,
        webhook=webhook, api_key=api_key, attempt=attempt, deferred_id=deferred_id,
    )  # fmt: skip
    return _request(Request, head, body)


@explained()
def fake_async_request(
    url: str,
    method: str = "GET",
    *,
    headers: Pairs | None = None,
    json: Any = None,
    text: str | None = None,
    data: bytes | None = None,
    form: Pairs | None = None,
    files: Uploads | None = None,
    ip: str = "127.0.0.1",
    webhook: Webhook | Mapping[str, Any] | None = None,
    api_key: ApiKey | str | None = None,
    attempt: int = 1,
    deferred_id: str | None = None,
) -> AsyncRequest:
    """A request that the dispatcher could have given to an ``async def`` handler. See ``fake_request``."""
    head, body = fake_head(
        url, method, headers=headers, json=json, text=text, data=data, form=form, files=files, ip=ip,
        webhook=webhook, api_key=api_key, attempt=attempt, deferred_id=deferred_id,
    )  # fmt: skip
    return _request(AsyncRequest, head, body)


def fake_head(
    url: str,
    method: str = "GET",
    *,
    headers: Pairs | None = None,
    json: Any = None,
    text: str | None = None,
    data: bytes | None = None,
    form: Pairs | None = None,
    files: Uploads | None = None,
    ip: str = "127.0.0.1",
    webhook: Webhook | Mapping[str, Any] | None = None,
    api_key: ApiKey | str | None = None,
    attempt: int = 1,
    deferred_id: str | None = None,
    config: Config | None = None,
) -> tuple[PlainHead, bytes]:
    """Head and body of a request, as ``fake_request`` takes it.

    With the ``config`` of a site it is sent from one of its own pages: to an endpoint, which takes forms from nowhere
    else (setting ``check_origin``), with the site's ``Origin``, where browsers send it and ``headers`` have none.
    """
    body, content_type = _body(json, text, data, form, files)
    fields = [(str(name), str(value)) for name, value in _pairs(headers)]
    given = {name.lower() for name, _ in fields}
    if content_type and "content-type" not in given:
        fields.append(("Content-Type", content_type))
    if body and "content-length" not in given:
        fields.append(("Content-Length", str(len(body))))
    scheme, host, target = _split(url, "" if config is None else config.base_path)
    if "host" not in given:
        fields.append(("Host", host))
    host = next(value for name, value in fields if name.lower() == "host")
    path, query = split_target(target)
    is_checked = method.upper() not in SAFE_METHODS and "origin" not in given
    if config is not None and is_checked and not path.startswith(ascii_target(config.base_path.encode()) + MOUNT):
        fields.append(("Origin", config.public_url or f"{scheme}://{host}"))
    head = PlainHead(method.upper(), path, query, fields, scheme=scheme, host=host, client=ip, length=len(body))
    head.notes = _notes(webhook, api_key, attempt, deferred_id)
    return head, body


def _notes(
    webhook: Webhook | Mapping[str, Any] | None, api_key: ApiKey | str | None, attempt: int, deferred_id: str | None
) -> Notes:
    notes = Notes()
    if webhook is not None:
        webhook = _webhook(webhook)
    if api_key is not None:
        api_key = _api_key(api_key)
    if isinstance(attempt, bool) or not isinstance(attempt, int) or attempt < 1:
        raise ValueError(f"attempt is 1 in the first run, and more in those that follow, not {named(attempt)}")
    if not isinstance(deferred_id, str | None):
        raise TypeError(f"deferred_id is a text, not {named(deferred_id)}")
    notes.webhook, notes.api_key, notes.attempt, notes.deferred_id = webhook, api_key, attempt, deferred_id
    return notes


def _webhook(given: Any) -> Webhook:
    from wixhttp.webhooks import Webhook

    if isinstance(given, Webhook):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(f'webhook is a Webhook or a dict of its fields, {{"id": "evt_1"}}, not {named(given)}')
    known = [each.name for each in dataclasses.fields(Webhook)]
    for name in given:
        if name not in known:
            raise TypeError(f"a Webhook has no field {name!r}; {nearest(str(name), known)}")
    return Webhook(**given)


def _api_key(given: Any) -> ApiKey:
    from wixhttp.access import ApiKey

    if isinstance(given, ApiKey):
        return given
    if not isinstance(given, str):
        raise TypeError(f'api_key is the name of one, "shop", or ApiKey("shop", ["orders:read"]), not {named(given)}')
    return ApiKey(given)


def _pairs(fields: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> Iterable[tuple[str, Any]]:
    if fields is None:
        return ()
    return fields.items() if isinstance(fields, Mapping) else fields


def _split(url: str, base_path: str) -> tuple[str, str, str]:
    scheme, host, target = "http", "localhost", url
    if "://" in url.partition("?")[0]:
        scheme, _, rest = url.partition("://")
        host, slash, target = rest.partition("/")
        target = slash + target
    if not target.startswith("/"):
        target = f"{base_path}{MOUNT}/{target}"
    return scheme, host, ascii_target(target.replace(" ", "%20").encode("utf-8", "surrogatepass"))


def _request(kind: type[_AnyRequest], head: PlainHead, body: bytes) -> _AnyRequest:
    mount = head.path.partition(MOUNT)[0] + MOUNT
    if head.path.startswith(mount + "-dev/"):
        mount += "-dev"
    raw_name, _, rest = head.path[len(mount) :].lstrip("/").partition("/")
    request = kind(head, "", mount, decode(raw_name), rest)
    set_body(request, body)
    return request


# --- bodies ----------------------------------------------------------------------------------------------------------


def _body(
    json: Any, text: str | None, data: bytes | None, form: Pairs | None, files: Uploads | None
) -> tuple[bytes, str]:
    bodies = {"json": json, "text": text, "data": data, "files" if files else "form": files or form}
    given = [name for name, value in bodies.items() if value is not None]
    if len(given) > 1:
        raise TypeError(f"a request has one body; {' and '.join(given)} are given")
    if json is not None:
        return encode_json(json), "application/json"
    if text is not None:
        return text.encode(), "text/plain; charset=utf-8"
    if files:
        return _multipart([*_pairs(form), *((name, _file(given)) for name, given in _pairs(files))])
    if form is not None:
        return urlencode(list(_pairs(form))).encode(), "application/x-www-form-urlencoded"
    if data is not None and not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data is bytes, not {type(data).__name__}; for a str write text=, for a form form=")
    return bytes(data or b""), ""


def _file(given: Any) -> tuple[str, bytes, str]:
    """Name, content and type of a file as ``requests`` takes it."""
    name, content, *more = given if isinstance(given, tuple) else (None, given)
    name = name or Path(str(getattr(content, "name", "file"))).name
    kind = more[0] if more else mimetypes.guess_type(name)[0] or "application/octet-stream"
    content = content.read() if hasattr(content, "read") else content
    if not isinstance(content, str | bytes | bytearray | memoryview):
        raise TypeError(
            f"the content of the file {name!r} is bytes, a str or an open file, not {type(content).__name__}"
        )
    return name, content.encode() if isinstance(content, str) else bytes(content), kind


def _multipart(parts: Iterable[tuple[str, Any]]) -> tuple[bytes, str]:
    """The body of a form with files (RFC 7578), as browsers send it, and its Content-Type."""
    boundary = "wixhttp-" + os.urandom(16).hex()
    lines: list[bytes] = []
    for name, value in parts:
        head = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        if isinstance(value, tuple):
            file_name, value, kind = value
            head += f'; filename="{_quoted(file_name)}"\r\nContent-Type: {kind}'
        content = value if isinstance(value, bytes) else str(value).encode()
        lines += [f"--{boundary}".encode(), head.encode(), b"", content]
    lines += [f"--{boundary}--".encode(), b""]
    return b"\r\n".join(lines), f"multipart/form-data; boundary={boundary}"


def _quoted(name: str) -> str:
    """A name in quotes, escaped as https://html.spec.whatwg.org/#multipart-form-data says."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
