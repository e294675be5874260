"""`wixhttp openapi`: valid documents, and what they tell of a site."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests import commands
from tests.servers import TIMEOUT, clean
from wixhttp.cli.openapi.document import openapi_document
from wixhttp.dispatch.site import load_site
from wixhttp.project.config import load_config

ROOT = Path(__file__).parents[1]


def document_of(folder: Path, files: dict[str, str]) -> dict[str, Any]:
    """The document of a project of these files, which is valid."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text))
    document, _ = openapi_document(load_site(load_config(folder)))
    validate(document)
    return document


def functions(folder: Path, text: str) -> dict[str, Any]:
    """The operations of HTTP functions, by method and path."""
    return operations(document_of(folder, {"backend/http_functions.py": text}))


def operations(document: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def content(operation: dict[str, Any], status: str) -> dict[str, Any]:
    found: dict[str, Any] = operation["responses"][status]["content"]
    return found


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample() -> str:
    done = commands.run(["openapi"], cwd=ROOT, env=clean({}))
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_the_document_of_the_sample_site_is_valid_and_names_every_route(sample: str) -> None:
    document = json.loads(sample)
    validate(document)
    listed = json.loads(commands.run(["routes", "--json"], cwd=ROOT, env=clean({}), check=True).stdout)
    told = operations(document)
    for route in listed:
        path = route["url"].replace("[...", "{").replace("[", "{").replace("]", "}")
        methods = ["GET", "PUT", "POST", "DELETE", "PATCH"] if route["method"] == "ANY" else [route["method"]]
        for method in methods:
            assert told[f"{method.lower()} {path}"].get("summary", "") == route["summary"]
    assert document["info"]["title"] == "wixhttp"
    names = [operation["operationId"] for operation in told.values()]
    assert len(set(names)) == len(names)


def test_another_process_prints_the_same_document_into_a_file(sample: str, tmp_path: Path) -> None:
    output = tmp_path / "openapi.json"
    command = [sys.executable, "-m", "wixhttp", "openapi", "--output", str(output)]
    done = subprocess.run(
        command, cwd=ROOT, env=clean({"PYTHONHASHSEED": "1"}), capture_output=True, check=True, timeout=TIMEOUT
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert output.read_text() == sample


@pytest.mark.parametrize("name", ["backend/http_functions.py", "src/pages/api/x.py"])
def test_a_file_that_cannot_be_imported_is_an_error_also_in_development(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("1 / 0\n")
    (tmp_path / "wixhttp.toml").write_text("mode = 'development'\n")
    done = commands.run(["openapi"], cwd=tmp_path, env=clean({}))
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"ZeroDivisionError" in done.stderr


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "src/pages").mkdir(parents=True)
    done = commands.run(["openapi", "-o", "no/such/folder.json"], cwd=tmp_path, env=clean({}))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"Error: no/such/folder.json: No such file or directory\n"


def test_without_pydantic_types_are_left_out_and_a_note_says_so(tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend/http_functions.py").write_text(
        "from dataclasses import dataclass\n@dataclass\nclass Order:\n    name: str\n"
        "def post_a(request): return request.body.json(Order)\n"
    )
    program = "import sys; sys.modules['pydantic'] = None; from wixhttp.cli.commands import main; main(['openapi'])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=clean({}), capture_output=True, check=True, timeout=TIMEOUT
    )
    assert b"pip install 'wixhttp[validation]'" in done.stderr
    document = json.loads(done.stdout)
    validate(document)
    told = operations(document)["post /_functions/a"]
    assert told["requestBody"] == {"required": True, "content": {"application/json": {}}}


# --- the site --------------------------------------------------------------------------------------------------------


def test_title_version_servers_and_base_path_are_those_of_the_project(tmp_path: Path) -> None:
    document = document_of(
        tmp_path,
        {
            "pyproject.toml": """
                [project]
                name = "shop"
                version = "2.1"
                description = "All for tea"
                [tool.wixhttp]
                public_url = "https://www.example.com"
                base_path = "/shop"
                pages_prefix = "/v1"
            """,
            "backend/http_functions.py": "def get_tea(): ...",
            "src/pages/api/hello.py": "def GET(): ...",
        },
    )
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {"title": "shop", "version": "2.1", "description": "All for tea"}
    assert document["servers"] == [{"url": "https://www.example.com/shop"}]
    assert list(document["paths"]) == ["/_functions/tea", "/v1/api/hello"]


def test_a_site_that_says_nothing_is_named_for_its_folder(tmp_path: Path) -> None:
    document = document_of(tmp_path / "shop", {"public/robots.txt": ""})
    assert document["info"] == {"title": "shop", "version": "0"}
    assert document["servers"] == [{"url": "/"}]
    assert document["paths"] == {}


def test_a_docstring_is_summary_and_description(tmp_path: Path) -> None:
    told = functions(
        tmp_path,
        '''
        def get_a():
            """One line.

            More of it,
            in two lines.
            """
        def get_b(): ...
        ''',
    )
    assert told["get /_functions/a"]["summary"] == "One line."
    assert told["get /_functions/a"]["description"] == "More of it,\nin two lines."
    assert not {"summary", "description"} & told["get /_functions/b"].keys()


def test_a_function_that_reads_its_path_has_a_second_path(tmp_path: Path) -> None:
    told = functions(
        tmp_path,
        """
        def get_a(request): return request.path[0]
        def post_a(request): ...
        def get_path(request):
            path = "not of the request"
            return path
        """,
    )
    assert list(told) == ["get /_functions/a", "post /_functions/a", "get /_functions/a/{rest}", "get /_functions/path"]
    assert told["get /_functions/a/{rest}"]["operationId"] == "get_a_rest"


def test_a_function_of_every_method_is_told_for_each_that_has_none_of_its_own(tmp_path: Path) -> None:
    told = functions(
        tmp_path,
        """
        def use_a(request): return request.body.json()
        def post_a(request): ...
        """,
    )
    assert sorted(told) == [f"{method} /_functions/a" for method in ("delete", "get", "patch", "post", "put")]
    assert told["put /_functions/a"]["operationId"] == "use_a_put"
    assert told["put /_functions/a"]["requestBody"]["required"] is False
    assert "requestBody" not in told["get /_functions/a"]
    assert told["post /_functions/a"]["operationId"] == "post_a"


def test_routes_of_endpoints_are_path_templates(tmp_path: Path) -> None:
    document = document_of(
        tmp_path,
        {
            f"src/pages/{name}.py": "def GET(params): ...\ndef POST(params): ..."
            for name in ("index", "users/[id]", "list/[page].json", "café/a b", "files/[kind]/[...path]", "{x}")
        },
    )
    assert sorted(document["paths"]) == [
        "/", "/%7Bx%7D", "/caf%C3%A9/a%20b", "/files/{kind}/{path}", "/list/{page}.json", "/users/{id}",
    ]  # fmt: skip
    parameters = document["paths"]["/files/{kind}/{path}"]["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in parameters] == [
        ("kind", "path", True),
        ("path", "path", True),
    ]
    assert "slashes" in parameters[1]["description"]
    tags = {path: item["get"]["tags"] for path, item in document["paths"].items()}
    assert tags == {
        "/": ["pages"], "/%7Bx%7D": ["{x}"], "/caf%C3%A9/a%20b": ["café/a b"], "/files/{kind}/{path}": ["files"],
        "/list/{page}.json": ["list"], "/users/{id}": ["users"],
    }  # fmt: skip


def test_an_adapted_function_is_told_as_that_function(tmp_path: Path) -> None:
    document = document_of(
        tmp_path,
        {
            "backend/products.py": '''
                from wixhttp import notFound
                def get_product(request):
                    """A product."""
                    return notFound() if request.query["q"] else None
            ''',
            "src/pages/product/[...path].py": """
                from backend.products import get_product
                from wixhttp.endpoints import adapt
                GET = adapt(get_product)
            """,
        },
    )
    told = operations(document)["get /product/{path}"]
    assert told["summary"] == "A product."
    assert "404" in told["responses"]


# --- what is read ----------------------------------------------------------------------------------------------------


def test_parameters_that_are_read_by_literal_names_are_listed_once(tmp_path: Path) -> None:
    told = functions(
        tmp_path,
        """
        from wixhttp import Request
        def get_a(request):
            query = request.query
            name = "computed"
            return query["q"], request.query["q"], request.query.get("page"), request.query_all["tag"], query[name]
        async def get_b(request):
            return _key(request), request.headers["Accept"], request.headers["x-key"]
        def _key(request: Request):
            return request.headers.get("X-Key"), request.query["key"]
        """,
    )
    found = {
        name: [(each["name"], each["in"], each["schema"]["type"]) for each in operation["parameters"]]
        for name, operation in told.items()
    }
    assert found == {
        "get /_functions/a": [("q", "query", "string"), ("page", "query", "string"), ("tag", "query", "array")],
        "get /_functions/b": [("x-key", "header", "string"), ("key", "query", "string")],
    }


def test_the_query_of_an_endpoint_is_found_through_its_members(tmp_path: Path) -> None:
    document = document_of(
        tmp_path,
        {
            "src/pages/a.py": """
                from wixhttp.endpoints import URL
                def GET(url, request):
                    return url.searchParams.get("q"), url.searchParams.getAll("tag"), request.headers.get("X-Key")
                def PUT(context): return context.url.searchParams.has("force")
                def POST(request): return URL(request.url).searchParams.get("from")
            """,
        },
    )
    found = {name: [each["name"] for each in told["parameters"]] for name, told in operations(document).items()}
    assert found == {"get /a": ["q", "tag", "X-Key"], "put /a": ["force"], "post /a": ["from"]}


TYPES = """
    from __future__ import annotations
    from dataclasses import dataclass, field
    from enum import Enum
    from typing import NamedTuple
    from pydantic import BaseModel, Field
    from typing_extensions import TypedDict
    from wixhttp import Request, created, ok
    from wixhttp.endpoints import FormFile

    class Kind(Enum):
        TEA = "tea"
        CUP = "cup"

    @dataclass
    class Line:
        sku: str
        kind: Kind = Kind.TEA

    @dataclass
    class Order:
        name: str
        lines: list[Line] = field(default_factory=list)

    class Filter(BaseModel):
        q: str
        page: int = Field(1, ge=1)
        tag: list[str] = []

    class Place(TypedDict):
        city: str

    class Point(NamedTuple):
        x: int

    @dataclass
    class Upload:
        title: str
        photo: FormFile
"""


def test_typed_bodies_and_queries_have_schemas(tmp_path: Path) -> None:
    document = document_of(
        tmp_path,
        {
            "backend/http_functions.py": TYPES
            + """
    def post_orders(request: Request):
        order = request.body.json(Order)
        return created(body=order)
    async def put_orders(request): return ok(body=[await request.body.json(list[Order])])
    def get_orders(request): return ok(body=request.query.parse(Filter))
    def post_place(request): return ok(body=request.body.form(Place))
    def post_point(request): return ok(body=request.body.json(Point))
    def post_upload(request): return ok(body=request.body.form(Upload).title)
    """,
        },
    )
    told, schemas = operations(document), document["components"]["schemas"]
    [body] = told["post /_functions/orders"]["requestBody"]["content"].values()
    assert body == {"schema": {"$ref": "#/components/schemas/Order"}}
    assert schemas["Order"]["required"] == ["name"]
    sent = content(told["post /_functions/orders"], "201")
    assert sent == {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
    assert schemas["Kind"]["enum"] == ["tea", "cup"]
    [body] = told["put /_functions/orders"]["requestBody"]["content"].values()
    assert body["schema"] == {"type": "array", "items": {"$ref": "#/components/schemas/Order"}}
    assert {"400", "422", "500", "default"} <= told["put /_functions/orders"]["responses"].keys()
    problem = document["components"]["responses"]["Problem422"]["content"]["application/problem+json"]
    assert "errors" in schemas[problem["schema"]["$ref"].rpartition("/")[2]]["properties"]

    parameters = {each["name"]: each for each in told["get /_functions/orders"]["parameters"]}
    assert {name: each["required"] for name, each in parameters.items()} == {"q": True, "page": False, "tag": False}
    assert parameters["page"]["schema"]["minimum"] == 1
    assert "422" in told["get /_functions/orders"]["responses"]

    form = told["post /_functions/place"]["requestBody"]["content"]
    assert set(form) == {"application/x-www-form-urlencoded", "multipart/form-data"}
    assert set(told["post /_functions/upload"]["requestBody"]["content"]) == {"multipart/form-data"}
    assert schemas["Upload"]["properties"]["photo"]["contentMediaType"] == "application/octet-stream"


def test_two_types_of_one_name_are_two_schemas(tmp_path: Path) -> None:
    text = """
        from dataclasses import dataclass
        @dataclass
        class Thing:
            {0}: str
        def POST(request): return request.json(Thing)
    """
    document = document_of(tmp_path, {f"src/pages/{name}.py": text.format(name) for name in ("a", "b")})
    found = [
        document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]["required"]
        for told in operations(document).values()
        for body in told["requestBody"]["content"].values()
    ]
    assert found == [["a"], ["b"]]


def test_types_that_cannot_be_told_are_left_open(tmp_path: Path) -> None:
    told = functions(
        tmp_path,
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from typing import TYPE_CHECKING
        from wixhttp import ok
        if TYPE_CHECKING:
            from nowhere import Order
        @dataclass
        class Broken:
            part: Order
        @dataclass
        class Odd:
            call: object = print
        def post_a(request): return ok(body=request.body.json(Order))
        def post_b(request): return ok(body=request.body.json(Broken))
        def post_c(request): return ok(body=request.body.json(pick()))
        def post_d(request):
            @dataclass
            class Inner: ...
            return ok(body=request.body.json(Inner))
        def post_e(request): return ok(body=request.body.json(Odd))
        def pick(): ...
        """,
    )
    bodies = [each["requestBody"]["content"] for each in told.values()]
    assert bodies[:4] == [{"application/json": {}}] * 4
    assert set(bodies[4]) == {"application/json"}


def test_raw_bodies_count_where_nothing_else_is_read(tmp_path: Path) -> None:
    told = functions(
        tmp_path,
        """
        def post_a(request): return request.body.text()
        def post_b(request): return request.body.buffer()
        def post_c(request): return request.body.buffer(), request.body.json()
        def delete_d(request): return request.body.json()
        """,
    )
    bodies = {name: list(each.get("requestBody", {}).get("content", ())) for name, each in told.items()}
    assert bodies == {
        "post /_functions/a": ["text/plain"],
        "post /_functions/b": ["application/octet-stream"],
        "post /_functions/c": ["application/json"],
        "delete /_functions/d": [],
    }


# --- what is answered ------------------------------------------------------------------------------------------------


def statuses(told: dict[str, Any]) -> dict[str, list[str]]:
    return {
        name: [status for status in each["responses"] if status not in ("500", "default")]
        for name, each in told.items()
    }


def test_statuses_are_those_of_helpers_responses_and_errors(tmp_path: Path) -> None:
    told = functions(
        tmp_path,
        """
        from http import HTTPStatus
        from wixhttp import HTTPError, Response, badRequest, created, notFound, ok, response
        def get_a(request):
            if request.path[1]:
                raise HTTPError(409, "taken")
            return created({"body": {}}) if request.query["new"] else _no_a()
        def _no_a(): return notFound()
        def get_b(): return response({"status": 418, "body": "tea"})
        def get_c(): return Response(HTTPStatus.ACCEPTED, body="tea")
        def get_d(request): return response(status=204 if request.ip else 206)
        def get_e(): return {"status": 201, "body": [1]}
        def get_f(status): return response(status=status)
        def get_g(): return badRequest("no")
        def get_h(): raise HTTPError(460)
        """,
    )
    assert statuses(told) == {
        "get /_functions/a": ["201", "404", "409"],
        "get /_functions/a/{rest}": ["201", "404", "409"],
        "get /_functions/b": ["200", "418"],  # of the helper alone there is no good answer: one is told
        "get /_functions/c": ["202"],
        "get /_functions/d": ["204", "206"],
        "get /_functions/e": ["201"],
        "get /_functions/f": ["200"],
        "get /_functions/g": ["200", "400"],
        "get /_functions/h": ["200", "460"],
    }
    assert told["get /_functions/a"]["responses"]["404"] == {"description": "Not Found"}


def test_the_content_of_an_answer_is_told_where_the_text_says_it(tmp_path: Path) -> None:
    told = functions(
        tmp_path,
        TYPES
        + """
    def get_a(): return ok({"body": {"a": 1}})
    def get_b(request): return ok({"headers": {"Content-Type": "text/csv; charset=utf-8"}, "body": request.ip})
    def get_c(): return ok(f"{1}")
    def get_d(): return ok(body=b"")
    def get_e(request): return ok(body=request.ip)
    def get_f(): return ok(body=Order("a"))
    def get_g(): return ok(body=find())
    def get_h():
        found: Line = find()
        return ok({"body": found})
    def get_i(): return ok([1])
    def get_j(): return ok({"a": 1})
    def get_k():
        options = {"headers": {"Content-Type": "text/html"}}
        return ok({**options, "body": "<p>"})
    def get_l(): return ok(body=text())
    def get_m(request): return ok(body=Order("a")) if request.ip else ok(body=Line("a"))
    def get_n(): return ok()
    def find() -> Order | None: ...
    def text() -> str: ...
    """,
    )
    found = {name[-1]: each["responses"]["200"].get("content", {}) for name, each in told.items()}
    assert {name: next(iter(each), "") for name, each in found.items()} == {
        "a": "application/json", "b": "text/csv", "c": "text/plain", "d": "application/octet-stream", "e": "*/*",
        "f": "application/json", "g": "application/json", "h": "application/json", "i": "application/json",
        "j": "application/json", "k": "text/plain", "l": "text/plain", "m": "application/json", "n": "",
    }  # fmt: skip
    assert found["f"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert found["g"]["application/json"]["schema"]["anyOf"][0] == {"$ref": "#/components/schemas/Order"}
    assert found["h"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Line"}
    assert found["m"]["application/json"]["schema"]["anyOf"] == [
        {"$ref": "#/components/schemas/Order"},
        {"$ref": "#/components/schemas/Line"},
    ]


def test_answers_of_endpoints(tmp_path: Path) -> None:
    document = document_of(
        tmp_path,
        {
            "src/pages/a.py": """
                from wixhttp.endpoints import Response
                def GET(): return Response.json({"a": 1}, status=201)
                def POST(redirect): return redirect("/", 303)
                def PUT(): return Response("tea", status=404, headers={"Content-Type": "text/plain"})
                def DELETE(): return Response(None, 204)
                def PATCH(): return Response.redirect("/")
            """,
        },
    )
    assert statuses(operations(document)) == {
        "get /a": ["201"],
        "put /a": ["200", "404"],
        "post /a": ["303"],
        "delete /a": ["204"],
        "patch /a": ["302"],
    }


def test_every_operation_refers_to_problem_documents(tmp_path: Path) -> None:
    document = document_of(tmp_path, {"backend/http_functions.py": "def get_a(): ..."})
    [told] = operations(document).values()
    assert told["responses"]["500"] == {"$ref": "#/components/responses/Problem500"}
    assert told["responses"]["default"] == {"$ref": "#/components/responses/Problem"}
    responses = document["components"]["responses"]
    assert set(responses) == {"Problem", "Problem500"}
    assert {*responses["Problem500"]["content"]} == {"application/problem+json"}
    assert "405" in responses["Problem"]["description"]


# --- callers ---------------------------------------------------------------------------------------------------------

CALLERS = """
    from wixhttp.auth import getTokenInfo, require
    @require("MEMBER")
    def get_mine(): ...
    async def get_maybe(): return (await getTokenInfo()).active
    def get_open(): ...
"""


def test_what_asks_for_the_caller_takes_a_token(tmp_path: Path) -> None:
    settings = 'auth = {issuer = "https://id.example.com", audience = "shop", secret = "KEY", algorithms = ["HS256"]}'
    document = document_of(tmp_path, {"backend/http_functions.py": CALLERS, "wixhttp.toml": settings})
    told = operations(document)
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert told["get /_functions/mine"]["security"] == [{"bearer": []}]
    assert {"401", "403"} <= told["get /_functions/mine"]["responses"].keys()
    assert told["get /_functions/maybe"]["security"] == [{}, {"bearer": []}]
    assert "security" not in told["get /_functions/open"]


def test_without_the_setting_auth_there_is_no_security_scheme(tmp_path: Path) -> None:
    document = document_of(tmp_path, {"backend/http_functions.py": CALLERS})
    assert "securitySchemes" not in document["components"]
    assert not any("security" in told for told in operations(document).values())
