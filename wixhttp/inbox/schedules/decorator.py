"""The decorator ``@scheduled``. It leaves a function as it is, and notes its schedules in ``__wixhttp_schedules__``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from wixhttp.messages import brief
from wixhttp.public_calls import explained, named

from .schedule import Schedule

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

ATTEMPTS = 3
"""Starts of one occurrence, unless the decorator says otherwise."""

_ATTRIBUTE = "__wixhttp_schedules__"


@dataclass(frozen=True)
class ScheduleDeclaration:
    """The schedules that decorators noted on a function, the name of its job (``None``: made of module and function),
    and the most starts of one occurrence (``None``: `ATTEMPTS`)."""

    schedules: tuple[Schedule, ...]
    name: str | None = None
    attempts: int | None = None


@explained('scheduled("30 2 * * *")')
def scheduled(
    expression: str, *, tz: str = "UTC", missed: str = "last", name: str | None = None, attempts: int | None = None
) -> Callable[[F], F]:
    """A decorator that runs a function of ``backend/`` at its times: ``@scheduled("30 2 * * *", tz="Europe/Berlin")``.

    Each occurrence runs once, whatever the number of processes and machines, and never beside the one before. The
    function takes nothing, or the moment that it is due at (a ``datetime`` with its time zone). It acts with the rights
    of the site's owner. A function may have several schedules.

    Arguments:
        expression: minute, hour, day of the month, month, day of the week.
        tz: the time zone that it is read in.
        missed: what is done about occurrences that were missed while nothing ran, at most a day back: the ``"last"``
            one is run, ``"all"`` are run, one after the other, or they are left (``"skip"``).
        name: the name in ``wixhttp jobs``; default: module and function, ``"reports.send"``.
        attempts: the most starts of one occurrence, where it raises or its process dies; default: 3.

    Raises:
        ValueError: a value is wrong, or the expression is never due, at once.
        TypeError: written without parentheses, or of no function.
    """
    schedule = Schedule(expression, tz, missed)
    if attempts is not None and (type(attempts) is not int or not 1 <= attempts <= 100):
        raise ValueError(f"attempts is a whole number from 1 to 100, not {brief(attempts)}")
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= 100 and name.isprintable()):
        raise ValueError(f"name is text of 1 to 100 characters, not {brief(name)}")

    def note(function: F) -> F:
        return _note(function, schedule, name, attempts)

    return note


def _note(function: F, schedule: Schedule, name: str | None, attempts: int | None) -> F:
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"@scheduled stands above a function, not {named(function)}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__name__} has a yield, so that a call of it runs nothing; return instead")
    noted = declaration_of(function)
    before = noted.schedules if noted is not None else ()
    if schedule in before:
        raise ValueError(f"the schedule {schedule.expression!r} stands twice; leave one out")
    if noted is not None:
        name = _one("name", noted.name, name)
        attempts = _one("number of attempts", noted.attempts, attempts)
    setattr(function, _ATTRIBUTE, ScheduleDeclaration((schedule, *before), name, attempts))
    return function


def _one(kind: str, first: T | None, second: T | None) -> T | None:
    """The value that one of two decorators says."""
    if first is not None and second is not None and first != second:
        raise ValueError(f"a function has one {kind}, not {first!r} and {second!r}")
    return second if first is None else first


def declaration_of(function: object) -> ScheduleDeclaration | None:
    """The schedules that were noted on a function; ``None``: none."""
    declaration = getattr(function, _ATTRIBUTE, None)
    return declaration if isinstance(declaration, ScheduleDeclaration) else None
