"""Tracebacks as users see them: their own frames, those of the runtime folded, and advice below."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import Served
from wixhttp import data, ok
from wixhttp.data import aio
from wixhttp.data.calls.access import Collections
from wixhttp.data.calls.hooks import Hooks
from wixhttp.data.collections import override
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.logs.tracebacks import advice_on, format_exception, summary_of
from wixhttp.messages import nearest
from wixhttp.project.javascript_habits import advice

HERE = f'  File "{__file__}", line '


def error_of(run: Callable[[], Any]) -> BaseException:
    try:
        run()
    except Exception as error:  # noqa: BLE001  # any
        return error
    raise AssertionError("it raises nothing")


def lines_of(run: Callable[[], Any]) -> list[str]:
    """The lines of a traceback without those of source text and marks."""
    return [line for line in format_exception(error_of(run)).split("\n") if not line.startswith("    ")]


def raise_from(error: BaseException, cause: BaseException) -> None:
    raise error from cause


def fail_in_aio() -> None:
    async def main() -> None:
        await aio.get("books", 5)  # type: ignore[arg-type]  # on purpose

    with override(Collections(MemoryStore())):
        asyncio.run(main())


def test_our_frames_and_those_of_asyncio_are_one_line() -> None:
    lines = lines_of(fail_in_aio)
    assert [line.partition(__file__)[2].partition(", in ")[2] or line for line in lines if "frames of" not in line] == [
        "Traceback (most recent call last):",
        "error_of",
        "fail_in_aio",
        "main",
        "wixhttp.errors.WixDataError: WDE0002: ItemId must be a string. It is 5.",
    ]
    assert [line.split()[0] for line in lines if "frames of" in line] == ["...", "..."]


def test_frames_of_a_hook_behind_ours_are_the_users() -> None:
    def hook(item: Any) -> Any:
        return item["missing"]

    with override(Collections(MemoryStore(), hooks=Hooks.of({"books_beforeInsert": hook}))):
        lines = lines_of(lambda: data.insert("books", {}))
    assert lines[-1] == "KeyError: 'missing'"
    assert lines[-2].startswith(HERE)
    assert "frames of wixhttp" in lines[-3]


def test_where_ours_fails_unforeseen_its_last_frame_stays() -> None:
    lines = lines_of(lambda: nearest("a", 5))  # type: ignore[arg-type]  # on purpose
    assert lines[-1] == "TypeError: 'int' object is not iterable"
    assert lines[-2].endswith("in nearest")
    lines = lines_of(lambda: ok({}, {}))
    assert lines[-2:] == [
        "  ... 1 frame of wixhttp",
        "TypeError: ok() takes one value; for headers write ok(body=..., headers=...)",
    ]


def test_where_all_is_ours_all_is_shown() -> None:
    source = "def f(): g()\ndef g(): return 1 / 0\n"
    names: dict[str, Any] = {}
    ours = str(Path(data.__file__).parent / "made_up.py")
    exec(compile(source, ours, "exec"), names)  # noqa: S102
    error = error_of(names["f"])
    error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ is not None else None
    assert format_exception(error).count("made_up.py") == 2


def test_chained_errors_are_folded_too() -> None:
    def chained() -> None:
        try:
            fail_in_aio()
        except Exception as error:
            raise ValueError("mine") from error

    lines = lines_of(chained)
    assert sum("frames of wixhttp" in line for line in lines) == 2
    assert "The above exception was the direct cause of the following exception:" in lines
    assert lines[-1] == "ValueError: mine"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no groups")
def test_groups_are_folded_too() -> None:
    group: Any = __builtins__["ExceptionGroup"]  # type: ignore[index]  # unknown to Python 3.10

    def grouped() -> None:
        raise group("two", [error_of(fail_in_aio), ValueError("b")])

    text = format_exception(error_of(grouped))
    assert text.count("frames of wixhttp") == 2
    assert "ValueError: b" in text


def test_deep_recursion_is_cut() -> None:
    def one(n: int) -> int:
        return two(n + 1)

    def two(n: int) -> int:
        return one(n + 1)

    text = format_exception(error_of(lambda: one(1)))
    assert len(text.split("\n")) < 150
    assert "frames\n" in text
    assert text.endswith("RecursionError: maximum recursion depth exceeded")


class Unprintable(AttributeError, TypeError):
    def __str__(self) -> str:
        raise ValueError("no text")


def test_an_error_without_a_text() -> None:
    def fail() -> None:
        raise Unprintable

    text = format_exception(error_of(fail))
    assert text.split("\n")[-1].startswith(f"{__name__}.Unprintable: <exception str() failed>")


def test_long_messages_and_notes_are_cut_and_do_not_hide_the_rest() -> None:
    cause = ValueError("first" + "x" * 1_000_000)
    error = error_of(lambda: raise_from(KeyError("second" + "y" * 1_000_000), cause))
    text = format_exception(error)
    assert "first" in text
    assert "second" in text
    assert len(text) < 30_000
    assert "(1000018 characters)" in text  # with the name of the exception and its line's end
    assert len(summary_of(error)) < 2_100
    told = ValueError("no such tea")
    told.__notes__ = ["a note", "another\nof two lines"]  # type: ignore[attr-defined]  # of Python 3.11
    assert summary_of(told) == "ValueError: no such tea"
    with pytest.raises(SyntaxError) as caught:
        compile("x = (", "shop.py", "exec")
    assert summary_of(caught.value).startswith("SyntaxError: ")


def test_advice_stands_below() -> None:
    text = format_exception(error_of(lambda: [].length))  # type: ignore[attr-defined]
    assert text.split("\n")[-1] == "Hint: '.length' is JavaScript's: write len(x)"
    assert advice_on(ValueError("x")) is None
    assert advice(ValueError("x")) is None


def test_the_log_and_development_have_the_advice(
    serve: Callable[..., Served], caplog: pytest.LogCaptureFixture
) -> None:
    served = serve("def get_a(request): return console.log(1)\n", mode="development")
    assert "write print(...)" in served("a").problem["detail"]
    served = serve("def get_a(request): return console.log(1)\n", mode="production")
    assert "print" not in served("a").problem["detail"]
