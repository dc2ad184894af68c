"""The tests are tested: every check fails on a component that is wrong in just that way."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from memtk.component import Component
from memtk.plugins import Plugin
from memtk.registry import Entry
from memtk.testing import CHECKS, Case, run_checks
from memtk.testing.checks import name_of, run_check
from memtk.testing.registration import SETTINGS

FOLDER = Path(__file__).parent / "broken"
NAMES = list(dict.fromkeys(name_of(check) for checks in CHECKS.values() for check in checks))

WITHOUT = {
    "embedder": {"batch_size_does_not_change_encodings"},  # a sound one has no encoder
    "quality": {name_of(check) for check in SETTINGS},  # nor has a sound metric a Config
    "attack": {name_of(check) for check in SETTINGS},
}
"""What the sound component of a kind has nothing of; that of another kind has it."""


@pytest.fixture(scope="module")
def broken(sound, tmp_path_factory):
    """The broken components by the name of the check that must fail on them."""
    folder = tmp_path_factory.mktemp("broken")
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        for path in sorted(FOLDER.glob("*.py")):
            spec = importlib.util.spec_from_file_location(f"broken_{path.stem}", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            cases = module.cases(sound, folder)
            assert not found.keys() & cases.keys(), path.name
            found |= cases
        yield found


def test_every_check_has_a_broken_component_and_every_broken_component_a_check(broken):
    assert sorted(broken) == sorted(NAMES)


def test_two_checks_do_not_share_a_name():
    functions = {check for checks in CHECKS.values() for check in checks}
    assert len({name_of(check) for check in functions}) == len(functions)


@pytest.mark.parametrize("name", NAMES)
def test_a_check_fails_on_its_own_broken_component_in_one_sentence(broken, name):
    outcome = run_check(broken[name], name)
    assert outcome.status == "failed", outcome
    assert "it raises" not in outcome.why, "it fails by accident, not by its rule"
    assert outcome.why[0].isalpha() or outcome.why[0] in "'<", outcome.why


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_passes_on_a_sound_component(sound, kind):
    record = Component("sound", "sound:Sound", "A sound one.")
    entry = Entry(kind, record, Plugin("sound", "memtk_toy", "memtk-sound", "1.0"))
    case = Case(
        getattr(sound, kind),
        spec=sound.spec,
        entry=entry,
        whole_patients=True,
        example=sound.write_grid,
    )
    assert case.kind == kind
    outcomes = run_checks(case)
    assert {o.check: o.why for o in outcomes if o.status not in ("passed", "skipped")} == {}
    skipped = {o.check for o in outcomes if o.status == "skipped"}
    assert skipped == WITHOUT.get(kind, set())
