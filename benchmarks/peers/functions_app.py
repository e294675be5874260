"""functions-framework's application over `functions_source.py`."""

from pathlib import Path

from functions_framework import create_app

application = create_app("handle", str(Path(__file__).with_name("functions_source.py")))  # type: ignore[no-untyped-call]
