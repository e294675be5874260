"""The decorators ``@deferred`` and ``@job``: they leave a function as it is, and note on it that it is run later."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from wixhttp.http.policy import note_guard
from wixhttp.http.response import is_token
from wixhttp.messages import brief
from wixhttp.project.signatures import is_async_callable
from wixhttp.public_calls import explained, named

from .acceptance import EVENT, DeferredGuard, DeferredRules
from .options import ATTEMPTS, BACKOFF, JobOptions, parse_options
from .stores.contract import OnDead

F = TypeVar("F", bound=Callable[..., Any])

JOB = "__wixhttp_job__"
"""The attribute of a function that is a job."""
LONGEST_NAME = 200

Maker = Callable[[Any], "str | int | None"]
"""A function of users' that makes a key of a request."""


@dataclass(frozen=True, slots=True)
class JobDeclaration:
    """A job as ``@job`` declares it."""

    name: str
    options: JobOptions


@explained("deferred()")
def deferred(
    *misplaced: NoReturn,
    dedup: str | Maker | None = None,
    key: Maker | None = None,
    attempts: int = ATTEMPTS,
    backoff: tuple[float, float] = BACKOFF,
    on_dead: OnDead = "go",
    priority: int = 0,
    headers: Collection[str] | None = None,
    status: int = 202,
) -> Callable[[F], F]:
    """A decorator that answers for a function at once, and runs it later: ``@deferred(dedup="event")``.

    A request that has passed the other decorators (``@verified``, ``@require_key``, ...) is stored, and answered 202
    with ``{"id": ...}`` once that is on disk. A process of the site then calls the function with the same request,
    whose ``attempt`` counts the runs and whose ``deferredId`` is the same in all of them. It is done when it returns,
    whatever it returns below 400. After an exception or an answer of 500 and more it is run again; one of 400 to 499,
    or `Dead`, ends it. **At least once**: a function must bear to be run again.

    ``dedup``: what is stored only once in seven days: ``"event"`` is the id of a verified webhook, any other text the
    name of a header; or a function of the request. A repeat is answered as the first, with the first id. A request
    without that id or header is refused (400); one for which the function returns ``None`` is stored each time.
    ``key``: a function of the request; those of one key run one after the other, in the order of their acceptance.
    Both functions return text or a whole number. What they miss in a request is its fault: it is refused (400).
    ``attempts``: runs at most, 10. ``backoff``: base and cap in seconds of the pause before the next, which is random,
    up to base times 2 to the number of those that failed.
    ``on_dead``: once one is dead, the next of its key may ``"go"``, or is ``"hold"``.
    ``priority``: -100 to 100, the highest first.
    ``headers``: the names of those that are stored; all but those with credentials unless given.
    ``status``: that of the answer, 200 to 299, for senders that take no 202; 204 and 205 have no body.

    Raises:
        ValueError, TypeError: an argument is wrong, at once.
    """
    if misplaced:
        raise TypeError(f"deferred takes keywords only, not {named(misplaced[0])}; write @deferred()")
    options = parse_options("@deferred", attempts, backoff, on_dead, priority)
    if isinstance(dedup, str):
        _check_dedup(dedup)
    for name, maker in (("dedup", dedup), ("key", key)):
        if maker is None or (name == "dedup" and isinstance(maker, str)):
            continue
        if not callable(maker) or is_async_callable(maker):
            raise TypeError(f"@deferred: {name} is a function of the request, a def, not {named(maker)}")
    if type(status) is not int or not 200 <= status <= 299:
        raise ValueError(f"@deferred: status is a whole number from 200 to 299, not {brief(status)}")
    kept = None if headers is None else _parse_headers(headers)
    rules = DeferredRules(options, dedup, key, kept, status)

    def note(function: F) -> F:
        _check_no_generator("@deferred", function)
        return note_guard(DeferredGuard(rules), function)

    return note


def _check_no_generator(where: str, function: Any) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        name = getattr(function, "__name__", function)
        raise TypeError(f"{where}: {name} has a yield, so that a call of it runs nothing; return instead")


def _check_dedup(dedup: str) -> None:
    if not is_token(dedup):
        raise ValueError(
            f'@deferred: dedup is "event", the name of a header or a function of the request, not {dedup!r}'
        )
    if dedup != EVENT and "-" not in dedup and get_close_matches(dedup.lower(), [EVENT]):
        raise ValueError(
            f'@deferred: dedup is {dedup!r}; did you mean "event", the id of a verified webhook? A header of that name '
            f"is dedup=lambda request: request.headers[{dedup!r}]"
        )


def _parse_headers(headers: Collection[str]) -> frozenset[str]:
    if isinstance(headers, str) or not all(isinstance(name, str) and is_token(name) for name in headers):
        raise ValueError(f"@deferred: headers is a list of names of headers, not {headers!r}")
    return frozenset(name.lower() for name in headers)


@explained('job("send-mail")')
def job(
    name: str,
    *misplaced: NoReturn,
    attempts: int = ATTEMPTS,
    backoff: tuple[float, float] = BACKOFF,
    on_dead: OnDead = "go",
    priority: int = 0,
) -> Callable[[F], F]:
    """A decorator that makes a function a job, which `enqueue` has run later: ``@job("send-mail")``.

    The function, ``def`` or ``async def``, takes the arguments that `enqueue` is given. It stands at the top of
    ``backend/jobs.py``, or of any module below ``backend`` whose text names ``wixhttp.inbox``: these are imported when
    the site is loaded. It acts on collections with the rights of the site's owner. Options are those of `deferred`; its
    time is that of ``@limits(timeout=...)``, 600 seconds unless given.

    Raises:
        ValueError, TypeError: an argument is wrong, at once.
    """
    if misplaced:
        raise TypeError(
            f'job takes one name, not {named(misplaced[0])} too; options are keywords: @job("name", attempts=5)'
        )
    if not isinstance(name, str):
        raise TypeError(f'@job takes a name, not {named(name)}; write @job("send-mail")')
    check_name("@job", name)
    declaration = JobDeclaration(name, parse_options("@job", attempts, backoff, on_dead, priority))

    def note(function: F) -> F:
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"@job stands in front of a function, not of {named(function)}")
        _check_no_generator("@job", function)
        if hasattr(function, JOB):
            raise TypeError(f"{getattr(function, '__name__', function)!r} has two @job; leave one out")
        setattr(function, JOB, declaration)
        return function

    return note


def check_name(where: str, name: str) -> None:
    """Check the name of a job.

    Raises:
        ValueError: it is empty, too long, or holds what cannot be printed. ``where`` begins the message.
    """
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(
            f"{where}: a name is printable text of 1 to {LONGEST_NAME} characters, with no blank at either end, not "
            f"{name!r}"
        )
