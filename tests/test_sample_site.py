"""The sample site, example by example, as `wixhttp serve` answers it: four workers, on SQLite and on PostgreSQL."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from tests import sample
from tests.databases import postgres_url
from tests.sample import ROOT, own
from tests.servers import TIMEOUT
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import override
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.errors import WixDataError
from wixhttp.testing import TestClient, fake_data
from wixhttp.webhooks import sign

DELIVERIES = sorted((ROOT / "tests/data/github").glob("*.json"))
SECRETS = dict(line.split("=", 1) for line in (ROOT / ".env").read_text().splitlines() if line[:1] not in ("#", ""))
KEY = {"X-Api-Key": SECRETS["ZAPIER_KEY"]}
ORDER = {"id", "item", "quantity", "created"}


class Site(sample.Site):
    """The functions of the sample site."""

    prefix = "/_functions/"


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        if request.param == "SQLite":
            url = f"sqlite:///{tmp_path_factory.mktemp('data')}/site.sqlite3"
        else:
            url = stack.enter_context(postgres_url())
        # The secrets are those of the sample, whatever this machine has.
        environ: dict[str, Any] = {**dict.fromkeys(SECRETS), "WIXHTTP_DATABASE_URL": url}
        server = stack.enter_context(sample.sample_server(4, environ))
        yield Site(server, stack.enter_context(requests.Session()))


# --- the examples of Velo's reference --------------------------------------------------------------------------------


def test_find_me_answers_ok_or_not_found(site: Site) -> None:
    found = site.get("find_me/Grace/Hopper")
    assert (found.status_code, found.headers["Content-Type"]) == (200, "application/json")
    [person] = found.json()["items"]
    assert (person["_id"], own(person)) == ("2", {"firstName": "Grace", "lastName": "Hopper", "born": 1906})
    missing = site.get("find_me/No/One")
    assert (missing.status_code, missing.headers["Content-Type"]) == (404, "application/json")
    assert missing.json() == {"error": "'No One' was not found"}
    assert site.get("find_me").status_code == 404


def test_find_me_answers_server_error_with_the_message() -> None:
    # No visitor can make the look-up fail, so this one has no collections, and no server.
    with override(Collections(MemoryStore(), strict=True)):
        answer = TestClient(ROOT).get("find_me/Ada/Lovelace")
    error = "WDE0025: The people collection does not exist. Declare it in data/collections.toml, by the line [people]"
    assert (answer.status_code, answer.json()) == (500, {"error": error})


def test_books_are_created_read_changed_and_removed(site: Site) -> None:
    made = site.post("books", json={"title": "  Kindred ", "author": "Octavia E. Butler"})
    assert made.status_code == 201
    inserted = made.json()["inserted"]
    number = inserted["_id"]
    assert own(inserted) == {"title": "Kindred", "author": "Octavia E. Butler"}
    assert set(inserted) - set(own(inserted)) == {"_id", "_createdDate", "_updatedDate", "_owner"}
    assert made.headers["Location"] == f"{site.url}/_functions/books/{number}"
    assert site.session.get(made.headers["Location"], timeout=TIMEOUT).json() == inserted

    changed = site.ask("PUT", f"books/{number}", json={"title": " Kindred", "year": 1979})
    updated = changed.json()["updated"]
    assert (changed.status_code, own(updated)) == (200, {"title": "Kindred", "year": 1979})
    assert (updated["_id"], updated["_createdDate"]) == (number, inserted["_createdDate"])
    assert updated["_updatedDate"] > inserted["_updatedDate"]

    removed = site.ask("DELETE", f"books/{number}")
    assert (removed.status_code, removed.json()) == (200, {"removed": updated})
    for answer in (site.get(f"books/{number}"), site.ask("DELETE", f"books/{number}")):
        assert (answer.status_code, answer.json()) == (404, {"error": f"there is no book {number}"})
    gone = site.ask("PUT", f"books/{number}", json={"title": "again"})
    error = f"WDE0073: Item [{number}] does not exist in collection [books]."
    assert (gone.status_code, gone.json()) == (404, {"error": error})


def test_a_book_may_bring_its_id_once(site: Site) -> None:
    made = site.post("books", json={"_id": "a b/ü", "title": "Emma"})
    assert made.headers["Location"] == f"{site.url}/_functions/books/a%20b%2F%C3%BC"
    assert site.get("books/a%20b%2F%C3%BC").json() == made.json()["inserted"]
    again = site.post("books", json={"_id": "a b/ü", "title": "Emma"})
    assert (again.status_code, again.json()) == (409, {"error": "WDE0074: An item with _id [a b/ü] already exists."})
    assert site.ask("DELETE", "books/a%20b%2F%C3%BC").status_code == 200


def test_books_are_listed_whole_and_by_author(site: Site) -> None:
    titles = [book["title"] for book in site.get("books").json()["items"]]
    assert {"Solaris", "The Dispossessed", "The Left Hand of Darkness"} <= set(titles)
    assert titles == sorted(titles)
    [book] = site.get("books", params={"author": "Stanisław Lem"}).json()["items"]
    assert (book["_id"], own(book)) == ("2", {"title": "Solaris", "author": "Stanisław Lem", "year": 1961})
    assert site.get("books?author=Nobody").json() == {"items": []}


def test_authors_are_counted(site: Site) -> None:
    items = site.get("authors").json()["items"]
    assert {"author": "Ursula K. Le Guin", "books": 2, "first": 1969} in items


def test_workers_share_what_they_write(site: Site) -> None:
    writers, books = 8, 12

    def work(number: int) -> list[tuple[str, int]]:
        """One visitor's books, each asked for in connections of its own: request ids and statuses."""
        seen = []

        def ask(method: str, path: str, **options: Any) -> Any:
            with requests.Session() as session:
                answer = Site(site.server, session).ask(method, path, **options)
            seen.append((answer.headers["X-Request-Id"].partition("-")[0], answer.status_code))
            return answer.json()

        for index in range(books):
            book = {"title": f"Volume {index}", "author": f"writer {number}"}
            made = ask("POST", "books", json=book)["inserted"]
            assert ask("GET", f"books/{made['_id']}") == made
            changed = ask("PUT", f"books/{made['_id']}", json={**book, "year": index})["updated"]
            assert ask("GET", f"books/{made['_id']}") == changed
            if index % 2:
                assert ask("DELETE", f"books/{made['_id']}") == {"removed": changed}
        left = ask("GET", f"books?author=writer {number}")["items"]
        assert sorted(book["year"] for book in left) == list(range(0, books, 2))
        for book in left:
            ask("DELETE", f"books/{book['_id']}")
        return seen

    before = site.get("books").json()
    with ThreadPoolExecutor(writers) as pool:
        answers = [answer for seen in pool.map(work, range(writers)) for answer in seen]
    assert len({worker for worker, _ in answers}) > 1, "one worker answered all"
    assert {status for _, status in answers} == {200, 201}
    assert site.get("books").json() == before


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_book_that_is_none_is_a_bad_request(site: Site, method: str) -> None:
    for book in ({"author": "Anonymous"}, {"title": " "}, {"title": 1}):
        answer = site.ask(method, "books/2", data=json.dumps(book))
        assert (answer.status_code, answer.json()) == (400, {"error": "a book has a title"})
    for data in (
        '["title"]',
        '"title"',
        "null",
        '{"title": "A", "pages": 10000000000000000000}',
        '{"title": "\\ud800"}',
    ):
        assert site.ask(method, "books/2", data=data).status_code == 400, data
    cut = site.ask(method, "books/2", data='{"title": ')
    assert (cut.status_code, cut.headers["Content-Type"]) == (400, "application/problem+json")
    assert site.get("books/2").json()["title"] == "Solaris"


