"""The templates of the pages: Jinja, which escapes what users and their visitors have written."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "templates"


def are_installed() -> bool:
    """Return whether there are pages: Jinja is part of the extra ``dev``."""
    return find_spec("jinja2") is not None


def render(name: str, **values: Any) -> str:
    """The HTML of a template, ``requests.html``. A name that it uses and that is not given is an error."""
    return _environment().get_template(name).render(values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["size"] = shown_size
    environment.filters["duration"] = shown_duration
    return environment


def shown_size(count: int) -> str:
    """Bytes for people.

    >>> shown_size(7), shown_size(1536), shown_size(5_000_000)
    ('7 B', '1.5 kB', '4.8 MB')
    """
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} kB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"


def shown_duration(milliseconds: float) -> str:
    """Milliseconds for people.

    >>> shown_duration(0.314), shown_duration(42.4), shown_duration(2345)
    ('0.31 ms', '42 ms', '2.3 s')
    """
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"
