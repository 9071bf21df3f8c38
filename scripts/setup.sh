# Sourced by the commands beside it: makes the virtual environment .venv and installs the project.
# PYTHON chooses the interpreter (3.11 or newer).
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    if "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer was not found. Install it, or name it: PYTHON=/path/to/python3.11 bash $0" >&2
  return 1
}

# install FOLDER ARGUMENTS…: run pip with the pinned versions, and again whenever the files that
# name the packages change.
install() {
  local folder=$1
  shift
  if ! cat pyproject.toml constraints.txt | cmp -s - "$folder/installed"; then
    echo "Installing into $folder (once; a few minutes)"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
      --constraint constraints.txt "$@"
    cat pyproject.toml constraints.txt >"$folder/installed"
  fi
}

if [ ! -x .venv/bin/python ]; then
  python=$(find_python) || exit 1
  "$python" -m venv .venv
fi
