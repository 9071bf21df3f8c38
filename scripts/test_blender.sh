#!/usr/bin/env bash
# Run the add-on's tests inside Blender.
#
#     bash scripts/test_blender.sh [pytest's arguments]
#
# By default Blender is the bpy wheel, in a virtual environment of its own: bpy 4.x needs numpy 1,
# the backend numpy 2. Several versions run at the same time, because the tests mostly wait.
#
# BPY        its version, or several: BPY="4.2.23 4.5.15 5.0.1 5.2.3"
# PYTHON     the interpreter: 3.11 for Blender 4.2 to 5.0, 3.13 for 5.1 and 5.2
# BLENDER    a whole Blender to use instead, of any version: BLENDER=/path/to/blender
# TEXT2LIVE_BACKEND_PYTHON
#            a Python with the backend, for the tests that run jobs; with several versions, the
#            first one runs them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The tests' packages, at the versions of constraints.txt. Its numpy does not fit bpy 4.x.
needs=(pyzmq msgpack msgspec pytest pytest-timeout)
pinned=()
for package in "${needs[@]}"; do pinned+=("$(grep "^$package==" constraints.txt)"); done

works() { command -v "$1" >/dev/null && "$1" -c 'print()' >/dev/null 2>&1; }

# Find an interpreter by name (python3.13): on the path, or among pyenv's versions, whose commands
# on the path fail unless that version is switched on.
found() {
  local one
  for one in "$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/${1#python}".*/bin/"$1"; do
    if works "$one"; then echo "$one" && return; fi
  done
  return 1
}

has() { "$1/bin/python" -c "import importlib.metadata as m, msgspec, pytest, sys; sys.exit(m.version('bpy') != '$2')" 2>/dev/null; }

# Name the interpreter that a version of Blender needs, or say that it is missing.
interpreter() {
  local needed fits
  case $1 in 5.[1-9]*) needed=python3.13 ;; *) needed=python3.11 ;; esac
  fits='import sys; raise SystemExit("python{}.{}".format(*sys.version_info) != sys.argv[1])'
  if [ -n "${PYTHON:-}" ] && "$PYTHON" -c "$fits" "$needed" 2>/dev/null; then
    echo "$PYTHON"
  elif ! found "$needed"; then
    echo "Skipping the add-on's tests: bpy $1 needs $needed, which was not found." >&2
    echo "Name it with PYTHON=/path/to/$needed bash $0" >&2
    return 1
  fi
}

# install FOLDER VERSION PYTHON: Blender into a virtual environment, with what the tests need.
install() {
  echo "Installing Blender $2 as a Python module into $1 (once; about 400 MB)"
  "$3" -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "bpy==$2" "${pinned[@]}"
}

if [ -n "${BLENDER:-}" ]; then
  say='import sys; print("PYTHON", "{}.{}".format(*sys.version_info))'
  inside=$("$BLENDER" --background --factory-startup --python-expr "$say" | sed -n 's/^PYTHON //p')
  packages=${BLENDER_VENV:-.blender-packages}/$inside
  if [ ! -d "$packages/pytest" ]; then
    echo "Installing what the tests need for Blender's Python $inside into $packages"
    "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --target "$packages" \
      --python-version "$inside" --only-binary=:all: "${pinned[@]}"
  fi
  exec "$BLENDER" --background --factory-startup --python-exit-code 1 \
    --python scripts/blender/run_pytest.py -- "$packages" tests/blender "$@"
fi

if [ -z "${BPY:-}" ]; then
  BPY=4.5.15
  if [ -z "${PYTHON:-}" ] && ! found python3.11 >/dev/null && found python3.13 >/dev/null; then
    BPY=5.2.3
  fi
fi
read -ra versions <<<"$BPY"
venvs=()
for version in "${versions[@]}"; do
  venv=${BLENDER_VENV:-.venv-blender}
  if [ ${#versions[@]} -gt 1 ]; then venv=$venv-$version; fi
  if ! has "$venv" "$version"; then
    python=$(interpreter "$version") || continue
    install "$venv" "$version" "$python"
  fi
  if [ "$(uname -sm)" = "Linux x86_64" ]; then
    "$venv/bin/python" -m scripts.build_extension --platforms linux-x64
  fi
  venvs+=("$venv")
done
if [ ${#venvs[@]} -le 1 ]; then
  for venv in "${venvs[@]}"; do exec "$venv/bin/python" -m pytest tests/blender "$@"; done
  exit 0
fi

output=$(mktemp -d)
running=()
trap 'kill "${running[@]}" 2>/dev/null || true; rm -rf "$output"' EXIT
for venv in "${venvs[@]}"; do
  "$venv/bin/python" -m pytest -p no:cacheprovider tests/blender "$@" \
    >"$output/${#running[@]}" 2>&1 &
  running+=($!)
  unset TEXT2LIVE_BACKEND_PYTHON
done
failed=0
for index in "${!running[@]}"; do
  wait "${running[$index]}" || failed=1
  echo "Blender in ${venvs[$index]}"
  cat "$output/$index"
done
exit $failed
