"""The inbox of the site for the inspector: what is in it, and what is known of a job. All of it blocks.

Whatever knows deferred work is loaded here when a page asks for it: that it is loaded says that a site has some.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from wixhttp.dev.traffic.kept_requests import KeptRequest, header
from wixhttp.dispatch.site import Site
from wixhttp.http.json_codec import json_or_text

from .collection_data import is_there

if TYPE_CHECKING:
    from wixhttp.inbox.job_table import JobEntry
    from wixhttp.inbox.service import InboxService
    from wixhttp.inbox.stores.contract import Inbox, Job

OVER = ("done", "dead", "cancelled")
"""The states of jobs that do not go on by themselves."""

_LOOK_EVERY = 0.02  # seconds
_MOST_MEMBERS = 20  # of an answer, which may be ids


@dataclass(frozen=True)
class OpenedInbox:
    """The inbox, and the ``service`` that runs what is in it, ``None`` where the site has no deferred work."""

    inbox: Inbox
    service: InboxService | None

    @property
    def known(self) -> list[str]:
        """The names that the site runs jobs of."""
        return self.service.table.names if self.service is not None else []

    def entry_of(self, job: Job) -> JobEntry | None:
        """The function that runs a job; ``None`` where there is none of its name."""
        return self.service.table.get(job.name) if self.service is not None else None

    def is_of_schedule(self, job: Job) -> bool:
        """Return whether a schedule has made a job, or *Run now*: its key, by which its runs do not overlap, is not the
        user's."""
        from wixhttp.inbox.schedules.scheduler import KEY

        entry = self.entry_of(job)
        return job.key == KEY and (entry is None or entry.kind == "scheduled")

    def wake(self) -> None:
        """Have what waits looked at now."""
        if self.service is not None:
            self.service.wake()

    def wait_for(self, job_id: str, seconds: float) -> None:
        """Wait until a job is over, or has failed once more; at most for so long."""
        end = time.monotonic() + seconds
        job = first = self.inbox.get(job_id)
        while job is not None and first is not None and time.monotonic() < end:
            if job.state in OVER or (job.state == "waiting" and job.attempt > first.attempt):
                return
            time.sleep(_LOOK_EVERY)
            job = self.inbox.get(job_id)


def open_site_inbox(site: Site) -> OpenedInbox | None:
    """The inbox of a site; ``None`` where there is none: the site has no deferred work, and no database.

    Raises:
        ProjectError, StoreUnavailable: it cannot be opened.
    """
    service = None
    if "wixhttp.inbox.service" in sys.modules:
        from wixhttp.inbox.service import jobs_of

        service = jobs_of(site)
    if service is None and not is_there(site.config):
        return None
    from wixhttp.inbox.opened import current_inbox

    return OpenedInbox(current_inbox(), service)


# --- what a job holds ------------------------------------------------------------------------------------------------


def content_of(job: Job) -> Any:
    """The arguments of a job, or the facts of its request; its text where it is no JSON."""
    return json_or_text(job.payload)


def request_of(job: Job, document: Mapping[str, Any]) -> KeptRequest:
    """The request of a deferred function, as one that was kept; it has no answer."""
    fields = [(str(name), str(value)) for name, value in document.get("headers", ())]
    query = document.get("query", "")
    target = f"{document.get('base', '')}{document.get('path', '/')}{'?' if query else ''}{query}"
    return KeptRequest(
        id=0, request_id=str(document.get("request_id", "")), time=job.accepted_at.timestamp(),
        method=str(document.get("method", "")), target=target, http_version="1.1",
        scheme=str(document.get("scheme", "http")), host=header(fields, "host") or str(document.get("host") or ""),
        client=str(document.get("client", "")), request_headers=fields, request_body=job.body,
        request_size=len(job.body), function=job.name, status=0, response_headers=[], response_body=b"",
        response_size=0, duration=0.0,
    )  # fmt: skip


def shown_date(date: datetime | None) -> str:
    """A moment in the time zone of this machine, ``2026-03-01 14:03:22.170``; "" for ``None``."""
    return "" if date is None else date.astimezone().isoformat(" ", "milliseconds")[:23]


def shown_time(date: datetime | None) -> str:
    """As `shown_date`, without the date where it is today's."""
    shown = shown_date(date)
    return shown[11:] if shown[:10] == datetime.now().astimezone().date().isoformat() else shown


def occurrence_of(job: Job) -> str:
    """The moment for which a schedule has made a job."""
    content = content_of(job)
    arguments = content.get("arguments") if isinstance(content, dict) else None
    text = str(arguments[0]) if isinstance(arguments, list) and len(arguments) == 1 else ""
    try:
        return shown_date(datetime.fromisoformat(text.replace("Z", "+00:00")))[:16]
    except ValueError:
        return text


def run_time(job: Job) -> timedelta | None:
    """The time that the last run of a job took; ``None`` while it runs, and before."""
    if job.started_at is None or job.ended_at is None or job.ended_at < job.started_at:
        return None
    return job.ended_at - job.started_at


def jobs_in(inbox: Inbox, answer: bytes) -> list[Job]:
    """The jobs whose ids an answer has: that of a deferred function has the one that was stored."""
    value = json_or_text(answer)
    texts = [each for each in value.values() if isinstance(each, str)] if isinstance(value, dict) else []
    return [job for text in texts[:_MOST_MEMBERS] if "-" in text and (job := inbox.get(text)) is not None]


def as_text(value: Any) -> str:
    """A value as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2)
