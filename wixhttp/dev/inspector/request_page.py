"""The page of one kept request: both sides, its log lines and failure, its replay, and what it is copied as."""

from __future__ import annotations

import time
from typing import NamedTuple

from wixhttp.dev.traffic.differences import Difference, differences
from wixhttp.dev.traffic.kept_requests import KeptRequest, header
from wixhttp.dev.traffic.masks import Masks
from wixhttp.dev.traffic.replay import replay
from wixhttp.dev.traffic.snippets import as_curl, as_requests
from wixhttp.dev.traffic.to_test import as_test
from wixhttp.dev.web.pages import HIDING_HEADERS, redirect
from wixhttp.errors import HTTPError, ProjectError, StoreUnavailable
from wixhttp.http.response import Response
from wixhttp.logs.masking import masked
from wixhttp.project.config import Config
from wixhttp.secrets import SecretStore

from .asked import ROOT, Asked, inspector_page
from .inbox_data import jobs_in, open_site_inbox
from .inbox_pages import job_address
from .request_forms import RequestForm, edited_request, form_of, sent_form
from .request_list import METHODS, clock, status_phrase
from .shown_bodies import IMAGE_TYPES, ShownBody, shown_body
from .verifications import verifications_of
from .visible_text import cut_to

_TIMINGS = {"body": "Reading the body", "handler": "The handler", "send": "Sending the answer"}
_SIDES = ("request", "response")
_LONGEST_CELL = 160  # characters
_MOST_COPIED = 100_000  # bytes of bodies in what is copied


class ShownAnswer(NamedTuple):
    """An answer beside another one."""

    kept: KeptRequest
    title: str
    phrase: str
    headers: list[tuple[str, str]]
    body: ShownBody


class TimingShare(NamedTuple):
    """A part of the duration of a request: in milliseconds, and in percent of it, from ``start`` percent on."""

    name: str
    milliseconds: float
    start: float
    percent: float


class ShownLine(NamedTuple):
    """A log line as it is shown."""

    moment: str
    level: str
    logger: str
    message: str


def kept_of(asked: Asked) -> KeptRequest:
    """The kept request that a path names by its id or request id.

    Raises:
        HTTPError: 404, it is not kept, or no longer.
    """
    store = asked.context.store
    kept = store.get(asked.parts[1])
    if kept is None:
        store.flush()  # an error page leads here before its request is written
        kept = store.get(asked.parts[1])
    if kept is None:
        raise HTTPError(404, "This request is not kept: it was cleared, or pushed out by later ones.")
    return kept


def show_request(asked: Asked, form: RequestForm | None = None) -> Response:
    """The page of a kept request; with the form of a replay that could not be sent."""
    kept = kept_of(asked)
    masks = Masks.of(kept)
    original = asked.context.store.get(kept.replay_of) if kept.replay_of else None
    return inspector_page(
        asked,
        "request.html",
        400 if form is not None else 200,
        section="requests",
        kept=kept,
        moment=clock(kept.time),
        day=time.strftime("%d %B %Y", time.localtime(kept.time)).lstrip("0"),
        target=masks.target(kept.target),
        phrase=status_phrase(kept.status),
        request_headers=masks.headers(kept.request_headers),
        response_headers=masks.headers(kept.response_headers),
        request_body=shown_body(kept, "request"),
        response_body=shown_body(kept, "response"),
        failure=masks.report(kept.failure),
        lines=[
            ShownLine(clock(each.time), each.level.lower(), each.logger, masks.message(each.message))
            for each in kept.logs
        ],
        timings=_timings(kept),
        form=form or form_of(kept),
        form_action=f"{ROOT}requests/{kept.id}/replay",
        methods=METHODS,
        can_replay=asked.context.application is not None,
        original=original,
        answers=_answers(original, kept) if original is not None else [],
        differences=_shown_differences(original, kept) if original is not None else [],
        snippets=_snippets(kept, asked.context.config),
        verifications=verifications_of(kept, asked.context.site),
        jobs=_jobs_of(asked, kept),
    )


class ShownJob(NamedTuple):
    """A job that a request has brought."""

    id: str
    name: str
    state: str
    attempt: str
    address: str
    why: str


def _jobs_of(asked: Asked, kept: KeptRequest) -> list[ShownJob]:
    """The jobs whose ids the answer to a request has."""
    site = asked.context.site
    if site is None or not 200 <= kept.status < 300 or not kept.response_body.startswith(b"{"):
        return []
    try:
        opened = open_site_inbox(site)
        jobs = jobs_in(opened.inbox, kept.response_body) if opened is not None else []
    except (ProjectError, StoreUnavailable):  # the page of the inbox says so
        return []
    return [
        ShownJob(
            job.id,
            job.name,
            job.state,
            f"{job.attempt} of {job.max_attempts}",
            job_address(job.id),
            cut_to(masked(job.why or ""), _LONGEST_CELL),
        )
        for job in jobs
    ]


