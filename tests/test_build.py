"""`wixhttp build`, run as a user runs it: real folders, real processes, and what is served of them afterwards."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import commands
from wixhttp.cli.build_folder import check_place, replace_in_steps, swap
from wixhttp.cli.static_build import build_site
from wixhttp.dispatch.app import App
from wixhttp.dispatch.blocking import answer
from wixhttp.dispatch.site import load_site
from wixhttp.endpoints.static.manifest import Built, Manifest
from wixhttp.errors import BuildError, ConfigError
from wixhttp.http.encoding import Encoded
from wixhttp.http.request_head import PlainHead
from wixhttp.project.config import load_config

WIXHTTP = [sys.executable, "-m", "wixhttp"]
NOT_OURS = ("WIXHTTP_", "NO_COLOR", "FORCE_COLOR", "PYTHONPATH")
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
TIMEOUT = 60.0  # seconds that a test waits for what takes milliseconds

STATIC = "from wixhttp.endpoints import Response\nprerender = True\n"
FEED = STATIC + "def GET():\n    return Response('old', headers={'X-Feed': 'ü'.encode('latin-1').decode('latin-1')})\n"
TEXT = STATIC + "def GET(url, params, props):\n    return Response(f'{url.pathname} {params} {dict(props)}')\n"

Project = Callable[..., Path]


def pages(*names: str, text: str = TEXT) -> dict[str, str]:
    return {f"src/pages/{name}": text for name in names}


def listing(name: str, *params: dict[str, Any]) -> dict[str, str]:
    listed = [{"params": each} for each in params]
    return {f"src/pages/{name}": f"{TEXT}def getStaticPaths():\n    return {listed!r}\n"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Makes a project of the given files, by their paths."""

    def make(files: dict[str, str]) -> Path:
        folder = tmp_path / "site"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return folder

    return make


class Outcome:
    """The outcome of a build, whose exit code must be the expected one."""

    def __init__(self, out: bytes, err: bytes, found: int, code: int) -> None:
        self.out, self.err = out.decode(), err.decode()
        assert found == code, self.out + self.err
        assert "wixhttp/cli/commands.py" not in self.err, "a traceback of our own"


def build(folder: Path, *arguments: str, code: int = 0, **environ: str) -> Outcome:
    done = commands.run(["build", *arguments], cwd=folder, env={**ENVIRON, **environ})
    return Outcome(done.stdout, done.stderr, done.returncode, code)


