"""wixhttp.endpoints.static.files: the manifest of what was built, and built files on the wire."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.endpoints.static.files import FilePieces, FileResponse, StaticFiles
from wixhttp.endpoints.static.manifest import Built, Manifest
from wixhttp.errors import HTTPError, ProjectError
from wixhttp.http.encoding import READ_SIZE, Encoded, close_stream, encode
from wixhttp.http.request_head import PlainHead

BUILT_AT = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
DATE, BEFORE, AFTER = (
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 22:13:19 GMT",
    "Tue, 14 Nov 2023 22:13:21 GMT",
)
DATA = b"0123456789"
TAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
LARGE = bytes(range(256)) * 1024  # four times READ_SIZE
NO_RANGE = "1,2 bytes bytes=a-b bytes=5-3 bytes=--1 chars=0-1 bytes=0-1,3-4 bytes=0-1,-1 bytes= bytes=1".split()
FAR = "Tue, 14 Nov 99999999999 22:13:20 GMT"


def build(
    folder: Path,
    path: str = "/data.txt",
    data: bytes = DATA,
    *,
    file: str = "",
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
    at: int = BUILT_AT,
) -> Built:
    """One built file."""
    place = folder / (file or path.strip("/") or "index")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    os.utime(place, (at, at))
    return Built.of(folder, path, place.relative_to(folder).as_posix(), status, headers)


def built_folder(folder: Path, *entries: dict[str, Any]) -> Path:
    """A build folder with a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    Manifest.write(folder, [build(folder, **entry) for entry in entries or ({},)])
    return folder


def ask(files: StaticFiles, path: str = "/data.txt", method: str = "GET", **fields: str) -> Encoded:
    """Ask for a path, and return what goes on the wire; an underscore in a field's name is a hyphen."""
    built = files.find(path)
    assert built is not None
    head = PlainHead(method, path, fields=[(name.replace("_", "-"), value) for name, value in fields.items()])
    return encode(files.answer(built, head), method)


def body(encoded: Encoded) -> bytes:
    return encoded.data if encoded.stream is None else b"".join(encoded.stream)  # type: ignore[arg-type]  # no async one


def field(encoded: Encoded, name: str) -> str | None:
    values = [value for key, value in encoded.fields if key.lower() == name.lower()]
    assert len(values) < 2
    return values[0] if values else None


def names(encoded: Encoded) -> set[str]:
    return {name for name, _ in encoded.fields}


@pytest.fixture
def files(tmp_path: Path) -> StaticFiles:
    return StaticFiles(built_folder(tmp_path / "dist"))


# --- the manifest ----------------------------------------------------------------------------------------------------


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    cookies = (("Set-Cookie", "a=1"), ("X-Name", "é"), ("set-cookie", "b=2"))
    one = build(tmp_path, "/api/café", b"x", headers=cookies, status=201)
    two = build(tmp_path, "/rss.xml", DATA)
    Manifest.write(tmp_path, [two, one])
    assert Manifest.read(tmp_path) == {"/api/café": one, "/rss.xml": two}
    assert (two.etag, two.size, two.modified, one.headers) == (TAG, 10, BUILT_AT, cookies)


def test_a_manifest_is_versioned_json_in_utf8_and_the_same_for_any_order(tmp_path: Path) -> None:
    entries = [build(tmp_path, "/b"), build(tmp_path, "/é"), build(tmp_path, "/a")]
    Manifest.write(tmp_path, entries)
    text = (tmp_path / "manifest.json").read_bytes()
    Manifest.write(tmp_path, reversed(entries))
    assert (tmp_path / "manifest.json").read_bytes() == text
    value = json.loads(text)
    assert value["version"] == 1
    assert list(value["paths"]) == ["/a", "/b", "/é"]
    assert "é".encode() in text


def test_a_path_is_written_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'/a' is there twice"):
        Manifest.write(tmp_path, [build(tmp_path, "/a"), build(tmp_path, "/a")])


