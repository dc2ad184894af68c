import random
from collections import Counter

from memtk.data.patients import split_of, split_patients

PATIENTS = [f"P{i}" for i in range(200)]


def split(patients=PATIENTS, validation=0.2, held_out=0.1, seed=0):
    return split_patients(patients, validation=validation, held_out=held_out, seed=seed)


def test_every_patient_gets_one_split_in_the_asked_shares():
    parts = split()
    assert set(parts) == set(PATIENTS)
    assert Counter(parts.values()) == {"training": 140, "validation": 40, "held_out": 20}


def test_the_split_depends_on_the_seed_and_not_on_the_order_or_number_of_images():
    shuffled = PATIENTS * 3
    random.Random(0).shuffle(shuffled)
    assert split(shuffled) == split() != split(seed=1)


def test_a_share_above_zero_gets_at_least_one_patient():
    parts = split(["a", "b", "c"], validation=0.1, held_out=0.1)
    assert sorted(parts.values()) == ["held_out", "training", "validation"]
    assert set(split(["a", "b"], validation=0, held_out=0).values()) == {"training"}


def test_a_new_patient_moves_few_others():
    before, after = split(), split([*PATIENTS, "new"])
    assert sum(before[p] != after[p] for p in PATIENTS) <= 2


def test_the_usual_words_for_splits_are_known():
    words = ["train", "training", "val", "valid", "Validation", "TEST", "held_out", "held-out"]
    assert [split_of(w) for w in words] == [
        *["training"] * 2,
        *["validation"] * 3,
        *["held_out"] * 3,
    ]
    assert split_of("dev") is None
