"""A Python prompt in a loaded site, and programs that run in it."""

from __future__ import annotations

import ast
import asyncio
import code
import contextlib
import importlib.util
import inspect
import linecache
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import click

from wixhttp.cli.exit_codes import FAILED
from wixhttp.concurrency.event_loop import background
from wixhttp.context import current_collections, using
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import open_collections
from wixhttp.data.stores.private_files import create_private
from wixhttp.dispatch.app import App
from wixhttp.dispatch.site import Site
from wixhttp.http.request_head import Head
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.masking import masked, masked_url
from wixhttp.logs.setup import configure
from wixhttp.logs.tracebacks import format_exception
from wixhttp.project.config import Config
from wixhttp.project.loader import has_functions, load_functions_module
from wixhttp.secrets import SecretStore, getSecret, override
from wixhttp.services import load_served_site
from wixhttp.testing.client import Answer, TestClient

HISTORY = "shell_history"
"""The file of the prompt's history, in the project's folder ``.wixhttp``, readable by its owner alone."""

_MOST_LINES = 2_000


def run_shell(config: Config, program: str | None, *, plain: bool) -> int:
    """Run a program, that of standard input, or the prompt where that is a terminal; returns the exit code.

    Raises:
        ProjectError: the project cannot be loaded.
        SystemExit: the program, or somebody at the prompt, says ``exit()``.
    """
    configure("text", config.log_level, LineWriter(2))
    collections = open_collections(config)
    owner = collections.acting_as(replace(collections.identity, is_elevated=True))
    with override(SecretStore.from_config(config)), using(current_collections, owner):
        site = load_served_site(replace(config, mode="development", access_log=False))
        names = _names(site, collections)
        try:
            if program is not None:
                return _run_program(program, "<command>", names)
            if not sys.stdin.isatty():
                return _run_program(sys.stdin.read(), "<stdin>", names)
            if not plain and importlib.util.find_spec("IPython") is not None:
                _run_ipython(names, _banner(site))
            else:
                with _history(config.root, names):
                    _Console(names).interact(_banner(site), exitmsg="")
        except KeyboardInterrupt:
            background.grace = 0  # what an `async def` waits for is not waited for
            raise
    return 0


class SiteClient(TestClient):
    """A `TestClient` of a site whose requests reach its real collections, as anybody's, not as those of its owner."""

    def __init__(self, site: Site, collections: Collections) -> None:
        super().__init__(App(site), raise_exceptions=False)
        self._reached = collections

    def send(self, head: Head, body: bytes) -> Answer:
        """See `TestClient`."""
        with using(current_collections, self._reached):
            return super().send(head, body)


def _names(site: Site, collections: Collections) -> dict[str, Any]:
    from wixhttp import data
    from wixhttp.data import aio

    names = {
        "client": SiteClient(site, collections),
        "wix_data": data,
        "aio": aio,
        "site": site,
        "getSecret": getSecret,
    }
    if has_functions(site.config.root):
        names["functions"] = load_functions_module(site.config.root, site.config.import_timeout)
    return {"__name__": "__main__", "__doc__": None, **names}


def _banner(site: Site) -> str:
    config = site.config
    lines = [
        f"{config.root}, in development: {site.summary}. Python {sys.version.split()[0]}",
        "  client     sends requests, without a server: client.get('hello').json()",
        f"  wix_data   the collections in {masked_url(config.store_url)}, with the rights of the site's owner.",
        "             What is written stays; requests of the client reach the same ones, as anybody's. Also: aio",
        "  site, functions, getSecret. await works here. Ctrl-D ends it.",
    ]
    return "\n".join(lines)


# --- running code ----------------------------------------------------------------------------------------------------


class _Runner:
    """Runs code that may await at its top level: on an event loop of this thread, which stands still in between."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, compiled: CodeType) -> None:
        value = FunctionType(compiled, self.names)()
        if not inspect.iscoroutine(value):
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        loop, task, interrupts = self._loop, self._loop.create_task(value), 0

        def interrupt(number: int, frame: object) -> None:  # as asyncio.Runner, which Python 3.10 has not
            nonlocal interrupts
            interrupts += 1
            if interrupts > 1 or task.done():
                raise KeyboardInterrupt
            task.cancel()
            loop.call_soon_threadsafe(lambda: None)  # so that it wakes up

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            if interrupts:
                raise KeyboardInterrupt from None
            raise
        finally:
            signal.signal(signal.SIGINT, before)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()


def _run_program(text: str, name: str, names: dict[str, Any]) -> int:
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # for tracebacks
    runner = _Runner(names)
    try:
        runner.run(compile(text, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
    except Exception as error:  # noqa: BLE001  # of the user's program
        click.echo(masked(format_exception(error)), err=True)
        return FAILED
    finally:
        runner.close()
    return 0


class _Console(code.InteractiveConsole):
    """Python's own prompt, with ``await``."""

    def __init__(self, names: dict[str, Any]) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._runner = _Runner(names)

    def runcode(self, code: CodeType) -> None:
        """See the base class."""
        try:
            self._runner.run(code)
        except SystemExit:
            raise
        except KeyboardInterrupt:
            self.write("KeyboardInterrupt\n")
        except BaseException as error:  # noqa: BLE001  # the user's
            self.write(masked(format_exception(error)) + "\n")


@contextlib.contextmanager
def _history(root: Path, names: dict[str, Any]) -> Iterator[None]:
    """Complete names with TAB, and keep the lines of the prompt for the next time."""
    try:
        import readline
    except ImportError:  # a Python without it has neither
        yield
        return
    is_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
    import rlcompleter

    readline.set_completer(rlcompleter.Completer(names).complete)

    folder = root / ".wixhttp"
    with contextlib.suppress(OSError):  # a project that cannot be written has no history
        readline.read_history_file(folder / HISTORY)
    try:
        yield
    finally:
        readline.set_history_length(_MOST_LINES)
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            if not (folder / ".gitignore").exists():
                (folder / ".gitignore").write_text("*\n")
            create_private(folder / HISTORY)
            readline.write_history_file(folder / HISTORY)


def _run_ipython(names: dict[str, Any], banner: str) -> None:
    from IPython import start_ipython
    from traitlets.config import Config as Settings

    settings = Settings()
    settings.TerminalInteractiveShell.banner1 = banner + "\n"
    settings.TerminalInteractiveShell.confirm_exit = False
    start_ipython(argv=[], user_ns=names, config=settings)
