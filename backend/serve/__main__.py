"""``python -m backend.serve``.

Workers import the program that started them unless it is a ``__main__`` like this one: without it,
each worker would load the whole server first.
"""

import sys

from backend.serve import main

sys.exit(main())
