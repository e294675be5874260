"""Promises: what calls in an ``async def`` give, to be awaited. Whoever forgets that is told so where it shows.

A coroutine would do nothing until it is awaited, and say ``'coroutine' object is not subscriptable`` to whoever uses it
as the value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator
from types import CodeType, CoroutineType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .misuse import warn_misuse_at

_Value = TypeVar("_Value")
LOST = "the value of {0} is lost: write await {0}"
"""The message about a call whose value nobody awaited."""

_OWN = __name__.partition(".")[0] + "."


class Promise(Coroutine[Any, Any, _Value]):
    """The value of a call that is awaited: ``value = await promise``. ``said`` is the call as messages name it. It may
    be awaited more than once, and given to ``asyncio.gather``, ``wait_for`` and ``create_task``.

    To use it as the value itself is a TypeError or AttributeError that says so; so is to ask for its truth, which would
    always be true.
    """

    __slots__ = ("_at", "_code", "_steps", "is_awaited", "said")

    said: str
    is_awaited: bool
    _code: CodeType  # with `_at`, the place that it was made at, which becomes a line where it is asked for
    _at: int
    _steps: dict[object, Generator[Any, Any, _Value]] | None  # by the task that drives them: each has its own

    def _note_place(self) -> None:
        """Note the line outside of this package that it is made at."""
        frame = sys._getframe(2)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OWN):
            frame = frame.f_back
        self._code, self._at = frame.f_code, frame.f_lasti

    # --- as a coroutine, which asyncio makes tasks of ---

    def send(self, value: Any) -> Any:
        """See ``Coroutine.send``."""
        steps = self._steps_here()
        try:
            return steps.send(value)
        except BaseException:
            self._end_steps()
            raise
        finally:
            del self, steps  # breaks the reference cycle error -> traceback -> frame

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Any:
        """See ``Coroutine.throw``."""
        steps = self._steps_here()
        try:
            return steps.throw(kind) if value is None and trace is None else steps.throw(kind, value, trace)
        except BaseException:
            self._end_steps()
            raise
        finally:
            del self, steps, kind, value, trace  # as above

    def _steps_here(self) -> Generator[Any, Any, _Value]:
        """The steps of the task that runs. Once they have ended, it begins anew."""
        task = _running_task()
        all_steps = self._steps
        if all_steps is None:
            all_steps = self._steps = {}
        if task not in all_steps:
            all_steps[task] = self.__await__()
        return all_steps[task]

    def _end_steps(self) -> None:
        if self._steps is not None:
            self._steps.pop(_running_task(), None)

    def close(self) -> None:
        """Forget it: nobody is told that it was not awaited."""
        self.is_awaited = True
        all_steps, self._steps = self._steps, None
        for steps in (all_steps or {}).values():
            steps.close()

    def __await__(self) -> Generator[Any, Any, _Value]:
        raise NotImplementedError

    # --- misuse ---

    def _warn(self, message: str, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        """Warn of the line that made it, of ``message`` with what was called in place of {0}. For `__del__`."""
        if not is_finalizing():
            warn_misuse_at(self._code.co_filename, self.line, message.format(self.said))

    @property
    def line(self) -> int:
        """The number of the line that made it."""
        at = self._at
        lines = [line for start, end, line in self._code.co_lines() if start <= at < end and line is not None]
        return lines[0] if lines else self._code.co_firstlineno

    def taken_for_its_value(self) -> str:
        """Forget it, and return what to write instead, with the place: it stands where its value should."""
        self.close()
        return f"write await in front of {self.said}, in {self._code.co_filename}, line {self.line}"

    def _not_awaited(self) -> str:
        self.is_awaited = True  # whoever reads this knows
        return f"{self.said} gives a promise: write await {self.said}"

    if not TYPE_CHECKING:  # to type checkers there is no such attribute

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__") or name == "cr_code":  # asked for by inspect, copy and the like
                raise AttributeError(name)
            text = f"{self._not_awaited()}, and (await ...).{name}"
            if name in ("then", "catch"):
                around = " in try:, and except Exception as error:" if name == "catch" else ""
                text = f"a promise has no .{name} in Python: write value = await {self.said}{around}"
            raise AttributeError(text, name=name, obj=self)

    def __repr__(self) -> str:
        return f"<Promise of {self.said}>"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Promise):
            return NotImplemented
        raise TypeError(self._not_awaited())

    __hash__ = object.__hash__


def _running_task() -> object:
    """The task of asyncio that drives a coroutine now, ``None`` where there is none."""
    from asyncio import current_task  # not for processes that run no loop

    try:
        return current_task()
    except RuntimeError:
        return None


def _refuses(self: Promise[Any], *arguments: object) -> Any:
    raise TypeError(self._not_awaited())


for _name in (
    "bool str format len iter contains getitem setitem delitem reversed int float index "
    "lt le gt ge add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod and or neg "
    "enter exit aenter aexit aiter"
).split():
    setattr(Promise, f"__{_name}__", _refuses)


class Known(Promise[_Value]):
    """A promise of a value that is there. ``reads``: one that nobody awaits is warned of."""

    __slots__ = ("_reads", "_value")

    def __init__(self, said: str, value: _Value, *, reads: bool = False) -> None:
        self._note_place()
        self.said = said
        self.is_awaited = False
        self._steps = None
        self._reads = reads
        self._value = value

    def __await__(self) -> Generator[Any, Any, _Value]:
        self.is_awaited = True
        return self._value
        yield

    def __del__(self) -> None:
        if self._reads and not self.is_awaited:
            self._warn(LOST)


class Reading(Promise[_Value]):
    """A promise of what is read when it is awaited: ``start`` gives the value, or a coroutine of it. One that nobody
    awaits is warned of, at the line that made it: that of the caller of the function that returns it, or another at its
    ``depth`` of calls."""

    __slots__ = ("_start",)

    def __init__(self, said: str, start: Callable[[], Any], depth: int = 2) -> None:
        made_by = sys._getframe(depth)
        self._code, self._at = made_by.f_code, made_by.f_lasti
        self.said = said
        self.is_awaited = False
        self._steps = None
        self._start = start

    def __await__(self) -> Generator[Any, Any, _Value]:
        self.is_awaited = True
        value = self._start()
        if value.__class__ is CoroutineType:
            value = yield from value.__await__()
        return value  # type: ignore[no-any-return]  # what `start` says

    def __del__(self) -> None:
        if not self.is_awaited:
            self._warn(LOST)
