"""Metrics in Prometheus' format, right over the worker processes of a server.

Private: public import paths are listed in ``docs/architecture.md``.
"""
