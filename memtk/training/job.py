"""What a training is asked for, and what its phases share."""

from __future__ import annotations

from dataclasses import dataclass

from memtk.events import StageEvents, Watch
from memtk.interfaces import Images, Phase, Private, Trainable
from memtk.training.batches import Augment
from memtk.training.checkpoints import Checkpointer
from memtk.training.devices import Devices
from memtk.training.privacy import PrivateTraining


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
        model: on its device.
        phases: of the model, in their order.
        images: the training set, read piece by piece.
        seed: decides on order, noise and dropout.
        devices: that it runs on.
        options: as asked.
        watch: told of the progress.
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
