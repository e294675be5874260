"""The state that the pages of `wixhttp dev` share: the project as it is loaded now, and the requests that were kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wixhttp.dispatch.app import App
from wixhttp.dispatch.async_stream import Receive, Scope, Send
from wixhttp.dispatch.site import Site
from wixhttp.project.config import Config

if TYPE_CHECKING:
    from wixhttp.dev.traffic.store import RequestStore

ASGICallable = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass
class DevelopmentContext:
    """One worker of the development server. ``site`` and ``app`` are ``None`` while the project cannot be loaded;
    ``failure`` is the report of the reason then.

    ``application`` answers and records the requests for the project; a replay goes through it. ``token`` is the secret
    of forms, the same for all workers of one ``wixhttp dev``. ``generation`` counts the reloads.
    """

    config: Config
    store: RequestStore
    token: str
    generation: int
    site: Site | None = None
    app: App | None = None
    application: ASGICallable | None = None
    failure: dict[str, Any] | None = None
