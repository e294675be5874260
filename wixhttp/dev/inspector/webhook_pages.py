"""The page of webhooks: the functions that verify their senders, their secrets, and how the last deliveries went."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from wixhttp.dev.traffic.kept_requests import RequestFilters
from wixhttp.dispatch.route_list import list_routes, relative_file
from wixhttp.http.response import Response
from wixhttp.logs.masking import masked

from .asked import ROOT, Asked, inspector_page, with_query
from .request_list import clock, status_phrase
from .verifications import explain_kept, handlers_of, secret_of
from .visible_text import cut_to

if TYPE_CHECKING:
    from wixhttp.webhooks.site_senders import VerifiedHandler

_DELIVERIES = 5  # of a function
_LONGEST_CELL = 300  # characters
EXAMPLES = {
    "standard": ('{"type": "user.created", "data": {"id": "1"}}', ""),
    "stripe": ('{"id": "evt_1", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}}', ""),
    "github": ('{"ref": "refs/heads/main", "commits": []}', "push"),
    "slack": ('{"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention", "text": "Hello"}}', ""),
    "shopify": ('{"id": 1, "total_price": "12.00"}', "orders/create"),
    "twilio": ("MessageSid=SM1&SmsStatus=received&From=%2B15550100&Body=Hello", ""),
    "paddle": ('{"event_id": "evt_1", "event_type": "transaction.completed", "data": {"id": "txn_1"}}', ""),
    "zoom": ('{"event": "meeting.started", "event_ts": 1, "payload": {"object": {"id": "1"}}}', ""),
    "meta": ('{"object": "page", "entry": [{"id": "1", "changes": []}]}', ""),
    "hmac": ('{"id": "1", "type": "order.paid"}', "order.paid"),
}
"""By scheme, a body such as its sender sends, and the event, where a header may say it."""


def show_webhooks(asked: Asked) -> Response:
    """The page that lists what verifies its senders."""
    return inspector_page(
        asked,
        "webhooks.html",
        section="webhooks",
        failure=asked.context.failure,
        is_loaded=asked.context.site is not None,
        handlers=[_shown(asked, handler) for handler in handlers_of(asked.context.site)],
    )


def _shown(asked: Asked, handler: VerifiedHandler) -> dict[str, Any]:
    scheme = handler.guard.scheme
    route = _route(asked, handler)
    line = f":{route['line']}" if route else ""
    problems = list(handler.guard.problems())
    secrets = [*handler.guard.secret_names, *([scheme.verify_token] if scheme.verify_token else [])]
    return {
        "name": handler.name,
        "place": f"{relative_file(handler.file, asked.context.config.root)}{line}",
        "sender": scheme.sender,
        "scheme": scheme.name,
        "header": scheme.header,
        "tolerance": f"{scheme.tolerance:g} s" if scheme.tolerance else "",
        "secrets": [(name, secret_of(name) is not None) for name in secrets],
        "problems": [masked(problem) for problem in problems],
        "command": _command(asked, handler, route),
        "deliveries": _deliveries(asked, handler),
        "all": with_query(ROOT, {"function": handler.name}),
    }


def _command(asked: Asked, handler: VerifiedHandler, route: dict[str, Any] | None) -> str:
    """The command that sends the function what its sender would send; "" where only the sender can sign."""
    scheme = handler.guard.scheme
    body, event = EXAMPLES.get(scheme.name, ("", ""))
    if not body or route is None or "[" in route["url"]:
        return ""
    url = f"http://{asked.header(b'host')}{route['url']}"
    options = ["--function", handler.name, "-d", body, "--url", url, "--curl"]
    if event and scheme.event_header:
        options += ["--event", event]
    return f"wixhttp webhooks sign {scheme.name} {shlex.join(options)} | sh"


def _route(asked: Asked, handler: VerifiedHandler) -> dict[str, Any] | None:
    """The route of a handler, one without parameters where there is one."""
    site = asked.context.site
    assert site is not None  # noqa: S101  # it has the handler
    prefix = site.endpoints.prefix if site.endpoints is not None else ""
    found = []
    for route in list_routes(site):
        name = f"{route['function']} {route['url'].removeprefix(prefix)}" if "static" in route else route["function"]
        if name == handler.name:
            found.append(route)
    return min(found, key=lambda each: each["url"].count("["), default=None)


def _deliveries(asked: Asked, handler: VerifiedHandler) -> list[dict[str, Any]]:
    """The last requests for the function that were kept, and what their verification found."""
    store, found = asked.context.store, []
    for each in store.page(RequestFilters(function=handler.name), limit=_DELIVERIES):
        kept = store.get(each.id)
        if kept is None:  # pushed out by others meanwhile
            continue
        verification = explain_kept(kept, handler, asked.context.config)
        found.append(
            {
                "id": kept.id,
                "moment": clock(kept.time),
                "day": time.strftime("%Y-%m-%d", time.localtime(kept.time)),
                "is_today": time.localtime(kept.time)[:3] == time.localtime()[:3],
                "status": kept.status,
                "phrase": status_phrase(kept.status),
                "is_good": verification.is_good,
                "is_known": bool(verification.steps),
                "text": cut_to(verification.failed or verification.note, _LONGEST_CELL),
            }
        )
    return found
