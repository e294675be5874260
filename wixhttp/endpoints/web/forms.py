"""The body of a request as a form: fields and files, in the order in which they were sent.

Urlencoded forms are read by the rules of the URL standard, multipart ones (RFC 7578) by werkzeug's decoder, piece by
piece: long files go to disk.
"""

from __future__ import annotations

import io
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes

from wixhttp.errors import HTTPError, InvalidForm
from wixhttp.http.request import decode_text

from .shared_file import Bytes, SharedFile, Window

if TYPE_CHECKING:
    from werkzeug.sansio.multipart import Event, Field, File

MOST_PARTS = 1000
"""Fields and files of one form."""

MOST_TEXT = 1_048_576
"""Bytes of all names and texts of one form; files are bounded by the size of the body alone."""

SPOOL_SIZE = 1_048_576  # bytes of all files of a form that are kept in memory before they are put on disk
PIECE = 65_536  # bytes that are read at once
_HEADERS_SIZE = 65_536  # bytes of one part's headers, beside the piece that is being read

_BOUNDARY = re.compile("[ -~]{0,199}[!-~]")  # wider than RFC 2046: what clients send
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)))


class _BaseFormFile:
    """The members that both kinds of file have: all but the readers."""

    __slots__ = ("_file", "_start", "name", "size", "type")

    def __init__(self, name: str, type: str, size: int, file: SharedFile, start: int) -> None:
        self.name = name
        self.type = type
        self.size = size
        self._file = file
        self._start = start

    def _window(self) -> Window:
        return Window(self._file, self._start, self.size)

    def _text(self) -> str:
        return decode_text(self._window().read(), self.type)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.type} {self.size} bytes>"


class FormFile(_BaseFormFile):
    """A file of a form: ``name`` without folders (``""`` for none; the client chose it, so it is no safe path),
    ``type`` as sent or ``application/octet-stream``, ``size`` in bytes. It can be read any number of times."""

    __slots__ = ()

    def bytes(self) -> Bytes:
        """The whole file."""
        return self._window().read()

    arrayBuffer = bytes

    def text(self) -> str:
        """The whole file, decoded by the ``charset`` of its type, else as UTF-8."""
        return self._text()

    def stream(self) -> Iterator[Bytes]:
        """The file in pieces of 64 KB."""
        window = self._window()
        while piece := window.read(PIECE):
            yield piece


class AsyncFormFile(_BaseFormFile):
    """A file of a form in an ``async def``: that of `FormFile`, its readers awaited."""

    __slots__ = ()

    async def bytes(self) -> Bytes:
        """See ``FormFile.bytes``."""
        import asyncio

        return await asyncio.to_thread(self._window().read)

    arrayBuffer = bytes

    async def text(self) -> str:
        """See ``FormFile.text``."""
        import asyncio

        return await asyncio.to_thread(self._text)

    async def stream(self) -> AsyncIterator[Bytes]:
        """See ``FormFile.stream``: ``async for piece in file.stream()``."""
        import asyncio

        window = self._window()
        while piece := await asyncio.to_thread(window.read, PIECE):
            yield piece


