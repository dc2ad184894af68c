import numpy as np
import pytest

from memtk.errors import UserError
from memtk.intervals import share
from memtk.memorization import PlantedExposure, cutoff, p_values, score_planted, specificity


def scene(seed, k=40, n=60, v=50):
    rng = np.random.default_rng(seed)
    source = rng.permutation(n)[:k]
    index = np.where(rng.random(k) < 0.7, source, rng.integers(0, n, k))
    return {
        "nearest": rng.integers(0, 30, k) / 20,
        "index": index,
        "source": source,
        "training_patients": [f"t{i // 3}" for i in range(n)],
        "cutoff": cutoff(rng.integers(0, 25, n) / 20),
        "validation": rng.integers(0, 25, v) / 20,
        "validation_patients": rng.integers(0, 30, v),
        "alpha": 0.07,
        "exposure": PlantedExposure(rng.random(k) * 1.2, rng.random(v)),
    }


@pytest.mark.parametrize("seed", range(8))
def test_every_count_is_that_of_a_loop_over_the_planted_copies(seed):
    given = scene(seed)
    said = score_planted(**given)
    owner = given["training_patients"]
    names = ("dar", "conformal", "beyond", "exposure", "right_image", "right_patient")
    counted = dict.fromkeys(names, 0)
    for nearest, index, source, copy in zip(
        given["nearest"], given["index"], given["source"], given["exposure"].copy, strict=True
    ):
        p = p_values([nearest], given["validation"], given["validation_patients"])[0]
        counted["dar"] += nearest > given["cutoff"]
        counted["conformal"] += p <= 0.07
        counted["beyond"] += all(nearest > v for v in given["validation"])
        e = p_values([copy], given["exposure"].validation, given["validation_patients"])
        counted["exposure"] += e[0] <= 0.07
        counted["right_image"] += p <= 0.07 and index == source
        counted["right_patient"] += p <= 0.07 and owner[index] == owner[source]
    found = {name: getattr(said, name) for name in names}
    assert {name: one.count for name, one in found.items()} == counted
    assert {one.n for one in list(found.values())[:4]} == {40}
    assert found["right_image"].n == found["right_patient"].n == counted["conformal"] > 0
    assert found["dar"] == share(given["nearest"] > given["cutoff"])
    assert counted["right_image"] <= counted["right_patient"]


def test_without_patients_each_image_is_its_own_and_without_exposure_it_is_left_out():
    given = scene(0) | {"training_patients": None, "exposure": None}
    said = score_planted(**given)
    assert said.exposure is None
    assert said.right_patient == said.right_image
    assert score_planted(**given | {"training_patients": []}).right_patient == said.right_image


def test_where_nothing_is_found_no_rate_of_right_ones_is_claimed():
    given = scene(0) | {"nearest": np.full(40, -1.0)}
    said = score_planted(**given)
    assert said.conformal.count == 0
    assert (said.right_image.n, said.right_image.low, said.right_image.high) == (0, 0, 1)


def test_arrays_that_do_not_fit_are_refused():
    given = scene(0)
    with pytest.raises(UserError, match="40 similarities of planted copies, 3 nearest"):
        score_planted(**given | {"index": np.arange(3)})
    none = {name: np.zeros(0, int) for name in ("nearest", "index", "source")}
    with pytest.raises(UserError, match="at least one planted copy"):
        score_planted(**given | none)
    with pytest.raises(UserError, match="but 5 patients"):
        score_planted(**given | {"training_patients": list("abcde")})


def test_held_out_images_are_spared_as_the_protocols_say():
    rng = np.random.default_rng(0)
    validation, people = rng.normal(size=90), rng.integers(0, 50, 90)
    held, other = rng.normal(size=200), (rng.normal(size=200), rng.normal(size=90))
    said = specificity(held, validation, people, cutoff=1.0, alpha=0.1, exposure=other)
    assert said.source == "held_out"
    assert said.dar == share(held <= 1.0)
    assert said.conformal == share(p_values(held, validation, people) > 0.1)
    assert said.exposure == share(p_values(*other, people) > 0.1)
    assert said.conformal.rate > 0.85
    assert specificity(held, validation, people, cutoff=1.0).exposure is None


@pytest.mark.parametrize("several", [False, True])
def test_without_held_out_images_each_validation_patient_is_left_out_in_turn(several):
    rng = np.random.default_rng(0)
    people = rng.integers(0, 25, 60) if several else np.arange(60)
    validation, seen = rng.integers(0, 40, 60) / 7, rng.integers(0, 40, 60) / 7
    said = specificity(
        np.zeros(0), validation, people, cutoff=4.0, alpha=0.1, exposure=(np.zeros(0), seen)
    )
    assert said.source == "validation" and said.dar == share(validation <= 4.0)
    for values, found in ((validation, said.conformal), (seen, said.exposure)):
        p = [
            p_values(values[[i]], values[people != person], people[people != person])[0]
            for i, person in enumerate(people)
        ]
        assert found == share(np.array(p) > 0.1)
    if not several:
        assert specificity([], validation, None, cutoff=4.0, alpha=0.1).conformal == said.conformal


def test_the_share_of_left_out_strangers_follows_from_the_ranks():
    rng = np.random.default_rng(0)
    for patients in range(2, 80):  # p-values that equal alpha included
        said = specificity([], rng.random(patients), cutoff=2.0, alpha=0.05)
        flagged = [rank for rank in range(1, patients + 1) if rank / patients <= 0.05]
        assert said.conformal.n - said.conformal.count == len(flagged)


def test_a_single_validation_patient_cannot_be_left_out():
    assert specificity([], np.random.default_rng(0).random(4), list("aaaa"), cutoff=0.5) is None
    assert specificity([], np.ones(1), cutoff=0.5) is None
    assert specificity([0.3], np.ones(1), cutoff=0.5).conformal.rate == 1
    with pytest.raises(UserError, match="no validation image"):
        specificity([], np.zeros(0), cutoff=0.5)
