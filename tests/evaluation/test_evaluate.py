import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.evaluation import EmbeddedSets, with_likeness
from memtk.imaging.phantoms import phantom
from memtk.memorization import PatientGroup, at_least, conformal, dar_matched, tail_test
from memtk.testing import fakes


def sets(rng, n=60, v=50, m=80, planted=20, width=16):
    training, validation = rng.normal(size=(n, width)), rng.normal(size=(v, width))
    synthetic = rng.normal(size=(m, width))
    synthetic[:planted] = training[:planted] + 0.05 * rng.normal(size=(planted, width))
    return EmbeddedSets(training, validation, synthetic)


@pytest.fixture(scope="module")
def people():
    """Phantoms of 96 patients, (96, 1, 32, 32)."""
    return np.stack([phantom(0, patient, dims=2, size=32) for patient in range(96)])


@pytest.mark.parametrize(
    ("made", "unlike"),
    [
        (lambda x, rng: x[:32], False),  # copies
        (lambda x, rng: x[64:], False),  # strangers
        (lambda x, rng: gaussian_filter(x[64:], (0, 0, 1, 1)), False),
        (lambda x, rng: rng.uniform(-1, 1, (32, 1, 32, 32)), True),
        (lambda x, rng: -x[64:], True),  # scaled otherwise: its copies would go unnoticed
    ],
    ids=["copies", "strangers", "blurred", "noise", "inverted"],
)
def test_images_that_resemble_nothing_are_told_from_copies_and_from_strangers(people, made, unlike):
    images = made(people, np.random.default_rng(0)).astype(np.float32)
    sets = [MemoryImages(torch.from_numpy(x)) for x in (images, people[32:64])]
    said = with_likeness(fakes.evidence(), *sets).comparable
    assert (said.unlike is not None) == unlike
    assert (said.unlike is said.likeness) == unlike


def near(a, b):
    return 1 - cdist(a, b, "correlation")