def test_a_delete_with_a_body_or_a_json_type_is_refused_before_the_function(site: Site) -> None:
    for options in ({"data": "x"}, {"headers": {"Content-Type": "application/json"}}):
        answer = site.ask("DELETE", "books/1", **options)
        assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")
    assert site.get("books/1").status_code == 200


def test_use_answers_every_method_in_its_own_way(site: Site) -> None:
    assert site.get("any?a=1&a=2&b").json() == {"method": "GET", "query": {"a": "2", "b": ""}}
    for method in ("POST", "PUT", "PATCH"):
        assert site.ask(method, "any", data="text").json() == {"method": method, "text": "text"}
    for method in ("DELETE", "OPTIONS"):
        assert site.ask(method, "any").json() == {"method": method}
    head = site.ask("HEAD", "any")
    assert (head.status_code, head.content) == (200, b"")


def test_what_the_functions_import_is_no_function(site: Site) -> None:
    for name in ("find", "Request", "http_functions", "__class__", "get_books", "secret", "data", "wix_data"):
        assert site.get(name).status_code == 404
    answer = site.ask("PATCH", "books/1")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, POST, PUT")


# --- other origins ---------------------------------------------------------------------------------------------------


def test_cors_headers_written_by_hand(site: Site) -> None:
    asking = {"Origin": "https://anyone.example", "Access-Control-Request-Method": "GET"}
    preflight = site.ask("OPTIONS", "greeting", headers=asking)
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert {name: value for name, value in preflight.headers.items() if name.startswith("Access-Control-")} == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, OPTIONS",
        "Access-Control-Allow-Headers": "Content-Type, X-Requested-With",
        "Access-Control-Max-Age": "86400",
    }
    answer = site.get("greeting?name=Ada", headers={"Origin": "https://anyone.example"})
    assert (answer.json(), answer.headers["Access-Control-Allow-Origin"]) == ({"greeting": "Hello, Ada!"}, "*")


