"""Aggregations of a collection: groups of its items, and what is computed of each."""

from __future__ import annotations

from . import evaluate
from .actor import Actor
from .builds import check_built
from .operation import Operation
from .options import Options
from .query import DEFAULT_LIMIT, Aggregate
from .results import AggregateResult
from .store import to_item
from .tree import both


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
        lambda: evaluate.aggregate(
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
