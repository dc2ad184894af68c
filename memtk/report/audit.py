"""What the page shows of an audit, put together from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memtk.data.images import StoredImages
from memtk.registry import Registry
from memtk.report.figures import draw_planted, draw_similarities
from memtk.report.pictures import Pairs, find_pairs
from memtk.report.provenance import Provenance, provenance_of_audit
from memtk.report.sections import Section, plugin_sections
from memtk.results import Audit, explain, has_arrays, read_arrays
from memtk.results.decision import fewest_patients
from memtk.results.wording import many

ARRAYS = "audit"
"""The group of arrays.h5 with what the audit was computed from."""

_SENTENCES = {
    "pass": "Nothing was found that the policy does not tolerate, by an audit that could have "
    "found it.",
    "fail": "More was found than the policy tolerates.",
    "inconclusive": "Nothing was found that fails, but what a pass needs could not be shown.",
}


@dataclass(frozen=True)
class AuditPage:
    """An audit as the page shows it.

    Args:
        audit: its numbers.
        explanation: one paragraph for a lay reader.
        similarities: figure as a `data:` URI, and so `planted`; None where there is nothing to
            draw.
        pairs: None where there are no images, or no longer.
        sections: of plugins.
        provenance: where the numbers come from.
    """

    audit: Audit
    explanation: str
    similarities: str | None
    planted: str | None
    pairs: Pairs | None
    sections: list[Section]
    provenance: Provenance

    @property
    def sentence(self) -> str:
        """The outcome in a sentence."""
        return _SENTENCES[self.audit.verdict.outcome]

    @property
    def lead(self) -> str:
        """What was compared."""
        counts = self.audit.counts
        real = [
            f"{many(counts[split].images, f'{split} image')} of "
            f"{many(counts[split].patients, 'patient')}"
            for split in ("training", "validation")
        ]
        data = self.audit.data
        size = f", {' × '.join(map(str, data.spec.shape))} voxels" if data else ", as embeddings"
        synthetic = many(counts["synthetic"].images, "synthetic image")
        return f"{synthetic}; {' and '.join(real)}{size}"

    @property
    def fewest(self) -> int:
        """The fewest training patients that could have been flagged."""
        audit = self.audit
        return fewest_patients(audit.protocols.conformal, audit.counts["training"].patients)

    @property
    def fine(self) -> bool:
        """Whether there are enough validation patients for a p-value of alpha."""
        test = self.audit.protocols.conformal
        return test.finest_p <= test.alpha


def make_audit_page(folder: Path, audit: Audit, key: bytes, registry: Registry | None) -> AuditPage:
    """Put together what the page shows of an audit.

    Args:
        folder: of the run.
        audit: what was found.
        key: of the run.
        registry: brings the report sections of plugins.

    Raises:
        UserError: if a file is damaged, naming it.
    """
    path = folder / "arrays.h5"
    similarities, pairs = None, None
    if has_arrays(path, ARRAYS):
        arrays = read_arrays(path, ARRAYS)
        similarities = draw_similarities(arrays, audit.protocols.dar.tau)
        images = folder / "data" / f"{audit.data.fingerprint}.h5" if audit.data else None
        if images is not None and images.exists():
            training, synthetic = (StoredImages(images, s) for s in ("training", "synthetic"))
            pairs = find_pairs(arrays, training, synthetic, key, "synthetic")
    return AuditPage(
        audit=audit,
        explanation=explain(audit),
        similarities=similarities,
        planted=draw_planted(audit.selftest) if audit.selftest else None,
        pairs=pairs,
        sections=plugin_sections(registry, audit),
        provenance=provenance_of_audit(audit),
    )
