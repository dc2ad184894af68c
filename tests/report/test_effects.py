"""What mitigations did: facts in the result, sentences in the report."""

from typing import get_args

import pytest

from memtk.report.effects import effect_sentence, effects_in_words
from memtk.results import MitigationEffect, Privacy, SettingChange

PRIVACY = Privacy(
    epsilon=2.5, delta=1e-3, unit="patient", units=24, most_images=1, noise_multiplier=1.0,
    max_grad_norm=1.0, steps=1200, phases=[], accountant="rdp", opacus_version="1", secret=True,
)  # fmt: skip

CHANGES = [
    SettingChange(key="channels", before=[8, 8], after=[4, 4]),
    SettingChange(key="width", before=8, after=4),
]

SAID = {
    "settings": (
        {"changes": CHANGES},
        "The generator's settings were changed: channels 8, 8 became 4, 4; width 8 became 4.",
    ),
    "patients": (
        {"kept": 5, "of": 10, "kept_patients": 1, "of_patients": 2},
        "5 of 10 training images were used, of 1 of 2 patients.",
    ),
    "thinned": ({"kept": 7, "of": 8}, "1 of 8 training images was left out."),
    "augmented": ({}, "The training images were changed anew each time they were shown."),
    "private": (
        {},
        "Trained with differential privacy: epsilon 2.5 at delta 0.001 for each patient, over "
        "1,200 noisy steps.",
    ),
    "taught": (
        {"kept": 3, "of": 9},
        "A first generator was trained on the training images; of 9 images that it made, 3 taught "
        "the one that is judged.",
    ),
    "checkpoint": (
        {"step": 2000, "of_steps": [1000, 2000]},
        "Of the checkpoints at the steps 1,000, 2,000, step 2,000 was taken.",
    ),
    "released": (
        {"kept": 20, "of": 24},
        "20 of 24 synthetic images of the last checkpoint were let out.",
    ),
    "screened": ({"kept": 22, "of": 24}, "2 of 24 synthetic images were held back."),
    "nothing left": (
        {"kept": 0, "of": 24},
        "Nothing is left to release: the verdict is on the images as they were.",
    ),
    "reevaluated": (
        {"fresh_samples": True, "second_embedder": True},
        "What was chosen by a score cannot be tested by that score again. The verdict rests on a "
        "new judgement, with fresh samples and a second embedder, trained anew.",
    ),
}


@pytest.fixture
def result(results):
    return results[0].model_copy(update={"privacy": PRIVACY})


def test_everything_that_a_mitigation_does_has_a_sentence():
    every = get_args(MitigationEffect.model_fields["did"].annotation)
    assert set(SAID) | {""} == set(every)


@pytest.mark.parametrize("did", SAID)
def test_the_sentence_has_the_facts_and_the_mitigations_own_reason(did, result):
    facts, said = SAID[did]
    effect = MitigationEffect(mitigation="m", did=did, **facts)
    assert effect_sentence(effect, result) == said
    reason = effect.model_copy(update={"why": "It was the best."})
    assert effect_sentence(reason, result) == f"{said} It was the best."


@pytest.mark.parametrize(
    ("variants", "said"),
    [([5], "drew from 5 changed versions of each."), ([3, 8], "as its setting `variants` says.")],
)
def test_it_is_said_how_often_augmentation_is_new(variants, said, result):
    effect = MitigationEffect(mitigation="augment", did="augmented", variants=variants)
    assert effect_sentence(effect, result).endswith(said)


def test_the_same_embedder_again_is_no_test(result):
    effect = MitigationEffect(mitigation="m", did="reevaluated", fresh_samples=False)
    assert effect_sentence(effect, result).endswith("with the same eyes: read it as no test.")


def test_the_sentence_of_an_older_file_is_kept(result):
    old = MitigationEffect.model_validate({"mitigation": "m", "text": "Left out.", "kept": 1})
    said = effects_in_words(result.model_copy(update={"mitigation_effects": [old]}))
    assert said == [("m", "Left out.")]
