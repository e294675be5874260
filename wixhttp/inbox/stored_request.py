"""Requests as deferred work keeps them: their payload in JSON, and the request that is made of it for a run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wixhttp.guards import GuardedRequest
from wixhttp.http.request import AsyncRequest, Request, set_body
from wixhttp.http.request_head import Notes, PlainHead

from .stores.contract import Job

if TYPE_CHECKING:  # a site without endpoints does not load them
    from wixhttp.endpoints.request_state import RequestState

CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
"""Header fields that are not stored unless they are asked for: with them others can act as the client."""


def request_payload(request: GuardedRequest, headers: Collection[str] | None) -> bytes:
    """The payload of a request: all but its body. ``headers`` are the lower-case names of those that are stored;
    ``None``: all but `CREDENTIALS`."""
    head, asked = request.head, request.asked
    fields = [
        (name, value)
        for name, value in head.fields()
        if (name.lower() not in CREDENTIALS if headers is None else name.lower() in headers)
    ]
    document: dict[str, Any] = {
        "method": head.method, "path": head.path, "query": head.query, "base": head.base, "scheme": head.scheme,
        "host": head.host, "client": head.client, "request_id": head.request_id, "function": head.function,
        "headers": fields,
    }  # fmt: skip
    if isinstance(asked, Request | AsyncRequest):
        document.update(mount=asked._mount, name=asked._name, rest=asked._rest)
    elif asked is not None and asked.is_rewritten:
        from wixhttp.endpoints.routing.paths import encode

        document.update(path=encode(asked.path), query=asked.query)
    for note in ("webhook", "api_key"):
        value = getattr(request.notes, note)
        if value is not None:
            document[note] = _facts(value)
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _facts(value: Any) -> dict[str, Any]:
    """The fields of a note, with those that JSON has not as text: it is made again by `StoredNote`."""
    if dataclasses.is_dataclass(value):
        found = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    elif hasattr(value, "_asdict"):
        found = value._asdict()
    else:
        found = vars(value)
    return {name: _plain(each) for name, each in found.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, dict):
        return {"dict": {str(key): _plain(each) for key, each in value.items()}}
    if isinstance(value, list | tuple | set | frozenset):
        kind = "frozenset" if isinstance(value, set | frozenset) else "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_plain(each) for each in value]}
    return str(value)


def _made(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "datetime":
        return datetime.fromisoformat(inner)
    if kind == "dict":
        return {key: _made(each) for key, each in inner.items()}
    return {"list": list, "tuple": tuple, "frozenset": frozenset}[kind](map(_made, inner))


class StoredNote:
    """The notes of guards on a delivery, as they were when it was accepted: a verified webhook, an API key."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.__dict__.update({name: _made(value) for name, value in facts.items()})

    def __repr__(self) -> str:
        return f"<StoredNote {self.__dict__!r}>"


def head_of(job: Job, document: dict[str, Any]) -> PlainHead:
    """The head of a run of a job: that of the request that was accepted, or of none."""
    head = PlainHead(
        document.get("method", "JOB"),
        document.get("path", "/"),
        document.get("query", ""),
        [(name, value) for name, value in document.get("headers", ())],
        scheme=document.get("scheme", "http"),
        host=document.get("host", "localhost"),
        client=document.get("client", ""),
        length=len(job.body),
    )
    head.base = document.get("base", "")
    head.request_id = document.get("request_id") or job.id
    head.function = document.get("function", job.name)
    head.deadline = 0.0
    notes = head.notes = Notes()
    notes.attempt = job.attempt
    notes.deferred_id = job.id
    for note in ("webhook", "api_key"):
        if note in document:
            setattr(notes, note, StoredNote(document[note]))
    return head


def stored_request(head: PlainHead, document: dict[str, Any], body: bytes, origin: str, *, is_async: bool) -> Any:
    """The request for an HTTP function, as it was accepted. ``origin`` is the setting ``public_url``, or empty."""
    kind = AsyncRequest if is_async else Request
    request = kind(head, origin, document["mount"], document["name"], document["rest"])
    set_body(request, body)
    return request


def stored_state(head: PlainHead, endpoints: Any, body: bytes, origin: str, timeout: float) -> RequestState:
    """The state of a request for an endpoint, as it was accepted."""
    from wixhttp.endpoints.request_state import RequestState

    state = RequestState(endpoints, head, origin, endpoints.find(head), timeout)
    state.start(body)
    return state
