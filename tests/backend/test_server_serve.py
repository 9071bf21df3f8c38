"""The backend's command line: what it prints at the start, and why it does not start."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from backend import serve
from backend.serve import main, parser, reachable
from protocol.jobs import JobError
from protocol.keys import read_connection_file

ROOT = Path(__file__).resolve().parents[2]


def start(data: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "backend.serve", "--data", str(data), *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_ready(process: subprocess.Popen[str]) -> str:
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ready"):
            return "".join(lines)
    raise AssertionError("".join(lines) + process.stderr.read())


def end(process: subprocess.Popen[str], how: int = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals and file modes")
def test_it_prints_its_address_and_keeps_its_secrets_private(tmp_path):
    data = tmp_path / "new" / "data"
    process = start(data, "--listen", "127.0.0.1:0", "--mock", "ok")
    said = until_ready(process)
    file = data / "connection.json"
    connection = read_connection_file(file)
    for fact in (connection.address, str(data), str(file), "stand-in"):
        assert fact in said
    assert connection.client_secret not in said
    private = [file, data / "keys" / "server.json", data / "keys" / "local-client.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert end(process, signal.SIGINT) == (0, "")
    assert not file.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the worker in /proc")
def test_a_worker_does_not_load_the_server(tmp_path):
    process = start(tmp_path, "--listen", "127.0.0.1:0", "--mock", "ok")
    until_ready(process)
    own = Path(f"/proc/{process.pid}")
    children = (own / "task" / str(process.pid) / "children").read_text().split()
    lines = {child: Path(f"/proc/{child}/cmdline").read_text() for child in children}
    (worker,) = (child for child, line in lines.items() if "spawn_main" in line)
    assert "_sqlite3" in (own / "maps").read_text()  # of the journal
    assert "_sqlite3" not in Path(f"/proc/{worker}/maps").read_text()
    assert end(process) == (0, "")


def test_an_attached_backend_ends_with_its_parent(tmp_path):
    process = start(tmp_path, "--listen", "127.0.0.1:0", "--mock", "ok", "--attached")
    until_ready(process)
    _, errors = process.communicate(timeout=30)  # closes its input
    assert (process.returncode, errors) == (0, "")
    assert not (tmp_path / "connection.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_the_keys_stay_the_same(tmp_path):
    seen = []
    for _ in range(2):
        process = start(tmp_path, "--listen", "127.0.0.1:0", "--mock", "ok")
        until_ready(process)
        connection = read_connection_file(tmp_path / "connection.json")
        seen.append((connection.server_key, connection.client_secret))
        assert end(process)[0] == 0
    assert seen[0] == seen[1]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_data_folder_takes_one_backend(tmp_path):
    process = start(tmp_path, "--listen", "127.0.0.1:0", "--mock", "ok")
    until_ready(process)
    second = start(tmp_path, "--listen", "127.0.0.1:0", "--mock", "ok")
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    assert "Another backend is already using the folder" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "connection.json").exists()
    assert end(process)[0] == 0


def failure(capfd: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(list(options)) == 1
    return capfd.readouterr().err


def test_a_port_in_use_is_reported(tmp_path, capfd):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        said = failure(capfd, "--data", str(tmp_path), "--listen", address, "--mock", "ok")
    assert f"Another program already listens on tcp://{address}." in said
    assert "--listen" in said


@pytest.mark.parametrize("address", ["nonsense", ":5599", "127.0.0.1:99999", "127.0.0.1:x"])
def test_a_malformed_address_is_reported(tmp_path, capfd, address):
    said = failure(capfd, "--data", str(tmp_path), "--listen", address, "--mock", "ok")
    assert f"{address!r} is not an address to listen on." in said


def test_an_address_of_another_machine(tmp_path, capfd):
    said = failure(capfd, "--data", str(tmp_path), "--listen", "192.0.2.1:5599", "--mock", "ok")
    assert "cannot listen on" in said


def test_a_folder_that_cannot_be_created(tmp_path, capfd):
    file = tmp_path / "file"
    file.touch()
    assert "cannot be used" in failure(capfd, "--data", str(file / "x"), "--mock", "ok")


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EROFS, "cannot write to"),
        (errno.ENOSPC, "The backend's disk is full"),
    ],
)
@pytest.mark.parametrize("function", ["keypair", "write_connection_file"])
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, number, sentence, function):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(serve, function, refuse)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest's stay
    options = ["--data", str(tmp_path), "--listen", "127.0.0.1:0", "--mock", "ok"]
    try:
        problem = serve.serve(parser().parse_args(options))
    except JobError as why:
        problem = why.problem
    assert sentence in problem.message
    assert str(tmp_path) in problem.message


@pytest.mark.slow
def test_cuda_where_there_is_none_is_an_error_not_a_fallback(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    process = start(tmp_path, "--listen", "127.0.0.1:0", "--device", "cuda:0")
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cuda:0 was requested, but torch sees 0 CUDA devices" in errors
    assert "Ready" not in said
    assert not (tmp_path / "connection.json").exists()


def test_a_real_worker_names_its_device(tmp_path):
    pytest.importorskip("torch")
    process = start(tmp_path, "--listen", "127.0.0.1:0", "--device", "cpu", "--model", "demo")
    said = until_ready(process)
    assert "device       cpu (" in said
    assert "CLIP model   demo" in said
    assert end(process)[0] == 0


def test_several_devices_have_a_worker_each(tmp_path):
    options = parser().parse_args(["--device", "cuda:0, cuda:1"])
    assert options.device == ("cuda:0", "cuda:1")
    executor = serve._executor(options, tmp_path)
    assert executor.slots() == ["worker-0", "worker-1"]
    assert parser().parse_args([]).device == ("auto",)


@pytest.mark.parametrize("wrong", ["cuda:0,", "", "cuda:1,cuda:1", "cuda,cuda:0", "auto,cuda:1"])
def test_lists_of_devices_that_make_no_sense_are_usage_errors(wrong, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["--device", wrong])
    assert "argument --device:" in capsys.readouterr().err


def test_all_addresses_are_reached_by_loopback():
    assert reachable("tcp://0.0.0.0:5599") == "tcp://127.0.0.1:5599"
    assert reachable("tcp://[::]:5599") == "tcp://[::1]:5599"
    assert reachable("tcp://127.0.0.1:1") == "tcp://127.0.0.1:1"


def test_the_help_names_every_option():
    text = parser().format_help()
    for option in ("--listen", "--data", "--device", "--model", "--cache-gib", "--mock"):
        assert option in text
