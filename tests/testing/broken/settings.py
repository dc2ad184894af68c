"""Configurations that are wrong."""

from pydantic import ConfigDict, field_validator

from memtk.interfaces import ComponentConfig
from memtk.testing import Case


class Lax(ComponentConfig):
    model_config = ConfigDict(extra="ignore")


class Shifting(ComponentConfig):
    width: int = 1

    @field_validator("width")
    @classmethod
    def grow(cls, value):
        return value + 1


def cases(sound, folder):
    def case(**changes):
        return Case(type("Broken", (sound.mitigation,), changes), spec=sound.spec)

    return {
        "config_is_a_component_config": case(Config=dict),
        "presets_fit_the_config": case(presets={"demo": {"wdth": 2}}),
        "unknown_keys_are_refused": case(Config=Lax),
        "config_comes_back_from_its_dump": case(Config=Shifting),
    }
