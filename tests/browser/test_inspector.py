"""The inspector in a real browser, over a real `wixhttp dev`: live list, keys, replay, calls, collections, looks."""

from __future__ import annotations

import html
import json
import operator
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.browser.pages import check_looks, violations
from tests.browser.pictures import with_palette
from tests.dev_servers import Development, developing
from tests.interfaces import write_project
from tests.servers import connect
from wixhttp import data
from wixhttp.data.collections import open_collections, override
from wixhttp.project.config import load_config

OpenPage = Callable[..., Page]

SITE = {
    "backend/http_functions.py": '''
        from wixhttp import ok, created, badRequest


        def get_hello(request):
            """Say hello to whoever asks."""
            print("somebody says hello")
            return ok(body={"hello": request.query.get("name", "world")})


        def post_orders(request):
            """Take an order, as the shop's webhook sends it."""
            order = request.body.json()
            if not order.get("items"):
                return badRequest(body={"error": "an order has items"})
            return created(body={"order": order["id"], "total": sum(item["price"] for item in order["items"])})


        def get_broken(request):
            """Fail, so that there is a traceback."""
            prices = {"tea": 3.5}
            return ok(body=prices["coffee"])
    ''',
    "src/pages/api/contact.py": '''
        from wixhttp.endpoints import Response


        def POST(context):
            """Take the contact form."""
            return Response(context.request.formData().get("name"))
    ''',
    "data/collections.toml": """
        [books]
        permissions = "public-content"
        indexes = [{fields = ["author", "-year"]}, {fields = ["isbn"], unique = true}]

        [books.references.genres]
        collection = "genres"
        many = true
        reverse = "books"

        [genres]
    """,
}
ORDER = {
    "id": "order-17",
    "customer": {"name": "Ada Lovelace", "mail": "ada@example.com"},
    "items": [{"sku": "TEA-1", "price": 3.5, "count": 2}, {"sku": "CUP-4", "price": 12}],
    "paid": True,
    "note": None,
}
SECRET = {"Authorization": "Bearer a-secret-token"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    folder = write_project(tmp_path_factory.mktemp("shop"), SITE)
    collections = open_collections(load_config(folder, environ={}))
    with override(collections):
        for start in range(0, 10_000, 1000):
            items = [
                {
                    "_id": f"book-{number:05}", "title": f"Book {number}", "author": f"Author {number % 97}",
                    "year": 1900 + number % 120, "isbn": str(number), "inStock": number % 3 == 0,
                }
                for number in range(start, start + 1000)
            ]  # fmt: skip
            data.bulkInsert("books", items, {"suppressAuth": True})
    collections.store.close()
    with developing(folder) as running:
        yield running


@pytest.fixture
def send(server: Development) -> Iterator[Callable[..., requests.Response]]:
    """``send(method, path, **options)``: a request from outside, as another program sends it."""
    with requests.Session() as session:

        def sent(method: str, path: str, **options: object) -> requests.Response:
            return session.request(method, server.server.url + path, timeout=20, **options)  # type: ignore[arg-type]

        yield sent


Send = Callable[..., requests.Response]


def listed(page: Page) -> list[str]:
    """The URLs of the rows of the list."""
    return page.locator("#rows td.url a").all_inner_texts()


def test_a_webhook_appears_is_opened_by_keyboard_and_replayed_edited(
    server: Development, open_page: OpenPage, send: Send
) -> None:
    page = open_page(server.server.url)
    page.goto("/_wixhttp/")
    expect(page.locator("#connection")).to_have_text("Waiting for requests")
    loaded = page.evaluate("performance.timeOrigin")
    assert send("POST", "/_functions/orders", json=ORDER, headers=SECRET).status_code == 201
    row = page.locator("#rows tr").first
    expect(row).to_contain_text("/_functions/orders")
    expect(row).to_contain_text("201")
    expect(page.locator("#news")).to_have_text(re.compile(r"\d+ new request"))
    assert page.evaluate("performance.timeOrigin") == loaded  # it was not loaded again

    page.keyboard.press("ArrowDown")
    expect(row.locator("a")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests/*")
    expect(page.get_by_role("heading", level=1)).to_have_text("POST /_functions/orders")
    expect(page.locator("body")).to_contain_text("Ada Lovelace")
    expect(page.locator("body")).not_to_contain_text("a-secret-token")

    page.get_by_role("link", name="Edit and replay").press("Enter")
    body = page.get_by_role("textbox", name="Body", exact=True)
    body.fill(json.dumps({**ORDER, "items": []}))
    page.get_by_role("button", name="Replay edited").press("Enter")
    page.wait_for_url("**/requests/*")
    expect(page.get_by_role("heading", name="The answer differs from that before")).to_be_visible()
    expect(page.get_by_role("region", name="Differences")).to_contain_text("201")
    before, now = page.locator("section[aria-labelledby^=answer-]").all()
    expect(before).to_contain_text("15.5")
    expect(now).to_contain_text("an order has items")
    assert violations(page) == []


def test_keys_move_replay_and_search(server: Development, open_page: OpenPage, send: Send) -> None:
    for number in range(3):
        send("GET", f"/_functions/hello?key={number}")
    page = open_page(server.server.url)
    page.goto("/_wixhttp/?text=key%3D")
    expect(page.locator("#rows tr")).to_have_count(3)
    rows = page.locator("#rows td.url a")
    for key, place in (("j", 0), ("j", 1), ("ArrowDown", 2), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0)):
        page.keyboard.press(key)
        expect(rows.nth(place)).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Text in URL or body")).to_be_focused()
    page.keyboard.type("jkr")  # keys are letters in a field
    expect(page.get_by_label("Text in URL or body")).to_have_value("jkr")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("r")
    page.wait_for_url("**/requests/*")
    expect(page.get_by_role("heading", name="Same answer as before")).to_be_visible()


def test_a_key_that_is_held_replays_once(server: Development, open_page: OpenPage, send: Send) -> None:
    send("GET", "/_functions/hello?held=1")
    page = open_page(server.server.url)
    page.goto("/_wixhttp/?text=held%3D")
    page.locator("#rows td.url a").first.click()
    page.wait_for_url("**/requests/*")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.evaluate("""() => {
        for (const repeat of [false, true, true, false])
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "r", repeat, bubbles: true }));
    }""")
    expect(page.get_by_role("heading", name="Same answer as before")).to_be_visible()
    page.evaluate("""() => {
        document.getElementById("replay").disabled = true;
        for (const repeat of [true, false])
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "r", repeat, bubbles: true }));
    }""")
    page.goto("/_wixhttp/?text=held%3D")
    expect(page.locator("#rows tr")).to_have_count(2)
    assert len(sent) == 1


def test_the_list_is_filtered_paused_and_cleared(server: Development, open_page: OpenPage, send: Send) -> None:
    send("GET", "/_functions/hello?filtered=1")
    send("GET", "/_functions/nothing")
    page = open_page(server.server.url)
    page.goto("/_wixhttp/")
    page.get_by_label("Status").select_option("4xx")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**status=4xx**")
    assert "/_functions/nothing" in listed(page)
    assert not any("hello" in each for each in listed(page))
    send("GET", "/_functions/hello?live=1")
    send("GET", "/_functions/nothing?live=1")
    expect(page.locator("#rows td.url").first).to_have_text("/_functions/nothing?live=1")
    assert not any("hello" in each for each in listed(page))

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#connection")).to_have_text("Paused")
    send("GET", "/_functions/nothing?paused=1")
    expect(page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#rows td.url").first).to_have_text("/_functions/nothing?live=1")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#rows td.url").first).to_have_text("/_functions/nothing?paused=1")

    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()
    expect(page.locator("#empty")).to_contain_text(f"curl {server.server.url}/_functions/")
    send("GET", "/_functions/hello?after=clear")
    expect(page.locator("#rows td.url").first).to_have_text("/_functions/hello?after=clear")
    expect(page.get_by_role("heading", name="No requests yet")).to_be_hidden()


def test_a_save_leaves_the_list_alive(server: Development, open_page: OpenPage, send: Send) -> None:
    page = open_page(server.server.url)
    page.goto("/_wixhttp/")
    source = (server.folder / "backend/http_functions.py").read_text()
    server.save(source + "\n# saved\n")
    send("GET", "/_functions/hello?after=save")
    expect(page.locator("#rows td.url").first).to_have_text("/_functions/hello?after=save")


def test_a_flood_leaves_the_page_alive_and_its_rows_bounded(
    server: Development, open_page: OpenPage, send: Send
) -> None:
    page = open_page(server.server.url)
    page.goto("/_wixhttp/")
    expect(page.locator("#connection")).to_have_text("Waiting for requests")
    flood(server.port, 5000)
    expect(page.locator("#rows td.url").first).to_have_text("/_functions/hello?flood=4999")
    assert page.locator("#rows tr").count() <= 500
    more = page.locator("#rows tr.more a").first
    expect(more).to_have_text(re.compile(r"\d+ more: show"))
    more.click()
    page.wait_for_url("**before=**")
    assert len(listed(page)) > 50


def flood(port: int, count: int) -> None:
    """Send so many requests by one connection, a hundred at a time without waiting for their answers."""
    with connect(port) as connection:
        for start in range(0, count, 100):
            heads = [
                f"GET /_functions/hello?flood={number} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                for number in range(start, start + 100)
            ]
            connection.sendall("".join(heads).encode())
            answers = b""
            while answers.count(b"HTTP/1.1 200") < 100 or not answers.endswith(b"}"):
                answers += connection.recv(65_536)


def test_it_works_without_javascript(server: Development, open_page: OpenPage, send: Send) -> None:
    send("POST", "/_functions/orders", json=ORDER)
    page = open_page(server.server.url, java_script_enabled=False)
    page.goto("/_wixhttp/?method=POST")
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    page.locator("#rows td.url a").first.click()
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.get_by_role("heading", name="Same answer as before")).to_be_visible()


def test_a_function_is_called_by_its_form(server: Development, open_page: OpenPage, send: Send) -> None:
    page = open_page(server.server.url)
    page.goto("/_wixhttp/functions")
    page.get_by_role("link", name="/_functions/hello").click()
    page.get_by_label("Query").fill("name=Grace Hopper")
    page.get_by_role("button", name="Call").click()
    page.wait_for_url("**answer=1**")
    expect(page.locator("#answered")).to_contain_text("200 OK")
    expect(page.locator("#answered")).to_contain_text('"Grace Hopper"')
    page.get_by_role("link", name="Open the request").click()
    expect(page.locator("body")).to_contain_text("somebody says hello")


def test_a_collection_is_walked_filtered_and_sorted(server: Development, open_page: OpenPage) -> None:
    page = open_page(server.server.url)
    page.goto("/_wixhttp/collections")
    page.get_by_role("link", name="books", exact=True).click()
    expect(page.locator("body")).to_contain_text("10 000 items")
    first = page.locator("tbody th a").all_inner_texts()
    for turn in ("Next", "Next", "Previous", "Previous"):
        before = page.url
        page.get_by_role("link", name=turn).click()
        page.wait_for_url(partial(operator.ne, before))
    expect(page.locator("tbody th a")).to_have_text(first)
    seen, address = set[str](), "/_wixhttp/collections/books"
    started = time.monotonic()
    with requests.Session() as session:
        while address:
            text = session.get(server.server.url + address, timeout=20).text
            seen |= set(re.findall(r"item\?id=(book-\d+)", text))
            onward = re.search('href="([^"]*)" rel="next"', text)
            address = html.unescape(onward[1]) if onward else ""
    assert len(seen) == 10_000
    assert time.monotonic() - started < 20
    page.get_by_label("Filter", exact=True).fill('{"author": "Author 3", "year": {"$gte": 2000}}')
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("body")).to_contain_text("that the filter selects")
    page.get_by_role("link", name="year").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("year")
    years = page.locator("tbody td:nth-child(6)").all_inner_texts()
    assert years == sorted(years)


def test_an_item_is_edited_and_a_mistake_is_told(server: Development, open_page: OpenPage) -> None:
    page = open_page(server.server.url)
    page.goto("/_wixhttp/collections/books/item?id=book-00042")
    field = page.get_by_label("Item, as JSON")
    text = field.input_value()
    field.fill(text.replace('"Book 42"', '"Book 42'))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("The item is not JSON")
    expect(field).to_have_value(text.replace('"Book 42"', '"Book 42'))
    field.fill(text.replace("Book 42", "The Answer"))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("The item is saved.")
    expect(field).to_have_value(re.compile("The Answer"))


def pages(send: Send, server: Development) -> dict[str, str]:
    """The address of each page, by name, with requests of every kind kept."""
    requests.post(f"{server.server.url}/_functions/nothing", timeout=20)
    send("GET", "/_functions/hello?name=Ada&token=secret", headers=SECRET)
    send("GET", "/_functions/hello?long=" + "value" * 200, headers={"X-Long": "header " * 200})
    send("POST", "/_functions/orders", data=bytes(range(256)), headers={"Content-Type": "application/octet-stream"})
    send("POST", "/api/contact", data={"name": "Ada"}, headers={"Origin": server.server.url})
    broken = send("GET", "/_functions/broken").headers["X-Request-Id"]
    order = send("POST", "/_functions/orders", json=ORDER, headers=SECRET).headers["X-Request-Id"]
    return {
        "requests": "/_wixhttp/",
        "request": f"/_wixhttp/requests/{order}",
        "request-failed": f"/_wixhttp/requests/{broken}",
        "functions": "/_wixhttp/functions",
        "call": f"/_wixhttp/functions/call?from={order}&answer=1",
        "collections": "/_wixhttp/collections",
        "collection": "/_wixhttp/collections/books?sort=year",
        "item": "/_wixhttp/collections/books/item?id=book-00007",
        "new-item": "/_wixhttp/collections/genres/new",
        "no-requests": "/_wixhttp/?text=nothing-has-this",
        "not-there": "/_wixhttp/nothing",
    }


def test_every_page_looks_right_in_each_width_light_and_dark(
    server: Development, open_page: OpenPage, send: Send
) -> None:
    page = open_page(server.server.url)
    addresses = pages(send, server)
    page.goto(addresses["request"])
    page.evaluate("document.getElementById('edit').open = true")
    page.get_by_role("textbox", name="Body", exact=True).fill('{"items": []}')
    page.get_by_role("button", name="Replay edited").click()
    page.get_by_role("heading", name="The answer differs").wait_for()
    for name, address in {**addresses, "replay": page.url}.items():
        page.goto(address)
        for part in page.locator("details").all():
            part.evaluate("part => { part.open = true; }")
        check_looks(page, f"inspector-{name}")


def test_a_page_of_another_origin_neither_sees_nor_changes_anything(
    server: Development, browser: Browser, send: Send
) -> None:
    identity = send("GET", "/_functions/hello?kept=1").headers["X-Request-Id"]
    own = server.server.url
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://localhost:{server.port}/_functions/hello")  # another site than 127.0.0.1
    with page.expect_event("requestfailed") as embedded:
        page.set_content(f'<img src="{own}/_wixhttp/requests/{identity}/image/response">')
    assert embedded.value.url.startswith(own)
    page.set_content(f'<form method="post" action="{own}/_wixhttp/requests/clear"><button>Go</button></form>')
    with page.expect_response(f"{own}/**") as posted:
        page.get_by_role("button").click()
    assert posted.value.status == 403
    page.goto(f"{own}/_wixhttp/")
    assert "/_functions/hello?kept=1" in listed(page)
    context.close()


@pytest.mark.skipif("WIXHTTP_TEST_DOCS_PICTURES" not in os.environ, reason="WIXHTTP_TEST_DOCS_PICTURES writes them")
def test_pictures_of_the_documentation(server: Development, open_page: OpenPage, send: Send) -> None:
    """Run with ``WIXHTTP_TEST_DOCS_PICTURES=docs/images``: it writes the pictures of ``docs/develop.md`` there."""
    folder = Path(os.environ["WIXHTTP_TEST_DOCS_PICTURES"])
    folder.mkdir(parents=True, exist_ok=True)
    page = open_page(server.server.url, 1024, 580)
    page.goto("/_wixhttp/")
    page.get_by_role("button", name="Clear").click()
    pages(send, server)
    send("GET", "/_functions/hello?name=Grace")
    page.goto("/_wixhttp/")
    expect(page.locator("#rows tr")).to_have_count(8)
    (folder / "inspector.png").write_bytes(with_palette(page.screenshot()))
    page.goto("/_functions/broken")
    (folder / "error-page.png").write_bytes(with_palette(page.screenshot()))
