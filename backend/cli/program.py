"""How a command-line program is called, and how it ends."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from protocol.jobs import JobError


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong command line in one line, and shows descriptions as written."""

    def __init__(self, prog: str, description: str | None, examples: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=examples.format(name=prog),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Print the error and end the program with status 2."""
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")


def joined_values(argv: Sequence[str]) -> list[str]:
    """A command line with ``--option -1=FILE`` as ``--option=-1=FILE``.

    argparse takes a value that starts with a minus sign for an option; joined, it reaches the check
    of frame numbers.
    """
    out: list[str] = []
    for word in argv:
        if out and re.match(r"-\d+=", word) and re.fullmatch(r"--[a-z][a-z0-9-]*", out[-1]):
            out[-1] = f"{out[-1]}={word}"
        else:
            out.append(word)
    return out


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
