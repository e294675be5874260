"""Bodies, forms and queries as types: what fits, and what is told of what does not."""

from __future__ import annotations

import asyncio
import copy
import enum
import json
import pickle
import sys
import threading
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, field_validator
from typing_extensions import NotRequired, Required, TypedDict

from tests.interfaces import write_project
from wixhttp import stringify
from wixhttp.endpoints import AsyncRequest, URLSearchParams
from wixhttp.errors import ConfigError, HTTPError, InvalidJSON, ValidationError
from wixhttp.http.json_codec import encode_json
from wixhttp.http.request import AsyncBody, Body
from wixhttp.http.url import QueryParams, query_pairs
from wixhttp.http.validation import _adapter
from wixhttp.testing import TestClient

URLENCODED = "application/x-www-form-urlencoded"


class Color(enum.Enum):
    RED = "red"


class Line(NamedTuple):
    sku: str
    amount: int = 1


class Address(TypedDict):
    city: str
    zip: NotRequired[str]


@dataclass
class Order:
    name: str
    lines: list[Line] = field(default_factory=list)
    address: Address | None = None
    due: date | None = None
    price: Decimal = Decimal(0)
    color: Color = Color.RED
    ref: int | list[str] = 0


class Model(BaseModel):
    model_config = ConfigDict(strict=False)
    count: int = Field(alias="Count", ge=1)

    @field_validator("count")
    @classmethod
    def even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("a count is even")
        return value


def parsed(text: str | bytes, model: Any) -> Any:
    return Body(text.encode() if isinstance(text, str) else text).json(model)


def errors(read: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        read()
    assert caught.value.status == 422
    assert isinstance(caught.value, HTTPError)
    assert isinstance(caught.value, ValueError)
    return [(each["path"], each["message"]) for each in caught.value.errors]


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_what_fits_has_the_type() -> None:
    text = """{"name": "a", "lines": [{"sku": "x", "amount": 2}, ["y"]], "address": {"city": "Rome"},
        "due": "2024-05-01", "price": "1.10", "color": "red", "ref": ["x"], "more": 1}"""
    assert parsed(text, Order) == Order(
        "a", [Line("x", 2), Line("y")], {"city": "Rome"}, date(2024, 5, 1), Decimal("1.10"), Color.RED, ["x"]
    )
    assert parsed("\ufeff[1, 2]", list[int]) == [1, 2]
    assert parsed('{"n": -9223372036854775809}', dict[str, int]) == {"n": -9223372036854775809}
    assert parsed('{"Count": "4"}', Model).count == 4  # a model that says so
    assert parsed("5", float) == 5.0
    assert parsed('{"a": [1.5, null]}', Any) == {"a": [1.5, None]}


@pytest.mark.parametrize(
    ("text", "model", "expected"),
    [
        ("{}", Order, [("/name", "Field required")]),
        ("[]", Address, [("", "Input should be an object")]),
        ('{"name": 5, "price": true}', Order, ["/name", "/price"]),
        ('{"name": "a", "ref": "5"}', Order, ["/ref", "/ref"]),  # of a union each member says why
        (
            '{"name": "a", "lines": [{"sku": "x", "amount": 1.5}, {"amount": 1}]}',
            Order,
            ["/lines/0/amount", "/lines/1/sku"],
        ),
        ('{"name": "a", "address": {}}', Order, ["/address/city"]),
        ('{"a/b~": "x"}', dict[str, int], [("/a~1b~0", "Input should be a valid integer")]),
        ('{"n": "5"}', dict[str, int], ["/n"]),
        ('{"n": true}', dict[str, int], ["/n"]),
        ('{"Count": 3}', Model, [("/Count", "a count is even")]),
        ('{"Count": "hunter2"}', Model, ["/Count"]),
        ("null", Order, [""]),
        ('"hunter2"', Literal["a"], [("", "Input should be 'a'")]),
    ],
)
def test_what_does_not_fit_is_told_by_its_place_and_rule(text: str, model: Any, expected: list[Any]) -> None:
    found = errors(lambda: parsed(text, model))
    assert [
        each if isinstance(want, tuple) else each[0] for each, want in zip(found, expected, strict=True)
    ] == expected
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a": NaN}', "1" * 5000, '"\\ud800"', b'"\xff"'])
def test_what_is_not_json_is_invalid_json(text: str | bytes) -> None:
    with pytest.raises(InvalidJSON):
        parsed(text, str)


def test_errors_are_bounded() -> None:
    found = errors(lambda: parsed(json.dumps(["x"] * 150), list[int]))
    assert (len(found), found[-1], found[99][0]) == (101, ("", "50 more values do not fit"), "/99")
    assert errors(lambda: parsed(json.dumps(["x"] * 200_000), list[int])) == [("", "200000 values do not fit")]
    ((path, message),) = errors(lambda: parsed(json.dumps({"k" * 5000: "x"}), dict[str, int]))
    assert max(len(path), len(message)) <= 200


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def test_no_error_shows_the_value_and_its_cause_is_gone() -> None:
    tagged = Annotated[Union[Cat, Dog], Field(discriminator="kind")]  # noqa: UP007  # it is a value here
    import uuid

    for model, text in (
        (tagged, '{"kind": "hunter2"}'),
        (uuid.UUID, '"hunter2"'),
        (date, '"hunter2"'),
        (Color, '"hunter2"'),
    ):
        with pytest.raises(ValidationError) as caught:
            parsed(text, model)
        error = caught.value
        assert "hunter2" not in f"{error} {error.errors} {error.reason} {error.__cause__}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: (
            st.lists(each, max_size=3)
            | st.dictionaries(st.sampled_from(["name", "lines", "address", "ref", "sku"]), each, max_size=4)
        ),
    )
)
@settings(max_examples=80, deadline=None)
def test_any_json_fits_or_is_refused(value: Any) -> None:
    try:
        assert isinstance(parsed(json.dumps(value), Order), Order)
    except ValidationError:
        pass
    except InvalidJSON:
        assert "\\ud" in json.dumps(value)


