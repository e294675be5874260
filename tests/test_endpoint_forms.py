"""wixhttp.http.forms: fields and files as they were sent, and bodies that are none."""

from __future__ import annotations

import errno
import gc
import io
import json
import os
import shutil
import subprocess
import tempfile
import tracemalloc
from typing import Any, BinaryIO, cast
from urllib.parse import urlencode

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wixhttp.errors import HTTPError, InvalidForm
from wixhttp.http.forms import FormData, FormFile, _last_component, parse_form
from wixhttp.http.url import query_pairs

URLENCODED = "application/x-www-form-urlencoded"
NODE = shutil.which("node")
MULTIPART = "multipart/form-data; boundary=xBx"

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = st.text("abcü 0-_", max_size=5)
# Pieces of boundaries and line ends, so that contents look like what is around them.
CONTENTS = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--xB", b"--xBx", b"x", b"\0\xff", b"abc"]), max_size=12).map(
    b"".join
).filter(lambda data: not any(end + b"--xBx" in b"\r\n" + data for end in (b"\r", b"\n")))  # fmt: skip

Part = tuple[str, "str | None", "str | None", bytes]


def multipart(parts: list[Part], boundary: bytes = b"xBx") -> bytes:
    body = b""
    for name, filename, kind, data in parts:
        body += b"--" + boundary + f'\r\nContent-Disposition: form-data; name="{name}"'.encode()
        body += b"" if filename is None else f'; filename="{filename}"'.encode()
        body += b"" if kind is None else f"\r\nContent-Type: {kind}".encode()
        body += b"\r\n\r\n" + data + b"\r\n"
    return body + b"--" + boundary + b"--\r\n"


def content(value: Any) -> Any:
    return (value.name, value.type, value.size, value.bytes()) if isinstance(value, FormFile) else value


class Pieces:
    """A source that gives few bytes at once, whatever is asked for."""

    def __init__(self, data: bytes, size: int) -> None:
        self.file = io.BytesIO(data)
        self.size = size

    def read(self, size: int = -1) -> bytes:
        return self.file.read(self.size if size < 0 else min(size, self.size))


def parse(data: bytes, content_type: str = MULTIPART) -> list[tuple[str, Any]]:
    return [(name, content(value)) for name, value in parse_form(data, content_type)]


# --- urlencoded ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        (b"", URLENCODED, []),
        (b"a=1&b=2&a=3", URLENCODED, [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"a&=&b=+%2B", URLENCODED.upper() + "; charset=UTF-8", [("a", ""), ("", ""), ("b", " +")]),
        ("ü=ä".encode(), URLENCODED, [("ü", "ä")]),
        (b"a=%FC\xfc", URLENCODED + "; charset=latin-1", [("a", "üü")]),
        (b"a=%FC%", URLENCODED, [("a", "\ufffd%")]),
        (b"&&&", URLENCODED, []),
    ],
)
def test_urlencoded(data: bytes, content_type: str, expected: list[tuple[str, str]]) -> None:
    assert parse(data, content_type) == parse_pieces(data, content_type) == expected


def parse_pieces(data: bytes, content_type: str) -> list[tuple[str, Any]]:
    return list(parse_form(cast(BinaryIO, io.BytesIO(data)), content_type))


@given(st.lists(st.tuples(TEXT, TEXT)))
def test_urlencoded_survives(pairs: list[tuple[str, str]]) -> None:
    assert parse(urlencode(pairs).encode(), URLENCODED) == pairs


@given(st.text("a=&+%é2Cü"))
def test_a_form_is_read_by_the_rules_of_a_query(text: str) -> None:
    assert parse(text.encode(), URLENCODED) == query_pairs(text)


# --- multipart -------------------------------------------------------------------------------------------------------


