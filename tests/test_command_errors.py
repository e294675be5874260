"""The commands with wrong names, folders, files and rights: the message is the user's way out, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_cli import ENVIRON
from wixhttp.cli.commands import main

SCHEMA = """
[books]
[people]
indexes = [{fields = ["name"]}]
"""


class Command:
    """The command in this process, in a project's folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """The text of both streams."""
        with pytest.raises(SystemExit) as exited:
            main(["--project", str(self.folder), *arguments])
        shown = self._capsys.readouterr()
        assert exited.value.code == code, shown
        assert "Traceback" not in shown.err
        assert ".part" not in shown.err
        return shown.out + shown.err


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """In a new project that declares collections, and has no database yet."""
    folder = tmp_path / "site"
    (folder / "data").mkdir(parents=True)
    (folder / "data/collections.toml").write_text(SCHEMA)
    monkeypatch.chdir(folder)
    return Command(folder, capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sever"], "there is no command 'sever'; did you mean 'serve'?"),
        (["data", "colections"], "there is no command 'colections'; did you mean 'collections'?"),
        (["secrets", "lst"], "there is no command 'lst'; did you mean 'list'?"),
        (["xyzzy"], "there is no command 'xyzzy'; known are build, call, check"),
        (["data", "import", "--udpate", "x"], "--update"),
    ],
)
def test_a_mistyped_command_is_told_with_the_one_that_is_meant(
    command: Command, arguments: list[str], message: str
) -> None:
    assert message in command(*arguments, code=2)


def test_a_declared_collection_that_nobody_used_yet_is_empty(command: Command) -> None:
    for is_made in (False, True):  # with no database, and with one that lacks it
        assert command("data", "query", "books") == ""
        assert command("data", "query", "people", '{"name": "x"}', "--sort", "name") == ""
        assert command("data", "query", "books", "--count") == "0\n"
        assert command("data", "export", "books") == ""
        assert (
            command("data", "export", "books", "people", "-o", f"out{is_made}") == "books  0 items\npeople  0 items\n"
        )
        assert command("data", "index", "people", "--list") == "name\n"
        assert "people" in command("data", "collections")
        assert Path("data/wixhttp.sqlite3").exists() == is_made, "who only looks makes no database"
        command("data", "index", "books", "title")
    assert "there is no index on x of people" in command("data", "index", "people", "x", "--drop", code=1)


def test_a_collection_that_is_nowhere_is_told_with_its_line(command: Command) -> None:
    line = "Declare it in data/collections.toml, by the line [films]"
    for arguments in (["query", "films"], ["export", "films"], ["index", "films", "a"], ["index", "films", "--list"]):
        assert f"Error: WDE0025: The films collection does not exist. {line}\n" in command("data", *arguments, code=1)
    assert "Did you mean 'books'?" in command("data", "query", "book", code=1)


@pytest.mark.parametrize("arguments", [["check"], ["backup", "copy.sqlite3"]])
def test_a_database_that_is_not_there_is_neither_checked_nor_copied_nor_made(
    command: Command, arguments: list[str]
) -> None:
    assert "wixhttp.sqlite3 yet: the first use of a collection makes it" in command("data", *arguments, code=1)
    assert sorted(each.name for each in command.folder.rglob("*")) == ["collections.toml", "data"]


def test_targets_in_folders_that_are_not_there_are_named_as_they_were_given(command: Command) -> None:
    command("data", "index", "books", "title")
    for arguments in (["backup", "none/x"], ["export", "books", "-o", "none/x"]):
        said = command("data", *arguments, code=1)
        assert f"Error: none/x: cannot be made: there is no folder {command.folder / 'none'}" in said
    Path("file").write_text("")
    assert "Error: file/x: " in command("data", "export", "-o", "file/x", code=1)
    assert "Error: /proc/x: " in command("data", "backup", "/proc/x", code=1)
    assert "Error: /proc/x: " in command("data", "export", "-o", "/proc/x", code=1)


