"""Kinds of arguments that several commands take.

Private: public import paths are listed in ``docs/architecture.md``.
"""