def test_a_model_is_printed_as_it_is_read() -> None:
    model = parsed('{"Count": 4}', Model)
    assert encode_json(model) == encode_json({"Count": 4})
    assert encode_json([2**70, model]) == b'[1180591620717411303424,{"Count":4}]'
    assert stringify({"m": model}) == '{"m":{"Count":4}}'


# --- queries and forms -----------------------------------------------------------------------------------------------


@dataclass
class Filter:
    q: str = ""
    page: int = 1
    tag: list[str] = field(default_factory=list)
    open: bool | None = None
    since: date | None = None
    color: Annotated[Color | None, "of the shop"] = None
    ids: tuple[int, ...] = ()
    note: str | None = None


class Named(NamedTuple):
    a: int
    b: int | None = None


class Typed(TypedDict, total=False):
    a: Required[int]
    tags: NotRequired[list[str]]


class Aliased(BaseModel):
    many: set[int] = Field(default=set(), alias="id[]")
    other: list[str] = Field(default=[], validation_alias=AliasChoices("x", "y"))


def queries(raw: str) -> Iterator[Any]:
    pairs = query_pairs(raw)
    query = QueryParams(pairs)
    query._pairs = pairs
    yield query
    yield copy.copy(query)
    yield copy.deepcopy(query)
    yield pickle.loads(pickle.dumps(query))  # noqa: S301  # our own
    yield URLSearchParams(raw)


@pytest.mark.parametrize(
    ("raw", "model", "value"),
    [
        ("", Filter, Filter()),
        (
            "q=a&page=2&tag=x&tag=y&open=true&since=2024-05-01&color=red&ids=1&utm=1&utm=2",
            Filter,
            Filter("a", 2, ["x", "y"], True, date(2024, 5, 1), Color.RED, (1,)),
        ),
        ("q=&tag=x&open=&since=&color=&note=", Filter, Filter("", 1, ["x"], note="")),
        ("a=1&utm=x", Named, Named(1)),
        ("a=1&b=", Named, Named(1, None)),
        ("a=1&tags=x", Typed, {"a": 1, "tags": ["x"]}),
        ("id[]=1&id[]=2&y=z", Aliased, Aliased.model_validate({"id[]": {1, 2}, "x": ["z"]})),
    ],
)
def test_queries_and_forms_are_text_of_which_values_are_made(raw: str, model: Any, value: Any) -> None:
    for query in queries(raw):
        assert query.parse(model) == value
    assert Body(raw.encode(), URLENCODED).form(model) == value


