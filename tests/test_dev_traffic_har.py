"""HTTP archives: complete by the specification when written, tolerated as browsers write them, refused with a place."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.test_dev_traffic import make
from wixhttp.dev.traffic.har import InvalidArchive, as_archive, read_archive
from wixhttp.dev.traffic.kept_requests import KeptRequest, LogLine
from wixhttp.secrets import SecretStore, override

# The required members of each object (HAR 1.2, 12 March 2012), and the types of their values.
REQUIRED: dict[str, dict[str, Any]] = {
    "log": {"version": str, "creator": dict, "entries": list},
    "creator": {"name": str, "version": str},
    "entry": {
        "startedDateTime": str, "time": (int, float), "request": dict, "response": dict, "cache": dict, "timings": dict,
    },
    "request": {
        "method": str, "url": str, "httpVersion": str, "cookies": list, "headers": list, "queryString": list,
        "headersSize": int, "bodySize": int,
    },
    "response": {
        "status": int, "statusText": str, "httpVersion": str, "cookies": list, "headers": list, "content": dict,
        "redirectURL": str, "headersSize": int, "bodySize": int,
    },
    "pair": {"name": str, "value": str},
    "postData": {"mimeType": str, "params": list, "text": str},
    "content": {"size": int, "mimeType": str},
    "timings": {"send": (int, float), "wait": (int, float), "receive": (int, float)},
}  # fmt: skip


def check(kind: str, value: Any) -> None:
    for name, types in REQUIRED[kind].items():
        assert isinstance(value[name], types), (kind, name)


def check_archive(archive: Any) -> None:
    """Check an archive by the specification."""
    check("log", archive["log"])
    check("creator", archive["log"]["creator"])
    for entry in archive["log"]["entries"]:
        check("entry", entry)
        for side in ("request", "response"):
            check(side, entry[side])
            for list_name in ("headers", "cookies"):
                for pair in entry[side][list_name]:
                    check("pair", pair)
        for pair in entry["request"]["queryString"]:
            check("pair", pair)
        if "postData" in entry["request"]:
            check("postData", entry["request"]["postData"])
        check("content", entry["response"]["content"])
        check("timings", entry["timings"])
        timings = entry["timings"]
        spent = sum(value for value in timings.values() if value >= 0)
        assert entry["time"] == pytest.approx(spent)


VARIED = [
    make(1, request_body=b"", request_size=0, response_headers=[]),
    make(2, target="/x?a=1&b=%20&c", request_headers=[("Cookie", "a=1; b=2"), ("X-Two", "1"), ("X-Two", "2")]),
    make(
        3,
        method="POST",
        request_body=bytes(range(256)),
        request_size=256,
        request_headers=[("Content-Type", "image/png")],
    ),
    make(4, response_body=b"\xff\x00\x01", response_size=3, response_headers=[("Content-Type", "image/png")]),
    make(
        5,
        response_headers=[("Set-Cookie", "a=1; Path=/; HttpOnly"), ("Set-Cookie", "b=2"), ("Location", "/y")],
        status=302,
    ),
    make(6, request_body=b"</script>\xc3\xa9", request_size=11, response_body="é\u2028".encode(), response_size=5),
    make(7, status=499, response_body=b"", response_size=0, timings={"body": 0.5, "handler": 0.7, "send": 0.3}),
    make(8, request_body=b"", request_size=0, response_body=b"[" * 10_000, response_size=10_000),
    make(9, request_size=5_000_000, response_size=5_000_000, logs=[LogLine(1.0, "INFO", "print", "line")]),
    make(10, request_headers=[("X-Name", "Zo\xeb")], host="shop.example:8443", scheme="https", http_version="2"),
]


def written(*requests: KeptRequest, with_secrets: bool = True) -> dict[str, Any]:
    archive: dict[str, Any] = json.loads(json.dumps(as_archive(requests, version="1", with_secrets=with_secrets)))
    return archive


def test_an_archive_has_all_that_the_specification_requires() -> None:
    check_archive(written(*VARIED))
    check_archive(written())


@pytest.mark.parametrize("kept", VARIED, ids=lambda kept: kept.request_id)
def test_what_is_written_is_read_as_it_was(kept: KeptRequest) -> None:
    (read,) = read_archive(json.dumps(written(kept)).encode())
    unwritten: dict[str, Any] = {
        "logs": [],
        "timings": {},
        "duration": 0.0,
        "request_id": "",
        "id": 0,
        "client": "",
        "time": 0.0,
    }
    if ("Host", kept.host) not in kept.request_headers:
        assert read.host == kept.host
    assert replace(read, **unwritten) == replace(kept, **unwritten)
    assert read.time == pytest.approx(kept.time, abs=0.001)


def test_an_archive_masks_unless_it_is_told_not_to() -> None:
    fields = [("Authorization", "Bearer credential"), ("Cookie", "sid=credential")]
    kept = make(
        target="/x?token=credential", request_headers=fields, request_body=b'{"k": "credential"}', request_size=19,
        response_headers=[("Set-Cookie", "sid=credential; Path=/")], response_body=b"credential", response_size=10,
        logs=[LogLine(1.0, "INFO", "print", "is credential")],
    )  # fmt: skip
    with override(SecretStore.from_mapping({"KEY": "credential"})):
        assert "credential" not in json.dumps(written(kept, with_secrets=False))
        assert json.dumps(written(kept)).count("credential") == 10


CHROME: dict[str, Any] = {
    "log": {
        "version": "1.2",
        "creator": {"name": "WebInspector", "version": "537.36"},
        "pages": [{"id": "page_1", "startedDateTime": "2026-11-29T16:08:30.556Z", "title": "x", "pageTimings": {}}],
        "entries": [
            {
                "_initiator": {"type": "other"},
                "_priority": "VeryHigh",
                "_resourceType": "fetch",
                "cache": {},
                "connection": "443",
                "pageref": "page_1",
                "request": {
                    "method": "POST",
                    "url": "https://shop.example/_functions/order?x=1#part",
                    "httpVersion": "h2",
                    "headers": [
                        {"name": ":authority", "value": "shop.example"},
                        {"name": ":method", "value": "POST"},
                        {"name": ":path", "value": "/_functions/order?x=1"},
                        {"name": "content-type", "value": "application/json"},
                    ],
                    "queryString": [{"name": "x", "value": "1"}],
                    "cookies": [],
                    "headersSize": -1,
                    "bodySize": 14,
                    "postData": {"mimeType": "application/json", "text": '{"item":"té"}'},
                },
                "response": {
                    "status": 201,
                    "statusText": "",
                    "httpVersion": "h2",
                    "headers": [{"name": "set-cookie", "value": "a=1\nb=2"}, {"name": "x-request-id", "value": "r"}],
                    "cookies": [],
                    "content": {"size": 3, "mimeType": "image/png", "text": "/wAB", "encoding": "base64"},
                    "redirectURL": "",
                    "headersSize": -1,
                    "bodySize": -1,
                    "_transferSize": 312,
                    "_error": None,
                },
                "serverIPAddress": "192.0.2.1",
                "startedDateTime": "2026-11-29T16:08:30.556Z",
                "time": 82.5,
                "timings": {
                    "blocked": 1.2,
                    "dns": -1,
                    "ssl": -1,
                    "connect": -1,
                    "send": 0.2,
                    "wait": 80,
                    "receive": 1,
                    "_q": 1,
                },
            }
        ],
    }
}
FIREFOX: dict[str, Any] = {
    "log": {
        "version": "1.2",
        "creator": {"name": "Firefox", "version": "130.0"},
        "browser": {"name": "Firefox", "version": "130.0"},
        "pages": [],
        "entries": [
            {
                "startedDateTime": "2026-11-29T17:08:30.5+01:00",
                "request": {
                    "method": "POST",
                    "url": "http://localhost:8000/form",
                    "httpVersion": "HTTP/1.1",
                    "headers": [{"name": "Host", "value": "localhost:8000"}],
                    "cookies": [],
                    "queryString": [],
                    "headersSize": 300,
                    "postData": {
                        "mimeType": "application/x-www-form-urlencoded",
                        "params": [{"name": "name", "value": "Zo%C3%AB"}, {"name": "b", "value": "1 2"}],
                    },
                },
                "response": {
                    "status": 200,
                    "statusText": "OK",
                    "httpVersion": "HTTP/1.1",
                    "headers": [],
                    "cookies": [],
                    "content": {"mimeType": "text/html", "size": 812, "comment": "the body is not here"},
                    "redirectURL": "",
                    "headersSize": 100,
                    "bodySize": 812,
                },
                "cache": {},
                "timings": {"blocked": 0, "dns": 0, "connect": 0, "ssl": 0, "send": 0, "wait": 5, "receive": 0},
                "time": 5,
                "_securityState": "insecure",
            },
            {"startedDateTime": "2026-11-29T16:00:00Z", "request": {"method": "GET", "url": "data:text/plain,x"}},
        ],
    }
}


def test_the_archives_of_browsers_are_read() -> None:
    (kept,) = read_archive(b"\xef\xbb\xbf" + json.dumps(CHROME).encode())
    assert (kept.method, kept.target, kept.host, kept.scheme) == (
        "POST",
        "/_functions/order?x=1",
        "shop.example",
        "https",
    )
    assert kept.request_headers == [("Host", "shop.example"), ("content-type", "application/json")]
    assert kept.request_body == '{"item":"té"}'.encode()
    assert (kept.status, kept.response_body, kept.http_version) == (201, b"\xff\x00\x01", "2")
    assert kept.response_headers == [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-request-id", "r")]
    assert kept.time == 1_795_968_510.556
    assert (kept.request_id, kept.duration, kept.timings) == ("r", 82.5, {"body": 0.2, "handler": 80.0, "send": 1.0})
    (kept,) = read_archive(json.dumps(FIREFOX).encode())
    assert kept.request_body == b"name=Zo%C3%AB&b=1+2"
    assert kept.request_headers[-1] == ("Content-Type", "application/x-www-form-urlencoded")
    assert (kept.response_body, kept.response_size) == (b"", 812)
    assert kept.time == 1_795_968_510.5


def at(path: str, value: Any) -> Callable[[Any], Any]:
    """Put a value into the archive of Chrome; ``None`` takes the member out."""

    def change(archive: Any) -> Any:
        *parents, name = path.split("/")
        place = archive
        for parent in parents:
            place = place[int(parent)] if parent.isdigit() else place[parent]
        if value is None:
            del place[name]
        elif name.isdigit():
            place[int(name)] = value
        else:
            place[name] = value
        return archive

    return change


ENTRY = "log/entries/0"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (at("log", None), "the archive has no 'log'"),
        (at("log", []), "the archive.log is an object, not []"),
        (at("log/entries", {}), "log.entries is a list, not {}"),
        (at(ENTRY, 5), "log.entries[0] is an object, not 5"),
        (at(f"{ENTRY}/request", None), "log.entries[0] has no 'request'"),
        (at(f"{ENTRY}/request/url", 7), "log.entries[0].request.url is a text, not 7"),
        (at(f"{ENTRY}/request/url", "/path"), "log.entries[0].request.url is a whole URL, not '/path'"),
        (at(f"{ENTRY}/request/url", "http://[::1/"), "log.entries[0].request.url is no URL"),
        (at(f"{ENTRY}/request/url", "https:///x"), "log.entries[0].request.url has no host"),
        (at(f"{ENTRY}/request/method", "GET /x"), "log.entries[0].request.method is one word such as GET"),
        (at(f"{ENTRY}/request/headers", "x"), "log.entries[0].request.headers is a list, not 'x'"),
        (at(f"{ENTRY}/request/headers/0", "x"), "log.entries[0].request.headers[0] is an object, not 'x'"),
        (at(f"{ENTRY}/request/headers/0", {"name": "a b"}), "headers[0].name is no name of a header field: 'a b'"),
        (at(f"{ENTRY}/request/headers/0", {"name": "a", "value": 1}), "headers[0].value is a text, not 1"),
        (at(f"{ENTRY}/request/postData", []), "log.entries[0].request.postData is an object, not []"),
        (at(f"{ENTRY}/request/postData/text", 1), "log.entries[0].request.postData.text is a text, not 1"),
        (at(f"{ENTRY}/request/postData", {"params": [1]}), "postData.params[0] is an object, not 1"),
        (at(f"{ENTRY}/response/status", "200"), "log.entries[0].response.status is a whole number, not '200'"),
        (at(f"{ENTRY}/response/status", True), "log.entries[0].response.status is a whole number, not True"),
        (at(f"{ENTRY}/response/status", 12345), "log.entries[0].response.status is a code such as 200, not 12345"),
        (at(f"{ENTRY}/response/content/text", "!!"), "log.entries[0].response.content.text is not base64"),
        (at(f"{ENTRY}/response/content/encoding", "gzip"), "content.encoding is 'base64', or missing, not 'gzip'"),
        (at(f"{ENTRY}/startedDateTime", None), "log.entries[0] has no 'startedDateTime'"),
        (at(f"{ENTRY}/startedDateTime", "yesterday"), "startedDateTime is a date in ISO 8601, not 'yesterday'"),
        (at(f"{ENTRY}/startedDateTime", "0001-01-01T00:00:00+23:59"), "startedDateTime is a date in ISO 8601"),
        (at(f"{ENTRY}/startedDateTime", "9999-12-31T23:59:59-23:59"), "startedDateTime is a date in ISO 8601"),
        (at(f"{ENTRY}/response/status", -2), "log.entries[0].response.status is a code such as 200, not -2"),
        (at(f"{ENTRY}/time", "5"), "log.entries[0].time is a number, not '5'"),
    ],
)
def test_what_is_malformed_is_told_with_its_place(change: Callable[[Any], Any], told: str) -> None:
    archive = change(copy.deepcopy(CHROME))
    with pytest.raises(InvalidArchive) as raised:
        read_archive(json.dumps(archive).encode())
    assert told in str(raised.value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"log": NaN}', base64.b64encode(b"x")]
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArchive):
        read_archive(data)


def test_odd_values_that_do_no_harm_are_taken() -> None:
    archive = copy.deepcopy(CHROME)
    entry = archive["log"]["entries"][0]
    entry["time"] = -1
    entry["timings"] = {"send": 1e400, "wait": "x"}
    entry["request"]["url"] = "http://user:word@Shop.example:80/a b/\u00e9?\u00fc=\ud800"
    entry["request"]["bodySize"] = 10**30
    entry["request"]["httpVersion"] = "unknown"
    entry["response"] = {}
    (kept,) = read_archive(json.dumps(archive).replace("Infinity", "1e400").encode())
    assert (kept.duration, kept.timings, kept.status, kept.http_version) == (0.0, {"body": 0.0}, 0, "1.1")
    assert kept.target == "/a%20b/%C3%A9?%C3%BC=?"
    archive = copy.deepcopy(CHROME)
    archive["log"]["entries"][0]["response"]["status"] = -1
    assert read_archive(json.dumps(archive).encode())[0].status == 0
    assert read_archive(b'{"log": {"entries": []}}') == []
