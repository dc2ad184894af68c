import pytest

from memtk.data.checks.patients import check_splits, split_findings
from memtk.data.sources import Sample
from memtk.errors import UserError


def samples(*pairs):
    return [Sample(f"{p}{i}.png", p, split) for i, (p, split) in enumerate(pairs)]


GOOD = (("a", "training"), ("b", "validation"))


def test_patients_in_two_splits_are_counted_by_pair():
    shared = [(f"P{i}", split) for i in range(6) for split in ("training", "validation")]
    extra = [("Q", s) for s in ("training", "validation", "held_out")]
    with pytest.raises(UserError) as caught:
        check_splits(samples(*shared, *extra, ("R", "training")))
    text = str(caught.value)
    assert text.startswith("7 of 8 patients are in more than one split")
    assert "6 in training and validation, 1 in training and validation and held out" in text
    assert "P0, P1, P2, P3, P4 and 2 more" in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "training"), ("b", "held_out")], "no validation set: 1 training, 1 held out"),
        ([("a", "validation")], "no training images: 1 validation"),
        ([], "no training images: none"),
    ],
)
def test_an_empty_split_is_refused_with_a_way_out(rows, message):
    with pytest.raises(UserError, match=message) as caught:
        check_splits(samples(*rows))
    assert "in a manifest" in str(caught.value) or "Mark some as" in str(caught.value)


def test_good_splits_pass():
    check_splits(samples(*GOOD, ("a", "training")))
    patients, both = split_findings(samples(*GOOD, ("a", "training")))
    assert patients.outcome == both.outcome == "accepted"
    assert patients.found == "2 patients, none in two splits"
    assert both.found == "2 training, 1 validation"


def test_synthetic_images_are_no_patients():
    patients, both = split_findings(samples(*GOOD, ("a", "synthetic"), ("b", "synthetic")))
    assert patients.outcome == "accepted" and patients.found.startswith("2 patients")
    assert both.found == "1 training, 1 validation"
    with pytest.raises(UserError, match="no training images: 1 validation"):
        check_splits(samples(("b", "validation"), ("c", "synthetic")))


@pytest.mark.parametrize(
    ("unnamed", "said"),
    [
        (("real",), "nothing says whose the images are"),
        (("held_out", "validation"), "whose the held out and validation images are"),
    ],
)
def test_where_nothing_says_whose_the_images_are_this_is_known(unnamed, said):
    patients, _ = split_findings(samples(*GOOD), unnamed)
    assert patients.outcome == "note" and said in patients.found
    assert "data.patient_pattern" in patients.way_out
    shared, _ = split_findings(samples(*GOOD, ("a", "validation")), unnamed)
    assert shared.outcome == "refused"
