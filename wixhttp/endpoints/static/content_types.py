"""The media type of a file by its extension, the same on every machine."""

from __future__ import annotations

from functools import cache
from posixpath import splitext

# Types that operating systems and versions of Python disagree about, or do not know.
_TYPES = {
    ".atom": "application/atom+xml", ".avif": "image/avif", ".br": "application/x-brotli", ".css": "text/css",
    ".csv": "text/csv", ".geojson": "application/geo+json", ".gif": "image/gif", ".gz": "application/gzip",
    ".htm": "text/html", ".html": "text/html", ".ico": "image/x-icon", ".ics": "text/calendar", ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg", ".js": "text/javascript", ".json": "application/json", ".jsonld": "application/ld+json",
    ".map": "application/json", ".md": "text/markdown", ".mjs": "text/javascript", ".mp3": "audio/mpeg",
    ".mp4": "video/mp4", ".otf": "font/otf", ".pdf": "application/pdf", ".png": "image/png",
    ".rss": "application/rss+xml", ".svg": "image/svg+xml", ".tsv": "text/tab-separated-values", ".ttf": "font/ttf",
    ".txt": "text/plain", ".vcf": "text/vcard", ".wasm": "application/wasm", ".weba": "audio/webm",
    ".webm": "video/webm", ".webmanifest": "application/manifest+json", ".webp": "image/webp", ".woff": "font/woff",
    ".woff2": "font/woff2", ".xml": "application/xml", ".yaml": "application/yaml", ".yml": "application/yaml",
    ".zip": "application/zip",
}  # fmt: skip


@cache
def _known_types() -> dict[str, str]:
    from mimetypes import MimeTypes

    return {**MimeTypes().types_map[True], **_TYPES}


def content_type(path: str) -> str:
    """The media type by the extension of a path.

    >>> content_type("/notes.TXT"), content_type("/a.json"), content_type("/api/users")
    ('text/plain; charset=utf-8', 'application/json', 'application/octet-stream')
    """
    kind = _known_types().get(splitext(path.removesuffix("/"))[1].lower(), "application/octet-stream")
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
