"""Malformed deliveries: each kind is refused by every scheme with 401, a problem document and a reason in the log."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.interfaces import load_app
from tests.senders import EVENT, FORM, NOW, SENDERS, Sender, wix_keys, wix_token
from tests.servers import TIMEOUT, Server, project, serving
from wixhttp.dispatch.app import App
from wixhttp.secrets import SecretStore, override
from wixhttp.testing import TestClient
from wixhttp.webhooks import sign

NAMES = list(SENDERS)
ALL = pytest.mark.parametrize("scheme", NAMES)
HEADED = pytest.mark.parametrize("scheme", [name for name in NAMES if name != "wix"])
STAMPED = pytest.mark.parametrize("scheme", [name for name in NAMES if SENDERS[name].stamped])
WITH_ID = pytest.mark.parametrize("scheme", ["github", "shopify"])


def source() -> str:
    """The functions of a site that verifies every scheme: by ``def``, and half of them by ``async def``."""
    lines = ["from wixhttp import ok", "from wixhttp.webhooks import verified"]
    for number, sender in enumerate(SENDERS.values()):
        options = "".join(f", {key}={value!r}" for key, value in sender.options.items())
        if sender.scheme == "twilio":
            options += ', url="https://www.example.com/_functions/hook?a=1"'
        lines += [
            f"@verified({sender.scheme!r}, secret='{sender.scheme.upper()}_SECRET'{options})",
            f"{'async ' * (number % 2)}def post_{sender.scheme}(request):",
            "    return ok({'body': {'id': request.webhook.id, 'event': request.webhook.event}})",
        ]
    return "\n".join(lines) + "\n"


class Site:
    """The site in this process, at the time at which the senders of the tests sign."""

    def __init__(self, app: App) -> None:
        self.client = TestClient(app)

    def send(self, sender: Sender, body: bytes, fields: Any, secret: str | None = "") -> Any:
        """The answer to a delivery; ``secret`` in place of the right one, ``None`` for none."""
        name = f"{sender.scheme.upper()}_SECRET"
        values = {name: sender.key if secret == "" else secret} if secret is not None else {}
        with override(SecretStore.from_mapping({key: value or "" for key, value in values.items()})):
            pairs = fields.items() if isinstance(fields, dict) else fields
            return self.client.post(f"https://www.example.com/_functions/{sender.scheme}?a=1", data=body, headers=pairs)

    def is_refused(self, sender: Sender, body: bytes, fields: Any, secret: str | None = "") -> bool:
        """Return whether the answer is the refusal that tells nothing."""
        answer = self.send(sender, body, fields, secret)
        if answer.status_code == 200:
            return False
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        problem = answer.json()
        assert problem["detail"] == "The signature of this request is not that of its sender."
        assert set(problem) == {"type", "title", "status", "detail", "request_id"}
        return True


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    text = (
        source()
        .replace("/hook?a=1", "/twilio?a=1")
        .replace("www.example.com/_functions/twilio", "www.example.com/_functions/hook")
    )
    return load_app(project(tmp_path_factory.mktemp("site"), text))


@pytest.fixture
def site(app: App, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(time, "time", lambda: NOW)
    return Site(app)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "wixhttp")


def own_fields(scheme: str, **changed: Any) -> tuple[Sender, bytes, dict[str, str]]:
    """A sender, its body, and the header fields of its delivery to the site's function of its name."""
    sender = SENDERS[scheme]
    if scheme == "hmac":
        body = sender.body()
        url = "https://www.example.com/_functions/hmac?a=1"
        fields = sign("hmac", body, secret=sender.secret, now=NOW, url=url, **sender.options)
        return sender, body, {**fields, **changed}
    return sender, sender.body(), {**sender.fields(), **changed}


@ALL
def test_a_right_delivery_passes(site: Site, scheme: str) -> None:
    sender, body, fields = own_fields(scheme)
    assert site.send(sender, body, fields).status_code == 200


# --- header fields ---------------------------------------------------------------------------------------------------

