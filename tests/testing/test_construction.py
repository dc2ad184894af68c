from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from memtk.interfaces import ComponentConfig, PhaseSettings
from memtk.testing import check_generator, check_mitigation
from memtk.testing.case import make_config, make_trainable


def test_the_smoke_preset_lies_between_defaults_and_what_is_given(sound_generator, spec):
    assert make_config(sound_generator, None).width == 2
    assert make_config(sound_generator, {"width": 7}).width == 7


def test_two_instances_begin_with_the_same_weights(sound_generator, spec):
    first, second = (make_trainable(sound_generator, None, spec) for _ in range(2))
    assert (first.up.weight == second.up.weight).all()


@pytest.mark.parametrize("config", [None, dict, BaseModel, 3])
def test_a_config_of_another_kind_is_told(sound_mitigation, spec, complaint, config):
    odd = type("Odd", (sound_mitigation,), {"Config": config})
    assert "not a subclass of memtk.interfaces.ComponentConfig" in complaint(
        check_mitigation, odd, spec=spec
    )


def test_a_preset_that_does_not_fit_is_told(sound_generator, spec, complaint):
    class Stale(sound_generator):
        presets = {"smoke": {"wdth": 2}}

    text = complaint(check_generator, Stale, spec=spec)
    assert "cannot be built from the preset 'smoke'" in text and "Did you mean 'width'?" in text


def test_a_config_without_a_default_needs_what_is_given(sound_generator, spec, complaint):
    class Needy(sound_generator):
        class Config(ComponentConfig):
            width: int = Field(..., ge=1)
            training: PhaseSettings = PhaseSettings(steps=1)

        presets = {}

    assert "cannot be built" in complaint(check_generator, Needy, spec=spec)
    check_generator(Needy, {"width": 2}, spec)
