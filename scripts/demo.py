"""The demo: make a clip, start a backend, run an edit, write demo_out/."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from backend.cli import edit
from scripts.make_clip import make_clip, write_clip

PROMPT, SOURCE = "a golden swan", "a blue swan"


def main() -> int:
    """Run the demo. Extra arguments go to scripts.edit and override the demo's own."""
    out = Path("demo_out")
    with tempfile.TemporaryDirectory(prefix="text2live-demo-") as data:
        print("Making the demo clip")
        write_clip(make_clip(), out / "source")
        print(f"Editing it: “{SOURCE}” becomes “{PROMPT}”")
        defaults = [str(out / "source" / "frames"), "--out", str(out), "--data", data]
        defaults += ["--prompt", PROMPT, "--source", SOURCE, "--preset", "draft"]
        return edit.main(defaults + sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
