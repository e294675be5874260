"""The event loop, the thread pool, deadlines, and the bridge between ``def`` and ``async def``.

Private: public import paths are listed in ``docs/architecture.md``.
"""
