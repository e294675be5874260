"""wixhttp.project.dotenv: the syntax of .env files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.errors import ConfigError
from wixhttp.project.dotenv import format_line, parse, scan

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]*", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("\n \n# note\n  # KEY=value\n", {}),
        ("KEY=value", {"KEY": "value"}),
        ("KEY=value\r\nB=2\r\n", {"KEY": "value", "B": "2"}),
        ("export KEY=value", {"KEY": "value"}),
        ("  KEY = two words  ", {"KEY": "two words"}),
        ("KEY=", {"KEY": ""}),
        ("KEY= # note", {"KEY": ""}),
        ("KEY=value # note", {"KEY": "value"}),
        ("KEY=a#b", {"KEY": "a#b"}),
        ("KEY=#b", {"KEY": "#b"}),
        ("KEY=a=b==", {"KEY": "a=b=="}),
        ("KEY=it's", {"KEY": "it's"}),
        ("KEY=$HOME\\n", {"KEY": "$HOME\\n"}),
        (r"""KEY='a\n$B "c" # d' # note""", {"KEY": r"""a\n$B "c" # d"""}),
        (r'KEY="a\n\r\t\"\\\$ # b"', {"KEY": 'a\n\r\t"\\$ # b'}),
        ('KEY="one\ntwo"\nB=2', {"KEY": "one\ntwo", "B": "2"}),
        ('KEY="one\r\ntwo"\r\nB=2', {"KEY": "one\ntwo", "B": "2"}),
        ("KEY='one\ntwo'", {"KEY": "one\ntwo"}),
        ('KEY=""', {"KEY": ""}),
        ("a.b-c_1=x", {"a.b-c_1": "x"}),
        ("KEY=a\x0bb\u2028c", {"KEY": "a\x0bb\u2028c"}),
    ],
)
def test_reads(text: str, expected: dict[str, str]) -> None:
    assert parse(text, ".env") == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hunter2", 1),
        ("A=1\n\nB hunter2=2", 3),
        ("1KEY=hunter2", 1),
        ("=hunter2", 1),
        ("A='x\ny'\nKEY='hunter2", 3),
        ('KEY="hunter2', 1),
        ('KEY="hunter2\\"', 1),
        ('KEY="hunter2"x', 1),
        ('KEY="hunter2"# note', 1),
        ("KEY='hunter2'x", 1),
        ('A=1\nKEY="hunter2\\q"', 2),
        ("KEY=1\n# note\nKEY=hunter2", 3),
    ],
)
def test_refuses_with_the_line_and_without_the_value(text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "conf/.env")
    assert str(caught.value).startswith(f"conf/.env:{line}: ")
    assert "hunter2" not in str(caught.value)


def test_a_name_twice_names_the_first_line() -> None:
    with pytest.raises(ConfigError, match=r"\.env:3: KEY stands in line 1 already"):
        parse("KEY=1\n\nKEY=2", ".env")


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_written_reads_back(values: dict[str, str]) -> None:
    lines = [format_line(name, value) for name, value in values.items()]
    assert all("\n" not in line and "\r" not in line for line in lines)
    assert parse("\n".join(lines), ".env") == values
    assert parse("\r\n".join(lines), ".env") == values


@given(NAMES, VALUES, VALUES)
def test_a_spelling_can_be_replaced_in_place(name: str, old: str, new: str) -> None:
    text = f"# a\n{format_line(name, old)} # note\n"
    (entry,) = scan(text, ".env")
    start, end = entry.spelled
    assert text[entry.start : entry.end] == f"{format_line(name, old)} # note\n"
    changed = f"{text[:start]}{format_line(name, new).partition('=')[2]}{text[end:]}"
    assert parse(changed, ".env") == {name: new}
    assert changed.endswith(" # note\n")


@given(st.text(alphabet="AB= \"'\\#\n\r\tn$"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        values = parse(text, ".env")
    except ConfigError:
        return
    assert parse("\n".join(format_line(*each) for each in values.items()), ".env") == values


@pytest.mark.parametrize("name", ["", "1A", "A B", "A=B", "Ä", "A\n"])
def test_a_name_that_could_not_be_read_is_not_written(name: str) -> None:
    with pytest.raises(ValueError, match="a name is letters"):
        format_line(name, "x")


def test_nul_is_not_written() -> None:
    with pytest.raises(ValueError, match="NUL") as caught:
        format_line("KEY", "hunter2\0")
    assert "hunter2" not in str(caught.value)
