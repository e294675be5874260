"""wixhttp.project.dotenv: the syntax of .env files."""

from __future__ import annotations

import io
import re

import dotenv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.errors import ConfigError
from wixhttp.project.dotenv import format_line, parse, scan

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
NAMES = st.from_regex(NAME, fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


READ: list[tuple[str, dict[str, str]]] = [
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
        (r'KEY="a\n\r\t\"\\ # b"', {"KEY": 'a\n\r\t"\\ # b'}),
        (r'KEY="^\d+$"', {"KEY": r"^\d+$"}),
        (r"KEY=^\d+$", {"KEY": r"^\d+$"}),
        (r"KEY='it\'s'", {"KEY": "it's"}),
        ('KEY="a"# note', {"KEY": "a"}),
        ("KEY=1\n# note\nKEY=2", {"KEY": "2"}),
        ("KEY=1\nKEY", {"KEY": "1"}),
        ("BARE\nexport BARE2\nKEY=1", {"KEY": "1"}),
        ("1KEY=a", {"1KEY": "a"}),
        ("'my key'=a", {"my key": "a"}),
        ("A=1\nB=${A}-${C:-c}-${D}-$A", {"A": "1", "B": "1-c--$A"}),
        ("A=${B}\nB=1", {"A": "", "B": "1"}),
        ("A='${X:-1}'", {"A": "1"}),
        ("A=" + " " * 900 + "x", {"A": "x"}),
        ("A='" + " " * 2000 + "'", {"A": " " * 2000}),
        ('KEY="one\ntwo"\nB=2', {"KEY": "one\ntwo", "B": "2"}),
        ('KEY="one\r\ntwo"\r\nB=2', {"KEY": "one\ntwo", "B": "2"}),
        ("KEY='one\ntwo'", {"KEY": "one\ntwo"}),
        ('KEY=""', {"KEY": ""}),
        ("a.b-c_1=x", {"a.b-c_1": "x"}),
        ("KEY=a\x0bb\u2028c", {"KEY": "a\x0bb\u2028c"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), READ)
def test_reads(text: str, expected: dict[str, str]) -> None:
    assert parse(text, ".env") == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\n\nB hunter2=2", 3),
        ("A=1\r\n\r\n\r\nB hunter2=2\r\n", 4),
        ("KEY: hunter2", 1),
        ("two hunter2", 1),
        ("A=1\nB=hunter2" + " " * 2000 + "x", 2),
        ("=hunter2", 1),
        ("A='x\ny'\nKEY='hunter2", 3),
        ('KEY="hunter2', 1),
        ('KEY="hunter2\\"', 1),
        ('KEY="hunter2"x', 1),
        ("KEY='hunter2'x", 1),
    ],
)
def test_refuses_with_the_line_and_without_the_value(text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "conf/.env")
    assert str(caught.value).startswith(f"conf/.env:{line}: ")
    assert "hunter2" not in str(caught.value)


def test_python_dotenv_reads_the_same() -> None:
    text = "".join(line + "\n" for line, _ in READ)
    theirs = dotenv.dotenv_values(stream=io.StringIO(text.replace("\r\n", "\n")))
    assert parse(text, ".env") == {name: value for name, value in theirs.items() if value is not None}


def test_the_environment_goes_before_the_file_in_a_variable() -> None:
    assert parse("A=1\nB=${A}${C}", ".env", {"A": "2", "C": "3"}) == {"A": "1", "B": "23"}


@given(st.text("${}:-A\\\"'\n #=", max_size=12))
def test_what_is_written_is_no_variable(value: str) -> None:
    assert parse(f"A=x\n{format_line('KEY', value)}", ".env", {"A": "y", "B": "z"})["KEY"] == value


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
    named = {name: value for name, value in values.items() if NAME.fullmatch(name)}
    assert parse("\n".join(format_line(*each) for each in named.items()), ".env") == named


@pytest.mark.parametrize("name", ["", "1A", "A B", "A=B", "Ä", "A\n"])
def test_a_name_that_could_not_be_read_is_not_written(name: str) -> None:
    with pytest.raises(ValueError, match="a name is letters"):
        format_line(name, "x")


def test_nul_is_not_written() -> None:
    with pytest.raises(ValueError, match="NUL") as caught:
        format_line("KEY", "hunter2\0")
    assert "hunter2" not in str(caught.value)
