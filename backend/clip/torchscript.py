"""Read the tensors of a TorchScript archive, such as OpenAI's CLIP files, and run none of it.

An archive is a zip file: ``data.pkl`` describes modules and tensors, ``data/0``, ``data/1``, … hold
the numbers, ``code/`` holds programs, which this reader never opens. The description may name only
modules, which become plain records, and the few things that tensors consist of.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from backend.device_errors import is_out_of_memory

MAX_DESCRIPTION = 64 * 2**20  # bytes of data.pkl; CLIP's has less than one megabyte
MAX_RECORDS = 100_000  # modules and tensors
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Refused(Exception):  # noqa: N818  (what the reader does, not what the file is)
    """The archive holds something other than modules and tensors, or is damaged."""


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The archive's tensors by their dotted names. Raises Refused, OSError, zipfile.BadZipFile."""
    with zipfile.ZipFile(path) as archive:
        roots = [name for name in archive.namelist() if name.count("/") == 1]
        root = next((name for name in roots if name.endswith("/data.pkl")), None)
        if root is None:
            raise Refused("it has no data.pkl")
        if archive.getinfo(root).file_size > MAX_DESCRIPTION:
            raise Refused("its data.pkl is too large")
        with archive.open(root) as file:
            reader = _Reader(file, archive, root.removesuffix(".pkl"), path.stat().st_size)
            try:
                module = reader.load()
            except (Refused, OSError, zipfile.BadZipFile):
                raise
            except Exception as why:  # a damaged description may raise anything
                if is_out_of_memory(why):
                    raise
                raise Refused(str(why).splitlines()[0] if str(why) else repr(why)) from why
    return _tensors_of(module)


class _Module:
    """A module of the archive: its attributes by name."""

    attributes: Mapping[str, object] = MappingProxyType({})


# The unpickler written in Python: the one in C sizes its memo as the file says, however large.
_Unpickler: Any = pickle._Unpickler


class _Reader(_Unpickler):  # type: ignore[misc]
    """Reads the description. folder: of the numbers. total: bytes that they may have together."""

    def _build(self) -> None:
        """Give a module its attributes; anything else keeps what it has."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Module) or not isinstance(state, dict):
            raise Refused("it sets the state of something other than a module")
        self.stack[-1].attributes = state

    dispatch = {**_Unpickler.dispatch, pickle.BUILD[0]: _build}

    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str, total: int) -> None:
        super().__init__(file)
        self._archive, self._folder, self._left = archive, folder, total
        self._storages: dict[tuple[str, torch.dtype], Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Give a name of the description its meaning; nothing is ever imported."""
        if module.startswith("__torch__"):
            return _Module
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle" and name.startswith(("build_", "restore_type_tag")):
            return _first
        raise Refused(f"it contains {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        """The numbers of a tensor, flat."""
        kind, dtype, key, _device, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(count, int):
            raise Refused("it contains a strange reference")
        if (key, dtype) not in self._storages:
            info = self._archive.getinfo(f"{self._folder}/{key}")
            size = count * dtype.itemsize
            self._left -= info.file_size
            if info.compress_type != zipfile.ZIP_STORED or self._left < 0 or info.file_size < size:
                raise Refused(f"its numbers {key} have the wrong size")
            data = bytearray(self._archive.read(info))
            flat = torch.frombuffer(data, dtype=dtype, count=count) if count else None
            self._storages[key, dtype] = torch.empty(0, dtype=dtype) if flat is None else flat
        return self._storages[key, dtype]


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    if not isinstance(storage, Tensor) or math.prod(size) > storage.numel() > 0:
        raise Refused("a tensor is larger than its numbers")
    return torch.as_strided(storage, tuple(size), tuple(stride), offset)  # checks its bounds


def _first(value: object, *_: object) -> object:
    return value


def _tensors_of(module: object) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    seen = 0
    waiting: list[tuple[str, object]] = [("", module)]
    while waiting:
        name, value = waiting.pop()
        seen += 1
        if seen > MAX_RECORDS:
            raise Refused("it has too many modules")
        if isinstance(value, Tensor):
            found[name] = value
        elif isinstance(value, _Module):
            inner = value.attributes.items()
            waiting += [(f"{name}.{key}" if name else str(key), one) for key, one in inner]
    return found