def test_cors_by_decorator_lets_one_origin_in(site: Site) -> None:
    asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "content-type"}
    preflight = site.ask("OPTIONS", "prices", headers={"Origin": "https://www.example.com", **asking})
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://www.example.com"
    assert preflight.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert preflight.headers["Vary"] == "Origin"
    refused = site.ask("OPTIONS", "prices", headers={"Origin": "https://elsewhere.example", **asking})
    assert "Access-Control-Allow-Origin" not in refused.headers

    answer = site.get("prices", headers={"Origin": "https://www.example.com"})
    assert answer.json() == {"tea": 4.5, "cups": 12}
    assert answer.headers["Access-Control-Allow-Origin"] == "https://www.example.com"
    other = site.get("prices", headers={"Origin": "https://elsewhere.example"})
    assert (other.status_code, other.headers["Vary"]) == (200, "Origin")
    assert "Access-Control-Allow-Origin" not in other.headers


# --- other kinds of answers ------------------------------------------------------------------------------------------


def test_an_async_function_answers(site: Site) -> None:
    answer = site.post("quote", json={"item": "tea"})
    assert (answer.status_code, answer.json()) == (200, {"item": "tea", "price": 1.5, "stock": 30})
    assert site.post("quote", json=[]).status_code == 400
    assert site.post("quote", data="{").headers["Content-Type"] == "application/problem+json"


def test_a_stream_comes_in_chunks(site: Site) -> None:
    with site.get("numbers?count=20000", stream=True) as answer:
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert "Content-Length" not in answer.headers
        lines = list(answer.iter_lines())
    assert (len(lines), json.loads(lines[-1])) == (20_000, {"number": 20_000, "square": 400_000_000})
    assert site.get("numbers").text.count("\n") == 10
    for count in ("-1", "x", "1000000", "²"):
        assert site.get("numbers", params={"count": count}).status_code == 400


def test_a_redirect_leads_to_the_page(site: Site) -> None:
    answer = site.get("old_page", allow_redirects=False)
    assert (answer.status_code, answer.content) == (301, b"")
    assert answer.headers["Location"] == f"{site.url}/_functions/page"
    followed = site.get("old_page")
    assert (followed.status_code, [each.status_code for each in followed.history]) == (200, [301])
    assert "<h1>Hello, world!</h1>" in followed.text


