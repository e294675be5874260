"""The user's project, found and loaded: settings, ``.env``, TOML, import, function table.

Private: public import paths are listed in ``docs/architecture.md``.
"""
