from __future__ import annotations

import os
import time

import pytest

from memtk.evaluation.context import StageTimer


def test_seconds_of_a_stage_add_up_over_restarts(tmp_path):
    for _ in range(2):
        with StageTimer(tmp_path / "t.json")("train", "a"):
            time.sleep(0.02)
    assert 0.04 <= StageTimer(tmp_path / "t.json").of("a")["train: a"] < 0.5


def test_the_time_of_a_stage_that_failed_is_kept(tmp_path):
    timer = StageTimer(tmp_path / "t.json")
    with pytest.raises(ZeroDivisionError), timer("x"):
        1 / 0  # noqa: B018
    assert "x" in StageTimer(tmp_path / "t.json").of("")


@pytest.mark.parametrize(
    "content",
    ["[]", '{"x": "soon"}', '{"x": NaN}', '{"x": 1e999}', '{"x": -1}', '{"x": ' + "9" * 400 + "}",
     "[" * 100_000, '{"x": null}', "\0", ""],
    ids=lambda text: text[:9],
)  # fmt: skip
def test_seconds_that_cannot_be_are_forgotten(tmp_path, content):
    (tmp_path / "t.json").write_text(content)
    with StageTimer(tmp_path / "t.json")("x"):
        pass
    assert 0 <= StageTimer(tmp_path / "t.json").of("")["x"] < 1


def test_seconds_in_a_pipe_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "t.json")
    assert not StageTimer(tmp_path / "t.json").of("")


def test_only_the_names_asked_for_are_given():
    timer = StageTimer(None)
    for stage, name in (("train", "a"), ("train", "ab"), ("sample", "a"), ("read", "")):
        with timer(stage, name):
            pass
    assert set(timer.of("", "ab")) == {"read", "train: ab"}


def test_a_stage_within_another_is_counted_once_and_bears_its_name():
    timer = StageTimer(None)
    with timer("evaluate", "a"):
        time.sleep(0.02)
        with timer("train embedder"):
            time.sleep(0.04)
    spent = timer.of("a")
    assert 0.02 <= spent["evaluate: a"] < 0.04 <= spent["train embedder: a"]
