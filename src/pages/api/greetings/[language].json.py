"""/api/greetings/de.json and so on: static, one file for each entry of ``getStaticPaths``."""

from __future__ import annotations

from typing import Any

from wixhttp.endpoints import Response

prerender = True

GREETINGS = {"de": "Hallo", "en": "Hello", "fr": "Bonjour"}


def getStaticPaths() -> list[dict[str, Any]]:
    """The parameters of each path, and what its GET is given as ``props``."""
    return [{"params": {"language": language}, "props": {"text": text}} for language, text in GREETINGS.items()]


def GET(params: dict[str, str], props: dict[str, Any]) -> Response:
    """The greeting of one language."""
    return Response.json({"language": params["language"], "greeting": props["text"]})
