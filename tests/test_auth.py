"""wixhttp.auth: whose tokens are valid, who may call, as whom, and that nothing of a token is written down."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import functools
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.interfaces import Served, write_project
from tests.test_imports import loaded_by
from wixhttp.auth import TokenInfo, caller, elevate, fetchWithAuth, getTokenInfo, require, signing_keys, token_verifiers
from wixhttp.auth.caller import settings_are
from wixhttp.auth.signing_keys import TokenRefused
from wixhttp.concurrency import service_threads
from wixhttp.data import collections, items
from wixhttp.data.calls.access import Collections
from wixhttp.data.schema.permissions import Identity
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.errors import ConfigError, HTTPError, ProjectError, SecretNotFound
from wixhttp.http.policy import cors, limits, policy_of
from wixhttp.project.auth_settings import AuthConfig
from wixhttp.project.config import load_config
from wixhttp.secrets import SecretStore, override
from wixhttp.testing import TestClient, fake_caller

ISSUER, AUDIENCE = "https://id.example.com", "site"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
WEAK_RSA = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is refused is the test
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
SHARED = "0123456789abcdef0123456789abcdef"

Body = bytes | dict[str, Any] | Callable[["Asked"], Any]


class Asked(BaseHTTPRequestHandler):
    """A request to the issuer."""

    def do_GET(self) -> None:
        issuer: Issuer = cast(Any, self.server).issuer
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        issuer.asked.append(self)
        status, headers, body = issuer.answers.get(self.path.partition("?")[0], (404, {}, b""))
        if callable(body):
            body = body(self)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:  # the client had enough
            pass

    do_POST = do_GET  # noqa: N815 - the server's name

    def log_message(self, *arguments: object) -> None:
        pass


class Issuer:
    """A server on loopback: ``answers`` by path, ``asked`` what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], Body]] = {}
        self.asked: list[Asked] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        cast(Any, self.server).issuer = self
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, path: str, body: Body, status: int = 200, **headers: str) -> None:
        self.answers[path] = (status, headers, body)

    def publish(self, **named: Any) -> None:
        """The JWK Set: public keys by their names; ``_`` is none."""
        self.answer("/keys", {"keys": [public(key, None if name == "_" else name) for name, key in named.items()]})

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def public(key: Any, name: str | None = None, **members: Any) -> dict[str, Any]:
    """The public JWK of a private key; a dict stands for itself."""
    if isinstance(key, dict):
        return key
    kind = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm, ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }  # fmt: skip
    algorithm: Any = next(found for cls, found in kind.items() if isinstance(key, cls))
    found: dict[str, Any] = {**algorithm.to_jwk(key.public_key(), as_dict=True), **members}
    found.pop("key_ops", None) if "key_ops" not in members else None
    return found if name is None else {**found, "kid": name}


def pem(key: Any) -> bytes:
    """The public key of a private one in PEM."""
    made: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made


def token(key: Any = RSA, algorithm: str = "RS256", header: Any = None, **claims: Any) -> str:
    """A token that counts, but for what is given. ``None`` leaves a claim out."""
    now = int(time.time())
    payload = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "subjectType": "MEMBER", "exp": now + 600, "iat": now, **claims,
    }  # fmt: skip
    payload = {name: value for name, value in payload.items() if value is not None}
    header = {"kid": "one", **(header or {})}
    return jwt.encode(payload, key, algorithm, {name: value for name, value in header.items() if value is not None})


def by_hand(header: object, payload: object, sign: Callable[[bytes], bytes] = lambda data: b"") -> str:
    """A token that no library would make."""

    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, payload)]
    signed = ".".join(map(encoded, parts))
    return f"{signed}.{encoded(sign(signed.encode()))}"


GOOD = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "subjectType": "MEMBER", "exp": 4_000_000_000}

HANDLERS = """
    from wixhttp.auth import *
    from wixhttp.auth import elevate, fetchWithAuth, getTokenInfo, require
    from dataclasses import asdict

    def get_who(request):
        return ok(body=asdict(getTokenInfo()))

    async def get_awaited(request):
        return ok(body=asdict(await getTokenInfo()))

    async def get_read(request):
        info = getTokenInfo()
        return ok(body=[info.subjectType, info.active, info == await getTokenInfo(), repr(info) == repr(await info)])

    @require("MEMBER", "USER")
    def get_members(request):
        return ok(body=getTokenInfo().subjectId)

    @require("MEMBER", "USER")
    async def get_membersAwaited(request):
        return ok(body=getTokenInfo().subjectId)

    @require()
    def get_any():
        return ok(body="in")
"""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    made.publish(one=RSA)
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path, issuer: Issuer) -> Callable[..., TestClient]:
    """``site(**auth)``: a client of the handlers above, with these keys of the setting ``auth``."""

    def make(text: str = HANDLERS, **said: Any) -> TestClient:
        table = {"issuer": ISSUER, "audience": AUDIENCE, **said}
        if not said.keys() & {"jwks_url", "secret", "key_file", "introspection_url"}:
            table["jwks_url"] = issuer.url + "/keys"
        project = write_project(tmp_path / "site", text)
        return TestClient(project, auth=AuthConfig.parse(table, "auth"))

    return make


def who(client: TestClient, given: str | None, name: str = "who") -> Any:
    """Return what `getTokenInfo` says of a token."""
    headers = {} if given is None else {"Authorization": f"Bearer {given}"}
    return client.get(name, headers=headers).json()


NOBODY = {"subjectId": None, "exp": None, "iat": None, "clientId": None, "siteId": None, "instanceId": None}
VISITOR = {"active": False, "subjectType": "VISITOR", **NOBODY}
REFUSED = {"active": False, "subjectType": "UNKNOWN", **NOBODY}


# --- a token that counts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["who", "awaited"])
def test_what_a_token_says(site: Callable[..., TestClient], name: str) -> None:
    client = site()
    given = token(exp=4_000_000_000, iat=1_700_000_000, azp="app-1", siteId="s", instanceId="i")
    assert who(client, given, name) == {
        "active": True, "subjectType": "MEMBER", "subjectId": "ada", "exp": 4_000_000_000, "iat": 1_700_000_000,
        "clientId": "app-1", "siteId": "s", "instanceId": "i",
    }  # fmt: skip
    assert who(client, None, name) == VISITOR
    assert who(client, token(client_id="first", azp="second"), name)["clientId"] == "first"
    assert client.get(name, headers={"authorization": f"bEARER   {token()} "}).json()["active"] is True


