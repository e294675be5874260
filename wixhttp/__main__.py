"""``python -m wixhttp``: the command ``wixhttp``."""

from .cli import main

if __name__ == "__main__":
    main()
