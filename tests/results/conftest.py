"""Made-up results, by the numbers that matter."""

from __future__ import annotations

import pytest

from memtk.results import (
    Checkpoint,
    Components,
    Conformal,
    Counts,
    Dar,
    DarMatched,
    Data,
    Device,
    Protocols,
    Result,
    Spec,
    Used,
)


@pytest.fixture
def make_result():
    """`make_result(dar=29, copies=30, exposed=27, validation=64)`: numbers flagged, of 64."""

    def make(dar=3, copies=0, exposed=0, validation=64, n=64, m=64, patients=None, **changes):
        p = 1 / (validation + 1)
        used = Used(name="toy", plugin="toys", distribution="memtk", version="0.1.0")
        protocols = Protocols(
            dar=Dar(
                tau=0.9,
                n_mem=dar,
                n_copies=dar,
                mem_fraction=dar / n,
                copy_fraction=dar / m,
                expected_mem_fraction=1 - 0.95 ** (m / validation),
                validation_called_copies=3,
            ),
            dar_matched=DarMatched(n_mem=float(dar), mem_fraction=dar / n),
            conformal=Conformal(
                alpha=0.05,
                fdr=0.1,
                copies_flagged_fraction=copies / m,
                copies_expected_fraction=0.05,
                n_copies=copies,
                exposed_flagged_fraction=None if exposed is None else exposed / n,
                exposed_expected_fraction=None if exposed is None else 0.05,
                n_mem=exposed,
                patients_exposed=exposed if patients is None else patients,
                finest_p=p,
                can_reject=p <= 0.1,
            ),
        )
        values = {
            "memtk_version": "0.1.0",
            "cell": "toy",
            "preset": "smoke",
            "components": Components(generator=used, similarity=used),
            "data": Data(
                fingerprint="ab",
                source="phantom2d",
                spec=Spec(shape=[8, 8], channels=1),
                counts={
                    "training": Counts(images=n, patients=n),
                    "validation": Counts(images=validation, patients=validation),
                },
            ),
            "used_training": Counts(images=n, patients=n),
            "seed": 0,
            "versions": {"python": "3.11"},
            "device": Device(name="cpu", processes=1),
            "checkpoints": [Checkpoint(step=900, n_synthetic=m, protocols=protocols)],
        }
        return Result(**values | changes)

    return make
