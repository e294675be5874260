"""The data hooks of a project: how they are found, and how they run."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import write_project
from wixhttp.data.calls.hooks import HOOKS, HookContext, Hooks
from wixhttp.errors import ProjectError

CONTEXT = HookContext("books", "ada", "siteMember", {"_id": "1"})
seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


def load(folder: Path, text: str, name: str = "backend/data.py") -> Hooks:
    return Hooks.load(write_project(folder, {name: text}), 10)


def run(hooks: Hooks, name: str = "beforeInsert", *arguments: Any, collection: str = "books") -> Any:
    function = hooks.find(collection, name)
    assert function is not None
    return hooks.call(function, *(arguments or ("item", CONTEXT)))


@pytest.mark.parametrize("name", ["backend/data.py", "backend/data/__init__.py"])
def test_hooks_are_the_functions_that_the_file_defines(tmp_path: Path, name: str) -> None:
    text = """
        from backend.shared import books_afterInsert
        def books_beforeInsert(item, context): return ["before", item, context.userId]
        def my_books_onFailure(error, context): return "failed"
        books_count = books_beforeQuery = 3
        def books_beforInsert(item): ...
        def beforeInsert(item): ...
        def _beforeInsert(item): ...
    """
    write_project(tmp_path, {"backend/shared.py": "def books_afterInsert(item): ...\n"})
    hooks = load(tmp_path, text, name)
    assert run(hooks) == ["before", "item", "ada"]
    assert run(hooks, "onFailure", collection="my_books") == "failed"
    assert len(hooks) == 2
    assert hooks.find("books", "afterInsert") is None
    assert hooks.find("other", "beforeInsert") is None
    assert hooks.find("books", "beforInsert") is None


def test_all_names_what_is_imported(tmp_path: Path) -> None:
    write_project(tmp_path, {"backend/shared.py": "def books_afterInsert(item): return 'shared'\n"})
    text = "from backend.shared import books_afterInsert\n__all__ = ['books_afterInsert']\n"
    assert run(load(tmp_path, text), "afterInsert") == "shared"


def test_all_names_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="names 'books_afterGet', which the file does not define"):
        load(tmp_path, "__all__ = ['books_afterGet']\n")


def test_a_project_without_hooks(tmp_path: Path) -> None:
    hooks = Hooks.load(tmp_path, 10)
    assert len(hooks) == 0
    assert hooks.find("books", "beforeInsert") is None


def test_hooks_of_an_app_collection() -> None:
    hooks = Hooks.of({"Stores_Products_afterGet": lambda item: "found"})
    assert run(hooks, "afterGet", collection="Stores/Products") == "found"
    assert run(Hooks.of({"_a_my_posts_afterGet": lambda item: 1}), "afterGet", collection="@a/my-posts") == 1


def test_two_files_are_refused(tmp_path: Path) -> None:
    write_project(tmp_path, {"backend/data/__init__.py": ""})
    with pytest.raises(ProjectError, match="are both there; keep one"):
        load(tmp_path, "")


def test_a_file_that_cannot_be_imported(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"data\.py cannot be imported: ZeroDivisionError") as caught:
        load(tmp_path, "1 / 0")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("parameters", "given"),
    [("item, context", 2), ("item", 1), ("", 0), ("item, context, more=1", 2), ("*all", 2), ("item, *rest", 2)],
)
def test_a_hook_is_given_what_it_takes(tmp_path: Path, parameters: str, given: int) -> None:
    hooks = load(
        tmp_path, f"def books_beforeInsert({parameters}): return len([v for v in locals().values() if v != 1])"
    )
    expected = 1 if parameters == "*all" else given
    assert run(hooks) == expected


@pytest.mark.parametrize("parameters", ["item, context, more", "item, *, more"])
def test_a_hook_that_needs_more_is_refused(tmp_path: Path, parameters: str) -> None:
    with pytest.raises(
        ProjectError, match=r"books_afterQuery \(.*data\.py:1\) needs .*; the hook afterQuery takes \(item"
    ):
        load(tmp_path, f"def books_afterQuery({parameters}): ...")


def test_names_for_tests_are_checked() -> None:
    for name in ("books_beforInsert", "beforeInsert", "_beforeInsert"):
        with pytest.raises(ValueError, match="a hook is named <collection>_<hook>"):
            Hooks.of({name: print})


def test_every_hook_can_be_found() -> None:
    hooks = Hooks.of({f"books_{name}": lambda value: value for name in HOOKS})
    assert all(run(hooks, name) == "item" for name in HOOKS)


def test_the_context_reads_as_object_and_as_dict() -> None:
    assert CONTEXT.currentItem == CONTEXT["currentItem"] == CONTEXT.get("currentItem") == {"_id": "1"}
    assert (CONTEXT.userRole, CONTEXT["collectionName"]) == ("siteMember", "books")
    assert (CONTEXT.get("get"), CONTEXT.get("other", 1)) == (None, 1)
    with pytest.raises(KeyError):
        CONTEXT["get"]


async def _async_hook(item: Any, context: HookContext) -> Any:
    await asyncio.sleep(0)
    return [item, context.userId, seen.get(), threading.current_thread().name]


def test_an_async_hook_runs_on_the_background_loop_and_sees_the_callers_context() -> None:
    hooks = Hooks.of({"books_beforeInsert": _async_hook})
    token = seen.set("the caller's")
    try:
        assert run(hooks) == ["item", "ada", "the caller's", "wixhttp-loop"]
    finally:
        seen.reset(token)


def test_hooks_raise_what_they_raise() -> None:
    async def late(item: Any) -> None:
        raise KeyError("late")

    def early(item: Any) -> None:
        raise KeyError("early")

    for function, what in ((late, "late"), (early, "early")):
        with pytest.raises(KeyError, match=what):
            run(Hooks.of({"books_beforeInsert": function}))


def test_async_hooks_run_from_threads_of_a_loop() -> None:
    hooks = Hooks.of({"books_beforeInsert": _async_hook})

    async def handler() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(run, hooks) for _ in range(20)))

    assert {each[3] for each in asyncio.run(handler())} == {"wixhttp-loop"}


def test_an_async_hook_inside_an_async_hook() -> None:
    inner = Hooks.of({"books_beforeInsert": _async_hook})

    async def outer(item: Any) -> Any:
        return await asyncio.to_thread(run, inner)

    assert run(Hooks.of({"books_beforeInsert": outer}))[0] == "item"


def test_an_async_hook_is_not_waited_for_on_a_loop() -> None:
    async def handler(call: Callable[[], Awaitable[Any]]) -> None:
        with pytest.raises(RuntimeError, match=r"_async_hook is async.*await the calls of wixhttp\.data\.aio"):
            await call()

    async def call() -> Any:
        return run(Hooks.of({"books_beforeInsert": _async_hook}))

    asyncio.run(handler(call))


def test_a_def_hook_is_called_on_a_loop() -> None:
    async def handler() -> Any:
        return run(Hooks.of({"books_beforeInsert": lambda item: item + "!"}))

    assert asyncio.run(handler()) == "item!"
