"""Deferred work and jobs: stored in the project's store, run later, at least once.

    from wixhttp.inbox import deferred, enqueue, job


    @deferred()
    def post_order(request):
        enqueue("send-mail", request.body.json()["_id"])


    @job("send-mail")
    def send_mail(order_id): ...

``wixhttp inbox list`` shows what waits, runs and is dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wixhttp.public_calls import lazy_names

if TYPE_CHECKING:
    from .declarations import deferred, job
    from .enqueueing import JobCall, enqueue, job_call
    from .outcomes import Dead, Retry
    from .schedules.decorator import scheduled

_MODULES = {  # a site that only enqueues loads no schedules
    "declarations": ("deferred", "job"),
    "enqueueing": ("JobCall", "enqueue", "job_call"),
    "outcomes": ("Dead", "Retry"),
    "schedules.decorator": ("scheduled",),
}

__all__ = ["Dead", "JobCall", "Retry", "deferred", "enqueue", "job", "job_call", "scheduled"]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
