"""The error page in a real browser: it shows the line, mends itself after a save, and looks as it should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import check_looks, violations
from tests.dev_servers import developing, save_at_once
from tests.interfaces import write_project
from tests.servers import Server

FUNCTIONS = '''
import logging
from wixhttp import *

PAGE = "<!doctype html><link rel=icon href=data:,>"  # or a browser asks for /favicon.ico

class Cart:
    def __init__(self, items):
        self.items = items
        self.currency = "EUR"

class Unreadable:
    def __repr__(self):
        raise RuntimeError("no")

def price_of(item, discount):
    per_piece = item["price"] / item["quantity"]
    return per_piece * (1 - discount)

def total(cart, api_token):
    unreadable = Unreadable()
    prices = []
    for item in cart.items:
        prices.append(price_of(item, discount=0.1))
    return sum(prices)

def post_checkout(request):
    """The price of a cart."""
    print("the checkout begins")
    data = request.body.json()
    logging.getLogger("shop").warning("the cart of %s has an empty line", data["customer"])
    cart = Cart(data["items"])
    try:
        amount = total(cart, api_token="sk_test_0123456789abcdef")
    except ZeroDivisionError as error:
        raise ValueError(f"the cart of {data['customer']} has no price: each line needs a piece or more") from error
    return ok(body={"total": amount})

def get_number(request):
    numbers = [1, 2, 3]
    return ok(body=PAGE + str(numbers[7]), headers={"Content-Type": "text/html"})
'''
CART = {
    "customer": "Ada </script><script>alert(1)</script>",
    "items": [{"price": 3, "quantity": 2}, {"price": 5, "quantity": 0}],
}
FILE = "backend/http_functions.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that is saved while its pages are open."""
    return write_project(tmp_path_factory.mktemp("site"), {FILE: FUNCTIONS})


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """`wixhttp dev` of the site."""
    with developing(folder) as development:
        yield development.server


@pytest.fixture(autouse=True)
def whole(folder: Path, server: Server) -> Iterator[None]:
    """The site is as it was again, once a test ends that saves it."""
    yield
    save(folder, FUNCTIONS)


def save(folder: Path, text: str) -> None:
    """Save the file of functions, unless it has that text."""
    if (folder / FILE).read_text() != text:
        save_at_once(folder / FILE, text)


def post(page: Page, path: str, body: object) -> None:
    """Open a page as a form does that sends JSON, which no form of HTML can."""

    def send(route: Route) -> None:
        headers = {
            **route.request.headers,
            "content-type": "application/json",
            "authorization": "Bearer not-to-be-seen",
        }
        route.continue_(method="POST", post_data=json.dumps(body), headers=headers)

    page.route(f"**{path}", send)
    page.goto(path)
    page.unroute(f"**{path}")


def test_the_page_shows_the_line_and_mends_itself_after_a_save(
    open_page: OpenPage, server: Server, folder: Path
) -> None:
    page = open_page(server.url)
    page.goto("/_functions/number")
    expect(page.get_by_role("heading", level=1)).to_have_text("IndexError")
    expect(page.locator(".line.current").first).to_contain_text("str(numbers[7])")
    expect(page.locator(".line.current mark").first).to_have_text("numbers[7]")
    expect(page.get_by_role("row", name="numbers [1, 2, 3]")).to_be_visible()
    save(folder, FUNCTIONS.replace("numbers[7]", "numbers[1]"))
    expect(page.locator("body")).to_have_text("2")


def test_an_open_page_follows_a_save_that_breaks_and_one_that_mends(
    open_page: OpenPage, server: Server, folder: Path
) -> None:
    page = open_page(server.url)
    page.goto("/_functions/number")
    save(folder, FUNCTIONS + "\ndef get_more(request:\n    pass\n")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("SyntaxError")
    expect(page.locator(".line.current")).to_contain_text("def get_more(request:")
    expect(page.get_by_text("until the project can be loaded")).to_be_visible()
    check_looks(page, "not-loaded")
    save(folder, FUNCTIONS + "\nimport no_such_module_at_all\n")
    expect(heading).to_have_text("ModuleNotFoundError")
    save(folder, FUNCTIONS.replace("numbers[7]", "numbers[0]"))
    expect(page.locator("body")).to_have_text("1")


def test_a_page_that_answers_a_form_is_not_sent_again(open_page: OpenPage, server: Server, folder: Path) -> None:
    page = open_page(server.url)
    post(page, "/_functions/checkout", CART)
    expect(page.get_by_role("heading", level=1)).to_have_text("ValueError")
    notice = page.get_by_text("The code was loaded again")
    expect(notice).to_be_hidden()
    save(folder, FUNCTIONS.replace('item["quantity"]', 'max(item["quantity"], 1)'))
    expect(notice).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Replay this request").click()
    page.wait_for_url("**/_wixhttp/requests/*")
    expect(page.get_by_text("200").first).to_be_visible()


def test_the_page_tells_all_and_looks_well(open_page: OpenPage, server: Server) -> None:
    page = open_page(server.url)
    post(page, "/_functions/checkout", CART)
    expect(page.locator(".message").first).to_contain_text(
        "the cart of Ada </script><script>alert(1)</script> has no price"
    )
    for name in ("Where it happened", "What led to it", "Log of this request", "Request", "The same by curl"):
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="ZeroDivisionError: division by zero")).to_be_visible()
    expect(page.get_by_text("the checkout begins")).to_be_visible()
    page.get_by_text("5 variables of total").click()
    expect(page.get_by_role("row", name="api_token ***")).to_be_visible()
    expect(page.get_by_role("row", name="unreadable")).to_contain_text("it raised RuntimeError")
    assert "not-to-be-seen" not in page.content()
    check_looks(page, "error")
    page.set_viewport_size({"width": 360, "height": 900})
    scrolls = "element => element.scrollWidth > element.clientWidth && getComputedStyle(element).overflowX === 'auto'"
    assert page.locator("pre.source").first.evaluate(scrolls)


def test_the_page_is_used_by_keyboard(open_page: OpenPage, server: Server) -> None:
    page = open_page(server.url)
    page.goto("/_functions/number")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    copy = page.get_by_role("button", name="Copy the place")
    expect(copy).to_be_focused()
    assert copy.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("Enter")
    expect(copy).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith(f"{FILE}:")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Replay this request")).to_be_focused()
