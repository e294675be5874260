"""``python -m wixhttp``: the command ``wixhttp``."""

from wixhttp.cli.commands import main

if __name__ == "__main__":
    main()
