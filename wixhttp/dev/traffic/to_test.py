"""Tests from traffic: a pytest file that sends kept requests through the test kit, and asserts what they got.

A test asserts status, content type, where a redirect leads, and the body. Values that change (`changing_values`) are
matched by their kind. Long and binary bodies stand in files beside the test. The value of a secret never stands in
either: the test asks for it by its name, and does without credentials that are none of the project's secrets. What has
been written is looked through in the end: where one is in it all the same, there is no test.

A signature is good for some minutes only. The test of a signed request sends the very bytes that were signed, with the
clock at their time.
"""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wixhttp.data.files.formats import to_line
from wixhttp.testing.matchers import ANY_TEXT, Likeness, like

from .changing_values import NO_JSON, ChangingValues, json_of
from .hidden_values import HiddenValues
from .kept_requests import CLIENT_LEFT, KeptRequest, header, utf8_text
from .masks import MASK, Masks
from .python_text import WIDTH, SourceText, literal, quoted
from .sent_requests import SentRequest, sent_request

LONGEST_TEXT = 1_500  # bytes of a body that stands in the test itself
LONGEST_JSON = 6_000  # of one that is laid out in lines
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PROBLEM = "application/problem+json"
_SIGNED = re.compile("signature|hmac")
_ID_IN_NAME = re.compile(
    "_(?:[0-9a-f]{8}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{12}|[a-z0-9]{0,40}[0-9][a-z0-9]{15,60})(?=_|$)"
)
_NO_WORD = re.compile("[^a-z0-9]+")
_TO_ESCAPE = re.compile(r"[^ !#-&(-\[\]-~]")
_KIT = re.compile(r"\b(?:ANY_(?:DATE|NUMBER|TEXT|UUID)|like(?=\())")
_FUNCTIONS = re.compile(r"\b(?:getSecret|quote|quote_plus)(?=\()|\bjson(?=\.dumps)")
# Texts that the writer itself puts into a test, beside names of header fields and of secrets.
_OWN = frozenset({*_METHODS, "content-type", "location", "", "/", "!'()*~", ";,/?:@&=+$-_.!~*'()#"})


class CannotTest(ValueError):
    """A request of which no test can be made; its text says why."""


