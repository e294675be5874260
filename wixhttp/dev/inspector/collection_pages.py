"""The pages of collections: their list, their items as a table, and one item in a form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from wixhttp.data.queries.values import format_date
from wixhttp.dev.web.pages import redirect
from wixhttp.errors import HTTPError, ProjectError, StoreUnavailable, WixDataError
from wixhttp.http.json_codec import encode_json
from wixhttp.http.response import Response
from wixhttp.logs.masking import masked

from . import collection_data
from .asked import ROOT, Asked, inspector_page, with_query
from .visible_text import cut_to

COLLECTIONS = f"{ROOT}collections"

_LONGEST_CELL = 120  # characters
_NEW_ITEM = "{\n  \n}"


def show_collections(asked: Asked) -> Response:
    """The page that lists the collections."""
    problem, found = "", []
    if asked.context.site is not None:
        try:
            found = collection_data.list_collections(asked.context.config)
        except (ProjectError, StoreUnavailable) as error:
            problem = masked(str(error))
    return inspector_page(
        asked,
        "collections.html",
        500 if problem else 200,
        section="collections",
        failure=asked.context.failure,
        is_loaded=asked.context.site is not None,
        problem=problem,
        collections=[(each, address(each.name)) for each in found],
    )


def address(name: str, page: str = "") -> str:
    """The path of the page of a collection, or of one below it."""
    return f"{COLLECTIONS}/{quote(name, safe='')}{page}"


def _described(asked: Asked) -> collection_data.ListedCollection:
    """The collection that a path names.

    Raises:
        HTTPError: 404, it does not exist; 409, the project cannot be loaded; 500, its store fails.
    """
    if asked.context.site is None:
        raise HTTPError(409, "The project cannot be loaded, and its collections cannot be opened.")
    try:
        return collection_data.describe_collection(asked.context.config, asked.parts[1])
    except WixDataError as error:
        raise HTTPError(404, masked(error.description)) from None
    except (ProjectError, StoreUnavailable) as error:
        raise HTTPError(500, masked(str(error))) from error


def show_items(asked: Asked) -> Response:
    """A page of the items of a collection."""
    collection = _described(asked)
    filter_text, sort = asked.query.get("filter", ""), asked.query.get("sort", "")
    page = collection_data.ItemPage([], [])
    problem = ""
    if collection.items is not None:
        try:
            page = collection_data.read_page(collection.name, filter_text, sort, asked.query.get("at", ""))
        except (WixDataError, StoreUnavailable) as error:
            problem = masked(error.description if isinstance(error, WixDataError) else str(error))
    own, chosen = address(collection.name), {"filter": filter_text, "sort": sort}
    return inspector_page(
        asked,
        "collection.html",
        400 if problem else 200,
        section="collections",
        collection=collection,
        address=own,
        filter=filter_text,
        sort=sort,
        problem=problem,
        columns=[
            (name, sorted_by(sort, name), with_query(own, {"filter": filter_text, "sort": next_sort(sort, name)}))
            for name in page.columns
        ],
        items=[
            (with_query(f"{own}/item", {"id": item["_id"]}), [shown_cell(item, name) for name in page.columns])
            for item in page.items
        ],
        total=page.total,
        has_page=bool(asked.query.get("at")),
        first=with_query(own, chosen),
        previous=with_query(own, {**chosen, "at": page.previous}) if page.previous else "",
        next=with_query(own, {**chosen, "at": page.next}) if page.next else "",
        levels=_levels(collection),
        references=_references(collection),
    )


def sorted_by(sort: str, name: str) -> str:
    """The value of ``aria-sort`` of a column; without a sort, items are newest first."""
    sort = sort or "-_createdDate"
    return "ascending" if sort == name else "descending" if sort == f"-{name}" else "none"


def next_sort(sort: str, name: str) -> str:
    """The sort that a click on a column asks for."""
    return f"-{name}" if sort == name else name


def shown_cell(item: Mapping[str, Any], name: str) -> tuple[str, str]:
    """The kind of a value and its text in a table: text, number, boolean, date, json, null or absent."""
    if name not in item:
        return "absent", ""
    value = item[name]
    if value is None:
        return "null", "null"
    if isinstance(value, str):
        return "text", cut_to(masked(value), _LONGEST_CELL)
    if isinstance(value, bool):
        return "boolean", "true" if value else "false"
    if isinstance(value, int | float):
        return "number", json.dumps(value)
    if hasattr(value, "isoformat"):
        return "date", format_date(value)
    return "json", cut_to(masked(encode_json(value).decode()), _LONGEST_CELL)


def _levels(collection: collection_data.ListedCollection) -> list[tuple[str, str]]:
    schema = collection.schema
    permissions = schema.permissions if schema is not None else None
    return [] if permissions is None else list(vars(permissions).items())


def _references(collection: collection_data.ListedCollection) -> list[tuple[str, str, str]]:
    """Field, text and address of each reference that a collection declares."""
    schema = collection.schema
    found = []
    for reference in schema.references.values() if schema is not None else ():
        text = f"many of {reference.collection}" if reference.many else f"one of {reference.collection}"
        if reference.reverse is not None:
            text += f", shown there as {reference.reverse}"
        found.append((reference.field, text, address(reference.collection)))
    return found


# --- one item --------------------------------------------------------------------------------------------------------


def show_item(asked: Asked) -> Response:
    """The page of an item, with the form that changes it."""
    collection, item_id = _described(asked), asked.query.get("id", "")
    try:
        item = collection_data.open_item(collection.name, item_id)
    except WixDataError as error:
        raise HTTPError(404, masked(error.description)) from None
    saved = "The item is saved." if asked.query.get("saved") else ""
    return _item_page(asked, collection, item_id, item.text, item.updated, system=item.system, saved=saved)


def show_new_item(asked: Asked) -> Response:
    """The form for a new item."""
    return _item_page(asked, _described(asked), "", _NEW_ITEM, "")


def _item_page(
    asked: Asked,
    collection: collection_data.ListedCollection,
    item_id: str,
    text: str,
    updated: str,
    *,
    system: list[tuple[str, str]] | None = None,
    saved: str = "",
    problem: str = "",
    status: int = 200,
) -> Response:
    own = address(collection.name)
    return inspector_page(
        asked,
        "item.html",
        status,
        section="collections",
        collection=collection,
        address=own,
        item_id=item_id,
        item_address=with_query(f"{own}/item", {"id": item_id}),
        text=text,
        updated=updated,
        system=system or [],
        saved=saved,
        problem=problem,
    )


def insert_item(asked: Asked) -> Response:
    """Insert the item of the form."""
    collection, text = _described(asked), asked.lines("item")

    def write() -> str:
        return collection_data.insert_item(collection.name, text)

    return _written(asked, collection, "", text, write)


def update_item(asked: Asked) -> Response:
    """Put the item of the form in the place of the stored one."""
    collection, text, item_id = _described(asked), asked.lines("item"), asked.field("id")

    def write() -> str:
        collection_data.update_item(collection.name, item_id, asked.field("updated"), text)
        return item_id

    return _written(asked, collection, item_id, text, write)


def remove_item(asked: Asked) -> Response:
    """Remove the item of the form, and lead to the table."""
    collection, item_id, text = _described(asked), asked.field("id"), asked.lines("item")

    def write() -> str:
        collection_data.remove_item(collection.name, item_id)
        return ""

    return _written(asked, collection, item_id, text, write)


def _written(
    asked: Asked, collection: collection_data.ListedCollection, item_id: str, text: str, write: Callable[[], str]
) -> Response:
    """The answer to a form: the page of the item that a write has made, or the form with what was wrong."""
    try:
        made = write()
    except WixDataError as error:
        problem, status = error.description, error.status
    except StoreUnavailable as error:
        problem, status = str(error), 500
    except Exception as error:  # noqa: BLE001  # whatever a hook of the site raises
        problem, status = f"A hook of the site raised {type(error).__name__}: {error}", 500
    else:
        own = address(collection.name)
        return redirect(with_query(f"{own}/item", {"id": made, "saved": "1"}) if made else own)
    updated = asked.field("updated")
    return _item_page(asked, collection, item_id, text, updated, problem=masked(problem), status=status)
