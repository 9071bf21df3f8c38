"""Run pytest inside a full Blender, for versions without a bpy module.

    blender --background --factory-startup --python-exit-code 1 \\
        --python scripts/blender/run_pytest.py -- FOLDER [pytest's arguments]

FOLDER holds the packages that Blender's Python lacks: pytest and the add-on's requirements. Run it
from the repository, or use scripts/test_blender.sh.
"""

from __future__ import annotations

import os
import sys

packages, *arguments = sys.argv[sys.argv.index("--") + 1 :]
sys.path[:0] = [packages, os.getcwd()]

import pytest  # noqa: E402

sys.exit(pytest.main(arguments))
