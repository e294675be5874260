"""``wixhttp webhooks sign`` and ``explain``, the causes that are found, and what ``check`` says of ``@verified``."""

from __future__ import annotations

import contextlib
import gzip
import hmac
import io
import json
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.senders import EVENT, FORM, NOW, SENDERS, URL, Sender, hex_of, wix_keys, wix_token
from tests.servers import project
from wixhttp.cli.commands import cli, main
from wixhttp.cli.exit_codes import FAILED, NOT_LOADED
from wixhttp.dev.traffic.kept_requests import KeptRequest
from wixhttp.dev.traffic.store import RequestStore
from wixhttp.project.config import load_config
from wixhttp.secrets import SecretStore, override
from wixhttp.services import load_for_any_server, load_served_site, missing_for_senders
from wixhttp.testing import fake_request
from wixhttp.webhooks import verify
from wixhttp.webhooks.explanation import VerificationStep, explain
from wixhttp.webhooks.refusals import BODY, ENCODING, HEADERS, SECRET, SIGNATURE, TIMESTAMP
from wixhttp.webhooks.schemes import scheme_of

SITE = """
from wixhttp import ok
from wixhttp.webhooks import verified


@verified("stripe", secret="STRIPE_SECRET")
def post_stripe(request):
    return ok()


@verified("github", secret="GITHUB_SECRET")
def post_github(request):
    return ok()


@verified("github", secret="OTHER_SECRET")
def post_releases(request):
    return ok()


@verified("hmac", secret="OWN_SECRET", header="X-Sig", signed="{timestamp}.{body}", timestamp_header="X-Time")
async def post_own(request):
    return ok()


@verified("twilio", secret="TWILIO_TOKEN", url="https://www.example.com/_functions/sms")
def post_sms(request):
    return ok()
"""
SECRETS = {
    "STRIPE_SECRET": "whsec_stripe", "GITHUB_SECRET": "s3cret-of-github", "OTHER_SECRET": "another-secret",
    "OWN_SECRET": "own-secret", "TWILIO_TOKEN": "12345",
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = project(tmp_path_factory.mktemp("site"), SITE)
    (root / ".env").write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))
    (root / "event.json").write_bytes(EVENT)
    (root / "form.txt").write_bytes(FORM)
    return root


