"""Kept requests as commands and code that send them again: ``curl``, and Python with requests."""

from __future__ import annotations

import base64
import pprint
import shlex

from .kept_requests import KeptRequest, header, utf8_text
from .masks import Masks

HOP_BY_HOP = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade"}
)  # fmt: skip
"""Header fields that whatever sends a request writes itself."""


def url_of(kept: KeptRequest) -> str:
    """The URL that a kept request was sent to."""
    return kept.target if "://" in kept.target else f"{kept.scheme}://{kept.host or 'localhost'}{kept.target}"


def public_url_of(kept: KeptRequest, public_url: str | None) -> str:
    """The URL that its sender knows a kept request by: below the setting ``public_url``, where there is one."""
    return f"{public_url}{kept.target}" if public_url and "://" not in kept.target else url_of(kept)


def as_curl(kept: KeptRequest, *, with_secrets: bool = False) -> str:
    """The command that sends a request by curl. Credentials are masked, unless ``with_secrets``."""
    target, fields, body = _parts(kept, with_secrets)
    words = ["curl", "--globoff", "--path-as-is"]
    if kept.method == "HEAD":
        words.append("--head")
    elif kept.method != ("POST" if body else "GET"):
        words += ["-X", kept.method]
    words.append(target)
    if body and header(fields, "content-type") is None:
        fields.append(("Content-Type", ""))  # which curl takes away, instead of calling it a form
    else:
        fields = [(name, value) for name, value in fields]
    for name, value in fields:
        if value:
            words += ["-H", f"{name}: {value}"]
        else:
            words += [
                "-H",
                f"{name}:"
                if name == "Content-Type" and not header(kept.request_headers, "content-type")
                else f"{name};",
            ]
    before = ""
    if body:
        text = _text(body)
        if text is not None and not text.startswith("@"):
            words += ["--data-binary", text]
        else:
            before = f"echo {base64.b64encode(body).decode()} | base64 -d | "
            words += ["--data-binary", "@-"]
    return before + shlex.join(words)


def as_requests(kept: KeptRequest, *, with_secrets: bool = False) -> str:
    """The Python code that sends a request by the package requests. Credentials are masked, unless ``with_secrets``."""
    target, fields, body = _parts(kept, with_secrets)
    joined: dict[str, str] = {}
    for name, value in fields:
        joined[name] = f"{joined[name]}{'; ' if name.lower() == 'cookie' else ', '}{value}" if name in joined else value
    lines = ["import requests", "", "answer = requests.request(", f"    {kept.method!r},", f"    {target!r},"]
    if joined:
        lines += ["    headers={", *(f"        {name!r}: {value!r}," for name, value in joined.items()), "    },"]
    if body:
        text = _text(body)
        lines.append(f"    data={text!r}.encode()," if text is not None else f"    data={pprint.pformat(body)},")
    lines += ["    allow_redirects=False,", ")", "print(answer.status_code, answer.text)"]
    return "\n".join(lines) + "\n"


def _parts(kept: KeptRequest, with_secrets: bool) -> tuple[str, list[tuple[str, str]], bytes]:
    fields = [(name, value) for name, value in kept.request_headers if name.lower() not in HOP_BY_HOP]
    if with_secrets:
        return url_of(kept), fields, kept.request_body
    kind = header(fields, "content-type") or ""
    masks = Masks.of(kept)
    return masks.target(url_of(kept)), masks.headers(fields), masks.body(kept.request_body, kind)


def _text(body: bytes) -> str | None:
    """The body as text for a command line or a literal; ``None`` where it is none, or has a NUL."""
    text = utf8_text(body)
    return None if text is None or "\0" in text else text
