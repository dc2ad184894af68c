"""Made-up results, by the numbers that matter."""

from __future__ import annotations

import pytest

from memtk.results import (
    Audit,
    Checkpoint,
    Components,
    Conformal,
    Counts,
    Dar,
    DarMatched,
    Data,
    Device,
    EmbedderSaw,
    Found,
    Planted,
    Policy,
    Protocols,
    Rate,
    RateInterval,
    Result,
    SelfTest,
    Spared,
    Spec,
    Used,
    decide,
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


def rate(count, n, low=None, high=None):
    """A rate; its interval is of no matter where none is given."""
    share = count / n if n else 0.0
    return Rate(
        count=count,
        n=n,
        rate=share,
        low=(0.9 * share if low is None else low),
        high=((share + 1) / 2 if high is None else high),
    )


def selftest(found=96, n=100, low=0.9, confidence=0.95, exposure=None):
    """A self-test in which `found` of n mixed copies were noticed, `exposure` of n by exposure."""
    all_ = rate(found, n, low)
    other = None if exposure is None else rate(exposure, n)
    seen = Found(
        dar=all_,
        conformal=all_,
        finest=all_,
        exposure=other,
        right_image=all_,
        right_patient=all_,
    )
    spared = Spared(dar=rate(54, 60), conformal=rate(57, 60))
    plants = [Planted(kind="exact", strength=0, nominal=True, found=seen)]
    return SelfTest(
        confidence=confidence,
        specificity_from="validation",
        sensitivity=seen,
        specificity=spared,
        plants=plants,
    )


CLEAN = {"exposed": 0, "copies": 0, "low": 0.0, "estimate": 0.01, "bound": 0.03}
"""Figures that pass the default policy, with the self-test above."""


@pytest.fixture
def make_audit(make_result):
    """`make_audit(exposed=..., copies=..., low=..., estimate=..., bound=..., ...)`: an audit of 100
    synthetic images, of 64 training and `validation` validation patients; what is not said
    passes.

    Further: `test`, what differs in the self-test (None: none was run), `policy`, `identical`
    images, `given` (embeddings, not images), and any other field of the conformal record.
    """

    def make(*, test=(), policy=None, identical=0, given=False, validation=64, **said):
        said, policy = CLEAN | said, policy or Policy()
        test = None if test is None else selftest(**dict(test))
        result = make_result(
            exposed=said["exposed"], copies=said["copies"], validation=validation, m=100
        )
        bound, low, estimate = said.pop("bound"), said.pop("low"), said.pop("estimate")
        del said["exposed"], said["copies"]
        protocols = result.last.protocols
        changes = {
            "confidence": 0.95,
            "copy_rate": None
            if estimate is None
            else RateInterval(estimate=estimate, low=low, high=min(1.0, estimate + 0.05)),
            "copy_rate_upper_bound": bound,
            "minimum_detectable_copy_rate": 0.06,
        }
        found = Conformal(**protocols.conformal.model_dump() | changes | said)
        protocols = Protocols(dar=protocols.dar, dar_matched=protocols.dar_matched, conformal=found)
        counts = result.data.counts | {"synthetic": Counts(images=100, patients=100)}
        return Audit(
            memtk_version="0.2.0",
            verdict=decide(policy, protocols, test, counts, identical_images=identical),
            policy=policy,
            protocols=protocols,
            selftest=test,
            identical_images=identical,
            counts=counts,
            similarity=result.components.similarity,
            embedder_saw=None if given else EmbedderSaw(copies="training", exposure="synthetic"),
            data=None if given else result.data,
            seed=0,
            versions={"python": "3.11"},
            device=result.device,
        )

    return make
