"""Verified senders in front of every kind of handler, by the decorator and by `verify`; the questions of senders."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import load_app
from tests.senders import URL, hex_of
from tests.servers import project
from wixhttp import measurements
from wixhttp.endpoints.web.request import Request as WebRequest
from wixhttp.errors import BodyAlreadyUsed, HTTPError
from wixhttp.secrets import SecretStore, override
from wixhttp.testing import TestClient, fake_async_request, fake_request
from wixhttp.webhooks import Webhook, sign, verified, verify

SECRETS = {"KEY": "s3cret", "OLD": "former", "TOKEN": "a-text", "STANDARD": "whsec_c2VjcmV0"}
BODY = b'{"id": "evt_1", "type": "paid"}'

FUNCTIONS = """
    from wixhttp import cors, limits, ok
    from wixhttp.errors import HTTPError
    from wixhttp.secrets import getSecret
    from wixhttp.webhooks import verified, verify

    def said(webhook):
        return ok({"body": {"id": webhook.id, "event": webhook.event}})

    @verified("stripe", secret="KEY")
    def post_plain(request):
        return said(request.webhook)

    @verified("stripe", secret="KEY")
    async def post_awaited(request):
        assert (await request.body.json())["id"] == request.webhook.id
        return said(request.webhook)

    @limits(max_body=100)
    @verified("stripe", secret="KEY")
    @cors(origins="*")
    def post_inside(request):
        return said(request.webhook)

    @verified("stripe", secret="KEY")
    @limits(max_body=100)
    def post_outside(request):
        return said(request.webhook)

    @verified("stripe", secret=["KEY", "OLD"])
    def post_rotated(request):
        return said(request.webhook)

    @verified("stripe", secret=["KEY", "GONE"])
    def post_half(request):
        return said(request.webhook)

    def post_called(request):
        return said(verify(request, "stripe", secret=getSecret("KEY")))

    async def post_promised(request):
        webhook = await verify(request, "stripe", secret=await getSecret("KEY"))
        assert request.webhook is webhook
        return said(webhook)

    def post_caught(request):
        try:
            return said(verify(request, "stripe", secret=getSecret("KEY")))
        except HTTPError as error:
            return ok({"body": {"reason": error.reason}})

    @verified("slack", secret=["OLD", "KEY"])
    async def post_slack(request):
        return said(request.webhook)

    @verified("zoom", secret=["OLD", "KEY"])
    def post_zoom(request):
        return said(request.webhook)

    @verified("meta", secret="KEY", verify_token="TOKEN")
    def use_meta(request):
        return said(request.webhook)

    @verified("meta", secret="KEY")
    def use_tokenless(request):
        return said(request.webhook)

    @verified("meta", secret="KEY", verify_token="TOKEN")
    async def get_pages(request):
        return said(request.webhook)
