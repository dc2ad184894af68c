"""Reads the weights of a network from a file of torch.save, and runs nothing that lies in it."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from memtk.errors import UserError
from memtk.files import file_digest
from memtk.interfaces import ComponentConfig

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


class PretrainedConfig(ComponentConfig):
    """Which file has the weights. Memtk downloads none.

    Class attributes:
        component: its name.
        fetch: what to fetch from where, in one line.
    """

    component: ClassVar[str]
    fetch: ClassVar[str]

    weights: str = Field(..., min_length=1, description="file of the published weights")
    digest: str = Field("", description="hash of that file; memtk fills it in")

    @model_validator(mode="before")
    @classmethod
    def _look_at_the_file(cls, values: Any) -> Any:
        """Let a run know its weights again, so that it is not gone on with on other ones."""
        if not isinstance(values, dict):
            return values
        given, way = values.get("weights"), f"--set {cls.component}.weights=FILE"
        if given is None:
            raise UserError(
                f"{cls.component} comes trained, and its weights are not a part of memtk.\n"
                f"Fetch {cls.fetch}\nand say {way}"
            )
        if not isinstance(given, str) or not given:
            return values  # its own message
        found = _digest(Path(given).expanduser(), cls.component, cls.fetch)
        if values.get("digest") not in (None, "", found):
            raise UserError(f"{given}: these are not the weights they were")
        return {**values, "digest": found}


def _digest(path: Path, component: str, fetch: str) -> str:
    try:
        return file_digest(path)[:32]
    except UserError as error:
        way = "" if path.exists() else f".\nFetch {fetch}"
        raise UserError(f"{component}.weights: {error}{way}") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU, without a prefix "module.".

    It may hold a state_dict, a dict with one under "state_dict" (as MedicalNet publishes them), or
    a whole pickled module (as TorchXRayVision does). Of the latter the tensors are taken by their
    names; its classes are neither imported nor called, and need not be installed.

    Raises:
        UserError: if it cannot be read so, or holds no tensors.
    """
    try:
        content = _load(path)
    except Exception as error:  # whatever torch's unpickler stumbles over
        raise UserError(
            f"{path} is damaged, or no file of torch.save that can be read without running code.\n"
            "Where you trust it, save its state_dict alone: torch.save(network.state_dict(), FILE)"
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    found = {}
    if isinstance(content, Mapping):
        found = {str(k): v.detach() for k, v in content.items() if isinstance(v, Tensor)}
    if not found:
        raise UserError(f"{path} holds no weights: expected a state_dict or a module of torch.save")
    return {name.removeprefix("module."): value for name, value in found.items()}


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # it holds more than tensors
        return _read_module(path)


def _read_module(path: Path) -> dict[str, Tensor]:
    """Return the parameters and buffers of a module that was saved whole, by their names.

    torch's unpickler of weights reads the file; it knows tensors, and every other name in the file
    is `Inert`. So nothing of the file is run.
    """
    if not zipfile.is_zipfile(path):
        return read_legacy_module(path)
    names = get_unsafe_globals_in_checkpoint(path)
    with safe_globals([(Inert, name) for name in names]):
        content = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value for name, value in named_values(content) if isinstance(value, Tensor)}


def fill(network: nn.Module, weights: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Give a network its weights; counts of batches, which only training needs, may be missing.

    Args:
        what: the network, for messages.

    Raises:
        UserError: if a weight is missing or has another shape.
    """
    wanted = network.state_dict()
    taken = {}
    for name, tensor in wanted.items():
        found = weights.get(name)
        if found is None and name.endswith("num_batches_tracked"):
            found = tensor
        if found is None or found.shape != tensor.shape:
            said = "is missing" if found is None else f"has the shape {tuple(found.shape)}"
            raise UserError(
                f"{path} does not fit {what}: {name} {said}, expected {tuple(tensor.shape)}"
            )
        taken[name] = found
    network.load_state_dict(taken)
