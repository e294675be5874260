"""The calls on collections: reads, writes, hooks, references.

Private: public import paths are listed in ``docs/architecture.md``.
"""
