"""Deferred work and jobs: stored in the project's store, run later, at least once.

from wixhttp.inbox import Dead, Retry, deferred, enqueue, job
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wixhttp.public_calls import elsewhere

if TYPE_CHECKING:
    from .declarations import deferred, job
    from .enqueueing import JobCall, enqueue, job_call
    from .outcomes import Dead, Retry
    from .schedules.decorator import scheduled

_MODULES = {
    "declarations": ("deferred", "job"),
    "enqueueing": ("JobCall", "enqueue", "job_call"),
    "outcomes": ("Dead", "Retry"),
    "schedules.decorator": ("scheduled",),
}

__all__ = ["Dead", "JobCall", "Retry", "deferred", "enqueue", "job", "job_call", "scheduled"]


def __getattr__(name: str) -> Any:
    # Lazy: what the inbox is about has names of its own, and a site that only enqueues loads no decorators.
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise elsewhere(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
