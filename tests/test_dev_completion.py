"""`wixhttp completion`, in the shells themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests import commands
from tests.servers import TIMEOUT, clean, missing, project
from tests.terminals import Terminal
from wixhttp.cli.arguments.file_names import FileName
from wixhttp.cli.commands import cli

SCRIPTS = sysconfig.get_path("scripts")
FUNCTIONS = """
from json import loads as get_loads
from wixhttp import ok
raise SystemExit("nothing is imported for a completion")
def get_hello(): ...
def get_help(): ...
def post_helmet(): ...
def use_hedge(): ...
async def put_hello(): ...
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project(tmp_path_factory.mktemp("site"), FUNCTIONS)
    for name in ("api/hello.py", "api/users/[id].py"):
        (folder / "src/pages" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "src/pages" / name).write_text("1 / 0\n")
    return folder


def environ(home: Path) -> dict[str, str]:
    return clean({"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "TERM": "dumb"})


def completions(site: Path, *words: str, kind: str = "plain") -> list[str]:
    """The completions of the last word, as the program tells them to bash."""
    asked = {"_WIXHTTP_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("wixhttp", *words))}
    done = commands.run([], cwd=site, env=clean(asked | {"COMP_CWORD": str(len(words))}))
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [line.partition(",") for line in done.stdout.decode().splitlines() if line]
    assert {each for each, _, _ in lines} <= {kind}
    return [value for _, _, value in lines]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("se",), ["secrets", "serve"]),
        (("data", "ex"), ["export"]),
        (("serve", "--work"), ["--workers", "--worker-class"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("call", "p"), ["POST", "PUT", "PATCH"]),
        (("call", "GET", "hel"), ["hello", "help"]),
        (("call", "HEAD", "hell"), ["hello"]),
        (("call", "post", "he"), ["helmet", "hedge"]),
        (("call", "PUT", ""), ["hedge", "hello", "/api/users/[id]", "/api/hello"]),
        (("call", "GET", "/api/u"), ["/api/users/[id]"]),
    ],
)
def test_words_are_completed(site: Path, words: tuple[str, ...], expected: list[str]) -> None:
    assert completions(site, *words) == expected


def test_another_project_is_completed_where_the_line_names_one(site: Path, tmp_path: Path) -> None:
    assert completions(tmp_path, "call", "GET", "hel") == []
    assert completions(tmp_path, "--project", str(site), "call", "GET", "hel") == ["hello", "help"]


def test_names_of_files_are_completed_where_one_is_taken(tmp_path: Path) -> None:
    """Of every option and argument that its help says takes a file or a folder."""

    def parameters(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Parameter]]:
        context = click.Context(command)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                made = command.get_command(context, name)
                assert made is not None
                yield from parameters(made, (*words, name))
        yield from ((words, each) for each in command.params)

    named = re.compile(r"FILE|DIR")
    taken = [
        (words, each) for words, each in parameters(cli, ()) if named.search(str(each.metavar)) or each.name == "file"
    ]
    assert len(taken) >= 15
    wrong = [(words, each.name) for words, each in taken if not isinstance(each.type, FileName)]
    assert wrong == []
    (tmp_path / "bodies").mkdir()
    for name in ("body.json", "other.json", ".hidden", "bodies/a.json"):
        (tmp_path / name).write_text("{}")
    assert completions(tmp_path, "inspect", "replay", "1", "-d", "@bo") == ["@bodies/", "@body.json"]
    assert completions(tmp_path, "call", "POST", "a", "-d", "@bodies/") == ["@bodies/a.json"]
    assert completions(tmp_path, "call", "POST", "a", "-F", "file=@o") == ["file=@other.json"]
    assert completions(tmp_path, "data", "insert", "books", "@") == ["@bodies/", "@body.json", "@other.json"]
    assert completions(tmp_path, "call", "POST", "a", "-d", "o") == []
    assert completions(tmp_path, "call", "POST", "a", "-d", "@nowhere/") == []
    assert completions(tmp_path, "inspect", "import", "b", kind="file") == ["b"]
    assert completions(tmp_path, "--project", "b", kind="dir") == ["b"]


