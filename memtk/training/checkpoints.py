"""Files of weights: written whole or not at all, read as untrusted input."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from memtk.errors import UserError
from memtk.files import replacing
from memtk.interfaces import Trainable

FORMAT = 1
"""Version of the layout of these files."""

WAY_OUT = "delete it and run the same command again, or run with --no-resume"


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a model after `step` steps of its last phase, in the file `path`."""

    step: int
    path: Path


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return where the checkpoint of `step` lies in the folder of a training."""
    return folder / "checkpoints" / f"step-{step:06d}.pt"


def checkpoint_steps(steps: int, count: int) -> tuple[int, ...]:
    """Return `count` evenly spaced steps, the last = `steps`; fewer where there are fewer steps.

    >>> checkpoint_steps(900, 3)
    (300, 600, 900)
    >>> checkpoint_steps(0, 3)
    (0,)
    """
    if count < 1:
        raise UserError(f"checkpoints = {count}: there is one at least, the final one")
    found = {round(steps * (i + 1) / count) for i in range(count)}
    return tuple(sorted(found - {0})) or (0,)


def write_checkpoint(model: Trainable, path: Path, step: int) -> None:
    """Write the model's `state_dict`."""
    write_file(path, {"format": FORMAT, "step": step, "model": model.state_dict()})


def load_checkpoint(model: Trainable, path: Path) -> None:
    """Give `model` the weights in `path`.

    Raises:
        UserError: if the file is missing, damaged, or of another model or configuration.
    """
    content = read_file(path)
    fill(model, content.get("model"), path)


def load_weights(model: Trainable, path: Path) -> None:
    """Give `model` weights that are brought along: memtk's, or in a format that it knows itself.

    Raises:
        UserError: if the file is missing, damaged, or of another model or configuration.
    """
    take = getattr(model, "take_published", None)
    if take is None or _is_ours(path):
        load_checkpoint(model, path)
    else:
        take(path)


def _is_ours(path: Path) -> bool:
    """Tell whether a file is a checkpoint of memtk."""
    try:
        content = torch.load(path, map_location="meta", weights_only=True)
        return isinstance(content, dict) and {"format", "model"} <= set(content)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError):
        return False


def write_file(path: Path, content: Mapping[str, Any]) -> None:
    """Save a mapping of tensors and plain values."""
    # Through a Python file: torch's own writer hides that the disk is full.
    with replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save(dict(content), file)


def read_file(path: Path) -> dict[str, Any]:
    """Load what `write_file` saved, onto the CPU. Nothing in the file is executed.

    Raises:
        UserError: if the file is missing, damaged, or of another format.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged or no file of memtk's: {WAY_OUT}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is not in the format of this version of memtk: {WAY_OUT}")
    return content


def fill(model: Trainable, weights: Any, path: Path) -> None:
    """Load `weights` into `model`. Buffers may change their size (`begin` may set it).

    Raises:
        UserError: if they do not fit.
    """
    try:
        _resize_buffers(model, weights)
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        raise UserError(
            f"{path} does not fit {type(model).__name__} as it is configured now: "
            f"{reasons[0][:200]}\nIt was made with another configuration: {WAY_OUT}."
        ) from error


def _resize_buffers(model: Trainable, weights: Mapping[str, Tensor]) -> None:
    for prefix, module in model.named_modules():
        for name, buffer in list(module._buffers.items()):
            saved = weights.get(f"{prefix}.{name}" if prefix else name)
            if saved is not None and (buffer is None or buffer.shape != saved.shape):
                device = saved.device if buffer is None else buffer.device
                module._buffers[name] = torch.empty_like(saved, device=device)
