"""Failures, told in development: the report of an exception, and the error page.

Private: public import paths are listed in ``docs/architecture.md``.
"""
