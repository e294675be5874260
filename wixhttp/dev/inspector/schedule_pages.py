"""The page of jobs: scheduled functions with their next and last runs, and the names that deferred work has."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from wixhttp.dev.web.pages import redirect
from wixhttp.dispatch.route_list import relative_file
from wixhttp.errors import HTTPError, ProjectError, StoreUnavailable
from wixhttp.http.response import Response
from wixhttp.logs.masking import masked

from .asked import ROOT, Asked, inspector_page, with_query
from .inbox_data import OpenedInbox, open_site_inbox, shown_time
from .inbox_pages import INBOX, job_address
from .visible_text import cut_to

if TYPE_CHECKING:
    from wixhttp.inbox.schedules.loading import ScheduledFunction
    from wixhttp.inbox.stores.contract import Job

JOBS = f"{ROOT}jobs"

_LONGEST_CELL = 160  # characters
_PATIENCE = 2.0  # seconds in which a run may end before its page is shown
_STATES = ("waiting", "running", "dead")


def show_jobs(asked: Asked, problem: str = "", status: int = 200) -> Response:
    """The page that lists scheduled functions, and what else has jobs."""
    site = asked.context.site
    opened, schedules, names = None, list[dict[str, Any]](), list[dict[str, Any]]()
    if site is not None:
        try:
            opened = open_site_inbox(site)
            if opened is not None and opened.service is not None:
                schedules = [_schedule(opened, each) for each in scheduled_functions(asked)]
                names = _names(opened)
        except (ProjectError, StoreUnavailable) as error:
            problem, status = problem or masked(str(error)), 500
    return inspector_page(
        asked,
        "jobs.html",
        status,
        section="jobs",
        failure=asked.context.failure,
        is_loaded=site is not None,
        problem=problem,
        schedules=schedules,
        names=names,
        run=f"{JOBS}/run",
        states=_STATES,
    )


def scheduled_functions(asked: Asked) -> list[ScheduledFunction]:
    """The scheduled functions of the site.

    Raises:
        ProjectError: they cannot be loaded.
    """
    from wixhttp.inbox.schedules.loading import load_schedules

    config = asked.context.config
    return list(load_schedules(config.root, config.import_timeout))


def _schedule(opened: OpenedInbox, function: ScheduledFunction) -> dict[str, Any]:
    from wixhttp.inbox.schedules.scheduler import last_run

    now, last = datetime.now(timezone.utc), last_run(opened.inbox, function)
    return {
        "name": function.name,
        "description": function.description,
        "place": function.place,
        "schedules": [
            {
                "expression": each.expression,
                "zone": each.zone,
                "explanation": each.explanation,
                "missed": each.missed,
                "next": _next(each.next(now), each.timezone),
            }
            for each in function.schedules
        ],
        "last": None if last is None else _last(last),
        "all": with_query(INBOX, {"name": function.name}),
    }


def _next(due: datetime | None, zone: Any) -> str:
    return "never" if due is None else due.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _last(job: Job) -> dict[str, str]:
    error = (job.why or "") if job.state != "done" else ""
    return {
        "address": job_address(job.id),
        "time": shown_time(job.started_at),
        "state": job.state,
        "attempt": f"failed, attempt {job.attempt} of {job.max_attempts}" if job.state == "waiting" else "",
        "error": cut_to(masked(error), _LONGEST_CELL),
    }


def _names(opened: OpenedInbox) -> list[dict[str, Any]]:
    """The deferred functions and jobs of the site, and how many jobs each has in the states that one looks for."""
    assert opened.service is not None  # noqa: S101  # seen by the caller
    by_name = opened.inbox.stats().by_name
    return [
        {
            "name": entry.name,
            "kind": "deferred function" if entry.kind == "deferred" else entry.kind,
            "place": f"{relative_file(entry.file, opened.service.config.root)}:{entry.line}",
            "attempts": entry.options.attempts,
            "counts": [
                (by_name.get(entry.name, {}).get(state, 0), with_query(INBOX, {"name": entry.name, "state": state}))  # type: ignore[call-overload]  # a state
                for state in _STATES
            ],
            "all": with_query(INBOX, {"name": entry.name}),
        }
        for entry in opened.service.table
        if entry.kind != "scheduled"
    ]


def run_now(asked: Asked) -> Response:
    """Run a scheduled function now, as a job of its own, and lead to the page of that.

    Raises:
        HTTPError: 404, there is no such function; 409, the project cannot be loaded.
    """
    opened = open_site_inbox(asked.context.site) if asked.context.site is not None else None
    if opened is None:
        raise HTTPError(409, "The project cannot be loaded, or has no inbox.")
    name = asked.field("name")
    function = next((each for each in scheduled_functions(asked) if each.name == name), None)
    if function is None:
        raise HTTPError(404, "There is no scheduled function of that name any more.")
    from wixhttp.inbox.schedules.scheduler import occurrence_job

    moment = datetime.now(timezone.utc).replace(second=0, microsecond=0)
    try:
        [accepted] = opened.inbox.accept([replace(occurrence_job(function, moment), dedup=None)])
    except StoreUnavailable as error:
        return show_jobs(asked, masked(str(error)), 500)
    opened.wake()
    opened.wait_for(accepted.id, _PATIENCE)
    return redirect(job_address(accepted.id))
