"""The build of the static endpoints, each path a file in the build folder, with a copy of the public files beside them:
``wixhttp build``.

What is in the build folder is the whole of one build, at any moment: files are written beside it, and the two folders
are exchanged at the end. They are not forced to the disk: after a power failure, build again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from wixhttp.concurrency.event_loop import background
from wixhttp.context import current_collections, using
from wixhttp.data.collections import open_collections
from wixhttp.dispatch.app import App
from wixhttp.dispatch.blocking import answer
from wixhttp.dispatch.blocking_stream import BlockingStream
from wixhttp.dispatch.site import load_site
from wixhttp.dispatch.stream_chunks import StreamBroken
from wixhttp.endpoints.endpoint_table import Endpoints, Route
from wixhttp.endpoints.routing.paths import encode
from wixhttp.endpoints.static.manifest import Built, Manifest
from wixhttp.endpoints.static.public_files import FOLDER, PublicFile
from wixhttp.errors import BuildError, WrongAnswer
from wixhttp.http.encoding import Encoded
from wixhttp.http.request_head import PlainHead
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.masking import escaped
from wixhttp.logs.setup import configure
from wixhttp.project.config import Config
from wixhttp.secrets import SecretStore, override

from .build_folder import check_place, swap, workspace

logger = logging.getLogger("wixhttp")

Progress = Callable[[int], AbstractContextManager[Callable[[int], Any]]]
"""From the number of all paths to a context manager; its value is called with how many more are done (`progress`)."""

_MOST_BYTES = 255  # of one name, in the file systems of Linux, macOS and Windows
# Said anew for each answer, or only of one connection (RFC 9110, 7.6.1).
_NOT_KEPT = frozenset((
    "connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "x-request-id",
))  # fmt: skip


class Target(NamedTuple):
    """A path to build: ``file`` is relative to the build folder, ``where`` is how messages name it."""

    route: Route
    params: dict[str, str | None]
    path: str
    file: str

    @property
    def where(self) -> str:
        """The file and the entry."""
        entry = f", params {self.params!r}" if self.params else ""
        return f"{self.route.file_name}: the path {self.path!r}{entry}"


class Copy(NamedTuple):
    """A public file to copy: ``paths`` are those at which it is sent, ``file`` is relative to the build folder."""

    public: PublicFile
    paths: list[str]
    file: str

    @property
    def where(self) -> str:
        """The file, as messages name it."""
        return f"{FOLDER}/{self.public.file}"


@contextlib.contextmanager
def _unseen(_: int) -> Iterator[Callable[[int], Any]]:
    yield lambda done: None


def build_site(config: Config, progress: Progress = _unseen) -> list[Built]:
    """Build every static endpoint of a project into ``build_dir``, and copy its public files there; what was built, in
    the order of the routes, then the copies.

    Requests go through the whole dispatcher, so middleware runs, too. Settings that are a server's (time-outs, hosts,
    proxies, CORS) are ignored. Where there is nothing to build the folder is emptied if there is an earlier build, and
    not made if there is none. What goes wrong, or a Ctrl-C, leaves the build folder as it was.

    Raises:
        BuildError: an endpoint or its ``getStaticPaths`` is wrong or failed; another build of the folder is running.
        ConfigError: ``build_dir`` is a folder that holds something else.
        ProjectError: the project cannot be loaded.
    """
    check_place(config)
    configure("text", config.log_level, LineWriter(2))
    place = config.build_dir.resolve()
    secrets = SecretStore.from_config(config)
    with workspace(place) as work, override(secrets), using(current_collections, open_collections(config)):
        new = work / "new"
        new.mkdir()
        try:
            built = _build(config, new, progress)
        except KeyboardInterrupt:
            background.grace = 0  # what an `async def` waits for is not waited for
            raise
        if built or (place / Manifest.NAME).exists():
            Manifest.write(new, built)
            swap(new, place, work / "old")
    return built


def _build(config: Config, folder: Path, progress: Progress) -> list[Built]:
    config = replace(
        config, mode="production", build_dir=folder, timeout=0.0, access_log=False, allowed_hosts=(), trusted_proxies=0,
        cors=None,
    )  # fmt: skip
    app = App(load_site(config))
    endpoints = app.site.endpoints
    if endpoints is None:
        return []
    endpoints.static = None
    _without_cors(endpoints)
    for route in endpoints.routes:
        if route.static_paths is not None:
            route.static_paths.keeps = True
    found = list(targets(endpoints))
    copies = list(_copies(endpoints))
    _check_files([*found, *copies])
    scheme, _, host = (config.public_url or "http://localhost").partition("://")
    built = []
    with progress(len(found) + len(copies)) as advance:
        for target in found:
            head = PlainHead("GET", encode(endpoints.prefix + target.path), scheme=scheme, host=host)
            _find(endpoints, head, target)
            built.append(_write(app, head, target, folder))
            advance(1)
        for copy in copies:
            built += _copied(endpoints, copy, folder)
            advance(1)
    return built


def _without_cors(endpoints: Endpoints) -> None:
    """Take ``@cors`` off the handlers: its headers depend on the request's origin, so a file cannot have them."""
    for route in endpoints.routes:
        for handler in route.methods.values():
            handler.policy = replace(handler.policy, cors=None)