MALFORMED: dict[str, Any] = {
    "empty": lambda value: "",
    "blank": lambda value: " ",
    "of 100 kB": lambda value: value + "0" * 100_000,
    "of 100 kB of signatures": lambda value: ",".join([value] * 1000),
    "not ASCII": lambda value: value + "é",
    "not Latin": lambda value: "١٢٣" + value,
    "with NUL": lambda value: value + "\0",
    "with NUL within": lambda value: value[:3] + "\0" + value[3:],
    "a line end": lambda value: value + "\n",
}


@HEADED
@pytest.mark.parametrize("kind", MALFORMED)
def test_a_signed_header_field_that_is_malformed_is_refused(site: Site, scheme: str, kind: str) -> None:
    sender, body, fields = own_fields(scheme)
    for name in sender.own:
        assert site.is_refused(sender, body, {**fields, name: MALFORMED[kind](fields[name])})


@HEADED
def test_a_signed_header_field_that_is_missing_or_sent_twice_is_refused(site: Site, scheme: str) -> None:
    sender, body, fields = own_fields(scheme)
    for name in sender.own:
        assert site.is_refused(sender, body, {key: value for key, value in fields.items() if key != name})
        for twice in ((name, fields[name]), (name.lower(), "x"), (name.upper(), "")):
            assert site.is_refused(sender, body, [*fields.items(), twice])
            assert site.is_refused(sender, body, [twice, *fields.items()])
        assert site.is_refused(sender, body, {**fields, name: f"{fields[name]},{fields[name]}"})  # as WSGI joins them


@WITH_ID
@pytest.mark.parametrize("kind", MALFORMED)
def test_an_id_that_is_malformed_is_refused_and_one_that_is_missing_is_none(site: Site, scheme: str, kind: str) -> None:
    sender, body, fields = own_fields(scheme)
    name = {"github": "X-GitHub-Delivery", "shopify": "X-Shopify-Webhook-Id"}[scheme]
    if kind not in ("blank", "of 100 kB of signatures"):
        assert site.is_refused(sender, body, {**fields, name: MALFORMED[kind](fields[name])})
    assert site.is_refused(sender, body, [*fields.items(), (name, fields[name])])
    assert site.is_refused(sender, body, {**fields, name: f"bad,{fields[name]}"})  # as WSGI joins two
    del fields[name]
    assert site.send(sender, body, fields).json()["id"] is None


# --- timestamps ------------------------------------------------------------------------------------------------------

TIMES = (
    "now", "yesterday", "NaN", "inf", "true", "1e9", f"{NOW:.1f}", f"{NOW:.0f}.", f"-{NOW:.0f}", f"+{NOW:.0f}",
    f" {NOW:.0f}", f"{NOW:.0f} ", f"0x{int(NOW):x}", "1_700_000_000", "१७०००००००००", "²", f"{NOW:.0f}000", "0", "1",
    "253402300799", "9" * 15, "9" * 5000, f"{NOW + 301:.0f}", f"{NOW - 301:.0f}", "Tue, 14 Nov 2023 22:13:20 GMT",
    "2023-11-14T22:13:20Z", "9999-12-31T23:59:59Z",
)  # fmt: skip


@STAMPED
@pytest.mark.parametrize("stamp", TIMES)
def test_a_signed_timestamp_that_is_not_a_whole_number_of_now_is_refused(site: Site, scheme: str, stamp: str) -> None:
    sender = SENDERS[scheme]
    if scheme == "hmac":
        return  # signed below, by another URL
    assert site.is_refused(sender, sender.body(), sender.fields(stamp=stamp))


def test_timestamps_of_a_scheme_that_a_site_describes_are_looked_at_alike(site: Site) -> None:
    from wixhttp.webhooks.keys import key_of
    from wixhttp.webhooks.schemes import scheme_of

    sender, body, fields = own_fields("hmac")
    scheme = scheme_of("hmac", None, **sender.options)
    url = b"POST https://www.example.com/_functions/hmac?a=1\n"
    for stamp in (*TIMES, f"{NOW:.0f}"):
        signature = key_of(scheme, sender.secret).sign(scheme, url + stamp.encode() + b"\n" + body, "sha512")
        changed = {**fields, "X-Time": stamp, "X-Signature": "=" + signature}
        assert site.is_refused(sender, body, changed) == (stamp != f"{NOW:.0f}"), stamp


