"""Models are named in the backend's folder; only its own user may name other files."""

from __future__ import annotations

import shutil

import msgspec
import pytest
from serving import Raw

from protocol import messages as m
from protocol.client import new_job_id
from protocol.codec import pack
from protocol.jobs import BoxKey, ClipModel, Masks
from protocol.keys import read_connection_file

PATHS = (
    "/etc/passwd",
    "/data/objects/ab/cd.blob",
    "~/x.pt",
    "../objects/ab/cd.blob",
    "sub/../../x.pt",
    "C:/x.pt",
    r"C:\x.pt",
    r"\\host\x.pt",
    r"..\x.pt",
    "x\0.pt",
    "x\n.pt",
)
NAMES = ("x.pt", "sub/folder", "ViT B 32.safetensors", "ViT…")


@pytest.fixture
def ask(shared, shot):
    """Submits an edit with these fields: ask(remote, **fields)."""
    sockets = []

    def submit(remote: bool, **fields: object) -> m.AnyMessage:
        connection = shared.connection
        assert connection.proof
        if remote:
            connection = msgspec.structs.replace(connection, proof="")
        sockets.append(Raw(connection))
        sockets[-1].ask(m.Hello(protocols=(1,), proof=connection.proof))
        spec = shot().edit(**fields)
        job = new_job_id()
        answer = sockets[-1].ask(m.Submit(job=job), pack(spec))
        sockets[-1].ask(m.Cancel(job=job))
        return answer

    yield submit
    for one in sockets:
        one.close()


def fields_with(place: str) -> tuple[dict[str, object], ...]:
    model = ClipModel(name="ViT-B-32", checkpoint=place)
    box = BoxKey(frame=0, x0=0, y0=0, x1=9, y1=9)
    return (
        {"model": model},
        {"masks": Masks(mode="text", texts=("x",), model=model)},
        {"masks": Masks(mode="segment", boxes=(box,), weights=place)},
    )


@pytest.mark.parametrize("place", PATHS)
def test_a_path_is_refused_from_another_machine(ask, place):
    for fields in fields_with(place):
        answer = ask(True, **fields)
        assert isinstance(answer, m.Error), fields
        assert answer.code == "path_refused"
        assert "models folder" in answer.hint


@pytest.mark.parametrize("place", NAMES)
def test_a_name_is_accepted_from_anywhere(ask, place):
    for fields in fields_with(place):
        assert isinstance(ask(True, **fields), m.Accepted), fields


def test_a_path_is_accepted_from_the_same_user(ask):
    for fields in fields_with("/models/x.pt"):
        assert isinstance(ask(False, **fields), m.Accepted)


def test_a_wrong_proof_is_none(shared, shot):
    one = Raw(shared.connection)
    one.ask(m.Hello(protocols=(1,), proof="x" * 64))
    spec = shot().edit(model=ClipModel(name="ViT-B-32", checkpoint="/x.pt"))
    assert one.ask(m.Submit(job=new_job_id()), pack(spec)).code == "path_refused"
    one.close()


def test_a_copied_connection_file_carries_no_proof(shared, tmp_path):
    copy = tmp_path / "connection.json"
    shutil.copy(shared.data / "connection.json", copy)
    assert shared.connection.proof.encode() not in copy.read_bytes()
    assert read_connection_file(copy).proof == ""


@pytest.mark.slow
def test_a_clients_error_names_no_folder(backend, shot, connect):
    """The stand-in's traceback has paths, and so has the hint about the log."""
    one = backend("bug")
    diary, made, job = connect(one.connection), shot(), new_job_id()
    diary.client.submit(job, made.edit(), made.source)
    problem = diary.until_state(job, "failed").problem
    assert "data/logs/worker-0.log" in problem.hint
    assert str(one.data.parent) not in problem.message + problem.hint
