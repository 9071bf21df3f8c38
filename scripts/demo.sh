#!/usr/bin/env bash
# The whole path with the embedded model: clip → backend → RGBA layer → demo_out/sheet.png.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
install .venv --editable '.[backend,dev]'
exec .venv/bin/python -m scripts.demo "$@"
