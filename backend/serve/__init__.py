"""Start the backend on this machine: text2live-serve, or ``python -m backend.serve``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import msgspec

from backend.cli.program import program_name
from backend.data_folder import MODELS, prepare
from backend.disk import disk_problem
from backend.executors.local import LocalExecutor
from backend.housekeeping import Policy
from backend.logs import log_server
from backend.memory import reuse_buffers
from backend.server import Server
from protocol.jobs import JobError, Problem
from protocol.keys import Connection, keypair, local_proof, write_connection_file
from protocol.limits import GIB
from protocol.local import connection_file, data_folder
from protocol.models import parse_clip_model

if sys.platform != "win32":
    import resource

MAX_FILES = 65536  # open files that the backend asks the system for
KEPT_BUFFERS = 64 * 2**20  # bytes of freed memory that the server keeps for the next messages
_log = logging.getLogger("backend.serve")
MOCKS = ("ok", "fail", "bug", "stall", "deaf", "half", "crash", "die")


def parser() -> argparse.ArgumentParser:
    """The command line of text2live-serve and ``python -m backend.serve``."""
    result = argparse.ArgumentParser(
        prog=program_name("backend.serve"),
        description="Make text-driven layers for clips, for the Text2LIVE add-on in Blender.",
        epilog="Stop it with Ctrl-C. Unfinished jobs continue when it is started again.",
    )
    add = result.add_argument
    add(
        "--listen",
        default="127.0.0.1:5599",
        metavar="HOST:PORT",
        help="address to listen on; port 0 picks a free one (default: %(default)s)",
    )
    add(
        "--data",
        type=Path,
        default=data_folder(),
        metavar="DIR",
        help="folder for jobs, frames, atlases, keys and logs (default: %(default)s)",
    )
    add(
        "--fix-permissions",
        action="store_true",
        help="take all permissions in the data folder from other users before starting",
    )
    add(
        "--device",
        type=_devices,
        default="auto",
        metavar="DEVICE[,DEVICE...]",
        help="auto, cpu, cuda or cuda:N; auto is the first CUDA device, or else the CPU. Several, "
        "such as cuda:0,cuda:1, each run one job at a time (default: %(default)s)",
    )
    add(
        "--model",
        default="demo",
        metavar="NAME",
        help="CLIP model of jobs that do not name one: demo, which is built in; an open_clip name "
        "and tag such as ViT-B-32:openai, with a file ViT-B-32:openai:/path/to/weights; "
        "hf-hub:OWNER/NAME; or a folder (default: %(default)s)",
    )
    add(
        "--models",
        type=_folder,
        metavar="DIR",
        help="folder with the checkpoints and segmentation models that jobs may name; read, never "
        "written (default: models in the data folder)",
    )
    add(
        "--cache-gib",
        type=float,
        default=50.0,
        metavar="N",
        help="size of frames, masks and layers on disk; the least recently used beyond it are "
        "deleted, except those of unfinished jobs (default: %(default)g)",
    )
    add(
        "--atlas-gib",
        type=float,
        default=20.0,
        metavar="N",
        help="size of atlases on disk; the least recently used beyond it are deleted "
        "(default: %(default)g)",
    )
    add(
        "--keep-days",
        type=float,
        default=30.0,
        metavar="N",
        help="delete frames, layers and atlases that were not used for this long; 0: never "
        "(default: %(default)g)",
    )
    add(
        "--reserve-gib",
        type=float,
        default=2.0,
        metavar="N",
        help="space that must stay free on the disk, or new jobs are refused "
        "(default: %(default)g)",
    )
    add(
        "--restart-stuck",
        type=_minutes,
        default=0.0,
        metavar="MIN",
        help="kill and restart a worker that has not answered, or whose job has made no progress, "
        "for this many minutes; its job fails and can be sent again (default: 0, never)",
    )
    add(
        "--attached",
        action="store_true",
        help="stop when standard input closes; for programs that start the backend, so that it "
        "ends with them",
    )
    add(
        "--mock",
        choices=MOCKS,
        help="for tests: run no model; make tinted layers, or fail in one of the known ways",
    )
    return result


def _devices(text: str) -> tuple[str, ...]:
    devices = tuple(name.strip() for name in text.split(","))
    if "" in devices:
        raise argparse.ArgumentTypeError(f"a device has no name in {text!r}")
    if len({"cuda:0" if name == "cuda" else name for name in devices}) < len(devices):
        raise argparse.ArgumentTypeError(f"a device is named twice in {text!r}")
    if "auto" in devices and len(devices) > 1:
        raise argparse.ArgumentTypeError("auto is one device; name them all, as in cuda:0,cuda:1")
    return devices


def _folder(text: str) -> Path:
    folder = Path(text).expanduser().resolve()
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {folder}")
    return folder


def _minutes(text: str) -> float:
    value = float(text)
    if 0 < value < 1 or value < 0:  # a worker may need that long to start
        raise argparse.ArgumentTypeError("give at least 1 minute, or 0 for never")
    return value


def listen_address(text: str) -> str:
    """Check ``host:port`` and make it an address for libzmq, which wraps ports beyond 65535."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise JobError(
            "bad_address",
            f"{text!r} is not an address to listen on.",
            "Give a host and a port, such as --listen 127.0.0.1:5599.",
        )
    return f"tcp://{text}"