@pytest.mark.parametrize(
    ("path", "file", "options", "says"),
    [
        ("data.txt", "data.txt", {}, "begins with '/'"),
        ("/data.txt", "../dist/data.txt", {}, "inside of the build folder"),
        ("/data.txt", "data.txt", {"status": 700}, "200 to 599"),
        ("/data.txt", "data.txt", {"headers": [("X", "a\nb")]}, "control character"),
        ("/data.txt", "data.txt", {"headers": [("X Y", "a")]}, "header's name"),
        ("/manifest.json", "manifest.json", {}, "manifest's own name"),
    ],
)
def test_what_no_manifest_may_hold_is_no_entry(
    tmp_path: Path, path: str, file: str, options: dict[str, Any], says: str
) -> None:
    folder = built_folder(tmp_path / "dist")
    with pytest.raises(ValueError, match=says):
        Built.of(folder, path, file, **options)


def test_without_a_folder_or_a_manifest_there_is_nothing(tmp_path: Path) -> None:
    assert Manifest.read(tmp_path) == Manifest.read(tmp_path / "none") == {}
    assert len(StaticFiles(tmp_path / "none")) == 0
    assert StaticFiles(tmp_path).find("/data.txt") is None


def with_entry(**changes: Any) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        entry = value["paths"]["/data.txt"]
        entry.update(changes)
        return value

    return change


def without(name: str) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        del value["paths"]["/data.txt"][name]
        return value

    return change


WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda value: [], "an object with 'version'"),
    (lambda value: {"paths": {}}, "an object with 'version'"),
    (lambda value: {**value, "version": 2}, "has version 1, not 2"),
    (lambda value: {**value, "version": True}, "has version 1, not True"),
    (lambda value: {"version": 1}, "'paths' is an object"),
    (lambda value: {"version": 1, "paths": []}, "'paths' is an object"),
    (lambda value: {"version": 1, "paths": {"/a": 1}}, "entry of '/a' is an object"),
    (lambda value: {"version": 1, "paths": {"a": value["paths"]["/data.txt"]}}, "begins with '/'"),
    *[(without(name), f"has .*{name}") for name in ("file", "status", "headers", "etag", "size", "mtime_ns")],
    (with_entry(more=1), "has file, status"),
    (with_entry(file=1), "'file' of '/data.txt' is of type str, not 1"),
    (with_entry(status="200"), "'status' of '/data.txt' is of type int"),
    (with_entry(status=True), "'status' of '/data.txt' is of type int"),
    (with_entry(size=1.0), "'size' of '/data.txt' is of type int"),
    (with_entry(headers={}), "'headers' of '/data.txt' is of type list"),
    (with_entry(headers=["ab"]), "holds pairs"),
    (with_entry(headers=[["a"]]), "holds pairs"),
    (with_entry(headers=[["a", 1]]), "holds pairs"),
    (with_entry(headers=[["a", "b\r\nc: d"]]), "control character"),
    (with_entry(headers=[["a:", "b"]]), "header's name"),
    (with_entry(headers=[["a", "\u20ac"]]), "not Latin-1"),
    (with_entry(status=99), "200 to 599"),
    (with_entry(etag="abc"), "'etag' of"),
    (with_entry(etag='W/"' + "0" * 64 + '"'), "'etag' of"),
    (with_entry(size=-1), "not negative"),
    (with_entry(mtime_ns=-1), "not negative"),
    (with_entry(mtime_ns=10**18 * 9, size=2**62), "is not the one that was built"),
    *[
        (with_entry(file=file), "inside of the build folder")
        for file in ("/etc/passwd", "..", "../x", "a/../../x", "a//b", "./a", "", "a\\b", "..\\x", "a\0b", "a/")
    ],
    (with_entry(file="manifest.json"), "manifest's own name"),
    (with_entry(file="gone.txt"), "cannot be read: No such file"),
    (with_entry(file="x" * 300), "cannot be read"),
    (with_entry(file="folder"), "is not the one that was built"),
    (with_entry(file="link.txt"), "symbolic link"),
    (with_entry(file="inner.txt"), "symbolic link"),
    (with_entry(file="away/secret.txt"), "symbolic link"),
    (with_entry(file="loop"), "cannot be read"),
    (with_entry(size=11), "is not the one that was built"),
    (with_entry(etag='"' + "0" * 64 + '"', mtime_ns=1), "is not the one that was built"),
]