def test_order_and_duplicates_over_fields_and_files() -> None:
    body = multipart(
        [
            ("a", None, None, b"1"),
            ("f", "x.txt", "text/plain", b"one"),
            ("a", None, "text/plain; charset=latin-1", b"\xfc"),
            ("f", "ü.bin", None, b""),
            ("f", "", "application/octet-stream", b""),
        ]
    )
    form = parse_form(b"preamble\r\n" + body + b"what is behind the end", MULTIPART)
    assert [(name, content(value)) for name, value in form] == [
        ("a", "1"),
        ("f", ("x.txt", "text/plain", 3, b"one")),
        ("a", "ü"),
        ("f", ("ü.bin", "application/octet-stream", 0, b"")),
        ("f", ("", "application/octet-stream", 0, b"")),
    ]
    assert form.getAll("a") == ["1", "ü"]
    file = form["f"]
    assert (file.text(), b"".join(file.stream()), file.bytes(), file.arrayBuffer()) == ("one", b"one", b"one", b"one")
    assert repr(file) == "<FormFile 'x.txt' text/plain 3 bytes>"
    assert parse(b"--xBx--") == []


@given(st.lists(st.tuples(NAMES, st.none() | NAMES, st.none() | st.just("text/css"), CONTENTS), max_size=5), st.data())
@settings(max_examples=200)
def test_multipart_survives_in_pieces_of_any_size(parts: list[Part], data: st.DataObject) -> None:
    body = multipart(parts)
    expected = [
        (name, data.decode("utf-8", "replace"))
        if filename is None
        else (name, (filename.strip(" "), kind or "application/octet-stream", len(data), data))
        for name, filename, kind, data in parts
    ]
    assert parse(body) == expected
    pieces = cast(BinaryIO, Pieces(body, data.draw(st.integers(1, 40))))
    assert [(name, content(value)) for name, value in parse_form(pieces, MULTIPART)] == expected


def test_a_boundary_may_be_cut_anywhere() -> None:
    body = multipart([("f", "a", None, b"abc"), ("f", "b", None, b"def")])
    for size in range(1, len(body)):
        form = parse_form(cast(BinaryIO, Pieces(body, size)), MULTIPART)
        assert [file.bytes() for file in form.getAll("f")] == [b"abc", b"def"], size


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("a.txt", "a.txt"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\me\\new.txt", "new.txt"),
        ("\\\\server\\a\\new.txt", "new.txt"),
        ("a%5Cb.txt", "a%5Cb.txt"),
        ("../../x", "x"),
        ("..", ""),
        ("a/..", ""),
        (".", ""),
        (" . ", ""),
        ("a/", ""),
        (".\0.", ""),
        ("a\0b\x1b\x7f\x85.txt", "ab.txt"),
        (".htaccess", ".htaccess"),
    ],
)
def test_the_name_of_a_file_has_no_folders(sent: str, name: str) -> None:
    ((_, file),) = parse_form(multipart([("f", sent, None, b"")]), MULTIPART)
    assert file.name == name


def disposition(header: bytes) -> bytes:
    return b"--xBx\r\nContent-Disposition: " + header + b"\r\n\r\nv\r\n--xBx--\r\n"


