"""Aggregations of a collection: groups of its items, and what is computed of each."""

from __future__ import annotations

from typing import Any

from wixhttp.data.queries import evaluator
from wixhttp.data.queries.builders import DEFAULT_LIMIT, Aggregate
from wixhttp.data.queries.tree import both, parse_path
from wixhttp.data.stores.contract import to_item

from .access import Collections
from .errors import check_builder
from .hooked_call import HookedCall
from .linked_conditions import resolved
from .options import Options
from .results import AggregateResult


def aggregate(collections: Collections, aggregation: Aggregate[Any], options: Options) -> AggregateResult:
    """The first page of an aggregation. No hook runs around it."""
    check_builder(aggregation, "aggregation")
    call = HookedCall(collections, aggregation.collection, options)
    return call.run(lambda: _aggregated(call, aggregation))


def _aggregated(call: HookedCall, asked: Aggregate[Any]) -> AggregateResult:
    collections, collection = call.collections, call.collection
    tree = collections.readable(collection, call.options)
    read = [
        *(parse_path(name) for name in asked.grouping or ()),
        *(each.path for each in asked.operations if each.path),
    ]
    collections.check_held(collection, read, "an aggregation neither groups by them nor computes of them;")
    if asked.first is not None:
        tree = both(resolved(collections, collection, asked.first, call.options), tree)
    results = collections.reading(
        collection,
        lambda: evaluator.aggregate(
            map(to_item, collections.store.scan(collection, tree)),
            asked.grouping,
            asked.operations,
            asked.last,
            asked.order,
        ),
    )
    return AggregateResult(
        results,
        skip=asked.offset,
        limit=asked.size,
        size=asked.size or DEFAULT_LIMIT,
        counts=call.options.counts,
    )
