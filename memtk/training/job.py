"""A training: what is asked for, what its phases share, and what each of them trains on."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from memtk.errors import UserError
from memtk.events import StageEvents, Watch
from memtk.files import replacing
from memtk.interfaces import Images, Phase, Private, Trainable
from memtk.noise import Noise, derive, seeded
from memtk.prefetch import prefetch
from memtk.training.batches import (
    Augment,
    MicroBatch,
    Order,
    UnshuffledOrder,
    micro_batches,
    whole_batch,
)
from memtk.training.checkpoints import Checkpointer, steps_of
from memtk.training.devices import Devices
from memtk.training.inference import eval_mode, map_rows
from memtk.training.privacy import PrivateTraining, phantom_batches


@dataclass(frozen=True)
class TrainingOptions:
    """What may be asked of a training beside its model, images and seed.

    Args:
        name: of the model, for events and messages.
        checkpoints: how many to keep of the last phase.
        augment: `(x (B, C, *S), noise) -> x`, drawn anew at each step; before an encoder, for
            `PhaseSettings.variants` variants of each image once.
        private: train with differential privacy; see `memtk.training.private_steps`.
        save_every: least seconds between two savings of the state.
    """

    name: str = "model"
    checkpoints: int = 1
    augment: Augment | None = None
    private: Private | None = None
    save_every: float = 30.0


@dataclass(frozen=True)
class TrainingJob:
    """One training under way: what does not change while its phases are trained.

    Args:
        phases: of the model, in their order.
        images: the training set, read piece by piece.
        seed: decides on order, noise and dropout.
        checkpointer: writes its files, in its folder.
        private: what it goes by where it is private.
    """

    model: Trainable
    phases: tuple[Phase, ...]
    images: Images
    seed: int
    devices: Devices
    options: TrainingOptions
    watch: Watch
    checkpointer: Checkpointer
    private: PrivateTraining | None = None

    def events(self, phase: Phase, what: str = "training") -> StageEvents:
        """Return what tells of a phase."""
        stage = f"{what} {self.options.name}: {phase.name}"
        return StageEvents(stage, self.watch, self.devices.is_main)


VOXELS = 2**25
"""As many voxels as are read at a time of images that are encoded, or one image: 128 MiB."""


class Inputs(Protocol):
    """The rows that a phase trains on, found by global sample position k (see `MicroBatch`)."""

    @property
    def order(self) -> Order:
        """Which image each sample is of."""
        ...

    def read(self, samples: Sequence[int]) -> Tensor:
        """Return the row of each sample, on the CPU."""
        ...

    def augment(self, x: Tensor, samples: Sequence[int]) -> Tensor:
        """Augment the rows of a step, which are on the device by now."""
        ...

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield the training set once and in order, on the CPU."""
        ...

    def of_images(self, images: Sequence[int]) -> Tensor:
        """Return the row of each of these images, on the CPU."""
        ...


@dataclass(frozen=True)
class ImageInputs:
    """The images (B, C, *S), augmented at each step. `batches` gives them as they are.

    With a crop, a step is given a block (B, C, *crop) of each. It is cut out after augmentation, so
    that a turned image brings its own voxels into the block.
    """

    images: Images
    order: Order
    augmentation: Augment | None = None
    crop: tuple[int, ...] = ()

    def read(self, samples: Sequence[int]) -> Tensor:
        """Return the image of each sample, or its block where nothing is augmented."""
        x = self.images.read(self.order.images(samples))
        return x if self.augmentation else self._cut(x, samples)

    def augment(self, x: Tensor, samples: Sequence[int]) -> Tensor:
        """Augment sample k by stream k."""
        if self.augmentation is None:
            return x
        with torch.no_grad():
            seed = derive(self.order.seed, self.order.phase, "augment")
            return self._cut(self.augmentation(x, Noise(seed, samples, x.device)), samples)

    def _cut(self, x: Tensor, samples: Sequence[int]) -> Tensor:
        """Return a block of each row, its place drawn from stream k."""
        if not self.crop:
            return x
        noise = Noise(derive(self.order.seed, self.order.phase, "crop"), samples)
        sides = zip(x.shape[2:], self.crop, strict=True)
        starts = torch.stack([noise.integers(n - c + 1) for n, c in sides], 1)  # (B, axes)
        blocks = []
        for image, start in zip(x, starts.tolist(), strict=True):
            places = zip(start, self.crop, strict=True)
            blocks.append(image[(..., *(slice(first, first + c) for first, c in places))])
        return torch.stack(blocks)

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield all images."""
        count = len(self.images)
        for start in range(0, count, size):
            yield self.images.read(range(start, min(start + size, count)))

    def of_images(self, images: Sequence[int]) -> Tensor:
        """Return these images."""
        return self.images.read(images)


@dataclass(frozen=True)
class EncodedInputs:
    """Encodings on disk, (N * variants, ...): variant v of image i is row i * variants + v.

    A step takes one variant of each image at random; `batches` gives the first one of each.
    """

    path: Path
    table: np.ndarray
    order: Order
    variants: int

    def read(self, samples: Sequence[int]) -> Tensor:
        """Return an encoding of the image of each sample, its variant drawn from stream k."""
        images = np.asarray(self.order.images(samples))
        if self.variants > 1:
            noise = Noise(derive(self.order.seed, self.order.phase, "variant"), samples)
            images = images * self.variants + noise.integers(self.variants).numpy()
        return torch.from_numpy(self.table[images])

    def augment(self, x: Tensor, samples: Sequence[int]) -> Tensor:
        """Return the rows as they are: the images were augmented before they were encoded."""
        return x

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield one encoding of each image."""
        for start in range(0, self.order.count, size):
            rows = np.arange(start, min(start + size, self.order.count)) * self.variants
            yield torch.from_numpy(self.table[rows])

    def of_images(self, images: Sequence[int]) -> Tensor:
        """Return the first encoding of each of these images."""
        return torch.from_numpy(self.table[np.asarray(images) * self.variants])


