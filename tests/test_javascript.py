"""The tables of JavaScript beside Python on the page "From Velo": both sides of each row have the same value."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
import shutil
import subprocess
import time
import uuid
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import pytest

from tests.servers import TIMEOUT, missing
from tests.test_docs import BLOCKS, PAGES

SECTION = PAGES["docs/from-velo.md"].partition("\n## JavaScript in Python\n")[2].partition("\n## ")[0]
MODULES = {
    each.__name__.rpartition(".")[2]: each
    for each in (
        base64, date, datetime, hashlib, hmac, json, math, parse_qsl, quote, re, time, timedelta, timezone, unquote,
        urlencode, urlsplit, uuid,
    )
}  # fmt: skip
BINDINGS: dict[str, Any] = {
    name: json.loads(value) for name, value in re.findall(r"^- `(\w+) = (.+)`$", SECTION, re.MULTILINE)
}


class Row(NamedTuple):
    javascript: str
    python: str

    @property
    def is_statement(self) -> bool:
        return self.javascript.startswith("const ")


def _rows() -> list[Row]:
    compared = SECTION.partition("### Waiting")[0]
    code = r"(`+) ?(.+?) ?\%d"
    found = re.findall(rf"^\| {code % 1}[^|`]* \| {code % 3} \|$", compared, re.MULTILINE)
    return [Row(javascript.replace("\\|", "|"), python.replace("\\|", "|")) for _, javascript, _, python in found]


ROWS = _rows()


def test_every_row_of_the_tables_is_compared() -> None:
    compared = SECTION.partition("### Waiting")[0]
    lines = [
        line for line in compared.splitlines() if line.startswith("| ") and not line.startswith(("| Java", "| ---"))
    ]
    assert len(lines) == len(ROWS) > 80
    assert set(BINDINGS) == {"item", "text", "numbers"}


def _python_value(row: Row) -> Any:
    names: dict[str, Any] = json.loads(json.dumps(BINDINGS))
    before = {**MODULES, **names, "error": ValueError("no tea")}
    if not row.is_statement:
        return eval(row.python, before)  # noqa: S307 - our own documentation
    after = dict(before)
    exec(row.python, after)  # noqa: S102 - the same
    return {name: value for name, value in after.items() if name not in before and name != "__builtins__"}


@pytest.fixture(scope="module")
def javascript_values() -> list[Any]:
    """The value of each row's JavaScript, by one run of node; that of a statement is of the names that it makes."""
    if shutil.which("node") is None:
        missing("node is not installed")
    bindings = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in BINDINGS.items())
    calls = []
    for row in ROWS:
        names = ", ".join(sorted(_python_value(row))) if row.is_statement else ""
        body = f"{row.javascript}; return {{{names}}};" if row.is_statement else f"return ({row.javascript});"
        calls.append(f"(() => {{ {body} }})()")
    program = f"""
const crypto = require("crypto");
const error = new Error("no tea");
{bindings}
const values = [{",".join(calls)}];
console.log(JSON.stringify(values.map(value => value === undefined ? null : value)));
"""
    done = subprocess.run(["node", "-"], input=program, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    values: list[Any] = json.loads(done.stdout)
    return values


def test_both_sides_of_each_row_have_the_same_value(javascript_values: list[Any]) -> None:
    pairs = zip(ROWS, javascript_values, strict=True)
    different = [(row, value, mine) for row, value in pairs if (mine := _python_value(row)) != value]
    assert different == []


def test_the_python_of_each_row_runs() -> None:
    for row in ROWS:
        _python_value(row)


def test_the_javascript_of_the_pages_is_some() -> None:
    if shutil.which("node") is None:
        missing("node is not installed")
    blocks = [block for blocks in BLOCKS.values() for block in blocks if block.kind == "js"]
    assert blocks
    for block in blocks:
        command = ["node", "--input-type=module", "--check", "-"]
        done = subprocess.run(command, input=block.text, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0, done.stderr
