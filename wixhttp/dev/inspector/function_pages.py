"""The pages of functions and endpoints: their list, and a form that calls one, in this process."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from wixhttp.dev.traffic.kept_requests import KeptRequest, RequestFilters
from wixhttp.dev.traffic.replay import replay
from wixhttp.dev.web.pages import redirect
from wixhttp.dispatch.route_list import list_routes
from wixhttp.dispatch.site import Site
from wixhttp.errors import HTTPError
from wixhttp.http.request_head import SAFE_METHODS
from wixhttp.http.response import Response
from wixhttp.http.url import ascii_target

from .asked import ROOT, Asked, inspector_page, with_query
from .request_forms import EditedRequest, RequestForm, edited_request, form_of, sent_form
from .request_list import METHODS, listed_rows, number, status_phrase
from .shown_bodies import shown_body

CALL = f"{ROOT}functions/call"

_MOST_TEMPLATES = 10  # kept requests that are offered for one function
_WITH_BODY = ("POST", "PUT", "PATCH")


def show_functions(asked: Asked) -> Response:
    """The page that lists what the site answers."""
    site = asked.context.site
    functions: list[dict[str, Any]] = []
    endpoints: list[dict[str, Any]] = []
    public: list[dict[str, Any]] = []
    for route in _routes(site):
        kind = public if not route["function"] else endpoints if "static" in route else functions
        kind.append(route)
    return inspector_page(
        asked,
        "functions.html",
        section="functions",
        failure=asked.context.failure,
        is_loaded=site is not None,
        functions=functions,
        endpoints=endpoints,
        public=public,
    )


def _routes(site: Site | None) -> Iterator[dict[str, Any]]:
    """The routes of a site. ``recorded`` is the name under which requests of each are kept, ``call`` the address of its
    form."""
    if site is None:
        return
    prefix = site.endpoints.prefix if site.endpoints is not None else ""
    for route in list_routes(site):
        is_endpoint = "static" in route
        recorded = f"{route['function']} {route['url'].removeprefix(prefix)}" if is_endpoint else route["function"]
        method = route["method"] if route["method"] in METHODS else "GET"
        address = with_query(CALL, {"method": method, "path": route["url"], "function": recorded})
        yield {**route, "recorded": recorded, "call": address}


def show_call(asked: Asked, form: RequestForm | None = None) -> Response:
    """The form that calls a function: empty, or filled from a kept request, whose answer stands below it where that
    was the call."""
    store, query = asked.context.store, asked.query
    kept = store.get(query["from"]) if query.get("from") else None
    function = kept.function if kept is not None else query.get("function", "")
    status = 400 if form is not None else 200
    if form is None and kept is not None:
        form = form_of(kept)
    if form is None:
        form = _empty_form(query.get("method", "GET"), query.get("path", ""))
    is_answer = kept is not None and bool(query.get("answer"))
    return inspector_page(
        asked,
        "call.html",
        status,
        section="functions",
        form=form,
        form_action=CALL,
        methods=METHODS,
        is_loaded=asked.context.site is not None,
        failure=asked.context.failure,
        function=function,
        place=_place(asked, function),
        templates=listed_rows(store.page(RequestFilters(function=function), limit=_MOST_TEMPLATES)) if function else [],
        kept=kept if is_answer else None,
        phrase=status_phrase(kept.status) if kept is not None else "",
        response_body=shown_body(kept, "response") if kept is not None and is_answer else None,
    )


def _empty_form(method: str, path: str) -> RequestForm:
    if method in _WITH_BODY:
        return RequestForm(method, path, headers="Content-Type: application/json\n", body="{}")
    return RequestForm(method, path)


def _place(asked: Asked, function: str) -> str:
    """File and line of a function, and the first line of its docstring."""
    for route in _routes(asked.context.site):
        if route["recorded"] == function:
            text = f"{route['file']}:{route['line']}"
            return f"{text}: {route['summary']}" if route["summary"] else text
    return ""


async def call_function(asked: Asked) -> Response:
    """Send the request that the form means, and lead to its answer.

    Raises:
        HTTPError: 409, the project cannot be loaded.
    """
    context = asked.context
    if context.application is None:
        raise HTTPError(409, "The project cannot be loaded, so that nothing answers.")
    template = number(asked.field("template"))
    kept = context.store.get(template) if template else None
    try:
        edited = edited_request(asked, kept)
        _complete(asked, edited)
        answered = await replay(context.application, new_request(edited))
    except (HTTPError, ValueError) as error:
        form = sent_form(asked)
        form.template = template or 0
        form.error = error.detail if isinstance(error, HTTPError) else str(error)
        asked.query["function"] = asked.field("function")
        return show_call(asked, form)
    return redirect(with_query(CALL, {"from": str(answered.id or answered.request_id), "answer": "1"}))


def _complete(asked: Asked, edited: EditedRequest) -> None:
    """Add what a browser would send from a page of the site: the host, and to an endpoint its origin."""
    config = asked.context.config
    host = asked.header(b"host")
    if not _has(edited.headers, "host"):
        edited.headers.append(("Host", host))
    is_endpoint = not edited.target.startswith(f"{ascii_target(config.base_path.encode())}/_functions")
    if is_endpoint and edited.method not in SAFE_METHODS and not _has(edited.headers, "origin"):
        edited.headers.append(("Origin", config.public_url or f"http://{host}"))


def _has(fields: Iterable[tuple[str, str]], name: str) -> bool:
    return any(key.lower() == name for key, _ in fields)


def new_request(edited: EditedRequest) -> KeptRequest:
    """A request that was not sent yet, as one to be sent again."""
    host = next((value for name, value in edited.headers if name.lower() == "host"), "")
    return KeptRequest(
        id=0, request_id="", time=time.time(), method=edited.method, target=edited.target, http_version="1.1",
        scheme="http", host=host, client="127.0.0.1", request_headers=edited.headers, request_body=edited.body,
        request_size=len(edited.body), function="", status=0, response_headers=[], response_body=b"", response_size=0,
        duration=0.0,
    )  # fmt: skip
