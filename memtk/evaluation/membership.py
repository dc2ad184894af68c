"""Who was trained on, told from scores: canaries by fair coins, and what attacks make of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from memtk.data.images import StoredImages
from memtk.errors import UserError, many
from memtk.evaluation.calibration import CONFIDENCE
from memtk.interfaces import Images, ImageSpec
from memtk.memorization import (
    FEWEST_CANARIES,
    epsilon_lower_bound,
    guesses_for,
    membership,
    right_guesses,
    scores_of,
)
from memtk.noise import derive
from memtk.results import EpsilonBound, Guesses, Membership, RateInterval, TprAtFpr


@dataclass(frozen=True)
class CanaryPatients:
    """Training patients of whom a fair coin each decided whether the generator learns from them.

    Args:
        names: in an order drawn by lot, which tells nothing of the coins, (m,).
        took_part: bool (m,).
    """

    names: tuple[str, ...] = ()
    took_part: tuple[bool, ...] = ()

    @property
    def held_back(self) -> frozenset[str]:
        """Those whom no network of the run learns from."""
        pairs = zip(self.names, self.took_part, strict=True)
        return frozenset(name for name, took_part in pairs if not took_part)

    def among(self, patients: Sequence[str]) -> CanaryPatients:
        """Return those that are among some patients, chosen before and without the coins."""
        known = set(patients)
        pairs = zip(self.names, self.took_part, strict=True)
        left = [(name, took_part) for name, took_part in pairs if name in known]
        return CanaryPatients(tuple(n for n, _ in left), tuple(t for _, t in left))

    def leave(self, images: StoredImages) -> StoredImages:
        """Return the images without those of patients that are held back."""
        away = self.held_back
        return images.subset([row for row, name in enumerate(images.patients) if name not in away])


def draw_canaries(images: StoredImages, count: int, seed: int) -> CanaryPatients:
    """Draw patients, and toss a fair coin for each.

    Args:
        images: the training images, before any are held back.
        count: patients; 0 gives none.
        seed: of the run. Who knows it knows the coins; no attack is told.

    Raises:
        UserError: for more than there are, or too few to show anything.
    """
    if not count:
        return CanaryPatients()
    patients = sorted(set(images.patients))
    if not FEWEST_CANARIES <= count <= len(patients):
        raise UserError(
            f"{many(count, 'canary')}: at least {FEWEST_CANARIES} are needed to show anything, and "
            f"there are {many(len(patients), 'training patient')} to draw them from"
        )
    rng = np.random.default_rng(derive(seed, "canaries"))
    drawn = rng.permutation(len(patients))[:count]
    coins = rng.integers(2, size=count)
    return CanaryPatients(tuple(patients[i] for i in drawn), tuple((coins == 1).tolist()))


def largest_epsilon(patients: int, delta: float = 0.0) -> float:
    """Return the bound on epsilon that an attack would give if all guesses were right.

    >>> round(largest_epsilon(64), 2), round(largest_epsilon(10), 2)
    (2.53, 1.05)
    """
    return _bound(np.arange(float(patients)), np.arange(patients) >= patients // 2, delta)


class Pool:
    """Several sets of images in one, so that no attack is told which is which."""

    def __init__(self, *parts: Images) -> None:
        self._parts = parts

    @property
    def spec(self) -> ImageSpec:
        """Shape of each image."""
        return self._parts[0].spec

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def read(self, indices: Sequence[int]) -> Tensor:
        """Return the images at `indices`, those of the second part after those of the first."""
        rows = np.asarray(indices, dtype=np.int64)
        x = torch.empty((len(rows), self.spec.channels, *self.spec.shape))
        start = 0
        for part in self._parts:
            mine = (rows >= start) & (rows < start + len(part))
            if mine.any():
                x[torch.from_numpy(mine)] = part.read((rows[mine] - start).tolist())
            start += len(part)
        return x


@dataclass(frozen=True)
class Attacked:
    """The images that an attack scores, in one order.

    Args:
        members: training images, N.
        non_members: validation images, of other patients, V.
        canaries: patients decided by coins; those who took part are among the members, unless a
            mitigation left them out by their looks.
        others: images of canaries that are not among the members.
    """

    members: StoredImages
    non_members: StoredImages
    canaries: CanaryPatients
    others: StoredImages

    @classmethod
    def of(
        cls,
        members: StoredImages,
        non_members: StoredImages,
        canaries: CanaryPatients,
        training: StoredImages,
    ) -> Attacked:
        """Return them; `training` are all training images, with those that were held back."""
        names, known = set(canaries.names), set(members.indices.tolist())
        rows = [
            row
            for row, name in enumerate(training.patients)
            if name in names and int(training.indices[row]) not in known
        ]
        return cls(members, non_members, canaries, training.subset(rows))

    @property
    def pool(self) -> Pool:
        """All of them."""
        return Pool(self.members, self.non_members, self.others)

    def arrays(self, scores: np.ndarray) -> dict[str, np.ndarray]:
        """Return scores of the pool as they are kept: sides, patients by number, canaries.

        A canary's score is the mean over its images.
        """
        first = len(self.members)
        parts = np.split(scores, [first, first + len(self.non_members)])
        found = {"members": parts[0], "non_members": parts[1]}
        for side, images in (("members", self.members), ("non_members", self.non_members)):
            # numbers in place of names, so that the curve can be drawn with patients as the unit
            found[f"{side}_patient"] = scores_of(found[side], images.patients).owner
        if self.canaries.names:
            owners = np.array([*self.members.patients, *self.others.patients])
            own = np.concatenate([parts[0], parts[2]])
            means = [own[owners == name].mean() for name in self.canaries.names]
            found["canaries"] = np.array(means)
            found["canaries_took_part"] = np.array(self.canaries.took_part)
        return found

    def judged(self, arrays: Mapping[str, np.ndarray], how: str, delta: float = 0.0) -> Membership:
        """Return what scores, as `arrays` has them, show; `delta` is of private training."""
        said = membership(
            arrays["members"],
            arrays["non_members"],
            self.members.patients,
            self.non_members.patients,
            confidence=CONFIDENCE,
        )
        epsilon = None
        if "canaries" in arrays:
            epsilon = epsilon_bound(arrays["canaries"], arrays["canaries_took_part"], delta)
        return self.record(
            auc=RateInterval(**asdict(said.auc)) if said.auc else None,
            few=TprAtFpr(**asdict(said.tpr_at_fpr)) if said.tpr_at_fpr else None,
            epsilon=epsilon,
            how=how,
            reason=said.reason,
        )

    def record(
        self,
        *,
        auc: RateInterval | None = None,
        few: TprAtFpr | None = None,
        epsilon: EpsilonBound | None = None,
        how: str = "",
        reason: str = "",
    ) -> Membership:
        """Return the record of an attack on them; without numbers, `reason` says why."""
        return Membership(
            member_images=len(self.members),
            member_patients=len(set(self.members.patients)),
            non_member_images=len(self.non_members),
            non_member_patients=len(set(self.non_members.patients)),
            confidence=CONFIDENCE,
            auc=auc,
            tpr_at_fpr=few,
            epsilon=epsilon,
            how=how,
            reason=reason,
        )


def epsilon_bound(scores: np.ndarray, took_part: np.ndarray, delta: float = 0.0) -> EpsilonBound:
    """Return the lower bound on epsilon that scores (m,) show of who `took_part`, bool (m,).

    See `epsilon_lower_bound`, of `delta` too.
    """
    took_part = np.asarray(took_part, dtype=bool)
    tried = guesses_for(len(scores))
    return EpsilonBound(
        low=_bound(scores, took_part, delta),
        largest=largest_epsilon(len(scores), delta),
        delta=delta,
        confidence=CONFIDENCE,
        patients=len(scores),
        took_part=int(took_part.sum()),
        tried=[Guesses(count=r, right=right_guesses(scores, took_part, r)) for r in tried],
    )


def _bound(scores: np.ndarray, took_part: np.ndarray, delta: float) -> float:
    return epsilon_lower_bound(
        scores, took_part, guesses=guesses_for(len(scores)), delta=delta, confidence=CONFIDENCE
    )
