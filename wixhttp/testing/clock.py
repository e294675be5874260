"""A clock that stands still, for tests of what was signed or expires."""

from __future__ import annotations

import contextlib
import datetime
import gc
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from wixhttp.public_calls import explained

_REAL_DATETIME, _REAL_DATE = datetime.datetime, datetime.date
# They keep the time of their own work; what they stamp with it is of no test.
_NOT_FOR = frozenset({"wixhttp", "pytest", "_pytest", "pluggy", "hypothesis", *sys.stdlib_module_names})


@contextlib.contextmanager
@explained()
def at_time(moment: float | datetime.datetime) -> Iterator[None]:
    """Let the clock stand at a time until the block ends, in seconds since the epoch or as a date.

    It is that of ``time`` (``time``, ``time_ns``, ``gmtime`` and ``localtime``) and of ``datetime`` (``now``,
    ``utcnow`` and ``today``), for all modules, also those that have imported these names. What wixhttp itself stamps,
    such as ``_createdDate``, and timers keep the real time.

    >>> with at_time(1_700_000_000):
    ...     time.time()
    1700000000.0

    Raises:
        ValueError: the date has no time zone.
    """
    if isinstance(moment, _REAL_DATETIME):
        if moment.tzinfo is None:
            raise ValueError(f"a date needs a time zone, {moment!r} has none; give it tzinfo=timezone.utc")
        moment = moment.timestamp()
    changes = [
        (module, name, getattr(module, name), stopped) for module, name, stopped in _stopped_clock(float(moment))
    ]
    _exchange([(real, stopped) for _, _, real, stopped in changes])
    for module, name, _, stopped in changes:
        setattr(module, name, stopped)
    try:
        yield
    finally:
        for module, name, real, _ in changes:
            setattr(module, name, real)
        _exchange([(stopped, real) for _, _, real, stopped in changes])


def _exchange(changes: list[tuple[Any, Any]]) -> None:
    """Exchange values of the variables of modules, wherever those are kept."""
    for before, after in changes:
        for holder in gc.get_referrers(before):
            if type(holder) is not dict or "__builtins__" not in holder:
                continue  # not the variables of a module
            if str(holder.get("__name__")).partition(".")[0] in _NOT_FOR:
                continue
            holder.update({name: after for name, value in holder.items() if value is before})


def _stopped_clock(moment: float) -> list[tuple[ModuleType, str, Any]]:
    """The functions and classes of a clock that stands, each with its module and its name there."""
    gmtime, localtime = time.gmtime, time.localtime
    now = _REAL_DATETIME.fromtimestamp
    utc = datetime.timezone.utc
    methods: dict[str, Callable[..., Any]] = {
        "now": lambda tz=None: now(moment, tz),
        "utcnow": lambda: now(moment, utc).replace(tzinfo=None),
        "today": lambda: now(moment),
    }
    return [
        (time, "time", lambda: moment),
        (time, "time_ns", lambda: int(moment * 1_000_000_000)),
        (time, "gmtime", lambda seconds=None: gmtime(moment if seconds is None else seconds)),
        (time, "localtime", lambda seconds=None: localtime(moment if seconds is None else seconds)),
        (datetime, "datetime", _stopped_class(_REAL_DATETIME, methods)),
        (datetime, "date", _stopped_class(_REAL_DATE, {"today": lambda: _REAL_DATE.fromtimestamp(moment)})),
    ]


def _stopped_class(real: type, methods: dict[str, Callable[..., Any]]) -> type:
    """A class that passes for ``real``, whose instances it makes, with these methods in place of its own."""
    namespace: dict[str, Any] = {name: staticmethod(method) for name, method in methods.items()}

    def new(cls: type, *args: Any, **options: Any) -> Any:
        return real(*args, **options)

    namespace |= {"__new__": new, "__module__": real.__module__}
    made: type = _as_class_of(real)(real.__name__, (real,), namespace)
    return made


def _as_class_of(real: type) -> type[type]:
    """The metaclass of a class that passes for ``real``: in ``isinstance``, as a key, and in comparisons."""

    class Standing(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

        def __eq__(cls, other: object) -> bool:
            return other is real or other is cls

        def __hash__(cls) -> int:
            return hash(real)

    Standing.__name__ = "type"
    return Standing
