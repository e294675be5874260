"""What a project declares of its collections: fields, links, permissions.

Private: public import paths are listed in ``docs/architecture.md``.
"""
