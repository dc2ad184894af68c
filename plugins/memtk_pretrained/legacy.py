"""Modules that torch saved whole before version 1.6; TorchXRayVision publishes such files.

A file is five pickles (a magic number, a version, sizes of types, the module, the keys of its
storages) and then, for each key, a count and the numbers. torch's unpickler of weights refuses
modules in this format. The one here calls nothing but what stands in this module.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

MAGIC = 0x1950A86A20F9469CFC6C

DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Inert:
    """Stands in for every class and function that a file names: takes anything, does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        self.state: Mapping[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        """Keep the attributes of an object."""
        self.state = state if isinstance(state, Mapping) else {}


@dataclass
class Storage:
    """Numbers that tensors share; empty until the end of the file is read."""

    dtype: torch.dtype
    values: Tensor


@dataclass(frozen=True)
class Piece:
    """A tensor, before its numbers are read."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def tensor(self) -> Tensor:
        """Return it.

        Raises:
            RuntimeError: if it reaches beyond its storage.
        """
        return torch.as_strided(self.storage.values, self.shape, self.strides, self.offset).clone()


def read_legacy_module(path: Path) -> dict[str, Tensor]:
    """Return the parameters and buffers of the module in a file, by their names.

    Raises:
        pickle.UnpicklingError, RuntimeError, ValueError: and others, if it cannot be read.
    """
    with open(path, "rb") as file:
        if _Reader(file, {}).load() != MAGIC:
            raise pickle.UnpicklingError("no file of torch.save")
        storages: dict[str, Storage] = {}
        _, _, content, keys = (_Reader(file, storages).load() for _ in range(4))
        for key in keys:
            storage = storages[key]
            (count,) = struct.unpack("<q", file.read(8))
            numbers = bytearray(file.read(count * storage.dtype.itemsize))
            storage.values = torch.frombuffer(numbers, dtype=storage.dtype, count=count)
        return {n: p.tensor() for n, p in named_values(content) if isinstance(p, Piece)}


def named_values(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield parameters and buffers of a module read as `Inert`, by the names of its state_dict."""
    state = getattr(module, "state", {})
    for kind in ("_parameters", "_buffers"):
        for name, value in _entries(state, kind):
            yield f"{prefix}{name}", value
    for name, part in _entries(state, "_modules"):
        if isinstance(part, Inert):
            yield from named_values(part, f"{prefix}{name}.")


def _entries(state: Mapping[str, Any], kind: str) -> Iterator[tuple[Any, Any]]:
    table = state.get(kind)
    yield from table.items() if isinstance(table, Mapping) else ()


class _Reader(pickle.Unpickler):
    def __init__(self, file: BinaryIO, storages: dict[str, Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """Return our own for the few names that matter, `Inert` for all others."""
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        return _OURS.get(f"{module}.{name}", Inert)

    def persistent_load(self, pid: Any) -> Any:
        """Return a class (which comes with its source text), or the storage of a key."""
        if pid[0] == "module":
            return pid[1]
        kind, dtype, key, _, _, view = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or view is not None:
            raise pickle.UnpicklingError(f"unknown object {kind!r} in the file")
        return self._storages.setdefault(key, Storage(dtype, torch.empty(0, dtype=dtype)))


def _piece(storage: Storage, offset: int, shape: Any, strides: Any, *_: object) -> Piece:
    return Piece(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: Piece, *_: object) -> Piece:
    return data


_OURS = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor": _piece,
    "torch._utils._rebuild_tensor_v2": _piece,
    "torch._utils._rebuild_parameter": _parameter,
}
