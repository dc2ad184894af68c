"""Names, counts and bounds, which are no protocols, keep what the kit asks of a protocol."""

from __future__ import annotations

import numpy as np
import pytest

from memtk.interfaces import Measure, ProtocolTable
from memtk.memorization import PatientGroup, at_least, exposed_interval, tail_test
from memtk.testing import CHECKS, Case


class Evidence:
    """What the verdict rests on, as a protocol: of nothing memorized it names and counts nobody."""

    def __call__(self, similarities, levels):
        sides = {"synthetic": ("synthetic_train", "validation_train", ())}
        if similarities.exposure_train_synthetic is not None:
            exposure = ("exposure_train_synthetic", "exposure_validation_synthetic")
            sides["training"] = (*exposure, similarities.training_patients)
        measures, flags = {}, {}
        for side, (near, other, people) in sides.items():
            tested = PatientGroup(getattr(similarities, near), people)
            strangers = PatientGroup(getattr(similarities, other), similarities.validation_patients)
            named = tail_test(tested, strangers, levels=(0.05, levels.fdr))
            least = at_least(tested, strangers, confidence=levels.confidence).count
            for what, count in (
                ("suspect", int(named.suspect.sum())),
                ("sure", int(named.sure.sum())),
                ("at least", least),
            ):
                of = len(named.p)
                title = f"{side}, {what}"
                measures[title] = Measure(count / of, title, side, count, of, null=0.0)
            flags[side] = named.suspect[tested.owner]
            if side == "training":
                seen = PatientGroup(np.zeros(of))  # every planted copy as near as can be
                found = exposed_interval(tested, strangers, seen, confidence=levels.confidence)
                low = Measure(found.low / of, "L", side, found.low, of, null=0.0)
                high = Measure(found.high / of, "U, which more patients bring down", side)
                measures |= {"L": low, "U": high}
        return ProtocolTable(measures, flags)


STATISTICAL = [check for check in CHECKS["protocol"] if check.__module__.endswith("protocols")]


@pytest.mark.parametrize("check", STATISTICAL, ids=lambda check: check.__name__)
def test_it_keeps_what_is_asked_of_a_protocol(check, monkeypatch):
    monkeypatch.setattr("memtk.testing.protocols.TRIALS", 40)  # each finds an interval
    check(Case(Evidence, kind="protocol"))