@pytest.mark.parametrize(("change", "says"), WRONG)
def test_a_wrong_manifest_names_itself_what_is_wrong_and_the_way_out(
    tmp_path: Path, change: Callable[[Any], Any], says: str
) -> None:
    folder = built_folder(tmp_path / "dist")
    (tmp_path / "secret.txt").write_bytes(DATA)
    (folder / "folder").mkdir()
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "inner.txt").symlink_to("data.txt")
    (folder / "away").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    place = folder / "manifest.json"
    place.write_text(json.dumps(change(json.loads(place.read_bytes()))))
    with pytest.raises(ProjectError, match=says) as caught:
        Manifest.read(folder)
    assert str(caught.value).startswith(f"{place}: ")
    assert str(caught.value).endswith("remove the folder and run 'wixhttp build'")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"version": 1, "paths": {"\\ud800": {}}}', b"[" * 100_000])
def test_a_manifest_that_is_not_json_says_so(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(ProjectError, match=r"manifest\.json: a manifest is JSON.*remove the folder"):
        Manifest.read(tmp_path)


def test_a_manifest_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ProjectError, match=r"manifest\.json: .*[Dd]irectory"):
        Manifest.read(tmp_path)
    with pytest.raises(ProjectError, match="Not a directory"):
        Manifest.read(Path(__file__))


def test_a_copied_folder_is_as_good_as_the_one_that_was_built(tmp_path: Path) -> None:
    built_folder(tmp_path / "dist")
    shutil.copytree(tmp_path / "dist", tmp_path / "copy", copy_function=shutil.copyfile)
    answer = ask(StaticFiles(tmp_path / "copy"))
    assert (body(answer), field(answer, "ETag"), field(answer, "Last-Modified")) == (DATA, TAG, DATE)


def test_a_folder_may_be_reached_by_a_link(tmp_path: Path) -> None:
    built_folder(tmp_path / "release")
    (tmp_path / "current").symlink_to("release")
    assert body(ask(StaticFiles(tmp_path / "current"))) == DATA


# --- the table -------------------------------------------------------------------------------------------------------


def test_a_slash_at_the_end_does_not_count(tmp_path: Path) -> None:
    files = StaticFiles(built_folder(tmp_path, {"path": "/"}, {"path": "/a/"}, {"path": "/b", "file": "bb"}))
    assert [files.find(path) is not None for path in ("/", "/a", "/a/", "/b", "/b/", "/b//", "/c")] == [
        True, True, True, True, True, False, False,
    ]  # fmt: skip


def test_two_paths_that_differ_by_that_slash_are_an_error(tmp_path: Path) -> None:
    built_folder(tmp_path, {"path": "/a", "file": "one"}, {"path": "/a/", "file": "two"})
    with pytest.raises(ProjectError, match=r"'/a/' and '/a' are one path.*run 'wixhttp build' again"):
        StaticFiles(tmp_path)


@pytest.mark.parametrize("prefix", ["/app", "/app/"])
def test_a_prefix_stands_in_front_of_every_path(tmp_path: Path, prefix: str) -> None:
    files = StaticFiles(built_folder(tmp_path, {}, {"path": "/"}), prefix)
    assert files.find("/data.txt") is None
    assert body(ask(files, "/app/data.txt")) == body(ask(files, "/app")) == body(ask(files, "/app/")) == DATA


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/./data.txt", "//data.txt", "/data.txt/..", "/sub/../data.txt", "/..%2Fsecret.txt",
        "/%2e%2e/secret.txt", "/..\\secret.txt", "\\data.txt", "data.txt", "../secret.txt", "/data.txt\0",
        "/etc/passwd",
        "/manifest.json", "/sub", "/DATA.TXT", "/data.txt?", "/%64ata.txt", "", "/", "/~", "file:///etc/passwd",
        "/sub/notes", "C:\\data.txt",
    ],
)  # fmt: skip
def test_what_is_not_a_path_of_the_manifest_is_not_there(tmp_path: Path, path: str) -> None:
    folder = built_folder(tmp_path / "dist", {}, {"path": "/other", "file": "sub/notes"})
    (tmp_path / "secret.txt").write_bytes(b"secret")
    assert StaticFiles(folder).find(path) is None