def test_async_handlers_read_what_they_did_not_await(site: Callable[..., TestClient]) -> None:
    client = site()
    assert client.get("read", headers={"Authorization": f"Bearer {token()}"}).json() == ["MEMBER", True, True, True]
    assert client.get("read").json() == ["VISITOR", False, True, True]
    assert client.get("read", headers={"Authorization": "Bearer a.b.c"}).json() == ["UNKNOWN", False, True, True]


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"subjectType": "user"}, "USER"), ({"subjectType": "APP"}, "APP"), ({"subjectType": "VISITOR"}, "VISITOR"),
        ({"subjectType": "ROOT"}, "UNKNOWN"), ({"subjectType": None}, "UNKNOWN"), ({"subjectType": True}, "UNKNOWN"),
        ({"subjectType": ["USER"]}, "UNKNOWN"), ({"subjectType": "MEMBER", "sub": None}, "UNKNOWN"),
        ({"subjectType": "MEMBER", "sub": ""}, "UNKNOWN"),
    ],
)  # fmt: skip
def test_types_of_subject(site: Callable[..., TestClient], claims: dict[str, Any], kind: str) -> None:
    info = who(site(), token(**claims))
    assert (info["active"], info["subjectType"]) == (True, kind)


def test_claims_of_another_name(site: Callable[..., TestClient]) -> None:
    client = site(claims={"subjectType": "https://example.com/kind", "subjectId": ["uid", "sub"]})
    kind: dict[str, Any] = {"https://example.com/kind": "USER"}
    info = who(client, token(**kind, uid=17))
    assert (info["subjectType"], info["subjectId"]) == ("USER", "17")
    assert who(client, token(**kind))["subjectId"] == "ada"
    assert who(site(subject_type="APP"), token(subjectType="MEMBER"))["subjectType"] == "APP"


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS512"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")], ids=lambda each: str(each)[:9]
)
def test_algorithms(site: Callable[..., TestClient], issuer: Issuer, key: Any, algorithm: str) -> None:
    issuer.publish(one=key)
    assert who(site(algorithms=["RS512", "PS256", "ES256", "EdDSA"]), token(key, algorithm))["active"]
    assert not who(site(algorithms=["RS256", "ES384"]), token(key, algorithm))["active"]


def test_a_shared_secret(site: Callable[..., TestClient]) -> None:
    client = site(secret="AUTH_KEY")
    with override(SecretStore.from_mapping({"AUTH_KEY": SHARED})):
        assert who(client, token(SHARED, "HS256"))["active"]
        assert not who(client, token(SHARED[::-1], "HS256"))["active"]
        assert not who(client, token(RSA, "RS256"))["active"]
    with (
        override(SecretStore.from_mapping({"AUTH_KEY": "short"})),
        pytest.raises(ConfigError, match="AUTH_KEY has less"),
    ):
        who(client, token(SHARED, "HS256"))
    with override(SecretStore.from_mapping({})), pytest.raises(SecretNotFound):
        who(client, token(SHARED, "HS256"))


def test_a_key_file(site: Callable[..., TestClient], tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    for number, (text, key, algorithm) in enumerate(
        [
            (pem(RSA), RSA, "RS256"),
            (pem(EC), EC, "ES256"),
            (json.dumps({"keys": [public(RSA, "one")]}).encode(), RSA, "RS256"),
        ]
    ):
        (tmp_path / "site" / f"{number}.key").write_bytes(text)
        client = site(key_file=f"{number}.key", algorithms=["RS256", "ES256"])
        assert who(client, token(key, algorithm))["active"]
        assert not who(client, token(OTHER_RSA))["active"]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"no key", b"{}", b'{"keys": []}', b"{not json", pem(WEAK_RSA), pem(EC),
        json.dumps({"keys": [public(WEAK_RSA, "one")]}).encode(),
        RSA.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    ],
)  # fmt: skip
def test_key_files_that_cannot_be_used(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "key").write_bytes(text)
    config = AuthConfig.parse({"issuer": ISSUER, "audience": AUDIENCE, "key_file": "key"}, "auth")
    with pytest.raises(ProjectError, match=r"auth\.key_file: .* cannot be used: ") as caught:
        token_verifiers.make_verifier(config, tmp_path)
    assert "PRIVATE" not in str(caught.value)


def test_a_missing_key_file(tmp_path: Path) -> None:
    config = AuthConfig.parse({"issuer": ISSUER, "audience": AUDIENCE, "key_file": "none.pem"}, "auth")
    with pytest.raises(ProjectError, match="cannot be used: No such file"):
        token_verifiers.make_verifier(config, tmp_path)


# --- tokens that are not valid ---------------------------------------------------------------------------------------


def hs_with(key: bytes) -> Callable[[bytes], bytes]:
    return lambda data: hmac.new(key, data, hashlib.sha256).digest()


def resealed() -> str:
    header, _, signature = token().split(".")
    return ".".join((header, by_hand({}, GOOD).split(".")[1], signature))