def test_a_copy_that_cannot_be_written_is_an_error_of_its_file(command: Command) -> None:
    Path("books.jsonl").write_text('{"text": "' + "x" * 400_000 + '"}')
    command("data", "import", "books.jsonl")
    code = (
        "import resource, signal\n"
        "from wixhttp.cli.commands import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "main(['data', 'backup', 'copy'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=command.folder, env=ENVIRON, check=False
    )
    assert (done.returncode, done.stderr) == (1, b"Error: copy: the copy cannot be written: SQLITE_IOERR\n")
    assert not [each for each in os.listdir() if "copy" in each]


def test_an_error_of_the_database_is_shown_once(command: Command) -> None:
    for url in ("sqlite:////proc/x/y", "sqlite:////tmp", "postgresql://nobody@localhost:1/x"):
        said = command("data", "--database-url", url, "index", "books", "title", code=1)
        assert said.count("WDE0053") == 1, said


def test_an_import_that_fails_makes_no_collection_and_says_so_once(command: Command) -> None:
    Path("bad.jsonl").write_text("null\n")
    assert command("data", "import", "bad.jsonl", code=1) == (
        "Error: bad.jsonl:1: an item is an object, not NoneType\nNothing is written.\n"
    )
    assert "bad" not in command("data", "collections")
    Path("none.jsonl").write_text("")
    command("data", "import", "none.jsonl")
    assert "none  0 items" in command("data", "collections")


def test_a_trial_makes_no_database(command: Command) -> None:
    Path("books.jsonl").write_text("{}\n")
    assert command("data", "import", "books.jsonl", "--dry-run") == "would be: 1 inserted\n"
    assert not Path("data/wixhttp.sqlite3").exists()


OLD = "RuntimeError: gevent worker requires gevent 24.10.1 or higher"  # gunicorn's text, also where it is missing
MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from wixhttp.cli.commands import main
main({arguments})
"""


@pytest.mark.parametrize(
    ("names", "arguments", "settings", "message"),
    [
        (
            {"psycopg", "psycopg_pool"},
            ["data", "--database-url", "postgresql://ada@localhost/x", "collections"],
            "",
            "database_url is on PostgreSQL, and psycopg is not installed; run: pip install 'wixhttp[postgres]'\n",
        ),
        (
            {"gevent"},
            ["serve", "--worker-class", "gevent"],
            "",
            f"worker_class 'gevent' cannot be loaded ({OLD}); run: pip install 'wixhttp[gevent]'\n",
        ),
        (
            {"jwt"},
            ["serve"],
            "[auth]\nsecret = 'JWT_KEY'\naudience = 'a'\nissuer = 'i'\n",
            "auth is set, and jwt is not installed; run: pip install 'wixhttp[auth]'\n",
        ),
    ],
)
def test_an_extra_that_is_missing_is_told_in_one_line(
    tmp_path: Path, names: set[str], arguments: list[str], settings: str, message: str
) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend/http_functions.py").write_text("def get_x(request): ...\n")
    (tmp_path / "wixhttp.toml").write_text(settings)
    code = MISSING.format(names=names, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ENVIRON, capture_output=True, check=False)
    assert done.stderr.decode().removeprefix("Error: ") == message
    assert done.returncode == 3


def test_no_temporary_name_stands_in_a_message(command: Command) -> None:
    Path("data/secrets").symlink_to("/proc/secrets")
    Path("wixhttp.toml").write_text("secrets_file = 'data/secrets'\nbuild_dir = '/proc/dist'\n")
    Path("src/pages").mkdir(parents=True)
    Path("src/pages/a.py").write_text("prerender = True\ndef GET(): ...\n")
    assert (
        command("secrets", "set", "A", "b", code=1)
        == f"Error: {command.folder}/data/secrets: No such file or directory\n"
    )
    assert "Error: /proc/dist: No such file or directory" in command("build", code=1)
