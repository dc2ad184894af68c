from __future__ import annotations

import pytest
from pydantic import ValidationError

from memtk.interfaces import ComponentConfig, PhaseSettings


class Config(ComponentConfig):
    width: int = 3


def test_a_configuration_cannot_be_changed_once_made():
    with pytest.raises(ValidationError, match="frozen"):
        Config().width = 4


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Config(wdth=4)


def test_every_setting_of_a_phase_says_what_it_is():
    assert all(field.description for field in PhaseSettings.model_fields.values())


def test_a_phase_takes_no_gradient_steps_where_it_is_told_so():
    assert PhaseSettings(steps=0).steps == 0


@pytest.mark.parametrize(
    "setting",
    [
        {"steps": -1},
        {"batch_size": 0},
        {"accumulate": 0},
        {"clip_norm": 0},
        {"schedule": "linear"},
        {"ema_decay": 1.0},
        {"ema_decay": -0.1},
        {"ema_every": 0},
        {"precision": "float16"},
        {"variants": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(ValidationError):
        PhaseSettings(**setting)


def test_gradients_may_go_unclipped():
    assert PhaseSettings(clip_norm=None).clip_norm is None