RSA_JWK = public(RSA, "one")
FORGED: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: token(exp=int(time.time()) - 6),
    "no end": lambda issuer: token(exp=None),
    "an end that is a text": lambda issuer: token(exp="4000000000"),
    "an end beyond numbers": lambda issuer: token(exp=float("inf")),
    "not yet": lambda issuer: token(nbf=int(time.time()) + 60),
    "made in the future": lambda issuer: token(iat=int(time.time()) + 60),
    "another audience": lambda issuer: token(aud="other"),
    "no audience": lambda issuer: token(aud=None),
    "other audiences": lambda issuer: token(aud=["a", "b"]),
    "another issuer": lambda issuer: token(iss="https://id.example.com/"),
    "no issuer": lambda issuer: token(iss=None),
    "another key": lambda issuer: token(OTHER_RSA),
    "an unknown kid": lambda issuer: token(header={"kid": "two"}),
    "a path as kid": lambda issuer: token(OTHER_RSA, header={"kid": "../../../../dev/null"}),
    "SQL as kid": lambda issuer: token(OTHER_RSA, header={"kid": "one' OR '1'='1"}),
    "a number as kid": lambda issuer: by_hand({"alg": "RS256", "kid": 1}, GOOD),
    "none": lambda issuer: by_hand({"alg": "none", "kid": "one"}, GOOD),
    "None": lambda issuer: by_hand({"alg": "NoNe", "kid": "one"}, GOOD),
    "no algorithm": lambda issuer: by_hand({"kid": "one"}, GOOD),
    "an algorithm that is a list": lambda issuer: by_hand({"alg": ["RS256"], "kid": "one"}, GOOD),
    "HS256 by the public key in PEM": lambda issuer: by_hand({"alg": "HS256", "kid": "one"}, GOOD, hs_with(pem(RSA))),
    "HS256 by the public key as JWK": lambda issuer: by_hand(
        {"alg": "HS256", "kid": "one"}, GOOD, hs_with(json.dumps(RSA_JWK).encode())
    ),
    "HS256 by nothing": lambda issuer: by_hand({"alg": "HS256", "kid": "one"}, GOOD, hs_with(b"")),
    "another algorithm of the key": lambda issuer: token(RSA, "RS512"),
    "its own key": lambda issuer: token(OTHER_RSA, header={"jwk": public(OTHER_RSA, "one")}),
    "its own key's place": lambda issuer: token(OTHER_RSA, header={"jku": issuer.url + "/evil", "kid": "evil"}),
    "its own certificate's place": lambda issuer: token(OTHER_RSA, header={"x5u": issuer.url + "/evil", "kid": "evil"}),
    "critical extensions": lambda issuer: token(header={"crit": ["exp"]}),
    "a cut signature": lambda issuer: token()[:-4],
    "no signature": lambda issuer: token().rpartition(".")[0] + ".",
    "other claims": lambda issuer: resealed(),
    "two parts": lambda issuer: "a.b",
    "one part": lambda issuer: "abc",
    "dots": lambda issuer: "..",
    "a list": lambda issuer: by_hand({"alg": "RS256", "kid": "one"}, [1]),
    "a deep payload": lambda issuer: by_hand({"alg": "RS256", "kid": "one"}, b"[" * 3000),
    "a deep header": lambda issuer: by_hand(b"[" * 3000, GOOD),
    "no text": lambda issuer: by_hand(b"\xff\xfe", GOOD),
    "too long": lambda issuer: token(fill="x" * 8192),
}  # fmt: skip


@pytest.mark.parametrize("name", ["who", "awaited"])
@pytest.mark.parametrize("case", FORGED)
def test_tokens_that_do_not_count(
    site: Callable[..., TestClient], issuer: Issuer, caplog: pytest.LogCaptureFixture, case: str, name: str
) -> None:
    issuer.answer("/evil", {"keys": [public(OTHER_RSA, "evil")]})
    client = site()
    given = FORGED[case](issuer)
    assert who(client, given, name) == REFUSED
    (record,) = (record for record in caplog.records if "is not valid" in record.getMessage())
    assert record.levelno == logging.WARNING
    assert not [asked for asked in issuer.asked if asked.path != "/keys"]
    for part in given.split("."):
        assert len(part) < 8 or part not in caplog.text
    assert client.get("members", headers={"Authorization": f"Bearer {given}"}).status_code == 401


def test_clocks_may_differ_a_little(site: Callable[..., TestClient]) -> None:
    now = int(time.time())
    assert who(site(), token(exp=now - 1, nbf=now + 3, iat=now + 3))["active"]
    assert not who(site(leeway=0), token(exp=now - 1))["active"]
    assert who(site(leeway=60), token(exp=now - 30))["active"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Bearer", "UNKNOWN"), ("Bearer ", "UNKNOWN"), ("Bearer a b", "UNKNOWN"), ("Bearer a,b", "UNKNOWN"),
        ("Bearer é", "UNKNOWN"), ("Bearer\ta", "UNKNOWN"), ("Bearer {good}, Bearer {good}", "UNKNOWN"),
        ("Bearer {good}, Basic YTpi", "UNKNOWN"), ("Basic YTpi, Bearer {good}", "UNKNOWN"),
        ("Bearer: {good}", "UNKNOWN"), ("", "VISITOR"), ("  ", "VISITOR"), ("Basic YTpi", "VISITOR"),
        ("{good}", "VISITOR"), ("Bearers {good}", "VISITOR"), ('Digest username="a", realm="b"', "VISITOR"),
    ],
)  # fmt: skip
def test_headers(site: Callable[..., TestClient], caplog: pytest.LogCaptureFixture, value: str, kind: str) -> None:
    info = site().get("who", headers={"Authorization": value.format(good=token())}).json()
    assert (info["active"], info["subjectType"]) == (False, kind)
    assert ("is not valid" in caplog.text) == (kind == "UNKNOWN")


def test_two_headers_are_none(site: Callable[..., TestClient]) -> None:
    good = ("Authorization", f"Bearer {token()}")
    assert site().get("who", headers=[good, good]).json() == REFUSED
    assert site().get("who", headers=[("Authorization", "Basic YTpi"), good]).json() == REFUSED


def test_without_the_setting_no_token_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = TestClient(write_project(tmp_path, HANDLERS))
    assert who(client, token()) == who(client, "abc", "awaited") == REFUSED
    assert [record.levelname for record in caplog.records if "the setting auth is not there" in record.message] == [
        "WARNING"
    ]
    assert who(client, None) == VISITOR


def test_outside_of_a_request() -> None:
    for call in (getTokenInfo, lambda: fetchWithAuth("https://example.com")):
        with pytest.raises(RuntimeError, match=r"no request is handled here; .* wixhttp\.testing\.fake_caller"):
            call()


