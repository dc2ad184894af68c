"""Everything that is said of one synthetic set, from embeddings to verdicts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from memtk.errors import UserError
from memtk.interfaces import Similarity
from memtk.memorization.conformal import ConformalTest, conformal
from memtk.memorization.dar import Dar, Matched, cutoff, dar, dar_matched
from memtk.memorization.exposure import exposed_patients
from memtk.memorization.rows import Source
from memtk.memorization.search import TILE, Execution, Gather, Search, search


@dataclass(frozen=True)
class Embeddings:
    """The three sets as one embedder sees them, or the images themselves in image space.

    Args:
        training: (N, D), or anything with `len` and slices; see `search`.
        validation: (V, D).
        synthetic: (M, D).
    """

    training: Source
    validation: Source
    synthetic: Source


@dataclass(frozen=True)
class Judgement:
    """What every protocol says of one synthetic set.

    Args:
        dar: the reference method.
        matched: the same at equal sizes.
        copies: the conformal test of the synthetic images.
        exposure: that of the training images; None if no embedder for it was given.
        patients_exposed: training patients with at least one flagged image; None likewise.
        arrays: what it was computed from, by name. "a_b" is the similarity of each a image to its
            nearest b image, float64; "a_b_index" which one it is, int64; "a_b_above" how many are
            above the threshold of `dar`, int64. From the embedder for the copies:
            train_validation, validation_train, train_synthetic, synthetic_train with their _index,
            the latter two with _above; "memorized" (N,) and "copied" (M,) by `dar`, bool;
            "copies_p" (M,) and "copies_flagged" (M,). From the embedder for the exposure, if
            there: exposure_train_synthetic, exposure_synthetic_train,
            exposure_validation_synthetic, exposure_synthetic_validation with their _index;
            "exposure_p" (N,), "exposure_flagged" (N,) and "exposure_patient_flagged" (N,), whether
            the patient of the image is.
    """

    dar: Dar
    matched: Matched
    copies: ConformalTest
    exposure: ConformalTest | None
    patients_exposed: int | None
    arrays: dict[str, np.ndarray]


def judge(
    copies: Embeddings,
    exposure: Embeddings | None = None,
    *,
    similarity: Similarity,
    validation_patients: Sequence[Hashable] = (),
    training_patients: Sequence[Hashable] = (),
    alpha: float = 0.05,
    fdr: float = 0.1,
    tile: tuple[int, int] = TILE,
    device: str | torch.device = "cpu",
    rank: int = 0,
    world: int = 1,
    gather: Gather | None = None,
) -> Judgement:
    """Search and judge one synthetic set. Every process of several gets the same judgement.

    The embedder must not have seen one side of a comparison and not the other. For the copies,
    synthetic against validation images, it has seen the training images alone; for the exposure,
    training against validation images, the synthetic images alone. In image space there is no
    embedder and both are the same.

    Args:
        copies: as seen by the embedder of the copies.
        exposure: as seen by that of the exposure; None leaves the exposure out.
        similarity: see `search`, and `Execution` for tile, device, rank, world and gather.
        validation_patients: the patient of each validation image; if empty, each is another.
        training_patients: the patient of each training image; likewise.
        alpha: level of a single conformal test.
        fdr: false discovery rate of what is flagged.

    Raises:
        UserError: if a set is empty or of another size than its patients, or a row has no
            similarity.

    >>> from memtk.registry import open_registry
    >>> cosine = open_registry().load("similarity", "cosine")()
    >>> angles = {"training": [0.0, 1.0, 2.0], "validation": [0.5, 1.5], "synthetic": [1.0, 2.7]}
    >>> rows = {k: np.stack([np.cos(v), np.sin(v)], 1) for k, v in angles.items()}
    >>> said = judge(Embeddings(**rows), similarity=cosine)
    >>> said.dar.n_mem, said.dar.n_copies, said.dar.memorized.tolist()
    (1, 1, [False, True, False])
    >>> said.copies.p.round(3).tolist(), said.arrays["train_synthetic_index"].tolist()
    ([0.333, 1.0], [0, 0, 1])
    """
    if len(training_patients) not in (0, len(copies.training)):
        raise UserError(
            f"{len(copies.training)} training images but {len(training_patients)} patients: name "
            "the patient of each image."
        )

    def nearest(sets: Embeddings, pair: tuple[str, str], threshold: float | None = None) -> Search:
        return search(
            getattr(sets, pair[0]),
            getattr(sets, pair[1]),
            similarity,
            threshold=threshold,
            execution=Execution(device, rank, world, gather, tile),
            names=(f"{pair[0]} images", f"{pair[1]} images"),
        )

    strangers = nearest(copies, ("training", "validation"))
    limit = cutoff(strangers.queries.similarity)
    made = nearest(copies, ("training", "synthetic"), limit)
    assert made.queries.above is not None
    reference = dar(
        strangers.queries.similarity,
        made.queries.similarity,
        made.references.similarity,
        strangers.references.similarity,
    )
    matched = dar_matched(made.queries.above, len(copies.synthetic), len(copies.validation))
    copied = conformal(
        made.references.similarity,
        strangers.references.similarity,
        validation_patients,
        alpha=alpha,
        fdr=fdr,
    )
    arrays = {
        **_flat("train", "validation", strangers),
        **_flat("train", "synthetic", made),
        "memorized": reference.memorized,
        "copied": reference.copies,
        "copies_p": copied.p,
        "copies_flagged": copied.flagged,
    }
    if exposure is None:
        return Judgement(reference, matched, copied, None, None, arrays)
    same = similarity.space == "image" or exposure is copies
    seen = made if same else nearest(exposure, ("training", "synthetic"))
    unseen = nearest(exposure, ("validation", "synthetic"))
    exposed = conformal(
        seen.queries.similarity,
        unseen.queries.similarity,
        validation_patients,
        alpha=alpha,
        fdr=fdr,
    )
    seen = Search(replace(seen.queries, above=None), replace(seen.references, above=None))
    arrays |= {
        **_flat("train", "synthetic", seen, "exposure_"),
        **_flat("validation", "synthetic", unseen, "exposure_"),
        "exposure_p": exposed.p,
        "exposure_flagged": exposed.flagged,
        "exposure_patient_flagged": _of_exposed(
            seen.queries.similarity,
            training_patients,
            unseen.queries.similarity,
            validation_patients,
            fdr,
        ),
    }
    patients = training_patients or range(len(exposed.flagged))
    count = len({patients[i] for i in np.flatnonzero(exposed.flagged).tolist()})
    return Judgement(reference, matched, copied, exposed, count, arrays)


def _of_exposed(
    test: np.ndarray,
    patients: Sequence[Hashable],
    validation: np.ndarray,
    validation_patients: Sequence[Hashable],
    fdr: float,
) -> np.ndarray:
    """Return which training images belong to a patient that is flagged as exposed, bool (N,)."""
    found = exposed_patients(test, patients, validation, validation_patients, fdr=fdr)
    flagged = dict(zip(found.names, found.flagged.tolist(), strict=True))
    return np.array([flagged[name] for name in patients or range(len(test))])


def _flat(a: str, b: str, found: Search, prefix: str = "") -> dict[str, np.ndarray]:
    """Name the arrays of a search of `a` among `b`."""
    arrays = {}
    for name, side in ((f"{a}_{b}", found.queries), (f"{b}_{a}", found.references)):
        arrays[f"{prefix}{name}"] = side.similarity
        arrays[f"{prefix}{name}_index"] = side.index
        if side.above is not None:
            arrays[f"{prefix}{name}_above"] = side.above
    return arrays
