"""python -m scripts.paint: paint on a clip from a checkout; text2live-paint once installed."""

import sys

from backend.cli.paint import main

if __name__ == "__main__":
    sys.exit(main())
