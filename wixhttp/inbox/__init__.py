"""Deferred work and jobs: stored in the project's store, run later, at least once.

Private: public import paths are listed in ``docs/architecture.md``.
"""
