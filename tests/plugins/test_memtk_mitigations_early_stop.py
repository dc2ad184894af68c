from __future__ import annotations

import itertools

import numpy as np
import pytest

from memtk.bench.posthoc import scores_of
from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import CheckpointScores
from memtk.testing import fakes
from memtk_mitigations.early_stop import EarlyStop, nearest_to_best, pareto_front


def stop(course, **config):
    return EarlyStop(build(EarlyStop.Config, config)).stop(course)


def course(*pairs, name="fid[net]"):
    return [
        CheckpointScores(100 * (i + 1), {"copy-rate": m, "dar": m / 2}, {name: q}, {name: q})
        for i, (m, q) in enumerate(pairs)
    ]


def beaten(one, two):
    return two[0] <= one[0] and two[1] <= one[1] and two != one


def test_the_front_is_what_no_other_beats():
    rng = np.random.default_rng(0)
    for _ in range(300):
        points = [tuple(p) for p in rng.integers(0, 6, (rng.integers(1, 9), 2)).tolist()]
        front = [i for i, p in enumerate(points) if not any(beaten(p, q) for q in points)]
        assert pareto_front(points) == front


def test_of_the_front_the_one_nearest_to_the_best_is_taken():
    rng = np.random.default_rng(1)
    for _ in range(100):
        points = [tuple(p) for p in rng.random((6, 2)).tolist()]
        front, weight = pareto_front(points), rng.random()
        low, high = ([f(points[i][axis] for i in front) for axis in (0, 1)] for f in (min, max))

        def distance(i, low=low, high=high, weight=weight, points=points):
            m, q = ((points[i][a] - low[a]) / ((high[a] - low[a]) or 1) for a in (0, 1))
            return weight * m**2 + (1 - weight) * q**2

        assert nearest_to_best(points, front, weight) == min(front, key=distance)


def test_a_checkpoint_between_two_extremes_is_taken_and_told():
    choice = stop(course((0.0, 90.0), (0.05, 40.0), (0.3, 45.0), (0.9, 20.0)))
    assert choice.indices.tolist() == [1]
    assert "steps 100, 200, 400" in choice.why and "step 200, with copy-rate 5%" in choice.why


def test_the_weight_decides_between_memorization_and_quality():
    two = course((0.0, 90.0), (0.9, 20.0))
    assert stop(two, weight=1.0).indices.tolist() == [0]
    assert stop(two, weight=0.0).indices.tolist() == [1]
    assert stop(two, weight=0.5).indices.tolist() == [0]  # equal: the less memorized


def test_equal_checkpoints_give_the_earliest():
    assert stop(course((0.1, 5.0), (0.1, 5.0))).indices.tolist() == [0]


def test_a_measure_is_found_by_the_name_of_its_metric():
    both = course((0.0, 2.0), (0.5, 1.0))
    for i, standing in enumerate(both):
        standing.cost["ms-ssim"] = float(i)
        standing.quality["ms-ssim"] = float(i)
    assert stop(both, quality="ms-ssim").indices.tolist() == [0]
    assert "fid[net]" in stop(both, quality="fid").why
    assert "fid[net]" in stop(both).why  # the first


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"quality": "kid"}, r"early-stop.quality = kid.*There are fid\[net\]"),
        ({"memorization": "exposed"}, "bench.exposure=all"),
        ({"memorization": "named-patients"}, "bench.exposure=all"),
        ({"memorization": "named"}, "choose another. There are copy-rate, dar"),
    ],
)
def test_what_was_not_measured_is_refused_with_what_there_is(config, message):
    with pytest.raises(UserError, match=message):
        stop(course((0.1, 1.0)), **config)


def test_without_a_measure_that_can_be_ordered_it_says_how_to_get_one():
    with pytest.raises(UserError, match="no measure of quality.*--quality"):
        stop([CheckpointScores(1, {"copy-rate": 0.0}, {"odd": 1.0}, {})])


def test_every_order_of_the_checkpoints_gives_the_same_one():
    points = course((0.0, 9.0), (0.2, 4.0), (0.5, 1.0))
    chosen = {
        order[int(stop(list(order)).indices[0])].step for order in itertools.permutations(points)
    }
    assert chosen == {200}


@pytest.mark.parametrize("measure", ["named-patients", "exposed"])
def test_a_measure_of_patients_asks_for_the_exposure_of_every_checkpoint_first(measure):
    chooser = EarlyStop(build(EarlyStop.Config, {"memorization": measure}))
    with pytest.raises(UserError, match=f"{measure} needs the exposure of every checkpoint"):
        chooser.check(["fid"], "last")
    chooser.check(["fid"], "all")


def test_it_may_weigh_how_many_are_named_as_copies_and_as_exposed():
    named = {0: (0.0, 0.4), 1: (0.1, 0.0)}
    scores = [
        CheckpointScores(
            step, {"named": images, "named-patients": patients}, {"fid": 1.0}, {"fid": 1.0}
        )
        for step, (images, patients) in named.items()
    ]
    assert stop(scores, memorization="named").indices.tolist() == [0]
    choice = stop(scores, memorization="named-patients")
    assert choice.indices.tolist() == [1] and "with named-patients 0%" in choice.why


def test_the_shares_of_what_is_named_come_from_the_evidence():
    copies = fakes.named(2, 40, suspect=6)
    scores = scores_of(fakes.result(copies=copies, exposed=3, n=60, m=40).last).memorization
    assert scores["named"] == 6 / 40 and scores["named-patients"] == 3 / 60
    untested = scores_of(fakes.result(copies=copies, exposed=None, m=40).last).memorization
    assert "named" in untested and "named-patients" not in untested