def format_built(built: Sequence[Built], folder: Path, as_json: bool) -> str:
    """The files that were built as lines, or as a JSON array of objects with path, file, status and size in bytes."""
    if as_json:
        names = ("path", "file", "status", "size")
        return json.dumps(
            [{name: getattr(each, name) for name in names} for each in built], indent=2, ensure_ascii=False
        )
    if not built:
        return f"there are no static endpoints (prerender = True) and no files in {FOLDER}/, and nothing was built"
    routes = [each for each in built if not each.is_public]
    copies = {each.file: each for each in built if each.is_public}
    width = max((len(each.path) for each in routes), default=0)
    lines = [f"{escaped(each.path):{width}}  {each.size} bytes" for each in routes]
    if copies:
        lines.append(f"copied {_counted(copies.values())} of {FOLDER}/")
    if routes:
        lines.append(f"built {_counted(routes)} in {folder}")
    return "\n".join(lines)


def _counted(built: Collection[Built]) -> str:
    return f"{len(built)} file{'s' * (len(built) != 1)}, {sum(each.size for each in built)} bytes"


# --- what there is to build ------------------------------------------------------------------------------------------


def targets(endpoints: Endpoints) -> Iterator[Target]:
    """Every path of the static routes, in their order.

    Raises:
        BuildError: a path has no file of its own, or ``getStaticPaths`` is wrong.
    """
    for route in endpoints.routes:
        if not route.is_static:
            continue
        if route.file.name == "index.py":
            raise BuildError(
                f"{route.file_name} is static, and there is nothing to write {route.pattern.text!r} to, since the "
                "folder has that name; name it with an extension, as in data.json.py, or remove prerender"
            )
        if route.static_paths is None:
            try:
                path = route.pattern.build({})
            except ValueError as error:
                raise BuildError(f"{route.file_name}: {error}") from None
            yield _target(route, {}, path)
        else:
            for entry in route.static_paths.entries(endpoints.bridge.wait):
                yield _target(route, entry.params, entry.path)


def _target(route: Route, params: dict[str, str | None], path: str) -> Target:
    """The target of a path.

    Raises:
        BuildError: no file can have its name.
    """
    target = Target(route, params, path, path[1:])
    last = route.pattern.segments[-1]
    if len(last) == 1 and last[0].rest and params[last[0].name] is None:
        raise BuildError(
            f"{target.where}: there is nothing to write an empty [...{last[0].name}] to, since the folder has that "
            f"name; give it a value, or the file an extension, as in [...{last[0].name}].json.py"
        )
    if target.file == Manifest.NAME:
        raise BuildError(
            f"{target.where}: in the build folder {Manifest.NAME} is the list of what was built; give the route "
            "another name, such as manifest.webmanifest, or remove prerender"
        )
    for name in target.file.split("/"):
        if len(name.encode()) > _MOST_BYTES:
            raise BuildError(f"{target.where}: the name of a file has at most {_MOST_BYTES} bytes, unlike {name!r}")
        if (
            name in ("", ".", "..")
            or "\\" in name
            or any(ord(character) < 32 or character == "\x7f" for character in name)
        ):
            raise BuildError(
                f"{target.where}: a path outside of the build folder, or none of a file, because of {name!r}"
            )
    return target


def _copies(endpoints: Endpoints) -> Iterator[Copy]:
    """The public files that are sent, but for those whose path an endpoint has that is not static."""
    public = endpoints.public
    if public is None:
        return
    for problem in (*public.problems, *endpoints.unsent_files()):
        logger.warning("%s", problem)
    by_file: dict[str, list[PublicFile]] = {}
    for each in public.files():
        route = endpoints.answers_first(each)
        if route is None or route.is_static:  # that two have one path is an error then
            by_file.setdefault(each.file, []).append(each)
    taken = {each.path[1:] for each in public.files()}
    for files in by_file.values():
        name = max((each.path for each in files), key=len)[1:]  # not the path of its folder
        if name == Manifest.NAME:  # a web app's: in the build folder that is the list of what was built
            while name in taken:
                name = "_" + name
        yield Copy(files[0], [each.path for each in files], name)


