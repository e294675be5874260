"""One answer for one path: in development, before and after a build, through each interface, in tests and by
``wixhttp call``, however the path is escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import INTERFACES, Ask, Reply, load_app, write_project
from tests.sample import ROOT
from wixhttp.cli.single_request import call_once
from wixhttp.cli.static_build import build_site
from wixhttp.project.config import load_config
from wixhttp.testing import TestClient

Answered = tuple[int, str | None, bytes]

HEAD = "from wixhttp.endpoints import Response\n"
STATIC = HEAD + "prerender = True\n"
SHOWS = "GET(params, url): return Response.json([dict(params), url.pathname, url.search])\n"
TRICKY = {
    "src/pages/a+b.json.py": f"{STATIC}def {SHOWS}",
    "src/pages/c@d/e&f=g.json.py": f"{STATIC}async def {SHOWS}",
    "src/pages/é b.json.py": f"{STATIC}def {SHOWS}",
    "src/pages/100%.json.py": f"{STATIC}def {SHOWS}",
    "src/pages/q?#.json.py": f"{STATIC}def {SHOWS}",
    "src/pages/x%2Fy.json.py": f"{STATIC}def {SHOWS}",
    "src/pages/typeless.svg.py": STATIC + "def GET(): return Response(b'<svg/>')",
    "src/pages/l/[id].json.py": f"{STATIC}def {SHOWS}"
    "def getStaticPaths(): return [{'params': {'id': each}} for each in ('a+b', 'c@d', 'é', '100%', 'plain', 'x:y')]\n",
    "src/pages/r/[...rest].txt.py": f"{STATIC}async def {SHOWS}"
    "async def getStaticPaths(): return [{'params': {'rest': each}} for each in ('a+b/c@d', 'plain', None)]\n",
    "src/pages/dynamic+/[id].py": HEAD + "def GET(params): return Response(params['id'])",
    "public/p+q@r.txt": "public",
    "public/s t/100%.html": "public",
}
TRICKY_PATHS = [
    "/a+b.json", "/c@d/e&f=g.json", "/é b.json", "/100%.json", "/x", "/typeless.svg", "/typeless.svg/", "/l/a+b.json",
    "/l/c@d.json", "/l/é.json", "/l/100%.json", "/l/plain.json", "/l/x:y.json", "/l/none.json", "/l/no+ne.json",
    "/r/a+b/c@d.txt", "/r/plain.txt", "/r/.txt", "/r/none.txt", "/dynamic+/plain", "/p+q@r.txt", "/s t/100%.html",
    "/p+q", "/l/a+b.json/",
]  # fmt: skip
SAMPLE_PATHS = [
    "/", "/api/data.json", "/api/greetings/de.json", "/api/greetings/xx.json", "/api/planets/1.json", "/api/logo.png",
    "/api/planets/9.json", "/nothing",
]  # fmt: skip
WHOLLY_ESCAPED = {"/q%3F%23.json", "/x%2Fy.json", "/x%2fy.json"}


def spellings(path: str) -> Iterator[str]:
    """A path as browsers send it, and with each byte escaped, in capitals and not."""
    yield "".join(
        each if each in "/+@&=:.?" or (each.isalnum() and each.isascii()) else _escaped(each) for each in path
    )
    yield "".join(each if each == "/" else _escaped(each) for each in path)
    yield "".join(each if each == "/" else _escaped(each).lower() for each in path)


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def answers(folder: Path, build_dir: Path, *, is_built: bool) -> Iterator[tuple[str, Callable[[str], Answered]]]:
    """The ways to ask a project, by their names."""
    settings: dict[str, Any] = {"build_dir": str(build_dir), "database_url": "memory://"}
    if is_built:
        build_site(load_config(folder, environ={}, flags=settings))
    with ExitStack() as stack:
        for mode in ("production",) if is_built else ("development", "production"):
            for name, kind in INTERFACES.items():
                interface = stack.enter_context(closing(kind(load_app(folder, mode=mode, **settings))))

                def ask(path: str, ask: Callable[[Ask], Reply] = interface.ask) -> Answered:
                    reply = ask(Ask(target=path))
                    return reply.status, reply.header("Content-Type"), reply.content

                yield f"{mode} {name}", ask
        client = TestClient(folder, raise_exceptions=False, **{**settings, "build_dir": build_dir})

        def get(path: str) -> Answered:
            reply = client.get(path)
            return reply.status_code, reply.headers.get("content-type"), reply.content

        yield "TestClient", get


@pytest.mark.parametrize(("site", "paths"), [("tricky", TRICKY_PATHS), ("sample", SAMPLE_PATHS)])
def test_every_way_to_ask_gives_one_answer(tmp_path: Path, site: str, paths: list[str]) -> None:
    folder = write_project(tmp_path / "site", TRICKY) if site == "tricky" else ROOT
    asked = [spelled for path in paths for spelled in spellings(path)]
    if site == "tricky":
        asked += sorted(WHOLLY_ESCAPED)
    found: dict[str, dict[str, Answered]] = {path: {} for path in asked}
    for is_built in (False, True):
        for name, ask in answers(folder, tmp_path / "dist", is_built=is_built):
            for path in asked:
                status, kind, content = ask(path)
                found[path][f"{name}, built: {is_built}"] = status, kind, b"" if status == 404 else content
    assert {path: replies for path, replies in found.items() if len(set(replies.values())) != 1} == {}
    statuses = {path: next(iter(replies.values()))[0] for path, replies in found.items()}
    nowhere = re.compile("none|no%2Bne|no.ne|/x$|xx|/9|nothing|q$")
    for path in paths:
        first, *others = spellings(path)
        assert (path, statuses[first]) == (path, 404 if nowhere.search(path) else 200)
        assert {found[other]["TestClient, built: True"] for other in others} == {
            found[first]["TestClient, built: True"]
        }


def test_call_gives_it_too(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    folder = write_project(tmp_path / "site", TRICKY)
    for path in ("/a+b.json", "/a%2Bb.json", "/l/a%2bb.json", "/p%2Bq%40r.txt", "/typeless.svg"):
        status = call_once(load_config(folder), "GET", path, (), (), None, (), None, False)
        out = capfdbinary.readouterr().out
        assert (path, status) == (path, 200)
        assert TestClient(folder).get(path).content in out
