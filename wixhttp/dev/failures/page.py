"""The error page: the report of an exception for the browser of a developer, or as JSON for a program of his.

It takes the place of a 500, and of the site's own ``500.py``, where the client may see it (`wixhttp.dev.web.guard`).
Anybody else gets what he would get in production.
"""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import quote

from wixhttp.dev.traffic.kept_requests import KeptRequest, LogLine, header
from wixhttp.dev.traffic.masks import Masks, credentials_in
from wixhttp.dev.traffic.recorder import Recording, recording_of
from wixhttp.dev.traffic.snippets import as_curl, url_of
from wixhttp.dev.web.context import DevelopmentContext
from wixhttp.dev.web.guard import why_hidden
from wixhttp.dev.web.pages import HIDING_HEADERS, page
from wixhttp.dev.web.templates import are_installed
from wixhttp.dispatch.app import FAILED
from wixhttp.dispatch.site import Site
from wixhttp.errors import ProjectError
from wixhttp.http.problem import PROBLEM_TYPE, problem, problem_response
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response

from .report import report_of
from .values import clean

NOT_LOADED = "The project cannot be loaded; the log has the reason."

_PREPARED = "wixhttp.prepared"  # in a scope: the id of the exception of which there is a report
_MOST_BODY = 20_000  # characters of a body that are shown
_MOST_LOGS = 200  # lines

logger = logging.getLogger("wixhttp")


class ErrorPage:
    """The ``on_failure`` of a dispatcher in development. ``context`` is that of its worker, whose site is loaded."""

    def __init__(self, context: DevelopmentContext) -> None:
        self._context = context
        self._loaded_at = time.time()

    def __call__(self, head: Head, error: BaseException, response: Response) -> Response | None:
        """The answer in place of ``response``, the plain 500; ``None`` where the client may see no details: that 500 is
        made neutral then, and the site's ``500.py`` may answer."""
        detail = str(response.body.get("detail", ""))
        response.body = problem(500, FAILED, head.request_id)
        try:
            report = self._prepared(head, error) or self.report(head, error)
            if not _is_hidden_from(head, self._context):
                return failure_response(self._context, head, report, detail)
        except Exception:
            logger.exception("the error page failed")
        return None

    def prepare(self, head: Head, error: BaseException) -> None:
        """Make the report of an exception: it calls users' code, for which the event loop is not to wait."""
        recording = recording_of(head)
        if recording is not None:
            try:
                self.report(head, error)
            except Exception:
                logger.exception("the error page failed")
            else:
                head.scope[_PREPARED] = id(error)  # type: ignore[attr-defined]  # what has a recording has a scope

    def _prepared(self, head: Head, error: BaseException) -> dict[str, Any] | None:
        recording = recording_of(head)
        if recording is None or head.scope.pop(_PREPARED, None) != id(error):  # type: ignore[attr-defined]  # as above
            return None
        return recording.failure

    def may_see(self, head: Head) -> bool:
        """Return whether a client may see details of development."""
        scope = getattr(head, "scope", None)
        return scope is not None and not why_hidden(scope, self._context.config)

    def report(self, head: Head, error: BaseException) -> dict[str, Any]:
        """The report of an exception of a request, which is kept with it from now on."""
        config = self._context.config
        others = (config.test_site,) if config.test_site is not None else ()
        handler = None if isinstance(error, ProjectError) else _handler_of(self._context.site, head.function)
        if handler is not None:
            handler = (str(config.root / handler[0]), *handler[1:])
        report = report_of(
            error,
            config.root,
            others=others,
            handler=handler,
            loaded_at=self._loaded_at,
            secrets_file=config.secrets_file,
        )
        recording = recording_of(head)
        if recording is not None:
            recording.failure = report
        return report


def failure_page(context: DevelopmentContext, head: Head) -> Response:
    """The answer to every request while the project cannot be loaded: the report of the reason."""
    report = context.failure or {}
    recording = recording_of(head)
    if recording is not None:
        recording.failure = report or None
    if not report or _is_hidden_from(head, context):
        return problem_response(500, NOT_LOADED, head.request_id)
    detail = ": ".join(filter(None, (report["intro"], report["exception"], report["message"])))
    try:
        return failure_response(context, head, report, detail)
    except Exception:
        logger.exception("the error page failed")
        return problem_response(500, NOT_LOADED, head.request_id)