@dataclass
class TestCase:
    """A request that a test is to be made of.

    ``sent`` is what the test sends, without the credentials that it does without; ``hidden`` is what must not stand in
    it. ``expected`` is the body that it asserts, with matchers in it, or `NO_JSON` where that is the kept one.
    ``seeds`` are the items that its collections begin with.
    """

    __test__ = False  # not a test class, whatever its name says to pytest

    kept: KeptRequest
    sent: SentRequest
    hidden: HiddenValues
    expected: Any = NO_JSON
    seeds: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, kept: KeptRequest, secrets: Mapping[str, str] | None = None, *, all_headers: bool = False) -> TestCase:
        """The case of a kept request, with the header fields that say something, or all of them but for those that a
        client writes itself. ``secrets`` are the project's, by name: other credentials are left out.

        Raises:
            CannotTest: there is no whole request, or no whole answer.
        """
        if kept.is_cut:
            raise CannotTest(f"of its body, {kept.request_size} bytes, only {len(kept.request_body)} are kept")
        if kept.status == CLIENT_LEFT or not 200 <= kept.status <= 599:
            raise CannotTest(f"it got no answer (status {kept.status})")
        if kept.content_type.startswith("text/event-stream"):
            raise CannotTest("its answer is an event stream, which a test would wait for without end")
        sent, hidden = sent_request(kept, HiddenValues(secrets), all_headers=all_headers)
        return cls(kept, sent, hidden)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The header fields that the test sends."""
        return self.sent.headers

    @property
    def is_signed(self) -> bool:
        """Return whether a header field signs the request."""
        return self.clock is not None

    @property
    def clock(self) -> float | None:
        """The time that the clock is to be at, ``None`` for any."""
        return clock_of(self.kept)

    @property
    def left_out(self) -> list[str]:
        """The credentials of the request that the test does not send, by the names of their fields."""
        return self.sent.left_out

    @property
    def body(self) -> Any:
        """The JSON that the test asserts, `NO_JSON` for another body."""
        if self.expected is not NO_JSON:
            return self.expected
        value = json_of(self.kept.response_body)
        return NO_JSON if value is NO_JSON else self.expected_json(value)

    def expected_json(self, value: Any, given: str = "") -> Any:
        """A JSON answer with matchers in place of what changes, and of hidden values; what is ``given`` does not
        change. The text of a problem document is another in production."""
        found = ChangingValues(self.kept, given).expected(self.hidden.expected(value))
        if self.kept.content_type.startswith(_PROBLEM) and isinstance(found, dict):
            found.update({name: ANY_TEXT for name in ("detail", "request_id") if isinstance(found.get(name), str)})
        return found

    def template(self, text: str) -> str:
        """The template for `like` of a text of the answer: with placeholders for what changes, and is hidden."""
        return ChangingValues(self.kept).template(self.hidden.blanked(text))

    @property
    def location(self) -> str | None:
        """The template of where a redirect leads, ``None`` where there is none."""
        value = header(self.kept.response_headers, "location")
        if value is None:
            return None
        template = self.template(value)
        masked = Masks().target(template)
        return template if masked == template else masked.replace(MASK, "{text}")

    @property
    def hides_answer(self) -> bool:
        """Return whether the body of the answer is no text, and has a hidden value in it: it is not asserted."""
        is_whole = self.kept.response_size == len(self.kept.response_body)
        is_text = is_whole and utf8_text(self.kept.response_body) is not None
        return self.kept.method != "HEAD" and not is_text and self.hidden.stands_in(self.kept.response_body)


def clock_of(kept: KeptRequest) -> float | None:
    """The time that the clock is to be at for a kept request: where a header field signs it; ``None`` for any."""
    is_signed = any(_SIGNED.search(name.lower()) for name, _ in kept.request_headers)
    return float(int(kept.time)) if is_signed else None


def as_test(requests: Sequence[KeptRequest], secrets: Mapping[str, str] | None = None) -> str:
    """The text of a test file for kept requests, to be shown: all bodies are in it. Where no test can be made, a
    comment says why."""
    try:
        return write_tests([TestCase.of(kept, secrets) for kept in requests], "")[0]
    except CannotTest as error:
        return f"# No test can be made of this request: {error}.\n"


def write_tests(cases: Sequence[TestCase], folder: str) -> tuple[str, dict[str, bytes]]:
    """The text of a test file, and the files beside it in a folder of that name, by their names. Without a folder all
    stands in the text, but for items of collections.

    Raises:
        CannotTest: a secret or a credential would stand in it.
    """
    writer = _Writer(folder)
    functions = [writer.function(case) for case in cases]
    return writer.module(functions, cases), writer.files


class _Writer:
    """A test file that is being written."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self._hidden = HiddenValues()  # of the case that is written
        self._names: set[str] = set()
        self._used: set[str] = set()  # names that are to be imported
        self._kinds: set[str] = set()

    def module(self, functions: Sequence[str], cases: Sequence[TestCase]) -> str:
        """The whole text."""
        days = sorted({time.strftime("%Y-%m-%d", time.gmtime(case.kept.time)) for case in cases})
        since = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        lines = [f'"""Requests of {since}, and the answers that they got."""', ""]
        standard = ["import json"] if "json" in self._used else []
        standard += ["from pathlib import Path"] if "Path" in self._used else []
        quotes = sorted({"quote", "quote_plus"} & self._used)
        standard += [f"from urllib.parse import {', '.join(quotes)}"] if quotes else []
        lines += [*standard, ""] if standard else []
        kit = sorted(self._kinds, key=lambda name: (name.islower(), name))
        own = ["from wixhttp.secrets import getSecret"] if "getSecret" in self._used else []
        own += [f"from wixhttp.testing import {', '.join(kit)}"] if kit else []
        lines += [*own, ""] if own else []
        if "Path" in self._used:
            lines += [f'FILES = Path(__file__).parent / "{self.folder}"', ""]
        while lines and not lines[-1]:
            lines.pop()
        return "\n".join(lines) + "\n\n\n" + "\n\n\n".join(functions) + "\n"

    def function(self, case: TestCase) -> str:
        """The test of a case.

        Raises:
            CannotTest: a secret or a credential would stand in it.
        """
        self._hidden = case.hidden
        name = self._name(case.kept)
        others = set(self.files)
        fixtures = ["client"]
        lines: list[str] = []
        for collection, items in case.seeds.items():
            fixtures = ["client", "wix_data"]
            file = self._file(f"{name}-{collection}.jsonl", b"".join(map(to_line, items)))
            lines.append(f"wix_data.seed({quoted(repr(collection))}, {file})")
        if case.kept.status >= 500:
            lines.append("client.raise_exceptions = False")
        call = f"answer = {self._call(case, name)}"
        if case.clock is not None:
            self._kinds.add("at_time")
            lines.append(f"with at_time({case.clock}):  # when it was signed")
            call = "    " + call.replace("\n    ", "\n        ")
        lines += [call, *self._assertions(case, name)]
        body = "".join(f"    {line}\n" for line in lines).rstrip("\n")
        text = f"def test_{name}({', '.join(fixtures)}):\n{body}"
        self._refuse_hidden(case, text, [each for each in self.files if each not in others])
        return text

    def _refuse_hidden(self, case: TestCase, text: str, files: Sequence[str]) -> None:
        """Raise where a hidden value stands in what was written for a case: constants of its source, and files."""
        own = {*_OWN, *case.hidden.secrets, *case.seeds, *files, *(f"test_{each}" for each in self._names)}
        own |= {name for name, _ in case.headers} | {name.lower() for name, _ in case.headers}
        constants = {
            node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and node.value not in own
        }
        written: list[str | bytes] = [each for each in constants if isinstance(each, str | bytes)]
        if any(map(case.hidden.stands_in, [*written, *(self.files[each] for each in files)])):
            raise CannotTest("a secret or a credential would stand in it, in a place where the test cannot ask for it")

    def _name(self, kept: KeptRequest) -> str:
        path = Masks.of(kept).target(self._hidden.blanked(kept.target.partition("?")[0], MASK))
        path = path.removeprefix("/_functions/").strip("/") or "home"
        words = _NO_WORD.sub("_", f"{kept.method}_{path}".lower()).strip("_")
        words = _ID_IN_NAME.sub("", words)[:60].rstrip("_")
        words += "" if kept.status < 300 else f"_{kept.status}"
        name, number = words, 1
        while name in self._names:
            number += 1
            name = f"{words}_{number}"
        self._names.add(name)
        return name

    # --- the request ---

    def _call(self, case: TestCase, name: str) -> str:
        method = case.kept.method
        target = self._text(case.sent.target)
        arguments = [target] if method in _METHODS else [quoted(repr(method)), target]
        fields = list(case.headers)
        body = self._body_argument(case, fields, name)
        if fields:
            arguments.append(f"headers={self._headers(fields)}")
        if body:
            arguments.append(body)
        start = f"client.{method.lower() if method in _METHODS else 'request'}("
        flat = f"{start}{', '.join(arguments)})"
        if len(flat) + 13 <= WIDTH and "\n" not in flat:
            return flat
        return start + "\n" + "".join(f"        {each},\n" for each in arguments) + "    )"

    def _headers(self, fields: list[tuple[str, str]]) -> str:
        values = [(quoted(repr(name)), self._text(value)) for name, value in fields]
        if len({name.lower() for name, _ in fields}) < len(fields):
            pairs = [f"({name}, {value})" for name, value in values]
            brackets = "[]"
        else:
            pairs = [f"{name}: {value}" for name, value in values]
            brackets = "{}"
        flat = ", ".join(pairs)
        if len(flat) + 30 <= WIDTH:
            return f"{brackets[0]}{flat}{brackets[1]}"
        return brackets[0] + "\n" + "".join(f"            {pair},\n" for pair in pairs) + "        " + brackets[1]

    def _body_argument(self, case: TestCase, fields: list[tuple[str, str]], name: str) -> str:
        body = case.sent.body
        if not body:
            return ""
        kind = header(fields, "content-type") or ""
        value = json_of(body)
        is_short = len(body) <= LONGEST_JSON or not self.folder
        is_plain = kind.partition(";")[0].strip().lower() == "application/json" and not case.is_signed and is_short
        if is_plain and value is not NO_JSON and value is not None and not _any(value, self._hidden.is_hidden_number):
            fields[:] = [each for each in fields if each != (each[0], "application/json")]
            return f"json={literal(self._with_sources(value), 8, 6)}"
        text = utf8_text(body)
        is_long = bool(self.folder) and (text is None or len(body) > LONGEST_TEXT)
        if self._names_secrets(body):
            return f"data={self._long_body(body, f'{name}{_ending(kind, body)}') if is_long else self._bytes(body)}"
        if is_long:
            return f"data=({self._file(f'{name}{_ending(kind, body)}', body)}).read_bytes()"
        if text is None or body.isascii():
            return f"data={quoted(repr(body))}"
        return f"data={quoted(repr(text))}.encode()"

    def _long_body(self, body: bytes, name: str) -> str:
        """The source of a body in a file that has marks in place of secrets."""
        pieces = self._hidden.pieces(body)
        marks: dict[str, str] = {}
        for source in dict.fromkeys(source for _, source in pieces if source):
            number = len(marks) + 1
            while f"<secret {number}>".encode() in body or f"<secret {number}>" in marks.values():
                number += 1
            marks[source] = f"<secret {number}>"
        data = b"".join(marks[source].encode() if source else piece for piece, source in pieces)
        replaced = "".join(f'.replace(b"{mark}", {source}.encode())' for source, mark in marks.items())
        self._note(replaced)
        return f"({self._file(name, data)}).read_bytes(){replaced}"

    def _bytes(self, body: bytes) -> str:
        """The source of data with secrets in it."""
        if utf8_text(body) is not None:
            source = self._text(body.decode())
            return f"({source}).encode()" if " + " in source else f"{source}.encode()"
        pieces = self._hidden.pieces(body)
        found = " + ".join(f"{source}.encode()" if source else quoted(repr(piece)) for piece, source in pieces)
        self._note(found)
        return found

    def _names_secrets(self, data: bytes) -> bool:
        return any(source for _, source in self._hidden.pieces(data))

    def _with_sources(self, value: Any) -> Any:
        """A JSON value with sources in place of texts that have secrets in them."""
        if isinstance(value, dict):
            return {self._with_sources(name): self._with_sources(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._with_sources(each) for each in value]
        if isinstance(value, str) and self._names_secrets(_bytes_of(value)):
            return SourceText(self._text(value))
        return value

    def _note(self, source: str) -> None:
        """Note the functions that a source calls."""
        self._used.update(_FUNCTIONS.findall(source))

    def _text(self, text: str) -> str:
        """The source of a text; in place of the values of secrets it asks for them."""
        pieces = [
            (piece.decode("utf-8", "surrogatepass"), source) for piece, source in self._hidden.pieces(_bytes_of(text))
        ]
        sources = [source for _, source in pieces if source]
        if not sources:
            return quoted(repr(text))
        self._note(" ".join(sources))
        if len(pieces) == 1:
            return sources[0]
        is_plain = all(source.startswith("getSecret(") for source in sources)
        if not is_plain or _TO_ESCAPE.search("".join(piece for piece, _ in pieces)):
            return " + ".join(source or quoted(repr(piece)) for piece, source in pieces)
        inner = (
            "{" + source.replace('"', "'") + "}" if source else piece.replace("{", "{{").replace("}", "}}")
            for piece, source in pieces
        )
        return f'f"{"".join(inner)}"'

    # --- the answer ---

    def _assertions(self, case: TestCase, name: str) -> list[str]:
        kept = case.kept
        lines = [f"assert answer.status_code == {kept.status}"]
        if kept.failure is not None:  # the answer is a page of the development server's
            return lines
        kind = header(kept.response_headers, "content-type")
        if kind is not None:
            lines.append(f'assert answer.headers["content-type"] == {self._expected(self._hidden.expected(kind))}')
        if case.location is not None:
            is_same = case.location == header(kept.response_headers, "location")
            place = case.location if is_same else ChangingValues.matcher(case.location)
            lines.append(f'assert answer.headers["location"] == {self._expected(place)}')
        if kept.method != "HEAD" and not case.hides_answer:
            lines.append(self._body_assertion(case, name))
        return lines

    def _body_assertion(self, case: TestCase, name: str) -> str:
        kept = case.kept
        body = kept.response_body
        value = case.body
        if kept.response_size > len(body):
            file = f"({self._file(f'{name}-answer.bin', body)})" if self.folder else repr(body)
            return f"assert answer.content[:{len(body)}] == {file}" + (".read_bytes()" if self.folder else "")
        if value is not NO_JSON and not (isinstance(value, str) and not kept.content_type):
            has_key = _any(value, lambda each: isinstance(each, dict) and any(map(self._hidden.stands_in, each)))
            if len(body) <= LONGEST_JSON or not self.folder or has_key:
                return f"assert answer.json() == {self._expected(value, 4)}"
            self._used.add("json")
            data = json.dumps(value, indent=1, default=lambda each: each.template) + "\n"
            read = f"json.loads(({self._file(f'{name}-answer.json', data.encode())}).read_bytes())"
            if _any(value, lambda each: isinstance(each, Likeness)):
                self._kinds.add("like")
                read = f"like({read})"
            return f"assert answer.json() == {read}"
        text = utf8_text(body)
        if text is None:
            if self.folder:
                file = self._file(f"{name}-answer{_ending(kept.content_type, body)}", body)
                return f"assert answer.content == ({file}).read_bytes()"
            return f"assert answer.content == {body!r}"
        template = case.template(text)
        if len(body) <= LONGEST_TEXT or not self.folder:
            return f"assert answer.text == {self._expected(like(template) if template != text else text, 4)}"
        read = f"({self._file(f'{name}-answer{_ending(kept.content_type, body)}', template.encode())}).read_bytes()"
        if template == text:
            return f"assert answer.content == {read}"
        self._kinds.add("like")
        return f"assert answer.text == like({read}.decode())"

    def _expected(self, value: Any, indent: int = 0) -> str:
        source = literal(self._with_sources(value), indent, 24)
        self._kinds.update(_KIT.findall(source))
        return source

    def _file(self, name: str, data: bytes) -> str:
        """The source of the path of a file beside the test, which is written with it."""
        self._used.add("Path")
        self.files[name] = data
        return f'FILES / "{name}"'


def _any(value: Any, condition: Callable[[Any], bool]) -> bool:
    """Return whether a JSON value, or one in it, meets a condition."""
    if condition(value):
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_any(each, condition) for each in inner)


def _bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _ending(kind: str, body: bytes) -> str:
    plain = kind.partition(";")[0].strip().lower()
    known = {
        "application/json": ".json", "text/html": ".html", "text/csv": ".csv", "image/png": ".png",
        "image/jpeg": ".jpg", "image/svg+xml": ".svg", "application/pdf": ".pdf", "application/xml": ".xml",
        "text/xml": ".xml",
    }  # fmt: skip
    return known.get(plain) or (".txt" if utf8_text(body) is not None else ".bin")
