"""What every membership attack must keep to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, Images
from memtk.testing.case import Case
from memtk.testing.choices import Nearness
from memtk.testing.randomness import check_no_global_randomness
from memtk.testing.rote import Rote
from memtk.testing.rows import TOLERANCE
from memtk.testing.samples import smooth_images
from memtk.testing.settings import SETTINGS
from memtk.testing.verdict import DoesNotApply, applies, expect
from memtk.training.attacking import make_target
from memtk.training.devices import open_devices

MEMBERS, OTHERS = 8, 7
"""Images that the generator of the checks has learnt, and images that it has not."""


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


def check_members_of_a_rote_learner_score_higher(case: Case) -> None:
    """On a generator that has learnt its training images by rote, members stand out."""
    scores = _scores(case)
    above = float((scores[:MEMBERS, None] > scores[None, MEMBERS:]).mean())
    expect(
        above > 0.8,
        f"{case.cls.__name__}: a member scores above a non-member in {above:.0%} of the pairs, on "
        "a generator that has learnt its training images by rote; higher must mean a member",
    )


def _check_same(case: Case, want: np.ndarray, found: np.ndarray, when: str) -> None:
    off = float(np.abs(found - want).max())
    expect(
        off <= max(case.tolerance, TOLERANCE) * max(1.0, float(np.abs(want).max())),
        f"{case.cls.__name__} scores an image differently (by {off:.2g}) {when}",
    )


def _scores(case: Case, batch_size: int = 64, blank: bool = False) -> Any:
    """Attack a rote learner with its training images and others, in one set.

    Raises:
        DoesNotApply: if the attack needs what a rote learner does not have.
    """
    x = smooth_images(case.shape, MEMBERS + OTHERS, 3)
    generator = Rote(ComponentConfig(), case.shape).eval()
    generator.learn([x[:MEMBERS]])
    attack = case.make()
    missing = [name for name in getattr(attack, "uses", ()) if not hasattr(generator, name)]
    applies(not missing, f"the generator of the check has no method {', '.join(missing)}")
    target = make_target(
        generator,
        MemoryImages(x[:MEMBERS]),
        seed=0,
        devices=open_devices("cpu"),
        batch_size=batch_size,
        embed=_flat,
        similarity=Nearness(),
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


ATTACK = (
    *SETTINGS,
    check_it_says_what_it_uses,
    check_scores_are_finite_and_one_an_image,
    check_attacking_twice_gives_the_same,
    check_attacking_uses_no_global_random_state,
    check_batch_size_does_not_change_scores,
    check_a_score_belongs_to_its_image_alone,
    check_members_of_a_rote_learner_score_higher,
)