class FormData:
    """The fields (str) and files (`FormFile`) of a form, in the order in which they were sent; names may repeat.

    >>> form = FormData([("a", "1"), ("a", "2")])
    >>> form.get("a"), form["x"], form.getAll("a"), "a" in form, list(form)
    ('1', None, ['1', '2'], True, [('a', '1'), ('a', '2')])
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        self._pairs: list[tuple[str, Any]] = list(pairs)

    def get(self, name: str, default: Any = None, /) -> Any:
        """The first value of ``name``, else ``default``."""
        return next((value for key, value in self._pairs if key == name), default)

    def getAll(self, name: str) -> list[Any]:
        """Every value of ``name``, in order."""
        return [value for key, value in self._pairs if key == name]

    def has(self, name: str) -> bool:
        """Return whether there is a ``name``."""
        return any(key == name for key, _ in self._pairs)

    def keys(self) -> Iterator[str]:
        """The names, repeated ones as often as they were sent."""
        return (name for name, _ in self._pairs)

    def values(self) -> Iterator[Any]:
        """The values, in order."""
        return (value for _, value in self._pairs)

    def entries(self) -> Iterator[tuple[str, Any]]:
        """The pairs, in order; so does iteration."""
        return iter(self._pairs)

    __iter__ = entries

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return f"FormData({self._pairs!r})"


def parse_form(
    source: bytes | Window | BinaryIO, content_type: str | None, file_kind: type[FormFile | AsyncFormFile] = FormFile
) -> FormData:
    """The form that ``source`` holds, by its content type.

    Raises:
        InvalidForm: 400, it is of another type, or not whole; 413, it has more than `MOST_PARTS` fields and files, or
            more than `MOST_TEXT` bytes of text.
        HTTPError: 507, the disk is full, or cannot be written.
    """
    from werkzeug.http import parse_options_header

    kind, options = parse_options_header(content_type or "")
    kind = kind.lower()
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    if kind == "application/x-www-form-urlencoded":
        return FormData(_urlencoded(stream.read(MOST_TEXT + 1), content_type))
    if kind == "multipart/form-data":
        return _MultipartReader(_boundary(options.get("boundary")), file_kind).read(stream)
    raise InvalidForm(
        "A form is sent as application/x-www-form-urlencoded or multipart/form-data.",
        reason=f"the content type {content_type!r} is that of no form; send another, or read text() or json()",
    )


def _urlencoded(data: bytes, content_type: str | None) -> Iterator[tuple[str, str]]:
    """The pairs of ``url.query_pairs``, in the charset of the content type."""
    if len(data) > MOST_TEXT:
        raise InvalidForm(f"The form has more than {MOST_TEXT} bytes of text.", status=413)
    parts = [part for part in data.split(b"&") if part]
    if len(parts) > MOST_PARTS:
        raise InvalidForm(f"The form has more than {MOST_PARTS} fields.", status=413)
    for part in parts:
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        yield decode_text(unquote_to_bytes(name), content_type), decode_text(unquote_to_bytes(value), content_type)


def _boundary(given: str | None) -> bytes:
    if given is None:
        raise InvalidForm("The Content-Type of the form has no boundary.")
    if not _BOUNDARY.fullmatch(given):
        raise InvalidForm("The boundary of the form is none (RFC 2046, 5.1.1).", reason=f"it is {given!r}")
    return given.encode("ascii")


class _MultipartReader:
    """Reads the parts of one multipart body."""

    def __init__(self, boundary: bytes, file_kind: type[FormFile | AsyncFormFile]) -> None:
        self.boundary = boundary
        self.file_kind = file_kind
        self.pairs: list[tuple[str, Any]] = []
        self.text_size = 0
        self._files: SharedFile | None = None
        self._files_size = 0

    def read(self, stream: Any) -> FormData:
        from werkzeug.sansio.multipart import Data, Field, File

        for event in self._events(stream):
            if isinstance(event, Field | File):
                if len(self.pairs) >= MOST_PARTS:
                    raise InvalidForm(f"The form has more than {MOST_PARTS} fields and files.", status=413)
                self._begin(event)
            elif isinstance(event, Data):
                self._take(event.data)
                if not event.more_data:
                    self._end()
        return FormData(self.pairs)

    def _events(self, stream: Any) -> Iterator[Event]:
        from werkzeug.exceptions import RequestEntityTooLarge
        from werkzeug.sansio.multipart import MultipartDecoder, NeedData, State

        decoder = MultipartDecoder(self.boundary, PIECE + _HEADERS_SIZE)
        # Cut between its last two dashes, the end boundary would give its CR to the part before it (werkzeug 3.1.9).
        ending = b"--" + self.boundary + b"-"
        while True:
            try:
                event = decoder.next_event()
                if isinstance(event, NeedData) and decoder.state is not State.EPILOGUE:
                    piece = stream.read(PIECE)
                    if not piece:
                        raise InvalidForm("The form is cut: its last boundary is missing.")
                    if (decoder.buffer[-len(ending) :] + piece[-len(ending) :]).endswith(ending):
                        piece += stream.read(1)
                    decoder.receive_data(piece)
                    time.sleep(0)  # under gevent others wait for this greenlet
                    continue
            except RequestEntityTooLarge:
                raise InvalidForm(
                    f"A part of the form has more than {_HEADERS_SIZE} bytes of headers.", status=413
                ) from None
            except InvalidForm:
                raise
            except (ValueError, LookupError) as error:
                raise InvalidForm("A part of the form has malformed headers.", reason=str(error)) from error
            if isinstance(event, NeedData):
                return  # the text behind the last boundary is no part of the form
            yield event

    def _begin(self, event: Field | File) -> None:
        if event.name is None:
            raise InvalidForm("A part of the form has no name.")
        self.name = event.name
        self.type = event.headers.get("content-type") or ""
        self.file_name: str | None = getattr(event, "filename", None)
        self.chunks: list[bytes] = []
        self.start = self._files_size
        self._count(sum(len(text.encode("utf-8", "replace")) for text in (self.name, self.type, self.file_name or "")))

    def _count(self, size: int) -> None:
        self.text_size += size
        if self.text_size > MOST_TEXT:
            raise InvalidForm(f"The form has more than {MOST_TEXT} bytes of text.", status=413)

    def _take(self, data: bytes) -> None:
        if self.file_name is None:
            self._count(len(data))
            self.chunks.append(data)
        else:
            try:
                self._spool().write(data)
            except OSError as error:
                reason = f"the files of a form cannot be put into a file in {tempfile.gettempdir()}: {error}"
                raise HTTPError(507, "The form is too large for this server now.", reason=reason) from error
            self._files_size += len(data)

    def _spool(self) -> BinaryIO:
        """The one file behind all files of the form: a thousand of them are not a thousand open files."""
        if self._files is None:
            spool = tempfile.SpooledTemporaryFile(SPOOL_SIZE)  # noqa: SIM115  # closed with the last reader
            self._files = SharedFile(cast(BinaryIO, spool))
        return self._files.file

    def _end(self) -> None:
        value: Any
        if self.file_name is None:
            value = decode_text(b"".join(self.chunks), self.type)
        else:
            self._spool()
            size = self._files_size - self.start
            kind = self.type or "application/octet-stream"
            value = self.file_kind(
                _last_component(self.file_name), kind, size, cast(SharedFile, self._files), self.start
            )
        self.pairs.append((self.name, value))


def _last_component(name: str) -> str:
    """The name of a file without folders and control characters; ``""`` where nothing is left of it."""
    last = name.translate(_CONTROLS).replace("\\", "/").rpartition("/")[2].strip(" ")
    return "" if last in (".", "..") else last
