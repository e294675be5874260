"""Acceptance of deferred work: the guard of ``@deferred``, which stores the request and answers for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wixhttp.errors import HTTPError, ProjectError
from wixhttp.guards import DEFERRED, CheckGuard, Guard, GuardedRequest, made_key
from wixhttp.http.response import Response
from wixhttp.measurements import counted

from .opened import current_inbox
from .options import JobOptions
from .stored_request import request_payload
from .stores.contract import NewJob

EVENT = "event"
_WITHOUT_BODY = (204, 205)


@dataclass(frozen=True, slots=True)
class DeferredRules:
    """The arguments of ``@deferred``. ``headers`` are the lower-case names of those that are stored; ``None``: all but
    credentials. ``status`` is that of the answer."""

    options: JobOptions
    dedup: str | Callable[[Any], Any] | None
    key: Callable[[Any], Any] | None
    headers: frozenset[str] | None
    status: int


class DeferredGuard(CheckGuard):
    """The guard of a deferred function. ``limit`` is the setting ``inbox_limit``; ``wake`` is called when something was
    stored. Both are set when the site is loaded."""

    place = DEFERRED
    blocks = True

    def __init__(self, rules: DeferredRules) -> None:
        self.rules = rules
        self.status = rules.status
        self.limit: int | None = None
        self.wake: Callable[[], object] = lambda: None

    def check(self, request: GuardedRequest) -> Response:
        """Store the request, and answer with its id.

        Raises:
            StoreUnavailable: 503, it cannot be stored now, or there are ``inbox_limit`` already.
            HTTPError: 400, it does not hold what ``dedup`` or ``key`` are made of; or a function that makes one of it
                refuses it.
        """
        rules, name = self.rules, request.unique_name
        options = rules.options
        job = NewJob(
            name,
            "request",
            request_payload(request, rules.headers),
            request.body,
            made_key(rules.key, request, f"{name}: key= of @deferred") if rules.key is not None else None,
            self._dedup(request, name),
            priority=options.priority,
            max_attempts=options.attempts,
            on_dead=options.on_dead,
        )
        ((job_id, is_new),) = current_inbox().accept([job], limit=self.limit)
        if is_new:
            self.wake()
        counted("job_accepted", name=name, result="new" if is_new else "repeated")
        return Response(self.status, None if self.status in _WITHOUT_BODY else {"id": job_id})

    def _dedup(self, request: GuardedRequest, name: str) -> str | None:
        dedup = self.rules.dedup
        if dedup is None:
            return None
        if not isinstance(dedup, str):
            return made_key(dedup, request, f"{name}: dedup= of @deferred")
        if dedup == EVENT:
            value, what = getattr(request.notes.webhook, "id", None), "webhook.id"
        else:
            value, what = request.head.header(dedup.lower()), f"header {dedup}"
            if value is not None and "," in value:
                raise HTTPError(
                    400,
                    "The request does not say which one it is.",
                    reason=f"{name}: the header {dedup}, which @deferred takes as dedup=, came several times, or has a "
                    "comma",
                )
        if not value:
            raise HTTPError(
                400,
                "The request does not say which one it is.",
                reason=f"{name}: the request has no {what}, by which @deferred(dedup={dedup!r}) knows repeats; where "
                "some have none, write a function that returns None for these",
            )
        return str(value)


def check_event(guard: DeferredGuard, name: str, senders: Sequence[Guard]) -> None:
    """Check that ``dedup="event"`` has an event: ``senders`` are the guards that verify one.

    Raises:
        ProjectError: there is none, or the deliveries of one have no id.
    """
    if guard.rules.dedup != EVENT:
        return
    if not senders:
        raise ProjectError(
            f'{name}: @deferred(dedup="event") is the id of a verified webhook, and the function verifies none; add '
            "@verified(...), or name a header"
        )
    for sender in senders:
        if not getattr(sender, "has_ids", True):
            raise ProjectError(
                f'{name}: @deferred(dedup="event") is the id of a webhook, and the deliveries of its sender have none; '
                "write @deferred(dedup=lambda request: ...)"
            )
