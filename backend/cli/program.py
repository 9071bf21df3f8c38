"""How a command-line program is called, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from protocol.jobs import JobError


def program_name(module: str) -> str:
    """What to type to run this program: its installed command, or the module with python -m."""
    command = Path(sys.argv[0]).stem
    return command if command.startswith("text2live-") else f"python -m {module}"


def exit_status(run: Callable[[], object]) -> int:
    """Run a program's work: 0 if it succeeds, 2 after printing a JobError, 130 after Ctrl-C."""
    try:
        run()
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except JobError as error:
        print(f"\n{error.problem.message} {error.problem.hint}".rstrip(), file=sys.stderr)
        return 2
    return 0
