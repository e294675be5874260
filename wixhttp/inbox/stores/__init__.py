"""The tables of deferred work: the contract, SQLite, PostgreSQL.

Private: public import paths are listed in ``docs/architecture.md``.
"""