# --- signatures ------------------------------------------------------------------------------------------------------


def _other_encoding(text: str) -> str:
    import binascii

    try:
        return base64.b64encode(binascii.unhexlify(text)).decode()
    except binascii.Error:
        return base64.b64decode(text).hex()


SIGNATURES: dict[str, Any] = {
    "without its prefix": lambda before, text: text,
    "without itself": lambda before, text: before,
    "with its prefix twice": lambda before, text: before + before + text,
    "shorter": lambda before, text: before + text[:-1],
    "longer": lambda before, text: before + text + text[-1],
    "in upper case": lambda before, text: before + text.upper(),
    "in the other case": lambda before, text: before + text.swapcase(),
    "its prefix in upper case": lambda before, text: before.upper() + text,
    "in the other encoding": lambda before, text: before + _other_encoding(text),
    "with a blank before": lambda before, text: before + " " + text,
    "with a blank in front": lambda before, text: " " + before + text,
    "with a blank behind": lambda before, text: before + text + " ",
    "with a blank within": lambda before, text: before + text[:8] + " " + text[8:],
    "with a tab": lambda before, text: before + text + "\t",
    "in quotes": lambda before, text: before + '"' + text + '"',
    "of zeros": lambda before, text: before + "0" * len(text),
    "None": lambda before, text: "None",
}


@HEADED
@pytest.mark.parametrize("kind", SIGNATURES)
def test_a_signature_that_is_spelled_otherwise_is_refused(site: Site, scheme: str, kind: str) -> None:
    sender, body, fields = own_fields(scheme)
    name = sender.own[-1]
    prefix = {"standard": "v1,", "stripe": ",v1=", "paddle": ";h1=", "shopify": "", "twilio": "", "hmac": "="}
    mark = prefix.get(scheme, "=")
    head, _, text = fields[name].partition(mark) if mark else ("", "", fields[name])
    value = head + SIGNATURES[kind](mark, text)
    if value == fields[name]:
        return  # without a prefix there is none to change
    assert site.is_refused(sender, body, {**fields, name: value})


@pytest.mark.parametrize("scheme", ["stripe", "standard", "paddle"])
def test_one_right_signature_among_others_is_enough_and_more_than_twenty_are_too_many(site: Site, scheme: str) -> None:
    sender, body, fields = own_fields(scheme)
    name, between = sender.own[-1], {"stripe": ",", "standard": " ", "paddle": ";"}[scheme]
    *time_of, right = fields[name].split(between)
    wrong = right.partition("=")[0] + "=0" if scheme != "standard" else "v1,AAAA"
    for count, is_taken in ((0, True), (1, True), (19, True), (20, False)):
        value = between.join([*time_of, *[wrong] * count, right])
        assert site.is_refused(sender, body, {**fields, name: value}) != is_taken


@pytest.mark.parametrize("scheme", ["stripe", "paddle"])
def test_a_header_field_with_two_timestamps_or_none_is_refused(site: Site, scheme: str) -> None:
    sender, body, fields = own_fields(scheme)
    name, between = sender.own[0], {"stripe": ",", "paddle": ";"}[scheme]
    stamp, signature = fields[name].split(between)
    for parts in (
        [signature],
        [stamp, stamp, signature],
        [stamp],
        [signature, stamp, stamp],
        [stamp.upper(), signature],
    ):
        assert site.is_refused(sender, body, {**fields, name: between.join(parts)})
    assert site.send(sender, body, {**fields, name: between.join([signature, stamp])}).status_code == 200