"""

ENDPOINTS = {
    "sync.py": """
        from wixhttp.endpoints import Response
        from wixhttp.webhooks import verified

        @verified("stripe", secret="KEY")
        def POST(request):
            webhook, body = request.webhook, request.json()["id"]
            return Response.json({"id": webhook.id, "event": webhook.event, "body": body})
    """,
    "async.py": """
        from wixhttp.endpoints import Response
        from wixhttp.webhooks import verified

        @verified("stripe", secret="KEY")
        async def POST(request):
            body = (await request.json())["id"]
            return Response.json({"id": request.webhook.id, "event": request.webhook.event, "body": body})
    """,
    "called.py": """
        from wixhttp.endpoints import Response
        from wixhttp.webhooks import verify

        async def POST(request):
            webhook = await verify(request, "stripe", secret="s3cret")
            body = (await request.json())["id"]
            return Response.json({"id": webhook.id, "event": request.webhook.event, "body": body})
    """,
    "sms.py": """
        from wixhttp.endpoints import Response
        from wixhttp.webhooks import verified

        @verified("twilio", secret="KEY")
        def POST(request):
            return Response.json({"body": request.formData()["Body"]})
    """,
    "checked.py": """
        from wixhttp import check_origin
        from wixhttp.endpoints import Response
        from wixhttp.webhooks import verified

        @verified("twilio", secret="KEY")
        @check_origin(True)
        def POST(request):
            return Response.json({})
    """,
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    root = project(tmp_path_factory.mktemp("site"), textwrap.dedent(FUNCTIONS))
    for name, text in ENDPOINTS.items():
        path = root / "src/pages/api" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return TestClient(load_app(root))


@pytest.fixture(autouse=True)
def _secrets() -> Iterator[None]:
    with override(SecretStore.from_mapping(SECRETS)):
        yield


def signed(body: bytes = BODY, scheme: str = "stripe", secret: str = SECRETS["KEY"], **options: Any) -> dict[str, str]:
    return sign(scheme, body, secret=secret, **options)


# --- every kind of handler -------------------------------------------------------------------------------------------

NAMES = ("plain", "awaited", "inside", "outside", "rotated", "half", "called", "promised")


@pytest.mark.parametrize("name", NAMES)
def test_a_function_gets_verified_deliveries_alone(client: TestClient, name: str) -> None:
    answer = client.post(name, data=BODY, headers=signed())
    assert (answer.status_code, answer.json()) == (200, {"id": "evt_1", "event": "paid"})
    for body, headers in ((BODY + b" ", signed()), (BODY, {}), (BODY, signed(secret="other"))):
        refused = client.post(name, data=body, headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Signature")
        assert refused.headers["content-type"] == "application/problem+json"
    old = client.post(name, data=BODY, headers=signed(secret=SECRETS["OLD"]))
    assert old.status_code == (200 if name == "rotated" else 401)


def test_a_function_may_catch_the_refusal_and_read_its_reason(client: TestClient) -> None:
    assert client.post("caught", data=BODY).json() == {"reason": "the header Stripe-Signature is missing"}


@pytest.mark.parametrize("name", ["sync", "async", "called"])
def test_an_endpoint_gets_verified_deliveries_and_their_bodies(client: TestClient, name: str) -> None:
    answer = client.post(f"/api/{name}", data=BODY, headers=signed())
    assert (answer.status_code, answer.json()) == (200, {"id": "evt_1", "event": "paid", "body": "evt_1"})
    assert client.post(f"/api/{name}", data=BODY[:-1], headers=signed()).status_code == 401


def test_a_form_of_a_verified_sender_needs_no_origin_unless_it_is_asked_for(client: TestClient) -> None:
    form, there = b"MessageSid=SM1&Body=hi", {"Origin": "https://elsewhere.example.com"}
    for path, status in (("/api/sms", 200), ("/api/checked", 403)):
        headers = {**signed(form, "twilio", url=f"http://localhost{path}"), **there}
        answer = client.post(path, data=form, headers=headers)
        assert answer.status_code == status
    headers = {**signed(form, "twilio", url="http://localhost/api/other"), **there}
    assert client.post("/api/sms", data=form, headers=headers).status_code == 401


def test_the_public_url_of_the_site_is_the_one_that_twilio_signs(tmp_path: Path) -> None:
    text = """
    from wixhttp import ok
    from wixhttp.webhooks import verified

    @verified("twilio", secret="KEY")
    def post_sms(request):
        return ok()

    @verified("twilio", secret="KEY", url="https://hooks.example.com/sms")
    def post_elsewhere(request):
        return ok()
    """
    settings = 'public_url = "https://www.example.com"\n'
    site = TestClient(load_app(project(tmp_path, textwrap.dedent(text), settings)))
    form = b"Body=hi"
    own, other = "https://www.example.com/_functions/sms", "https://hooks.example.com/sms"
    for name, url, status in (
        ("sms", own, 200),
        ("sms", other, 401),
        ("elsewhere", other, 200),
        ("elsewhere", own, 401),
    ):
        assert site.post(name, data=form, headers=signed(form, "twilio", url=url)).status_code == status
    local = "http://localhost/_functions/sms"
    assert site.post("sms", data=form, headers=signed(form, "twilio", url=local)).status_code == 401


def test_a_decorated_function_can_be_called_in_a_test() -> None:
    @verified("stripe", secret="KEY")
    def post_x(request: Any) -> Any:
        return request.webhook

    assert post_x(fake_request("x", "POST", data=BODY)) is None
    with pytest.raises(TypeError, match="two decorators of one kind"):
        verified("github", secret="KEY")(post_x)


def test_the_secret_may_change_while_the_site_runs(client: TestClient) -> None:
    values = dict(SECRETS)
    with override(SecretStore.from_mapping(values)):
        assert client.post("plain", data=BODY, headers=signed()).status_code == 200
        values["KEY"] = "another"
        assert client.post("plain", data=BODY, headers=signed()).status_code == 401
        assert client.post("plain", data=BODY, headers=signed(secret="another")).status_code == 200
        del values["KEY"]
        assert client.post("plain", data=BODY, headers=signed(secret="another")).status_code == 401


# --- verify ----------------------------------------------------------------------------------------------------------


def test_verify_takes_every_kind_of_request() -> None:
    async def verify_awaited() -> None:
        awaited = fake_async_request("x", "POST", data=BODY, headers=headers)
        assert (await verify(awaited, "stripe", secret="s3cret")).id == "evt_1"
        assert awaited.webhook.id == "evt_1"
        with pytest.raises(HTTPError) as refused:
            await verify(fake_async_request("x", "POST", data=BODY), "stripe", secret="s3cret")
        assert refused.value.status == 401

    headers = signed()
    assert verify(fake_request("x", "POST", data=BODY, headers=headers), "stripe", secret="s3cret").id == "evt_1"
    asyncio.run(verify_awaited())
    own = WebRequest(URL, "POST", headers, BODY)
    assert verify(own, "stripe", secret="s3cret").id == "evt_1"
    assert own.json()["id"] == "evt_1"
    with pytest.raises(BodyAlreadyUsed):
        verify(own, "stripe", secret="s3cret")


def test_a_delivery_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Webhook("1").id = "2"  # type: ignore[misc]


# --- the questions of senders ----------------------------------------------------------------------------------------


def test_slack_is_given_its_challenge_where_its_question_is_signed(client: TestClient) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a", "token": "t"}).encode()
    answer = client.post("slack", data=body, headers=signed(body, "slack"))
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (
        200, "3eZbrw1a", "text/plain; charset=utf-8",
    )  # fmt: skip
    assert client.post("slack", data=body, headers=signed(body, "slack", "other")).status_code == 401
    for event in (
        {"type": "event_callback", "event_id": "Ev1", "event": {"type": "message", "text": "url_verification"}},
        {"type": "url_verification", "challenge": 1, "event_id": "Ev1"},
        {"event": {"type": "url_verification"}, "event_id": "Ev1"},
    ):
        body = json.dumps(event).encode()
        assert client.post("slack", data=body, headers=signed(body, "slack")).json()["id"] == "Ev1"


@pytest.mark.parametrize("secret", ["KEY", "OLD"])
def test_zoom_is_answered_by_the_secret_that_it_signs_with(client: TestClient, secret: str) -> None:
    token = "qgg8vlvZRS6UYooatFL8Aw"
    body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": token}}).encode()
    answer = client.post("zoom", data=body, headers=signed(body, "zoom", SECRETS[secret]))
    mac = hex_of(SECRETS[secret], token.encode())
    assert (answer.status_code, answer.json()) == (200, {"plainToken": token, "encryptedToken": mac})
    assert client.post("zoom", data=body, headers=signed(body, "zoom", "other")).status_code == 401
    body = json.dumps({"event": "meeting.started", "payload": {"topic": "endpoint.url_validation"}}).encode()
    assert client.post("zoom", data=body, headers=signed(body, "zoom")).json()["event"] == "meeting.started"


QUESTION = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=a-text"


@pytest.mark.parametrize("name", ["meta", "pages"])
def test_meta_is_given_its_challenge_for_the_right_token(client: TestClient, name: str) -> None:
    answer = client.get(f"{name}?{QUESTION}")
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (
        200, "1158201444", "text/plain; charset=utf-8",
    )  # fmt: skip
    assert client.request("HEAD", f"{name}?{QUESTION}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "", "hub.mode=subscribe", QUESTION.replace("a-text", "A-text"), QUESTION.replace("a-text", ""),
        QUESTION.replace("subscribe", "unsubscribe"), QUESTION.replace("1158201444", ""),
        QUESTION.replace("1158201444", "<script>"), QUESTION.replace("1158201444", "1" * 600),
        QUESTION + "&hub.verify_token=a-text", QUESTION + "&hub.challenge=2", QUESTION.replace("a-text", "%FF"),
        QUESTION.replace("a-text", "a-text%00"),
    ],
)  # fmt: skip
def test_another_question_of_meta_is_refused(client: TestClient, query: str) -> None:
    assert client.get(f"meta?{query}").status_code == 401


def test_a_question_of_meta_without_a_token_of_the_site_is_refused_and_says_why(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get(f"tokenless?{QUESTION}").status_code == 401
    assert "verify_token=NAME" in caplog.text


def test_a_delivery_of_meta_is_no_question_whatever_its_query_is(client: TestClient) -> None:
    body = b'{"object": "page"}'
    assert client.post(f"meta?{QUESTION}", data=body).status_code == 401
    assert client.post(f"meta?{QUESTION}", data=body, headers=signed(body, "meta")).json()["event"] == "page"


# --- counted ---------------------------------------------------------------------------------------------------------


def test_verifications_are_counted_by_scheme_and_result(client: TestClient) -> None:
    seen: list[tuple[str, dict[str, str]]] = []
    measurements.count_with(lambda event, labels: seen.append((event, labels)))
    try:
        client.post("plain", data=BODY, headers=signed())
        client.post("plain", data=BODY)
    finally:
        measurements.count_with(None)
    assert seen == [
        ("webhook_verification", {"scheme": "stripe", "result": "accepted"}),
        ("webhook_verification", {"scheme": "stripe", "result": "refused"}),
    ]