def test_every_number_is_that_of_the_dense_matrices(found, pearson):
    one, two = (sets(np.random.default_rng(i), v=200, m=240) for i in (0, 5))
    people, patients = [i // 2 for i in range(60)], [i // 2 for i in range(200)]
    said = found(one, two, similarity=pearson, validation=patients, training=people)
    made, real = near(one.training, one.synthetic), near(one.training, one.validation)
    tau = 1 - np.percentile(1 - real.max(1), 5)
    assert said.dar.tau == pytest.approx(tau)
    assert said.dar.n_mem == (made.max(1) > tau).sum() >= 20
    expected = dar_matched((made > tau).sum(1), 240, 200)
    assert said.matched.n_mem == pytest.approx(expected.n_mem)
    copies = conformal(made.max(0), real.max(0), patients)
    np.testing.assert_array_equal(said.copies.flagged, copies.flagged)
    np.testing.assert_array_equal(said.copies.p, copies.p)
    seen, unseen = near(two.training, two.synthetic), near(two.validation, two.synthetic)
    exposure = conformal(seen.max(1), unseen.max(1), patients)
    np.testing.assert_array_equal(said.exposure.p, exposure.p)
    for side, tested, strangers, owners in (
        (said.tests.copies, made.max(0), real.max(0), None),
        (said.tests.exposure, seen.max(1), unseen.max(1), None),
        (said.tests.patients, seen.max(1), unseen.max(1), people),
    ):
        tested, strangers = PatientGroup(tested, owners), PatientGroup(strangers, patients)
        expected = tail_test(tested, strangers, seed=said.seed)
        np.testing.assert_allclose(side.test.p, expected.p, rtol=1e-6)
        np.testing.assert_array_equal(side.test.sure, expected.sure)
        if side is not said.tests.exposure:  # images of one patient are counted by patient
            assert side.least.count == at_least(tested, strangers, seed=said.seed).count
    assert said.tests.exposure.least.count == said.tests.patients.least.count
    assert said.tests.patients.test.sure.any()
    arrays = said.arrays
    np.testing.assert_allclose(arrays["train_validation"], real.max(1), atol=1e-13)
    np.testing.assert_allclose(arrays["validation_train"], real.max(0), atol=1e-13)
    np.testing.assert_array_equal(arrays["train_synthetic_index"], made.argmax(1))
    np.testing.assert_array_equal(arrays["synthetic_train_index"], made.argmax(0))
    np.testing.assert_array_equal(arrays["train_synthetic_above"], (made > tau).sum(1))
    np.testing.assert_array_equal(arrays["memorized"], arrays["train_synthetic_above"] > 0)
    np.testing.assert_array_equal(arrays["copied"], arrays["synthetic_train_above"] > 0)
    np.testing.assert_array_equal(arrays["exposure_train_synthetic_index"], seen.argmax(1))
    np.testing.assert_array_equal(arrays["exposure_validation_synthetic_index"], unseen.argmax(1))
    assert "exposure_train_synthetic_above" not in arrays


def test_without_an_embedder_for_the_exposure_it_is_left_out(found, pearson, rng):
    said = found(sets(rng), similarity=pearson)
    assert said.exposure is None and said.tests.patients is None
    assert not [name for name in said.arrays if name.startswith("exposure")]


def test_more_validation_than_synthetic_images_leave_the_matched_count_out(found, pearson, rng):
    said = found(sets(rng, v=50, m=30, planted=5), similarity=pearson)
    assert said.matched.n_mem is None and "sample at least 50" in said.matched.reason
    assert said.dar.n_mem >= 5


def test_one_validation_image_is_enough_to_compute_and_too_few_to_reject(found, pearson, rng):
    said = found(sets(rng, v=1), similarity=pearson)
    assert said.copies.min_p == 0.5 and not said.copies.can_reject
    assert said.copies.n_flagged == 0 and said.tests.copies.test.model == "ranks"
    assert not said.tests.copies.test.suspect.any()


def test_images_themselves_are_read_piece_by_piece_and_give_both_sides(found, ncc, rng, lazy):
    whole = sets(rng, width=25)
    slow = EmbeddedSets(
        *(
            lazy(rows.reshape(-1, 1, 5, 5))
            for rows in (whole.training, whole.validation, whole.synthetic)
        )
    )
    again = EmbeddedSets(
        *(
            lazy(rows.reshape(-1, 1, 5, 5))
            for rows in (whole.training, whole.validation, whole.synthetic)
        )
    )
    expected = found(whole, whole, similarity=ncc)
    piecewise = found(slow, again, similarity=ncc)
    assert piecewise.dar.n_mem == expected.dar.n_mem
    assert len(expected.tests.patients.test.p) == 60  # each image is of another patient
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(piecewise.arrays[name], array, err_msg=name)
    assert not again.training.reads  # the training images were searched once


def test_every_process_gets_the_same_evaluation(found, pearson, rng):
    data = sets(rng)
    alone = found(data, data, similarity=pearson)
    slots, barrier, said = [None] * 2, threading.Barrier(2), [None] * 2

    def work(rank):
        def gather(value):
            slots[rank] = value
            barrier.wait()
            values = list(slots)
            barrier.wait()
            return values

        devices = SimpleNamespace(
            device="cpu", rank=rank, world=2, collect=gather, is_main=rank == 0, wait=lambda: None
        )
        said[rank] = found(data, data, similarity=pearson, devices=devices)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in said:
        for name, array in alone.arrays.items():
            np.testing.assert_array_equal(one.arrays[name], array, err_msg=name)


def test_sets_and_patients_that_do_not_fit_are_refused(found, pearson, rng):
    data = sets(rng)
    with pytest.raises(UserError, match="60 training images but 3 patients"):
        found(data, similarity=pearson, training=["a", "b", "c"])
    data.synthetic[7] = 0
    with pytest.raises(UserError, match="synthetic images: row 7 is constant"):
        found(data, similarity=pearson)