@pytest.mark.parametrize("scheme", ["stripe", "paddle"])
@pytest.mark.parametrize("part", ["bad", "v1", "=", " v1=0", ""])
def test_a_list_of_signatures_with_a_part_that_is_none_is_refused(site: Site, scheme: str, part: str) -> None:
    sender, body, fields = own_fields(scheme)
    name, between = sender.own[-1], {"stripe": ",", "paddle": ";"}[scheme]
    if part not in ("=", " v1=0"):
        assert site.is_refused(sender, body, {**fields, name: f"{fields[name]}{between}{part}"})
        assert site.is_refused(sender, body, {**fields, name: f"{part}{between}{fields[name]}"})
    assert site.is_refused(sender, body, {**fields, name: f"{fields[name]},{part}{between}"})


def test_a_body_is_read_once_however_many_signatures_a_request_has(site: Site, monkeypatch: Any) -> None:
    import hmac

    sender, body, fields = own_fields("stripe")
    read: list[bytes] = []
    digest = hmac.digest

    def counted(key: bytes, text: bytes, name: str) -> bytes:
        read.append(text)
        return digest(key, text, name)

    monkeypatch.setattr(hmac, "digest", counted)
    assert site.is_refused(sender, body + b"x", {"Stripe-Signature": fields["Stripe-Signature"] + ",v1=0" * 19})
    assert len(read) == 1


def test_signatures_by_ed25519_are_few(site: Site) -> None:
    sender, body, fields = own_fields("standard")
    given = fields["webhook-signature"]
    assert site.send(sender, body, {**fields, "webhook-signature": f"v1a,AAAA v1a,AAAA {given}"}).status_code == 200
    assert site.is_refused(sender, body, {**fields, "webhook-signature": "v1a,AAAA " * 5 + given})


@pytest.mark.parametrize("kind", ["", "application/json", "application/x-www-form-urlencoded"])
@ALL
def test_a_query_of_any_length_is_no_error_of_the_server(site: Site, scheme: str, kind: str) -> None:
    sender, body, fields = own_fields(scheme)
    fields = {**fields, "Content-Type": kind, "X-Twilio-Signature": "AAAA"}
    with override(SecretStore.from_mapping({f"{scheme.upper()}_SECRET": sender.key})):
        for query in ("a&" * 1100, "&" * 1100, "bodySHA256=0&" * 1100, "bodySHA256=%FF%00", "%&%%=;"):
            url = f"https://www.example.com/_functions/{scheme}?{query}"
            assert site.client.post(url, data=body, headers=fields).status_code in (200, 401)


def test_a_version_0_of_stripe_counts_for_nothing(site: Site) -> None:
    sender, body, fields = own_fields("stripe")
    assert site.is_refused(sender, body, {"Stripe-Signature": fields["Stripe-Signature"].replace("v1=", "v0=")})


# --- bodies ----------------------------------------------------------------------------------------------------------


@HEADED
def test_a_body_that_is_not_utf_8_passes_as_the_bytes_that_were_signed_and_no_others(site: Site, scheme: str) -> None:
    sender = SENDERS[scheme]
    if scheme in ("twilio", "hmac"):
        return
    body = b'{"id": "\xff\xfe", "type": 1}\x00\x80'
    fields = sender.fields(body)
    assert site.send(sender, body, fields).status_code == 200
    for other in (body.decode("latin-1").encode(), body.decode("utf-8", "replace").encode(), body[:-1], b""):
        assert site.is_refused(sender, other, fields)


@pytest.mark.parametrize("body", [b"Body=%FF", b"Body=\xff", b"Body=x&" * 1200, b"\xff\xfe\x00"])
def test_a_form_of_twilio_that_cannot_be_read_as_it_was_signed_is_refused(site: Site, body: bytes) -> None:
    sender, _, fields = own_fields("twilio")
    assert site.is_refused(sender, body, fields)


@pytest.mark.parametrize(
    "kind",
    ["", "application/json", "multipart/form-data; boundary=x", "text/plain",
     "application/x-www-form-urlencoded; charset=latin-1"],
)  # fmt: skip
def test_a_form_of_twilio_that_comes_as_another_kind_of_body_is_refused(site: Site, kind: str) -> None:
    sender, body, fields = own_fields("twilio")
    assert site.is_refused(sender, body, {**fields, "Content-Type": kind})
    assert site.is_refused(sender, body, [*fields.items(), ("Content-Type", "application/json")])


