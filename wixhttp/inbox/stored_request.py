"""Requests as deferred work keeps them: their payload in JSON, and the request that is made of it for a run."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from wixhttp.guards import GuardedRequest
from wixhttp.http.request import AsyncRequest, Request, set_body
from wixhttp.http.request_head import Notes, PlainHead

from .stores.contract import Job

if TYPE_CHECKING:  # a site without endpoints does not load them
    from wixhttp.endpoints.request_state import RequestState

CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
"""Header fields that are not stored unless they are asked for: with them others can act as the client."""

_OF_WEBHOOK = ("id", "timestamp", "event", "payload")


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
    webhook, api_key = request.notes.webhook, request.notes.api_key
    if webhook is not None:
        document["webhook"] = {name: getattr(webhook, name) for name in _OF_WEBHOOK}
    if api_key is not None:
        document["api_key"] = {"name": api_key.name, "scopes": sorted(api_key.scopes)}
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def head_of(job: Job, document: dict[str, Any]) -> PlainHead:
    """The head of a run of a job: that of the request that was accepted, or of none. What newer code has stored with
    it, and this does not know, is left out."""
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
    if "webhook" in document:
        from wixhttp.webhooks.webhook import Webhook  # not for sites without

        notes.webhook = Webhook(*map(document["webhook"].get, _OF_WEBHOOK))
    if "api_key" in document:
        from wixhttp.access.api_keys import ApiKey  # not for sites without

        notes.api_key = ApiKey(document["api_key"]["name"], document["api_key"]["scopes"])
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