def failure_response(context: DevelopmentContext, head: Head, report: dict[str, Any], detail: str) -> Response:
    """The answer with a report: a page for a browser, a problem document with the same in fields for a program."""
    recording = recording_of(head)
    kept = _kept(head, recording)
    masks = Masks.of(kept) if kept is not None else Masks(credentials_in(head.fields()))
    report = masks.report(report)
    values = {
        **_request(head, kept, masks),
        "logs": _logs(recording, masks),
        "inspector": f"/_wixhttp/requests/{quote(head.request_id, safe='')}",
    }
    if _is_browser(head) and are_installed():
        return page(
            context,
            "error.html",
            500,
            report=report,
            method=head.method,
            function=head.function,
            error_page=_own_page(context.site),
            is_loaded=context.failure is None,
            **values,
        )
    document = {**problem(500, masks.message(detail), head.request_id), **report, **values}
    return Response(500, document, {**HIDING_HEADERS, "Content-Type": PROBLEM_TYPE})


def _is_hidden_from(head: Head, context: DevelopmentContext) -> bool:
    """Return whether the client may see no details of errors; the log tells why, where a person looks at the answer."""
    scope = getattr(head, "scope", None)
    if scope is None:
        return True
    reason = why_hidden(scope, context.config)
    if reason and _is_browser(head):
        logger.warning("The error page is not shown: %s", reason)
    return bool(reason)


def _is_browser(head: Head) -> bool:
    return "text/html" in (head.header("accept") or "").lower()


def _handler_of(site: Site | None, name: str) -> tuple[str, int, str] | None:
    """The file, line and name of the handler that the log calls ``name``."""
    if site is None or not name:
        return None
    for table in (site.functions, site.test_functions):
        for function in table:
            if function.exported_name == name and function.line:
                return function.file, function.line, name
    for route in site.endpoints.routes if site.endpoints is not None else ():
        for handler in route.methods.values():
            if handler.exported_name == name and handler.line:
                return handler.file, handler.line, handler.method
    return None


def _own_page(site: Site | None) -> str:
    """The file of the site's own page for errors, "" for none."""
    route = site.endpoints.error_page if site is not None and site.endpoints is not None else None
    return route.file_name if route is not None else ""


def _kept(head: Head, recording: Recording | None) -> KeptRequest | None:
    """The request as far as it is recorded."""
    if recording is None:
        return None
    recording.head = head  # the recorder itself sets it at the end
    return recording.kept()


def _request(head: Head, kept: KeptRequest | None, masks: Masks) -> dict[str, Any]:
    """The request, and the command that repeats it; ``can_replay`` says whether its body was kept."""
    if kept is None:
        fields = masks.headers(head.fields())
        target = masks.target(f"{head.path}?{head.query}" if head.query else head.path)
        request = {"method": head.method, "url": target, "headers": fields, "body": "", "body_size": 0, "is_text": True}
        return {"request": request, "curl": "", "can_replay": False}
    body, is_text = _body(kept, masks)
    request = {
        "method": kept.method,
        "url": masks.target(url_of(kept)),
        "headers": masks.headers(kept.request_headers),
        "body": body,
        "body_size": kept.request_size,
        "is_text": is_text,
    }
    curl = "" if kept.is_cut else as_curl(kept)
    return {"request": request, "curl": curl if len(curl) <= _MOST_BODY else "", "can_replay": not kept.is_cut}


def _body(kept: KeptRequest, masks: Masks) -> tuple[str, bool]:
    """The body of a request as text, and whether it is one; the first bytes in hexadecimal of one that is none."""
    data = masks.body(kept.request_body, header(kept.request_headers, "content-type") or "")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data[: _MOST_BODY * 4].decode("utf-8", "replace") if b"\0" not in data[:4096] else "\0"
        if "\0" in text or text.count("\ufffd") > len(text) / 10 or not text:
            return data[:256].hex(" "), False
    if "\0" in text:
        return data[:256].hex(" "), False
    return clean(text, _MOST_BODY), True


def _logs(recording: Recording | None, masks: Masks) -> list[dict[str, Any]]:
    lines: list[LogLine] = list((recording.logs if recording is not None else None) or [])
    return [{**line._asdict(), "message": clean(masks.text(line.message), _MOST_BODY)} for line in lines[-_MOST_LOGS:]]