@pytest.mark.parametrize("scheme", ["stripe", "slack", "paddle", "zoom", "standard", "meta"])
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"1", b'"id"', b"{", b'{"id": 1, "type": {}}', b"[" * 5000])
def test_a_signed_body_that_names_no_event_is_a_delivery_without_a_name(site: Site, scheme: str, body: bytes) -> None:
    sender = SENDERS[scheme]
    answer = site.send(sender, body, sender.fields(body))
    assert (answer.status_code, answer.json()["event"]) == (200, None)


# --- tokens that are signed by the right key, and are of an odd form --------------------------------------------------

HEADS = (
    b'{"alg":"RS256","crit":["x"]}', b'{"alg":"RS256","b64":false}', b'{"alg":"RS256","kid":5}', b"[]", b"null", b"1",
    b'{"alg":null}', b'{"alg":[]}', b'{"alg":"none"}', b'{"alg":"HS256"}', b"{}", b"\xff", b"{", b"[" * 50_000,
)  # fmt: skip
CLAIMS = (
    b"{}", b"[]", b"null", b"1e999", b'{"exp":1e999}', b'{"exp":NaN}', b'{"exp":"1700000005"}', b'{"exp":true}',
    b'{"exp":1700000005,"nbf":"x"}', b'{"exp":1700000005,"jti":5}', b"\xff\xfe", b'{"exp":1' + b"0" * 5000 + b"}",
    b'{"exp":1700000005,"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
)  # fmt: skip


def _signed_token(head: bytes, claims: bytes) -> bytes:
    key: Any = load_pem_private_key(wix_keys()[0].encode(), None)
    head, claims = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, claims))
    signature = key.sign(head + b"." + claims, PKCS1v15(), SHA256())
    return b".".join((head, claims, base64.urlsafe_b64encode(signature).rstrip(b"=")))


def test_a_signed_token_of_an_odd_form_is_refused(site: Site) -> None:
    right = (b'{"alg":"RS256"}', b'{"exp":1700000005}')
    assert site.send(SENDERS["wix"], _signed_token(*right), {}).status_code == 200
    for token in (*((head, right[1]) for head in HEADS), *((right[0], claims) for claims in CLAIMS)):
        assert site.is_refused(SENDERS["wix"], _signed_token(*token), {}), (token[0][:40], token[1][:40])


@pytest.mark.parametrize("data", ["", "[", "[" * 50_000, "null", "5", '"x"', '{"data": "["}', '{"eventType": 5}', "\0"])
def test_a_token_whose_data_is_odd_is_a_delivery_without_a_name(site: Site, data: str) -> None:
    token = wix_token({"exp": int(NOW) + 5, "data": data})
    assert site.send(SENDERS["wix"], token, {}).json() == {"id": None, "event": None}


# --- secrets ---------------------------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize(
    "secret",
    [
        None,
        " ",
        "é",
        "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"),
        "whsec_",
        "not base64!",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    ],
)
def test_a_secret_that_is_missing_or_no_key_lets_nobody_in(site: Site, scheme: str, secret: str | None) -> None:
    sender, body, fields = own_fields(scheme)
    assert site.is_refused(sender, body, fields, secret)