@pytest.mark.parametrize(
    ("raw", "model", "paths"),
    [
        ("page=x&open=maybe&ids=1&ids=y", Filter, ["/page", "/open", "/ids/1"]),
        ("page=", Filter, ["/page"]),
        ("page=1&page=2", Filter, ["/page"]),  # a name twice fits a list alone
        ("", Named, ["/a"]),
        ("tags=x", Typed, ["/a"]),
    ],
)
def test_queries_and_forms_that_do_not_fit(raw: str, model: Any, paths: list[str]) -> None:
    for query in queries(raw):
        assert [path for path, _ in errors(lambda query=query: query.parse(model))] == paths
    assert [path for path, _ in errors(lambda: Body(raw.encode(), URLENCODED).form(model))] == paths


def test_a_name_that_was_sent_twice_is_told_so() -> None:
    class Once(TypedDict):
        name: str
        size: int | bool

    raw = "name=a&name=b&size=1&size=2"
    twice = [(path, "Sent more than once; one value is expected") for path in ("/name", "/size")]
    assert errors(lambda: Body(raw.encode(), URLENCODED).form(Once)) == twice
    for query in queries(raw):
        assert errors(lambda query=query: query.parse(Once)) == twice


@pytest.mark.parametrize("model", [int, list[str], dict[str, int], str, Any])
def test_a_type_without_fields_is_an_error_of_the_code(model: Any) -> None:
    with pytest.raises(TypeError, match="is read into a dataclass, TypedDict, NamedTuple or pydantic model"):
        QueryParams({"a": "1"}).parse(model)


@pytest.mark.parametrize(
    ("text", "reason"), [("[" * 300 + "]" * 300, "nested too deep"), ('["\\ud800"]', "a lone surrogate")]
)
def test_json_that_only_validation_cannot_read_is_told_by_its_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidJSON, match=reason):
        parsed(text, Any)


def test_a_type_that_cannot_be_validated_by_is_an_error_of_the_code() -> None:
    class Wrong:
        pass

    @dataclass
    class Undefined:
        other: Wrong

    with pytest.raises(ConfigError, match=r"Undefined.* is not fully defined"):
        parsed("{}", Undefined)
    with pytest.raises(ConfigError, match=r"list.* is no type to validate by: .*\.Wrong"):
        parsed("{}", list[Wrong])
    if sys.version_info < (3, 12):

        class Other(typing.TypedDict):
            a: int

        with pytest.raises(ConfigError, match="write from typing_extensions import TypedDict"):
            parsed("{}", Other)


# --- the whole way ---------------------------------------------------------------------------------------------------

FUNCTIONS = """
    from __future__ import annotations
    from dataclasses import dataclass, field
    from wixhttp import ok, ValidationError
    from wixhttp.endpoints import AsyncFormFile, FormFile

    @dataclass
    class Order:
        name: str
        count: int = 1

    @dataclass
    class Upload:
        title: str
        photo: FormFile
        tags: list[str] = field(default_factory=list)

    @dataclass
    class AsyncUpload:
        title: str
        photo: AsyncFormFile

    def post_json(request): return ok([type(request.body.json(Order)).__name__, request.body.json()])
    async def post_ajson(request): return ok((await request.body.json(Order)).count)
    def get_query(request): return ok(request.query.parse(Order))
    async def get_aquery(request): return ok(request.query.parse(Order))
    def post_form(request):
        form = request.body.form()
        return ok([form.getAll("a"), form["f"].text() if form["f"] else None, request.body.text()[:3]])
    async def post_aform(request):
        form = await request.body.form()
        return ok([form.getAll("a"), await form["f"].text() if form["f"] else None])
    def post_upload(request):
        upload = request.body.form(Upload)
        return ok([upload.title, upload.photo.name, upload.photo.text(), upload.tags])
    async def post_aupload(request):
        upload = await request.body.form(AsyncUpload)
        return ok([upload.title, await upload.photo.text()])
    def post_caught(request):
        try:
            return ok(request.body.json(Order))
        except ValidationError as error:
            return ok({"caught": error.errors})
"""
ENDPOINT = """
    from __future__ import annotations
    from dataclasses import dataclass
    from wixhttp import check_origin
    from wixhttp.endpoints import Response

    @dataclass
    class Order:
        name: str
        count: int = 1

    def GET(url): return Response.json(url.searchParams.parse(Order))
    async def POST(request): return Response.json(await request.json(Order))
    def PUT(request): return Response.json(request.json(Order))
    @check_origin(False)
    async def PATCH(request): return Response.json(await request.formData(Order))
    @check_origin(False)
    def DELETE(request): return Response.json(request.formData(Order))
"""


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    folder: Path = write_project(tmp_path, {"backend/http_functions.py": FUNCTIONS, "src/pages/order.py": ENDPOINT})
    return TestClient(folder)


