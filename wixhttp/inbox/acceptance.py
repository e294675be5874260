"""Acceptance of deferred work: the guard of ``@deferred``, which stores the request and answers 202."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wixhttp.errors import ProjectError
from wixhttp.guards import DEFERRED, CheckGuard, GuardedRequest
from wixhttp.http.response import Response
from wixhttp.measurements import counted

from .keys import key_text
from .opened import current_inbox
from .options import JobOptions
from .stored_request import request_payload
from .stores.contract import NewJob

EVENT = "event"


@dataclass(frozen=True, slots=True)
class DeferredRules:
    """The arguments of ``@deferred``. ``headers`` are the lower-case names of those that are stored; ``None``: all but
    credentials."""

    options: JobOptions
    dedup: str | Callable[[Any], Any] | None
    key: Callable[[Any], Any] | None
    headers: frozenset[str] | None


class DeferredGuard(CheckGuard):
    """The guard of a deferred function. ``prefix`` stands in front of the function's name in the inbox; ``limit`` is
    the setting ``inbox_limit``; ``wake`` is called when something was stored. All three are set when the site is
    loaded."""

    place = DEFERRED
    blocks = True

    def __init__(self, rules: DeferredRules) -> None:
        self.rules = rules
        self.prefix = ""
        self.limit: int | None = None
        self.wake: Callable[[], object] = lambda: None

    def check(self, request: GuardedRequest) -> Response:
        """Store the request, and answer 202 with its id.

        Raises:
            StoreUnavailable: 503, it cannot be stored now, or there are ``inbox_limit`` already.
            HTTPError: a function of users' that makes a key of it refuses it.
        """
        rules, name = self.rules, self.prefix + request.name
        options = rules.options
        job = NewJob(
            name,
            "request",
            request_payload(request, rules.headers),
            request.body,
            key_text(rules.key(request.request), f"{name}: key") if rules.key is not None else None,
            self._dedup(request, name),
            priority=options.priority,
            max_attempts=options.attempts,
            on_dead=options.on_dead,
        )
        ((job_id, is_new),) = current_inbox().accept([job], limit=self.limit)
        if is_new:
            self.wake()
        counted("job_accepted", name=name, result="new" if is_new else "repeated")
        return Response(202, {"id": job_id})

    def _dedup(self, request: GuardedRequest, name: str) -> str | None:
        dedup = self.rules.dedup
        if dedup is None:
            return None
        if dedup == EVENT:
            return key_text(getattr(request.notes.webhook, "id", None), f"{name}: the id of the webhook")
        if isinstance(dedup, str):
            return key_text(request.head.header(dedup.lower()), f"{name}: dedup")
        return key_text(dedup(request.request), f"{name}: dedup")


def check_event(guard: DeferredGuard, name: str, has_sender: bool) -> None:
    """Check that ``dedup="event"`` has an event.

    Raises:
        ProjectError: the function verifies no sender.
    """
    if guard.rules.dedup == EVENT and not has_sender:
        raise ProjectError(
            f'{name}: @deferred(dedup="event") is the id of a verified webhook, and the function verifies none; add '
            "@verified(...), or name a header"
        )
