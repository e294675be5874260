"""Queries of collections: builders, filters, the tree of comparisons, values, the evaluator.

Private: public import paths are listed in ``docs/architecture.md``.
"""