def _timings(kept: KeptRequest) -> list[TimingShare]:
    whole = max(sum(kept.timings.values()), 0.001)
    found, start = [], 0.0
    for name, text in _TIMINGS.items():
        if name in kept.timings:
            percent = round(100 * kept.timings[name] / whole, 1)
            found.append(TimingShare(text, kept.timings[name], start, percent))
            start = round(start + percent, 1)
    return found


def _answers(original: KeptRequest, replayed: KeptRequest) -> list[ShownAnswer]:
    return [
        ShownAnswer(
            each,
            title,
            status_phrase(each.status),
            Masks.of(each).headers(each.response_headers),
            shown_body(each, "response"),
        )
        for each, title in ((original, "Before"), (replayed, "Now"))
    ]


def _shown_differences(original: KeptRequest, kept: KeptRequest) -> list[Difference]:
    """The differences of two answers, with secrets masked."""
    masks = Masks.of(original, kept)
    found = []
    for part, before, after, diff in differences(original, kept):
        name = part.removeprefix("header ")
        if name != part:
            before, after = (masks.header(name, value) if value else "" for value in (before, after))
        found.append(Difference(part, masks.text(before), masks.text(after), [masks.text(line) for line in diff]))
    return found


class Snippet(NamedTuple):
    """The request as a text that is copied; ``note`` says in its place why there is none."""

    name: str
    text: str
    note: str = ""


def _snippets(kept: KeptRequest, config: Config) -> list[Snippet]:
    if len(kept.request_body) > _MOST_COPIED:
        note = "The body is too long to be copied; download it above."
        found = [Snippet("curl", "", note), Snippet("Python with requests", "", note)]
    else:
        found = [Snippet("curl", as_curl(kept)), Snippet("Python with requests", as_requests(kept))]
    if len(kept.request_body) + len(kept.response_body) > _MOST_COPIED:
        note = f"The bodies are too long for a page; this writes the test: wixhttp inspect to-test {kept.id}"
        return [*found, Snippet("Test", "", note)]
    return [*found, Snippet("Test", as_test([kept], _secrets(config)))]


def _secrets(config: Config) -> dict[str, str]:
    """The secrets in the project's files, by name."""
    try:
        store = SecretStore.from_config(config)
        return {name: str(store.get(name)) for name in store.names()}
    except ProjectError:  # a file that cannot be read: what is known by value is not shown either
        return {}


async def replay_request(asked: Asked) -> Response:
    """Send a kept request again: as it was, or edited, where the form has a method. Leads to the page of the new one.

    Raises:
        HTTPError: 409, there is nothing that could answer it, or not all of it was kept.
    """
    kept = kept_of(asked)
    application = asked.context.application
    if application is None:
        raise HTTPError(409, "The project cannot be loaded, so that nothing answers.")
    try:
        changes = vars(edited_request(asked, kept)) if asked.field("method") else {}
        answered = await replay(application, kept, **changes)
    except (HTTPError, ValueError) as error:
        form = sent_form(asked) if asked.field("method") else form_of(kept)
        form.template = kept.id
        form.error = error.detail if isinstance(error, HTTPError) else str(error)
        return show_request(asked, form)
    return redirect(f"{ROOT}requests/{answered.id or answered.request_id}")


def send_body(asked: Asked) -> Response:
    """A body as a file to be saved, with its secrets masked."""
    kept, side = kept_of(asked), _side(asked)
    is_request = side == "request"
    data = kept.request_body if is_request else kept.response_body
    content_type = header(kept.request_headers if is_request else kept.response_headers, "content-type") or ""
    return Response(
        200,
        Masks.of(kept).body(data, content_type),
        {
            **HIDING_HEADERS,
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{side}-{kept.id}.bin"',
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
    )


def send_image(asked: Asked) -> Response:
    """A body that is an image of a type that runs no script, for the page that shows it.

    Raises:
        HTTPError: 404, it is none.
    """
    kept, side = kept_of(asked), _side(asked)
    is_request = side == "request"
    content_type = header(kept.request_headers if is_request else kept.response_headers, "content-type") or ""
    essence = content_type.partition(";")[0].strip().lower()
    if essence not in IMAGE_TYPES:
        raise HTTPError(404, "This body is no image.")
    return Response(
        200,
        kept.request_body if is_request else kept.response_body,
        {**HIDING_HEADERS, "Content-Type": essence, "Content-Security-Policy": "default-src 'none'; sandbox"},
    )


def _side(asked: Asked) -> str:
    side = asked.parts[3]
    if side not in _SIDES:
        raise HTTPError(404, "There is no such body.")
    return side
