"""The test kit: fake requests for single functions, and a client for the whole dispatcher. No sockets.

    from wixhttp.testing import TestClient, call_endpoint, fake_data, fake_request, load_endpoint

    assert get_hello(fake_request("/_functions/hello/sub?q=1")).status == 200
    assert TestClient("backend").post("/_functions/orders", json={"id": 1}).json() == {"id": 1}
    assert TestClient().get("/api/users/1").json() == {"id": "1"}
    users = load_endpoint("src/pages/api/users/[id].py")
    assert call_endpoint(users.GET, "/api/users/1").json() == {"id": "1"}
    with fake_data() as wix_data:
        wix_data.seed("books", [{"_id": "emma", "title": "Emma"}])
        assert TestClient("backend").get("books/emma").ok
    with fake_caller("MEMBER", "ada"):
        assert TestClient("backend").get("orders").ok
    with at_time(1_700_000_000):
        assert TestClient("backend").get("now").text == "2023-11-14"

The pytest plugin hands them out as the fixtures ``client``, ``fake_request``, ``fake_context``, ``call_endpoint``,
``load_endpoint``, ``fake_caller``, ``secrets`` and ``wix_data``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wixhttp.public_calls import lazy_names

if TYPE_CHECKING:
    from .client import Answer, TestClient, fake_caller
    from .clock import at_time
    from .collections import FakeData, fake_data
    from .contexts import call_endpoint, fake_async_context, fake_context, load_endpoint
    from .deferred import DeferredRun
    from .matchers import ANY_DATE, ANY_NUMBER, ANY_TEXT, ANY_UUID, like
    from .requests import fake_async_request, fake_request

# Pytest loads the plugin beside this in every run, and tests of functions alone do without the endpoints.
_MODULES = {
    "client": ("Answer", "TestClient", "fake_caller"),
    "clock": ("at_time",),
    "collections": ("FakeData", "fake_data"),
    "contexts": ("call_endpoint", "fake_async_context", "fake_context", "load_endpoint"),
    "deferred": ("DeferredRun",),
    "matchers": ("ANY_DATE", "ANY_NUMBER", "ANY_TEXT", "ANY_UUID", "like"),
    "requests": ("fake_async_request", "fake_request"),
}

__all__ = [
    "ANY_DATE",
    "ANY_NUMBER",
    "ANY_TEXT",
    "ANY_UUID",
    "Answer",
    "DeferredRun",
    "FakeData",
    "TestClient",
    "at_time",
    "call_endpoint",
    "fake_async_context",
    "fake_async_request",
    "fake_caller",
    "fake_context",
    "fake_data",
    "fake_request",
    "like",
    "load_endpoint",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
