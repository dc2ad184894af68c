from __future__ import annotations

import dataclasses

import pytest

from memtk.events import Event, ignore


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