def test_the_page_is_html_and_escapes_what_it_is_given(site: Site) -> None:
    answer = site.get("page", params={"name": "<script>alert('é')</script>"})
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<h1>Hello, &lt;script&gt;alert(&#x27;é&#x27;)&lt;/script&gt;!</h1>" in answer.text


def test_a_book_without_author_and_year_is_listed_and_in_the_csv(site: Site) -> None:
    book = site.post("books", json={"title": "Beowulf"}).json()["inserted"]
    assert book in site.get("books").json()["items"]
    answer = site.get("books_csv")
    assert answer.status_code == 200
    assert f"{book['_id']},Beowulf,," in answer.text.splitlines()
    assert site.ask("DELETE", f"books/{book['_id']}").status_code == 200


def test_the_csv_is_a_download(site: Site) -> None:
    answer = site.get("books_csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="books.csv"'
    rows = list(csv.DictReader(answer.content.decode().splitlines()))
    assert {"_id": "2", "title": "Solaris", "author": "Stanisław Lem", "year": "1961"} in rows


def test_the_csv_has_more_books_than_a_page() -> None:
    with fake_data(ROOT) as data:
        data.seed("books", [{"title": f"{number:04}"} for number in range(1001)])
        rows = list(csv.DictReader(TestClient(ROOT).get("books_csv").text.splitlines()))
    assert [row["title"] for row in rows] == [f"{number:04}" for number in range(1001)]


# --- webhooks --------------------------------------------------------------------------------------------------------

EVENT = b'{"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"description": "Th\xc3\xa9"}}}'


def _refused(answer: requests.Response) -> bool:
    """Return whether an answer is the refusal of a sender that is not verified, and no other error."""
    if answer.ok:
        return False
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
    return True


@pytest.mark.parametrize("file", DELIVERIES, ids=lambda file: file.stem)
def test_a_delivery_of_github_is_taken_once_as_it_was_sent_and_no_other(site: Site, file: Path) -> None:
    body = file.read_bytes()
    event = file.name.partition(".")[0]
    headers = sign("github", body, secret=SECRETS["GITHUB_SECRET"], event=event)
    for _ in range(2):
        taken = site.post("github", data=body, headers=headers)
        if event == "ping":
            assert (taken.status_code, taken.json()) == (200, {"pong": json.loads(body)["zen"]})
        else:
            assert (taken.status_code, taken.content) == (204, b"")
    if event != "ping":
        text = f"GitHub: {event}, delivery {headers['X-GitHub-Delivery']}"
        site.server.wait_for_message(text, function="post_github")
        assert len([line for line in site.server.messages() if text in line]) == 1
    for altered in (b" " + body, body[:-1], json.dumps(json.loads(body)).encode()):
        assert _refused(site.post("github", data=altered, headers=headers))
    del headers["X-Hub-Signature-256"]
    assert _refused(site.post("github", data=body, headers=headers))
    assert site.get("github").status_code == 405


def test_an_event_of_stripe_is_accepted_within_five_minutes_and_run_once(site: Site) -> None:
    ids = set()
    for age in (0, 290):
        headers = sign("stripe", EVENT, secret=SECRETS["STRIPE_SECRET"], now=time.time() - age)
        answer = site.post("stripe", data=EVENT, headers=headers)
        assert answer.status_code == 202
        ids.add(answer.json()["id"])
    assert len(ids) == 1
    site.server.wait_for_message("Stripe: paid, event evt_1")
    for age in (310, -310, 86_400):
        headers = sign("stripe", EVENT, secret=SECRETS["STRIPE_SECRET"], now=time.time() - age)
        assert _refused(site.post("stripe", data=EVENT, headers=headers))
    assert _refused(site.post("stripe", data=EVENT, headers=sign("stripe", EVENT, secret="another secret")))
    assert len([line for line in site.server.messages() if "Stripe: paid" in line]) == 1


def test_slack_is_given_its_challenge_and_its_events_are_taken(site: Site) -> None:
    asked = json.dumps({"type": "url_verification", "token": "t", "challenge": "3eZbrw1aBm2rZgRNFdxV"}).encode()
    signed = sign("slack", asked, secret=SECRETS["SLACK_SECRET"])
    answer = site.post("slack", data=asked, headers=signed)
    assert (answer.status_code, answer.text) == (200, "3eZbrw1aBm2rZgRNFdxV")
    event = json.dumps({"type": "event_callback", "event": {"type": "app_mention"}}).encode()
    answer = site.post("slack", data=event, headers=sign("slack", event, secret=SECRETS["SLACK_SECRET"]))
    assert (answer.status_code, answer.content) == (200, b"")
    site.server.wait_for_message("Slack: app_mention", function="post_slack")
    for headers in (signed, {}, sign("slack", event, secret=SECRETS["SLACK_SECRET"], now=time.time() - 310)):
        assert _refused(site.post("slack", data=event, headers=headers))


def test_a_message_of_twilio_is_answered_in_twiml(site: Site) -> None:
    url = f"{site.url}/_functions/twilio"
    form = {"MessageSid": "SM1", "From": "+4915100000", "Body": "Grüße & <mehr>"}
    library = RequestValidator(SECRETS["TWILIO_SECRET"])
    answer = site.post("twilio", data=form, headers={"X-Twilio-Signature": library.compute_signature(url, form)})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    assert answer.text == "<Response><Message>You wrote: Grüße &amp; &lt;mehr&gt;</Message></Response>"
    site.server.wait_for_message("Twilio: message SM1", function="post_twilio")
    for other in ({**form, "Body": "other"}, {**form, "More": ""}):
        signature = library.compute_signature(url, form)
        assert _refused(site.post("twilio", data=other, headers={"X-Twilio-Signature": signature}))


# --- Zapier ----------------------------------------------------------------------------------------------------------


def test_zapiers_polling_trigger_gets_the_newest_orders_first(site: Site) -> None:
    made = site.post("orders", json={"item": "sugar", "quantity": 3}, headers=KEY).json()
    orders = site.get("orders", headers=KEY).json()
    assert orders[0] == made
    dates = [order["created"] for order in orders]
    assert dates == sorted(dates, reverse=True)
    assert len({order["id"] for order in orders}) == len(orders)
    assert orders[-1] == {"id": "1", "item": "tea", "quantity": 2, "created": "2025-01-07T09:30:00.000Z"}


def test_zapiers_action_creates_an_order(site: Site) -> None:
    answer = site.post("orders", json={"item": "milk"}, headers=KEY)
    assert answer.status_code == 201
    made = answer.json()
    assert (set(made), made["item"], made["quantity"]) == (ORDER, "milk", 1)
    for wrong in ("[]", "null", "{}", '{"item": 1}', '{"item": "tea", "quantity": "2"}', '{"item": "\\ud800"}'):
        assert site.post("orders", data=wrong, headers=KEY).status_code == 400


def test_zapiers_rest_hook_is_told_of_orders_until_it_unsubscribes(site: Site) -> None:
    hook = "https://hooks.zapier.com/hooks/standard/1/abc/"
    answer = site.post("order_hooks", json={"hookUrl": hook}, headers=KEY)
    assert answer.status_code == 201
    number = answer.json()["id"]
    order = site.post("orders", json={"item": "jam"}, headers=KEY).json()
    site.server.wait_for_message(f"hook {number}: order {order['id']} would be sent to {hook}")

    for path in (f"order_hooks/{number}", f"order_hooks/{number}", "order_hooks"):
        gone = site.ask("DELETE", path, headers=KEY)
        assert (gone.status_code, gone.content) == (204, b"")
    answer = site.post("orders", json={"item": "honey"}, headers=KEY)
    order = answer.json()
    site.server.wait_for_message("/_functions/orders 201", request_id=answer.headers["X-Request-Id"])
    assert not [line for line in site.server.messages() if f"order {order['id']} would" in line]
    for url in ("http://169.254.169.254/", "https://hooks.zapier.com.evil.example/", 1, None):
        assert site.post("order_hooks", json={"hookUrl": url}, headers=KEY).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "orders"), ("POST", "orders"), ("POST", "order_hooks"), ("DELETE", "order_hooks/1")],
)
def test_zapier_needs_its_key(site: Site, method: str, path: str) -> None:
    for headers in ({}, {"X-Api-Key": ""}, {"X-Api-Key": "wrong"}, {"X-Api-Key": KEY["X-Api-Key"] + "é"}):
        answer = site.ask(method, path, headers={name: value.encode("utf-8") for name, value in headers.items()})
        assert (answer.status_code, answer.json()) == (401, {"error": "send the key in X-Api-Key"})


def test_orders_are_nobodys_but_the_functions() -> None:
    with fake_data(ROOT) as data:
        data.seed("orders", [{"item": "tea", "quantity": 1}])
        with pytest.raises(WixDataError, match="WDE0027"):
            data.query("orders").find()
        assert data.query("orders").find(suppressAuth=True).length == 1
        assert data.query("people").find().length == 0
        with pytest.raises(WixDataError, match="WDE0027"):
            data.insert("people", {"firstName": "Nobody"})


# --- the site as a whole ---------------------------------------------------------------------------------------------


def test_no_secret_is_in_the_log(site: Site) -> None:
    event = f"a {SECRETS['GITHUB_SECRET']} b"
    site.post("github", data=b"{}", headers=sign("github", b"{}", secret=SECRETS["GITHUB_SECRET"], event=event))
    site.server.wait_for_message("GitHub: a *** b")
    assert not [line for line in site.server.lines for value in SECRETS.values() if value in str(line)]


def test_no_function_failed(site: Site) -> None:
    assert not [line for line in site.server.lines if line.get("severity") == "ERROR" or line.get("status", 0) >= 500]
    assert site.server.errors == ""
