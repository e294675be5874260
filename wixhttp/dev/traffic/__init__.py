"""Requests that were answered in development: recorded, kept, replayed, exported, turned into tests.

Private: public import paths are listed in ``docs/architecture.md``.
"""
