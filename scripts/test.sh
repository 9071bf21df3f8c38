#!/usr/bin/env bash
# Lint, types and all tests; the add-on's in a real Blender, where a bpy wheel fits this Python.
#
#     bash scripts/test.sh [--fast] [pytest's arguments]
#
# --fast leaves out Blender and the tests marked slow. The tests run in a process per core, four at
# most, and each process computes in one thread: their tensors are too small to share between two.
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
run_tests() {
  OMP_NUM_THREADS=1 .venv/bin/python -m pytest --ignore tests/blender \
    --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
}
if [ -n "$fast" ]; then
  run_tests -m "not slow" "$@"
  exit
fi
run_tests "$@"
TEXT2LIVE_BACKEND_PYTHON="$PWD/.venv/bin/python" bash scripts/test_blender.sh