@HEADED
def test_an_empty_secret_lets_nobody_in_who_signs_by_it(
    site: Site, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    sender, body, fields = own_fields(scheme)
    if scheme != "hmac":
        fields = sender.sign("", body, str(int(NOW)))
    with override(SecretStore.from_mapping({f"{scheme.upper()}_SECRET": ""})):
        answer = site.client.post(f"https://www.example.com/_functions/{scheme}?a=1", data=body, headers=fields)
    assert answer.status_code == 401
    assert "the secret cannot be used: it is empty" in caplog.text


@ALL
def test_the_reason_is_in_the_log_and_no_secret(site: Site, scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    sender, body, fields = own_fields(scheme)
    other = {"standard": "whsec_b3RoZXI=", "wix": ""}.get(scheme, "another-secret")
    assert site.is_refused(sender, body + (b"x" if scheme == "wix" else b""), fields, other or "")
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"POST /_functions/{scheme}: the ")
    assert sender.secret not in caplog.text or not sender.secret


# --- over a connection -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = project(tmp_path_factory.mktemp("served"), source())
    secrets: Any = {f"{sender.scheme.upper()}_SECRET": sender.key for sender in SENDERS.values()}
    with serving(folder, "--workers", "1", **secrets) as running:
        yield running


def _fresh(scheme: str, body: bytes) -> dict[str, str]:
    sender = SENDERS[scheme]
    if scheme == "hmac":
        pytest.skip("it signs the port, which only the server knows")
    return sender.fields(body, str(int(time.time())))


def _post(server: Server, scheme: str, data: Any, fields: dict[str, str]) -> int:
    answer = requests.post(f"{server.url}/_functions/{scheme}?a=1", data=data, headers=fields, timeout=TIMEOUT)
    if answer.status_code != 200:
        assert answer.json()["status"] == answer.status_code
    return answer.status_code


@pytest.mark.parametrize("scheme", [name for name in NAMES if name not in ("hmac", "wix")])
def test_over_a_server_the_exact_bytes_count_however_they_are_sent(server: Server, scheme: str) -> None:
    body = FORM if scheme == "twilio" else EVENT
    fields = _fresh(scheme, body)
    assert _post(server, scheme, body, fields) == 200
    assert _post(server, scheme, iter([body[:7], body[7:]]), fields) == 200  # chunked
    assert _post(server, scheme, body + b"\n", fields) == 401
    packed = gzip.compress(body)
    assert _post(server, scheme, packed, {**fields, "Content-Encoding": "gzip"}) == 401
    if scheme != "twilio":
        assert _post(server, scheme, packed, {**_fresh(scheme, packed), "Content-Encoding": "gzip"}) == 200
        odd = b"\xff\x00\xfe" + body
        assert _post(server, scheme, odd, _fresh(scheme, odd)) == 200
        assert _post(server, scheme, odd[:-1], _fresh(scheme, odd)) == 401


def test_over_a_server_no_malformed_delivery_is_an_error(server: Server) -> None:
    for scheme in NAMES:
        if scheme in ("hmac", "wix"):
            continue
        body = FORM if scheme == "twilio" else EVENT
        fields = _fresh(scheme, body)
        for name in SENDERS[scheme].own:
            for value in ("", "é", "0" * 6000, "1", "=,=;=,"):
                sent = {**fields, name: value.encode()}
                assert _post(server, scheme, body, sent) == 401  # type: ignore[arg-type]  # as bytes
    assert not [line for line in server.lines if isinstance(line, dict) and line.get("severity") == "ERROR"]
    assert (
        json.loads(requests.post(f"{server.url}/_functions/wix", data=b"x", timeout=TIMEOUT).content)["status"] == 401
    )


def test_over_a_server_a_header_field_that_is_sent_twice_is_refused(server: Server) -> None:
    for scheme in ("github", "stripe", "standard", "slack"):
        for name in SENDERS[scheme].own:
            fields = _fresh(scheme, EVENT)
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
            connection.putrequest("POST", f"/_functions/{scheme}")
            for key, value in (*fields.items(), (name, fields[name]), ("Content-Length", str(len(EVENT)))):
                connection.putheader(key, value)
            connection.endheaders(EVENT)
            assert connection.getresponse().status == 401
            connection.close()


def test_a_server_with_a_missing_secret_does_not_start(tmp_path: Path) -> None:
    from tests.servers import ServerEnded

    text = """
from wixhttp import ok
from wixhttp.webhooks import verified

@verified("stripe", secret=["GIVEN", "GONE"])
def post_x(request):
    return ok()
"""
    with pytest.raises(ServerEnded) as ended, serving(project(tmp_path, text), "--workers", "1", GIVEN="x"):
        pass
    assert "@verified of post_x: there is no secret 'GONE'" in str(ended.value)
    assert "wixhttp secrets set GONE" in str(ended.value)
