"""The declarations of a project for its collections: fields, links, permissions.

Private: public import paths are listed in ``docs/architecture.md``.
"""
