"""The production server: gunicorn's processes, the worker, readiness.

Private: public import paths are listed in ``docs/architecture.md``.
"""
