"""The HTTP functions of the sample site: ``get_books`` answers ``GET /_functions/books``.

What they remember stands in collections: ``data/collections.toml`` declares them, ``data/sample`` is what they begin
with, and ``backend/data.py`` has a hook.
"""

from __future__ import annotations

import asyncio
import csv
import hmac
import html
import io
from collections.abc import Iterator
from urllib.parse import quote

from backend import orders
from wixhttp import (
    AsyncRequest,
    Request,
    Response,
    badRequest,
    cors,
    created,
    limits,
    notFound,
    ok,
    response,
    serverError,
)
from wixhttp import data as wix_data
from wixhttp.errors import WixDataError
from wixhttp.inbox import deferred
from wixhttp.secrets import getSecret
from wixhttp.webhooks import once, verified

# --- the examples of Velo's reference --------------------------------------------------------------------------------


def get_find_me(request: Request) -> Response:
    """Look somebody up by first and last name: /_functions/find_me/Ada/Lovelace"""
    # The URL: https://www.example.com/_functions/find_me/Ada/Lovelace
    options = {"headers": {"Content-Type": "application/json"}}
    first, last = request.path[0], request.path[1]
    try:
        results = wix_data.query("people").eq("firstName", first).eq("lastName", last).find()
    except WixDataError as error:  # Velo's .catch((error) => ...)
        return serverError({**options, "body": {"error": error}})
    # if there are people of that name, they are the answer
    if len(results.items) > 0:
        return ok({**options, "body": {"items": results.items}})
    return notFound({**options, "body": {"error": f"'{first} {last}' was not found"}})


def get_books(request: Request) -> Response:
    """One book by its id in the path, else all by title, of one author with ?author="""
    if request.path[0] is None:
        query = wix_data.query("books").ascending("title").limit(1000)
        if request.query["author"] is not None:
            query = query.eq("author", request.query["author"])
        return ok({"body": {"items": query.find().items}})
    book = wix_data.get("books", request.path[0])
    return _no_book(request) if book is None else ok(body=book)


def post_books(request: Request) -> Response:
    """Add the book that the body holds as JSON; 201 with where it is now."""
    item = request.body.json()
    try:
        inserted = wix_data.insert("books", item)
    except (ValueError, WixDataError) as error:  # the hook in backend/data.py raises ValueError
        return _refused(error)
    location = f"{request.baseUrl}/{request.functionName}/{quote(inserted['_id'], safe='')}"
    return created({"headers": {"Location": location}, "body": {"inserted": inserted}})


def put_books(request: Request) -> Response:
    """Put the book in the body in the place of the one in the path."""
    item = request.body.json()
    if not isinstance(item, dict):
        return badRequest({"body": {"error": "a book is an object"}})
    try:
        updated = wix_data.update("books", {**item, "_id": request.path[0]})
    except (ValueError, WixDataError) as error:
        return _refused(error)
    return ok({"body": {"updated": updated}})


def delete_books(request: Request) -> Response:
    """Remove the book in the path. A DELETE has no body: one that has is 400 before this is called."""
    removed = wix_data.remove("books", request.path[0] or "")
    return _no_book(request) if removed is None else ok({"body": {"removed": removed}})


def get_authors(request: Request) -> Response:
    """Answer with the number of books of each author, and the year of the first."""
    grouped = wix_data.aggregate("books").group("author").count("books").min("year", "first").ascending("author").run()
    items = [{"author": each["author"], "books": each["books"], "first": each["first"]} for each in grouped.items]
    return ok({"body": {"items": items}})


def _no_book(request: Request) -> Response:
    return notFound({"body": {"error": f"there is no book {request.path[0]}"}})


def _refused(error: ValueError | WixDataError) -> Response:
    """The answer to what a hook or the collection refuses, with the status that Wix gives it."""
    return response({"status": getattr(error, "status", 400), "body": {"error": error}})


def use_any(request: Request) -> Response:
    """Answer every method, each in its own way."""
    match request.method:
        case "GET":
            return ok({"body": {"method": "GET", "query": request.query}})
        case "POST" | "PUT" | "PATCH":
            return ok({"body": {"method": request.method, "text": request.body.text()}})
        case _:
            return ok({"body": {"method": request.method}})


# --- other origins ---------------------------------------------------------------------------------------------------


def get_greeting(request: Request) -> Response:
    """A greeting that pages of every origin may read: /_functions/greeting?name=Ada"""
    greeting = f"Hello, {request.query['name'] or 'world'}!"
    return ok({"headers": {"Access-Control-Allow-Origin": "*"}, "body": {"greeting": greeting}})


def options_greeting(request: Request) -> Response:
    """The answer to a browser's preflight, with its CORS headers written by hand."""
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, OPTIONS",
        "Access-Control-Allow-Headers": "Content-Type, X-Requested-With",
        "Access-Control-Max-Age": "86400",
    }
    return response({"status": 204, "headers": headers})


@cors(origins=["https://www.example.com"], headers=["Content-Type"])
def get_prices(request: Request) -> Response:
    """Prices that pages of one other origin may read; wixhttp answers the preflight."""
    return ok({"body": {"tea": 4.5, "cups": 12}})


# --- other kinds of answers ------------------------------------------------------------------------------------------


async def post_quote(request: AsyncRequest) -> Response:
    """Ask two slow sources at the same time for a price and a stock."""
    order = await request.body.json()
    if not isinstance(order, dict) or not isinstance(order.get("item"), str):
        return badRequest({"body": {"error": "an order is an object with an item"}})
    price, stock = await asyncio.gather(_price_of(order["item"]), _stock_of(order["item"]))
    return ok({"body": {"item": order["item"], "price": price, "stock": stock}})


