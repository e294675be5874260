"""A guard that asks for nothing: it keeps that of the settings away from a handler."""

from __future__ import annotations

from wixhttp.guards import CheckGuard, GuardedRequest
from wixhttp.http.response import Response


class Exemption(CheckGuard):
    """The exemption of a handler from the guard of the site at a ``place``."""

    blocks = False

    def __init__(self, place: int) -> None:
        self.place = place

    def check(self, request: GuardedRequest) -> Response | None:
        """Let it pass."""
        return None