def test_through_each_door(serve: Callable[..., Served], issuer: Issuer) -> None:
    said = AuthConfig.parse({"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": issuer.url + "/keys"}, "auth")
    served = serve(HANDLERS, auth=None)
    config = served.app.config
    object.__setattr__(config, "auth", said)
    with settings_are(config):
        for name in ("who", "awaited", "members", "membersAwaited"):
            good = ("Authorization", f"Bearer {token()}")
            assert "ada" in served(name, "GET", good).text
            reply = served(name, "GET", good, good)
            assert reply.status == 401 or reply.json() == REFUSED
        challenge = served("members").header("WWW-Authenticate")
    assert challenge == "Bearer"


def test_a_token_is_checked_once_for_a_request(site: Callable[..., TestClient], issuer: Issuer) -> None:
    issuer.answer("/ask", {"active": False})
    text = """
        import asyncio, contextvars, threading
        from wixhttp.auth import getTokenInfo, require

        def get_many(request):
            getTokenInfo()
            found = []
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(lambda: found.append(getTokenInfo().active),))
            thread.start()
            thread.join()
            return ok(body=[*found, getTokenInfo().active])

        async def get_tasks(request):
            found = await asyncio.gather(*(getTokenInfo() for _ in range(5)))
            return ok(body=[each.active for each in found] + [getTokenInfo().active])
    """
    client = site(
        text, introspection_url=issuer.url + "/ask", client_id="site", client_secret="CLIENT_SECRET",
        issuer=None, audience=None,
    )  # fmt: skip
    with override(SecretStore.from_mapping({"CLIENT_SECRET": "hunter22"})):
        assert who(client, "one", "many") == [False, False]
        assert who(client, "two", "tasks") == [False] * 6
    assert len(issuer.asked) == 2


# --- keys of an issuer -----------------------------------------------------------------------------------------------


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remote(issuer: Issuer, clock: Clock, tmp_path: Path) -> token_verifiers.Verifier:
    table = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": issuer.url + "/keys", "algorithms": ["RS256", "ES256"]}
    return token_verifiers.make_verifier(AuthConfig.parse(table, "auth"), tmp_path, clock=clock)


def counts(verifier: token_verifiers.Verifier, given: str) -> bool:
    try:
        verifier.verify(given)
    except TokenRefused:
        return False
    return True


def test_keys_are_kept_and_rotated_keys_found(remote: token_verifiers.Verifier, issuer: Issuer, clock: Clock) -> None:
    assert all(counts(remote, token()) for _ in range(3))
    assert len(issuer.asked) == 1
    issuer.publish(one=RSA, two=OTHER_RSA)
    assert counts(remote, token(OTHER_RSA, header={"kid": "two"}))
    assert counts(remote, token())
    assert len(issuer.asked) == 2
    issuer.publish(two=OTHER_RSA)
    assert counts(remote, token())  # not known to be gone yet
    clock.now += signing_keys.KEYS_LIFE
    assert not counts(remote, token())
    assert counts(remote, token(OTHER_RSA, header={"kid": "two"}))


def test_made_up_kids_do_not_flood_the_issuer(remote: token_verifiers.Verifier, issuer: Issuer, clock: Clock) -> None:
    assert counts(remote, token())
    for number in range(20):
        assert not counts(remote, token(OTHER_RSA, header={"kid": f"made-up-{number}"}))
    assert len(issuer.asked) == 2
    issuer.publish(two=OTHER_RSA)
    assert not counts(remote, token(OTHER_RSA, header={"kid": "two"}))
    clock.now += signing_keys.SEARCH_PAUSE
    assert counts(remote, token(OTHER_RSA, header={"kid": "two"}))
    assert len(issuer.asked) == 3


def test_old_keys_are_used_while_the_issuer_is_away(
    remote: token_verifiers.Verifier, issuer: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert counts(remote, token())
    issuer.answer("/keys", b"", 500)
    clock.now += signing_keys.KEYS_LIFE
    assert all(counts(remote, token()) for _ in range(5))
    assert len(issuer.asked) == 2
    assert "the keys that are known stay in use: " in caplog.text
    issuer.publish(one=OTHER_RSA)
    clock.now += signing_keys.RETRY_PAUSE
    assert counts(remote, token(OTHER_RSA))
    assert not counts(remote, token())


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"", "answered with status 500"),
        (302, b"", "answered with status 302"),
        (200, b"<html>", "answered with what is no JSON"),
        (200, b"[" * 100_000, "answered with what is no JSON"),
        (200, b" " * (signing_keys.MAX_ANSWER + 1), "answered too much"),
        (200, b"[]", "has no JWK Set"),
        (200, b'{"keys": {}}', "has no JWK Set"),
        (200, b'{"keys": [1, {}, {"kty": 1}, {"kty": "RSA", "kid": "one"}]}', "has no key for RS256, ES256"),
        (200, {"keys": [public(WEAK_RSA, "one")]}, "has no key"),
        (200, {"keys": [public(RSA, "one", use="enc")]}, "has no key"),
        (200, {"keys": [public(RSA, "one", key_ops=["sign"])]}, "has no key"),
        (200, {"keys": [public(RSA, "one", alg="RS512")]}, "has no key"),
        (200, {"keys": [{"kty": "oct", "k": "AAAA", "kid": "one", "alg": "RS256"}]}, "has no key"),
    ],
)  # fmt: skip
def test_what_is_no_jwk_set(
    remote: token_verifiers.Verifier, issuer: Issuer, clock: Clock, status: int, body: Any, reason: str
) -> None:
    issuer.answer("/evil", {"keys": [public(RSA, "one")]})
    issuer.answer("/keys", body, status, Location=issuer.url + "/evil")
    for _ in range(3):
        with pytest.raises(TokenRefused, match=reason):
            remote.verify(token())
    assert [asked.path for asked in issuer.asked] == ["/keys"]
    issuer.publish(one=RSA)
    clock.now += signing_keys.RETRY_PAUSE
    assert counts(remote, token())


def test_an_issuer_that_is_not_there(remote: token_verifiers.Verifier, issuer: Issuer, clock: Clock) -> None:
    issuer.close()
    with pytest.raises(TokenRefused, match="cannot be asked: ConnectionError"):
        remote.verify(token())


