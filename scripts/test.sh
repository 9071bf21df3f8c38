#!/usr/bin/env bash
# Lint, types and all tests; the add-on's in a real Blender, where a bpy wheel fits this Python.
#
#     bash scripts/test.sh [--fast] [pytest's arguments]
#
# --fast leaves out Blender and the tests marked slow: about two minutes on two cores.
set -euo pipefail
fast=
if [ "${1:-}" = --fast ]; then
  fast=1
  shift
fi
source "$(dirname "$0")/setup.sh"
install .venv --editable '.[backend,dev]'
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
if [ -n "$fast" ]; then
  exec .venv/bin/python -m pytest --ignore tests/blender -m "not slow" "$@"
fi
.venv/bin/python -m pytest --ignore tests/blender "$@"
TEXT2LIVE_BACKEND_PYTHON="$PWD/.venv/bin/python" bash scripts/test_blender.sh
