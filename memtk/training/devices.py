"""The device and the processes of a run, by `accelerate`."""

from __future__ import annotations

import atexit
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from memtk.errors import UserError, did_you_mean
from memtk.interfaces import Phase, Trainable

NAMES = ("auto", "cpu", "cuda", "mps")

T = TypeVar("T")


class ShallowInFloat32(TorchFunctionMode):
    """Computes convolutions of volumes with fewer slices than their kernel in float32.

    In bfloat16 on a CPU (torch 2.13 with oneDNN) the gradient of their weights is of memory that is
    not theirs: finite or not, another one each time, and now and then the process is ended by it.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; one of these convolutions with float32."""
        kwargs = kwargs or {}
        if func not in (torch.conv3d, torch.conv_transpose3d):
            return func(*args, **kwargs)
        given = dict(zip(("input", "weight"), args, strict=False)) | kwargs
        if given["input"].shape[-3] >= given["weight"].shape[-3]:
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            args = [each.float() if isinstance(each, Tensor) else each for each in args]
            kwargs = {k: v.float() if isinstance(v, Tensor) else v for k, v in kwargs.items()}
            return func(*args, **kwargs)


@dataclass(frozen=True)
class Devices:
    """One device in each process, and what the processes say to each other.

    Every method that talks to other processes must be called in all of them.
    """

    accelerator: Accelerator
    workers: int = 1
    """Processes of this one's own that may read files."""

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.accelerator.device

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return self.accelerator.process_index

    @property
    def world(self) -> int:
        """Number of processes."""
        return self.accelerator.num_processes

    @property
    def is_main(self) -> bool:
        """True in the one process that writes files and reports events."""
        return self.accelerator.is_main_process

    def precision(self, setting: str) -> torch.dtype | None:
        """Return the dtype to compute in under autocast, None for plain float32.

        Args:
            setting: "float32", "bfloat16", or "auto": bfloat16 where the hardware multiplies it
                faster (a CPU with amx_bf16, a GPU since NVIDIA's Ampere). With avx512_bf16 alone
                a step of the demo presets takes 1.3 to 1.5 times as long as in float32.
        """
        if setting == "auto":
            setting = "bfloat16" if _fast_bfloat16(self.device) else "float32"
        return torch.bfloat16 if setting == "bfloat16" else None

    @contextmanager
    def autocast(self, dtype: torch.dtype | None) -> Iterator[None]:
        """Compute in `dtype`; weights stay float32."""
        if dtype is None:
            yield
            return
        shallow = ShallowInFloat32() if self.device.type == "cpu" else nullcontext()
        with torch.autocast(self.device.type, dtype=dtype), shallow:
            yield

    def wait(self) -> None:
        """Wait until every process has come here."""
        self.accelerator.wait_for_everyone()

    def distribute(self, model: nn.Module) -> nn.Module:
        """Join the gradients of all processes (DDP). With one process, `model` itself."""
        if self.world == 1:
            return model
        wrapped: nn.Module = self.accelerator.prepare_model(model, device_placement=False)
        return wrapped

    def release(self) -> None:
        """Forget the models that were distributed."""
        if self.world > 1:
            self.accelerator.free_memory()

    def joined(self, model: nn.Module, sync: bool) -> AbstractContextManager[Any]:
        """Hold the gradients back in this process unless `sync`."""
        return nullcontext() if sync else self.accelerator.no_sync(model)

    def total(self, x: Tensor) -> Tensor:
        """Sum `x`, of one shape everywhere, over the processes."""
        return x if self.world == 1 else self.accelerator.reduce(x, reduction="sum")

    def gather(self, x: Tensor) -> Tensor:
        """Concatenate `x`, of one shape everywhere, along axis 0, in the order of the ranks."""
        return x if self.world == 1 else self.accelerator.gather(x.contiguous())

    def collect(self, value: T) -> list[T]:
        """Return the picklable `value` of every process, in the order of the ranks."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(values, value)
        return values

    def align(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite `tensors` with those of rank 0."""
        if self.world > 1:
            for tensor in tensors:
                tensor.copy_(broadcast(tensor.detach().clone(), from_process=0))

    def write(self, blocks: Iterable[T], write: Callable[[Iterable[T]], object]) -> None:
        """Hand `blocks`, which all processes compute together, to `write` in the first one."""
        if self.is_main:
            write(blocks)
        else:
            deque(blocks, maxlen=0)  # computes its share and keeps nothing
        self.wait()


class OneProcess(Devices):
    """A device of this process, which asks nothing of others that there may be."""

    def __init__(self, device: torch.device) -> None:
        object.__setattr__(self, "_device", device)

    device = property(lambda self: self._device)
    rank = property(lambda self: 0)
    world = property(lambda self: 1)
    is_main = property(lambda self: True)

    def wait(self) -> None:
        """Go on: nobody else is waited for."""

    def joined(self, model: nn.Module, sync: bool) -> AbstractContextManager[Any]:
        """Go on: there are no other gradients."""
        return nullcontext()


