"""The body of a request as a form: fields and files, in the order in which they were sent.

Urlencoded forms are read by the rules of the URL standard, multipart ones (RFC 7578) as browsers write them (HTML,
4.10.21.8), piece by piece: long files go to disk. In a name ``%22``, ``%0D`` and ``%0A`` are a quote and the two
characters of a line end, a backslash is itself, and bytes that are not UTF-8 become U+FFFD, as Fetch has it. What other
clients send is read, too: ``\\"``, names without quotes, ``filename*``, ``_charset_``.
"""

from __future__ import annotations

import io
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast
from urllib.parse import unquote_to_bytes

from wixhttp.errors import HTTPError, InvalidForm
from wixhttp.http.charsets import codec_of, decode_text
from wixhttp.promises import Promise, Reading

from .shared_file import Bytes, SharedFile, Window

if TYPE_CHECKING:
    from multipart import MultipartSegment

MOST_PARTS = 1000
"""Fields and files of one form."""

MOST_TEXT = 1_048_576
"""Bytes of all names and texts of one form; files are bounded by the size of the body alone."""

SPOOL_SIZE = 1_048_576  # bytes of all files of a form that are kept in memory before they are put on disk
PIECE = 65_536  # bytes that are read at once
_MOST_HEADERS = 8  # of one part: browsers send two
_HEADER_SIZE = 8_192  # bytes of one of them

_Value = TypeVar("_Value")

_BOUNDARY = re.compile("[ -~]{0,199}[!-~]")  # wider than RFC 2046: what clients send
_EXTENDED_NAME = re.compile(
    r""";[ \t]*filename\*[ \t]*=[ \t]*([\w.-]+)'[^';"]*'([^ \t;"]*)[ \t]*$""", re.ASCII | re.IGNORECASE
)
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

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """For pydantic: the field of a type that takes a file of a form."""
        from pydantic_core.core_schema import is_instance_schema

        return is_instance_schema(_BaseFormFile, cls_repr="a file")

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

    def bytes(self) -> Promise[Bytes]:
        """See ``FormFile.bytes``."""
        return Reading("file.bytes()", lambda: _in_thread(self._window().read))

    arrayBuffer = bytes

    def text(self) -> Promise[str]:
        """See ``FormFile.text``."""
        return Reading("file.text()", lambda: _in_thread(self._text))

    async def stream(self) -> AsyncIterator[Bytes]:
        """See ``FormFile.stream``: ``async for piece in file.stream()``."""
        import asyncio

        window = self._window()
        while piece := await asyncio.to_thread(window.read, PIECE):
            yield piece


async def _in_thread(read: Callable[[], _Value]) -> _Value:
    import asyncio

    return await asyncio.to_thread(read)


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


def read_form(
    source: bytes | Window | BinaryIO, content_type: str | None, file_kind: type[FormFile | AsyncFormFile], model: Any
) -> Any:
    """The form of `parse_form`; with a ``model`` its value as that type. Raises as it, and ValidationError."""
    form = parse_form(source, content_type, file_kind)
    if model is None:
        return form
    from .validation import validated_pairs

    return validated_pairs(form, model)


def _urlencoded(data: bytes, content_type: str | None) -> Iterator[tuple[str, str]]:
    """The pairs of ``url.query_pairs``, in the charset of the content type."""
    if len(data) > MOST_TEXT:
        raise InvalidForm(f"The form has more than {MOST_TEXT} bytes of text.", status=413)
    parts = [part for part in data.split(b"&") if part]
    if len(parts) > MOST_PARTS:
        raise InvalidForm(f"The form has more than {MOST_PARTS} fields.", status=413)
    codec = codec_of(content_type)
    for part in parts:
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        yield unquote_to_bytes(name).decode(codec, "replace"), unquote_to_bytes(value).decode(codec, "replace")


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
        self.codec = "utf-8"
        self._files: SharedFile | None = None
        self._files_size = 0

    def read(self, stream: Any) -> FormData:
        from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

        # Latin-1 keeps the bytes of each header: `_decode` reads them.
        parser = PushMultipartParser(
            self.boundary, max_header_size=_HEADER_SIZE, max_header_count=_MOST_HEADERS, header_charset="latin-1"
        )
        try:
            while piece := stream.read(PIECE):
                for event in parser.parse(piece):
                    if event is None:
                        self._end()
                    elif isinstance(event, MultipartSegment):
                        self._begin(event)
                    else:
                        self._take(event)
                time.sleep(0)  # under gevent others wait for this greenlet
        except ParserLimitReached:
            detail = (
                f"A part of the form has more than {_MOST_HEADERS} headers, or more than {_HEADER_SIZE} bytes in one."
            )
            raise InvalidForm(detail, status=413) from None
        except MultipartError as error:
            raise InvalidForm(f"The form is malformed (RFC 7578): {error}.") from error
        try:
            parser.close()
        except MultipartError:
            raise InvalidForm("The form is cut: its last boundary is missing.") from None
        return FormData(self.pairs)

    def _begin(self, part: MultipartSegment) -> None:
        from multipart import parse_content_disposition

        if len(self.pairs) >= MOST_PARTS:
            raise InvalidForm(f"The form has more than {MOST_PARTS} fields and files.", status=413)
        disposition = part["Content-Disposition"]
        if not part.name and parse_content_disposition(disposition)[1] is None:
            raise InvalidForm("A part of the form has no name.")
        self.name = self._decode(part.name or "")
        self.file_name = _extended_name(disposition)
        if self.file_name is None and part.filename is not None:
            self.file_name = self._decode(part.filename)
        self.type = self._decode(part.header("Content-Type") or "")
        self.chunks: list[bytes] = []
        self.start = self._files_size
        self._count(sum(len(text.encode("utf-8", "replace")) for text in (self.name, self.type, self.file_name or "")))

    def _decode(self, header: str) -> str:
        return header.encode("latin-1").decode(self.codec, "replace")

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
            value = b"".join(self.chunks).decode(codec_of(self.type, self.codec), "replace")
            if self.name == "_charset_":  # RFC 7578, 4.6: the encoding of what follows
                self.codec = codec_of(f"text/plain; charset={value}")
        else:
            self._spool()
            size = self._files_size - self.start
            kind = self.type or "application/octet-stream"
            value = self.file_kind(
                _last_component(self.file_name), kind, size, cast(SharedFile, self._files), self.start
            )
        self.pairs.append((self.name, value))


def _extended_name(disposition: str) -> str | None:
    """The name of a file in a ``filename*`` at the end of a header (RFC 8187): browsers send none, .NET and older
    versions of Python's requests do."""
    match = _EXTENDED_NAME.search(disposition) if "*" in disposition else None
    return None if match is None else unquote_to_bytes(match[2]).decode(codec_of(f";charset={match[1]}"), "replace")


def _last_component(name: str) -> str:
    """The name of a file without folders and control characters; ``""`` where nothing is left of it."""
    last = name.translate(_CONTROLS).replace("\\", "/").rpartition("/")[2].strip(" ")
    return "" if last in (".", "..") else last