async def _price_of(item: str) -> float:
    await asyncio.sleep(0.1)  # stands for a call to another service
    return 0.5 * len(item)


async def _stock_of(item: str) -> int:
    await asyncio.sleep(0.1)
    return 10 * len(item)


@limits(timeout=60)
def get_numbers(request: Request) -> Response:
    """A long answer, streamed line by line: /_functions/numbers?count=1000"""
    asked = request.query["count"] or "10"
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 6):
        return badRequest({"body": {"error": "count is a whole number of at most six digits"}})
    return ok({"headers": {"Content-Type": "application/x-ndjson"}, "body": _numbers(int(asked))})


def _numbers(count: int) -> Iterator[str]:
    for number in range(1, count + 1):
        yield f'{{"number": {number}, "square": {number * number}}}\n'


def get_old_page(request: Request) -> Response:
    """Send a browser on to where the page is now."""
    return response({"status": 301, "headers": {"Location": f"{request.baseUrl}/page"}})


def get_page(request: Request) -> Response:
    """An HTML page: /_functions/page?name=Ada"""
    name = html.escape(request.query["name"] or "world")
    page = f"<!doctype html>\n<title>Hello</title>\n<h1>Hello, {name}!</h1>\n"
    return ok({"headers": {"Content-Type": "text/html; charset=utf-8"}, "body": page})


def get_books_csv(request: Request) -> Response:
    """All books as a file to download."""
    table = io.StringIO()
    writer = csv.DictWriter(table, ["_id", "title", "author", "year"], extrasaction="ignore")
    writer.writeheader()
    page = wix_data.query("books").ascending("title").limit(1000).find()
    writer.writerows(page.items)
    while page.hasNext():
        page = page.next()
        writer.writerows(page.items)
    headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": 'attachment; filename="books.csv"'}
    return ok({"headers": headers, "body": table.getvalue()})


# --- webhooks --------------------------------------------------------------------------------------------------------


@verified("github", secret="GITHUB_SECRET")
@once()
def post_github(request: Request) -> Response:
    """Take GitHub's webhooks, each delivery once: a repeat gets the first answer."""
    webhook = request.webhook
    if webhook.event == "ping":
        return ok({"body": {"pong": request.body.json()["zen"]}})
    print(f"GitHub: {webhook.event}, delivery {webhook.id}")
    return response({"status": 204})


@limits(max_body="1MB")
@verified("stripe", secret="STRIPE_SECRET")
@deferred(dedup="event")
def post_stripe(request: Request) -> Response:
    """Take Stripe's events: each is stored and answered 202 at once, and run later, until it has succeeded."""
    if request.webhook.event == "payment_intent.succeeded":
        print(f"Stripe: paid, event {request.webhook.id}")
    return ok()


@verified("slack", secret="SLACK_SECRET")
async def post_slack(request: AsyncRequest) -> Response:
    """Take Slack's events. Its question whether this is the right URL is answered by ``@verified``."""
    print(f"Slack: {request.webhook.event}")
    return ok()


@verified("twilio", secret="TWILIO_SECRET")
def post_twilio(request: Request) -> Response:
    """Answer a message that Twilio passes on, in its TwiML."""
    message = request.body.form()["Body"] or ""
    print(f"Twilio: message {request.webhook.id}")
    twiml = f"<Response><Message>You wrote: {html.escape(message)}</Message></Response>"
    return ok({"headers": {"Content-Type": "text/xml; charset=utf-8"}, "body": twiml})


# --- Zapier ----------------------------------------------------------------------------------------------------------


async def get_orders(request: AsyncRequest) -> Response:
    """Zapier's polling trigger: the newest orders first, each with an id by which Zapier knows those it has seen."""
    if not _has_key(request):
        return _no_key()
    return ok({"body": await orders.newest_first()})


async def post_orders(request: AsyncRequest) -> Response:
    """Zapier's action: create the order that the body holds as JSON."""
    if not _has_key(request):
        return _no_key()
    order = await request.body.json()
    item, quantity = (order.get("item"), order.get("quantity", 1)) if isinstance(order, dict) else (None, None)
    if not isinstance(item, str) or not isinstance(quantity, int) or not 1 <= quantity <= 10_000:
        return badRequest({"body": {"error": "an order is an object with an item, and a quantity of 1 to 10000"}})
    try:
        return created({"body": await orders.place(item, quantity)})
    except WixDataError as error:
        return _refused(error)


async def post_order_hooks(request: AsyncRequest) -> Response:
    """Zapier's REST hook: subscribe the URL in hookUrl to new orders; the id is for unsubscribing."""
    if not _has_key(request):
        return _no_key()
    asked = await request.body.json()
    url = asked.get("hookUrl") if isinstance(asked, dict) else None
    if not isinstance(url, str) or not url.startswith("https://hooks.zapier.com/"):
        return badRequest({"body": {"error": "hookUrl is a URL of hooks.zapier.com"}})
    return created({"body": {"id": await orders.subscribe(url)}})


async def delete_order_hooks(request: AsyncRequest) -> Response:
    """Zapier's REST hook: unsubscribe the id in the path."""
    if not _has_key(request):
        return _no_key()
    await orders.unsubscribe(request.path[0])
    return response({"status": 204})


def _has_key(request: AsyncRequest) -> bool:
    given = request.headers["X-Api-Key"] or ""
    return hmac.compare_digest(getSecret("ZAPIER_KEY").encode(), given.encode())


def _no_key() -> Response:
    return response({"status": 401, "body": {"error": "send the key in X-Api-Key"}})
