"""TorchScript archives: the tensors are torch's own, and nothing in the file is run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from backend.clip.torchscript import Refused, is_torchscript, read_tensors

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*")


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.small = nn.Parameter(torch.randn(3, 4).half())
        self.register_buffer("whole", torch.arange(5))
        self.count = 3
        self.sizes = [1, 2, 3]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.count


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
        self.tied = self.layers[0].weight
        self.inner = Inner()
        self.view = nn.Parameter(torch.randn(4, 6)[1:3].t())
        self.scale = nn.Parameter(torch.tensor(4.6))
        self.empty = nn.Parameter(torch.zeros(0, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(self.layers(x))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "model.pt"


@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, torch.ones(1, 3))])
def test_the_tensors_are_those_that_torch_reads(path, make):
    make(Outer()).save(str(path))
    assert is_torchscript(path)
    expected = torch.jit.load(str(path)).state_dict()
    found = read_tensors(path)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].stride() == tensor.stride()
        assert torch.equal(found[name], tensor)


def test_a_state_dict_is_no_archive(path):
    torch.save(Outer().state_dict(), path)
    assert not is_torchscript(path)


@pytest.mark.skipif(os.name != "posix", reason="torch.from_file creates the file on POSIX")
def test_code_that_runs_when_torch_loads_the_file_is_not_run(path, tmp_path):
    sprung = tmp_path / "sprung"

    class Trap(nn.Module):
        def __init__(self, where: str) -> None:
            super().__init__()
            self.where = where
            self.weight = nn.Parameter(torch.ones(2))

        @torch.jit.export
        def __getstate__(self):
            return (self.where, self.weight, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[str, torch.Tensor, bool]):
            self.where = state[0]
            self.weight = torch.from_file(self.where, True, 4)
            self.training = state[2]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    torch.jit.script(Trap(str(sprung))).save(str(path))
    torch.jit.load(str(path))
    assert sprung.exists()  # the trap works
    sprung.unlink()
    with pytest.raises(Refused):
        read_tensors(path)
    assert not sprung.exists()


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments) -> None:
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


def archive(path: Path, description: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("model/data.pkl", description)
        file.writestr("model/data/0", b"\0" * 4000)
        file.writestr("model/code/__torch__.py", b"")


MODULE = b"c__torch__\nM\n)\x81"  # a module without attributes
STORAGE = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuM%btQ"
)


def tensor(size: int, count: int) -> bytes:
    numbers = STORAGE.replace(b"%b", count.to_bytes(2, "little"))
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + numbers
        + b"K\0J"
        + size.to_bytes(4, "little")
        + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    )


def module_of(value: bytes) -> bytes:
    return b"\x80\x02" + MODULE + b"}X\x01\x00\x00\x00w" + value + b"sb."


def test_a_description_by_hand_is_read(path):
    archive(path, module_of(tensor(1000, 1000)))
    assert torch.equal(read_tensors(path)["w"], torch.zeros(1000))


@pytest.mark.parametrize(
    "description",
    [
        pickle.dumps(Call(os.mkdir, "sprung"), 2),
        pickle.dumps(Call(eval, "open('sprung', 'w')"), 2),
        pickle.dumps(Call(os.path.join, "a", "b"), 2),
        b"\x80\x02cos\nsystem\n(X\x0b\x00\x00\x00touch sprung\x85R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01s\x86b.",
        module_of(tensor(1001, 1000)),
        module_of(tensor(2000, 2000)),
        module_of(tensor(1000, 1000))[:-20],
        module_of(b"Q"),
        b"",
        b"\x80\x02" + MODULE + b"q\x01}(X\x01\x00\x00\x00ah\x01X\x01\x00\x00\x00bh\x01ub.",
    ],
)
def test_anything_but_modules_and_tensors_is_refused(path, tmp_path, monkeypatch, description):
    monkeypatch.chdir(tmp_path)
    archive(path, description)
    with pytest.raises(Refused):
        read_tensors(path)
    assert not (tmp_path / "sprung").exists()


def test_compressed_numbers_are_refused(path):
    """A few bytes could stand for any number of them."""
    archive(path, module_of(tensor(1000, 1000)), zipfile.ZIP_DEFLATED)
    with pytest.raises(Refused):
        read_tensors(path)