# Each header, the name and the file name in it. The first group browsers send, and Fetch reads.
BROWSERS: list[tuple[bytes, str, str | None]] = [
    (b'form-data; name="a%22b"; filename="c%22d.txt"', 'a"b', 'c"d.txt'),
    (b'form-data; name="a%0D%0Ab"', "a\r\nb", None),
    (b'form-data; name="%41 100% %"', "%41 100% %", None),
    (b'form-data; name="test\\"', "test\\", None),
    (b'form-data; name="test\\"; filename="x.txt"', "test\\", "x.txt"),
    (b'form-data; name="a\\b\\\\c"', "a\\b\\\\c", None),
    (b'form-data; name="f"; filename="dir\\"', "f", ""),
    (b'form-data; name="a; filename=x"', "a; filename=x", None),
    (b"form-data; name=\"a; filename*=utf-8''x\"", "a; filename*=utf-8''x", None),
    (b'form-data; name="f"; filename="a;b=c.txt"', "f", "a;b=c.txt"),
    (b'form-data; name="f"; filename="a; filename*=utf-8\'\'x"', "f", "a; filename*=utf-8''x"),
    ('form-data; name="ü"; filename="ß漢😀.txt"'.encode(), "ü", "ß漢😀.txt"),
    ('form-data; name="ü"; filename="ü.txt"'.encode("latin-1"), "\ufffd", "\ufffd.txt"),
    (b'form-data; name=""; filename=""', "", ""),
    (b'form-data; name="it\'s"', "it's", None),
]
OTHERS: list[tuple[bytes, str, str | None]] = [
    (b'form-data; name="a\\"b"', 'a"b', None),  # curl before 7.81
    (b"form-data; name=\"f\"; filename*=utf-8''%C3%BC%2Fd.txt", "f", "d.txt"),  # requests with urllib3 before 1.25
    (b"form-data; name=\"f\"; filename*=ISO-8859-1'de'%FC.txt", "f", "ü.txt"),
    (b"form-data; name=f; filename=x.bin; filename*=utf-8''%E2%82%AC.bin", "f", "€.bin"),  # .NET
    (b'form-data; filename="C:\\new.txt"; name="f"', "f", "new.txt"),
    (b'form-data;name="f";filename="a.b"', "f", "a.b"),
    (b'FORM-DATA; NAME="f"; FileName="a.b"', "f", "a.b"),
]


@pytest.mark.parametrize(("header", "name", "file_name"), BROWSERS + OTHERS)
def test_names_are_read_as_browsers_and_others_write_them(header: bytes, name: str, file_name: str | None) -> None:
    ((found, value),) = parse_form(disposition(header), MULTIPART)
    assert (found, value.name if isinstance(value, FormFile) else None) == (name, file_name)
    assert (value.text() if isinstance(value, FormFile) else value) == "v"


@pytest.mark.skipif(not NODE and not os.environ.get("CI"), reason="there is no node on this machine")
def test_fetch_reads_the_names_of_browsers_alike() -> None:
    program = """
        const bodies = JSON.parse(require("fs").readFileSync(0));
        const headers = {"content-type": "multipart/form-data; boundary=xBx"};
        const read = async (body) => [...await new Response(Buffer.from(body, "latin1"), {headers}).formData()]
            .map(([name, value]) => [name, value.name ?? null])[0];
        Promise.all(bodies.map(read)).then((found) => console.log(JSON.stringify(found)));
    """
    sent = json.dumps([disposition(header).decode("latin-1") for header, _, _ in BROWSERS])
    done = subprocess.run([NODE or "node", "-e", program], input=sent, capture_output=True, text=True, check=True)
    for (name, file_name), (_, ours, our_file) in zip(json.loads(done.stdout), BROWSERS, strict=True):
        assert (name, None if file_name is None else _last_component(file_name)) == (ours, our_file)


NAME = 'a"b\\c\r\nü;%'


def test_what_programs_send_is_read_as_they_meant_it() -> None:
    request = requests.Request("POST", "http://x/", data={NAME: NAME}, files={"f": ('ü;".txt', b"x", "a/b")}).prepare()
    assert parse(request.body, request.headers["Content-Type"]) == [  # type: ignore[arg-type]  # bytes
        (NAME, NAME), ("f", ("ü;\".txt", "a/b", 1, b"x")),
    ]  # fmt: skip


@pytest.mark.parametrize("boundary", ['"x Bx"', "xBx; charset=utf-8", '"--x(:)?Bx"', "'xBx'"])
def test_a_boundary_may_be_quoted(boundary: str) -> None:
    plain = boundary.partition(";")[0].strip('"').encode()
    assert parse(multipart([("a", None, None, b"1")], plain), f"multipart/form-data; boundary={boundary}") == [
        ("a", "1")
    ]


