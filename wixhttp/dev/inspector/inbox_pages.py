"""The pages of deferred functions and jobs: their list, and one of them with the request behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wixhttp.dev.traffic.masks import Masks
from wixhttp.dev.web.pages import redirect
from wixhttp.dev.web.templates import shown_duration
from wixhttp.dispatch.route_list import relative_file
from wixhttp.errors import HTTPError, ProjectError, StoreUnavailable
from wixhttp.http.json_codec import json_or_text
from wixhttp.http.response import Response
from wixhttp.logs.masking import masked

from .asked import ROOT, Asked, inspector_page, with_query
from .inbox_data import (
    OVER,
    OpenedInbox,
    as_text,
    content_of,
    occurrence_of,
    open_site_inbox,
    request_of,
    run_time,
    shown_date,
    shown_time,
)
from .json_tree import tree_rows
from .request_list import number
from .shown_bodies import shown_body
from .visible_text import cut_to

if TYPE_CHECKING:
    from wixhttp.inbox.stores.contract import Job, State, Stats

INBOX = f"{ROOT}inbox"
PAGE_SIZE = 50
"""Jobs of a page."""

_LONGEST_CELL = 160  # characters
_PATIENCE = 2.0  # seconds in which a job that was begun by hand may end before its page is shown


def job_address(job_id: str, action: str = "") -> str:
    """The path of the page of a job, or of what is done to it."""
    return f"{INBOX}/{quote(job_id, safe='')}{action}"


def show_inbox(asked: Asked, problem: str = "", status: int = 200) -> Response:
    """The page that lists jobs, the last accepted first."""
    query = asked.query
    chosen = {name: query.get(name, "") for name in ("state", "name", "key")}
    opened, jobs, stats = None, list["Job"](), None
    if asked.context.site is not None:
        try:
            opened = open_site_inbox(asked.context.site)
            if opened is not None:
                jobs, stats = _jobs(opened, chosen, number(query.get("before", ""))), opened.inbox.stats()
        except (ProjectError, StoreUnavailable) as error:
            problem, status = problem or masked(str(error)), 500
    known = opened.known if opened is not None else []
    has_older, jobs = len(jobs) > PAGE_SIZE, jobs[:PAGE_SIZE]
    return inspector_page(
        asked,
        "inbox.html",
        status,
        section="inbox",
        failure=asked.context.failure,
        is_loaded=asked.context.site is not None,
        problem=problem,
        is_used=bool(known) or (stats is not None and not stats.is_empty),
        is_filtered=any(chosen.values()),
        chosen=chosen,
        states=_states(stats, chosen),
        names=sorted({*known, *(stats.by_name if stats is not None else ())}),
        jobs=[] if opened is None else [_row(opened, job) for job in jobs],
        dead=stats.dead if stats is not None else 0,
        older=with_query(INBOX, {**chosen, "before": str(jobs[-1].seq)}) if has_older else "",
        newest=with_query(INBOX, chosen) if query.get("before") else "",
    )


def _jobs(opened: OpenedInbox, chosen: dict[str, str], before: int | None) -> list[Job]:
    from wixhttp.inbox.stores.contract import STATES

    state: State | None = None
    if chosen["state"]:
        found = [each for each in STATES if each == chosen["state"]]
        if not found:
            raise HTTPError(404, f"There is no state of that name; there are {', '.join(STATES)}.")
        state = found[0]
    name, key = chosen["name"] or None, chosen["key"] or None
    return opened.inbox.list(state=state, name=name, key=key, limit=PAGE_SIZE + 1, before=before or None)


def _states(stats: Stats | None, chosen: dict[str, str]) -> list[tuple[str, int, str, bool]]:
    """Name, number of jobs, address and whether it is chosen, of each state, ``all`` first."""
    if stats is None:
        return []
    found = [("all", sum(stats.by_state.values()), with_query(INBOX, {**chosen, "state": ""}), not chosen["state"])]
    for state, count in stats.by_state.items():
        found.append((state, count, with_query(INBOX, {**chosen, "state": state}), chosen["state"] == state))
    return found


def _row(opened: OpenedInbox, job: Job) -> dict[str, Any]:
    key = "" if opened.is_of_schedule(job) else masked(job.key or "")
    return {
        "id": job.id,
        "address": job_address(job.id),
        "state": job.state,
        "name": job.name,
        "is_known": opened.entry_of(job) is not None,
        "attempt": f"{job.attempt} of {job.max_attempts}",
        "accepted": shown_time(job.accepted_at),
        "day": shown_date(job.accepted_at)[:10],
        "due": shown_time(job.run_at)[:-4] if job.state == "waiting" and job.run_at > job.accepted_at else "",
        "key": cut_to(key, _LONGEST_CELL),
        "error": cut_to(masked(job.why or ""), _LONGEST_CELL),
    }


# --- one job ---------------------------------------------------------------------------------------------------------


def _found(asked: Asked) -> tuple[OpenedInbox, Job]:
    """The inbox, and the job that a path names.

    Raises:
        HTTPError: 404, there is none; 409, the project cannot be loaded; 500, its store fails.
    """
    if asked.context.site is None:
        raise HTTPError(409, "The project cannot be loaded, and its inbox cannot be opened.")
    try:
        opened = open_site_inbox(asked.context.site)
        job = opened.inbox.get(asked.parts[1]) if opened is not None else None
    except (ProjectError, StoreUnavailable) as error:
        raise HTTPError(500, masked(str(error))) from error
    if opened is None or job is None:
        raise HTTPError(404, "There is no such job: done ones are kept for 7 days, dead ones for 30.")
    return opened, job


def show_job(asked: Asked, problem: str = "", status: int = 200) -> Response:
    """The page of a job."""
    opened, job = _found(asked)
    content = content_of(job)
    request = request_of(job, content) if job.kind == "request" and isinstance(content, dict) else None
    masks = Masks.of(request) if request is not None else Masks()
    origin = str(content.get("request_id", "")) if isinstance(content, dict) else ""
    kept = asked.context.store.get(origin) if origin else None
    parent = opened.inbox.get(origin) if origin and kept is None and origin != job.id else None
    arguments = content.get("arguments", content) if isinstance(content, dict) else content
    why, _, traceback = masks.text(job.error or "").strip().partition("\n")
    result = json_or_text(job.result)
    is_over = job.state in OVER
    return inspector_page(
        asked,
        "job.html",
        status,
        section="inbox",
        job=job,
        is_known=opened.entry_of(job) is not None,
        facts=_facts(opened, job, masks),
        place=_place(opened, job),
        why=why,
        traceback=traceback.strip("\n").replace(f'File "{asked.context.config.root}/', 'File "'),
        problem=problem,
        told=_TOLD.get(asked.query.get("told", ""), ""),
        retry=job_address(job.id, "/retry") if job.state in ("dead", "cancelled") else "",
        cancel=job_address(job.id, "/cancel") if job.state in ("waiting", "blocked", "dead") else "",
        is_over=is_over,
        request=request,
        target=masks.target(request.target) if request is not None else "",
        request_headers=masks.headers(request.request_headers) if request is not None else [],
        request_body=shown_body(request, "request") if request is not None else None,
        kept=kept,
        parent=parent,
        parent_address=job_address(parent.id) if parent is not None else "",
        arguments=tree_rows(arguments, masks.text) if request is None and not opened.is_of_schedule(job) else [],
        result=masks.text(as_text(result)) if result is not None else "",
        is_status=job.kind == "request",
    )


_TOLD = {"retried": "It begins anew, with all its attempts.", "cancelled": "It does not run any more."}


def _place(opened: OpenedInbox, job: Job) -> str:
    """File and line of the function that runs a job."""
    entry = opened.entry_of(job)
    if entry is None or opened.service is None:
        return ""
    return f"{relative_file(entry.file, opened.service.config.root)}:{entry.line}"


def _facts(opened: OpenedInbox, job: Job, masks: Masks) -> list[tuple[str, str]]:
    is_of_schedule, took = opened.is_of_schedule(job), run_time(job)
    found = [
        ("Attempt", f"{job.attempt} of {job.max_attempts}"),
        ("Accepted", shown_date(job.accepted_at)),
        ("Due", shown_time(job.run_at) if job.state in ("waiting", "blocked") else ""),
        ("Started last", shown_time(job.started_at)),
        ("Ended", shown_time(job.ended_at)),
        ("Took", shown_duration(took.total_seconds() * 1000) if took is not None else ""),
        ("Scheduled for", occurrence_of(job) if is_of_schedule else ""),
        ("Key", "" if is_of_schedule else masks.text(job.key or "")),
        ("Dedup", "" if is_of_schedule else masks.text(job.dedup or "")),
        ("Priority", str(job.priority) if job.priority else ""),
        ("Once dead", "the key stops" if job.on_dead == "hold" and job.key else ""),
    ]
    return [(name, cut_to(value, _LONGEST_CELL)) for name, value in found if value]


def retry_job(asked: Asked) -> Response:
    """Let a job begin anew, and lead to its page."""
    opened, job = _found(asked)
    try:
        count = opened.inbox.retry([job.id])
    except StoreUnavailable as error:
        return show_job(asked, masked(str(error)), 500)
    if not count:
        return show_job(asked, "It was not retried: only dead and cancelled ones can be.", 409)
    opened.wake()
    opened.wait_for(job.id, _PATIENCE)
    return redirect(with_query(job_address(job.id), {"told": "retried"}))


def cancel_job(asked: Asked) -> Response:
    """Let a job not run any more, and lead to its page."""
    opened, job = _found(asked)
    try:
        count = opened.inbox.cancel([job.id])
    except StoreUnavailable as error:
        return show_job(asked, masked(str(error)), 500)
    if not count:
        return show_job(asked, "It was not cancelled: one that runs, or is over, cannot be.", 409)
    return redirect(with_query(job_address(job.id), {"told": "cancelled"}))


def retry_dead(asked: Asked) -> Response:
    """Let all dead jobs begin anew, and lead to the list.

    Raises:
        HTTPError: 409, there is no inbox.
    """
    opened = open_site_inbox(asked.context.site) if asked.context.site is not None else None
    if opened is None:
        raise HTTPError(409, "The project cannot be loaded, or has no inbox.")
    try:
        opened.inbox.retry(None)
    except StoreUnavailable as error:
        return show_inbox(asked, masked(str(error)), 500)
    opened.wake()
    return redirect(INBOX)
