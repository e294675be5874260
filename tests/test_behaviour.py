"""The runtime, through each server interface: from a URL to a function, the request, the response (spec, 1 to 3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import WAYS, Ask, Reply, Served, load_app, write_project

Serve = Callable[..., Served]


@pytest.fixture(params=[True, False], ids=["short", "general"])
def has_short_path(request: pytest.FixtureRequest) -> bool:
    """Each request goes the short way, where it can, and the general one."""
    return bool(request.param)


ECHO = """
def use_echo(request):
    return ok({"body": {
        "method": request.method, "url": request.url, "baseUrl": request.baseUrl, "name": request.functionName,
        "path": request.path, "query": request.query, "all": request.query_all, "headers": request.headers,
        "ip": request.ip, "text": request.body.text(),
    }})
"""


def answers(serve_alike: Serve, given: list[str], returns: str = "return ", prefix: str = "") -> Iterator[Reply]:
    """The reply of a function for each of these, which it ``returns``: of one site, in order."""
    lines = [f"{prefix}def get_x{number}(request): {returns}{each}" for number, each in enumerate(given)]
    served = serve_alike("\n".join(["import io", *lines]))
    return (served(f"x{number}") for number in range(len(given)))


# --- from a URL to a function ----------------------------------------------------------------------------------------


def test_each_prefix_answers_its_method(serve_alike: Serve) -> None:
    served = serve_alike(
        "\n".join(
            f"def {prefix}_thing(request): return ok({prefix!r} + request.method)"
            for prefix in ("get", "post", "put", "delete", "patch", "options")
        )
    )
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert served("thing", method).text == method.lower() + method


def test_use_answers_what_no_other_does(serve_alike: Serve) -> None:
    served = serve_alike("""
        def use_thing(request): return ok("use " + request.method)
        def get_thing(request): return ok("get")
    """)
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"):
        assert served("thing", method).text == ("get" if method == "GET" else "use " + method)


def test_only_the_first_underscore_splits(serve_alike: Serve) -> None:
    assert serve_alike("def get_dev_board_state(): return ok(1)")("dev_board_state").status == 200


def test_names_are_case_sensitive(serve_alike: Serve) -> None:
    served = serve_alike("def get_myFunction(): return ok(1)")
    assert [served(name).status for name in ("myFunction", "myfunction", "MYFUNCTION")] == [200, 404, 404]


def test_head_is_get_without_the_body(serve_alike: Serve) -> None:
    served = serve_alike("""
        def get_x(request): return ok({"body": "hello", "headers": {"X-Method": request.method}})
        use_y = get_x
    """)
    for name in "xy":
        reply = served(name, "HEAD")
        assert (reply.status, reply.header("X-Method"), reply.header("Content-Length")) == (200, "HEAD", "5")
        assert reply.header("Content-Type") == "text/plain; charset=utf-8"


def test_module_variables_live_between_requests(serve: Serve) -> None:
    served = serve("""
        count = 0
        def get_count(request):
            global count
            count += 1
            return ok(count)
    """)
    assert [served("count").json() for _ in range(3)] == [1, 2, 3]


def test_backend_and_relative_imports_work_in_handlers_too(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "backend/http_functions.py": """
                from backend.store import NAMES
                from . import store
                from wixhttp import ok

                def get_names(request):
                    import backend.late
                    from backend.late import VALUE
                    from .late import VALUE as same
                    return ok([NAMES, store.NAMES, VALUE, backend.late.VALUE is same])
            """,
            "backend/store.py": "NAMES = ['a']",
            "backend/late.py": "VALUE = 7",
        }
    )
    assert served("names").json() == [["a"], ["a"], 7, True]


def test_two_projects_of_one_process_reach_their_own_modules(interface: Any, tmp_path: Path) -> None:
    interfaces = []
    for name in ("one", "two", "three"):
        files = {
            "backend/http_functions.py": """
                import backend.name
                from helper import HELP
                from wixhttp import ok
                def get_name():
                    from backend.late import LATE
                    from .late import LATE as same
                    return ok([backend.name.NAME, HELP, LATE, LATE == same])
            """,
            "backend/name.py": f"NAME = {name!r}",
            "backend/late.py": f"LATE = {name!r}",
            "helper.py": f"HELP = {name!r}" if name != "one" else "HELP = 'one'",
        }
        interfaces.append(Served(interface(load_app(write_project(tmp_path / name, files)))))
    try:
        for served, name in zip(interfaces, ("one", "two", "three"), strict=True):
            assert served("name").json() == [name, name, name, True]
    finally:
        for served in interfaces:
            served.interface.close()


def test_a_package_serves_too(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "backend/http_functions/__init__.py": """
                from wixhttp import ok
                from .orders import total
                def get_total(): return ok(total())
            """,
            "backend/http_functions/orders.py": "def total(): return 3",
        }
    )
    assert served("total").json() == 3


def test_a_site_prefix_is_part_of_the_base_url(serve_alike: Serve) -> None:
    served = serve_alike(ECHO, base_path="/mysite")
    assert served("/mysite/_functions/echo/a").json()["baseUrl"] == "http://localhost/mysite/_functions"
    assert served("/_functions/echo").status == 404


def test_a_mount_point_is_part_of_the_base_url(serve_alike: Serve) -> None:
    found = serve_alike(ECHO)("/outer/_functions/echo/a", root="/outer").json()
    assert found["baseUrl"] == "http://localhost/outer/_functions"
    assert found["url"] == "http://localhost/outer/_functions/echo/a"
    assert found["path"] == ["a"]


@pytest.fixture
def two_sites(serve_alike: Serve, tmp_path: Path) -> Served:
    source = "def get_which(request): return ok([{!r}, request.baseUrl, request.query])"
    write_project(tmp_path / "test", source.format("test"))
    return serve_alike(source.format("published"), test_site=str(tmp_path / "test"))


def test_functions_reaches_the_published_site(two_sites: Served) -> None:
    assert two_sites("which").json() == ["published", "http://localhost/_functions", {}]


def test_functions_dev_reaches_the_test_site(two_sites: Served) -> None:
    assert two_sites("/_functions-dev/which").json() == ["test", "http://localhost/_functions-dev", {}]


def test_rc_reaches_the_test_site_and_stays_visible(two_sites: Served) -> None:
    found = two_sites("which?a=1&rc=test-site").json()
    assert found == ["test", "http://localhost/_functions", {"a": "1", "rc": "test-site"}]


def test_another_rc_reaches_the_published_site(two_sites: Served) -> None:
    assert two_sites("which?rc=test").json()[0] == "published"


def test_without_a_test_site_both_reach_the_one(serve_alike: Serve) -> None:
    served = serve_alike(ECHO)
    assert served("/_functions-dev/echo").json()["baseUrl"] == "http://localhost/_functions-dev"
    assert served("echo?rc=test-site").json()["url"] == "http://localhost/_functions/echo?rc=test-site"


def test_path_segments(serve_alike: Serve) -> None:
    served = serve_alike(ECHO)
    for target, path in (
        ("echo", []),
        ("echo/", []),
        ("echo//", []),
        ("echo/a/b", ["a", "b"]),
        ("echo//a///b/", ["a", "b"]),
        ("echo/a%2Fb/c", ["a/b", "c"]),
        ("echo/../x/.", ["..", "x", "."]),
        ("echo/a+b", ["a+b"]),
        ("echo/%C3%BC", ["ü"]),
        ("echo/%FF%C3", ["\ufffd\ufffd"]),
        ("echo/%", ["%"]),
        ("echo/%zz%4", ["%zz%4"]),
        ("echo/%00", ["\0"]),
        ("echo/%3Fq%23", ["?q#"]),
        ("echo/\xc3\xbc", ["ü"]),  # not encoded, as no client should send it
        ("echo?q=/a/b", []),
        ("/_functions//echo/a", ["a"]),
        ("%65cho/a", ["a"]),
    ):
        assert served(target).json()["path"] == path, target


def test_query(serve_alike: Serve) -> None:
    served = serve_alike(ECHO)
    for query, expected in (
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "2"}),
        ("a=&b", {"a": "", "b": ""}),
        ("a=1+2%2B3", {"a": "1 2+3"}),
        ("a=b=c", {"a": "b=c"}),
        ("&&a=1&", {"a": "1"}),
        ("%C3%BC=%FF", {"ü": "\ufffd"}),
        ("a=%", {"a": "%"}),
        ("a=%00", {"a": "\0"}),
        ("=1", {"": "1"}),
        ("a=?b", {"a": "?b"}),
        ("a;b=1", {"a;b": "1"}),
        ("a=\xc3\xbc", {"a": "ü"}),  # not encoded
    ):
        assert served("echo?" + query).json()["query"] == expected, query


def test_a_repeated_key_has_every_value_in_query_all(serve_alike: Serve) -> None:
    assert serve_alike(ECHO)("echo?a=1&b=2&a=3").json()["all"] == {"a": ["1", "3"], "b": ["2"]}


# --- exported means exported -----------------------------------------------------------------------------------------


def test_an_import_is_no_endpoint(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "backend/http_functions.py": """
                from wixhttp import ok
                from backend.secret import get_secret, ok as get_alias
                import backend.secret as get_module
                if True:
                    try:
                        from backend.secret import get_secret as get_nested
                    except ImportError:
                        get_nested = None
                def get_open(): return ok(1)
            """,
            "backend/secret.py": "def get_secret(): return 1\nok = get_secret",
        }
    )
    assert served.app.site.functions.names == ["open"]
    assert served("secret").status == 404


def test_all_decides_where_it_exists(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "backend/http_functions.py": """
                from wixhttp import ok
                from backend.more import get_imported
                __all__ = ["get_imported", "get_here", "helper"]
                def get_here(): return ok(1)
                def get_hidden(): return ok(1)
                def helper(): return 1
            """,
            "backend/more.py": "from wixhttp import ok\ndef get_imported(): return ok(2)",
        }
    )
    assert [served(name).status for name in ("imported", "here", "hidden", "helper")] == [200, 200, 404, 404]


def test_every_way_to_bind_a_name_counts(serve_alike: Serve) -> None:
    served = serve_alike("""
        import functools
        def with_errors(handler):
            @functools.wraps(handler)
            def wrapper(request):
                try:
                    return handler(request)
                except KeyError as error:
                    return notFound(str(error))
            return wrapper
        def handler(request): return ok({}[request.path[0]])
        get_assigned = with_errors(handler)
        get_typed: object = lambda request: ok("lambda")
        get_a = get_b = lambda: ok("both")
        get_c, (get_d, *get_rest) = [lambda: ok("c"), (lambda: ok("d"), 1, 2)]
        get_partial = functools.partial(lambda greeting, request: ok(greeting), "hi")
        class Handler:
            def __call__(self, request): return ok("called")
            def method(self, request): return ok("method")
        get_instance = Handler()
        get_method = Handler().method
        if True:
            def get_nested(): return ok("nested")
        class get_class(Response):
            def __init__(self, request): super().__init__(200, "class")
    """)
    names = ["typed", "a", "b", "c", "d", "partial", "instance", "method", "nested", "class"]
    expected = ["lambda", "both", "both", "c", "d", "hi", "called", "method", "nested", "class"]
    assert [served(name).text for name in names] == expected
    assert served("assigned/key").status == 404
    assert served("rest").status == 404


def test_a_decorator_may_hand_on_more_than_it_takes(serve_alike: Serve) -> None:
    served = serve_alike("""
        import functools
        def with_user(handler):
            @functools.wraps(handler)
            def wrapper(request):
                return handler(request, "ann")
            return wrapper
        def passing(handler):
            @functools.wraps(handler)
            def wrapper(*args, **kwargs):
                return handler(*args, **kwargs)
            return wrapper
        @with_user
        def get_user(request, user): return ok(user)
        @passing
        def get_none(): return ok("none")
        @passing
        def get_one(request): return ok(request.functionName)
        @passing
        @with_user
        async def get_both(request, user): return ok(user)
    """)
    assert [served(name).text for name in ("user", "none", "one", "both")] == ["ann", "none", "one", "ann"]


def test_what_a_client_sends_is_only_a_key(serve_alike: Serve) -> None:
    served = serve_alike("def get_open(): return ok(1)\ndef get_(): return ok(2)")
    for name in ("__class__", "__init__", "get_", "get_open", "_", "names", "..", "%2e%2e", "open%00"):
        assert served(name).status == 404, name


def test_what_is_no_function(serve_alike: Serve) -> None:
    served = serve_alike("def get_open(): return ok(1)")
    for target in (
        "/", "/_functions", "/_functions/", "/_functions?a=1", "/_functionsopen", "/x/_functions/open",
        "/_functions-devopen", "/_functions-dev", "/*", "/_functions/../_functions/open",
    ):  # fmt: skip
        assert served(target).problem["title"] == "Not Found", target


# --- the request -----------------------------------------------------------------------------------------------------


def test_the_members(serve_alike: Serve) -> None:
    found = serve_alike(ECHO)("echo/sub/more?q=value", "POST", ("X-Name", "v"), body=b"hi", client="10.1.2.3").json()
    assert found["method"] == "POST"
    assert found["url"] == "http://localhost/_functions/echo/sub/more?q=value"
    assert found["baseUrl"] == "http://localhost/_functions"
    assert found["name"] == "echo"
    assert found["path"] == ["sub", "more"]
    assert found["ip"] == "10.1.2.3"
    assert found["text"] == "hi"
    assert found["headers"] == {"host": "localhost", "x-name": "v", "content-length": "2"}


def test_the_origin_is_the_requests(serve_alike: Serve) -> None:
    found = serve_alike(ECHO)("echo", "GET", ("Host", "shop.example:8443"), scheme="https").json()
    assert found["url"] == "https://shop.example:8443/_functions/echo"


def test_public_url_is_the_origin_where_it_is_set(serve_alike: Serve) -> None:
    found = serve_alike(ECHO, public_url="https://www.example.com")("echo?a", "GET", ("Host", "inner:8080")).json()
    assert found["baseUrl"] == "https://www.example.com/_functions"
    assert found["url"] == "https://www.example.com/_functions/echo?a"


def test_what_is_missing_reads_none(serve_alike: Serve) -> None:
    served = serve_alike("""
        def get_x(request):
            path, query, headers = request.path, request.query, request.headers
            return ok([path[0], path[5], path[-9], query["q"], headers["X-None"],
                       query.get("q", "d"), headers.get("X-None", "d"), "q" in query, "x-none" in headers,
                       path[1:], len(path), list(query), list(path)])
    """)
    assert served("x/a").json() == ["a", None, None, None, None, "d", "d", False, False, [], 1, [], ["a"]]


def test_any_spelling_of_a_header_looks_up(serve_alike: Serve) -> None:
    served = serve_alike("""
        def get_x(request):
            h = request.headers
            return ok([h["x-name"], h["X-NAME"], h.get("X-Name"), "x-NAME" in h, [k for k in h if k != k.lower()]])
    """)
    assert served("x", "GET", ("X-Name", "v")).json() == ["v", "v", "v", True, []]


def test_repeated_headers_are_joined(serve: Serve) -> None:
    found = serve(ECHO)("echo", "GET", ("X-A", "1"), ("X-B", "b"), ("x-a", "2")).json()["headers"]
    assert found["x-a"].replace(" ", "") == "1,2"


def test_the_request_is_read_only(serve_alike: Serve) -> None:
    served = serve_alike("""
        def get_x(request):
            failed = []
            for name in ("method", "url", "path", "query", "body", "headers", "anything"):
                try:
                    setattr(request, name, 1)
                except AttributeError:
                    failed.append(name)
            return ok(len(failed))
    """)
    assert served("x").json() == 7


def test_readers_may_be_called_again_in_any_order(serve_alike: Serve) -> None:
    served = serve_alike("""
        def post_x(request):
            b = request.body
            return ok([b.json(), b.text(), b.buffer().hex(), b.json(), b.text()])
    """)
    body = b'{"a": 1}'
    assert served("x", "POST", body=body).json() == [{"a": 1}, '{"a": 1}', body.hex(), {"a": 1}, '{"a": 1}']


def test_an_async_handler_awaits_its_readers(serve_alike: Serve) -> None:
    served = serve_alike("""
        async def post_x(request):
            b = request.body
            return ok([await b.json(), await b.text(), (await b.buffer()).hex(), await b.json(), str(type(request))])
    """)
    assert served("x", "POST", body=b"[1 ]").json() == [
        [1],
        "[1 ]",
        b"[1 ]".hex(),
        [1],
        "<class 'wixhttp.http.request.AsyncRequest'>",
    ]


def test_the_bytes_are_the_exact_ones(serve_alike: Serve) -> None:
    body = bytes(range(256)) * 300 + b"\r\n\r\n"
    served = serve_alike("def post_x(request): return ok(request.body.buffer())")
    assert served("x", "POST", body=body).content == body
    assert served("x", "POST", body=body, chunked=True).content == body


def test_text_is_decoded_by_its_charset(serve_alike: Serve) -> None:
    served = serve_alike("def post_x(request): return ok([request.body.text()])")
    for content_type, body, text in (
        ("text/plain", "ü".encode(), "ü"),
        ("text/plain", b"a\xff", "a\ufffd"),
        ("text/plain; charset=latin-1", b"\xfc", "ü"),
        ('text/plain; CHARSET="ISO-8859-1"; x=y', b"\xfc", "ü"),
        ("text/plain; charset=utf-16", "ü".encode("utf-16"), "ü"),
        ("text/plain; charset=", b"\xc3\xbc", "ü"),
        *[
            (f"text/plain; charset={name}", b"\xc3\xbc", "ü")
            for name in (
                "none", "zlib", "rot13", "hex", "base64", "bz2", "uu", "quopri", "idna", "punycode", "undefined",
                "unicode_escape", "raw_unicode_escape", "unicode-escape", "string-escape", "mbcs", "oem", "../x", "a.b",
                "aliases", "x" * 5000, "\xff", "utf\t8", "utf-7", "utf_32", "cp037", "hz", "x-user-defined",
            )
        ],
    ):  # fmt: skip
        assert served("x", "POST", ("Content-Type", content_type), body=body).json() == [text], content_type


BAD_JSON = {
    "empty": b"", "cut": b'{"a": [1, ', "NaN": b"[NaN]", "Infinity": b"-Infinity", "deep": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000, "deep objects": b'{"a":' * 100_000, "not UTF-8": b'"\xff"',
    "UTF-16": '{"a": 1}'.encode("utf-16"), "text": b"hello", "two values": b"1 2", "single quotes": b"{'a': 1}",
    "trailing comma": b"[1,]", "NUL": b"\0", "raw control": b'"\n"', "raw surrogate": b'"\xed\xa0\x80"', "01": b"01",
}  # fmt: skip


def test_what_is_no_json_is_400(serve_alike: Serve) -> None:
    served = serve_alike("""
        def post_sync(request): return ok(request.body.json())
        async def post_async(request): return ok(await request.body.json())
    """)
    for name in ("sync", "async"):
        for kind, body in BAD_JSON.items():
            problem = served(name, "POST", body=body).problem
            assert problem["detail"] == "The body of the request is not valid JSON.", (name, kind)


def test_invalid_json_can_be_caught(serve_alike: Serve) -> None:
    served = serve_alike("""
        def post_x(request):
            try:
                return ok(request.body.json())
            except ValueError as error:
                return ok([type(error).__name__, isinstance(error, InvalidJSON), error.position])
    """)
    assert served("x", "POST", body=b"[1,,]").json() == ["InvalidJSON", True, 3]


def test_json_with_a_byte_order_mark_or_lone_surrogates_is_read(serve_alike: Serve) -> None:
    served = serve_alike("def post_x(request): return ok(request.body.json())")
    assert served("x", "POST", body=b'\xef\xbb\xbf{"a": 1}').json() == {"a": 1}
    assert served("x", "POST", body=b'["\\ud800"]').content == b'["\\ud800"]'


# --- the response ----------------------------------------------------------------------------------------------------


def test_the_helpers(serve_alike: Serve) -> None:
    helpers = {
        "ok": 200, "created": 201, "badRequest": 400, "forbidden": 403, "notFound": 404, "serverError": 500,
        "response": 200,
    }  # fmt: skip
    replies = answers(
        serve_alike, [f"{helper}({{'body': {{'a': 1}}, 'headers': {{'X-A': 'b'}}}})" for helper in helpers]
    )
    for reply, (helper, status) in zip(replies, helpers.items(), strict=True):
        assert (reply.status, reply.json(), reply.header("X-A")) == (status, {"a": 1}, "b"), helper


def test_nothing_given_is_no_body(serve_alike: Serve) -> None:
    for reply in answers(serve_alike, ["ok()", "ok({})", "ok(None)", "ok({'body': None})", "ok(body=None)"]):
        assert (reply.status, reply.content, reply.header("Content-Length")) == (200, b"", "0")


def test_response_takes_any_status(serve_alike: Serve) -> None:
    statuses = [200, 204, 299, 302, 304, 418, 451, 500, 599]
    assert [
        reply.status for reply in answers(serve_alike, [f"response(status={each})" for each in statuses])
    ] == statuses


def test_a_status_that_cannot_be_is_500(serve_alike: Serve, caplog: pytest.LogCaptureFixture) -> None:
    statuses = ["99", "199", "600", "'200'", "True", "200.0", "-1", "10**30", "[]"]
    for reply in answers(serve_alike, [f"response({{'status': {status}}})" for status in statuses]):
        assert reply.problem["status"] == 500
    assert caplog.text.count("ValueError: a status is a whole number from 200 to 599") == WAYS * len(statuses)


def test_204_and_304_have_no_body(serve_alike: Serve) -> None:
    given = [f"response(status={status}, body={{'a': 1}}, headers={{'ETag': 'x'}})" for status in (204, 304)]
    for reply, status in zip(answers(serve_alike, given), (204, 304), strict=True):
        assert (reply.status, reply.content, reply.header("ETag")) == (status, b"", "x")


def test_header_names_are_sent_as_given_and_lists_repeat(serve_alike: Serve) -> None:
    served = serve_alike(
        "def get_x(request): return ok(headers={'x-LOWer': 1, 'Set-Cookie': ['a=1', 'b=2'], 'X-F': 1.5})"
    )
    reply = served("x")
    assert [field for field in reply.fields if field[0] in ("x-LOWer", "Set-Cookie", "X-F")] == [
        ("x-LOWer", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-F", "1.5"),
    ]  # fmt: skip


def test_what_only_the_server_writes_is_dropped(serve_alike: Serve) -> None:
    served = serve_alike("""
        def get_x(request):
            return ok(body="abc", headers={"Connection": "x", "content-length": "99", "Transfer-Encoding": "chunked",
                                           "Keep-Alive": "1", "Upgrade": "x", "TE": "x", "Trailer": "x", "Status": "1"})
    """)
    reply = served("x")
    assert {name for name, _ in reply.fields} == {"Content-Type", "Content-Length", "X-Request-Id"}
    assert reply.header("Content-Length") == "3"


def test_headers_that_cannot_be_sent_are_500(serve_alike: Serve) -> None:
    unsendable = [
        "{'X': 'a\\r\\nB: c'}", "{'X': 'a\\n'}", "{'X\\r\\nB': 'c'}", "{'X': 'a\\0'}", "{'X': ['a', 'b\\r']}",
        "{'': 'a'}", "{'X Y': 'a'}", "{'X:': 'a'}", "{'X': 'ł'}", "{'X': None}", "{'X': b'a'}", "{1: 'a'}",
        "{'Ü': 'a'}",
    ]  # fmt: skip
    later = "r = ok(); r.headers = {{}}; r.headers.update({}); return r"
    given = [f"return ok(headers={headers})" for headers in [*unsendable, "[('X', 'a')]"]]
    *replies, pairs = answers(serve_alike, [*given, *map(later.format, unsendable), later.format("[('X', 'a')]")], "")
    for reply in replies:
        assert reply.problem["status"] == 500
        assert not reply.all("B")
    assert pairs.header("X") == "a"  # dict.update takes them


def test_a_response_may_be_changed(serve_alike: Serve) -> None:
    served = serve_alike("""
        def get_x(request):
            r = ok("a")
            r.status = 202
            r.headers["X-A"] = "1"
            r.body = {"b": 2}
            return r
    """)
    reply = served("x")
    assert (reply.status, reply.header("X-A"), reply.json()) == (202, "1", {"b": 2})


def test_a_response_does_not_share_the_callers_dict(serve_alike: Serve) -> None:
    served = serve_alike("""
        HEADERS = {"X-A": "1"}
        def get_x(request):
            r = ok({"headers": HEADERS})
            r.headers["X-B"] = "2"
            return r
        def get_y(request): return ok(HEADERS)
    """)
    assert served("x").header("X-B") == "2"
    assert served("y").json() == {"X-A": "1"}


def test_one_response_may_be_returned_again_and_again(serve_alike: Serve) -> None:
    served = serve_alike("""
        ANSWER = ok({"body": "same", "headers": {"X-A": "1"}})
        def get_x(request): return ANSWER
    """, cors={"origins": ["*"]})  # fmt: skip
    first, second = served("x"), served("x")
    assert [field for field in first.fields if field[0] != "X-Request-Id"] == [
        field for field in second.fields if field[0] != "X-Request-Id"
    ]


def test_an_awaitable_of_a_response_is_awaited(serve_alike: Serve) -> None:
    served = serve_alike("""
        async def later(): return ok("later")
        def get_x(request): return later()
    """)
    assert served("x").text == "later"


def test_a_mapping_with_a_status_is_accepted(serve_alike: Serve, caplog: pytest.LogCaptureFixture) -> None:
    for mode, told in (("production", 0), ("development", WAYS)):
        served = serve_alike(
            "def get_x(request): return {'status': 201, 'body': [1], 'headers': {'X-A': 'b'}}", mode=mode
        )
        reply = served("x")
        assert (reply.status, reply.json(), reply.header("X-A")) == (201, [1], "b")
        assert caplog.text.count("return response(") == told


def test_what_is_no_response_is_500_and_the_log_says_how_to_mend_it(
    serve_alike: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = {
        "None": "NoneType", "{1, 2}": "set", "lambda: 1": "function", "'text'": "str", "{'body': 1}": "dict",
        "[ok()]": "list", "(200, 'a')": "tuple", "ok": "function", "(i for i in [1])": "generator",
    }  # fmt: skip
    for prefix in ("", "async "):
        for number, reply in enumerate(answers(serve_alike, list(kinds), prefix=prefix)):
            assert "NoneType" not in reply.problem["detail"]
            kind = list(kinds.values())[number]
            assert caplog.text.count(f"get_x{number} returned {kind}, not a response; ") == WAYS, (prefix, kind)
        assert caplog.text.count("add 'return'") == WAYS
        caplog.clear()


@pytest.mark.filterwarnings("ignore:coroutine 'more' was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_coroutine_never_awaited_is_500(serve_alike: Serve) -> None:
    served = serve_alike("""
        async def more(): pass
        def get_body(request): return ok(body=more())
        async def get_twice(request): return more()
        def get_inbody(request): return ok(body={'a': more()})
        async def get_generator(request): yield 1
    """)
    for name in ("body", "twice", "inbody", "generator") * 2:
        assert served(name).problem["status"] == 500, name


BODIES = [
    ("None", b"", None),
    ("b'\\xff'", b"\xff", "application/octet-stream"),
    ("bytearray(b'ab')", b"ab", "application/octet-stream"),
    ("memoryview(b'abcd')[::2]", b"ac", "application/octet-stream"),
    ("b''", b"", "application/octet-stream"),
    ("'ü'", "ü".encode(), "text/plain; charset=utf-8"),
    ("''", b"", None),
    ("'{\"a\": 1}'", b'{"a": 1}', "application/json"),
    ("' [1]'", b" [1]", "application/json"),
    ("'{not json'", b"{not json", "text/plain; charset=utf-8"),
    ("'12'", b"12", "text/plain; charset=utf-8"),
    ("'<p>'", b"<p>", "text/plain; charset=utf-8"),
    ("'\\ud800'", "\ufffd".encode(), "text/plain; charset=utf-8"),
    ("{'ü': [1, None, True]}", '{"ü":[1,null,true]}'.encode(), "application/json"),
    ("{}", b"{}", "application/json"),
    ("[]", b"[]", "application/json"),
    ("0", b"0", "application/json"),
    ("False", b"false", "application/json"),
    ("1.5", b"1.5", "application/json"),
    ("(1, 2)", b"[1,2]", "application/json"),
    ("iter([b'a', 'ü', bytearray(b'c'), b''])", "aüc".encode(), "application/octet-stream"),
    ("io.BytesIO(b'file')", b"file", "application/octet-stream"),
    ("io.StringIO('text')", b"text", "application/octet-stream"),
]


def test_a_body_on_the_wire(serve_alike: Serve) -> None:
    replies = answers(serve_alike, [f"ok(body={value})" for value, _, _ in BODIES])
    for reply, (value, content, kind) in zip(replies, BODIES, strict=True):
        assert (reply.status, reply.content, reply.header("Content-Type")) == (200, content, kind), value


def test_the_handlers_content_type_stands(serve_alike: Serve) -> None:
    served = serve_alike(
        "def get_x(request): return ok(body={'a': 1}, headers={'content-type': 'application/hal+json'})"
    )
    assert served("x").header("Content-Type") == "application/hal+json"


# --- the interfaces --------------------------------------------------------------------------------------------------

ALIKE = """
    import io
    def use_echo(request):
        headers = {k: v for k, v in request.headers.items() if k not in ("host", "content-length", "transfer-encoding")}
        return ok([request.method, request.path, request.query_all, request.url, headers, request.body.buffer().hex()])
    async def get_async(request): return created({"body": {"a": [1.5]}, "headers": {"X-A": ["1", "2"]}})
    def get_stream(request): return ok(body=iter([b"a", b"b"]), headers={"Content-Type": "text/csv"})
    def get_empty(request): return response(status=204)
    def get_raise(request): raise ValueError
    def get_forbidden(request): raise HTTPError(403, "No.", headers={"X-Why": "because"})
    @cors(origins=["https://a.example"])
    def get_cors(request): return ok()
    @limits(max_body=3)
    def post_small(request): return ok()
    def delete_thing(request): return ok()
    def get_bad(request): return ok(body=object())
