"""From HTTP functions to endpoints: the files of ``wixhttp migrate``, one for each name, bound to the old functions."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from wixhttp.dispatch.site import Site
from wixhttp.endpoints.loader import FAILED, METHODS, route_files, shown
from wixhttp.endpoints.routing.paths import route_prefix
from wixhttp.endpoints.routing.patterns import Pattern, route_of
from wixhttp.project.config import Config
from wixhttp.project.function_table import EVERY_METHOD, Function, Methods, bindings
from wixhttp.project.loader import functions_file

_FILE = "[...path].py"  # an HTTP function answers whatever is below its name
_FOLDER = re.compile(r"[A-Za-z0-9~-][A-Za-z0-9._~-]*")
_WIDTH = 88  # columns, beyond which lines are broken so that formatters of any greater width keep them as they are


@dataclass(frozen=True)
class EndpointFile:
    """A file to be written: its ``text``; the ``name`` that it answers for, and where, before and after."""

    file: Path
    text: str
    name: str
    old_url: str
    new_url: str


@dataclass
class Migration:
    """The plan of a migration.

    ``files`` are to be written, ``kept`` are there already; ``left`` are names that get no file, each with the reason;
    ``warnings`` say what changes for pages that are there.
    """

    files: list[EndpointFile] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def plan_migration(site: Site, folder: str = "api") -> Migration:
    """Plan the endpoints for the functions of ``site`` in a folder of its pages, ``"."`` for the pages themselves.
    Writes nothing.

    Raises:
        ValueError: ``folder`` is none that can be part of a URL.
        ProjectError: the project has no HTTP functions, or a file of its pages is no route.
    """
    config = site.config
    parts = _parts_of(folder)
    functions_file(config.root)
    existing = list(route_files(config))
    migration = Migration()
    for name in site.functions.names:
        methods = site.functions.find(name) or Methods()
        if (reason := _unwritable(name, methods)) is not None:
            migration.left.append((name, reason))
            continue
        made = _endpoint(config, [*parts, name], methods)
        if made.file.exists() or made.file.is_symlink():
            migration.kept.append(made.file)
            migration.warnings.extend(_lacking(made, config))
            continue
        winner, losers = _meeting(made, existing, config)
        if winner is None:
            migration.files.append(made)
            migration.warnings.extend(losers)
        else:
            migration.left.append((name, winner))
    migration.warnings.extend(_alike(migration.files))
    return migration


def write_endpoints(migration: Migration) -> Iterator[tuple[Path, bool]]:
    """Write the files of a migration; yields each path, those that are kept too, and whether it was written.

    Raises:
        OSError: a file cannot be written.
    """
    for path in migration.kept:
        yield path, False
    for made in migration.files:
        made.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with made.file.open("x", encoding="utf-8", newline="\n") as file:
                file.write(made.text)
        except FileExistsError:
            yield made.file, False
        else:
            yield made.file, True


def next_steps(migration: Migration, config: Config) -> list[str]:
    """The lines to print after the files are written: the functions' URLs now, and the differences there."""
    if not migration.files:
        return [] if migration.kept or migration.left else ["There is no HTTP function to migrate."]
    width = max(len(made.old_url) for made in migration.files)
    return [
        "",
        "The functions answer at both URLs:",
        *[f"  {made.old_url.ljust(width)}  {made.new_url}" for made in migration.files],
        *[f"Note: {difference}" for difference in _differences(config)],
        "",
        "Next: wixhttp check",
    ]


def _differences(config: Config) -> Iterator[str]:
    """The differences between the endpoints of a project and its HTTP functions."""
    yield "a path that cannot be decoded (%zz, %FF) is answered 400 at the new URLs; to functions it is text"
    yield "dot segments and backslashes are resolved before the new URLs are matched; to functions they are text"
    if config.pages_prefix:
        yield f"pages_prefix = {config.pages_prefix!r} stands in front of the new URLs"
    if config.trailing_slash != "ignore":
        yield f"trailing_slash = {config.trailing_slash!r} redirects requests for the other spelling of the new URLs"
    if config.test_site is not None:
        yield "test_site: the new URLs are answered by the published site, with ?rc=test-site too"
    middleware = config.pages.parent / "middleware.py"
    if middleware.is_file():
        yield f"{shown(middleware, config)} runs in front of the new URLs"
    failed = config.pages / FAILED
    if failed.is_file():
        yield f"{shown(failed, config)} answers where a function fails at its new URL"


