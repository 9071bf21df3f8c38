#!/usr/bin/env bash
# Lint, types, and every test; the add-on's in a real Blender where a bpy wheel fits this Python.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
install .venv --editable '.[backend,dev]'
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/python -m pytest --ignore tests/blender "$@"
TEXT2LIVE_BACKEND_PYTHON="$PWD/.venv/bin/python" bash scripts/test_blender.sh