def test_functions(client: TestClient) -> None:
    f = "/_functions/"
    assert client.post(f + "json", json={"name": "a"}).json() == ["Order", {"name": "a"}]
    assert client.post(f + "ajson", json={"name": "a", "count": 3}).json() == 3
    for name in ("query", "aquery"):
        assert client.get(f + name + "?name=a&count=2").json() == {"name": "a", "count": 2}
    assert client.post(f + "form", data="a=1&a=2", headers={"Content-Type": URLENCODED}).json() == [
        ["1", "2"],
        None,
        "a=1",
    ]
    assert client.post(f + "caught", json={}).json() == {"caught": [{"path": "/name", "message": "Field required"}]}


def test_forms_of_functions(client: TestClient) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nSea\r\n'
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="s.txt"\r\n\r\nwaves\r\n'
        b'--x\r\nContent-Disposition: form-data; name="photo"; filename="s.txt"\r\n\r\nwaves\r\n'
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for name in ("form", "aform"):
        assert client.post("/_functions/" + name, data=body, headers=headers).json()[:2] == [["1"], "waves"]
    assert client.post("/_functions/upload", data=body, headers=headers).json() == ["Sea", "s.txt", "waves", []]
    assert client.post("/_functions/aupload", data=body, headers=headers).json() == ["Sea", "waves"]
    for name in ("form", "aform", "upload"):
        assert client.post("/_functions/" + name, json={}).status_code == 400
    text = client.post("/_functions/upload", data="title=a&photo=b", headers={"Content-Type": URLENCODED})
    assert text.json()["errors"] == [{"path": "/photo", "message": "Input should be an instance of a file"}]


def test_endpoints(client: TestClient) -> None:
    form = {"Content-Type": URLENCODED}
    assert client.get("/order?name=a").json() == {"name": "a", "count": 1}
    assert client.post("/order", json={"name": "a"}).json() == {"name": "a", "count": 1}
    assert client.put("/order", json={"name": "a"}).json() == {"name": "a", "count": 1}
    assert client.patch("/order", data="name=a&count=2", headers=form).json() == {"name": "a", "count": 2}
    assert client.request("DELETE", "/order", data="name=a", headers=form).json() == {"name": "a", "count": 1}


def test_what_is_not_caught_is_a_problem_document(client: TestClient) -> None:
    wrong = {"count": "hunter2"}
    form = {"Content-Type": URLENCODED}
    for answer in (
        client.post("/_functions/json", json=wrong),
        client.post("/_functions/ajson", json=wrong),
        client.get("/_functions/query?count=hunter2"),
        client.get("/_functions/aquery?count=hunter2"),
        client.get("/order?count=hunter2"),
        client.post("/order", json=wrong),
        client.put("/order", json=wrong),
        client.patch("/order", data="count=hunter2", headers=form),
    ):
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert (problem["status"], problem["detail"]) == (422, "The request does not have the form that is expected.")
        assert [each["path"] for each in problem["errors"]] == ["/name", "/count"]
        assert "hunter2" not in answer.text
        assert set(problem) == {"type", "title", "status", "detail", "request_id", "errors"}
    assert client.post("/_functions/json", data=b"{").status_code == 400


# --- the extra, and types --------------------------------------------------------------------------------------------


def test_without_the_extra_an_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _adapter.cache_clear()
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(ConfigError, match=r"run: pip install 'wixhttp\[validation\]'"):
        parsed("{}", Order)
    assert parsed("{}", None) == {}


def test_what_loads_pydantic_holds_no_event_loop() -> None:
    threads: list[int] = []

    def note(value: dict[str, int]) -> dict[str, int]:
        threads.append(threading.get_ident())
        return value

    noted: Any = Annotated[dict[str, int], AfterValidator(note)]
    data = b'{"count": 1}'
    headers = {"content-type": "application/json"}
    requests: list[Callable[[], Any]] = [
        lambda: AsyncBody(Body(data)).json(noted),
        lambda: AsyncRequest("http://localhost/", method="POST", headers=headers, body=data).json(noted),
    ]

    async def read() -> None:
        for request in requests:
            _adapter.cache_clear()
            assert await request() == await request() == {"count": 1}
            assert threads.pop() == threading.get_ident() != threads.pop()

    asyncio.run(read())


def test_an_adapter_is_made_once_for_a_type() -> None:
    assert _adapter(Order) is _adapter(Order)
