from __future__ import annotations

import numpy as np

from memtk.leaderboard.rows import ranks
from memtk.results import RateInterval


def interval(estimate, low, high):
    return RateInterval(estimate=estimate, low=low, high=high)


def test_rows_that_overlap_share_a_place_and_rows_that_do_not_are_apart():
    rng = np.random.default_rng(0)
    for _ in range(200):
        low = rng.random(7).round(2)
        rows = [interval(a, a, min(a + b, 1)) for a, b in zip(low, rng.random(7) / 3, strict=True)]
        found = ranks(rows)
        assert all(1 <= rank.best <= rank.worst <= 7 for rank in found)
        for i, a in enumerate(rows):
            for j, b in enumerate(rows):
                places = [set(range(r.best, r.worst + 1)) for r in (found[i], found[j])]
                if a.low <= b.high and b.low <= a.high:
                    assert places[0] & places[1]
                elif a.high < b.low:
                    assert found[i].best < found[j].best and found[i].worst < found[j].worst


def test_rows_that_all_overlap_have_one_rank_whatever_their_estimates():
    rows = [interval(x, 0.0, 0.6) for x in (0.1, 0.5, 0.3)]
    assert [str(r) for r in ranks(rows)] == ["1–3"] * 3


def test_rows_apart_are_counted():
    rows = [interval(x, x, x) for x in (0.3, 0.1, 0.2)]
    assert [str(r) for r in ranks(rows)] == ["3", "1", "2"]


def test_what_has_no_copy_rate_has_no_rank_and_is_not_counted():
    assert [r and str(r) for r in ranks([None, interval(0, 0, 1)])] == [None, "1"]
    assert ranks([]) == []
