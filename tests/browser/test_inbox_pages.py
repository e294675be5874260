"""The inspector's pages of deferred work, schedules and webhooks in a real browser, over a real `wixhttp dev`."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.pages import check_looks
from tests.dev_servers import Development, developing
from tests.interfaces import write_project
from tests.servers import TIMEOUT
from wixhttp.dev.inspector.webhook_pages import EXAMPLES
from wixhttp.webhooks import sign
from wixhttp.webhooks.schemes import SCHEMES

OpenPage = Callable[..., Page]

SECRET = "whsec_of_this_test_0123456789"
SITE = {
    "backend/http_functions.py": '''
        import os

        from wixhttp import ok
        from wixhttp.inbox import Dead, Retry, deferred, enqueue, job
        from wixhttp.webhooks import verified


        @verified("stripe", secret="STRIPE_SECRET")
        @deferred(dedup="event", key=lambda request: request.body.json().get("customer"))
        def post_stripe(request):
            """Take an event of Stripe."""
            if not os.path.exists("mended"):
                raise Retry("the mail server does not answer", after=3600)
            return ok()


        @verified("github", secret=["GITHUB_SECRET", "GITHUB_SECRET_OLD"])
        def post_github(request):
            """Take a push."""
            return ok()


        @deferred()
        def post_form(request):
            """Take a form."""
            raise Dead("nobody wants <b>it</b>")


        @job("mail")
        def send_mail(to, template):
            """Send a mail."""
            return {"sent": to}


        def post_mail(request):
            """Send a mail soon."""
            to = request.body.json()["to"]
            return ok(body={"job": enqueue("mail", to, {"name": "welcome", "language": "en"}, key="mails")})


        def post_later(request):
            """Send a mail tomorrow."""
            enqueue("mail", "grace@example.com", {"name": "reminder"}, delay=86400)
            return ok()
    ''',
    "backend/jobs.py": '''
        from wixhttp.inbox import scheduled


        @scheduled("30 2 * * *", tz="Europe/Berlin")
        def clean_up():
            """Remove carts that nobody has touched for a week."""
            return {"removed": 3}


        @scheduled("0 9 * * 1", missed="skip")
        def send_report():
            """Send the week's figures."""
            raise RuntimeError("there are no figures")
    ''',
    "secrets.env": f"STRIPE_SECRET={SECRET}\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    folder = write_project(tmp_path_factory.mktemp("shop"), SITE)
    (folder / "secrets.env").chmod(0o600)
    with developing(folder) as running:
        yield running


class Sender:
    """A sender of requests to the site, as other programs are."""

    def __init__(self, server: Development) -> None:
        self.url = server.server.url

    def stripe(self, number: int, secret: str = SECRET) -> requests.Response:
        body = b'{"id": "evt_%d", "type": "invoice.paid", "customer": "cus_%d"}' % (number, number % 3)
        fields = sign("stripe", body, secret=secret)
        return requests.post(f"{self.url}/_functions/stripe", data=body, headers=fields, timeout=TIMEOUT)

    def post(self, name: str, **options: object) -> requests.Response:
        return requests.post(f"{self.url}/_functions/{name}", timeout=TIMEOUT, **options)  # type: ignore[arg-type]


@pytest.fixture
def sender(server: Development) -> Sender:
    return Sender(server)


def reload_until(page: Page, part: str, text: str) -> None:
    """Load a page again until a part of it has a text."""
    deadline = time.monotonic() + TIMEOUT
    while text not in page.locator(part).inner_text():
        assert time.monotonic() < deadline, page.locator("body").inner_text()
        page.reload()


def failed_form(page: Page, sender: Sender) -> str:
    """Send a form whose function fails for good, open its job, and return the id of that."""
    job_id: str = sender.post("form", data={"name": "Ada"}, headers={"Authorization": "Bearer of-nobody"}).json()["id"]
    page.goto(f"/_wixhttp/inbox/{job_id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("dead")
    return job_id


def test_a_dead_job_is_found_opened_and_retried_by_keyboard(
    server: Development, open_page: OpenPage, sender: Sender
) -> None:
    page = open_page(server.server.url)
    job_id = failed_form(page, sender)
    page.goto("/_wixhttp/inbox")
    page.get_by_role("navigation", name="States").get_by_role("link", name=re.compile("^dead")).press("Enter")
    page.wait_for_url("**state=dead**")
    page.get_by_label("Function or job").select_option("post_form")
    page.get_by_role("button", name="Filter").press("Enter")
    page.wait_for_url("**name=post_form**")
    row = page.get_by_role("row").filter(has_text=job_id)
    expect(row).to_contain_text("nobody wants <b>it</b>")
    row.get_by_role("link").press("Enter")
    page.wait_for_url(f"**/inbox/{job_id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("post_form")
    expect(page.get_by_role("table", name="the body of the request as fields of a form")).to_contain_text("Ada")
    expect(page.locator("body")).not_to_contain_text("of-nobody")
    page.get_by_role("button", name="Retry").press("Enter")
    expect(page.get_by_role("status")).to_have_text("It begins anew, with all its attempts.")
    page.get_by_role("link", name="Open the request").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("POST /_functions/form")
    page.get_by_role("region", name="In the inbox").get_by_role("link", name=job_id).press("Enter")
    page.wait_for_url(f"**/inbox/{job_id}")


def test_a_job_that_waits_is_cancelled_and_begins_anew_once_it_is_mended(
    server: Development, open_page: OpenPage, sender: Sender
) -> None:
    page = open_page(server.server.url, java_script_enabled=False)
    job_id = sender.stripe(100).json()["id"]
    page.goto(f"/_wixhttp/inbox/{job_id}")
    expect(page.get_by_role("link", name="Refresh")).to_be_visible()
    reload_until(page, "body", "the mail server does not answer")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
    expect(page.get_by_role("status")).to_have_text("It does not run any more.")
    (server.folder / "mended").touch()
    page.get_by_role("button", name="Retry").click()
    reload_until(page, "h1", "done")
    expect(page.get_by_role("group", name="The result as JSON")).to_contain_text('"status": 200')
    expect(page.get_by_role("button")).to_have_count(0)
    (server.folder / "mended").unlink()


def test_the_list_of_jobs_follows_unless_it_is_paused_and_all_dead_ones_are_retried_at_once(
    server: Development, open_page: OpenPage, sender: Sender
) -> None:
    page = open_page(server.server.url)
    page.goto("/_wixhttp/inbox?name=mail")
    first = page.get_by_role("table", name="Jobs").get_by_role("link").first
    job_id = sender.post("mail", json={"to": "ada@example.com"}).json()["job"]
    expect(first).to_have_text(job_id)
    first.focus()
    page.get_by_role("button", name="Pause").click()
    later = sender.post("mail", json={"to": "grace@example.com"}).json()["job"]
    expect(first).to_have_text(job_id)
    page.get_by_role("button", name="Go on").press("Enter")
    expect(first).to_have_text(later)
    failed_form(page, sender)
    page.goto("/_wixhttp/inbox")
    page.get_by_role("button", name=re.compile("^Retry")).click()
    page.wait_for_url("**/inbox")
    expect(page.get_by_role("heading", level=1)).to_have_text("Inbox")


def test_a_scheduled_function_runs_now(server: Development, open_page: OpenPage) -> None:
    page = open_page(server.server.url)
    page.goto("/_wixhttp/jobs")
    card = page.get_by_role("listitem").filter(has_text="clean_up")
    expect(card).to_contain_text("Europe/Berlin")
    expect(card).to_contain_text("none yet")
    card.get_by_role("button", name="Run now").press("Enter")
    page.wait_for_url("**/inbox/*")
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")
    expect(page.get_by_role("group", name="The result as JSON")).to_contain_text('"removed": 3')
    expect(page.get_by_text("backend/jobs.py:")).to_be_visible()
    expect(page.get_by_text("cron")).to_have_count(0)
    page.goto("/_wixhttp/jobs")
    expect(page.get_by_role("listitem").filter(has_text="clean_up")).to_contain_text("done")


def test_a_refused_delivery_says_at_which_step(server: Development, open_page: OpenPage, sender: Sender) -> None:
    assert sender.stripe(1).status_code == 202
    assert sender.stripe(2, secret="whsec_another").status_code == 401
    page = open_page(server.server.url)
    page.goto("/_wixhttp/webhooks")
    card = page.get_by_role("listitem").filter(has_text="post_stripe")
    expect(card).to_contain_text("STRIPE_SECRET set")
    expect(card).to_contain_text(re.compile(r"backend/http_functions\.py:\d+"))
    other = page.get_by_role("listitem").filter(has_text="post_github")
    expect(other).to_contain_text("GITHUB_SECRET missing")
    expect(other).to_contain_text("--event push")
    deliveries = card.get_by_role("listitem")
    expect(deliveries.nth(0)).to_contain_text("refused")
    expect(deliveries.nth(0)).to_contain_text("signature:")
    expect(deliveries.nth(1)).to_contain_text("verified")
    deliveries.nth(0).get_by_role("link").press("Enter")
    found = page.get_by_role("region", name=re.compile("Verification of the sender"))
    expect(found).to_contain_text("refused")
    expect(found.get_by_role("listitem").filter(has_text="FAILS")).to_contain_text("by another secret")
    assert SECRET not in page.content()


def test_the_command_of_the_page_sends_what_is_verified(server: Development, open_page: OpenPage) -> None:
    page = open_page(server.server.url)
    page.goto("/_wixhttp/webhooks")
    command = page.get_by_role("group", name="A command that sends post_stripe a signed delivery").inner_text()
    own = f"{sys.executable} -m wixhttp"
    done = subprocess.run(
        ["bash", "-c", command.replace("wixhttp", own, 1)], cwd=server.folder, capture_output=True, text=True,
        timeout=TIMEOUT, check=True,
    )  # fmt: skip
    assert re.search(r'"id":"\d+-', done.stdout), done
    page.reload()
    first = page.get_by_role("listitem").filter(has_text="post_stripe").get_by_role("listitem").first
    expect(first).to_contain_text("202")
    expect(first).to_contain_text("verified")


def test_there_is_an_example_for_each_scheme_that_others_can_sign() -> None:
    signed = {name: scheme for name, scheme in SCHEMES.items() if scheme.body != "jwt"}
    assert EXAMPLES.keys() == signed.keys()
    for name, scheme in signed.items():
        assert bool(EXAMPLES[name][1]) == bool(scheme.event_header or "event_header" in scheme.options), name


def test_a_page_that_answers_a_form_is_not_loaded_again(
    server: Development, sender: Sender, open_page: OpenPage
) -> None:
    page = open_page(server.server.url)
    job_id = failed_form(page, sender)
    form = {"_token": page.locator("meta[name=token]").get_attribute("content")}
    for status in (200, 409):  # the second time there is nothing to be cancelled
        address = f"{sender.url}/_wixhttp/inbox/{job_id}/cancel"
        answer = requests.post(address, data=form, headers={"Origin": sender.url}, timeout=TIMEOUT)
        assert (answer.status_code, "live.js" in answer.text) == (status, status == 200)
        assert ("data-answers-form" in answer.text) == (status == 409)


def test_a_form_of_another_page_changes_nothing(server: Development, sender: Sender, open_page: OpenPage) -> None:
    job_id = failed_form(open_page(server.server.url), sender)
    for path in (f"inbox/{job_id}/retry", f"inbox/{job_id}/cancel", "inbox/retry-dead", "jobs/run"):
        answer = requests.post(f"{sender.url}/_wixhttp/{path}", data={"name": "backend/jobs.clean_up"}, timeout=TIMEOUT)
        assert answer.status_code == 403, path
    lost = requests.get(f"{sender.url}/_wixhttp/inbox/1-nothing", timeout=TIMEOUT)
    assert (lost.status_code, "To the inbox" in lost.text) == (404, True)
    assert requests.get(f"{sender.url}/_wixhttp/inbox?state=lost", timeout=TIMEOUT).status_code == 404


def test_every_page_of_deferred_work_looks_right_in_each_width_light_and_dark(
    server: Development, open_page: OpenPage, sender: Sender
) -> None:
    page = open_page(server.server.url)
    dead = failed_form(page, sender)
    sender.stripe(7, secret="whsec_another")
    for number in range(4):
        sender.stripe(number)
        sender.post("mail", json={"to": f"ada{number}@example.com"})
    sender.post("later")
    refused = requests.post(f"{sender.url}/_functions/github", json={}, timeout=TIMEOUT).headers["X-Request-Id"]
    page.goto("/_wixhttp/jobs")
    page.get_by_role("listitem").filter(has_text="send_report").get_by_role("button").click()
    page.wait_for_url("**/inbox/*")
    expect(page.get_by_role("group", name="The traceback of the last error")).to_contain_text("in send_report")
    addresses = {
        "inbox": "/_wixhttp/inbox",
        "inbox-nothing": "/_wixhttp/inbox?key=nobody",
        "job-dead": f"/_wixhttp/inbox/{dead}",
        "job-failed": page.url,
        "jobs": "/_wixhttp/jobs",
        "webhooks": "/_wixhttp/webhooks",
        "request-refused": f"/_wixhttp/requests/{refused}",
    }
    for name, address in addresses.items():
        page.goto(address)
        check_looks(page, f"inspector-{name}")


DEFERRED = """
from wixhttp import ok
from wixhttp.inbox import deferred


@deferred()
def post_order(request):
    return ok()
"""


def test_pages_of_a_site_without_deferred_work_say_how_to_begin_and_follow_a_save(
    tmp_path: Path, open_page: OpenPage
) -> None:
    folder = write_project(tmp_path, "def get_x(request): return ok()")
    with developing(folder) as running:
        page = open_page(running.server.url)
        titles = {
            "inbox": "Nothing is deferred yet",
            "jobs": "No jobs yet",
            "webhooks": "No function verifies its sender yet",
        }
        for name, title in titles.items():
            page.goto(f"/_wixhttp/{name}")
            expect(page.get_by_role("heading", name=title)).to_be_visible()
            check_looks(page, f"inspector-no-{name}")
        assert not (folder / "data").exists()
        page.goto("/_wixhttp/jobs")
        running.save(DEFERRED)
        expect(page.get_by_role("link", name="post_order")).to_be_visible()
        page.close()  # before the server, to which it would connect again