@given(st.text())
def test_only_keys_are_found(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "keys"
    if not folder.exists():
        built_folder(folder)
    assert (StaticFiles(folder).find(path) is not None) == (path in ("/data.txt", "/data.txt/"))


# --- whole answers ---------------------------------------------------------------------------------------------------


def test_a_built_file_is_sent_with_its_validators(files: StaticFiles) -> None:
    answer = ask(files)
    assert answer.status == 200
    assert sorted(answer.fields) == [
        ("Accept-Ranges", "bytes"),
        ("Content-Length", "10"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("ETag", TAG),
        ("Last-Modified", DATE),
    ]
    assert body(answer) == DATA


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/a.js", "text/javascript; charset=utf-8"), ("/a.mjs", "text/javascript; charset=utf-8"),
        ("/a.json", "application/json"), ("/rss.xml", "application/xml"), ("/a.svg", "image/svg+xml"),
        ("/a.webmanifest", "application/manifest+json"), ("/a.ico", "image/x-icon"), ("/a.wasm", "application/wasm"),
        ("/a.txt", "text/plain; charset=utf-8"), ("/a.csv", "text/csv; charset=utf-8"), ("/a.woff2", "font/woff2"),
        ("/a.html", "text/html; charset=utf-8"), ("/a.webp", "image/webp"), ("/a.avif", "image/avif"),
        ("/a.md", "text/markdown; charset=utf-8"), ("/a.PNG", "image/png"), ("/a.tar.gz", "application/gzip"),
        ("/a.tar", "application/x-tar"), ("/a", "application/octet-stream"), ("/a.unheard", "application/octet-stream"),
        ("/a.txt/b", "application/octet-stream"), ("/.txt", "application/octet-stream"),
        ("/é.css/", "text/css; charset=utf-8"),
    ],
)  # fmt: skip
def test_the_extension_of_the_route_says_the_type(tmp_path: Path, path: str, kind: str) -> None:
    files = StaticFiles(built_folder(tmp_path, {"path": path, "file": "content.bin"}))
    assert field(ask(files, path), "Content-Type") == kind


def test_what_the_handler_set_wins(tmp_path: Path) -> None:
    headers = (
        ("content-type", "text/x-own"), ("etag", 'W/"v1"'), ("last-modified", BEFORE), ("Set-Cookie", "a=1"),
        ("set-cookie", "b=2"), ("Cache-Control", "max-age=60"), ("Content-Length", "3"), ("Content-Range", "x"),
    )  # fmt: skip
    answer = ask(StaticFiles(built_folder(tmp_path, {"headers": headers})))
    assert answer.fields == [
        ("content-type", "text/x-own"), ("etag", 'W/"v1"'), ("last-modified", BEFORE), ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"), ("Cache-Control", "max-age=60"), ("Accept-Ranges", "bytes"), ("Content-Length", "10"),
    ]  # fmt: skip


@pytest.mark.parametrize("data", [b"", b"x", b"x" * READ_SIZE, LARGE])
def test_head_is_answered_as_get_without_the_body(tmp_path: Path, data: bytes) -> None:
    files = StaticFiles(built_folder(tmp_path, {"data": data}))
    get, head = ask(files), ask(files, method="HEAD", range="bytes=0-0")
    assert (get.status, get.fields) == (head.status, head.fields)
    assert (body(get), body(head)) == (data, b"")
    assert field(head, "content-length") == str(len(data))
    if head.stream is not None:
        close_stream(head.stream)


CONDITIONS = {"if_none_match": TAG, "if_modified_since": AFTER, "if_match": '"x"', "range": "bytes=0-1"}


