"""Every regular expression of the package takes linear time: no text makes the search for a match quadratic or worse.

The expressions are found in the source, each with the ways in which it is applied (``search`` begins at every character
of a text, ``fullmatch`` at one). Attacks are made of each expression: a text that it matches, of which one piece is
repeated, and behind it what it does not match. The measure is processor time, which a busy machine does not stretch,
and compares two lengths of one text.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import importlib
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import wixhttp
from wixhttp.dev.traffic.hidden_values import HiddenValues
from wixhttp.dev.traffic.masks import masked_passwords
from wixhttp.dispatch.allowed_hosts import is_host
from wixhttp.endpoints.context import preferred_locale
from wixhttp.endpoints.csrf import is_preflighted
from wixhttp.endpoints.routing.matcher import steps_of_segment
from wixhttp.endpoints.routing.paths import normalize
from wixhttp.endpoints.routing.patterns import parse_pattern
from wixhttp.endpoints.web.cookies import Cookies
from wixhttp.endpoints.web.response import Response
from wixhttp.endpoints.web.url import URL
from wixhttp.errors import HTTPError
from wixhttp.http.charsets import codec_of
from wixhttp.http.proxy_headers import client_address
from wixhttp.http.request_target import split_absolute
from wixhttp.http.url import query_pairs
from wixhttp.logs.masking import masked_url
from wixhttp.logs.secret_spellings import SecretPattern
from wixhttp.project.dotenv import parse
from wixhttp.testing import ANY_DATE, ANY_TEXT, ANY_UUID, like

ROOT = Path(wixhttp.__file__).parent
APPLIED = frozenset({"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"})

SECRETS = SecretPattern(["aaaaaaaaaaab", "aaaaaaaa", "a/a+a@a:a a", "aaaa"])

# Expressions that are made when the package runs, of a text that the site's developer wrote, by module and function:
# some of them, and how they are applied.
MADE: dict[tuple[str, str], tuple[list[Any], tuple[str, ...]]] = {
    ("wixhttp.endpoints.routing.matcher", "_spellings"): (
        [
            step.spellings
            for text in ("a+b", "a;b,c", "%2F+%2F+", "@@@@@@")
            for step in steps_of_segment(parse_pattern([text], "x.py").segments[0])
            if step.spellings is not None
        ],
        ("match", "search"),
    ),
    ("wixhttp.testing.matchers", "__init__"): (
        [
            each._pattern
            for each in (ANY_UUID, ANY_DATE, ANY_TEXT, like("{number}"), like("Order {number} of {date}, {uuid}"))
            if each._pattern is not None
        ],
        ("fullmatch",),
    ),
    ("wixhttp.dev.traffic.hidden_values", "__init__"): (
        [HiddenValues({"A": "abcabcabd", "B": "abcabc", "C": "aaaaaaab", "D": "aaaa"})._spelled or re.compile(b"")],
        ("split",),
    ),
    ("wixhttp.logs.secret_spellings", "_pattern_of"): (
        [
            made
            for made in (SECRETS._plain, SECRETS._coded, SecretPattern(["abcabcabd", "abcabc"])._plain)
            if made is not None
        ],
        ("sub",),
    ),
}


class Expression(NamedTuple):
    """One expression of the package, and the methods by which it is applied."""

    place: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]


class Source(NamedTuple):
    """A module of the package: its nodes, the names that it imports, and the attributes that it takes of names."""

    nodes: list[ast.AST]
    imports: frozenset[str]
    attributes: frozenset[tuple[str, str]]


# Each module's text, without those that `wixhttp init` writes; and the modules that may have expressions. They are
# parsed when a test runs: each process of the tests reads this file to know its tests.
TEXTS_OF = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
    for path in sorted(ROOT.rglob("*.py"))
    if "template" not in path.parts
}
MODULES = [name for name, text in TEXTS_OF.items() if re.search(r"^\s*import .*\bre\b", text, re.MULTILINE)]


@functools.cache
def sources() -> dict[str, Source]:
    found = {}
    for name, text in TEXTS_OF.items():
        nodes = list(ast.walk(ast.parse(text)))
        imports = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
        attributes = {
            (node.value.id, node.attr)
            for node in nodes
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        found[name] = Source(nodes, frozenset(imports), frozenset(attributes))
    return found


def calls_of_re(source: Source) -> Iterator[tuple[ast.Call, str, str]]:
    """Each call ``re.name(...)`` of a module, the name, and the function that it stands in."""
    if not any(name == "re" for name, _ in source.attributes):
        return
    owners = dict.fromkeys(source.nodes, "")
    for function in source.nodes:  # from the outside in, so that the innermost has the last word
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            owners.update(dict.fromkeys(ast.walk(function), function.name))
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            module = node.func.value
            if isinstance(module, ast.Name) and module.id == "re" and node.func.attr not in ("escape", "purge"):
                yield node, node.func.attr, owners[node]


def applied_to(module: str, name: str) -> frozenset[str]:
    """The methods by which a name is applied, in its module and in those that import it."""
    return frozenset(
        attribute
        for other, source in sources().items()
        if other == module or name in source.imports
        for owner, attribute in source.attributes
        if owner == name and attribute in APPLIED
    )


@functools.cache
def expressions() -> list[Expression]:
    found = []
    for module, source in sources().items():
        names = {
            node.value: target.id
            for node in source.nodes
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call, method, owner in calls_of_re(source):
            place = f"{module}:{call.lineno}"
            namespace = vars(importlib.import_module(module))
            try:
                pattern = eval(compile(ast.Expression(call.args[0]), place, "eval"), namespace)  # noqa: S307  # our own
            except NameError:  # of a local variable
                # A new one is to be listed there, with patterns that it makes: the first test names it until it is.
                made, ways = MADE.get((module, owner), ([re.compile("")], ()))
                found += [Expression(f"{place}-{index}", each, frozenset(ways)) for index, each in enumerate(made)]
                continue
            if method == "compile":
                flags = [
                    *call.args[1:],
                    *(keyword.value for keyword in call.keywords if keyword.arg == "flags"),
                ]
                flag = eval(compile(ast.Expression(flags[0]), place, "eval"), namespace) if flags else 0  # noqa: S307
                methods = applied_to(module, names[call])
                found.append(Expression(place, re.compile(pattern, flag), methods))
            else:
                found.append(Expression(place, re.compile(pattern), frozenset({method})))
    return found


def test_every_expression_is_found_and_applied_in_a_known_way() -> None:
    assert len(expressions()) > 40
    assert {each.place.partition(":")[0] for each in expressions()} <= set(MODULES)
    unknown = [each.place for each in expressions() if not each.methods]
    assert unknown == [], "assign it to a name, and call a method of that; list it in MADE where a function makes it"
    imported = [
        (module, node.lineno)
        for module, source in sources().items()
        for node in source.nodes
        if isinstance(node, ast.ImportFrom) and node.module == "re"
    ]
    assert imported == [], "write import re, so that its calls are found"


# --- attacks ---------------------------------------------------------------------------------------------------------

QUICK = 0.02  # seconds; in linear time the texts of up to 1500 characters take a hundredth of it
SIZES = (1_500, 6_000, 24_000)
SAMPLES = ("a://a@a@a:a/a", 'a, a; a="a"', "a=a&a%2Fa+a", " a  b\t #c")  # of what expressions mostly read
MOST = 9  # times as long for four times as much: linear is 4, quadratic 16
TEXTS, ATTACKS = 20, 30  # for each expression, and with each text


def attacks(text: Any) -> list[tuple[Any, Any, Any]]:
    """A beginning, a piece to repeat, and an end, of a text that an expression matches."""
    text = text[:12]
    ends: list[Any] = ["", "\0"] if isinstance(text, str) else [b"", b"\0"]
    made = [
        (text[:start], text[start : start + size], end)
        for start in range(len(text))
        for size in range(1, min(5, len(text) - start) + 1)
        for end in ends
    ]
    return random.Random(0).sample(made, min(len(made), ATTACKS))  # noqa: S311  # no secret


def took(apply: Callable[[Any], object], text: Any, times: int = 1) -> float:
    """Seconds of processor time, the least of so many runs."""
    spans = []
    for _ in range(times):
        begun = time.thread_time()
        apply(text)
        spans.append(time.thread_time() - begun)
    return min(spans)


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def is_linear(apply: Callable[[Any], object], beginning: Any, piece: Any, end: Any) -> bool:
    def text(size: int) -> Any:
        return beginning + piece * (size // len(piece)) + end

    for size in (16, 20, 24, 32, 300, SIZES[0]):
        if took(apply, text(size)) > QUICK and took(apply, text(size), 3) > QUICK:
            return False
    if took(apply, text(SIZES[0])) < 0.00015:  # a tenth of a microsecond a character
        return True
    spans = (took(apply, text(size), times) for size, times in zip(SIZES, (5, 5, 1), strict=True))
    short = next(spans)
    for span in spans:
        if span < MOST * short:
            return True
        short = span
    return False


def applications(expression: Expression) -> list[Callable[[Any], object]]:
    pattern = expression.pattern
    replacement: Any = "" if isinstance(pattern.pattern, str) else b""
    ways: dict[str, Callable[[Any], object]] = {
        "match": pattern.match,
        "fullmatch": pattern.fullmatch,
        "search": pattern.search,
        "sub": lambda text: pattern.sub(replacement, text),
        "subn": lambda text: pattern.subn(replacement, text),
        "split": pattern.split,
        "findall": pattern.findall,
        "finditer": lambda text: list(pattern.finditer(text)),
    }
    return [way for method, way in ways.items() if method in expression.methods]


def slow_attacks(expression: Expression) -> list[tuple[Any, Any, Any]]:
    slow: list[tuple[Any, Any, Any]] = []
    done: set[tuple[Any, Any, Any]] = set()
    ways = applications(expression)

    def test(text: Any) -> None:
        for parts in attacks(text):
            if not slow and parts not in done:
                done.add(parts)
                if not all(is_linear(way, *parts) or is_linear(way, *parts) or is_linear(way, *parts) for way in ways):
                    slow.append(parts)

    @settings(
        max_examples=TEXTS, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.from_regex(expression.pattern) | st.from_regex(expression.pattern, fullmatch=True))
    def attack(text: Any) -> None:
        test(text)

    samples: list[Any] = list(SAMPLES)
    if isinstance(expression.pattern.pattern, bytes):
        samples = [text.encode() for text in SAMPLES]
    for text in samples:
        test(text)
    attack()
    return slow


@pytest.mark.parametrize("module", MODULES)
def test_its_expressions_take_linear_time(module: str) -> None:
    found = [each for each in expressions() if each.place.partition(":")[0] == module]
    assert {each.place: slow_attacks(each) for each in found} == {each.place: [] for each in found}


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"[a-z][a-z0-9+.-]*:(//(?:[^/\\?#]*@)?[^/\\?#@:](?![^/\\?#]*@))?", "match"),
        (r"(://[^/@\s:]*:)\S*@|([?&](?:ssl)?password=)[^&\s\"]*", "sub"),
        (r"(a+)+b", "match"),
        (rb"<.*>", "search"),
    ],
)
def test_what_is_known_to_be_slow_is_found(pattern: Any, method: str) -> None:
    assert slow_attacks(Expression("", re.compile(pattern), frozenset({method}))) != []


# --- plain code in the place of an expression ------------------------------------------------------------------------

PIECES = [
    "a", "a@", "://", "://a:", "://a:a", "http://a:a@", "/", "//", "/..", "/a/..", "%2e%2e/", "\\", "%25", "%", "+",
    ":", ";", ",", "=", "&", "a=", "a=b;", "a&", "?", "#", " ", "\t", "\r\n", '"', "'", "@", ".", "-", "[", "]", "é",
    "?password=", "&sslpassword=", "charset", ";charset=", "\ud800",
]  # fmt: skip
ENDS = ["", "@", "/", "\0", ":a@"]


def quietly(function: Callable[[str], object]) -> Callable[[str], object]:
    def call(text: str) -> None:
        with contextlib.suppress(ValueError, HTTPError):
            function(text)

    return call


PLAIN: dict[str, Callable[[str], object]] = {
    "a redirect": Response.redirect,
    "a redirect to a URL": lambda text: Response.redirect("https://" + text),
    "a mask": masked_url,
    "a message": masked_passwords,
    "a whole target": lambda text: split_absolute("http://" + text),
    "a host": is_host,
    "a URL": lambda text: URL(text, "https://example.com/a/b"),
    "a URL's host": lambda text: URL("https://" + text),
    "a path": lambda text: normalize("/" + text),
    "a query": query_pairs,
    "a Content-Type": lambda text: (
        is_preflighted(text),
        is_preflighted("a/b;" + text),
        codec_of("a/b; charset" + text),
    ),
    "cookies": lambda text: Cookies(text).get("x"),
    "a cookie": lambda text: Cookies("a=" + text).get("a"),
    "languages": lambda text: preferred_locale(text, ("en", "de")),
    "an address": lambda text: client_address(text, 1),
    "a .env file": lambda text: parse("A=" + text, "x"),
}


@pytest.mark.parametrize("function", PLAIN)
def test_plain_code_takes_linear_time(function: str) -> None:
    call = quietly(PLAIN[function])
    slow = [(piece, end) for piece in PIECES for end in ENDS if not is_linear(call, "", piece, end)]
    assert slow == []
