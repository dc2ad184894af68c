"""What every component's configuration must keep to."""

from __future__ import annotations

import json

from memtk.config import build
from memtk.errors import UserError
from memtk.testing.case import Case
from memtk.testing.construction import STRANGE, config_class, make_config
from memtk.testing.verdict import applies, expect


def check_config_is_a_component_config(case: Case) -> None:
    """Its `Config` is a frozen pydantic model that memtk can show and store."""
    _has_config(case)
    config_class(case.cls)


def check_presets_fit_the_config(case: Case) -> None:
    """Every preset can be built, `smoke` above all."""
    _has_config(case)
    for preset in {"smoke": {}, **getattr(case.cls, "presets", {})}:
        make_config(case.cls, case.config, preset)


def check_unknown_keys_are_refused(case: Case) -> None:
    """A mistyped key is an error, never ignored."""
    _has_config(case)
    made = make_config(case.cls, case.config)
    try:
        build(type(made), made.model_dump(), {STRANGE: 1})
    except UserError:
        return
    raise AssertionError(f"{case.cls.__name__}.Config takes an unknown key; it must refuse it")


def check_config_comes_back_from_its_dump(case: Case) -> None:
    """What a result records builds the same configuration again, through JSON too."""
    _has_config(case)
    made = make_config(case.cls, case.config)
    stored = json.loads(json.dumps(made.model_dump(mode="json")))
    for dump, what in ((made.model_dump(), "its dump"), (stored, "its dump in JSON")):
        again = type(made).model_validate(dump)
        expect(
            again == made, f"{case.cls.__name__}.Config is not equal to what is built from {what}"
        )


def _has_config(case: Case) -> None:
    applies(hasattr(case.cls, "Config"), "it has no settings")


SETTINGS = (
    check_config_is_a_component_config,
    check_presets_fit_the_config,
    check_unknown_keys_are_refused,
    check_config_comes_back_from_its_dump,
)
