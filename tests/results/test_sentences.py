from __future__ import annotations

import itertools
import re

import pytest

from memtk.results import EmbedderTrainedOn, explain

SAYS = [
    ({}, "these images pass", "cannot"),
    ({}, "Among 100 synthetic images we found no evidence of copies", "named as copies"),
    ({}, "at most 3 % of them are copies of the kinds that were tried", "says nothing"),
    (
        {},
        "A share of such copies of 6 % would have been noticed four times in five",
        "not measured",
    ),
    ({}, "No training patient was flagged as exposed", "not tested"),
    ({}, "Of 100 copies that we made ourselves", "too few to rely on"),
    ({}, "it noticed 96 (96 %).", "embeddings"),
    (
        {"min_detectable_patients": 10},
        "up to 9 exposed patients would have gone unnoticed",
        "10 exposed",
    ),
    ({"min_detectable_patients": 1}, "was flagged as exposed.", "unnoticed at these"),
    ({"exposed": 7}, "7 of 64 training patients (10.9 %) are exposed", "No training patient"),
    ({"exposed": 1}, "1 of 64 training patients (1.6 %) is exposed", "these images pass"),
    ({"exposed": None}, "was not tested", "No training patient"),
    ({"copies": 5}, "5 are named as copies", "no evidence"),
    ({"copies": 1}, "1 is named as copies", "no evidence"),
    ({"low": 0.02, "estimate": 0.04}, "taken together they are nearer", "no evidence"),
    ({"identical": 3}, "3 of 100 synthetic images (3 %) are identical", "no evidence"),
    ({"can_reject": False}, "that none was named says nothing", "no evidence"),
    ({"patients_can_reject": False}, "could have been flagged as exposed", "was flagged"),
    ({"test": None}, "would notice was not measured", "we made ourselves"),
    ({"test": None}, "are copies that this comparison can notice", "that were tried"),
    ({"test": {"found": 0, "n": 0, "low": 0.0}}, "could not be measured", "we made ourselves"),
    ({"test": {"found": 60, "n": 100, "low": 0.5}}, "too few to rely on", "these images pass"),
    ({"test": {"exposure": 96}}, "saw 96 of the 100 images exposed whose", "rely on"),
    ({"test": {"exposure": 40}}, "these were (40 %), too few to rely on.", "may have gone"),
    ({"test": {"exposure": 96}, "exposed": None}, "it noticed 96 (96 %).", "other comparison"),
    ({"given": True}, "embeddings that were given", "brought along"),
    ({"given": True}, "that were given along with the embeddings", "made ourselves"),
    ({"bound": None, "min_detectable_copy_rate": None}, "can neither pass", "four times"),
]


@pytest.mark.parametrize(("figures", "there", "absent"), SAYS, ids=[c[1] for c in SAYS])
def test_every_branch_says_what_is_true_and_not_what_is_not(make_audit, figures, there, absent):
    text = explain(make_audit(**figures))
    assert there in text and absent not in text


def test_an_embedder_that_was_brought_along_is_said_to_be(make_audit):
    saw = EmbedderTrainedOn(copies="given", exposure="given")
    text = explain(make_audit().model_copy(update={"embedder_trained_on": saw}))
    assert "The embedder was brought along" in text and "not with images" not in text


def test_the_limits_are_said_in_every_case_and_nothing_is_promised(make_audit):
    choices = {
        "exposed": (0, 3, None),
        "copies": (0, 4),
        "can_reject": (True, False),
        "test": (None, {}, {"found": 10, "n": 100, "low": 0.05}),
        "estimate": (0.01, None),
        "identical": (0, 1),
        "given": (False, True),
    }
    for values in itertools.product(*choices.values()):
        text = explain(make_audit(**dict(zip(choices, values, strict=True))))
        assert "does not show that no patient can be recognised" in text
        assert not re.search(r"anonym|\bsafe|guarantee|risk|\n|  |None|nan", text)
        assert text.count(". ") <= 10