def test_tokens_without_a_kid(remote: token_verifiers.Verifier, issuer: Issuer, clock: Clock) -> None:
    nameless = token(header={"kid": None})
    assert counts(remote, nameless)
    issuer.publish(one=RSA, two=EC, three=WEAK_RSA)  # still one for RS256
    clock.now += signing_keys.KEYS_LIFE
    assert counts(remote, nameless)
    assert counts(remote, token(EC, "ES256", {"kid": None}))
    issuer.publish(one=RSA, two=OTHER_RSA)
    clock.now += signing_keys.KEYS_LIFE
    assert not counts(remote, nameless)
    assert counts(remote, token())


def test_a_key_of_another_kind_under_the_kid(remote: token_verifiers.Verifier, issuer: Issuer) -> None:
    issuer.publish(one=EC)
    assert not counts(remote, token())
    assert counts(remote, token(EC, "ES256"))


def test_threads_fetch_once(remote: token_verifiers.Verifier, issuer: Issuer) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(asked: Asked) -> Any:
        begun.set()
        assert go_on.wait(20)
        return {"keys": [public(RSA, "one")]}

    issuer.answer("/keys", slowly)
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(counts(remote, token()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(20)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert results == [True] * 8
    assert len(issuer.asked) == 1


def test_nobody_waits_for_new_keys_who_has_old_ones(
    remote: token_verifiers.Verifier, issuer: Issuer, clock: Clock
) -> None:
    assert counts(remote, token())
    begun, go_on = threading.Event(), threading.Event()

    def slowly(asked: Asked) -> Any:
        begun.set()
        assert go_on.wait(20)
        return {"keys": [public(OTHER_RSA, "one")]}

    issuer.answer("/keys", slowly)
    clock.now += signing_keys.KEYS_LIFE
    fetching = threading.Thread(target=lambda: counts(remote, token()))
    fetching.start()
    assert begun.wait(20)
    assert counts(remote, token())
    go_on.set()
    fetching.join(20)
    assert not counts(remote, token())


def test_made_up_kids_do_not_wait_for_a_slow_issuer(
    remote: token_verifiers.Verifier, issuer: Issuer, clock: Clock
) -> None:
    assert counts(remote, token())
    begun, go_on = threading.Event(), threading.Event()

    def slowly(asked: Asked) -> Any:
        begun.set()
        assert go_on.wait(20)
        return {"keys": [public(OTHER_RSA, "two")]}

    issuer.answer("/keys", slowly)
    results: list[bool] = []
    two = token(OTHER_RSA, header={"kid": "two"})
    searching, others = (
        [threading.Thread(target=lambda: results.append(counts(remote, two))) for _ in range(number)]
        for number in (1, 8)
    )
    searching[0].start()
    assert begun.wait(20)
    clock.now += signing_keys.SEARCH_WAIT
    try:
        for thread in others:
            thread.start()
        for thread in others:
            thread.join(3)  # less than the issuer has
        assert results == [False] * 8
        assert counts(remote, token())
    finally:
        go_on.set()
    searching[0].join(20)
    assert results == [False] * 8 + [True]
    assert counts(remote, two)
    assert len(issuer.asked) == 2


def test_the_first_tokens_after_a_rotation_wait_for_the_search(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    here = threading.current_thread()

    def clock() -> float:
        if begun.is_set() and threading.current_thread() is here:
            go_on.set()
        return 1000.0

    def slowly(asked: Asked) -> Any:
        begun.set()
        assert go_on.wait(20)
        return {"keys": [public(OTHER_RSA, "two")]}

    monkeypatch.setattr(signing_keys, "SEARCH_WAIT", 20.0)
    table = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": issuer.url + "/keys"}
    remote = token_verifiers.make_verifier(AuthConfig.parse(table, "auth"), tmp_path, clock=clock)
    assert counts(remote, token())
    issuer.answer("/keys", slowly)
    two = token(OTHER_RSA, header={"kid": "two"})
    results: list[bool] = []
    searching = threading.Thread(target=lambda: results.append(counts(remote, two)))
    searching.start()
    assert begun.wait(20)
    assert counts(remote, two)
    searching.join(20)
    assert results == [True]
    assert len(issuer.asked) == 2


# --- introspection ---------------------------------------------------------------------------------------------------


ASKING = {"client_id": "the site", "client_secret": "CLIENT_SECRET"}


@pytest.fixture
def introspection(issuer: Issuer, clock: Clock, tmp_path: Path) -> Iterator[token_verifiers.Verifier]:
    table = {**ASKING, "introspection_url": issuer.url + "/ask", "issuer": ISSUER, "audience": AUDIENCE}
    with override(SecretStore.from_mapping({"CLIENT_SECRET": "p:ss&"})):
        yield token_verifiers.make_verifier(AuthConfig.parse(table, "auth"), tmp_path, clock=clock)


def test_the_issuer_is_asked(introspection: token_verifiers.Verifier, issuer: Issuer, clock: Clock) -> None:
    issuer.answer("/ask", {"active": True, **GOOD})
    assert introspection.verify("opaque+/=")["sub"] == "ada"
    (asked,) = issuer.asked
    assert (asked.command, asked.body) == ("POST", b"token=opaque%2B%2F%3D&token_type_hint=access_token")
    assert asked.headers["Authorization"] == "Basic " + base64.b64encode(b"the+site:p%3Ass%26").decode()
    assert counts(introspection, "opaque+/=")
    assert len(issuer.asked) == 1
    issuer.answer("/ask", {"active": False})
    assert counts(introspection, "opaque+/=")
    clock.now += token_verifiers.ANSWER_LIFE
    assert not counts(introspection, "opaque+/=")
    assert not counts(introspection, "another")
    assert not counts(introspection, "another")
    assert len(issuer.asked) == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"active": False, **GOOD}, "not active"),
        ({"active": "true", **GOOD}, "did not answer whether"),
        (GOOD, "did not answer whether"),
        (b"[]", "did not answer whether"),
        (b"true", "did not answer whether"),
        (b"oops", "no JSON"),
        ({"active": True, **GOOD, "exp": 1}, "it has expired"),
        ({"active": True, **GOOD, "exp": "4000000000"}, "its exp is no number"),
        (b'{"active": true, "exp": Infinity}', "its exp is no number"),
        (b'{"active": true, "iat": NaN}', "its iat is no number"),
        ({"active": True, **GOOD, "nbf": 4_000_000_000}, "not valid yet"),
        ({"active": True, **GOOD, "iss": "other"}, "another issuer"),
        ({"active": True, "aud": AUDIENCE}, "another issuer"),
        ({"active": True, "iss": ISSUER}, "another audience"),
        ({"active": True, **GOOD, "aud": [["site"], 1]}, "another audience"),
    ],
)
def test_answers_by_which_a_token_does_not_count(
    introspection: token_verifiers.Verifier, issuer: Issuer, body: Any, reason: str
) -> None:
    issuer.answer("/ask", body)
    with pytest.raises(TokenRefused, match=reason):
        introspection.verify("opaque")


