"""The commands `wixhttp data`, run as a user runs them: as processes, in a project's folder, on SQLite."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_cli import ENVIRON, WIXHTTP, Outcome, run
from wixhttp.cli.commands import main
from wixhttp.data.queries.tree import EVERYTHING
from wixhttp.data.stores.contract import Row
from wixhttp.data.stores.sqlite import SQLiteStore

COLLECTIONS = """
[books]
indexes = [{fields = ["year"]}]
[books.references.authors]
collection = "people"
many = true
[people]
"""
BOOKS = (
    '{"_id":"a","title":"Äpfel","year":1999,"authors":["p1","p2"]}\n'
    '{"_id":"b","title":"Birnen","year":2024}\n'
    '{"_id":"c","title":"Clementinen","year":2024,"authors":["p1"]}\n'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three books, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "backend").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "backend/http_functions.py").write_text("def get_x(request): ...\n")
    (folder / "data/collections.toml").write_text(COLLECTIONS)
    (folder / "books.jsonl").write_text(BOOKS)
    assert data(folder, "import", "books.jsonl").out == "3 inserted, 3 links\n"
    return folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    """The same for one test."""
    return shutil.copytree(made, tmp_path / "site")


def data(folder: Path, *arguments: str, code: int = 0, stdin: bytes = b"", **environ: str) -> Outcome:
    return run(folder, "data", *arguments, code=code, stdin=stdin, **environ)


def printed(outcome: Outcome) -> list[dict[str, object]]:
    return [json.loads(line) for line in outcome.out.splitlines()]


def fill(folder: Path, count: int, size: int = 1) -> None:
    """A collection ``many`` of so many items."""
    with contextlib.closing(SQLiteStore(folder / "data/wixhttp.sqlite3")) as store:
        store.create("many")
        text = json.dumps({"pad": "x" * size}, separators=(",", ":"))
        now = "2024-01-01T00:00:00.000Z"
        rows = [Row(f"{number:07}", text, now, now, None) for number in range(count)]
        store.write(lambda changes: changes.insert("many", rows))


def test_collections_are_listed_with_what_is_known_of_them(site: Path) -> None:
    data(site, "import", "other", "-", stdin=b'{"a":1}')
    assert data(site, "collections").out == (
        "books  3 items  [year]\nother  1 item  (not declared)\npeople  not made yet\n"
    )
    listed = json.loads(data(site, "collections", "--json").out)
    assert listed[0] == {
        "name": "books",
        "items": 3,
        "indexes": [{"fields": ["year"], "unique": False}],
        "declared": True,
    }
    assert [each["items"] for each in listed] == [3, 1, None]


def test_a_dump_moves_to_another_database_and_is_the_same_there(site: Path) -> None:
    assert data(site, "export", "-o", "dump").out == "books  3 items\n"
    assert data(site, "--database-url", "sqlite:///other.sqlite3", "import", "dump").out == "3 inserted, 3 links\n"
    data(site, "export", "-o", "again", WIXHTTP_DATABASE_URL="sqlite:///other.sqlite3")
    for name in ("books.jsonl", "links.jsonl", "collections.json"):
        assert (site / "again" / name).read_bytes() == (site / "dump" / name).read_bytes()
    assert "dump: is there already; --force overwrites it" in data(site, "export", "-o", "dump", code=1).err
    data(site, "export", "books", "-o", "dump/", "--force")


def test_one_collection_goes_to_standard_output_or_a_file(site: Path) -> None:
    shown = printed(data(site, "export", "books"))
    assert [each["_id"] for each in shown] == ["a", "b", "c"]
    assert shown[0]["authors"] == ["p1", "p2"]
    table = data(site, "export", "books", "--format", "csv").out.splitlines()
    assert table[0] == "_id,_createdDate,_updatedDate,_owner,authors,title,year"
    assert table[1].endswith(',"[""p1"",""p2""]",Äpfel,1999')
    data(site, "export", "books", "-o", "out.csv")
    assert (site / "out.csv").read_text().splitlines() == table
    copied = data(site, "import", "copy", "-", "--format", "csv", stdin=(site / "out.csv").read_bytes())
    assert copied.out == "3 inserted\n"
    assert printed(data(site, "query", "copy", "--fields", "title,year"))[0] == {
        "_id": "a", "title": "Äpfel", "year": 1999,
    }  # fmt: skip


def test_an_import_says_what_is_wrong_and_how_far_it_came(site: Path) -> None:
    assert "books.jsonl:1: there is an item 'a' of books already" in data(site, "import", "books.jsonl", code=1).err
    assert data(site, "import", "books.jsonl", "--skip-existing").out == "0 inserted, 3 skipped\n"
    assert data(site, "import", "books.jsonl", "--update").out == "0 inserted, 3 updated, 3 links\n"
    (site / "bad.jsonl").write_text('{"x":1}\n{"x":\n[]\n')
    trial = data(site, "import", "bad.jsonl", "--dry-run", code=1)
    assert "bad.jsonl:2: this is not JSON" in trial.err
    assert "bad.jsonl:3: an item is an object, not list" in trial.err
    assert "2 problems; nothing was written." in trial.err
    assert data(site, "import", "new", "books.jsonl", "--dry-run").out == "would be: 3 inserted\n"
    assert "gone.jsonl: No such file" in data(site, "import", "gone.jsonl", code=1).err
    assert "not declared" not in data(site, "collections").out


def test_csv_of_wixs_cms_is_read_with_names_and_types(site: Path) -> None:
    (site / "songs.csv").write_text('"Song = Title","ID","Owner","zip"\n"x","1","me","77"\n', newline="")
    data(site, "import", "songs.csv", "--field", "Song = Title=title", "--types", "zip=text")
    [song] = printed(data(site, "query", "songs"))
    assert (song["_id"], song["_owner"], song["title"], song["zip"]) == ("1", "me", "x", "77")


def test_query_prints_what_a_filter_selects(site: Path) -> None:
    def ids(*arguments: str) -> str:
        return "".join(str(each["_id"]) for each in printed(data(site, "query", "books", *arguments)))

    assert ids() == "abc"  # the newest first; those of one import have one date
    assert ids('{"authors": {"$hasSome": ["p2"]}}') == "a"
    assert ids('{"authors": {"$isEmpty": true}}') == "b"
    assert "multi-reference" in data(site, "query", "books", '{"authors": {"$gt": "p"}}', code=2).err
    (site / "late.jsonl").write_text('{"_id":"0","_createdDate":{"$date":"2100-01-01T00:00:00.000Z"},"year":1}\n')
    data(site, "import", "books", "late.jsonl")
    assert (ids(), ids("--skip", "1", "--limit", "2"), ids("--sort", "_id", "--limit", "2")) == ("0abc", "ab", "0a")
    data(site, "import", "books", "late.jsonl", "--update")
    assert [each["_id"] for each in printed(data(site, "export", "books"))] == ["0", "a", "b", "c"]
    assert ids('{"title": {"$contains": "ÄPF"}}') == "a"
    assert ids("--sort", "-year,-title") == "cba0"
    assert ids("--sort", "year", "--skip", "2", "--limit", "1") == "b"
    assert data(site, "query", "books", '{"year": 2024}', "--count").out == "2\n"
    assert "WDE0025" in data(site, "query", "none", code=1).err


def test_indexes_are_made_listed_and_dropped(site: Path) -> None:
    assert data(site, "index", "books", "-height", "title").out == "made the index on -height, title of books\n"
    assert data(site, "index", "books", "-height", "title").out.endswith("is there already\n")
    data(site, "index", "books", "title", "--unique")
    assert data(site, "index", "books", "--list").out == "year\n-height, title\ntitle unique\n"
    assert "WDE0123" in data(site, "index", "books", "year", "--unique", code=1).err
    data(site, "index", "books", "-height", "title", "--drop")
    assert data(site, "index", "people", "name").out == "made the index on name of people\n", "declared, not made yet"
    assert "there is no index on -height" in data(site, "index", "books", "-height", "--drop", code=1).err


@pytest.mark.parametrize(
    "arguments",
    [
        ["export"],
        ["export", "-o", "-"],
        ["export", "books", "--format", "xml"],
        ["import"],
        ["import", "-"],
        ["import", "a", "b", "c"],
        ["import", "books.jsonl", "--update", "--skip-existing"],
        ["import", "books.jsonl", "--types", "a=text"],
        ["import", "books.csv", "--types", "a=colour"],
        ["import", "books.csv", "--types", "a"],
        ["import", "books.csv", "--field", "a="],
        ["import", "books", "data"],
        ["index", "books"],
        ["index", "books", "year", "--list"],
        ["index", "books", "--uniqe"],
        ["index", "books", "a..b"],
        ["query", "books", "{year: 1}"],
        ["query", "books", '{"year": {"$above": 1}}'],
        ["query", "books", "--limit", "0"],
        ["query", "books", "--sort", "$a"],
    ],
)
def test_wrong_usage_exits_with_2(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(SystemExit) as exited:
        main(["--project", str(tmp_path), "data", *arguments])
    assert exited.value.code == 2
    assert "Usage: wixhttp data" in capsys.readouterr().err


def test_wrong_settings_exit_with_3(site: Path) -> None:
    failed = data(site, "--database-url", "mysql://ada:s3cret@host/x", "collections", code=3)
    assert "database_url is" in failed.err
    assert "s3cret" not in failed.err
    (site / "data/collections.toml").write_text("[books]\nindex = []\n")
    assert "data/collections.toml:2" in data(site, "collections", code=3).err


def test_backup_copies_the_database(site: Path) -> None:
    data(site, "backup", "copy.sqlite3")
    shown = data(site, "export", "books").out
    assert data(site, "--database-url", "sqlite:///copy.sqlite3", "export", "books").out == shown
    assert "--force overwrites it" in data(site, "backup", "copy.sqlite3", code=1).err
    data(site, "backup", "copy.sqlite3", "--force")
    assert "database in use" in data(site, "backup", "data/wixhttp.sqlite3", "--force", code=1).err
    assert "export it" in data(site, "--database-url", "memory://", "backup", "x", code=1).err


def test_check_exits_with_1_for_a_damaged_database(site: Path) -> None:
    assert data(site, "check").out == "no problems\n"
    fill(site, 2000, 400)
    path = site / "data/wixhttp.sqlite3"
    pages = bytearray(path.read_bytes())
    middle = len(pages) // 2 // 4096 * 4096
    pages[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(pages)
    damaged = data(site, "check", code=1)
    assert damaged.err.startswith("Error: ")
    assert "no problems" not in damaged.out


def test_a_reader_that_leaves_is_no_error_message(site: Path) -> None:
    fill(site, 20_000)
    for command in ("export many", "query many", "export many --format csv"):
        piped = ["sh", "-c", f"{' '.join(WIXHTTP)} data {command} | head -1"]
        shown = subprocess.run(piped, cwd=site, env=ENVIRON, capture_output=True, timeout=60, check=True)
        assert shown.stdout.startswith((b'{"_id":"0000000"', b"_id,"))
        assert shown.stderr == b""


def test_an_interrupted_export_exits_with_130_and_leaves_nothing(site: Path) -> None:
    fill(site, 100_000)
    code = (
        "import signal as s; s.signal(s.SIGINT, s.default_int_handler); from wixhttp.cli.commands import main; main()"
    )
    command = [sys.executable, "-c", code, "data", "export", "many", "-o", "out.jsonl"]
    with subprocess.Popen(command, cwd=site, env=ENVIRON, stderr=subprocess.PIPE) as process:
        while not any(path.name.endswith(".part") and path.stat().st_size for path in site.iterdir()):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        text = process.stderr.read().decode()
        assert process.wait(20) == 130, text
    assert text.strip() == "interrupted"
    assert [path.name for path in site.iterdir() if "out" in path.name] == []


def test_an_interrupted_import_exits_with_130_and_says_what_is_written(site: Path) -> None:
    with (site / "many.jsonl").open("w") as file:
        file.writelines(f'{{"_id":"{number:07}"}}\n' for number in range(200_000))
    code = (
        "import signal as s; s.signal(s.SIGINT, s.default_int_handler); from wixhttp.cli.commands import main; main()"
    )
    command = [sys.executable, "-c", code, "data", "import", "many.jsonl"]
    with (
        contextlib.closing(SQLiteStore(site / "data/wixhttp.sqlite3")) as store,
        subprocess.Popen(command, cwd=site, env=ENVIRON, stderr=subprocess.PIPE) as process,
    ):
        while "many" not in store.collections() or not store.count("many", EVERYTHING):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        text = process.stderr.read().decode()
        assert process.wait(20) == 130
        written = store.count("many", EVERYTHING)
    assert 0 < written < 200_000
    assert written % 1000 == 0
    assert text.split("\n") == [f"Written: {written} inserted.", "", "interrupted", ""]


def _on_a_terminal(folder: Path, *arguments: str) -> str:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*WIXHTTP, "data", *arguments], cwd=folder, env={**ENVIRON, "TERM": "xterm"}, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other side is closed
            while piece := os.read(master, 4096):
                shown += piece
        assert process.wait(20) == 0, shown
    os.close(master)
    return shown.decode()


def test_bars_are_for_terminals(site: Path) -> None:
    assert "3/3" in _on_a_terminal(site, "export", "-o", "dump")
    assert "3 inserted" in _on_a_terminal(site, "import", "new", "books.jsonl")
    assert "100%" in _on_a_terminal(site, "backup", "copy.sqlite3").replace("100/100", "100%")
    assert "reading 3 items" in _on_a_terminal(site, "index", "books", "title")
    assert data(site, "export", "-o", "dump", "--force").err == ""


def test_help_loads_no_database() -> None:
    code = (
        "import sys\nfrom wixhttp.cli.commands import cli\ncli(['data', '--help'], standalone_mode=False)\n"
        "assert not {'apsw', 'psycopg', 'wixhttp.data'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    for command in (b"collections", b"export", b"import", b"index", b"query", b"backup", b"check"):
        assert command in done.stdout


def test_sessions_are_neither_listed_nor_exported(site: Path) -> None:
    store = SQLiteStore(site / "data/wixhttp.sqlite3")
    store.create("wixhttp:sessions")
    store.close()
    assert "sessions" not in data(site, "collections").out
    data(site, "export", "-o", "out")
    assert not [path.name for path in (site / "out").iterdir() if "sessions" in path.name]
