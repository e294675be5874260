"""The inbox of the site for the inspector: what is in it, and what is known of a job. All of it blocks.

Whatever knows deferred work is loaded here when a page asks for it: that it is loaded says that a site has some.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wixhttp.dev.traffic.kept_requests import KeptRequest, header
from wixhttp.dispatch.site import Site
from wixhttp.errors import InvalidJSON
from wixhttp.http.json_codec import decode_json

from .collection_data import is_there

if TYPE_CHECKING:
    from wixhttp.inbox.service import InboxService
    from wixhttp.inbox.stores.contract import Inbox, Job

OVER = ("done", "dead", "cancelled")
"""The states of jobs that do not go on by themselves."""

_LOOK_EVERY = 0.02  # seconds


@dataclass(frozen=True)
class OpenedInbox:
    """The inbox, and the ``service`` that runs what is in it, ``None`` where the site has no deferred work."""

    inbox: Inbox
    service: InboxService | None

    @property
    def known(self) -> list[str]:
        """The names that the site runs jobs of."""
        return self.service.table.names if self.service is not None else []

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
    return parsed(job.payload)


def parsed(text: bytes | None) -> Any:
    """The value of a JSON text, as it is where it is none; ``None`` for ``None``."""
    if text is None:
        return None
    try:
        return decode_json(text)
    except InvalidJSON:  # of another version
        return text.decode("utf-8", "replace")


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
    """A moment in the time zone of this machine, ``2026-03-01 14:03:22``; "" for ``None``."""
    return "" if date is None else date.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def as_text(value: Any) -> str:
    """A value as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2)