def test_a_form_may_say_its_encoding() -> None:
    fields: list[tuple[str, bytes]] = [("a", b"\xfc"), ("_charset_", b"iso-8859-1"), ("b", b"\xfc\x80")]
    body = multipart([(name, None, None, value) for name, value in fields])
    body = body.replace(b'name="b"', b'name="\xfc"')
    assert parse(body) == [("a", "\ufffd"), ("_charset_", "iso-8859-1"), ("ü", "ü€")]
    assert parse(multipart([("_charset_", None, None, b"rot13;"), ("a", None, None, "ü".encode())]))[1] == ("a", "ü")


@given(st.text(st.characters(codec="utf-8", exclude_characters='"\r\n')))
def test_no_name_of_a_file_leads_anywhere(sent: str) -> None:
    ((_, file),) = parse_form(multipart([("f", sent, None, b"")]), MULTIPART)
    assert not set(file.name) & {"/", "\\", *map(chr, range(32)), *map(chr, range(127, 160))}
    assert file.name not in (".", "..")


# --- what is no form -------------------------------------------------------------------------------------------------

PART = b'--xBx\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("data", "content_type", "status", "detail"),
    [
        (b"x", None, 400, "A form is sent as"),
        (b"x", "", 400, "A form is sent as"),
        (b"x", "text/plain", 400, "A form is sent as"),
        (b"x", ";;;", 400, "A form is sent as"),
        (b"x", "multipart/mixed; boundary=x", 400, "A form is sent as"),
        (b"x", "multipart/form-data", 400, "no boundary"),
        (b"x", 'multipart/form-data; boundary=""', 400, "boundary"),
        (b"x", "multipart/form-data; boundary=" + "x" * 300, 400, "boundary of the form is none"),
        (b"x", 'multipart/form-data; boundary="ü"', 400, "boundary of the form is none"),
        (b"x", 'multipart/form-data; boundary="a "', 400, "boundary of the form is none"),
        (b"", MULTIPART, 400, "cut"),
        (b"no boundary", MULTIPART, 400, "cut"),
        (PART + b"text", MULTIPART, 400, "cut"),
        (PART + b"text\r\n--xBx-", MULTIPART, 400, "cut"),
        (PART[:20], MULTIPART, 400, "cut"),
        (b"--xBx\r\nContent-Disposition: form-data\r\n\r\n\r\n--xBx--", MULTIPART, 400, "no name"),
        (
            b"--xBx\r\nContent-Type: text/plain\r\n\r\n\r\n--xBx--",
            MULTIPART,
            400,
            "malformed (RFC 7578): Missing Content-Disp",
        ),
        (b"--xBx\r\nX: \xff\r\n\r\n\r\n--xBx--", MULTIPART, 400, "malformed (RFC 7578): Missing Content-Disp"),
        (PART.replace(b"\r\n", b"\n") + b"x\n--xBx--", MULTIPART, 400, "Invalid line break after first boundary"),
        (PART.replace(b'; name="a"', b'; x="name"') + b"x\r\n--xBx--", MULTIPART, 400, "no name"),
        (multipart([("a", None, None, b"")] * 1001), MULTIPART, 413, "1000"),
        (multipart([("a", "x", None, b"")] * 1001), MULTIPART, 413, "1000"),
        (multipart([("a", None, None, b"x" * 600_000)] * 2), MULTIPART, 413, "1048576 bytes of text"),
        (multipart([("a" * 8_000, "x", None, b"")] * 140), MULTIPART, 413, "1048576 bytes of text"),
        (b"--xBx\r\nX: " + b"x" * 500_000, MULTIPART, 413, "8192 bytes in one"),
        (b"--xBx\r\n" + b"X: y\r\n" * 9, MULTIPART, 413, "more than 8 headers"),
        (b"x" * 500_000, MULTIPART, 400, "cut"),
        (b"a=" + b"x" * 1_048_575, URLENCODED, 413, "1048576 bytes of text"),
        (b"a&" * 1001, URLENCODED, 413, "1000"),
    ],
)
def test_what_is_no_form(data: bytes, content_type: str, status: int, detail: str) -> None:
    with pytest.raises(InvalidForm) as caught:
        parse_form(data, content_type)
    assert (caught.value.status, detail in caught.value.detail) == (status, True), caught.value.detail