def _lacking(made: EndpointFile, config: Config) -> Iterator[str]:
    """The handlers that a file which is kept does not have."""
    try:
        bound, _ = bindings(ast.parse(made.file.read_bytes()))
    except (OSError, SyntaxError, ValueError):  # whatever it is, it is kept
        return
    for node in ast.parse(made.text).body:
        if isinstance(node, ast.Assign) and (method := ast.unparse(node.targets[0])) not in bound:
            yield f"{shown(made.file, config)} is kept, and has no {method}; add {ast.unparse(node)}"


def _parts_of(folder: str) -> list[str]:
    parts = [] if folder in (".", "") else folder.removesuffix("/").split("/")
    for part in parts:
        if not _FOLDER.fullmatch(part):
            raise ValueError(
                f"the folder is a path below the pages, of letters, digits, '-', '.', '~' and '_', each name beginning "
                f"with none of '.' and '_', not {folder!r}; write api, or . for the pages themselves"
            )
    return parts


def _unwritable(name: str, methods: Methods[Function]) -> str | None:
    """The reason why no file can answer for a name; ``None`` where one can."""
    if name.startswith("_"):
        return "a file or folder of pages that begins with '_' is no route; name the function otherwise"
    for function in methods.values():
        exported = function.exported_name
        if not exported.isidentifier() or unicodedata.normalize("NFKC", exported) != exported:
            return f"no import can name {exported!r}; name the function otherwise"
    return None


# --- the text of a file ----------------------------------------------------------------------------------------------


def _endpoint(config: Config, segments: list[str], methods: Methods[Function]) -> EndpointFile:
    prefix = route_prefix(config.base_path + config.pages_prefix)
    url = "/".join([prefix, *segments])
    file = config.pages.joinpath(*segments, _FILE)
    old_url = f"{config.base_path}/_functions/{segments[-1]}"
    return EndpointFile(file, _text("/" + "/".join(segments), methods), segments[-1], old_url, url)


def _text(path: str, methods: Methods[Function]) -> str:
    """The text of the file, as ruff formats it and sorts its imports, in lines of 88 columns or more."""
    names = sorted({function.exported_name for function in methods.values()})
    handlers = {method: methods[method].exported_name for method in METHODS if method in methods}
    if EVERY_METHOD in methods:
        handlers["ALL"] = methods[EVERY_METHOD].exported_name
    else:
        handlers.pop("HEAD", None)  # an endpoint's is GET's then; in front of ALL it has to be said
    return "\n".join(
        [
            f'"""{path}: the HTTP functions of that name, answered as an endpoint."""',
            "",
            "from wixhttp.endpoints import adapt",
            "",
            *_broken("from backend.http_functions import ", names),
            "",
            *[line for method, name in handlers.items() for line in _broken(f"{method} = adapt", [name], call=True)],
            "",
        ]
    )


def _broken(start: str, names: list[str], *, call: bool = False) -> list[str]:
    """``start`` and the names in one line, or each in its own, with a comma that makes formatters keep them so."""
    listed = ", ".join(names)
    line = f"{start}({listed})" if call else start + listed
    return [line] if len(line) <= _WIDTH else [f"{start}(", *[f"    {name}," for name in names], ")"]


# --- the pages that are there ----------------------------------------------------------------------------------------


def _alike(files: list[EndpointFile]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for made in files:
        other = seen.setdefault(made.name.casefold(), made.name)
        if other != made.name:
            yield f"{other} and {made.name} have one folder where the file system does not tell case; rename one"


def _meeting(made: EndpointFile, existing: list[tuple[Pattern, Path]], config: Config) -> tuple[str | None, list[str]]:
    """The reason against a file where an existing one wins some of its paths, and a warning for each that it beats."""
    name = shown(made.file, config)
    pattern = route_of(PurePosixPath(made.file.relative_to(config.pages).as_posix()), name)
    assert pattern is not None  # noqa: S101  # neither the folder nor the name begins with _ or .
    beaten = []
    for other, file in existing:
        if not _meets(other, [segment[0].text for segment in pattern.segments[:-1]]):
            continue
        place = shown(file, config)
        if other.key < pattern.key or other.shape == pattern.shape:
            return f"{place} answers {other.text}, which is one of its paths; move that, or choose a folder: --to", []
        beaten.append(f"{name} takes from {place} ({other.text}) what that answered at {made.new_url} and below")
    return None, beaten


def _meets(pattern: Pattern, segments: list[str]) -> bool:
    """Return whether a pattern may match a path that begins with these segments, all of them static."""
    for number, text in enumerate(segments):
        if number == len(pattern.segments):
            return False
        segment = pattern.segments[number]
        if any(part.rest for part in segment):
            return text.startswith(segment[0].text)
        if Pattern([segment]).match("/" + text) is None:
            return False
    return True