"""

REQUESTS = [
    Ask("GET", "/_functions/echo/a%2Fb/%FF?a=1&a=%20+&%00=%FF", (("X-A", "1"), ("Cookie", "a=1"))),
    Ask("POST", "/_functions/echo", (("Content-Type", "application/json"),), b'{"a": 1}'),
    Ask("POST", "/_functions/echo", (), b"chunks", chunked=True),
    Ask("POST", "/_functions/echo", (), b"", length="x"),
    Ask("GET", "/_functions/async"),
    Ask("HEAD", "/_functions/async"),
    Ask("GET", "/_functions/stream"),
    Ask("HEAD", "/_functions/stream"),
    Ask("GET", "/_functions/empty"),
    Ask("GET", "/_functions/raise"),
    Ask("GET", "/_functions/forbidden"),
    Ask("GET", "/_functions/cors", (("Origin", "https://a.example"),)),
    Ask("OPTIONS", "/_functions/cors", (("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET"))),
    Ask("OPTIONS", "/_functions/empty"),
    Ask("POST", "/_functions/small", (), b"four"),
    Ask("POST", "/_functions/small", (), b"four", chunked=True),
    Ask("DELETE", "/_functions/thing", (), b"body"),
    Ask("DELETE", "/_functions/thing", (), b"body", chunked=True),
    Ask("GET", "/_functions/bad"),
    Ask("GET", "/_functions/unknown"),
    Ask("GET", "/elsewhere"),
    Ask("GET", "/_wixhttp/health/live"),
]


def test_the_interfaces_answer_alike(serve_alike: Serve) -> None:
    served = serve_alike(ALIKE)
    for ask in REQUESTS:
        served.ask(replace(ask, headers=(*ask.headers, ("X-Request-Id", "same"))))


def test_a_site_of_ten_thousand_functions(serve_alike: Serve) -> None:
    served = serve_alike("\n".join(f"def get_f{number}(): return ok({number})" for number in range(10_000)))
    assert served("f9999").json() == 9999
    assert json.loads(served("f0").text) == 0
