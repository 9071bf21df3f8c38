"""Run pytest inside a whole Blender, which has a window and no Python of one's own.

    blender --background --factory-startup --python-exit-code 1 \\
        --python scripts/blender/run_pytest.py -- FOLDER [pytest's arguments]

FOLDER holds the packages that Blender's Python lacks: pytest and what the add-on needs. Run it from
the repository, or let scripts/test_blender.sh do all of it.
"""

from __future__ import annotations

import os
import sys

packages, *arguments = sys.argv[sys.argv.index("--") + 1 :]
sys.path[:0] = [packages, os.getcwd()]

import pytest  # noqa: E402

sys.exit(pytest.main(arguments))
