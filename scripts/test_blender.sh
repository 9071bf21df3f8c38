#!/usr/bin/env bash
# The add-on's tests inside Blender, from the bpy wheel, in a virtual environment of its own:
# bpy pins numpy below 2, the backend needs 2. BPY chooses the version, PYTHON the interpreter
# (3.11 for 4.2 to 5.0, 3.13 for 5.1 and 5.2). TEXT2LIVE_BACKEND_PYTHON runs the real backend too.
#
#     bash scripts/test_blender.sh [pytest's arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bpy=${BPY:-4.5.15}
venv=${BLENDER_VENV:-.venv-blender}
if ! "$venv/bin/python" -c "import importlib.metadata as m, msgspec, pytest, sys; sys.exit(m.version('bpy') != '$bpy')" 2>/dev/null; then
  python=${PYTHON:-python3.11}
  if ! command -v "$python" >/dev/null || ! "$python" -c 'print()' >/dev/null 2>&1; then
    echo "The add-on's tests need $python for bpy $bpy and it was not found; they are left out." >&2
    echo "Name it with PYTHON=/path/to/python bash $0" >&2
    exit 0
  fi
  echo "Installing Blender $bpy as a Python module into $venv (once; about 400 MB)"
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "bpy==$bpy" pyzmq msgpack msgspec pytest pytest-timeout
fi
"$venv/bin/python" -m pytest tests/blender "$@"
