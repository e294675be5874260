"""Kept requests as HTTP archives (HAR 1.2, http://www.softwareishard.com/blog/har-12-spec/), written and read.

What is written is complete by the specification. What is read may be of any browser: fields that are unknown are passed
over, and so are those that a server does not need.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from wixhttp.http.response import is_token
from wixhttp.http.url import ascii_target
from wixhttp.messages import brief

from .kept_requests import MOST_BODY, KeptRequest, header
from .masks import Masks
from .snippets import url_of

MOST_FILE = 500_000_000  # bytes of an archive that is read
_LONGEST_METHOD = 40  # characters
_TEXTS = re.compile(r"text/|application/([\w.+-]+\+)?(json|xml|javascript|x-www-form-urlencoded|x-ndjson)|image/svg")


class InvalidArchive(ValueError):
    """A file that is no archive; its text names entry and field."""


# --- out -------------------------------------------------------------------------------------------------------------


def as_archive(requests: Iterable[KeptRequest], *, version: str, with_secrets: bool = False) -> dict[str, Any]:
    """The archive of requests, in the order given. Credentials and known secrets are masked, unless ``with_secrets``.

    ``version`` is that of wixhttp, its creator.
    """
    entries = [_entry(each, with_secrets) for each in requests]
    comment = "" if with_secrets else "Credentials and the values of known secrets are masked by ***."
    creator = {"name": "wixhttp", "version": version}
    return {"log": {"version": "1.2", "creator": creator, "pages": [], "entries": entries, "comment": comment}}


def _entry(kept: KeptRequest, with_secrets: bool) -> dict[str, Any]:
    url, sent, received = url_of(kept), kept.request_headers, kept.response_headers
    body, answer = kept.request_body, kept.response_body
    sent_type, answer_type = header(sent, "content-type") or "", header(received, "content-type") or ""
    masks = Masks.of(kept)
    if not with_secrets:
        url, sent, received = masks.target(url), masks.headers(sent), masks.headers(received)
        body, answer = masks.body(body, sent_type), masks.body(answer, answer_type)
        sent_type, answer_type = masks.text(sent_type), masks.text(answer_type)
    version = f"HTTP/{kept.http_version}"
    timings = kept.timings
    request: dict[str, Any] = {
        "method": kept.method,
        "url": url,
        "httpVersion": version,
        "cookies": _cookies(sent),
        "headers": _pairs(sent),
        "queryString": _pairs(parse_qsl(url.partition("?")[2], keep_blank_values=True)),
        "headersSize": -1,
        "bodySize": kept.request_size,
    }
    if kept.request_size:
        request["postData"] = _post_data(body, sent_type, kept)
    wait = max(kept.duration - timings.get("body", 0.0) - timings.get("send", 0.0), 0.0)
    return {
        "startedDateTime": datetime.fromtimestamp(kept.time, timezone.utc).isoformat(timespec="milliseconds"),
        "time": round(timings.get("body", 0.0) + wait + timings.get("send", 0.0), 3),
        "request": request,
        "response": {
            "status": kept.status,
            "statusText": _phrase(kept.status),
            "httpVersion": version,
            "cookies": _set_cookies(received),
            "headers": _pairs(received),
            "content": _content(answer, answer_type, kept),
            "redirectURL": header(received, "location") or "",
            "headersSize": -1,
            "bodySize": kept.response_size,
        },
        "cache": {},
        "timings": {
            "blocked": -1, "dns": -1, "connect": -1, "ssl": -1,
            "send": timings.get("body", 0.0), "wait": round(wait, 3), "receive": timings.get("send", 0.0),
        },
        "_requestId": kept.request_id,
        "_function": kept.function,
        "_client": kept.client,
        "_logs": [
            {"time": line.time, "level": line.level, "logger": line.logger,
             "message": line.message if with_secrets else masks.message(line.message)}
            for line in kept.logs
        ],
    }  # fmt: skip


def _pairs(fields: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in fields]


def _cookies(fields: list[tuple[str, str]]) -> list[dict[str, str]]:
    pairs = [pair for name, value in fields if name.lower() == "cookie" for pair in value.split(";") if pair.strip()]
    return [{"name": name.strip(), "value": value} for name, _, value in (pair.partition("=") for pair in pairs)]


def _set_cookies(fields: list[tuple[str, str]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for field, text in fields:
        if field.lower() == "set-cookie":
            pair, *attributes = text.split(";")
            name, _, value = pair.strip().partition("=")
            said = {key.strip().lower(): word for key, _, word in (each.partition("=") for each in attributes)}
            cookie: dict[str, Any] = {"name": name, "value": value}
            cookie.update({key: said[key] for key in ("path", "domain") if key in said})
            found.append({**cookie, "httpOnly": "httponly" in said, "secure": "secure" in said})
    return found


def _post_data(body: bytes, kind: str, kept: KeptRequest) -> dict[str, Any]:
    """The body of a request. HAR 1.2 has an encoding for answers alone: bytes that are no text stand in a field of ours
    beside it, as its section on custom fields has it."""
    data: dict[str, Any] = {"mimeType": kind, "params": []}
    try:
        data["text"] = body.decode()
    except UnicodeDecodeError:
        data["text"] = body.decode("latin-1")
        data["_encoding"] = "base64"
        data["_base64"] = base64.b64encode(body).decode()
        data["comment"] = "The text is the body's bytes as Latin-1."
    if kept.is_cut:
        data["comment"] = f"Only the first {len(kept.request_body)} bytes were kept."
    return data


def _content(body: bytes, kind: str, kept: KeptRequest) -> dict[str, Any]:
    content: dict[str, Any] = {"size": kept.response_size, "mimeType": kind or "x-unknown"}
    text = None
    if not kind or _TEXTS.match(kind.lower()):
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = None
    if text is not None:
        content["text"] = text
    elif body:
        content["text"] = base64.b64encode(body).decode()
        content["encoding"] = "base64"
    if kept.response_size > len(kept.response_body):
        content["comment"] = f"Only the first {len(kept.response_body)} bytes were kept."
    return content


def _phrase(status: int) -> str:
    known = HTTPStatus._value2member_map_.get(status)
    return known.phrase if isinstance(known, HTTPStatus) else "Client Closed Request" if status == 499 else ""


# --- in --------------------------------------------------------------------------------------------------------------


def read_archive(data: bytes) -> list[KeptRequest]:
    """The requests of an archive, with the answers that it has, oldest first. Of what is no HTTP (``data:``, ``blob:``,
    ``ws:``) nothing is read.

    Raises:
        InvalidArchive: it is none, or a field of it is malformed.
    """
    if len(data) > MOST_FILE:
        raise InvalidArchive(f"the archive has {len(data)} bytes, more than {MOST_FILE}; export a part of the traffic")
    try:
        archive = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidArchive(f"it is not JSON: {error}") from None
    log = _member(archive, "log", dict, "the archive")
    entries = _member(log, "entries", list, "log")
    found = []
    for number, entry in enumerate(entries):
        kept = _read_entry(entry, f"log.entries[{number}]")
        if kept is not None:
            found.append(kept)
    return sorted(found, key=lambda kept: kept.time)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it has {name}, which JSON does not have")


def _member(value: Any, name: str, kind: type, place: str, default: Any = ...) -> Any:
    if not isinstance(value, dict):
        raise InvalidArchive(f"{place} is an object, not {brief(value)}")
    found = value.get(name)
    if found is None and default is not ...:
        return default
    if found is None:
        raise InvalidArchive(f"{place} has no {name!r}")
    is_number = kind is float and isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number and not (isinstance(found, kind) and not (kind is int and isinstance(found, bool))):
        names = {dict: "an object", list: "a list", str: "a text", int: "a whole number", float: "a number"}
        raise InvalidArchive(f"{place}.{name} is {names[kind]}, not {brief(found)}")
    return found


def _read_entry(entry: Any, place: str) -> KeptRequest | None:
    request = _member(entry, "request", dict, place)
    response = _member(entry, "response", dict, place, {})
    url = _member(request, "url", str, f"{place}.request")
    scheme, host, target = _split_url(url, f"{place}.request.url")
    if scheme not in ("http", "https"):
        return None
    sent = _fields(request, f"{place}.request")
    method = _member(request, "method", str, f"{place}.request")
    if not is_token(method) or len(method) > _LONGEST_METHOD:
        raise InvalidArchive(f"{place}.request.method is one word such as GET, not {brief(method)}")
    received = _fields(response, f"{place}.response") if response else []
    body, size = _read_post_data(request, f"{place}.request")
    if size and header(sent, "content-type") is None and (kind := request["postData"].get("mimeType")):
        sent.append(("Content-Type", str(kind)))
    answer, answer_size = _read_content(response, f"{place}.response")
    status = _member(response, "status", int, f"{place}.response", 0)
    if status == -1:  # of a request without an answer: Playwright's, where browsers write 0
        status = 0
    if not 0 <= status <= 999:
        raise InvalidArchive(f"{place}.response.status is a code such as 200, not {brief(status)}")
    given = entry.get("timings")
    timings: dict[str, Any] = given if isinstance(given, dict) else {}
    return KeptRequest(
        id=0,
        request_id=header(received, "x-request-id") or "",
        time=_read_time(entry, place),
        method=method,
        target=target,
        http_version=_version(request.get("httpVersion")),
        scheme=scheme,
        host=header(sent, "host") or host,
        client=entry["_client"] if isinstance(entry.get("_client"), str) else "",
        request_headers=sent,
        request_body=body[:MOST_BODY],
        request_size=size,
        function=entry["_function"] if isinstance(entry.get("_function"), str) else "",
        status=status,
        response_headers=received,
        response_body=answer[:MOST_BODY],
        response_size=answer_size,
        duration=_milliseconds(_member(entry, "time", float, place, 0.0)),
        timings={
            ours: _milliseconds(timings[theirs])
            for ours, theirs in (("body", "send"), ("handler", "wait"), ("send", "receive"))
            if isinstance(timings.get(theirs), int | float) and timings[theirs] >= 0
        },
    )


def _split_url(url: str, place: str) -> tuple[str, str, str]:
    if any(character <= " " or character == "\x7f" for character in url):
        url = "".join(f"%{ord(each):02X}" if each <= " " or each == "\x7f" else each for each in url)
    try:
        split = urlsplit(url)
    except ValueError as error:
        raise InvalidArchive(f"{place} is no URL: {error}: {brief(url)}") from None
    if not split.scheme:
        raise InvalidArchive(f"{place} is a whole URL, not {brief(url)}")
    if split.scheme in ("http", "https") and not split.netloc:
        raise InvalidArchive(f"{place} has no host: {brief(url)}")
    target = ascii_target((split.path or "/").encode("utf-8", "replace"))
    if "?" in url.partition("#")[0]:
        target += "?" + ascii_target(split.query.encode("utf-8", "replace"))
    return split.scheme, split.netloc.rpartition("@")[2], target


def _fields(message: Any, place: str) -> list[tuple[str, str]]:
    found = []
    for number, field in enumerate(_member(message, "headers", list, place, [])):
        name = _member(field, "name", str, f"{place}.headers[{number}]")
        value = _member(field, "value", str, f"{place}.headers[{number}]", "")
        if name == ":authority":
            name = "Host"
        if name.startswith(":"):  # of HTTP/2: they stand in method and URL
            continue
        if not is_token(name):
            raise InvalidArchive(f"{place}.headers[{number}].name is no name of a header field: {brief(name)}")
        values = value.split("\n") if name.lower() == "set-cookie" else [re.sub(r"[\r\n\0]+", " ", value)]
        found += [(name, each.strip("\r\0")) for each in values]
    if any(name == "Host" for name, _ in found) and sum(name.lower() == "host" for name, _ in found) > 1:
        found.remove(next(field for field in found if field[0] == "Host"))
    return found


def _read_post_data(request: dict[str, Any], place: str) -> tuple[bytes, int]:
    data = _member(request, "postData", dict, place, None)
    if data is None:
        return b"", 0
    place += ".postData"
    if "_base64" in data:
        body = _from_base64(_member(data, "_base64", str, place), f"{place}._base64")
    else:
        text = _member(data, "text", str, place, "")
        if text and data.get("encoding") == "base64":
            body = _from_base64(text, f"{place}.text")
        elif text:
            body = text.encode("utf-8", "surrogatepass")
        else:
            body = _from_params(_member(data, "params", list, place, []), f"{place}.params")
    return body, _whole_size(request.get("bodySize"), body, data)


def _from_params(params: list[Any], place: str) -> bytes:
    """A form that a browser has taken apart."""
    pairs = []
    for number, each in enumerate(params):
        name = _member(each, "name", str, f"{place}[{number}]")
        value = _member(each, "value", str, f"{place}[{number}]", "")
        pairs.append((unquote_plus(name), unquote_plus(value)))
    return urlencode(pairs).encode()


def _read_content(response: dict[str, Any], place: str) -> tuple[bytes, int]:
    content = _member(response, "content", dict, place, {})
    text = _member(content, "text", str, f"{place}.content", "")
    encoding = content.get("encoding")
    if encoding not in (None, "", "base64"):
        raise InvalidArchive(f"{place}.content.encoding is 'base64', or missing, not {brief(encoding)}")
    body = _from_base64(text, f"{place}.content.text") if encoding else text.encode("utf-8", "surrogatepass")
    return body, _whole_size(content.get("size"), body, content)


def _whole_size(size: Any, body: bytes, described: dict[str, Any]) -> int:
    """The size of a body, of which an archive of ours says by a comment that it is cut. Browsers count otherwise: what
    was compressed, or -1."""
    is_cut = "comment" in described and isinstance(size, int) and len(body) < size < 2**53
    return size if is_cut else len(body)


def _from_base64(text: str, place: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArchive(f"{place} is not base64: {error}") from None


def _read_time(entry: dict[str, Any], place: str) -> float:
    text = _member(entry, "startedDateTime", str, place)
    try:
        # Python 3.10 reads neither a Z nor any other number of digits than three or six.
        whole = re.sub(r"Z$", "+00:00", text)
        whole = re.sub(r"\.(\d+)", lambda found: "." + found[1][:6].ljust(6, "0"), whole)
        whole = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", whole)
        moment = datetime.fromisoformat(whole)
        if not 1 < moment.year < 9999:  # in UTC it may be of no year at all
            raise ValueError
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        raise InvalidArchive(f"{place}.startedDateTime is a date in ISO 8601, not {brief(text)}") from None


def _milliseconds(value: float) -> float:
    return float(value) if 0 <= value < 1e12 else 0.0


def _version(value: Any) -> str:
    found = re.fullmatch(r"(?i)h(?:ttp/)?([123](?:\.\d)?)", value) if isinstance(value, str) else None
    return found[1] if found else "1.1"
