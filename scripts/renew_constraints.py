"""Write constraints.txt: the newest releases that pyproject.toml allows and that go together.

    python -m scripts.renew_constraints

Installs nothing: it asks pip what it would install. Run it with Python 3.11, and the tests after
it: with bash scripts/test.sh, which installs the new versions first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
FILE = REPOSITORY / "constraints.txt"
EXTRAS = "backend,segment,evaluate,dev"
HEADER = """\
# The versions that are tested together; scripts/setup.sh and CI install these:
#     pip install --constraint constraints.txt '.[backend]'
# Renew them with: python -m scripts.renew_constraints
# CUDA's packages are not listed, because each release of torch names the ones it needs.
"""
LEFT_OUT = ("text2live-blender", "pip", "setuptools", "wheel", "triton", "cuda-", "nvidia-")


def main() -> int:
    """Resolve the project with every extra and write the file."""
    with tempfile.TemporaryDirectory(prefix="text2live-pins-") as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report), f"{REPOSITORY}[{EXTRAS}]"]
        subprocess.run(command, check=True)
        lines = pins(json.loads(report.read_text("utf-8")))
    FILE.write_text(HEADER + "".join(f"{line}\n" for line in lines), "utf-8")
    print(f"{len(lines)} packages in {FILE}")
    return 0


def pins(report: dict[str, Any]) -> list[str]:
    """``name==version`` of every package in pip's installation report, by name.

    Local version labels such as torch's +cpu are dropped: they name a build, not a release.
    """
    found = [
        (str(one["metadata"]["name"]), str(one["metadata"]["version"]).partition("+")[0])
        for one in report["install"]
    ]
    kept = [pin for pin in found if not pin[0].lower().startswith(LEFT_OUT)]
    return [f"{name}=={version}" for name, version in sorted(kept, key=lambda pin: pin[0].lower())]


if __name__ == "__main__":
    sys.exit(main())