def test_redirects_of_introspection_are_not_followed(introspection: token_verifiers.Verifier, issuer: Issuer) -> None:
    issuer.answer("/evil", {"active": True, **GOOD})
    issuer.answer("/ask", b"", 307, Location=issuer.url + "/evil")
    assert not counts(introspection, "opaque")
    assert [asked.path for asked in issuer.asked] == ["/ask"]


def test_few_answers_are_kept(
    introspection: token_verifiers.Verifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_verifiers, "MAX_ANSWERS", 2)
    issuer.answer("/ask", {"active": True, **GOOD})
    assert all(counts(introspection, each) for each in ("a", "b", "c", "c", "b"))
    assert len(issuer.asked) == 3
    assert counts(introspection, "a")
    assert len(issuer.asked) == 4


def test_an_opaque_token_in_a_handler(site: Callable[..., TestClient], issuer: Issuer) -> None:
    issuer.answer("/ask", {"active": True, "sub": "ada", "subjectType": "user", "client_id": "c"})
    client = site(**ASKING, introspection_url=issuer.url + "/ask", issuer=None, audience=None)
    with override(SecretStore.from_mapping({"CLIENT_SECRET": "hunter22"})):
        assert who(client, "opaque") == {
            **REFUSED,
            "active": True,
            "subjectType": "USER",
            "subjectId": "ada",
            "clientId": "c",
        }
        issuer.close()
        assert who(client, "other", "awaited") == REFUSED


# --- require ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["members", "membersAwaited"])
def test_who_may_call(site: Callable[..., TestClient], name: str) -> None:
    client = site()

    def ask(given: str | None) -> tuple[int, str | None]:
        answer = client.get(name, headers={} if given is None else {"Authorization": f"Bearer {given}"})
        return answer.status_code, answer.headers["WWW-Authenticate"]

    assert ask(None) == (401, "Bearer")
    assert ask("forged") == (401, 'Bearer error="invalid_token"')
    assert ask(token(subjectType="APP")) == (403, 'Bearer error="insufficient_scope"')
    assert ask(token(subjectType="VISITOR")) == (403, 'Bearer error="insufficient_scope"')
    assert ask(token()) == ask(token(subjectType="USER")) == (200, None)


def test_any_token_will_do(site: Callable[..., TestClient]) -> None:
    client = site()
    assert client.get("any").status_code == 401
    for kind in ("APP", "VISITOR", "nobody knows"):
        assert client.get("any", headers={"Authorization": f"Bearer {token(subjectType=kind)}"}).text == "in"


