"""The verification of webhooks: what senders sign is accepted, what is signed here they accept, nothing else is."""

from __future__ import annotations

import base64
import json
import random
import re
import time
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlencode

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.senders import (
    EVENT,
    NOW,
    SENDERS,
    URL,
    Sender,
    hex_of,
    signed_by_library,
    taken_by_library,
    twilio_library,
    wix_keys,
    wix_token,
)
from wixhttp import webhooks
from wixhttp.errors import HTTPError
from wixhttp.testing import fake_request
from wixhttp.webhooks import Webhook, sign
from wixhttp.webhooks.keys import UnusableSecret, public_key
from wixhttp.webhooks.message import SignedMessage
from wixhttp.webhooks.refusals import UnverifiedSender
from wixhttp.webhooks.schemes import SCHEMES, scheme_of
from wixhttp.webhooks.verification import verify_message

verify: Any = webhooks.verify  # with keywords of all kinds
ALL = pytest.mark.parametrize("sender", SENDERS.values(), ids=lambda each: each.scheme)
DELIVERIES = sorted((Path(__file__).parent / "data/github").glob("*.json"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
SECRET = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def accepted(sender: Sender, body: bytes, fields: dict[str, str], now: float = NOW, **options: Any) -> Any:
    request = fake_request(URL, "POST", data=body, headers=fields)
    return verify(request, sender.scheme, secret=sender.key, now=now, **{**sender.options, **options})


def test_every_scheme_of_the_table_has_a_sender_in_the_tests() -> None:
    assert set(SENDERS) == set(SCHEMES)


@ALL
def test_a_delivery_is_accepted_and_named_as_its_sender_names_it(sender: Sender) -> None:
    stamp = int(NOW)
    expected = {
        "standard": Webhook("msg_1", stamp, "order.paid"),
        "stripe": Webhook("evt_1", stamp, "order.paid"),
        "github": Webhook("72d3162e", None, "push"),
        "slack": Webhook(None, stamp, "order.paid"),
        "shopify": Webhook("w1", None, "orders/paid"),
        "twilio": Webhook("SM1", None, None),
        "paddle": Webhook(None, stamp, None),
        "zoom": Webhook(None, stamp, None),
        "meta": Webhook(None, None, None),
        "hmac": Webhook(None, stamp, None),
        "wix": Webhook("evt_1", stamp, "wix.contacts.v4.contact_created", {
            "eventType": "wix.contacts.v4.contact_created", "instanceId": "i1",
            "data": {"id": "evt_1", "entityId": "c1"},
        }),
    }  # fmt: skip
    request = fake_request(URL, "POST", data=sender.body(), headers=sender.fields())
    assert request.webhook is None
    found = verify(request, sender.scheme, secret=sender.key, now=NOW, **sender.options)
    assert found == expected[sender.scheme]
    assert request.webhook is found


@ALL
def test_any_secret_of_a_list_may_have_signed(sender: Sender) -> None:
    request = fake_request(URL, "POST", data=sender.body(), headers=sender.fields())
    other = "whsec_b3RoZXI=" if sender.scheme == "standard" else "another"
    for secrets in ([other, sender.key], [sender.key, other], [sender.key, ""]):
        assert verify(request, sender.scheme, secret=secrets, now=NOW, **sender.options)
    with pytest.raises(HTTPError) as refused:
        verify(request, sender.scheme, secret=[other], now=NOW, **sender.options)
    assert refused.value.status == 401


@pytest.mark.parametrize("sender", [each for each in SENDERS.values() if each.stamped], ids=lambda each: each.scheme)
def test_a_signature_is_fresh_within_the_tolerance_and_not_a_second_more(sender: Sender) -> None:
    for age, tolerance in ((300, None), (-300, None), (10, 10), (-10, 10), (3600, 3600)):
        assert accepted(sender, sender.body(), sender.fields(), NOW + age, tolerance=tolerance)
    for age, tolerance in ((301, None), (-301, None), (11, 10), (-11, 10), (3601, 3600)):
        with pytest.raises(HTTPError, match=f"{abs(age)} s (old|in the future)"):
            accepted(sender, sender.body(), sender.fields(), NOW + age, tolerance=tolerance)


def test_a_token_of_wix_is_accepted_until_it_expires_and_never_without_an_end() -> None:
    sender = SENDERS["wix"]
    assert accepted(sender, sender.body(), {}, NOW + 60)
    assert accepted(sender, sender.body(), {}, NOW + 70, tolerance=10)
    for token, now in (
        (sender.body(), NOW + 61),
        (wix_token({"data": "{}"}), NOW),
        (wix_token({"data": "{}", "exp": True}), NOW),
        (wix_token({"data": "{}", "exp": NOW + 9, "nbf": NOW + 5}), NOW),
    ):
        with pytest.raises(HTTPError, match="token"):
            accepted(sender, token, {}, now)


def test_a_token_by_another_key_or_algorithm_is_none_of_wix() -> None:
    sender = SENDERS["wix"]
    claims = {"data": "{}", "exp": NOW + 60}
    public = wix_keys()[1]
    segment = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    import hashlib
    import hmac

    confused = hmac.new(public.encode(), head + b"." + segment, hashlib.sha256).digest()
    forged = [
        jwt.encode(claims, "x" * 32, algorithm="HS256").encode(),
        jwt.encode(claims, "", algorithm="none").encode() + b"AA",
        jwt.encode(claims, wix_keys()[0], algorithm="RS512").encode(),
        head + b"." + segment + b"." + base64.urlsafe_b64encode(confused).rstrip(b"="),
        sender.body() + b"\n",
        b'"' + sender.body() + b'"',
        sender.body().replace(b".", b"..", 1),
        b"..",
        b"",
    ]
    for token in forged:
        with pytest.raises(HTTPError) as refused:
            accepted(sender, token, {})
        assert refused.value.status == 401


# --- published vectors -----------------------------------------------------------------------------------------------

VECTOR = b'{"test": 2432232314}'  # of the libraries of Standard Webhooks and of Svix's server
SYMMETRIC = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
ED25519 = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
VECTOR_KEYS = {
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": SYMMETRIC,
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": SYMMETRIC,
    "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=": ED25519,
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==": ED25519,
}


@pytest.mark.parametrize("secret", VECTOR_KEYS)
def test_the_published_vectors_of_standard_webhooks(secret: str) -> None:
    fields = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330"}
    both = f"v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,{SYMMETRIC[3:]} {SYMMETRIC} {ED25519}"
    for signature in (VECTOR_KEYS[secret], both):
        request = fake_request("x", "POST", data=VECTOR, headers={**fields, "webhook-signature": signature})
        assert verify(request, "standard", secret=secret, now=1614265330).id == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    other = ED25519 if VECTOR_KEYS[secret] == SYMMETRIC else SYMMETRIC
    for signature in (other, "v2" + SYMMETRIC[2:], "v1a" + SYMMETRIC[2:], "v1" + ED25519[3:], SYMMETRIC[3:]):
        request = fake_request("x", "POST", data=VECTOR, headers={**fields, "webhook-signature": signature})
        with pytest.raises(HTTPError):
            verify(request, "standard", secret=secret, now=1614265330)
    if not secret.startswith("whpk_"):
        made = sign("standard", VECTOR, secret=secret, now=1614265330, id=fields["webhook-id"])
        assert made["webhook-signature"] == VECTOR_KEYS[secret]


def test_the_signatures_that_github_and_slack_document() -> None:
    # docs.github.com, "Validating webhook deliveries", section "Testing the webhook payload validation"
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    request = fake_request("x", "POST", data=b"Hello, World!", headers={"X-Hub-Signature-256": signature})
    assert verify(request, "github", secret="It's a Secret to Everybody") == Webhook()
    # docs.slack.dev, "Verifying requests from Slack", the worked example
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    fields = {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    request = fake_request("x", "POST", data=body, headers=fields)
    assert verify(request, "slack", secret="8f742231b10e8888abcd99yyyzzz85a5", now=1531420618).timestamp == 1531420618


@pytest.mark.parametrize("file", DELIVERIES, ids=lambda file: file.stem)
def test_real_deliveries_of_github_are_accepted_byte_for_byte(file: Path) -> None:
    body = file.read_bytes()
    fields = {"X-Hub-Signature-256": f"sha256={hex_of('key', body)}", "X-GitHub-Event": file.stem}
    assert verify(fake_request("x", "POST", data=body, headers=fields), "github", secret="key").event == file.stem
    for changed in (json.dumps(json.loads(body)).encode(), body.rstrip(b"\n") if body[-1:] == b"\n" else body + b"\n"):
        with pytest.raises(HTTPError):
            verify(fake_request("x", "POST", data=changed, headers=fields), "github", secret="key")


# --- the senders' own libraries, both ways ---------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["standard", "stripe", "slack"])
@settings(max_examples=40)
@given(secret=SECRET, body=TEXT)
def test_deliveries_pass_between_this_package_and_the_senders_library(scheme: str, secret: str, body: str) -> None:
    if scheme == "standard":
        secret = "whsec_" + base64.b64encode(secret.encode()).decode()
    fields = signed_by_library(scheme, secret, body)
    assert verify(fake_request("x", "POST", data=body.encode(), headers=fields), scheme, secret=secret)
    assert taken_by_library(scheme, secret, body, sign(scheme, body.encode(), secret=secret))


@settings(max_examples=40)
@given(token=SECRET, pairs=st.lists(st.tuples(NAME, TEXT), max_size=5), algorithm=st.sampled_from(["SHA1", "SHA256"]))
def test_forms_pass_between_this_package_and_the_library_of_twilio(
    token: str, pairs: list[tuple[str, str]], algorithm: str
) -> None:
    form, own = dict(pairs), twilio_library(token)
    body = urlencode(form).encode()
    settings_of = {"X-Twilio-Webhooks-Signature-Settings": f"key=k1,algorithm=HMAC_{algorithm}"}
    fields = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": own.compute_signature(URL, form, f"HMAC_{algorithm}"),
        **(settings_of if algorithm == "SHA256" else {}),
    }
    assert verify(fake_request(URL, "POST", data=body, headers=fields), "twilio", secret=token)
    signed = sign("twilio", body, secret=token, url=URL)
    assert own.validate(URL, form, signed["X-Twilio-Signature"])


@pytest.mark.parametrize("signed_url", [URL, URL.replace(".com/", ".com:443/"), URL.replace(".com/", ".com:8443/")])
@pytest.mark.parametrize("url", [URL, URL.replace(".com/", ".com:443/"), URL.replace(".com/", ".com:8443/")])
def test_a_port_in_a_url_of_twilio_is_taken_as_its_library_takes_it(url: str, signed_url: str) -> None:
    own = twilio_library("token")
    signature = own.compute_signature(signed_url, {"a": "1"})
    fields = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    try:
        verify(fake_request("x?a=1", "POST", data=b"a=1", headers=fields), "twilio", secret="token", url=url)
        is_taken = True
    except HTTPError:
        is_taken = False
    assert is_taken == own.validate(url, {"a": "1"}, signature)


@pytest.mark.parametrize("option", [{}, {"url": URL}, {"url": URL.partition("?")[0]}])
def test_what_a_handler_reads_of_a_delivery_of_twilio_is_signed_with_a_url_of_its_site_and_without(
    option: dict[str, str],
) -> None:
    from wixhttp.webhooks.signing import with_digest

    own, kind = twilio_library("token"), "application/x-www-form-urlencoded"

    def is_taken(url: str, body: bytes, content_type: str, signature: str) -> bool:
        fields = {"Content-Type": content_type, "X-Twilio-Signature": signature}
        try:
            verify(fake_request(url, "POST", data=body, headers=fields), "twilio", secret="token", **option)
        except HTTPError:
            return False
        return True

    of_form = own.compute_signature(URL, {"Body": "x"})
    assert is_taken(URL, b"Body=x", kind, of_form)
    for query in ("", "?", "?a=1&role=admin", "?a=2", "?role=admin"):
        assert not is_taken(URL.partition("?")[0] + query, b"Body=x", kind, of_form)
    url, empty = with_digest(URL, EVENT), own.compute_signature(URL, {})
    of_json = own.compute_signature(url, {})
    assert is_taken(url, EVENT, "application/json", of_json)
    assert not is_taken(url, EVENT, "application/json", empty)
    for body in (b"", b"&&&&", b"=&=&", b"=", b"&", b"%", EVENT + b" "):
        for content_type in (kind, "application/json", ""):
            assert not is_taken(url, body, content_type, of_json)
    for body in (b"&&&&", b"=&=&", b"=x"):
        assert not is_taken(URL, body, kind, empty)


@settings(max_examples=40)
@given(token=SECRET, body=TEXT)
def test_other_bodies_of_twilio_are_covered_by_their_digest_in_the_query(token: str, body: str) -> None:
    from wixhttp.webhooks.signing import with_digest

    own, url = twilio_library(token), with_digest(URL, body.encode())
    fields = {"Content-Type": "application/json", "X-Twilio-Signature": own.compute_signature(url, {})}
    assert verify(fake_request(url, "POST", data=body.encode(), headers=fields), "twilio", secret=token)
    signed = sign("twilio", body.encode(), secret=token, url=url, content_type="application/json")
    assert own.validate(url, body, signed["X-Twilio-Signature"])
    for changed, to in (
        (body + "x", url),
        (body, url + "0"),
        (body or "x", URL),
        (body, f"{url}&bodySHA256={'0' * 64}"),
    ):
        fields["X-Twilio-Signature"] = own.compute_signature(to, {})
        with pytest.raises(HTTPError):
            verify(fake_request(to, "POST", data=changed.encode(), headers=fields), "twilio", secret=token)


def test_a_call_of_twilio_by_get_is_signed_by_its_url_alone() -> None:
    url = f"{URL}&CallSid=CA1&From={quote('+49')}"
    fields = {"X-Twilio-Signature": twilio_library("token").compute_signature(url, {})}
    assert verify(fake_request(url, headers=fields), "twilio", secret="token")
    with pytest.raises(HTTPError):
        verify(fake_request(url + "0", headers=fields), "twilio", secret="token")


def test_each_status_of_a_message_of_twilio_is_a_delivery_of_its_own() -> None:
    seen = set()
    for status in ("queued", "sent", "delivered"):
        body = f"MessageSid=SM1&MessageStatus={status}".encode()
        fields = sign("twilio", body, secret="token", url=URL)
        found = verify(fake_request(URL, "POST", data=body, headers=fields), "twilio", secret="token")
        assert found.event == status
        seen.add(found.id)
    assert seen == {"SM1.queued", "SM1.sent", "SM1.delivered"}


@settings(max_examples=20)
@given(data=st.dictionaries(TEXT, TEXT | st.integers(), max_size=4))
def test_tokens_pass_between_this_package_and_pyjwt(data: dict[str, Any]) -> None:
    from wixhttp.webhooks.signing import token

    claims = {"data": json.dumps({"eventType": "x", "data": json.dumps(data)}), "exp": int(NOW) + 60, "jti": "1"}
    found = accepted(SENDERS["wix"], wix_token(claims), {})
    assert (found.id, found.event, found.payload) == ("1", "x", {"eventType": "x", "data": data})
    ours = token({**claims, "exp": int(time.time()) + 600}, wix_keys()[0])
    assert jwt.decode(ours, wix_keys()[1], algorithms=["RS256"])["data"] == claims["data"]


@pytest.mark.parametrize("scheme", ["github", "shopify", "paddle", "zoom", "meta"])
@settings(max_examples=25)
@given(secret=SECRET, body=TEXT)
def test_what_is_signed_here_is_what_the_documentation_of_the_sender_says(scheme: str, secret: str, body: str) -> None:
    sender, data = SENDERS[scheme], body.encode()
    fields = sender.sign(secret, data, str(int(NOW)))
    made = sign(scheme, data, secret=secret, now=NOW)
    for name in sender.own:
        assert made[name] == fields[name]
    assert verify(fake_request("x", "POST", data=data, headers=fields), scheme, secret=secret, now=NOW)


# --- 100 000 changes of one byte -------------------------------------------------------------------------------------

CHANGES = 100_000


@ALL
def test_no_request_with_one_byte_changed_is_accepted_and_none_fails_otherwise(sender: Sender) -> None:
    chance = random.Random(sender.scheme)  # noqa: S311  # the same changes each time
    scheme = scheme_of(sender.scheme, None, **sender.options)
    body, fields, secret = sender.body(), sender.fields(), sender.key
    for _ in range(-(-CHANGES // len(SENDERS))):
        part = chance.choice(("body", "secret", *sender.own))
        changed_body, changed_fields, changed_secret = body, fields, secret
        if part == "body":
            changed_body = _changed(body.decode("latin-1"), chance).encode("latin-1")
        elif part == "secret":
            changed_secret = _changed(secret, chance)
        else:
            changed_fields = {**fields, part: _changed(fields[part], chance)}
        message = SignedMessage("POST", URL, changed_fields.items(), changed_body)
        try:
            verify_message(scheme, message, [changed_secret], NOW)
        except UnverifiedSender:
            continue
        else:
            assert _is_same(sender, changed_body, changed_secret), (part, changed_body, changed_fields, changed_secret)


def _changed(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    other = chr((ord(text[place]) + chance.randrange(1, 256)) % 256)
    return text[:place] + other + text[place + 1 :]


def _is_same(sender: Sender, body: bytes, secret: str) -> bool:
    """Return whether a change is none: of a form other letters for the same field (%2B, %2b), of a key in PEM another
    line end."""
    if sender.scheme == "twilio":
        return set(parse_qsl(body, keep_blank_values=True)) == set(parse_qsl(sender.body(), keep_blank_values=True))
    if sender.scheme != "wix" or body != sender.body():
        return False
    try:
        return bool(public_key(secret).public_numbers() == public_key(sender.key).public_numbers())
    except UnusableSecret:
        return False


def test_a_change_of_ed25519_is_refused_too() -> None:
    chance = random.Random(1)  # noqa: S311  # as above
    scheme = scheme_of("standard")
    public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
    fields = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330", "webhook-signature": ED25519,
    }  # fmt: skip
    for _ in range(1000):
        part = chance.choice((*fields, "body", "secret"))
        changed = {**fields, part: _changed(fields[part], chance)} if part in fields else fields
        body = _changed(VECTOR.decode(), chance).encode("latin-1") if part == "body" else VECTOR
        secret = _changed(public, chance) if part == "secret" else public
        with pytest.raises(UnverifiedSender):
            verify_message(scheme, SignedMessage("POST", URL, changed.items(), body), [secret], 1614265330)


# --- schemes as a site describes them --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("key", ["text", "hex", "base64"])
def test_what_a_site_describes_is_signed_and_verified_alike(digest: str, encoding: str, key: str) -> None:
    options = {
        "header": "X-Sig", "digest": digest, "encoding": encoding, "key": key, "prefix": "v1=", "separator": ",",
        "timestamp_prefix": "t=", "signed": "{timestamp}.{id}.{body}", "id_header": "X-Id", "event_header": "X-Event",
    }  # fmt: skip
    secret = {"text": "secret", "hex": "00ff10", "base64": "c2VjcmV0"}[key]
    fields = sign("hmac", EVENT, secret=secret, now=NOW, id="7", event="paid", **options)
    request = fake_request("x", "POST", data=EVENT, headers=fields)
    assert verify(request, "hmac", secret=secret, now=NOW, **options) == Webhook("7", int(NOW), "paid")
    for changed in ({**fields, "X-Id": "8"}, {**fields, "X-Sig": fields["X-Sig"].replace("v1=", "v2=")}):
        with pytest.raises(HTTPError):
            verify(fake_request("x", "POST", data=EVENT, headers=changed), "hmac", secret=secret, now=NOW, **options)


@pytest.mark.parametrize(
    ("scheme", "options", "message"),
    [
        ("strip", {}, "'strip' is no scheme of webhooks; did you mean 'stripe'?"),
        (1, {}, "1 is no scheme of webhooks"),
        ("github", {"tolerance": 5}, "GitHub signs no timestamp"),
        ("stripe", {"tolerance": 0}, "above 0 and up to 1e9, not 0"),
        ("stripe", {"tolerance": True}, "not True"),
        ("stripe", {"tolerance": float("nan")}, "not nan"),
        ("github", {"header": "X"}, "header is an option of 'hmac', not of 'github'"),
        ("github", {"verify_token": "X"}, "an option of 'meta'"),
        ("twilio", {"url": 1}, "url is a text, not 1"),
        ("twilio", {"url": "www.example.com/x"}, "url is the whole URL that the sender was given, https://..., not"),
        ("twilio", {"url": "https:///x"}, "url is the whole URL"),
        ("hmac", {"header": "X Y"}, "header is the name of a header, with neither blanks nor a colon, not 'X Y'"),
        ("hmac", {"header": "X", "event_header": "X:"}, "event_header is the name of a header"),
        ("hmac", {}, "takes header="),
        ("hmac", {"header": "X", "digest": "md5"}, "digest is 'md5'"),
        ("hmac", {"header": "X", "encoding": "hexa"}, "did you mean 'hex'?"),
        ("hmac", {"header": "X", "key": "bytes"}, "key is 'bytes'"),
        ("hmac", {"header": "X", "signed": "{bdy}"}, "did you mean 'body'?"),
        ("hmac", {"header": "X", "signed": "{url}"}, "it has {body} once"),
        ("hmac", {"header": "X", "signed": "{body}{body}"}, "it has {body} once"),
        ("hmac", {"header": "X", "signed": "{timestamp}.{body}"}, "give both or none"),
        ("hmac", {"header": "X", "timestamp_header": "T"}, "give both or none"),
        ("hmac", {"header": "X", "timestamp_prefix": "t=", "signed": "{timestamp}{body}"}, "takes separator="),
        ("hmac", {"header": "X", "signed": "{id}{body}"}, "id_header= says"),
    ],
)
def test_a_scheme_that_cannot_be_is_told_at_once(scheme: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        verify(fake_request("x"), scheme, secret="s", **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: verify(fake_request("x"), "stripe", "whsec_x"), "keywords behind the scheme"),
        (lambda: verify(fake_request("x"), "stripe", secrets="x"), "no argument 'secrets'; did you mean 'secret'?"),
        (lambda: sign("stripe", cast("Any", "{}"), secret="x"), "not '{}'; write .encode()"),
        (lambda: sign("stripe", cast("Any", {"id": 1}), secret="x"), "not {'id': 1}; write json.dumps(...).encode()"),
        (lambda: sign("stripe", b"{}", secret=cast("Any", b"x")), "secret is the secret itself, a text, not bytes"),
        (lambda: sign("stripe", b"{}", secret="x", nw=3), "sign() has no argument 'nw'; did you mean 'now'?"),
        (lambda: verify(fake_request("x"), "stripe", secret=None), "secret= is missing"),
        (lambda: verify(fake_request("x"), "stripe", secret=b"x"), "not bytes"),
        (lambda: verify(fake_request("x"), "stripe", secret="x", now="1"), "now is a number"),
        (lambda: verify("x", "stripe", secret="x"), "takes the request that a handler was given"),
    ],
)
def test_a_call_that_cannot_be_meant_is_told_at_once(call: Any, message: str) -> None:
    with pytest.raises(TypeError) as refused:
        call()
    assert message in str(refused.value)
