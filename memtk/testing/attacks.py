"""What every membership attack must keep to, and the generator that it is checked on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.interfaces import (
    ComponentConfig,
    Diffusion,
    Generator,
    Images,
    ImageSpec,
    Phase,
    PhaseSettings,
    Target,
)
from memtk.noise import Noise
from memtk.testing.assertions import (
    TOLERANCE,
    DoesNotApply,
    applies,
    check_no_global_randomness,
    expect,
)
from memtk.testing.case import Case, smooth_images
from memtk.testing.similarities import NegativeDistance
from memtk.training.devices import open_devices
from memtk.training.inference import scorer

MEMBERS, OTHERS = 8, 7
"""Images that the generator of the checks has learnt, and images that it has not."""

LENGTH = 50
"""Times of its noising process, T."""


class MemorizingGenerator(Generator):
    """The best possible diffusion model of its training images, and of nothing else.

    Its samples are its training images, each in turn. Its network is the noise that explains `z_t`
    best if nothing exists but the training images x_i:

        eps = (z_t - sqrt(a_t) sum_i w_i x_i) / sqrt(1 - a_t),
        w_i ~ exp(-|z_t - sqrt(a_t) x_i|^2 / (2 (1 - a_t))).
    """

    images: Tensor

    def __init__(self, config: ComponentConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.register_buffer("images", torch.empty(0, spec.channels, *spec.shape))

    def phases(self) -> tuple[Phase, ...]:
        """Return one phase, which looks at every image once and takes no step."""
        settings = PhaseSettings.model_validate({"steps": 0})
        return (Phase("memorize", settings, begin=self.learn),)

    def learn(self, batches: Iterable[Tensor]) -> None:
        """Keep images (N, C, *S)."""
        self.images = torch.cat(list(batches))

    def sample(self, noise: Noise) -> Tensor:
        """Return a training image for each stream, (B, C, *S)."""
        return self.images[torch.tensor(noise.indices, dtype=torch.int64) % len(self.images)]

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return images (B, C, *S) as they are: it has no autoencoder."""
        return x

    def diffusion(self) -> Diffusion:
        """Return the process on the images themselves."""
        kept = torch.linspace(0.999, 0.01, LENGTH)
        return Diffusion(kept=kept, clean=lambda x: x, noise=self._noise)

    def denoising_loss(self, x: Tensor, t: Tensor, noise: Noise) -> Tensor:
        """Return the mean squared error of the noise that is found, (B,)."""
        eps = noise.normal(*x.shape[1:])
        found = self._noise(self.diffusion().noised(x, eps, t), t)
        return (found - eps).square().flatten(1).mean(1)

    def _noise(self, z: Tensor, t: Tensor) -> Tensor:
        kept = self.diffusion().kept[t].reshape(-1, 1).double()  # (B, 1)
        rows, known = z.flatten(1).double(), self.images.flatten(1).double()
        squares = (rows[:, None] - kept.sqrt()[..., None] * known).square().sum(2)  # (B, N)
        weights = torch.softmax(-squares / (2 * (1 - kept)), 1)
        eps = (rows - kept.sqrt() * (weights @ known)) / (1 - kept).sqrt()
        return eps.to(z).reshape(z.shape)


def check_it_says_what_it_uses(case: Case) -> None:
    """`uses` names methods of a generator, so that it is not run on one that lacks them."""
    uses = getattr(case.make(), "uses", None)
    expect(
        isinstance(uses, tuple) and all(isinstance(name, str) for name in uses),
        f"{case.cls.__name__}.uses is {uses!r}, not a tuple of names of a generator's methods",
    )


def check_scores_are_finite_and_one_an_image(case: Case) -> None:
    """Scores are (N,) and finite."""
    scores, name = _scores(case), case.cls.__name__
    expect(
        isinstance(scores, np.ndarray) and scores.shape == (MEMBERS + OTHERS,),
        f"{name} gives scores of shape {np.shape(scores)} for {MEMBERS + OTHERS} images",
    )
    expect(bool(np.isfinite(scores).all()), f"{name} gives scores that are not finite")


def check_attacking_twice_gives_the_same(case: Case) -> None:
    """An attack that draws does so from `noise`, or by a seed of its own."""
    same = np.array_equal(_scores(case), _scores(case))
    expect(same, f"{case.cls.__name__} gives other scores the second time")


def check_attacking_uses_no_global_random_state(case: Case) -> None:
    """The global generators are neither used nor moved."""
    check_no_global_randomness(
        f"{case.cls.__name__}.score", lambda: torch.from_numpy(np.asarray(_scores(case)))
    )


def check_batch_size_does_not_change_scores(case: Case) -> None:
    """An image has one score, whatever batch it is computed in."""
    _check_same(case, _scores(case), _scores(case, batch_size=2), "in batches of two")


def check_a_score_belongs_to_its_image_alone(case: Case) -> None:
    """Nobody's score changes with who else is asked about."""
    whole, changed = _scores(case), _scores(case, blank=True)
    _check_same(case, whole[:-1], changed[:-1], "when another image of the set is changed")


def check_members_of_a_memorizing_generator_score_higher(case: Case) -> None:
    """On a generator that has memorized its training images, members stand out."""
    scores = _scores(case)
    above = float((scores[:MEMBERS, None] > scores[None, MEMBERS:]).mean())
    expect(
        above > 0.8,
        f"{case.cls.__name__}: a member scores above a non-member in {above:.0%} of the pairs, on "
        "a generator that has memorized its training images; higher must mean a member",
    )


def _check_same(case: Case, want: np.ndarray, found: np.ndarray, when: str) -> None:
    off = float(np.abs(found - want).max())
    expect(
        off <= max(case.tolerance, TOLERANCE) * max(1.0, float(np.abs(want).max())),
        f"{case.cls.__name__} scores an image differently (by {off:.2g}) {when}",
    )


def _scores(case: Case, batch_size: int = 64, blank: bool = False) -> Any:
    """Attack a memorizing generator with its training images and others, in one set.

    Raises:
        DoesNotApply: if the attack needs what a memorizing generator does not have.
    """
    x = smooth_images(case.shape, MEMBERS + OTHERS, 3)
    generator = MemorizingGenerator(ComponentConfig(), case.shape).eval()
    generator.learn([x[:MEMBERS]])
    attack = case.make()
    missing = [name for name in getattr(attack, "uses", ()) if not hasattr(generator, name)]
    applies(not missing, f"the generator of the check has no method {', '.join(missing)}")
    target = Target(
        generator,
        MemoryImages(x[:MEMBERS]),
        scorer(generator, seed=0, batch_size=batch_size, devices=open_devices("cpu")),
        embed=_flat,
        similarity=NegativeDistance(),
        strangers=MemoryImages(smooth_images(case.shape, 4, 4)),
    )
    asked: Tensor = torch.cat([x[:-1], x[-1:] * 0]) if blank else x
    try:
        return attack.score(target, MemoryImages(asked))
    except UserError as error:
        reason = str(error).splitlines()[0]
        raise DoesNotApply(f"it refuses the generator of the check: {reason}") from error


def _flat(images: Images) -> np.ndarray:
    flat: np.ndarray = images.read(range(len(images))).flatten(1).numpy()
    return flat
