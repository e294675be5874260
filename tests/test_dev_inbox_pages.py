"""The inspector's pages of deferred work and webhooks, in this process: the edges that a browser does not meet."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.interfaces import write_project
from tests.servers import TIMEOUT
from tests.test_dev_inspector import TOKEN, Client
from wixhttp.asgi import ASGIApplication
from wixhttp.data.collections import open_collections, set_default
from wixhttp.dev.application import DevelopmentApplication
from wixhttp.dev.inspector.inbox_pages import PAGE_SIZE
from wixhttp.dev.traffic.store import RequestStore
from wixhttp.dev.web.context import DevelopmentContext
from wixhttp.dispatch.app import App
from wixhttp.errors import StoreUnavailable
from wixhttp.inbox.opened import current_inbox
from wixhttp.inbox.process_jobs import note_jobs
from wixhttp.inbox.stores.contract import Failed, Inbox, NewJob
from wixhttp.project.config import load_config
from wixhttp.secrets import SecretStore, set_default_store
from wixhttp.services import load_served_site
from wixhttp.webhooks import sign

SECRET = "a-secret-of-forty-characters-that-nobody-sees"
SITE = {
    "backend/http_functions.py": """
        from wixhttp import ok
        from wixhttp.inbox import deferred, job
        from wixhttp.webhooks import verified

        @verified("github", secret="HUB_SECRET")
        @deferred()
        def post_hub(request):
            return ok()

        @job("mail")
        def mail(to):
            raise ValueError(to)
    """,
    "src/pages/api/hook.py": """
        from wixhttp.endpoints import Response
        from wixhttp.webhooks import verified

        @verified("stripe", secret="STRIPE_SECRET")
        def POST(context):
            return Response("taken")
    """,
    "secrets.env": f"HUB_SECRET={SECRET}\n",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = write_project(tmp_path_factory.mktemp("deferred"), SITE)
    (folder / "secrets.env").chmod(0o600)
    config = load_config(folder, environ={}, flags={"mode": "development"})
    set_default_store(SecretStore.from_config(config))
    collections = open_collections(config)
    set_default(collections)
    site = load_served_site(config)
    app = App(site)
    context = DevelopmentContext(config, RequestStore(folder / ".wixhttp"), TOKEN, 1, site=site, app=app)
    made = Client(DevelopmentApplication(ASGIApplication(app), context))
    yield made
    for work in site.background:
        work.stop(TIMEOUT)
    set_default(None)
    set_default_store(None)
    note_jobs(None)
    collections.store.close()
    made.close()


@pytest.fixture
def inbox(client: Client) -> Inbox:
    found = current_inbox()
    found.cancel([job.id for job in found.list(limit=10_000)])
    found.purge("cancelled", 0)
    return found


def test_more_jobs_than_a_page_has_are_on_older_pages(client: Client, inbox: Inbox) -> None:
    ids = [each.id for each in inbox.accept([NewJob("mail") for _ in range(PAGE_SIZE + 7)])]
    first = client.ask("/_wixhttp/inbox?name=mail&state=waiting").text
    assert first.count('class="id mono"') == PAGE_SIZE
    older = first.partition('">Older')[0].rpartition('href="')[2].replace("&amp;", "&")
    second = client.ask(older).text
    assert second.count('class="id mono"') == 7
    assert ids[0] in second
    assert "Newest" in second


def test_a_name_that_nothing_runs_is_marked(client: Client, inbox: Inbox) -> None:
    [gone] = inbox.accept([NewJob("gone")])
    assert "gone unknown" in client.ask("/_wixhttp/inbox").words
    assert "No function of the project has this name" in client.ask(f"/_wixhttp/inbox/{gone.id}").words


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"not JSON \xff", b'"text"', b'{"arguments": {"a": [1, null]}}'])
@pytest.mark.parametrize("kind", ["job", "request"])
def test_whatever_a_row_holds_has_a_page(client: Client, inbox: Inbox, kind: str, payload: bytes) -> None:
    [made] = inbox.accept([NewJob("mail", kind, payload, body=bytes(range(256)))])  # type: ignore[arg-type]  # a kind
    page = client.ask(f"/_wixhttp/inbox/{made.id}")
    assert page.status == 200
    assert "waiting" in page.words


def test_secrets_and_credentials_are_masked_on_the_page_of_a_job(client: Client, inbox: Inbox) -> None:
    request = {
        "method": "POST",
        "path": "/_functions/hub",
        "query": "token=abcdefgh12",
        "headers": [["Cookie", "a=b1234"]],
    }
    made = inbox.accept(
        [
            NewJob("mail", payload=json.dumps({"arguments": [f"key is {SECRET}"]}).encode(), key=SECRET),
            NewJob("post_hub", "request", json.dumps(request).encode(), body=SECRET.encode()),
        ]
    )
    for job in inbox.claim(["mail", "post_hub"], 2):
        inbox.finish(job, Failed(f"it failed with {SECRET}"))
    for each in made:
        page = client.ask(f"/_wixhttp/inbox/{each.id}").text
        assert "it failed with ***" in page
        for hidden in (SECRET, "abcdefgh12", "b1234"):
            assert hidden not in page
    assert SECRET not in client.ask("/_wixhttp/inbox").text


def test_what_cannot_be_done_to_a_job_is_told(client: Client, inbox: Inbox) -> None:
    [made] = inbox.accept([NewJob("mail")])
    refused = client.post(f"/_wixhttp/inbox/{made.id}/retry")
    assert refused.status == 409
    assert "only dead and cancelled ones" in refused.words
    [job] = inbox.claim(["mail"], 1)
    assert client.post(f"/_wixhttp/inbox/{made.id}/cancel").status == 409
    inbox.finish(job, Failed("it is no use"))
    assert "It does not run any more." in client.follow(client.post(f"/_wixhttp/inbox/{made.id}/cancel")).words
    assert client.post("/_wixhttp/inbox/1-0/retry").status == 404
    assert client.post("/_wixhttp/jobs/run", {"name": "nothing"}).status == 404


def test_a_store_that_is_away_is_told_on_each_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*arguments: object, **options: object) -> None:
        raise StoreUnavailable("the disk is full")

    found = current_inbox()
    for name in ("list", "get", "stats"):
        monkeypatch.setattr(found, name, away)
    for page in ("inbox", "jobs", "inbox/1-0"):
        answer = client.ask(f"/_wixhttp/{page}")
        assert answer.status == 500
        assert "the disk is full" in answer.words


def test_a_project_that_cannot_be_loaded_has_pages_that_say_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.application.context, "site", None)
    for page in ("inbox", "jobs", "webhooks"):
        answer = client.ask(f"/_wixhttp/{page}")
        assert answer.status == 200
        assert "The project cannot be loaded." in answer.words
    for path in ("inbox/1-0/retry", "inbox/retry-dead", "jobs/run"):
        assert client.post(f"/_wixhttp/{path}", {"name": "x"}).status == 409


def test_a_delivery_of_a_function_and_one_of_an_endpoint_are_explained(client: Client) -> None:
    body = b'{"id": "evt_1"}'
    fields = sign("github", body, secret=SECRET, event="push")
    altered = client.keep(
        "/_functions/hub", "POST", body=body + b"\n", **{k.replace("-", "_"): v for k, v in fields.items()}
    )
    page = client.ask(f"/_wixhttp/requests/{altered.id}").words
    assert "Verification of the sender refused" in page
    assert "FAILS body" in page
    unset = client.keep("/api/hook", "POST", body=b"{}", stripe_signature="t=1,v1=00", origin="http://127.0.0.1:8000")
    assert "there is no secret 'STRIPE_SECRET'" in client.ask(f"/_wixhttp/requests/{unset.id}").words
    listed = client.ask("/_wixhttp/webhooks").words
    assert "POST /api/hook Stripe" in listed
    assert "STRIPE_SECRET missing" in listed
    assert "HUB_SECRET set" in listed
