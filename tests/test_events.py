from __future__ import annotations

import dataclasses

import pytest

from memtk import events
from memtk.events import Event, StageEvents, ignore


def test_an_event_says_what_goes_on_and_cannot_be_changed():
    event = Event("step", "training monai3d", 3, 10, {"mse": 0.5})
    assert (event.kind, event.step, event.total, event.text) == ("step", 3, 10, "")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.step = 4


def test_two_events_do_not_share_their_values():
    assert (
        Event("start", "a").values == {}
        and Event("start", "a").values is not Event("start", "b").values
    )


def test_ignoring_an_event_is_watching_too():
    assert ignore(Event("end", "a")) is None


def test_steps_are_told_a_few_times_a_second_and_the_rest_always(monkeypatch):
    clock, told = [0.0], []
    monkeypatch.setattr(events.time, "monotonic", lambda: clock[0])
    stage = StageEvents("x", told.append)
    stage.tell("start")
    for step in range(10):
        clock[0] += 0.0625
        stage.tell("step", step)
    stage.tell("end")
    assert [e.step for e in told if e.kind == "step"] == [0, 4, 8]
    assert [e.kind for e in told if e.kind != "step"] == ["start", "end"]


def test_only_the_first_process_speaks():
    told = []
    StageEvents("x", told.append, speaks=False).tell("start")
    assert told == []