@pytest.mark.parametrize(
    ("status", "data", "headers", "expected"),
    [
        (404, b"<p>", (), [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "3")]),
        (301, b"", (("Location", "/new"),), [("Location", "/new"), ("Content-Length", "0")]),
        (201, b"x", (("Content-Type", "a/b"),), [("Content-Type", "a/b"), ("Content-Length", "1")]),
        (204, b"", (("X", "y"),), [("X", "y")]),
    ],
)
def test_another_status_is_sent_as_it_was_built(
    tmp_path: Path, status: int, data: bytes, headers: tuple[tuple[str, str], ...], expected: list[tuple[str, str]]
) -> None:
    entry = {"path": "/a.html", "data": data, "headers": headers, "status": status}
    answer = ask(StaticFiles(built_folder(tmp_path, entry)), "/a.html", **CONDITIONS)
    assert (answer.status, sorted(answer.fields), body(answer)) == (status, sorted(expected), data)


# --- conditions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"if_none_match": TAG}, 304),
        ({"if_none_match": f"W/{TAG}"}, 304),
        ({"if_none_match": f'"a", W/"b" , {TAG}'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"a"'}, 200),
        ({"if_none_match": '"*"'}, 200),
        ({"if_none_match": ""}, 200),
        ({"if_none_match": '"a"', "if_modified_since": AFTER}, 200),  # the tag alone counts
        ({"if_none_match": TAG, "if_modified_since": BEFORE}, 304),
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": AFTER}, 304),
        ({"if_modified_since": BEFORE}, 200),
        ({"if_modified_since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, 304),
        ({"if_modified_since": "Tue Nov 14 22:13:20 2023"}, 304),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_modified_since": FAR}, 200),
        ({"if_match": TAG}, 200),
        ({"if_match": f'"a", {TAG}'}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": f"W/{TAG}"}, 412),
        ({"if_match": '"a"'}, 412),
        ({"if_match": '"a"', "if_none_match": TAG}, 412),
        ({"if_match": TAG, "if_unmodified_since": BEFORE}, 200),
        ({"if_match": TAG, "if_none_match": TAG}, 304),
        ({"if_unmodified_since": DATE}, 200),
        ({"if_unmodified_since": BEFORE}, 412),
        ({"if_unmodified_since": "never"}, 200),
        ({"if_unmodified_since": FAR}, 200),
        ({"if_unmodified_since": DATE, "if_none_match": TAG}, 304),
        ({"if_none_match": TAG, "range": "bytes=0-1"}, 304),
        ({"if_match": '"a"', "range": "bytes=99-"}, 412),
    ],
)
def test_conditions(files: StaticFiles, method: str, fields: dict[str, str], status: int) -> None:
    if status == 412:
        with pytest.raises(HTTPError) as caught:
            ask(files, method=method, **fields)
        assert caught.value.status == 412
    else:
        assert ask(files, method=method, **fields).status == status


def test_not_modified_repeats_what_a_cache_needs(tmp_path: Path) -> None:
    headers = tuple(
        (name, "x")
        for name in (
            "Cache-Control", "Vary", "Content-Location", "Expires", "Set-Cookie", "Content-Type", "Content-Language",
            "X",
        )
    )  # fmt: skip
    answer = ask(StaticFiles(built_folder(tmp_path, {"headers": headers})), if_none_match="*")
    assert answer.status == 304
    assert names(answer) == {"Cache-Control", "Vary", "Content-Location", "Expires", "ETag", "Last-Modified"}
    assert body(answer) == b""


@pytest.mark.parametrize(
    ("etag", "fields", "status"),
    [
        ('"v1"', {"if_none_match": '"v1"'}, 304),
        ('"v1"', {"if_none_match": TAG}, 200),
        ('"v1"', {"if_match": '"v1"'}, 200),
        ('W/"v1"', {"if_none_match": '"v1"'}, 304),
        ('W/"v1"', {"if_match": 'W/"v1"'}, 412),
        ('W/"v1"', {"if_match": "*"}, 200),
        ('"v1"', {"range": "bytes=0-1", "if_range": '"v1"'}, 206),
        ('W/"v1"', {"range": "bytes=0-1", "if_range": 'W/"v1"'}, 200),
        ("", {"if_modified_since": DATE}, 200),  # the handler's own date is later
        ("", {"if_modified_since": AFTER}, 304),
        ("", {"range": "bytes=0-1", "if_range": AFTER}, 206),
    ],
)
def test_the_handlers_own_validators_are_compared(
    tmp_path: Path, etag: str, fields: dict[str, str], status: int
) -> None:
    headers = (("ETag", etag), ("Last-Modified", AFTER)) if etag else (("Last-Modified", AFTER),)
    files = StaticFiles(built_folder(tmp_path, {"headers": headers}))
    if status == 412:
        with pytest.raises(HTTPError, match="If-Match"):
            ask(files, **fields)
    else:
        assert ask(files, **fields).status == status


@given(st.text(max_size=60), st.sampled_from("if-match if-none-match if-modified-since if-unmodified-since".split()))
def test_no_condition_breaks_it(tmp_path_factory: pytest.TempPathFactory, value: str, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "conditions"
    files = StaticFiles(folder if folder.exists() else built_folder(folder))
    try:
        status = ask(files, **{name: value}).status
    except HTTPError as error:
        status = error.status
    assert status in (200, 304, 412)


# --- ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "sent", "says"),
    [
        ("bytes=0-0", b"0", "0-0"),
        ("bytes=2-4", b"234", "2-4"),
        ("bytes=2-", DATA[2:], "2-9"),
        ("bytes=-3", b"789", "7-9"),
        ("bytes=-10", DATA, "0-9"),
        ("bytes=-99", DATA, "0-9"),
        ("bytes=0-99", DATA, "0-9"),
        ("bytes=9-9", b"9", "9-9"),
        ("BYTES = 1-2", b"12", "1-2"),
    ],
)
def test_one_range_is_a_part(files: StaticFiles, asked: str, sent: bytes, says: str) -> None:
    answer = ask(files, range=asked)
    assert (answer.status, body(answer)) == (206, sent)
    assert field(answer, "Content-Range") == f"bytes {says}/10"
    assert field(answer, "Content-Length") == str(len(sent))
    assert (field(answer, "ETag"), field(answer, "Last-Modified")) == (TAG, DATE)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=99-", "bytes=" + "9" * 4000 + "-"])
def test_a_range_behind_the_end_is_refused(files: StaticFiles, asked: str) -> None:
    with pytest.raises(HTTPError) as caught:
        ask(files, range=asked)
    assert (caught.value.status, caught.value.headers) == (416, {"Content-Range": "bytes */10"})


@pytest.mark.parametrize("asked", [*NO_RANGE, "", "bytes=" + "9" * 9000 + "-"])
def test_several_ranges_or_none_are_the_whole(files: StaticFiles, asked: str) -> None:
    answer = ask(files, range=asked)
    assert (answer.status, body(answer), field(answer, "Content-Range")) == (200, DATA, None)


def test_an_empty_file_has_no_ranges(tmp_path: Path) -> None:
    answer = ask(StaticFiles(built_folder(tmp_path, {"data": b""})), range="bytes=0-")
    assert (answer.status, field(answer, "Content-Length")) == (200, "0")


@pytest.mark.parametrize(
    ("value", "status"),
    [(TAG, 206), (f"W/{TAG}", 200), ('"a"', 200), (DATE, 206), (BEFORE, 200), (AFTER, 200), ("x", 200), (FAR, 200)],
)
def test_if_range(files: StaticFiles, value: str, status: int) -> None:
    answer = ask(files, range="bytes=1-2", if_range=value)
    assert (answer.status, body(answer)) == (status, DATA[1:3] if status == 206 else DATA)


def test_if_range_that_does_not_hold_asks_for_the_whole_even_of_a_range_behind_the_end(files: StaticFiles) -> None:
    assert ask(files, range="bytes=99-", if_range='"a"').status == 200


@st.composite
def a_range(draw: st.DrawFn) -> tuple[int, str, int, int]:
    """A size, a range that it has, and the offsets of that range."""
    size = draw(st.integers(1, 3 * READ_SIZE) | st.sampled_from([READ_SIZE, READ_SIZE + 1, 2 * READ_SIZE]))
    start = draw(st.integers(0, size - 1))
    kind = draw(st.sampled_from(["both", "open", "last"]))
    if kind == "open":
        return size, f"bytes={start}-", start, size
    if kind == "last":
        count = draw(st.integers(1, 2 * size))
        return size, f"bytes=-{count}", max(0, size - count), size
    last = draw(st.integers(start, 2 * size))
    return size, f"bytes={start}-{last}", start, min(last + 1, size)


@given(a_range())
def test_a_range_is_a_slice(tmp_path_factory: pytest.TempPathFactory, case: tuple[int, str, int, int]) -> None:
    size, asked, start, stop = case
    data = LARGE[:size]
    files = StaticFiles(built_folder(tmp_path_factory.getbasetemp() / "ranges", {"data": data}))
    answer = ask(files, range=asked)
    assert (answer.status, body(answer)) == (206, data[start:stop])
    assert field(answer, "Content-Range") == f"bytes {start}-{stop - 1}/{size}"
    assert field(answer, "Content-Length") == str(stop - start)


# --- streams ---------------------------------------------------------------------------------------------------------


def pieces(files: StaticFiles, path: str = "/data.txt", **fields: str) -> FilePieces:
    stream = ask(files, path, **fields).stream
    assert isinstance(stream, FilePieces)
    return stream


def test_a_large_file_comes_in_pieces_and_is_closed_at_its_end(tmp_path: Path) -> None:
    stream = pieces(StaticFiles(built_folder(tmp_path, {"data": LARGE})), range="bytes=10-200000")
    parts = list(stream)
    assert [len(part) for part in parts] == [READ_SIZE, READ_SIZE, READ_SIZE, 199_991 - 3 * READ_SIZE]
    assert b"".join(parts) == LARGE[10:200_001]
    assert stream.file.closed
    assert list(stream) == []


def test_a_client_that_leaves_closes_the_file(tmp_path: Path) -> None:
    stream = pieces(StaticFiles(built_folder(tmp_path, {"data": LARGE})))
    next(stream)
    close_stream(stream)
    assert stream.file.closed
    assert list(stream) == []


def test_up_to_one_piece_is_sent_at_once(tmp_path: Path) -> None:
    files = StaticFiles(built_folder(tmp_path, {"data": LARGE[:READ_SIZE]}, {"path": "/b", "data": LARGE}))
    assert ask(files).stream is None
    assert ask(files, "/b", range=f"bytes=1-{READ_SIZE}").data == LARGE[1 : READ_SIZE + 1]
    assert b"".join(pieces(files, "/b")) == LARGE


def test_a_file_that_shrinks_while_it_is_sent_breaks_off(tmp_path: Path) -> None:
    folder = built_folder(tmp_path, {"data": LARGE})
    stream = pieces(StaticFiles(folder))
    next(stream)
    os.truncate(folder / "data.txt", READ_SIZE)
    with pytest.raises(OSError, match="became shorter"):
        next(stream)
    assert stream.file.closed


def test_the_response_knows_its_length_and_never_guesses_a_type(tmp_path: Path) -> None:
    files = StaticFiles(built_folder(tmp_path, {"data": LARGE}))
    built = files.find("/data.txt")
    assert built is not None
    response = files.answer(built, PlainHead("GET", "/data.txt"))
    assert isinstance(response, FileResponse)
    assert (response.length, FileResponse.implied_type) == (len(LARGE), "")
    close_stream(response.body)


# --- a build under a running server ----------------------------------------------------------------------------------


def swap(folder: Path, *entries: dict[str, Any], at: int = BUILT_AT + 60) -> None:
    """Build anew beside a folder, and take its place, as `wixhttp build` does."""
    fresh = built_folder(folder.with_name("fresh"), *({"at": at, **entry} for entry in entries))
    folder.rename(folder.with_name("old"))
    fresh.rename(folder)
    shutil.rmtree(folder.with_name("old"))


@pytest.fixture
def served(tmp_path: Path) -> tuple[Path, StaticFiles]:
    folder = built_folder(tmp_path / "dist")
    files = StaticFiles(folder)
    assert body(ask(files)) == DATA
    return folder, files


Served = tuple[Path, StaticFiles]


def gone(files: StaticFiles, path: str = "/data.txt") -> None:
    with pytest.raises(HTTPError) as caught:
        ask(files, path)
    assert caught.value.status == 404
    assert "run 'wixhttp build' again" in caught.value.reason
    assert "data" not in caught.value.detail


@pytest.mark.parametrize("data", [b"abcdefghij", b"another size", LARGE])
@pytest.mark.parametrize("at", [BUILT_AT, BUILT_AT + 60])
def test_a_swapped_file_is_sent_under_its_own_tag(served: Served, data: bytes, at: int) -> None:
    folder, files = served
    swap(folder, {"data": data, "headers": (("X", "new"),)}, at=at)  # of the same size and time, too
    answer = ask(files, if_none_match=TAG)
    assert (answer.status, field(answer, "X"), body(answer)) == (200, "new", data)
    assert field(answer, "ETag") == f'"{hashlib.sha256(data).hexdigest()}"'


def test_a_swap_brings_new_paths_and_takes_old_ones(served: Served) -> None:
    folder, files = served
    swap(folder, {"path": "/new.txt"})
    gone(files)
    assert files.find("/data.txt") is None
    assert body(ask(files, "/new.txt")) == DATA


def test_a_path_may_move_to_another_file(served: Served) -> None:
    folder, files = served
    swap(folder, {"file": "elsewhere", "data": b"moved"})
    assert body(ask(files)) == b"moved"


def test_a_folder_that_is_gone_is_not_forgotten(served: Served) -> None:
    folder, files = served
    folder.rename(folder.with_name("aside"))
    gone(files)
    gone(files)
    folder.with_name("aside").rename(folder)
    assert body(ask(files)) == DATA


def test_a_file_changed_in_place_is_not_sent_until_it_is_built(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    folder, files = served
    (folder / "data.txt").write_bytes(b"abcdefghij")
    gone(files)
    gone(files)
    assert [record.levelname for record in caplog.records] == ["ERROR"]  # the second look was saved
    assert "'data.txt', is not the one that was built" in caplog.text
    Manifest.write(folder, [Built.of(folder, "/data.txt", "data.txt")])
    assert body(ask(files)) == b"abcdefghij"


def test_a_file_that_was_only_touched_is_sent_as_before(served: Served) -> None:
    folder, files = served
    (folder / "data.txt").touch()
    answer = ask(files)
    assert (body(answer), field(answer, "ETag"), field(answer, "Last-Modified")) == (DATA, TAG, DATE)


def test_a_file_that_became_something_else_is_gone(served: Served, tmp_path: Path) -> None:
    folder, files = served
    place = folder / "data.txt"
    (tmp_path / "secret").write_bytes(DATA)
    place.unlink()
    gone(files)
    place.symlink_to(tmp_path / "secret")
    gone(files)
    place.unlink()
    place.mkdir()
    gone(files)
    place.rmdir()
    os.mkfifo(place)
    gone(files)


def test_an_entry_found_before_a_swap_is_answered_after_it(served: Served) -> None:
    folder, files = served
    before = files.find("/data.txt")
    assert before is not None
    swap(folder, {"data": b"new"})
    for _ in range(2):  # the second finds that the manifest was already read again
        assert encode(files.answer(before, PlainHead("GET", "/data.txt")), "GET").data == b"new"


def test_a_prefix_stays_after_a_swap(tmp_path: Path) -> None:
    folder = built_folder(tmp_path / "dist")
    files = StaticFiles(folder, "/app")
    swap(folder, {"data": b"new"})
    assert body(ask(files, "/app/data.txt")) == b"new"


def test_threads_share_it_while_builds_are_swapped(tmp_path: Path) -> None:
    folder = built_folder(tmp_path / "dist", {"data": b"00000000"})
    files, stop, seen, wrong = StaticFiles(folder), threading.Event(), set[bytes](), list[object]()

    def read() -> None:
        while not stop.is_set():
            try:
                answer = ask(files)
            except HTTPError as error:  # between the two renames there is no folder
                if error.status != 404:
                    wrong.append(error)
                continue
            except Exception as error:  # noqa: BLE001  # told to the test
                wrong.append(error)
                return
            seen.add(answer.data)
            if field(answer, "ETag") != f'"{hashlib.sha256(answer.data).hexdigest()}"':
                wrong.append(answer.fields)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(30):
        swap(folder, {"data": f"{number:08}".encode()}, at=BUILT_AT)
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert body(ask(files)) == b"00000029"
    assert seen
