from __future__ import annotations

import pytest

from memtk.errors import UserError
from memtk.study import make_study


def names(study):
    return [cell.name for cell in study.runs]


def test_the_named_studies_vary_their_own_setting_and_the_seed(registry, base):
    made = make_study(base(), [], registry, kind="augmentation", seeds="0,1")
    assert names(made) == [f"augment-{way}_seed-{s}" for way in ("off", "on") for s in (0, 1)]
    assert not made.equal_epochs
    made = make_study(base(), [], registry, kind="datasize", seeds="3", sizes="0.5,1")
    assert names(made) == ["datasize-0.5_seed-3", "datasize-1_seed-3"] and made.equal_epochs
    made = make_study(base(), [], registry, kind="iterations", seeds="0,1")
    assert names(made) == ["seed-0", "seed-1"]


def test_a_named_study_varies_more_if_it_is_asked(registry, base):
    made = make_study(base(), ["copycat.rate=0,1"], registry, kind="augmentation", seeds="0")
    assert len(made.runs) == 4 and names(made)[0] == "augment-off_copycat.rate-0_seed-0"


def test_equal_epochs_can_be_asked_of_any_study_and_taken_from_the_one_on_sizes(registry, base):
    assert make_study(base(), ["seed=0"], registry, equal_epochs=True).equal_epochs
    assert not make_study(base(), [], registry, kind="datasize", equal_epochs=False).equal_epochs


def test_a_study_of_nothing_is_refused_with_an_example(registry, base):
    with pytest.raises(UserError, match="what is varied"):
        make_study(base(), [], registry)


def test_four_times_the_runs_are_planned_in_four_times_the_calls(registry, base, calls):
    counts = {}
    for what, runs in (("warm", 10), ("few", 10), ("many", 40)):
        with calls() as made:
            plan = make_study(base(), [f"seed={','.join(map(str, range(runs)))}"], registry)
        assert len(plan.runs) == runs
        counts[what] = made.count
    assert counts["few"] > 10 and counts["many"] < 4.4 * counts["few"], counts