def open_inputs(job: TrainingJob, phase: Phase, begun: bool) -> Inputs:
    """Return what the phase trains on, encoded now unless an earlier call did so."""
    kind = UnshuffledOrder if job.private else Order
    order = kind(job.seed, phase.name, len(job.images))
    used = steps_of(phase) > 0 or (phase.begin is not None and not begun)
    if phase.encode is None or not used:
        return ImageInputs(job.images, order, job.options.augment, phase.settings.crop)
    path = job.checkpointer.folder / f"encoded-{phase.name}.npy"
    present = job.devices.collect(path.exists())
    if not begun or not all(present):
        encode(job, phase, phase.encode, path)
    variants = phase.settings.variants if job.options.augment else 1
    return EncodedInputs(path, open_table(path), order, variants)


def begin(job: TrainingJob, phase: Phase, inputs: Inputs) -> None:
    """Let the phase see what it trains on, all of it once; phantoms where it is private."""
    if phase.begin is None:
        return
    job.model.eval()
    device, size = job.devices.device, phase.settings.batch_size
    shown = (x.to(device) for x in inputs.batches(size))
    if job.private:
        shown = (x for x in phantom_batches(phase, job.images.spec, device, size))
    with torch.no_grad(), seeded(derive(job.seed, phase.name, "begin"), device):
        phase.begin(shown)


def batches(
    job: TrainingJob, phase: Phase, inputs: Inputs, steps: range
) -> Generator[tuple[int, list[tuple[MicroBatch, Tensor]]]]:
    """Yield each step's number and this process's micro-batches, on the device."""
    settings, devices = phase.settings, job.devices
    conditions: Tensor | None = getattr(job.images, "conditions", None)

    def told(part: MicroBatch) -> MicroBatch:
        if conditions is None:
            return part
        rows = conditions[inputs.order.images(part.samples)]  # (B, K)
        return replace(part, condition=rows.to(devices.device))

    def samples(step: int) -> list[MicroBatch]:
        if job.private:
            return job.private.micro_batches(phase.name, step)
        if phase.whole_batch:
            return whole_batch(step, settings.batch_size, devices.world, len(job.images))
        size, rank, world = settings.batch_size, devices.rank, devices.world
        return micro_batches(step, size, settings.accumulate, rank, world)

    def read(step: int) -> list[tuple[MicroBatch, Tensor]]:
        mine = samples(step)
        if not mine:  # a private step may be empty
            return []
        x = inputs.read([k for part in mine for k in part.samples])
        return list(zip(mine, x.split([len(part.samples) for part in mine]), strict=True))

    with closing(prefetch(read, steps, settings.prefetch)) as coming:
        for step, batch in zip(steps, coming, strict=True):
            moved = ((part, x.to(devices.device)) for part, x in batch)
            yield step, [(told(part), inputs.augment(x, part.samples)) for part, x in moved]


def encode(job: TrainingJob, phase: Phase, encoder: Callable[[Tensor], Tensor], path: Path) -> None:
    """Write what a phase's `encoder` makes of each image to a .npy file, (N * variants, ...).

    Without augmentation there is one row an image; with it, `phase.settings.variants` of them, row
    i * variants + v augmented by stream i * variants + v. In eval mode, without gradient, in
    float32. The processes share the work; rank 0 writes.
    """
    augment, devices, settings = job.options.augment, job.devices, phase.settings
    variants = settings.variants if augment else 1
    count = len(job.images) * variants
    streams = derive(job.seed, phase.name, "augment")

    def read(rows: Sequence[int]) -> Tensor:
        return job.images.read([row // variants for row in rows])

    def work(rows: Sequence[int], x: Tensor) -> Tensor:
        x = x.to(devices.device)
        with torch.no_grad(), seeded(derive(job.seed, phase.name, "encode", rows[0]), x.device):
            if augment is not None:
                x = augment(x, Noise(streams, rows, x.device))
            z = encoder(x)
        if len(z) != len(rows):
            raise UserError(
                f"{type(job.model).__name__}: encode of phase {phase.name!r} made {len(z)} rows of "
                f"{len(rows)} images; it must keep the batch axis"
            )
        return z.float() if z.is_floating_point() else z

    size = job.images.spec.channels * math.prod(job.images.spec.shape)
    block = max(1, min(settings.batch_size, VOXELS // size))
    with eval_mode(job.model, devices):
        blocks = map_rows(devices, count, block, work, read, settings.prefetch)
        tracked = job.events(phase, "encoding").track(blocks, count)
        devices.write(tracked, lambda rows: write_table(path, rows, count))


def write_table(path: Path, blocks: Iterable[Tensor], count: int) -> None:
    """Write `blocks` of rows, `count` in all, to a .npy file, one after the other."""
    remaining = (block.cpu().numpy() for block in blocks)
    first = next(remaining)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        shape = (count, *first.shape[1:])
        header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
        for block in chain([first], remaining):
            file.write(np.ascontiguousarray(block).data)


def open_table(path: Path) -> np.ndarray:
    """Open what `write_table` wrote, without reading it into memory.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path} is damaged ({error}): delete it and run the same command again"
        ) from error