def reachable(address: str) -> str:
    """The address for clients on this machine, if the server listens on all addresses."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Returns 0, or 1 after printing why it cannot serve."""
    options = parser().parse_args(arguments)
    try:
        problem = serve(options)
    except JobError as why:
        problem = why.problem
    if problem is None:
        return 0
    print(f"text2live: {problem.message}\n{problem.hint}", file=sys.stderr)
    return 1


def serve(options: argparse.Namespace) -> Problem | None:
    """Run the server; returns the problem if it gives up. Raises JobError if it cannot start."""
    data: Path = options.data.expanduser().resolve()
    prepare(data, fix=options.fix_permissions)
    file = connection_file(data)
    _allow_many_files()
    reuse_buffers(KEPT_BUFFERS)
    unwritten: list[Problem] = []
    try:
        log_server(data / "logs" / "server.log")
        server_keys = keypair(data / "keys" / "server.json")
        client_keys = keypair(data / "keys" / "local-client.json")
        proof = local_proof(data)
        server = Server(
            listen_address(options.listen),
            data,
            server_keys,
            {client_keys.public: "local"},
            _executor(options, data),
            model=options.model,
            models=options.models or data / MODELS,
            proof=proof,
            policy=Policy(
                cache_bytes=int(options.cache_gib * GIB),
                atlas_bytes=int(options.atlas_gib * GIB),
                keep_s=options.keep_days * 24 * 3600,
                reserve_bytes=int(options.reserve_gib * GIB),
            ),
            on_ready=lambda device: ready(device),
        )
        file.unlink(missing_ok=True)  # left by a server that was killed
    except OSError as why:
        raise disk_problem(why, data) from why

    def ready(device: str) -> None:
        _log.info("device %s", device)
        print(f"device       {device}", flush=True)
        if not file.exists():
            connection = Connection(
                address=reachable(server.address),
                server_key=server_keys.public,
                client_public=client_keys.public,
                client_secret=client_keys.secret,
            )
            try:
                write_connection_file(file, connection)
            except OSError as why:  # without the file nobody can find the server
                unwritten.append(disk_problem(why, data).problem)
                server.stop()
                return
            print(f"connection   {file}\nReady.", flush=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    if options.attached:
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    print(f"Text2LIVE backend\naddress      {server.address}")
    print(f"data         {data}")
    print(f"CLIP model   {'none (stand-in)' if options.mock else options.model}", flush=True)
    _log.info("started at %s, process %d", server.address, os.getpid())
    try:
        problem = server.run() or next(iter(unwritten), None)
        _log.info("stopped%s", f": {problem.message}" if problem else "")
        return problem
    finally:
        file.unlink(missing_ok=True)


def _allow_many_files() -> None:
    """Raise the limit of open files as far as the system lets this user."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _stop_at_end_of_input(server: Server) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    server.stop()


def _executor(options: argparse.Namespace, data: Path) -> LocalExecutor:
    patience, models = options.restart_stuck * 60, options.models
    if options.mock:
        runner = f"backend.executors.mock:{options.mock}"
        return LocalExecutor(data, ("none",), runner, models=models, restart_after=patience)
    model = parse_clip_model(options.model)
    if model.checkpoint and Path(model.checkpoint).expanduser().exists():
        place = Path(model.checkpoint).expanduser().absolute()  # otherwise in the models folder
        model = msgspec.structs.replace(model, checkpoint=str(place))
    return LocalExecutor(data, options.device, model=model, models=models, restart_after=patience)
