"""How much a generator memorizes, as a metric of a running training: `torchmetrics.Metric`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memtk.api.audit import speaking_python
from memtk.api.paths import name_of, texts_of
from memtk.api.reference import Reference, Whose, numbers, reference_of
from memtk.auditing.plan import AuditOptions
from memtk.components import find_component
from memtk.config import build, merge, parse_set
from memtk.data.images import MemoryImages
from memtk.errors import UserError, many
from memtk.evaluation.evaluate import Evaluation, evaluate
from memtk.interfaces import CheckpointScores
from memtk.noise import derive
from memtk.registry import Entry, open_registry
from memtk.training.devices import one_process

try:
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat
except ImportError as error:
    raise ImportError(
        "memtk.Memorization is a torchmetrics.Metric: pip install 'memtk[metric]'"
    ) from error

QUALITY = "quality"
"""What `Memorization.stop` calls the number that it is given."""


class Memorization(Metric):
    """How much a generator memorizes: copy rate and n_mem with their nulls and intervals.

    `Memorization.from_images` makes one, once: it trains the copy detector and compares the
    training with the validation images. Then it is used as any metric: `update` with synthetic
    images, `compute`, `reset`. Several processes join their images as for any metric of
    torchmetrics, and each computes the numbers of all. They are those that `memtk bench` has for
    the same images, without the exposure.

    `compute` gives numbers by name, as float64 tensors ():

    - `copy_rate`: share of copies among the synthetic images, in excess of chance, with
      `copy_rate_low` and `copy_rate_high`, the ends of its 95% interval, and the one-sided
      `copy_rate_upper_bound`; without copies it is 0.
    - `copies_at_least`: so many synthetic images are copies, at least (95% confidence).
    - `PROTOCOL/KEY`: of each protocol each measure: `dar/n_mem` (n_mem / N of the reference rule),
      `dar-matched/n_mem`, `conformal/n_copies`, ...; with `_null`, what is expected if nothing was
      memorized, and `_low` and `_high` where there are any. NaN where it is undefined.
    - `patients_exposed_low` and `patients_exposed_high`: between so many and so many training
      patients are exposed; where the detector has seen none of the images.

    The detector is no part of the module's `parameters()` or `state_dict()`.

    Args:
        reference: of `from_images`.
        protocols: entries of the registry; each measures the images.
        seed: of the draws that the interval of the copy rate rests on.

    Attributes:
        evaluation: all that was found by the last `compute`; None before.
        best: the number of that call of `stop`, from 0, which has the best checkpoint so far;
            None before.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    rows: list[Tensor]

    def __init__(
        self, reference: Reference, protocols: Sequence[Entry] = (), seed: int = 0
    ) -> None:
        super().__init__()
        if not isinstance(reference, Reference):
            raise UserError(
                f"Memorization takes what from_images has learned, no {type(reference).__name__}: "
                "say memtk.Memorization.from_images(train, validation)"
            )
        self.reference, self.protocols, self.seed = reference, tuple(protocols), seed
        self.evaluation: Evaluation | None = None
        self.best: int | None = None
        self._seen: list[CheckpointScores] = []
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    @classmethod
    def from_images(
        cls,
        train: Any,
        validation: Any,
        patients: Whose | None = None,
        *,
        settings: Sequence[str] | Mapping[str, Any] | str = (),
        device: str = "auto",
        **options: Any,
    ) -> Memorization:
        """Train the copy detector and compare the training with the validation images.

        Args:
            train: the generator's training images as it sees them: float (N, C, *S) in [-1, 1], an
                array, a tensor, a list of images (C, *S), or `memtk.interfaces.Images`. Two axes,
                (N, D), are embeddings by an embedder that has seen none of the images.
            validation: images, or embeddings, of patients whom it has not seen, (V, ...).
            patients: whose each training image is and whose each validation image; None takes those
                of `Images`, else each image is another patient's.
            settings: of the components: `["embedder.training.steps=200"]` or nested tables.
            device: where the detector computes: auto, cpu, cuda (the current device), mps. No other
                process is asked: each of several trains it by itself, to the same weights.
            options: of those of `memtk.audit`: embedder, preset, weights, similarity, plants,
                exposure, alpha, fdr, seed, batch_size. The exposure is tested where that takes no
                second training: with `weights`, in image space, of embeddings.

        Raises:
            UserError: for images or options that cannot be used.
        """
        registry = open_registry()
        with speaking_python():
            asked = build(AuditOptions, options, where="Memorization.from_images")
            tables = settings
            if not isinstance(tables, Mapping):
                tables = merge({}, *(parse_set(text) for text in texts_of(tables, "settings")))
            reference = reference_of(
                registry,
                asked,
                tables,
                one_process(name_of(device, "device")),
                (train, validation),
                patients,
            )
        protocols = registry.entries("protocol")
        return cls(reference, protocols, derive(asked.seed, "intervals"))

    def update(self, synthetic: Any) -> None:
        """Add synthetic images (B, C, *S), or embeddings (B, D) of the detector (see `embed`).

        Images are scaled as the training images are. Values a little beyond [-1, 1] are clipped, as
        memtk does when it samples.

        Raises:
            UserError: for another shape than that of the training images, or values that are not
                finite or of another scale, such as [0, 1] or [0, 255] where theirs is [-1, 1].
        """
        found = torch.from_numpy(numbers("synthetic", synthetic))
        if found.dim() != 2:
            found = self.embed(found)
        width = np.shape(self.reference.real.training[:1])[1]
        if found.shape[1] != width or not bool(found.isfinite().all()):
            raise UserError(
                f"synthetic: embeddings of {many(found.shape[1], 'number', 'was/were')} given; "
                f"{width} that are finite are needed"
            )
        self.rows.append(found.to(self.device))

    def embed(self, images: Any) -> Tensor:
        """Return images (B, C, *S) as the detector sees them: float32 (B, D) on the CPU.

        In image space these are the images themselves.

        Raises:
            UserError: as `update`, or where the metric was made from embeddings.
        """
        spec, scale = self.reference.spec, self.reference.scale
        detector = self.reference.real.detector
        x = torch.from_numpy(numbers("synthetic", images))
        if spec is None or scale is None:
            raise UserError("synthetic: this metric was made from embeddings; give it such, (B, D)")
        if tuple(x.shape[1:]) != (spec.channels, *spec.shape):
            raise UserError(
                f"synthetic: images {tuple(x.shape[1:])} were given; the training images are "
                f"{(spec.channels, *spec.shape)}"
            )
        scale.check("synthetic", x.numpy())
        x = x.clamp(scale.low, 1)
        return x.flatten(1) if detector is None else torch.from_numpy(detector.see(MemoryImages(x)))

    def compute(self) -> dict[str, Tensor]:
        """Return the numbers of all images since the last `reset`; see above.

        Raises:
            UserError: if there are none.
        """
        if not len(self.rows):
            raise UserError("there are no synthetic images: call update before compute")
        rows = dim_zero_cat(self.rows).float().cpu().numpy()
        of = self.reference
        sets = replace(of.real, synthetic=rows)
        self.evaluation = evaluate(
            sets,
            sets if of.exposure else None,
            of.calibration,
            of.levels,
            protocols=self.protocols,
            devices=of.devices,
            seed=self.seed,
        )
        named = _by_name(self.evaluation)
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in named.items()}

    def stop(self, quality: float, *, patience: int, weight: float = 0.5) -> bool:
        """Tell whether a training may end; called once after each `compute`.

        Of all calls so far that one is best which the mitigation `early-stop` would take: on the
        Pareto front of memorization and quality the nearest to the best of both. Memorization is
        the lower end of the interval of the copy rate here: what may be chance is none. A training
        may end once `patience` calls in a row have brought no new best. `reset` forgets none of it.

        Args:
            quality: of the same weights, such as FID or a validation loss; smaller is better. The
                same in every process.
            patience: calls that are waited for a new best, 1 or more.
            weight: of memorization, in [0, 1]; the rest is that of quality.

        Raises:
            UserError: before the first `compute`, or if `quality` is not finite.
        """
        if self.evaluation is None or not np.isfinite(quality) or patience < 1:
            raise UserError(
                f"stop(quality={quality:g}, patience={patience}): it needs a compute before it, a "
                "finite quality and a patience of 1 or more"
            )
        rate, measured = self.evaluation.evidence.copy_rate, {QUALITY: float(quality)}
        assert rate is not None
        scores = CheckpointScores(len(self._seen), {"copy-rate": rate.low}, measured, measured)
        self._seen.append(scores)
        asked = {"quality": QUALITY, "weight": weight}
        chooser = find_component(open_registry(), "mitigation", "early-stop", asked, "").make()
        choice = chooser.stop(self._seen)
        self.best = int(choice.indices[0])
        return len(self._seen) - 1 - self.best >= patience


def _by_name(found: Evaluation) -> dict[str, float]:
    """Return the numbers of an evaluation by name; see `Memorization`."""
    evidence = found.evidence
    named: dict[str, float] = {}
    if (rate := evidence.copy_rate) is not None:
        named["copy_rate"] = rate.estimate
        named["copy_rate_low"], named["copy_rate_high"] = rate.low, rate.high
    if evidence.copy_rate_upper_bound is not None:
        named["copy_rate_upper_bound"] = evidence.copy_rate_upper_bound
    if evidence.copies is not None:
        named["copies_at_least"] = evidence.copies.at_least
    for protocol, table in found.protocols.items():
        for key, measure in table.items():
            name = f"{protocol}/{key}"
            named[name] = float("nan") if measure.value is None else measure.value
            if measure.null is not None:
                named[f"{name}_null"] = measure.null
            if measure.interval is not None:
                named[f"{name}_low"], named[f"{name}_high"] = measure.interval
    if (exposed := evidence.exposed) is not None:
        named |= {"patients_exposed_low": exposed.low, "patients_exposed_high": exposed.high}
    return named
