"""API keys and rate limits.

Private: public import paths are listed in ``docs/architecture.md``.
"""