def shard(rows: range, rank: int, world: int) -> range:
    """Return part `rank` of `world` of `rows`; the parts' lengths differ by 1 at most.

    >>> [shard(range(5), rank, 2) for rank in range(2)]
    [range(0, 2), range(2, 5)]
    """
    return rows[len(rows) * rank // world : len(rows) * (rank + 1) // world]


def open_devices(name: str = "auto", workers: int = 1) -> Devices:
    """Find the device and join the processes (of `accelerate launch` or `torchrun`).

    Args:
        name: "cpu", "cuda", "mps", or "auto": cuda where there is one, else cpu.
        workers: processes that the first one may start to read files; see `memtk.prefetch`.

    Raises:
        UserError: if there is no such device, or this process already works on another one.
    """
    kind = _kind_of(name)
    joined = DistributedDataParallelKwargs(find_unused_parameters=True)  # turns alternate
    try:
        accelerator = Accelerator(cpu=kind == "cpu", mixed_precision="no", kwargs_handlers=[joined])
    except ValueError as error:
        raise UserError(f"device {kind!r} cannot be used: {error}") from error
    if accelerator.device.type != kind:
        raise UserError(
            f"device {kind!r} was asked for; this process works on {accelerator.device.type} "
            "already. Start a new one (and unset ACCELERATE_USE_CPU)."
        )
    if accelerator.num_processes > 1:
        # Threads of the process group that outlive the interpreter abort the process at its end.
        atexit.unregister(_leave)
        atexit.register(_leave)
    return Devices(accelerator, workers)


def one_process(name: str = "auto") -> OneProcess:
    """Find the device for what this process does by itself, such as within another's training.

    Args:
        name: as of `open_devices`; of several CUDA devices the current one is taken.

    Raises:
        UserError: if there is no such device.
    """
    kind = _kind_of(name)
    if kind == "cuda":
        return OneProcess(torch.device(kind, torch.cuda.current_device()))
    return OneProcess(torch.device(kind))


def _kind_of(name: str) -> str:
    """Return the kind of device that a name asks for.

    Raises:
        UserError: if there is none such.
    """
    if name not in NAMES:
        raise UserError(
            f"unknown device {name!r}: there are {', '.join(NAMES)}.{did_you_mean(name, NAMES)}"
        )
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = name if name != "auto" else "cuda" if has["cuda"] else "cpu"
    if not has[kind]:
        there = ", ".join(k for k, found in has.items() if found)
        raise UserError(
            f"device {kind!r} was asked for; this machine has {there}. Use --device auto."
        )
    return kind


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0) or torch.version.hip is not None
    if device.type == "cpu":
        ask = getattr(torch.cpu, "get_capabilities", dict)  # older torch cannot tell
        found: dict[str, object] = ask()
        return bool(found.get("amx_bf16"))
    return False


def blocks_of(model: Trainable, phase: Phase) -> list[nn.Module]:
    """Return what `model.blocks_of(phase.name)` names, none where it has no such method.

    A model may have it; it returns modules of its own that the losses of a phase pass through by
    calling them, none inside another: residual blocks, levels of a U-Net. A block must not keep
    statistics of what passes through it (batch norm), which `recompute` would count twice.
    """
    found = getattr(model, "blocks_of", None)
    return list(dict.fromkeys(found(phase.name))) if found else []


def check_settings(model: Trainable, phase: Phase) -> None:
    """See that a model can do what the settings of a phase ask.

    Raises:
        UserError: if it cannot, with the way out.
    """
    settings = phase.settings
    if phase.whole_batch and settings.accumulate > 1:
        raise UserError(
            f"phase {phase.name!r} has accumulate = {settings.accumulate}, but its loss "
            "compares the images of a batch, which cannot be split: set accumulate to 1"
        )
    if settings.crop:
        _check_crop(model, phase)
    if settings.enough and phase.measure is None:
        raise UserError(
            f"phase {phase.name!r} has enough = {settings.enough:g}, but nothing measures how far "
            "it is: leave enough out"
        )
    asked = "recompute" if settings.recompute else "compile"
    if (settings.recompute or settings.compile != "off") and not blocks_of(model, phase):
        raise UserError(
            f"{type(model).__name__} names no blocks of its phase {phase.name!r}, which "
            f"{asked} works on: leave {asked} as it is by default"
        )


def _check_crop(model: Trainable, phase: Phase) -> None:
    crop, shape = phase.settings.crop, model.spec.shape
    asked, whole = ("x".join(map(str, sides)) for sides in (crop, shape))
    where = f"{type(model).__name__}: crop = {asked} of phase {phase.name!r}"
    if phase.crops is None or phase.encode is not None:
        raise UserError(f"{where}, which trains on whole images alone: leave crop out")
    if len(crop) != len(shape) or any(c > n for c, n in zip(crop, shape, strict=True)):
        raise UserError(
            f"{where} does not lie in images of {whole}: give {len(shape)} sides, none longer"
        )
    try:
        phase.crops(replace(model.spec, shape=crop))
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


class Blocks:
    """Gives the blocks of a phase another `forward` until `close`.

    - `recompute`: the activations inside a block are forgotten and computed again when the
      backward pass reaches it, with the same dropout. Chen et al., arXiv 1604.06174.
    - `compile`: `torch.compile`, block by block, so that equal blocks are compiled once. What draws
      from `Noise` lies outside. After torch's limit of versions of one function (8), the others
      run as they are, with a warning of torch's.
    """

    def __init__(self, model: Trainable, phase: Phase) -> None:
        settings = phase.settings
        self._replaced: list[tuple[nn.Module, Callable[..., Any] | None]] = []
        if not settings.recompute and settings.compile == "off":
            return
        for block in blocks_of(model, phase):
            forward: Callable[..., Any] = block.forward
            if settings.compile != "off":
                forward = torch.compile(forward, backend=settings.compile)
            if settings.recompute:
                forward = partial(checkpoint, forward, use_reentrant=False)
            self._replaced.append((block, vars(block).get("forward")))
            block.forward = forward

    def close(self) -> None:
        """Give every block its own `forward` again."""
        for block, own in self._replaced:
            del block.forward
            if own is not None:
                block.forward = own
        self._replaced.clear()
