"""Aggregations of a collection: groups of its items, and what is computed of each."""

from __future__ import annotations

from wixhttp.data.queries import evaluator
from wixhttp.data.queries.builders import DEFAULT_LIMIT, Aggregate
from wixhttp.data.queries.tree import both
from wixhttp.data.stores.contract import to_item

from .access import Actor
from .builder_checks import check_built
from .hooked_call import Operation
from .options import Options
from .results import AggregateResult


def aggregate(actor: Actor, aggregation: Aggregate, options: Options) -> AggregateResult:
    """The first page of an aggregation. No hook runs around it."""
    check_built(aggregation, "aggregation")
    operation = Operation(actor, aggregation.collection, options)
    return operation.run(lambda: _aggregated(operation, aggregation))


def _aggregated(operation: Operation, asked: Aggregate) -> AggregateResult:
    actor, collection = operation.actor, operation.collection
    tree = actor.readable(collection, operation.options)
    if asked.first is not None:
        actor.check_compared(collection, asked.first)
        tree = both(asked.first, tree)
    results = actor.reading(
        collection,
        lambda: evaluator.aggregate(
            map(to_item, actor.store.scan(collection, tree)), asked.grouping, asked.operations, asked.last, asked.order
        ),
    )
    return AggregateResult(
        results,
        skip=asked.offset,
        limit=asked.size,
        size=asked.size or DEFAULT_LIMIT,
        counts=operation.options.counts,
    )
