"""The programs: what they are called, that they start, and which Python they refuse."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

from backend.cli.program import exit_status, program_name
from protocol.jobs import JobError

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
MODULES = {
    "text2live-serve": "backend.serve",
    "text2live-edit": "scripts.edit",
    "text2live-paint": "scripts.paint",
    "text2live-atlas": "scripts.atlas",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_names_itself_as_it_was_called(command, monkeypatch, capsys):
    module, function = COMMANDS[command].split(":")
    main = getattr(importlib.import_module(module), function)
    for called, name in (
        (f"/usr/bin/{command}", command),
        (f"C:\\Scripts\\{command}.exe".replace("\\", "/"), command),
        ("/checkout/scripts/edit.py", f"python -m {MODULES[command]}"),
    ):
        monkeypatch.setattr(sys, "argv", [called])
        with pytest.raises(SystemExit) as end:
            main(["--help"])
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: {name} ")


@pytest.mark.parametrize("module", MODULES.values())
def test_the_modules_run_from_a_checkout(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m {module} ")
    assert program_name(module) == f"python -m {module}"


@pytest.mark.parametrize("module", MODULES.values())
def test_an_older_python_is_refused_with_a_sentence(module):
    script = (
        "import runpy, sys; sys.version, sys.version_info = '3.10.13 (main)', (3, 10, 13); "
        f"runpy.run_module('{module}', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    message, hint = done.stderr.splitlines()  # as the add-on reads them
    assert done.returncode == 1
    assert message == "text2live: The backend needs Python 3.11 or newer; this is 3.10.13."
    assert hint.endswith(".")


@pytest.mark.parametrize(
    "path", ["backend/__init__.py", "scripts/__init__.py", "scripts/edit.py", "scripts/paint.py"]
)
def test_an_older_python_can_read_what_comes_before_the_sentence(path):
    ast.parse((ROOT / path).read_text("utf-8"), feature_version=(3, 7))


def test_how_a_program_ends(capsys):
    def fail(error):
        raise error

    assert exit_status(lambda: None) == 0
    assert exit_status(lambda: fail(JobError("x", "It broke.", "Mend it."))) == 2
    assert capsys.readouterr().err == "\nIt broke. Mend it.\n"
    assert exit_status(lambda: fail(KeyboardInterrupt())) == 130
