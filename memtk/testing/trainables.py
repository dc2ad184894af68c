"""What a checkpoint of every generator and embedder must keep; a training that is checked."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from memtk.errors import UserError
from memtk.interfaces import Trainable
from memtk.testing.case import Case
from memtk.testing.learning import LEARNING
from memtk.testing.ledger import record_training
from memtk.testing.phases import PHASES
from memtk.testing.settings import SETTINGS
from memtk.training.checkpoints import load_checkpoint, write_checkpoint


def check_checkpoints_load_into_a_fresh_instance(case: Case) -> None:
    """The `state_dict` of a trained model is one of a fresh one, and holds tensors alone."""
    reload(case.model, case.make())


def learn(model: Trainable, images: Tensor) -> None:
    """Train a little as the core does.

    Args:
        images: the training set, (N, C, *S) in [-1, 1]; each step takes all of it.

    Raises:
        AssertionError: if a loss is unsound, or a turn moves other weights than its own.
    """
    case = Case(type(model), spec=model.spec, images=images)
    case.__dict__["_training"] = record_training(model, images)
    for check in LEARNING if case.training.steps else ():
        if not case.training.rows and "encodings" in check.__name__:
            continue
        check(case)


def reload(model: Trainable, fresh: Any) -> Any:
    """Write the model's checkpoint and load it into `fresh`, as another process would.

    Raises:
        AssertionError: if the file does not fit a fresh instance.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        write_checkpoint(model, path, 0)
        try:
            load_checkpoint(fresh, path)
        except UserError as error:
            reason = str(error).splitlines()[0].partition(": ")[2]
            raise AssertionError(
                f"the state_dict of {type(model).__name__} cannot be loaded into a fresh "
                f"instance: {reason}"
            ) from error
    return fresh.eval()


TRAINABLE = (
    *SETTINGS,
    *PHASES,
    *LEARNING,
    check_checkpoints_load_into_a_fresh_instance,
)
