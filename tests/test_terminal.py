"""Lines of the log at a terminal."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import re
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wixhttp.context import current_request, using
from wixhttp.http.request_head import PlainHead
from wixhttp.logs.access_log import AccessLog
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.setup import OWN_LOGGERS
from wixhttp.logs.terminal import Style, TerminalFormatter

PLAIN = Style(80, has_colours=False)
COLOURS = Style(80, has_colours=True)


def test_spaces_that_are_wider_than_the_terminal() -> None:
    assert line_of("a\n" + " " * 200 + "\nb").count("\n") == 2
    assert line_of(" " * 200)


def line_of(
    message: str, *, style: Style = PLAIN, name: str = "wixhttp", level: int = logging.INFO, **more: Any
) -> str:
    """The lines of a record of the request 5f0c8fb7e21d4c3a-7."""
    head = PlainHead("GET", "/", "", [])
    head.request_id = "5f0c8fb7e21d4c3a-7"
    record = logging.LogRecord(name, level, "file.py", 1, message, (), more.get("exc_info"))
    with using(current_request, head):
        return TerminalFormatter(style, OWN_LOGGERS).format(record)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal of 100 columns; the second is the program's."""
    reads, writes = pty.openpty()
    fcntl.ioctl(writes, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    yield reads, writes
    os.close(reads)
    os.close(writes)


def test_a_line_begins_with_the_time_and_the_end_of_the_id() -> None:
    assert re.fullmatch(r"\d\d:\d\d:\d\d 1d4c3a-7 hello", line_of("hello"))
    assert line_of("hello", name="shop", level=logging.WARNING).endswith(" warning: shop: hello")
    assert line_of("hello", name="print").endswith(" 1d4c3a-7 hello")


def test_long_messages_are_wrapped_at_80_columns_and_control_characters_escaped() -> None:
    lines = line_of("word " * 40 + "\x1b[2J", level=logging.ERROR).split("\n")
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80
    assert all(line.startswith(" " * 18 + "word") for line in lines[1:])
    assert "\x1b" not in "".join(lines)
    assert "x" * 200 in line_of("x" * 200)


def test_a_warning_of_misuse_is_its_place_and_its_text() -> None:
    text = f"{Path.cwd()}/backend/http_functions.py:5: MisuseWarning: ok() is wrong\n  return ok()\n"
    said = line_of(text, name="py.warnings", level=logging.WARNING)
    assert said.endswith(" warning: backend/http_functions.py:5: ok() is wrong")


def test_a_traceback_is_indented_and_its_files_named_from_here() -> None:
    with pytest.raises(AttributeError) as raised:
        _ = [].length  # type: ignore[attr-defined]  # on purpose
    exc_info = (raised.type, raised.value, raised.tb)
    text = line_of("failed", exc_info=exc_info, level=logging.ERROR)
    coloured = line_of("failed", exc_info=exc_info, style=COLOURS)
    lines = text.split("\n")
    assert lines[1] == "  Traceback (most recent call last):"
    assert lines[2].startswith(f'    File "{Path(__file__).relative_to(Path.cwd())}", line ')
    assert lines[-2:] == [
        "  AttributeError: 'list' object has no attribute 'length'",
        "  Hint: '.length' is JavaScript's: write len(x)",
    ]
    assert "\x1b[31mAttributeError: 'list' object has no attribute 'length'\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).split("\n")[1:] == lines[1:]


def test_the_style_of_a_terminal(terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    _, writes = terminal
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    style = Style.of(writes)
    assert style is not None
    assert (style.width, style.has_colours) == (100, True)
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            plain = Style.of(writes)
            assert plain is not None
            assert not plain.has_colours
    with Path(os.devnull).open("w") as file:
        assert Style.of(file.fileno()) is None


def test_the_access_line_at_a_terminal(terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    reads, writes = terminal
    access = AccessLog(LineWriter(writes), json=False)
    for client, status in (("127.0.0.1", 200), ("203.0.113.9", 503)):
        head = PlainHead("GET", "/_functions/a", "", [], client=client)
        head.request_id = "5f0c8fb7e21d4c3a-7"
        access.line(head, status, time.perf_counter(), 27)
    text = ""
    while text.count("\r\n") < 2:
        text += os.read(reads, 10_000).decode()
    lines = text.split("\r\n")
    assert re.fullmatch(r"\S{8} 1d4c3a-7 GET /_functions/a 200 27B \d+\.\dms", lines[0])
    assert re.fullmatch(r"\S{8} 1d4c3a-7 GET /_functions/a 503 27B \d+\.\dms 203\.0\.113\.9", lines[1])


def test_statuses_have_colours() -> None:
    head = PlainHead("GET", "/a", "", [])
    head.request_id = "id"
    lines = [COLOURS.access(head, "/a", status, 1.0, 0) for status in (200, 304, 404, 500)]
    assert [re.findall(r"\x1b\[(\d+)m\d{3}\x1b", line)[0] for line in lines] == ["32", "36", "33", "31"]
