"""Stores of collections: the contract, and its back ends in memory, SQLite and PostgreSQL.

Private: public import paths are listed in ``docs/architecture.md``.
"""
