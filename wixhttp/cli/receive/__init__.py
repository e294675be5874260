"""The commands ``wixhttp webhooks``, ``keys``, ``inbox``, ``jobs`` and ``work``.

Private: public import paths are listed in ``docs/architecture.md``.
"""
