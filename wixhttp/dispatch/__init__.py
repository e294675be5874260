"""The dispatcher, the loaded site, health probes, and the execution of one call.

Private: public import paths are listed in ``docs/architecture.md``.
"""
