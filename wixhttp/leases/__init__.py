"""Leases: which process owns work that is under way, and whether it still lives.

Private: public import paths are listed in ``docs/architecture.md``.
"""
