"""python -m scripts.atlas: import atlases from a checkout; text2live-atlas once installed."""

import sys

from backend.cli.atlas import main

if __name__ == "__main__":
    sys.exit(main())