def test_forms_up_to_the_limits() -> None:
    assert len(parse_form(multipart([("a", "x", None, b"")] * 1000), MULTIPART)) == 1000
    assert len(parse_form(b"a&" * 1000, URLENCODED)) == 1000
    assert len(parse_form(multipart([("a", None, None, b"x" * 1_048_575)]), MULTIPART)["a"]) == 1_048_575
    assert parse_form(multipart([("f", "x", None, b"x" * 2_000_000)]), MULTIPART)["f"].size == 2_000_000


WORDS = [
    b"--xBx", b"--xBx--", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"--", b"Content-Disposition:", b" form-data;",
    b' name="a"', b' filename="b"', b" filename*=utf-16''%FF", b" name*0=a;", b"Content-Type: text/plain; charset=x",
    b"x", b"\0", b"\xff", b"\t",
]  # fmt: skip


@given(st.binary() | st.lists(st.sampled_from(WORDS), max_size=40).map(b"".join), st.integers(1, 100))
@example(b"--xBx\r\n\r\n\r\n--xBx--", 1)
@settings(max_examples=500)
def test_any_body_is_a_form_or_a_client_error(data: bytes, size: int) -> None:
    for source in (data, cast(BinaryIO, Pieces(data, size))):
        try:
            form = parse_form(source, MULTIPART)
        except InvalidForm:
            continue
        assert isinstance(form, FormData)


@given(st.text())
def test_any_content_type_is_a_form_or_a_client_error(text: str) -> None:
    for content_type in (text, "multipart/form-data; " + text, "multipart/form-data; boundary=" + text):
        with pytest.raises(InvalidForm):
            parse_form(b"\xff", content_type)


# --- size ------------------------------------------------------------------------------------------------------------


def test_a_large_upload_stays_on_disk() -> None:
    head = b'--xBx\r\nContent-Disposition: form-data; name="f"; filename="big"\r\n\r\n'
    with tempfile.TemporaryFile() as file:
        file.write(head)
        for _ in range(100):
            file.write(b"\r\n-" * 349_525 + b"x")
        file.write(b"\r\n--xBx--\r\n")
        file.seek(0)
        tracemalloc.start()
        try:
            form = parse_form(cast(BinaryIO, file), MULTIPART)
            size = sum(map(len, form["f"].stream()))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert size == form["f"].size == 100 * 1_048_576
    assert peak < 4_000_000


def test_files_live_as_long_as_one_of_them() -> None:
    big = b"x" * 2_000_000
    form = parse_form(multipart([("f", "a", None, big), ("g", "b", None, b"y")]), MULTIPART)
    first, second = form["f"], form["g"]
    shared = first._file.file
    del form, first
    gc.collect()
    assert second.bytes() == b"y"
    del second
    gc.collect()
    assert shared.closed


class FullDisk:
    def __init__(self, size: int) -> None: ...

    def write(self, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None: ...


def test_a_full_disk_is_507(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", FullDisk)
    with pytest.raises(HTTPError) as caught:
        parse_form(multipart([("f", "a", None, b"x")]), MULTIPART)
    assert caught.value.status == 507


def test_form_data() -> None:
    form = FormData([("a", "1"), ("b", "2"), ("a", "3")])
    assert (form.get("a"), form.get("x"), form.get("x", "d"), form["b"], form["x"]) == ("1", None, "d", "2", None)
    assert (form.has("a"), "x" in form, 5 in form, len(form)) == (True, False, False, 3)
    assert (list(form.keys()), list(form.values())) == (["a", "b", "a"], ["1", "2", "3"])
    assert list(form) == list(form.entries()) == [("a", "1"), ("b", "2"), ("a", "3")]
    assert repr(form) == "FormData([('a', '1'), ('b', '2'), ('a', '3')])"
