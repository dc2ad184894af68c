from __future__ import annotations

import time

import pytest

from memtk.evaluation.context import StageTimer


def test_seconds_of_a_stage_add_up_over_restarts(tmp_path):
    for _ in range(2):
        with StageTimer(tmp_path / "t.json")("training a"):
            time.sleep(0.02)
    assert 0.04 <= StageTimer(tmp_path / "t.json").of("training")["training a"] < 0.5


def test_the_time_of_a_stage_that_failed_is_kept(tmp_path):
    clock = StageTimer(tmp_path / "t.json")
    with pytest.raises(ZeroDivisionError), clock("x"):
        1 / 0  # noqa: B018
    assert "x" in StageTimer(tmp_path / "t.json").of("x")


def test_only_the_stages_asked_for_are_given():
    clock = StageTimer(None)
    for stage in ("training a", "training ab", "sampling a"):
        with clock(stage):
            pass
    assert set(clock.of("sampling", "training ab")) == {"training ab", "sampling a"}
