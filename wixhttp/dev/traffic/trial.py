"""Kept requests answered by a project's code in this process, as a test does it: by the test kit, on collections in
memory, which begin with the items that the project had when the requests came."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from wixhttp.context import current_collections, current_request, using
from wixhttp.data.calls.access import Collections
from wixhttp.data.calls.hooks import Hooks
from wixhttp.data.queries.tree import EVERYTHING, NEWEST_FIRST
from wixhttp.data.schema.declarations import load_schema, site_collections
from wixhttp.data.schema.links import links_from
from wixhttp.data.stores.contract import Row, to_item
from wixhttp.data.stores.factory import open_store, sqlite_path
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.dispatch.app import App
from wixhttp.project.config import Config
from wixhttp.secrets import Secret, SecretStore
from wixhttp.services import load_served_site
from wixhttp.testing.client import TestClient
from wixhttp.testing.clock import at_time
from wixhttp.testing.collections import FakeData

from .kept_requests import MOST_BODY, KeptRequest
from .sent_requests import SentRequest

MOST_ITEMS = 2_000  # of a collection

Items = Mapping[str, list[dict[str, Any]]]
"""Items by the name of their collection, with the ids of their links in lists."""


def items_before(config: Config, moment: float) -> dict[str, list[dict[str, Any]]]:
    """The items of a project's collections that were there at a time, as they are now, oldest first; of each collection
    the last `MOST_ITEMS` of them. No database is made.

    Raises:
        WixHTTPError: the database cannot be read.
    """
    path = sqlite_path(config.store_url, config.root)
    if path is not None and not path.exists():
        return {}
    schema = load_schema(config.root)
    store = open_store(config.store_url, config.root)
    limit = datetime.fromtimestamp(moment, timezone.utc)
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        for name in site_collections(store):
            newest = map(to_item, store.scan(name, EVERYTHING, NEWEST_FIRST))
            items = list(islice((item for item in newest if item["_createdDate"] < limit), MOST_ITEMS))[::-1]
            by_id = {item["_id"]: item for item in items}
            for link in links_from(schema, name):
                for referring, referenced in store.links(link):
                    if referring in by_id:
                        by_id[referring].setdefault(link.field, []).append(referenced)
            found[name] = items
    finally:
        store.close()
    return found


class _WatchedStore(MemoryStore):
    """A store in memory that notes which collections are read."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: set[str] = set()

    def _table(self, collection: str) -> dict[str, Row]:
        self.touched.add(collection)
        return super()._table(collection)


class AskedSecrets(SecretStore):
    """The secrets of a project, which are added to ``asked`` when they are asked for: some stand in no file."""

    asked: dict[str, str]

    @classmethod
    def of(cls, config: Config, asked: dict[str, str]) -> AskedSecrets:
        """The secrets of a project, with those in ``asked`` that its files have."""
        store = cls(config.root, config.mode, config.secrets_file)
        store.asked = asked
        for name in store.names():
            store.get(name)
        return store

    def get(self, name: str) -> Secret:
        """The secret of that name. Raises as `SecretStore.get`."""
        value = super().get(name)
        self.asked[name] = str(value)
        return value


class Trial:
    """A loaded project that answers kept requests, one after the other, on the same collections in memory.

    Raises:
        ProjectError: the project cannot be loaded.
    """

    def __init__(self, config: Config) -> None:
        self.config = replace(config, access_log=False)
        site = load_served_site(self.config)
        if site.endpoints is not None:
            site.endpoints.static = None
        self._app = App(site)
        self._schema = load_schema(config.root)
        self._hooks = Hooks.load(config.root, config.import_timeout)
        self.begin({})

    def begin(self, items: Items) -> None:
        """Begin anew with these items.

        Raises:
            WixDataError: the declarations do not take them.
        """
        self._store = _WatchedStore()
        collections = Collections(
            self._store, self._schema, hooks=self._hooks, strict=bool(self.config.strict_collections)
        )
        self._data = FakeData(collections)
        self._client = TestClient(self._app, raise_exceptions=False)
        for name, some in items.items():
            self._data.seed(name, some)
        self._store.touched.clear()

    @property
    def touched(self) -> set[str]:
        """The collections that the answers so far have read."""
        return set(self._store.touched)

    def answer(
        self,
        request: KeptRequest,
        sent: SentRequest | None = None,
        *,
        at: float | None = None,
    ) -> KeptRequest:
        """A kept request with the answer of this project: sent as it was, or as its test sends it, and with the clock
        ``at`` a time."""
        if sent is None:
            sent = SentRequest(request.target, request.request_headers, request.request_body, [])
        started = time.perf_counter()
        frozen = at_time(at) if at is not None else contextlib.nullcontext()
        self._client.cookies.clear()
        with using(current_collections, self._data.collections), using(current_request, None), _quiet(), frozen:
            answer = self._client.request(
                request.method, sent.target, headers=sent.headers, data=sent.body or None,
                ip=request.client or "127.0.0.1",
            )  # fmt: skip
        return replace(
            request,
            id=0,
            status=answer.status_code,
            response_headers=list(answer.fields),
            response_body=answer.content[:MOST_BODY],
            response_size=len(answer.content),
            request_id=answer.headers["x-request-id"] or "",
            duration=round((time.perf_counter() - started) * 1000, 3),
            failure=None,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are the test's to give
        yield
