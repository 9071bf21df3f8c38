"""python -m scripts.edit: edit a clip from a checkout; text2live-edit once installed."""

import sys

from backend.cli.edit import main

if __name__ == "__main__":
    sys.exit(main())