def files(folder: Path) -> dict[str, bytes]:
    """Read the files of a build folder, without its manifest."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != Manifest.NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".gitignore")


def get(app: App, path: str, *fields: tuple[str, str]) -> Encoded:
    return answer(app, PlainHead("GET", path, fields=fields), lambda call: b"", reraise=True)


def body(encoded: Encoded) -> bytes:
    return encoded.data if encoded.stream is None else b"".join(bytes(each) for each in encoded.stream)  # type: ignore[union-attr]  # no asynchronous one


# --- what is built ---------------------------------------------------------------------------------------------------


def test_a_site(project: Project) -> None:
    folder = project(
        {
            **pages("feed.xml.py", "api/café.json.py"),
            **listing("users/[id].py", {"id": "a b"}, {"id": "100%"}),
            **listing("[...path].txt.py", {"path": None}, {"path": "x/y"}),
            "src/pages/dynamic.py": TEXT.replace("True", "False"),
        }
    )
    outcome = build(folder)
    assert files(folder / "dist") == {
        "feed.xml": b"/feed.xml {} {}",
        "api/café.json": "/api/café.json {} {}".encode(),
        "users/a b": b"/users/a b {'id': 'a b'} {}",
        "users/100%": b"/users/100% {'id': '100%'} {}",
        ".txt": b"/.txt {'path': None} {}",
        "x/y.txt": b"/x/y.txt {'path': 'x/y'} {}",
    }
    manifest = Manifest.read(folder / "dist")
    assert sorted(manifest) == sorted("/" + name for name in files(folder / "dist"))
    assert outcome.out.splitlines()[-1] == f"built 6 files, 142 bytes in {folder / 'dist'}"
    assert "/feed.xml      " in outcome.out
    assert outcome.err == ""
    assert left_over(folder) == []


def test_json(project: Project) -> None:
    folder = project(
        pages("a.txt.py", text=STATIC + "print('at import')\ndef GET():\n    print('x')\n    return Response('a')\n")
    )
    outcome = build(folder, "--json")
    assert json.loads(outcome.out) == [{"path": "/a.txt", "file": "a.txt", "status": 200, "size": 1}]
    assert "at import" in outcome.err


def test_bodies_statuses_and_headers(project: Project) -> None:
    code = {
        "none.py": "def GET():\n    return Response(None, status=204)\n",
        "empty.py": "def GET():\n    return Response()\n",
        "bytes.bin.py": "def GET():\n    return Response(b'\\0\\xff', headers={'content-type': 'x/y', 'TE': 'x'})\n",
        "moved.py": "def GET(redirect):\n    return redirect('/bytes.bin', 301)\n",
        "gone.py": "def GET():\n    return Response('gone', status=410)\n",
        "stream.txt.py": "def GET():\n    return Response((str(n) for n in range(5)))\n",
        "later.txt.py": (
            "async def GET():\n    async def each():\n        for n in range(5):\n            yield str(n)\n"
            "    return Response(each(), headers={'content-length': '5', 'X-A': '1'})\n"
        ),
    }
    folder = project({f"src/pages/{name}": STATIC + text for name, text in code.items()})
    outcome = build(folder)
    built = Manifest.read(folder / "dist")
    assert {path: each.status for path, each in built.items()} == {
        "/none": 204, "/empty": 200, "/bytes.bin": 200, "/moved": 301, "/gone": 410, "/stream.txt": 200,
        "/later.txt": 200,
    }  # fmt: skip
    assert files(folder / "dist") == {
        "none": b"", "empty": b"", "bytes.bin": b"\0\xff", "moved": b"", "gone": b"gone", "stream.txt": b"01234",
        "later.txt": b"01234",
    }  # fmt: skip
    assert [name.lower() for name, _ in built["/bytes.bin"].headers] == ["content-type"]
    assert built["/moved"].header("location") == "/bytes.bin"
    assert built["/later.txt"].header("x-a") == "1"
    assert built["/later.txt"].header("content-length") is None
    assert "gone.py: the path '/gone' answered 410 Gone, and that is what was built" in outcome.err


def test_middleware_runs(project: Project) -> None:
    folder = project(
        {
            **pages("a.txt.py", text=STATIC + "def GET(locals):\n    return Response(locals.who)\n"),
            "src/middleware.py": (
                "def onRequest(context, next):\n    context.locals.who = 'me'\n    response = next()\n"
                "    response.headers.set('X-Middle', 'yes')\n    return response\n"
            ),
        }
    )
    build(folder)
    assert files(folder / "dist") == {"a.txt": b"me"}
    assert Manifest.read(folder / "dist")["/a.txt"].header("x-middle") == "yes"


def test_settings_of_the_server_do_not_count(project: Project) -> None:
    settings = (
        'public_url = "https://site.example"\nallowed_hosts = ["other.example"]\ncors = {origins = ["*"]}\n'
        'trusted_proxies = 1\ntimeout = 0.2\nmode = "development"\nbuild_dir = "out/of/it"\n'
    )
    slow = (
        "import asyncio\n"
        + STATIC
        + "async def GET(url):\n    await asyncio.sleep(0.6)\n    return Response(url.href)\n"
    )
    folder = project({**pages("a.txt.py", text=slow), "wixhttp.toml": settings})
    build(folder)
    assert files(folder / "out/of/it") == {"a.txt": b"https://site.example/a.txt"}
    headers = Manifest.read(folder / "out/of/it")["/a.txt"].headers
    assert not any(name.lower().startswith("access-control") for name, _ in headers)


@pytest.mark.parametrize("origins", [["*"], ["https://a.example"]])
def test_cors_is_not_built(project: Project, origins: list[str]) -> None:
    """Its headers depend on who asks. What the handler itself says stays."""
    text = f"from wixhttp import cors\n{STATIC}@cors(origins={origins})\ndef GET():\n"
    text += "    return Response('a', headers={'Vary': 'Accept-Language', 'X-Own': '1'})\n"
    folder = project(pages("a.txt.py", text=text))
    build(folder)
    built = {name.lower(): value for name, value in Manifest.read(folder / "dist")["/a.txt"].headers}
    assert (built["vary"], built["x-own"]) == ("Accept-Language", "1")
    assert [name for name in built if name.startswith("access-control")] == []


@pytest.mark.parametrize(
    ("rule", "pathname"), [("ignore", "/base/p/a"), ("always", "/base/p/a/"), ("never", "/base/p/a")]
)
def test_prefix_and_slash(project: Project, rule: str, pathname: str) -> None:
    settings = f'base_path = "/base"\npages_prefix = "/p"\ntrailing_slash = "{rule}"\n'
    folder = project({**pages("a.py"), "wixhttp.toml": settings})
    build(folder)
    assert files(folder / "dist") == {"a": f"{pathname} {{}} {{}}".encode()}
    assert list(Manifest.read(folder / "dist")) == ["/a"]


def test_it_reads_collections_and_secrets(project: Project) -> None:
    lister = (
        STATIC + "from wixhttp import data as wix_data\nfrom wixhttp.secrets import getSecret\n"
        "def getStaticPaths():\n"
        "    books = wix_data.query('books').find().items\n"
        "    return [{'params': {'id': book['_id']}, 'props': {'title': book['title']}} for book in books]\n"
        "def GET(props):\n    return Response(props['title'] + getSecret('SIGN'))\n"
    )
    folder = project({**pages("books/[id].txt.py", text=lister), "books.jsonl": '{"_id": "emma", "title": "Emma"}\n'})
    commands.run(["data", "import", "books.jsonl"], cwd=folder, env=ENVIRON, check=True)
    build(folder, SIGN="!")
    assert files(folder / "dist") == {"books/emma.txt": b"Emma!"}


def test_paths_are_listed_once_per_build(project: Project) -> None:
    counting = (
        TEXT + "from pathlib import Path\n"
        "def getStaticPaths():\n    with open('calls', 'a') as file:\n        file.write('x')\n"
        "    return [{'params': {'id': name}} for name in 'abc']\n"
    )
    folder = project(pages("[id].txt.py", text=counting))
    build(folder)
    assert (folder / "calls").read_text() == "x"


def test_what_is_built_is_served(project: Project) -> None:
    folder = project(
        {**pages("a.txt.py", text=STATIC + "def GET():\n    return Response('0123456789', headers={'X-A': 'b'})\n")}
    )
    build(folder)
    (folder / "src/pages/a.txt.py").write_text(STATIC + "def GET():\n    return Response('not this')\n")
    app = App(load_site(load_config(folder)))
    whole = get(app, "/a.txt")
    fields = {name.lower(): value for name, value in whole.fields}
    assert (whole.status, body(whole), fields["x-a"]) == (200, b"0123456789", "b")
    assert get(app, "/a.txt", ("If-None-Match", fields["etag"])).status == 304
    part = get(app, "/a.txt", ("Range", "bytes=2-4"))
    assert (part.status, body(part)) == (206, b"234")


def test_a_new_build_takes_the_place_of_the_old_one(project: Project) -> None:
    folder = project(pages("a.txt.py", "b.txt.py"))
    build(folder)
    (folder / "src/pages/b.txt.py").unlink()
    build(folder)
    assert list(files(folder / "dist")) == ["a.txt"]


def test_no_static_endpoints(project: Project) -> None:
    folder = project({"src/pages/a.py": TEXT.replace("True", "False")})
    assert build(folder).out == (
        "there are no static endpoints (prerender = True) and no files in public/, and nothing was built\n"
    )
    assert not (folder / "dist").exists()
    (folder / "src/pages/a.py").write_text(TEXT)
    build(folder)
    (folder / "src/pages/a.py").unlink()
    assert json.loads(build(folder, "--json").out) == []
    assert files(folder / "dist") == {}
    assert Manifest.read(folder / "dist") == {}


def test_a_site_without_pages(project: Project) -> None:
    folder = project({"backend/http_functions.py": "def get_a(request): ...\n"})
    assert "no static endpoints" in build(folder).out


def test_progress_is_shown_on_a_terminal(project: Project) -> None:
    folder = project(pages("a.txt.py", "b.txt.py"))
    terminal, other = pty.openpty()
    subprocess.run([*WIXHTTP, "build"], cwd=folder, env=ENVIRON, stderr=other, stdout=subprocess.PIPE, check=True)
    os.close(other)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert "build" in shown
    assert "2/2" in shown


# --- misuse ----------------------------------------------------------------------------------------------------------

RAISES = "def GET(request):\n    raise LookupError('no such row')\n"
COOKIE = "def GET(cookies):\n    cookies.set('a', 'b')\n    return Response('x')\n"
OWN_COOKIE = "def GET():\n    return Response('x', headers={'set-cookie': 'a=b'})\n"
FAILS = (
    "from wixhttp.errors import HTTPError\ndef GET():\n    raise HTTPError(503, 'closed', reason='the row is locked')\n"
)
STREAM = "def each():\n    yield 'a'\n    raise LookupError('half-way')\ndef GET():\n    return Response(each())\n"
FIRST = "def each():\n    raise LookupError('at once')\n    yield 'a'\ndef GET():\n    return Response(each())\n"
EXITS = "import sys\ndef GET():\n    sys.exit(0)\n"
UNSENDABLE = "def GET():\n    return Response(iter([7]))\n"
LONG = "x" * 256
IDS = ({"id": "a"}, {"id": "b"})

CLIENT = "def GET(clientAddress): ...\n"
SESSION = "def GET(session):\n    session.get('a')\n"
MISUSE: list[tuple[dict[str, str], tuple[str, ...]]] = [
    (pages("index.py"), ("src/pages/index.py is static", "nothing to write '/' to")),
    (pages("a/index.py"), ("src/pages/a/index.py is static", "nothing to write '/a' to")),
    (listing("[id]/index.py", *IDS), ("src/pages/[id]/index.py is static", "nothing to write")),
    (listing("[...p].py", {"p": "a"}, {"p": None}), ("src/pages/[...p].py", "params {'p': None}", "an empty [...p]")),
    (listing("x/[...p].py", {"p": None}), ("src/pages/x/[...p].py", "'/x'", "give it a value")),
    (listing("[...p].py", {"p": "a/b"}, {"p": "a"}), ("'/a', params {'p': 'a'}", "since src/pages/[...p].py")),
    (pages("a.py", "a/b/c.py"), ("src/pages/a.py: the path '/a'", "since src/pages/a/b/c.py: the path '/a/b/c' needs")),
    (listing("[id].py", {"id": "a"}) | pages("a.py"), ("src/pages/[id].py: the path '/a', params", "built once")),
    (listing("[id].py", {"id": "a"}) | {"src/pages/a.py": "def GET(): ...\n"}, ("src/pages/a.py answers there",)),
    (listing("[id].py", {"id": "_functions"}), ("src/pages/[id].py: the path '/_functions'", "answers there; rename")),
    (listing("[...p].py", {"p": "_functions/x"}), ("src/pages/[...p].py: the path", "answers there; rename")),
    (pages("manifest.json.py"), ("src/pages/manifest.json.py", "is the list of what was built; give the route")),
    (listing("[id].py", {"id": LONG}), ("src/pages/[id].py", "at most 255 bytes", LONG)),
    (listing("[id].py", {"id": "é" * 128}), ("src/pages/[id].py", "at most 255 bytes")),
    (listing("[...p].py", {"p": "/".join(["x" * 200] * 30)}), ("src/pages/[...p].py", "cannot be written: File")),
    (listing("[id].py", {"id": ".."}), ("src/pages/[id].py: getStaticPaths()[0]", "no path that a request can have")),
    (listing("[id].py", {"id": "a"}, {"id": "a"}), ("src/pages/[id].py: getStaticPaths()[1]", "is listed twice")),
    (listing("[id].py", {}), ("src/pages/[id].py: getStaticPaths()[0] = {'params': {}}", "is missing")),
    (pages("a.py", text=STATIC + COOKIE), ("src/pages/a.py: the path '/a' sets a cookie",)),
    (pages("a.py", text=STATIC + OWN_COOKIE), ("src/pages/a.py: the path '/a' sets a cookie",)),
    (pages("a.py", text=STATIC + FAILS), ("src/pages/a.py: the path '/a' answered 503", "the row is locked")),
    (pages("a.py", text=STATIC + RAISES), ("src/pages/a.py: the path '/a': LookupError: no such", "in GET", "line 4")),
    (pages("a.py", text=STATIC + "async " + RAISES), ("src/pages/a.py: the path '/a': LookupError: no such", "in GET")),
    (pages("a.py", text=STATIC + STREAM), ("src/pages/a.py: the path '/a': the stream of", "LookupError: half-way")),
    (pages("a.py", text=STATIC + FIRST), ("src/pages/a.py: the path '/a': LookupError: at once",)),
    (pages("a.py", text=STATIC + EXITS), ("src/pages/a.py: the path '/a': SystemExit: 0",)),
    (pages("a.py", text=STATIC + UNSENDABLE), ("src/pages/a.py: the path '/a': ",)),
    (pages("a.py", text=STATIC + "def GET():\n    return 5\n"), ("src/pages/a.py: the path '/a': GET of", "int")),
    (pages("a.py", text=STATIC + CLIENT), ("context.clientAddress is not available in src/pages",)),
    (pages("a.py", text=STATIC + SESSION), ("src/pages/a.py: the path '/a': Unavailable",)),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "said"), MISUSE, ids=range(len(MISUSE)))
def test_misuse_names_file_and_entry(project: Project, wrong: dict[str, str], said: tuple[str, ...]) -> None:
    folder = project(pages("feed.xml.py", text=FEED))
    build_site(load_config(folder))
    before = (folder / "dist" / Manifest.NAME).read_bytes()
    outcome = build(project(wrong), code=1)
    for text in said:
        assert text in outcome.err
    assert outcome.out == ""
    assert outcome.err.splitlines()[-1].startswith("Error: ")
    assert (folder / "dist" / Manifest.NAME).read_bytes() == before
    assert files(folder / "dist") == {"feed.xml": b"old"}
    assert left_over(folder) == []


def test_a_first_build_that_fails_leaves_nothing(project: Project) -> None:
    folder = project({**pages("a.txt.py"), **pages("b.txt.py", text=STATIC + RAISES)})
    build(folder, code=1)
    assert sorted(path.name for path in folder.iterdir()) == ["src"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_that_name\n", "ModuleNotFoundError"),
        (STATIC, "src/pages/a.py"),
        (STATIC + "def GET(wrong, url): ...\n", "asks for wrong"),
        ("prerender = bool(1)\ndef GET(): ...\n", "prerender is a literal"),
    ],
)
def test_a_project_that_cannot_be_loaded(project: Project, text: str, said: str) -> None:
    folder = project({"src/pages/a.py": text, "wixhttp.toml": 'mode = "development"\n'})
    assert said in build(folder, code=3).err
    assert not (folder / "dist").exists()


def test_a_dynamic_route_needs_its_paths(project: Project) -> None:
    folder = project(pages("[id].py"))
    assert "getStaticPaths" in build(folder, code=3).err


# --- the folder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [".", "..", "/", "src", "src/pages", "src/x", "backend", "data", "data/dist", "here"])
def test_folders_that_are_not_built_into(project: Project, place: str) -> None:
    settings = f'build_dir = "{place}"\npages = "here/pages"\n'
    folder = project({"here/pages/a.py": TEXT, "wixhttp.toml": settings})
    outcome = build(folder, code=3)
    assert "wixhttp.toml:1: build_dir is a folder of its own, and not one of the project's" in outcome.err
    assert (folder / "here/pages/a.py").exists()


@pytest.mark.parametrize("name", ["notes.txt", "manifest.json", ".hidden", "sub/x"])
def test_what_is_not_ours_is_never_removed(project: Project, name: str) -> None:
    folder = project({**pages("a.py"), f"dist/{name}": '{"name": "a web application", "icons": []}'})
    assert "build_dir is empty or an earlier build, and this holds something else" in build(folder, code=3).err
    assert (folder / "dist" / name).exists()
    assert not (folder / "dist/a").exists()


def test_the_build_folder_is_no_file(project: Project) -> None:
    folder = project({**pages("a.py"), "dist": "a file"})
    assert "build_dir is a folder, and this is a file" in build(folder, code=3).err


def test_an_empty_folder_and_a_broken_build_are_replaced(project: Project) -> None:
    folder = project(pages("a.py"))
    (folder / "dist").mkdir()
    build(folder)
    (folder / "dist/a").write_text("changed by hand")  # which `serve` refuses
    build(folder)
    assert files(folder / "dist") == {"a": b"/a {} {}"}


def test_a_link_to_the_folder_stays(project: Project, tmp_path: Path) -> None:
    folder = project(pages("a.py"))
    (tmp_path / "volume").mkdir()
    (folder / "dist").symlink_to(tmp_path / "volume", target_is_directory=True)
    build(folder)
    assert (folder / "dist").is_symlink()
    assert files(tmp_path / "volume") == {"a": b"/a {} {}"}


def test_check_place_of_a_config_made_by_hand(project: Project) -> None:
    folder = project(pages("a.py"))
    config = load_config(folder, flags={"build_dir": "src"})
    with pytest.raises(ConfigError, match="flag --build-dir: build_dir"):
        check_place(config)


def two_folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    new, place = tmp_path / "new", tmp_path / "place"
    for folder in (new, place):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    return new, place, tmp_path / "old"


@pytest.mark.parametrize("way", [swap, replace_in_steps])
def test_swap(tmp_path: Path, way: Callable[[Path, Path, Path], None]) -> None:
    new, place, old = two_folders(tmp_path)
    way(new, place, old)
    assert (place / "name").read_text() == "new"
    assert [path.read_text() for path in tmp_path.glob("*/name") if path.parent != place] == ["place"]


@pytest.mark.parametrize(("way", "error"), [(swap, BuildError), (replace_in_steps, OSError)])
def test_a_swap_that_fails(tmp_path: Path, way: Callable[[Path, Path, Path], None], error: type[BaseException]) -> None:
    new, place, old = two_folders(tmp_path)
    with pytest.raises(error, match="No such file"):
        way(new / "not", place, old)
    assert (place / "name").read_text() == "place"
    assert not old.exists()


def test_a_build_killed_within_a_swap_is_mended(project: Project) -> None:
    folder = project(pages("a.py", text=FEED))
    build(folder)
    (folder / ".dist.build").mkdir()
    (folder / "dist").rename(folder / ".dist.build/old")
    (folder / "src/pages/a.py").write_text(STATIC + RAISES)
    build(folder, code=1)
    assert files(folder / "dist") == {"a": b"old"}
    assert left_over(folder) == []


# --- builds that end early -------------------------------------------------------------------------------------------

WAITS = (
    STATIC + "def GET():\n    with open('started', 'w') as file:\n        file.write('x')\n"
    "    with open('go') as file:\n        return Response(file.read())\n"
)
WAITS_LATER = WAITS.replace("def GET", "import asyncio\nasync def GET").replace(
    "    with open('go') as file:\n        return Response(file.read())\n", "    await asyncio.sleep(600)\n"
)


@contextmanager
def waiting(folder: Path, text: str = WAITS) -> Iterator[subprocess.Popen[bytes]]:
    """A build that has written a file and waits within the handler of the next."""
    for name in ("started", "go"):
        os.mkfifo(folder / name)
    (folder / "src/pages/z.txt.py").write_text(text)
    process = subprocess.Popen(
        [*WIXHTTP, "build"], cwd=folder, env=ENVIRON, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert (folder / "started").read_text() == "x"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT)
        for name in ("started", "go", "src/pages/z.txt.py"):
            (folder / name).unlink()


@pytest.fixture
def built(project: Project) -> Path:
    """A project with a build, whose file says something else by now."""
    folder = project(pages("a.txt.py", text=FEED))
    build(folder)
    # Not of the same size: with the time in seconds, that is all by which Python knows the byte code of another source.
    (folder / "src/pages/a.txt.py").write_text(FEED.replace("old", "new") + "# changed\n")
    return folder


def test_a_killed_build_leaves_the_old_one(built: Path) -> None:
    with waiting(built) as process:
        assert files(built / ".dist.build/new") == {"a.txt": b"new"}
        process.kill()
        process.wait(TIMEOUT)
    assert files(built / "dist") == {"a.txt": b"old"}
    assert len(Manifest.read(built / "dist")) == 1
    assert left_over(built) == [".dist.build"]
    build(built)
    assert files(built / "dist") == {"a.txt": b"new"}
    assert left_over(built) == []


@pytest.mark.parametrize("text", [WAITS, WAITS_LATER])
def test_an_interrupted_build_leaves_the_old_one(built: Path, text: str) -> None:
    with waiting(built, text) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT)
    Outcome(out, err, process.returncode, 130)
    assert files(built / "dist") == {"a.txt": b"old"}
    assert left_over(built) == []


def test_one_build_at_a_time(built: Path) -> None:
    with waiting(built) as process:
        outcome = build(built, code=1)
        assert f"another build of {built / 'dist'} is running; wait for its end" in outcome.err
        assert files(built / "dist") == {"a.txt": b"old"}
        (built / "go").write_text("gone")
        out, err = process.communicate(timeout=TIMEOUT)
        Outcome(out, err, process.returncode, 0)
    assert files(built / "dist") == {"a.txt": b"new", "z.txt": b"gone"}


def test_the_lock_is_the_file_systems(built: Path) -> None:
    (built / ".dist.build").mkdir()
    with (built / ".dist.build/lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BuildError, match="another build of"):
            build_site(load_config(built))
    assert [each.path for each in build_site(load_config(built))] == ["/a.txt"]


def test_builds_one_after_the_other_while_it_is_served(built: Path) -> None:
    """At no moment is there nothing: a reader finds the file of one build or of the next."""
    place = built / "dist/a.txt"
    config = load_config(built)
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys\nwhile True: open(sys.argv[1]).close()", str(place)],
        stderr=subprocess.PIPE,
    )
    try:
        found: list[Built] = []
        for _ in range(20):
            found += build_site(config)
        assert process.poll() is None, process.communicate()[1].decode()
    finally:
        process.kill()
        process.communicate()
    assert [each.path for each in found] == ["/a.txt"] * 20