def _copied(endpoints: Endpoints, copy: Copy, folder: Path) -> Iterator[Built]:
    """Copy a public file, with its time.

    Raises:
        BuildError: it cannot be read or written.
    """
    public = endpoints.public
    assert public is not None  # noqa: S101  # the file is of it
    try:
        with public.open(copy.public) as source, _created(folder, copy) as file:
            shutil.copyfileobj(source, file)
        os.utime(folder / copy.file, ns=(copy.public.mtime_ns, copy.public.mtime_ns))
    except OSError as error:
        raise BuildError(f"{copy.where}: it cannot be copied: {error.strerror or error}") from None
    for path in copy.paths:
        yield Built.of(folder, path, copy.file, is_public=True)


def _check_files(found: Iterable[Target | Copy]) -> None:
    """Raises BuildError: two paths have one file, or the file of one is the folder of another."""
    by_file: dict[str, Target | Copy] = {}
    for target in found:
        first = by_file.setdefault(target.file, target)
        if first is not target:
            raise BuildError(f"{target.where}, and {first.where}: a path is built once; remove one of them")
    for target in by_file.values():
        folder = target.file
        while folder := folder.rpartition("/")[0]:
            if folder in by_file:
                raise BuildError(
                    f"{by_file[folder].where}: there is nothing to write it to, since {target.where} needs a folder of "
                    "that name; give one of them another name or an extension"
                )


def _find(endpoints: Endpoints, head: PlainHead, target: Target) -> None:
    """See to it that a request arrives at its target, with the slash at its end that ``trailing_slash`` asks for.

    Raises:
        BuildError: another route of the table wins the path.
    """
    match = endpoints.find(head)
    if match.moved is not None:
        head.path = match.moved
        match = endpoints.find(head)
    if match.route is not target.route:
        winner = "no route" if match.route is None else match.route.file_name
        raise BuildError(f"{target.where}: {winner} answers there; leave it out, or rename one of the two files")


# --- one path --------------------------------------------------------------------------------------------------------


def _write(app: App, head: PlainHead, target: Target, folder: Path) -> Built:
    """Send the request, and write its answer.

    Raises:
        BuildError: it failed, or cannot be kept. What the handler raised is the cause.
    """
    try:
        encoded = answer(app, head, lambda call: b"", reraise=True)
    except WrongAnswer as error:
        raise BuildError(f"{target.where}: {error}") from None
    except (Exception, SystemExit) as error:
        raise BuildError(f"{target.where}: {type(error).__name__}: {error}") from error
    stream = encoded.stream if isinstance(encoded.stream, BlockingStream) else None  # `answer` gives no other
    try:
        headers = _headers(head, encoded, target)
        try:
            with _created(folder, target) as file:
                for piece in (encoded.data,) if stream is None else stream:
                    file.write(piece)
            return Built.of(folder, target.path, target.file, encoded.status, headers)
        except StreamBroken as error:
            raise BuildError(f"{target.where}: {error}, as the log says") from None
        except ValueError as error:
            raise BuildError(f"{target.where}: {error}") from None
        except OSError as error:
            raise BuildError(f"{target.where}: its file cannot be written: {error.strerror or error}") from None
    finally:
        if stream is not None:
            stream.close()


def _created(folder: Path, target: Target | Copy) -> BinaryIO:
    """The new file of a target. Raises BuildError where there is one already."""
    path = folder / target.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")
    except FileExistsError:
        raise BuildError(
            f"{target.where}: this file system takes its name for that of a file that was built before; rename one"
        ) from None


def _headers(head: PlainHead, encoded: Encoded, target: Target) -> list[tuple[str, str]]:
    """The headers of an answer that are its own.

    Raises:
        BuildError: the answer is not the endpoint's, is a failure, or is for one visitor.
    """
    handler = target.route.methods.resolve("GET")
    if handler is None or head.function != handler.exported_name:
        raise BuildError(f"{target.where}: {head.function or 'the runtime itself'} answers there; rename the file")
    if encoded.status >= 500:
        raise BuildError(f"{target.where} answered {encoded.status_line}; the log says why")
    if encoded.status >= 400:
        logger.warning("%s answered %s, and that is what was built", target.where, encoded.status_line)
    if any(name.lower() == "set-cookie" for name, _ in encoded.fields):
        raise BuildError(
            f"{target.where} sets a cookie, which would be the same for every visitor; set it in an endpoint without "
            "prerender"
        )
    return [(name, value) for name, value in encoded.fields if name.lower() not in _NOT_KEPT]