@pytest.fixture
def run(site: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(site)

    def invoke(*arguments: str, given: bytes | None = None) -> Result:
        result = CliRunner().invoke(cli, ["webhooks", *arguments], input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def fields_of(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines())


# --- sign ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [name for name in SENDERS if name not in ("wix", "hmac", "twilio", "standard")])
def test_what_is_signed_by_the_command_is_verified(run: Callable[..., Result], scheme: str) -> None:
    result = run("sign", scheme, "-d", "@event.json", "--secret", "OTHER_SECRET", "--id", "7", "--event", "paid")
    assert result.exit_code == 0
    request = fake_request("x", "POST", data=EVENT, headers=fields_of(result.output))
    webhook = verify(request, scheme, secret="another-secret")
    if scheme in ("github", "shopify"):
        assert (webhook.id, webhook.event) == ("7", "paid")


def test_the_secret_is_the_one_that_the_function_names(run: Callable[..., Result]) -> None:
    headers = fields_of(run("sign", "stripe", "-d", "@event.json").output)
    assert verify(fake_request("x", "POST", data=EVENT, headers=headers), "stripe", secret="whsec_stripe").id == "evt_1"
    headers = fields_of(run("sign", "github", "--function", "post_releases", "-d", "-").output)
    assert verify(fake_request("x", "POST", data=b"-", headers=headers), "github", secret="another-secret").id
    headers = fields_of(run("sign", "hmac", "-d", "@-", "--time", "1700000000", given=b"x").output)
    assert headers["X-Sig"] == hex_of("own-secret", b"1700000000.x")


def test_twilio_is_signed_with_its_url_and_a_body_of_another_kind_by_its_digest(run: Callable[..., Result]) -> None:
    headers = fields_of(run("sign", "twilio", "--secret", "TWILIO_TOKEN", "-d", "@form.txt", "--url", URL).output)
    assert verify(fake_request(URL, "POST", data=FORM, headers=headers), "twilio", secret="12345").id == "SM1"
    words = shlex.split(
        run("sign", "twilio", "--secret", "TWILIO_TOKEN", "-d", "@event.json", "--url", URL, "--curl").output
    )
    assert (words[0], words[-1].partition("&bodySHA256=")[0]) == ("curl", URL)
    assert words[words.index("--data-binary") + 1] == "@event.json"
    sent = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    assert verify(fake_request(words[-1], "POST", data=EVENT, headers=sent), "twilio", secret="12345").id is None


def test_the_url_that_a_function_verifies_is_signed_and_told_where_another_is_named(run: Callable[..., Result]) -> None:
    result = run("sign", "twilio", "-d", "@form.txt", "--url", "http://localhost:8000/_functions/sms")
    url = "https://www.example.com/_functions/sms"
    assert f"Note: the URL that is signed is that of @verified(url=...), {url}" in result.output
    fields = fields_of("\n".join(line for line in result.output.splitlines() if not line.startswith("Note")))
    assert verify(fake_request(url, "POST", data=FORM, headers=fields), "twilio", secret="12345", url=url).id == "SM1"


def test_a_token_of_wix_is_made_with_a_private_key_of_ones_own(run: Callable[..., Result], site: Path) -> None:
    private, public = wix_keys()
    (site / "private.pem").write_text(private)
    event = json.dumps({"eventType": "x", "instanceId": "i", "data": {"id": "7"}})
    token = run("sign", "wix", "-d", event, "--secret-file", "private.pem").output.strip()
    webhook = verify(fake_request("x", "POST", data=token.encode()), "wix", secret=public)
    assert (webhook.id, webhook.event, webhook.payload["data"]) == ("7", "x", {"id": "7"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["strip"], "'strip' is no scheme of webhooks; did you mean 'stripe'?"),
        (["slack"], "no function of this site has @verified('slack'); name the secret: --secret NAME"),
        (["github"], "several functions verify by 'github': post_github, post_releases; name one"),
        (["stripe", "--function", "post_strip"], "no function 'post_strip' verifies its sender; did you mean"),
        (["slack", "--function", "post_stripe"], "post_stripe verifies by the scheme 'stripe', not 'slack'"),
        (["slack", "--secret", "GONE"], "there is no secret 'GONE'"),
        (["slack", "--secret", "GONE", "--secret-file", "x"], "a secret is taken from one place"),
        (["slack", "--secret-file", "gone.txt"], "gone.txt cannot be read"),
        (["standard", "--secret", "OTHER_SECRET"], "OTHER_SECRET: the secret cannot be used: it is not base64"),
        (["stripe", "--curl"], "--curl prints a whole command: say the URL"),
        (["stripe", "--curl", "--url", "x", "-d", "@-"], "--curl sends the body once more"),
        (["twilio", "--secret", "TWILIO_TOKEN", "-d", "a=1"], "Twilio signs the public URL; say it: --url URL"),
        (["stripe", "-d", "@gone.json"], "gone.json cannot be read"),
        (["stripe", "-H", "X"], "-H takes NAME:VALUE"),
        (["wix", "--secret", "OTHER_SECRET", "-d", "[]"], "-d is an event as JSON"),
        (["wix", "--secret", "OTHER_SECRET", "-d", "{}"], "take a private key of RSA in PEM"),
    ],
)
def test_what_cannot_be_signed_is_told_with_the_way_out(
    run: Callable[..., Result], arguments: list[str], message: str
) -> None:
    result = run("sign", *arguments)
    assert result.exit_code == 2
    assert message in result.output


# --- explain: the causes ---------------------------------------------------------------------------------------------


def steps_of(
    sender: Sender, body: bytes | None = None, fields: Any = None, secret: str | None = None, **options: Any
) -> list[VerificationStep]:
    """The explanation of a delivery, with another body, fields or secret than the right ones."""
    body = sender.body() if body is None else body
    fields = sender.fields() if fields is None else fields
    secrets = {"KEY": sender.key if secret is None else secret}
    scheme = scheme_of(sender.scheme, None, **sender.options)
    return explain(
        scheme, list(fields.items()), **{"url": URL, "body": body, "secrets": secrets, "now": NOW, **options}
    )


def failed(steps: list[VerificationStep]) -> tuple[str, str]:
    """Name and text of the one step that failed."""
    [step] = [step for step in steps if not step.ok]
    return step.name, step.text


@pytest.mark.parametrize("sender", SENDERS.values(), ids=lambda each: each.scheme)
def test_every_step_of_a_right_delivery_is_right(sender: Sender) -> None:
    steps = steps_of(sender)
    assert all(step.ok for step in steps)
    assert steps[-1].name == SIGNATURE
    assert len({step.name for step in steps}) == len(steps)


COMPACT = b'{"id":"evt_1","name":"Th\xc3\xa9","url":"a/b"}'
BODIES = {
    "a line end less": (COMPACT + b"\n", COMPACT, "a line end was taken off its end"),
    "a line end more": (COMPACT, COMPACT + b"\n", "a line end was added"),
    "CRLF": (b"a\nb\n", b"a\r\nb\r\n", "changed from LF to CRLF"),
    "LF": (b"a\r\nb\r\n", b"a\nb\n", "changed from CRLF to LF"),
    "a mark": (COMPACT, b"\xef\xbb\xbf" + COMPACT, "a byte order mark was put in front"),
    "blanks in JSON": (COMPACT, json.dumps(json.loads(COMPACT)).encode(), "read and written anew"),
    "no blanks in JSON": (json.dumps(json.loads(COMPACT)).encode(), COMPACT, "read and written anew"),
    "indented JSON": (COMPACT, json.dumps(json.loads(COMPACT), indent=2).encode(), "read and written anew"),
    "escaped JSON": (COMPACT, COMPACT.replace(b"\xc3\xa9", b"\\u00e9"), "read and written anew"),
    "PHP's JSON": (COMPACT.replace(b"\xc3\xa9", b"\\u00e9").replace(b"/", b"\\/"), COMPACT, "read and written anew"),
    "another charset": ("Thé".encode(), "Thé".encode("latin-1"), "another charset"),
    "UTF-8 twice": ("Thé".encode(), "Thé".encode().decode("latin-1").encode(), "another charset"),
    "compressed": (COMPACT, gzip.compress(COMPACT), "it is compressed"),
    "none": (b"", COMPACT, "that of an empty body"),
}  # fmt: skip


@pytest.mark.parametrize("scheme", ["github", "stripe", "standard"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_was_altered_on_the_way_is_found_out(scheme: str, kind: str) -> None:
    sender = SENDERS[scheme]
    sent, arrived, text = BODIES[kind]
    step, found = failed(steps_of(sender, arrived, sender.fields(sent)))
    assert step == BODY
    assert text in found


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("s3cret-of-the-sender\n", "white space or quotes around it"),
        (" s3cret-of-the-sender", "white space or quotes around it"),
        ("'s3cret-of-the-sender'", "white space or quotes around it"),
        ("whsec_s3cret-of-the-sender", "taken with whsec_ in front"),
        ("czNjcmV0LW9mLXRoZS1zZW5kZXI=", "a key in base64"),
        (b"s3cret-of-the-sender".hex(), "a key in hexadecimal"),
        ("", "it is empty"),
    ],
)
def test_a_secret_that_is_written_wrongly_is_found_out(secret: str, text: str) -> None:
    step, found = failed(steps_of(SENDERS["github"], secret=secret))
    assert step == SECRET
    assert text in found
    assert "s3cret" not in found


def test_a_secret_that_is_another_of_the_site_is_found_out_by_its_name() -> None:
    others = {"TEST_KEY": SENDERS["stripe"].secret}
    found = failed(steps_of(SENDERS["stripe"], secret="wrong", others=others))
    assert found == (SECRET, "the signature is by the secret TEST_KEY, not by KEY")
    step, text = failed(steps_of(SENDERS["stripe"], secret="wrong", others={"MORE": "x"}))
    assert step == SIGNATURE
    assert "no secret of this site explains it" in text
    step, text = failed(steps_of(SENDERS["standard"], secret="whsec_no base64"))
    assert (step, "not base64 behind whsec_" in text) == (SECRET, True)


@pytest.mark.parametrize(
    ("stamp", "now", "text"),
    [
        (f"{NOW:.0f}", NOW + 412, "is 412 s old; 300 s are allowed; it is a repeat"),
        (f"{NOW:.0f}", NOW - 412, "412 s in the future; 300 s are allowed; this machine's clock is slow"),
        (f"{NOW:.0f}", NOW + 7205, "it is 2 h off"),
        (f"{NOW:.0f}123", NOW, f"it is in milliseconds: {NOW:.0f} in seconds is 0 s"),
        (f"{NOW:.1f}", NOW, "a whole decimal number of seconds"),
        ("soon", NOW, "a whole decimal number of seconds, not 'soon'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["stripe", "slack", "standard"])
def test_a_clock_that_is_off_is_told_in_seconds(scheme: str, stamp: str, now: float, text: str) -> None:
    sender = SENDERS[scheme]
    step, found = failed(steps_of(sender, fields=sender.fields(stamp=stamp), now=now))
    assert step == TIMESTAMP
    assert text in found


@pytest.mark.parametrize(
    ("scheme", "change", "text"),
    [
        ("github", lambda value: "sha256=" + value[7:].upper(), "in upper case"),
        ("github", lambda value: value[7:], "no signature that begins with 'sha256='"),
        ("github", lambda value: value[:20], "has 13 characters; one in hexadecimal has 64"),
        ("github", lambda value: value[:9] + " " + value[9:], "such as a blank"),
        ("shopify", lambda value: __import__("base64").b64decode(value).hex(), "hexadecimal; the sender writes base64"),
        ("stripe", lambda value: value.replace("v1=", "v0="), "no signature that begins with 'v1='"),
        ("stripe", lambda value: value.partition(",")[2], "0 timestamps 't='; it has one"),
    ],
)
def test_a_signature_that_is_spelled_wrongly_is_told(scheme: str, change: Callable[[str], str], text: str) -> None:
    sender = SENDERS[scheme]
    fields = sender.fields()
    name = sender.own[-1]
    fields[name] = change(fields[name])
    bad = [step for step in steps_of(sender, fields=fields) if not step.ok]
    assert ENCODING in {step.name for step in bad}
    assert any(text in step.text for step in bad)


@pytest.mark.parametrize(
    ("scheme", "fields", "text"),
    [
        ("stripe", {"X-Hub-Signature-256": "sha256=0"}, "the request has X-Hub-Signature-256 of GitHub"),
        ("github", {"X-Hub-Signature": "sha1=0"}, "the older X-Hub-Signature alone"),
        ("github", {"Accept": "*/*"}, "set the secret at the sender, too"),
        ("slack", {"X-Slack-Signature": "v0=0"}, "the header X-Slack-Request-Timestamp is missing"),
        ("stripe", {"Stripe-Signature": ""}, "is empty"),
    ],
)
def test_a_header_that_is_missing_is_told_with_what_is_there(scheme: str, fields: dict[str, str], text: str) -> None:
    step, found = failed(steps_of(SENDERS[scheme], fields=fields))
    assert step == HEADERS
    assert text in found


def test_a_url_of_twilio_that_is_not_the_public_one_is_found_out() -> None:
    sender = SENDERS["twilio"]
    step, text = failed(steps_of(sender, fields=sender.fields(), url=URL.replace("https", "http")))
    assert step == SIGNATURE
    assert f"the sender signs the URL {URL}" in text
    assert "set public_url" in text
    step, text = failed(steps_of(sender, fields=sender.fields(), url="http://localhost:8000/other"))
    assert (step, "nor another spelling of the URL" in text) == (SIGNATURE, True)


def test_a_scheme_that_a_site_describes_wrongly_is_told_rightly() -> None:
    fields = {"X-Sig": hex_of("key", b"5.body"), "X-Time": "5"}
    scheme = scheme_of(
        "hmac", None, header="X-Sig", timestamp_header="X-Time", signed="{timestamp}:{body}", digest="sha256"
    )
    step, text = failed(explain(scheme, list(fields.items()), URL, b"body", {"KEY": "key"}, 5))
    assert (step, text) == (
        SIGNATURE,
        'the sender signs by digest="sha256", encoding="hex", signed="{timestamp}.{body}"',
    )


@pytest.mark.parametrize(
    ("options", "sent", "found"),
    [
        ({"prefix": "sha256="}, "sha1=", 'prefix="sha1=", digest="sha1"'),
        ({}, "sha1=", 'prefix="sha1=", digest="sha1"'),
        ({"prefix": "sha1="}, "", 'prefix="", digest="sha1"'),
    ],
)
def test_a_prefix_that_a_site_describes_wrongly_is_told_with_the_digest_that_fits(
    options: dict[str, str], sent: str, found: str
) -> None:
    fields = [("X-Sig", sent + hmac.digest(b"key", b"body", "sha1").hex())]
    steps = explain(scheme_of("hmac", None, header="X-Sig", **options), fields, URL, b"body", {"KEY": "key"}, 5)
    [text] = [step.text for step in steps if step.name == SIGNATURE]
    assert text == f'the sender signs by {found}, encoding="hex", signed="{{body}}"'


def test_a_token_of_wix_is_explained() -> None:
    sender = SENDERS["wix"]
    assert failed(steps_of(sender, now=NOW + 100))[0] == TIMESTAMP
    assert failed(steps_of(sender, body=sender.body() + b"\n"))[0] == ENCODING
    assert failed(steps_of(sender, secret="no key"))[0] == SECRET
    altered = wix_token({"exp": NOW + 9}).rpartition(b".")[0] + b"." + sender.body().rpartition(b".")[2]
    assert failed(steps_of(sender, body=altered))[0] == SIGNATURE


# --- explain: the command --------------------------------------------------------------------------------------------


def test_a_request_that_is_given_is_explained(run: Callable[..., Result]) -> None:
    now = str(int(time.time()))
    header = f"Stripe-Signature: t={now},v1={hex_of('whsec_stripe', now.encode() + b'.' + EVENT)}"
    right = run("explain", "stripe", "-d", "@event.json", "-H", header)
    assert (right.exit_code, "FAILS" in right.output) == (0, False)
    wrong = run("explain", "stripe", "-d", "@event.json", "-H", header, "--time", str(float(now) + 900))
    assert (wrong.exit_code, wrong.output.count("FAILS")) == (FAILED, 1)
    assert "FAILS  timestamp " in wrong.output
    other = hex_of("s3cret-of-github", now.encode() + b"." + EVENT)
    wrong = run("explain", "stripe", "-d", "@event.json", "-H", f"Stripe-Signature: t={now},v1={other}")
    assert "FAILS  secret     the signature is by the secret GITHUB_SECRET, not by STRIPE_SECRET" in wrong.output
    assert not any(value in wrong.output for value in SECRETS.values() if len(value) > 5)


def test_files_that_the_pages_make_are_explained_as_curl_sends_them(run: Callable[..., Result], site: Path) -> None:
    (site / "headers.txt").write_text(run("sign", "stripe", "-d", "@event.json").output)
    assert run("explain", "stripe", "-d", "@event.json", "-H", "@headers.txt").exit_code == 0
    signature = run("sign", "twilio", "--secret", "TWILIO_TOKEN", "-d", "@form.txt", "--url", URL).output
    [header] = [line for line in signature.splitlines() if line.startswith("X-Twilio")]
    twilio = ("explain", "twilio", "--secret", "TWILIO_TOKEN", "-d", "@form.txt", "--url", URL, "-H", header)
    result = run(*twilio)
    assert (result.exit_code, "Note: the content type is taken for" in result.output) == (0, True)
    assert run(*twilio, "-H", "Content-Type: text/plain").exit_code == FAILED
    private, public = wix_keys()
    (site / "private.pem").write_text(private)
    (site / "public.pem").write_text(public)
    token = run("sign", "wix", "-d", '{"eventType": "x", "instanceId": "i"}', "--secret-file", "private.pem").output
    (site / "token.txt").write_text(token)
    assert token.endswith("\n")
    result = run("explain", "wix", "-d", "@token.txt", "--secret-file", "public.pem")
    assert (result.exit_code, "Note: the line end behind the token is left out" in result.output) == (0, True)


def test_a_body_that_is_signed_empty_is_told(run: Callable[..., Result]) -> None:
    assert "Note: an empty body is signed; give it by -d TEXT or -d @FILE" in run("sign", "stripe").output
    assert "Note" not in run("sign", "stripe", "-d", "").output


def kept(number: int, body: bytes, headers: dict[str, str], **other: Any) -> KeptRequest:
    values: dict[str, Any] = {
        "id": 0, "request_id": f"r{number}", "time": NOW + number, "method": "POST", "target": "/_functions/github",
        "http_version": "1.1", "scheme": "http", "host": "localhost:8000", "client": "127.0.0.1",
        "request_headers": list(headers.items()), "request_body": body, "request_size": len(body),
        "function": "post_github", "status": 401, "response_headers": [], "response_body": b"", "response_size": 0,
        "duration": 1.0,
    }  # fmt: skip
    return KeptRequest(**{**values, **other})


def test_a_kept_request_is_explained_at_the_time_at_which_it_came(run: Callable[..., Result], site: Path) -> None:
    missing = run("explain", "github", "--function", "post_github")
    assert (missing.exit_code, "there are no kept requests" in missing.output) == (1, True)
    signature = f"sha256={hex_of('s3cret-of-github', EVENT)}"
    stripe = f"t={int(NOW) + 3},v1={hex_of('whsec_stripe', f'{int(NOW) + 3}.'.encode() + EVENT)}"
    store = RequestStore(site / ".wixhttp")
    for request in (
        kept(1, EVENT, {"X-Hub-Signature-256": signature}),
        kept(2, EVENT + b"\n", {"X-Hub-Signature-256": signature}),
        kept(3, EVENT, {"Stripe-Signature": stripe}, function="post_stripe", target="/_functions/stripe"),
        kept(4, b"", {}, function="get_x"),
        kept(5, EVENT, {"X-Hub-Signature-256": signature}, request_size=10_000_000, function="post_releases"),
    ):
        store.add(request)
    store.close()
    last = run("explain", "github", "--function", "post_github")
    assert (last.exit_code, "a line end was added to its end" in last.output) == (FAILED, True)
    assert run("explain", "github", "r1", "--function", "post_github").exit_code == 0
    assert run("explain", "stripe").exit_code == 0
    store = RequestStore(site / ".wixhttp")
    store.add(kept(6, EVENT, {"X-Hub-Signature-256": signature}, function="post_stripe", target="/_functions/stripe"))
    store.close()
    unsigned = run("explain", "stripe")  # of the last delivery to the function, not of the last one that is signed so
    assert (unsigned.exit_code, "Stripe-Signature is missing; the request has X-Hub" in unsigned.output) == (
        FAILED,
        True,
    )
    assert "no kept request is one to post_own" in run("explain", "hmac").output
    assert "the first" in run("explain", "github", "--function", "post_releases").output
    assert "there is no kept request 'r9'" in run("explain", "stripe", "r9").output
    assert "the header Stripe-Signature is missing" in run("explain", "stripe", "r1").output
    assert "no kept request has the header" in run("explain", "slack", "--secret", "OTHER_SECRET").output
    both = run("explain", "stripe", "r1", "-d", "x")
    assert (both.exit_code, "one request is explained" in both.output) == (2, True)


def test_a_request_of_an_archive_is_explained(run: Callable[..., Result], site: Path) -> None:
    from wixhttp.dev.traffic.har import as_archive

    signature = f"sha256={hex_of('s3cret-of-github', EVENT)}"
    requests = [kept(1, EVENT, {"X-Hub-Signature-256": signature}), kept(2, EVENT, {})]
    (site / "sent.har").write_text(json.dumps(as_archive(requests, version="1", with_secrets=True)))
    right = run("explain", "github", "--function", "post_github", "--har", "sent.har")
    assert (right.exit_code, "FAILS" in right.output) == (0, False)
    masked = EVENT.replace(b"evt_1", b"***")
    requests = [kept(1, masked, {"X-Hub-Signature-256": signature})]
    (site / "masked.har").write_text(json.dumps(as_archive(requests, version="1", with_secrets=True)))
    assert "--with-secrets" in run("explain", "github", "--function", "post_github", "--har", "masked.har").output
    none = run("explain", "stripe", "--har", "sent.har")
    assert "no request of sent.har has the header Stripe-Signature" in none.output
    (site / "no.har").write_text("x")
    assert "no.har is no HTTP archive" in run("explain", "stripe", "--har", "no.har").output


# --- check -----------------------------------------------------------------------------------------------------------


def checked(root: Path, text: str, secrets: str = "") -> tuple[int, str]:
    project(root, textwrap.dedent(text))
    (root / ".env").write_text(secrets)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), pytest.raises(SystemExit) as ended:
        main(["--project", str(root), "check"])
    assert isinstance(ended.value.code, int)
    return ended.value.code, output.getvalue()


VERIFIES = """
    from wixhttp import ok
    from wixhttp.webhooks import verified

    @verified({})
    def post_x(request):
        return ok()
"""


def test_check_looks_for_the_secrets_that_a_decorator_names(tmp_path: Path) -> None:
    text = VERIFIES.format('"meta", secret=["HERE", "GONE"], verify_token="LOST"')
    code, output = checked(tmp_path, text, "HERE=x\n")
    assert code == NOT_LOADED
    for name in ("GONE", "LOST"):
        assert output.count(f"backend/http_functions.py:5: there is no secret '{name}'") == 1
        assert output.count(f"there is no secret {name!r}") == 1
    assert "'HERE'" not in output
    assert checked(tmp_path, text, "HERE=x\nGONE=y\nLOST=z\n") == (0, "1 function, no problems\n")


def test_check_looks_at_secrets_that_are_named_elsewhere_and_at_those_that_cannot_be_used(tmp_path: Path) -> None:
    text = VERIFIES.format('"standard", secret=NAME').replace("    @verified", '    NAME = "KEY"\n\n    @verified')
    for secrets, message in (
        ("", "there is no secret 'KEY'"),
        ("KEY=\n", "the secret 'KEY' cannot be used: it is empty"),
        ("KEY='whsec_not base64'\n", "the secret 'KEY' cannot be used: it is not base64"),
    ):
        code, output = checked(tmp_path, text, secrets)
        assert (code, message in output, "@verified of post_x" in output) == (NOT_LOADED, True, True)
    assert checked(tmp_path, text, "KEY=whsec_c2VjcmV0\n")[0] == 0


@pytest.mark.parametrize(("scheme", "is_told"), [("github", True), ("shopify", True), ("wix", False)])
def test_a_secret_that_was_stored_with_the_line_end_of_a_file_is_told(
    tmp_path: Path, scheme: str, is_told: bool
) -> None:
    root = project(tmp_path, textwrap.dedent(VERIFIES.format(f'"{scheme}", secret="KEY"')))
    site = load_served_site(load_config(root))
    for secret in (f"{SENDERS[scheme].key}\n", f" {SENDERS[scheme].key}"):
        with override(SecretStore.from_mapping({"KEY": secret})):
            problems = missing_for_senders(site)
        assert len(problems) == is_told
        assert all("the secret 'KEY' has white space or a line end around it" in each for each in problems)


def test_the_secrets_that_are_missing_are_known_when_a_site_is_loaded(tmp_path: Path) -> None:
    root = project(tmp_path, textwrap.dedent(VERIFIES.format('"stripe", secret="GONE"')))
    endpoint = root / "src/pages/api/hook.py"
    endpoint.parent.mkdir(parents=True)
    lines = [
        "from wixhttp.webhooks import verified",
        "",
        '@verified("github", secret="HERE")',
        "def POST(request): ...",
    ]
    endpoint.write_text("\n".join(lines))
    site = load_served_site(load_config(root))
    with override(SecretStore.from_mapping({"HERE": ""})):
        [of_function, of_endpoint] = missing_for_senders(site)
    assert of_function.startswith("backend/http_functions.py:5: @verified of post_x: there is no secret 'GONE'")
    where = "src/pages/api/hook.py:3: @verified of POST /api/hook: "
    assert of_endpoint.startswith(f"{where}the secret 'HERE' cannot be used: it is empty")
    with override(SecretStore.from_mapping({"HERE": "x", "GONE": "y"})):
        assert missing_for_senders(site) == []


def test_serve_names_all_missing_secrets_and_other_servers_warn_of_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = project(tmp_path, textwrap.dedent(VERIFIES.format('"stripe", secret=["GONE", "LOST"]')))
    command = [sys.executable, "-m", "wixhttp", "--project", str(root), "serve", "--", "--check-config"]
    served = subprocess.run(command, capture_output=True, text=True, check=False)
    assert served.returncode == NOT_LOADED
    for name in ("GONE", "LOST"):
        assert f"backend/http_functions.py:5: @verified of post_x: there is no secret '{name}'" in served.stderr
    with override(SecretStore.from_mapping({"LOST": "x"})):
        load_for_any_server(load_config(root))
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "backend/http_functions.py:5: @verified of post_x: there is no secret 'GONE'"
    ]


def test_what_would_refuse_all_deliveries_is_told_by_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, public = wix_keys()
    line = "KEY='" + public.strip().replace("\n", "\\n") + "'\n"
    wix, meta = VERIFIES.format('"wix", secret="KEY"'), VERIFIES.format('"meta", secret="KEY"')
    for name, text in (("wix", wix), ("meta", meta)):
        assert checked(tmp_path / name, text, line) == (0, "1 function, no problems\n")
    code, output = checked(tmp_path / "use", meta.replace("post_x", "use_x"), line)
    assert (code, "Meta asks by GET with a token of yours; name its secret: verify_token=" in output) == (3, True)
    monkeypatch.setitem(sys.modules, "jwt", None)
    code, output = checked(tmp_path / "wix", wix, line)
    assert (code, "the tokens of Wix need the extra auth; run: pip install" in output) == (3, True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('"stripe", secret=""', 'secret is the name of a secret, not an empty text; write secret="NAME"'),
        ('"strip", secret="KEY"', "'strip' is no scheme of webhooks; did you mean 'stripe'?"),
        ('"stripe", secrets="KEY"', "verified() has no argument 'secrets'; did you mean 'secret'?"),
        ('"stripe", secret="whsec_abcdefgh"', "this looks like the secret itself (whsec_***); store it"),
        ('"twilio", secret="00112233445566778899aabbccddeeff"', "this looks like the secret itself (001122***)"),
        ('"stripe"', "secret= is missing"),
        ('"stripe", "KEY"', "verified takes keywords behind the scheme, not 'KEY'"),
        ('"stripe", secret=[]', "secret is an empty list"),
        ('"stripe", secret="KEY", tolerance=-1', "tolerance is a number of seconds above 0"),
    ],
)
def test_a_decorator_that_cannot_be_is_told_by_check(tmp_path: Path, call: str, message: str) -> None:
    code, output = checked(tmp_path, VERIFIES.format(call), "KEY=x\n")
    assert (code, message in output) == (NOT_LOADED, True)
    assert "abcdefgh" not in output
    assert "aabbcc" not in output
