"""The checks under pytest: one test a check."""

from __future__ import annotations

import pytest

from memtk.registry import open_registry
from memtk.testing import CHECKS, Case, conformance


def parameters(*cases):
    def test(check):
        check()

    (mark,) = conformance(*cases)(test).pytestmark
    assert mark.name == "parametrize" and mark.args[0] == "check"
    return {parameter.id: parameter for parameter in mark.args[1]}


def run(parameter):
    (check,) = parameter.values
    check()


def test_each_check_is_a_test_of_its_own_with_the_name_of_case_and_rule(sound):
    found = parameters(Case(sound.similarity), Case(sound.generator, spec=sound.spec))
    assert len(found) == len(CHECKS["similarity"]) + len(CHECKS["generator"])
    assert "SoundSimilarity-tiles_make_the_whole" in found
    assert "SoundGenerator-2D-samples_are_images" in found
    run(found["SoundGenerator-2D-samples_are_images"])


def test_a_broken_rule_fails_its_test_alone(sound):
    broken = type("Broken", (sound.similarity,), {"space": "pixels"})
    found = parameters(Case(broken))
    run(found["Broken-tiles_make_the_whole"])
    with pytest.raises(AssertionError, match="space is 'pixels'"):
        run(found["Broken-space_is_known"])


def test_what_does_not_apply_is_skipped_with_the_reason(sound):
    found = parameters(Case(sound.reader), Case(sound.mitigation, spec=sound.spec))
    with pytest.raises(pytest.skip.Exception, match="needs an example file"):
        run(found["SoundReader-volumes_are_sound"])
    with pytest.raises(pytest.skip.Exception, match="does not say that it keeps whole patients"):
        run(found["SoundMitigation-2D-choose_keeps_whole_patients"])
    with pytest.raises(pytest.skip.Exception, match="no installed plugin brings it"):
        run(found["SoundReader-its_name_is_its_own"])


def test_a_known_failure_is_expected_strictly_with_its_reason(sound):
    found = parameters(Case(sound.similarity, known={"space_is_known": "not decided"}))
    (mark,) = found["SoundSimilarity-space_is_known"].marks
    assert mark.name == "xfail" and mark.kwargs == {"reason": "not decided", "strict": True}
    assert not found["SoundSimilarity-tiles_make_the_whole"].marks


def test_a_known_failure_of_no_check_is_refused_at_once(sound):
    with pytest.raises(ValueError, match=r"Did you mean 'space_is_known'\?"):
        conformance(Case(sound.similarity, known={"space_is_knwon": "typo"}))


def test_an_entry_of_the_registry_is_a_case_and_a_registered_class_knows_its_entry():
    entry = open_registry().find("similarity", "cosine")
    assert Case(entry).kind == "similarity" and Case(entry).cls is entry.load()
    assert Case(entry.load()).entry.name == "cosine"
    run(parameters(Case(entry.load()))["Cosine-its_name_is_its_own"])
