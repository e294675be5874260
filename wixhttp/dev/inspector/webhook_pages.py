"""The page of webhooks: the functions that verify their senders, their secrets, and how the last deliveries went."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from wixhttp.dev.traffic.kept_requests import RequestFilters
from wixhttp.dispatch.route_list import list_routes, relative_file
from wixhttp.errors import SecretNotFound
from wixhttp.http.response import Response
from wixhttp.logs.masking import masked
from wixhttp.secrets import getSecret

from .asked import ROOT, Asked, inspector_page, with_query
from .request_list import status_phrase
from .verifications import explain_kept, handlers_of
from .visible_text import cut_to

if TYPE_CHECKING:
    from wixhttp.webhooks.site_senders import VerifiedHandler

_DELIVERIES = 5  # of a function
_LONGEST_CELL = 300  # characters
_EXAMPLES = {"json": '{"id": "evt_1", "type": "test"}', "form": "MessageSid=SM1&Body=Hello"}


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
    problems = list(handler.guard.problems())
    secrets = [*handler.guard.secret_names, *([scheme.verify_token] if scheme.verify_token else [])]
    return {
        "name": handler.name,
        "place": relative_file(handler.file, asked.context.config.root),
        "sender": scheme.sender,
        "scheme": scheme.name,
        "header": scheme.header,
        "tolerance": f"{scheme.tolerance:g} s" if scheme.tolerance else "",
        "secrets": [(name, _is_set(name)) for name in secrets],
        "problems": [masked(problem) for problem in problems],
        "command": _command(asked, handler),
        "deliveries": _deliveries(asked, handler),
        "all": with_query(ROOT, {"function": handler.name}),
    }


def _is_set(name: str) -> bool:
    try:
        getSecret(name)
    except SecretNotFound:
        return False
    return True


def _command(asked: Asked, handler: VerifiedHandler) -> str:
    """The command that sends the function what its sender would send; "" where only the sender can sign."""
    scheme = handler.guard.scheme
    example = _EXAMPLES.get(scheme.body)
    url = _url(asked, handler)
    if example is None or not url:
        return ""
    options = ["--function", handler.name, "-d", example, "--url", url, "--curl"]
    return f"wixhttp webhooks sign {scheme.name} {shlex.join(options)} | sh"


def _url(asked: Asked, handler: VerifiedHandler) -> str:
    site = asked.context.site
    assert site is not None  # noqa: S101  # it has the handler
    prefix = site.endpoints.prefix if site.endpoints is not None else ""
    for route in list_routes(site):
        name = f"{route['function']} {route['url'].removeprefix(prefix)}" if "static" in route else route["function"]
        if name == handler.name and "[" not in route["url"]:
            return f"http://{asked.header(b'host')}{route['url']}"
    return ""


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
                "time": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(kept.time)),
                "status": kept.status,
                "phrase": status_phrase(kept.status),
                "is_good": verification.is_good,
                "text": cut_to(verification.failed or verification.note, _LONGEST_CELL),
            }
        )
    return found