def test_require_is_written_with_names() -> None:
    with pytest.raises(TypeError, match=r"require takes names, not <function .*write @require\('MEMBER'\)"):
        require(lambda request: None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'MEMBERS' is no type of subject; did you mean 'MEMBER'"):
        require("MEMBERS")


def test_require_keeps_the_function_and_its_notes() -> None:
    def handler(request: object, *, limit: int = 3) -> tuple[object, int]:
        """Answer."""
        return request, limit

    inside = require("MEMBER")(limits(timeout=3)(cors(origins="*")(handler)))
    outside = limits(timeout=3)(cors(origins="*")(require("MEMBER")(handler)))
    for each in (inside, outside):
        assert (each.__name__, each.__doc__) == ("handler", "Answer.")
        assert policy_of(each).timeout == 3
        assert policy_of(each).cors is not None
        with fake_caller():
            assert each("request", limit=5) == ("request", 5)
        with fake_caller("APP"), pytest.raises(HTTPError) as caught:
            each("request")
        assert caught.value.status == 403


def test_require_on_callables() -> None:
    class Handler:
        async def __call__(self, number: int) -> int:
            return number + 1

    async def plain(number: int) -> int:
        return number + 1

    async def main() -> None:
        for each in (Handler(), plain, functools.partial(plain)):
            guarded = require()(each)
            with fake_caller():
                assert await cast(Any, guarded)(1) == 2
            with fake_caller(active=False), pytest.raises(HTTPError):
                await cast(Any, guarded)(1)

    asyncio.run(main())


# --- as whom ---------------------------------------------------------------------------------------------------------


SHOP = {
    "data/collections.toml": """
        [notes.permissions]
        read = "SITE_MEMBER_AUTHOR"
        insert = "SITE_MEMBER"
        update = "SITE_MEMBER_AUTHOR"
        remove = "ADMIN"
    """,
    "backend/http_functions.py": """
        import asyncio, contextvars, threading
        from wixhttp import *
        from wixhttp.auth import elevate, require
        from wixhttp.data import aio, items
        from wixhttp.errors import WixDataError

        def ids(collection="notes"):
            return sorted(item["_id"] for item in items.query(collection).find().items)

        def tried(call):
            try:
                return call()
            except WixDataError as error:
                return error.code

        @require("MEMBER")
        def post_notes(request):
            item = items.insert("notes", {"_id": request.body.text()})
            return ok(body=item["_owner"])

        @require()
        def get_notes(request):
            return ok(body=tried(ids))

        def get_open(request):
            return ok(body=tried(ids))

        @require("MEMBER")
        async def get_awaited(request):
            found = await aio.items.query("notes").find()
            return ok(body=[item["_id"] for item in found.items])

        @require()
        def get_elevated(request):
            inner = elevate(lambda: elevate(ids)())
            before = tried(ids)
            lifted = inner()
            return ok(body=[before, lifted, tried(ids), tried(lambda: items.remove("notes", "none"))])

        @require()
        async def get_elevatedAwaited(request):
            @elevate
            async def lifted():
                return [item["_id"] for item in (await aio.items.query("notes").find()).items]
            first, second = await asyncio.gather(lifted(), aio.items.query("notes").find())
            return ok(body=[sorted(first), [item["_id"] for item in second.items]])

        @require()
        def get_threads(request):
            found = []
            for call in (ids, elevate(ids), ids):
                context = contextvars.copy_context()
                thread = threading.Thread(target=lambda: found.append(context.run(tried, call)))
                thread.start()
                thread.join()
            return ok(body=found)

        @require()
        def get_streamed(request):
            def later():
                yield str(tried(ids))
            return ok(body=later())

        def get_deferred(request):
            return require("MEMBER")(lambda: aio.items.query("notes").find())()

        @elevate
        @require()
        def get_above(request):
            return ok(body=ids())
    """,
}


@pytest.fixture
def shop(tmp_path: Path) -> TestClient:
    client = TestClient(write_project(tmp_path, SHOP))
    for name in ("ada", "bob"):
        with fake_caller("MEMBER", name):
            assert client.post("notes", text=f"of {name}").text == name
    return client


def test_a_member_acts_on_collections_as_that_member(shop: TestClient) -> None:
    for name in ("ada", "bob"):
        with fake_caller("MEMBER", name):
            own = [f"of {name}"]
            assert shop.get("notes").json() == shop.get("awaited").json() == own
            assert shop.get("threads").json() == [own, ["of ada", "of bob"], own]
            assert shop.get("open").text == "WDE0027"  # not decorated: the visitor's
    for kind in ("USER", "APP", "VISITOR", "UNKNOWN"):
        with fake_caller(kind, "ada"):
            assert shop.get("notes").text == "WDE0027"


def test_elevate_within_require(shop: TestClient) -> None:
    everything = ["of ada", "of bob"]
    with fake_caller("MEMBER", "ada"):
        assert shop.get("elevated").json() == [["of ada"], everything, ["of ada"], "WDE0027"]
        assert shop.get("elevatedAwaited").json() == [everything, ["of ada"]]
        assert shop.get("above").json() == everything
    with fake_caller("VISITOR", None):
        assert shop.get("elevated").json() == ["WDE0027", everything, "WDE0027", "WDE0027"]


def test_streams_are_drawn_as_the_visitor(shop: TestClient) -> None:
    with fake_caller("MEMBER", "ada"):
        assert shop.get("streamed").text == "WDE0027"


def test_a_member_of_a_real_token(tmp_path: Path, issuer: Issuer) -> None:
    said = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": issuer.url + "/keys"}
    client = TestClient(write_project(tmp_path, SHOP), auth=AuthConfig.parse(said, "auth"))
    headers = {"Authorization": f"Bearer {token(sub='eve')}"}
    assert client.post("notes", text="hers", headers=headers).text == "eve"
    assert client.get("awaited", headers=headers).json() == ["hers"]
    assert client.get("notes", headers={"Authorization": f"Bearer {token()}"}).json() == []


def test_members_open_no_collections_before_they_use_them() -> None:
    opened: list[int] = []

    def opening() -> Collections:
        opened.append(1)
        return Collections(MemoryStore())

    collections.set_default(opening)
    try:
        with fake_caller("MEMBER", "ada"):
            assert require()(lambda: 5)() == 5
            assert opened == []
            builder = require()(items.query)("notes")
            assert opened == []
            assert require()(lambda: items.insert("notes", {}))()["_owner"] == "ada"
            assert builder.count() == 1
            nested: Callable[[], Identity] = require()(require()(lambda: collections.current().identity))
            assert (nested().user_id, nested().role, nested().is_elevated) == ("ada", "siteMember", False)
            assert elevate(nested)().is_elevated
        assert opened == [1]
        assert collections.current().identity.user_id is None
    finally:
        collections.set_default(None)


# --- fetchWithAuth ---------------------------------------------------------------------------------------------------


FETCHING = """
    from wixhttp.auth import fetchWithAuth

    def post_fetch(request):
        answer = fetchWithAuth(request.body.text(), headers={"X-Own": "1"})
        return response(status=answer.status_code, body=answer.text)

    async def post_awaited(request):
        answer = await fetchWithAuth(await request.body.text(), "POST", json={"a": 1})
        return response(status=answer.status_code, body=answer.text)
"""


@pytest.mark.parametrize(("name", "method"), [("fetch", "GET"), ("awaited", "POST")])
def test_fetch_with_auth(
    site: Callable[..., TestClient],
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    method: str,
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    issuer.answer("/there", {"a": 1})
    client = site(FETCHING)
    answer = client.post(name, text=issuer.url + "/there", headers={"Authorization": f"bearer {token()}"})
    assert answer.json() == {"a": 1}
    (asked,) = issuer.asked
    assert asked.command == method
    assert asked.headers["Authorization"] == f"Bearer {token()}" or asked.headers["Authorization"].startswith(
        "Bearer ey"
    )
    monkeypatch.delenv("NETRC")
    for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer a, b"}):
        assert client.post(name, text=issuer.url + "/there", headers=headers).ok
        assert issuer.asked[-1].headers["Authorization"] is None


@pytest.mark.parametrize("name", ["fetch", "awaited"])
def test_a_redirect_to_another_host_gets_no_token(site: Callable[..., TestClient], issuer: Issuer, name: str) -> None:
    other = Issuer()
    try:
        issuer.answer("/there", {"a": 1})
        other.answer("/there", {"a": 2})
        client = site(FETCHING)
        headers = {"Authorization": f"Bearer {token()}"}
        for target, kept in ((other.url, False), (f"http://localhost:{issuer.port}", False), (issuer.url, True)):
            issuer.answer("/away", b"", 307, Location=target + "/there")
            assert client.post(name, text=issuer.url + "/away", headers=headers).ok
            last = (other if target == other.url else issuer).asked[-1]
            assert last.path == "/there"
            assert (last.headers["Authorization"] is not None) is kept
    finally:
        other.close()


def test_no_proxy_gets_what_is_for_this_machine(
    site: Callable[..., TestClient], issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Issuer()
    try:
        for variable in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(variable, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        issuer.answer("/there", {"a": 1})
        issuer.answer("/ask", {"active": True})
        headers = {"Authorization": f"Bearer {token()}"}
        client = site(HANDLERS + FETCHING)
        assert client.post("fetch", text=issuer.url + "/there", headers=headers).ok
        assert who(client, token())["active"]
        client = site(HANDLERS + FETCHING, **ASKING, introspection_url=issuer.url + "/ask", issuer=None, audience=None)
        with override(SecretStore.from_mapping({"CLIENT_SECRET": "hunter22"})):
            assert who(client, "opaque")["active"]
        assert proxy.asked == []
    finally:
        proxy.close()


def test_slow_fetches_do_not_delay_the_check_of_tokens(issuer: Issuer, tmp_path: Path) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slowly(asked: Asked) -> Any:
        begun.release()
        assert go_on.wait(30)
        return {}

    issuer.answer("/slow", slowly)
    said = AuthConfig.parse({"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": issuer.url + "/keys"}, "auth")
    info = caller._Unchecked(token(), dataclasses.replace(load_config(tmp_path), auth=said))

    async def main() -> str | None:
        with fake_caller():
            url = issuer.url + "/slow"
            fetching = [asyncio.ensure_future(cast(Any, fetchWithAuth(url, timeout=30))) for _ in range(64)]
        try:
            for _ in range(service_threads.THREADS):
                assert await asyncio.to_thread(begun.acquire, timeout=20)
            return (await asyncio.wait_for(info, 10)).subjectId
        finally:
            go_on.set()
            await asyncio.gather(*fetching)

    assert asyncio.run(main()) == "ada"


def test_where_a_token_is_not_sent() -> None:
    with fake_caller():
        for url in ("http://example.com/", "example.com", "http://localhost@example.com/", "ftp://example.com/"):
            with pytest.raises(ValueError, match="a token is sent by https, or to this machine"):
                fetchWithAuth(url)
        with pytest.raises(ValueError, match="not to ") as caught:
            fetchWithAuth("https://ada:hunter22@example.com/")
        assert "hunter22" not in str(caught.value)
        for options in (
            {"auth": ("a", "b")},
            {"headers": {"AUTHORIZATION": "x"}},
            {"headers": {b"Authorization": "x"}},
        ):
            with pytest.raises(TypeError, match="fetchWithAuth sends the caller's token"):
                fetchWithAuth("https://example.com/", **options)


# --- the test kit ----------------------------------------------------------------------------------------------------


def test_fake_callers(tmp_path: Path) -> None:
    client = TestClient(write_project(tmp_path, HANDLERS))
    with fake_caller("USER", "eve", siteId="s", exp=5) as info:
        assert getTokenInfo() is info
        assert info == TokenInfo(True, "USER", "eve", 5, None, None, "s", None)
        for name in ("who", "awaited"):
            assert client.get(name).json() == {**VISITOR, "active": True, "subjectType": "USER", "subjectId": "eve",
                                               "exp": 5, "siteId": "s"}  # fmt: skip
        assert client.get("membersAwaited").text == "eve"
        with fake_caller("APP"):
            assert client.get("members").status_code == 403
        with fake_caller("VISITOR", None, active=False):
            assert client.get("members").headers["WWW-Authenticate"] == "Bearer"
        assert client.get("members").text == "eve"
    assert client.get("members").status_code == 401
    with pytest.raises(ValueError, match="'MEMBRE' is no type of subject"), fake_caller("MEMBRE"):
        pass
    with pytest.raises(TypeError, match="subjectid"), fake_caller(subjectid="x"):
        pass


def test_the_fixture(fake_caller: Any) -> None:
    with fake_caller("MEMBER", "ada"):
        assert getTokenInfo().subjectId == "ada"


# --- nothing is written down -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["good", *FORGED])
def test_no_token_and_no_secret_is_written(
    site: Callable[..., TestClient], issuer: Issuer, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    caplog.set_level(logging.DEBUG)
    given = token() if case == "good" else FORGED[case](issuer)
    issuer.answer("/ask", {"active": False})
    asking = {**ASKING, "introspection_url": issuer.url + "/ask", "issuer": None, "audience": None}
    with override(SecretStore.from_mapping({"CLIENT_SECRET": "hunter22"})):
        for client in (site(), site(**asking)):
            for name in ("who", "awaited", "members", "membersAwaited"):
                answer = client.get(name, headers={"Authorization": f"Bearer {given}"})
                for text in (caplog.text, answer.text, str(answer.fields)):
                    assert given not in text or len(given) < 8
                    assert "hunter22" not in text
                    assert given.rpartition(".")[2][:20] not in text or len(given.rpartition(".")[2]) < 20


def test_an_unchecked_token_is_not_shown() -> None:
    config = load_config(Path(__file__).parent)
    info = caller._Unchecked("secret-token", config)
    assert "secret-token" not in repr(info)
    assert repr(info) == repr(TokenInfo(False, "UNKNOWN", None, None, None, None, None, None))
    assert info == caller.REFUSED == info
    assert hash(info) == hash(caller.REFUSED)
    with pytest.raises(AttributeError):
        info.subject  # noqa: B018


# --- what is loaded --------------------------------------------------------------------------------------------------


def test_what_the_room_loads() -> None:
    loaded = loaded_by("from wixhttp.auth import elevate, require, getTokenInfo\n@require('MEMBER')\ndef f(): pass")
    assert loaded & {"jwt", "requests", "cryptography", "asyncio", "wixhttp.data"} == set()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules[{{name!r}}] = None
from pathlib import Path
from wixhttp.project.auth_settings import AuthConfig
from wixhttp.auth.caller import settings_are
from wixhttp.errors import ConfigError
from wixhttp.auth.token_verifiers import make_verifier
try:
    make_verifier(AuthConfig(issuer="a", audience=("b",), algorithms=("HS256",), secret="K"), Path({str(tmp_path)!r}))
except ConfigError as error:
    assert "run: pip install 'wixhttp[auth]'" in str(error), error
    assert {{name!r}} in str(error), error
else:
    raise AssertionError
"""
    for name in ("jwt", "requests", "cryptography"):
        loaded_by(code.replace("{name!r}", repr(name)))