@pytest.mark.parametrize("text", ["def get_(", "\0"])
def test_files_that_are_no_python_complete_nothing_and_say_nothing(tmp_path: Path, text: str) -> None:
    assert completions(project(tmp_path, text), "call", "GET", "hel") == []
    (tmp_path / "wixhttp.toml").write_text("port = 'x'\n")
    assert completions(tmp_path, "call", "GET", "hel") == []


def test_a_completion_imports_only_the_command_that_it_is_about() -> None:
    program = (
        "import wixhttp.cli.commands as c, sys, atexit\natexit.register(lambda: print(sorted(sys.modules)))\nc.main()"
    )
    asked = {"_WIXHTTP_COMPLETE": "bash_complete", "COMP_WORDS": "wixhttp data e", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean(asked), capture_output=True, text=True, check=True, timeout=TIMEOUT
    )
    imported = {name for name in done.stdout.split("'") if name.startswith("wixhttp.")}
    assert "wixhttp.cli.data.export" in imported
    assert not {
        name for name in imported if name.startswith(("wixhttp.server", "wixhttp.dispatch", "wixhttp.cli.serve"))
    }


def test_only_the_three_shells_have_a_script(site: Path) -> None:
    done = commands.run(["completion", "tcsh"], cwd=site, env=clean({}))
    assert done.returncode == 2
    assert b"'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr


# --- the shells ------------------------------------------------------------------------------------------------------


def script(shell: str, home: Path) -> Path:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = commands.run(["completion", shell], cwd=home, env=environ(home), check=True)
    file = home / f"wixhttp.{shell}"
    file.write_bytes(done.stdout)
    return file


def test_bash_completes_a_line_that_is_typed(site: Path, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        missing("bash is not installed")
    file = script("bash", tmp_path)
    (site / "wixhttp_body.har").write_text("")
    with Terminal(["bash", "--norc", "--noprofile", "-i"], site, environ(tmp_path)) as bash:
        bash.press(f"PS1='> '; source {file}; printf '%s\\n' re''ady\n")
        bash.await_text("ready\r\n> ")
        bash.press("wixhttp secr\t")
        bash.await_text("wixhttp secrets ")
        bash.press("\x15wixhttp call GET hell\t")
        bash.await_text("wixhttp call GET hello ")
        bash.press("\x15wixhttp inspect import wixhttp_bo\t")
        bash.await_text("wixhttp inspect import wixhttp_body.har")
        bash.press("\x15wixhttp call POST hello -d @wixhttp_bo\t")
        bash.await_text("-d @wixhttp_body.har")
        bash.press("\x15wixhttp serve --worker-\t")
        bash.await_text("wixhttp serve --worker-class ")


def test_zsh_completes_a_line_that_is_typed(site: Path, tmp_path: Path) -> None:
    file = script("zsh", tmp_path)
    with Terminal(["zsh", "-f", "-i"], site, environ(tmp_path)) as zsh:
        zsh.press(f"PS1='> '; autoload -U compinit; compinit -D; source {file}; printf '%s\\n' re''ady\n")
        zsh.await_text("ready")
        zsh.press("wixhttp secr\t")
        zsh.await_text("ets ")
        zsh.press("\x15wixhttp call GET hell\t")
        zsh.await_text("hello ")


def test_fish_completes_a_line(site: Path, tmp_path: Path) -> None:
    file = script("fish", tmp_path)
    for line, expected in (("wixhttp se", ["secrets", "serve"]), ("wixhttp call GET hel", ["hello", "help"])):
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source {file}; complete -C '{line}'"],
            cwd=site, env=environ(tmp_path), capture_output=True, text=True, check=True, timeout=TIMEOUT,
        )  # fmt: skip
        assert [each.partition("\t")[0] for each in done.stdout.splitlines()] == expected
