from __future__ import annotations

import importlib.util
import sys
import types

import pytest

from memtk.errors import UserError
from memtk.events import Event
from memtk_tensorboard import watcher


class Writer:
    def __init__(self, folder=""):
        self.folder, self.rows, self.flushed = folder, [], 0

    def add_scalar(self, tag, value, step):
        self.rows.append((tag, value, step))

    def flush(self):
        self.flushed += 1


@pytest.fixture(autouse=True)
def afresh():
    watcher.opened.cache_clear()
    yield
    watcher.opened.cache_clear()


def stage(*events):
    return [Event(kind, "training x: diffusion", step, 9, values) for kind, step, values in events]


def test_losses_are_logged_by_stage_and_term_at_their_steps():
    log = watcher.Log(Writer())
    for event in stage(
        ("start", 0, {}), ("step", 3, {"mse": 0.5, "kl": 0.1}), ("end", 9, {"mse": 0.25})
    ):
        log.take(event)
    log.take(Event("note", "x", text="hello"))
    assert log.writer.rows == [
        ("training x: diffusion/mse", 0.5, 3),
        ("training x: diffusion/kl", 0.1, 3),
        ("training x: diffusion/mse", 0.25, 9),
    ]
    assert log.writer.flushed == 1


def test_a_stage_that_begins_again_has_a_name_of_its_own():
    log = watcher.Log(Writer())
    for event in stage(
        ("start", 0, {}), ("step", 1, {"a": 1}), ("start", 0, {}), ("step", 1, {"a": 2})
    ):
        log.take(event)
    assert [row[0] for row in log.writer.rows] == [
        "training x: diffusion/a",
        "training x: diffusion (2)/a",
    ]


def test_nothing_is_logged_unless_a_folder_is_named(monkeypatch):
    monkeypatch.delenv("MEMTK_TENSORBOARD", raising=False)
    monkeypatch.setattr(watcher, "opened", lambda folder: pytest.fail("opened"))
    watcher.memtk_run_event(Event("step", "x", 1, 2, {"a": 1.0}))


def test_the_folder_is_the_one_that_is_named(monkeypatch):
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setenv("MEMTK_TENSORBOARD", "somewhere")
    for step in range(2):
        watcher.memtk_run_event(Event("step", "x", step, 2, {"a": 1.0}))
    writer = watcher.opened("somewhere").writer
    assert writer.folder == "somewhere"
    assert [row[2] for row in writer.rows] == [0, 1]


def test_without_tensorboard_a_note_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setenv("MEMTK_TENSORBOARD", "somewhere")
    with pytest.raises(UserError, match="pip install tensorboard"):
        watcher.memtk_run_event(Event("step", "x", 1, 2, {"a": 1.0}))


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="needs tensorboard")
def test_tensorboard_reads_what_was_logged(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("MEMTK_TENSORBOARD", str(tmp_path))
    for event in stage(("start", 0, {}), ("step", 3, {"mse": 0.5}), ("end", 9, {"mse": 0.25})):
        watcher.memtk_run_event(event)
    read = EventAccumulator(str(tmp_path)).Reload().Scalars("training x: diffusion/mse")
    assert [(row.step, row.value) for row in read] == [(3, 0.5), (9, 0.25)]
