from __future__ import annotations

import itertools
import re

import pytest

from memtk.results import EmbedderTrainedOn, FirstVerdict, Policy, explain
from memtk.testing import fakes
from memtk.testing.fakes import named

SAYS = [
    ({}, "these images are within the policy", "cannot"),
    ({}, "Among 100 synthetic images none stands out", "named for sure"),
    ({}, "at most 3% of the synthetic images are copies of the kinds that were tried", "says no"),
    ({}, "where a generator that has memorized nothing has none", "not measured"),
    ({}, "No training patient is shown to be exposed, and at most 3 of 64 are not", "not tested"),
    ({}, "Among 64 training patients none stands out", "named for sure"),
    ({}, "Of 100 copies that we made ourselves", "too few to rely on"),
    ({}, "it noticed 96 (96%).", "embeddings"),
    ({"exposed": 7}, "Between 7 and 10 of 64 training patients are exposed", "No training patient"),
    ({"exposed": 7}, "Of 64 training patients 7 are named as exposed, 7", "none stands out. By"),
    ({"exposed": 1}, "Between 1 and 4 of 64 training patients are exposed", "are within"),
    ({"exposed": None}, "was not tested", "No training patient"),
    ({"copies": 5}, "Of 100 synthetic images 5 are named as copies, 5 for sure; of the named",
        "100 synthetic images none"),
    ({"copies": 5}, "10% are wrong on average. The estimated share", "at least"),
    ({"copies": 5, "exposed": 7}, "Between 7 and 10 of 64", "at least"),
    ({"copies": 5, "estimate": None, "bound": None}, "Without a model, at least 5 of 100 are.",
        "estimated share"),
    ({"copies": 1}, "1 is named as a copy, 1 for sure", "100 synthetic images none"),
    ({"copies": named(0, 100, suspect=2)}, "2 are named as copies, 0 for sure", "not, at le"),
    ({"copies": named(0, 100, at_least=6), "estimate": None, "bound": None}, "No single one of 100 "
        "synthetic images could be named. Without a model, at least 6 of 100 are.", "for sure"),
    ({"identical": 3}, "3 of 100 synthetic images (3%) are identical", "within the policy"),
    ({"test": None}, "would notice was not measured", "we made ourselves"),
    ({"test": None}, "are copies that this comparison can notice", "that were tried"),
    ({"test": {"found": 0, "n": 0, "low": 0.0}}, "could not be measured", "we made ourselves"),
    ({"test": {"found": 60, "n": 100, "low": 0.5}}, "too few to rely on", "are within"),
    ({"test": {"exposure": 96}}, "saw 96 of the 100 images exposed whose", "rely on"),
    ({"test": {"exposure": 40}}, "these were (40%), too few to rely on.", "may have gone"),
    ({"test": {"exposure": 96}, "exposed": None}, "it noticed 96 (96%).", "other comparison"),
    ({"given": True}, "embeddings that were given", "brought along"),
    ({"given": True}, "that were given along with the embeddings", "made ourselves"),
    ({"bound": None}, "can neither pass", "confidence at most"),
    (
        {"first_verdict": FirstVerdict(outcome="fail", policy=Policy())},
        "The policy was changed after the results were known (first verdict: fail). By the changed "
        "rules, these images are within the policy",
        "fixed beforehand",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("figures", "there", "absent"), SAYS, ids=[c[1] for c in SAYS])
def test_every_branch_says_what_is_true_and_not_what_is_not(make_audit, figures, there, absent):
    text = explain(make_audit(**figures))
    assert there in text and absent not in text


def test_an_embedder_that_was_brought_along_is_said_to_be(make_audit):
    saw = EmbedderTrainedOn(copies="given", exposure="given")
    text = explain(make_audit().model_copy(update={"embedder_trained_on": saw}))
    assert "The embedder was brought along" in text and "not with images" not in text


def test_an_audit_of_old_is_told_as_one(make_audit):
    audit = make_audit(copies=3)
    old = audit.model_copy(update={"evidence": fakes.by_ranks(audit.evidence)})
    assert "flagged 3 of 100 synthetic images by ranks: run the audit anew" in explain(old)


def test_the_limits_are_said_in_every_case_and_nothing_is_promised(make_audit):
    choices = {
        "exposed": (0, 3, (2, 40), None),
        "copies": (0, 4),
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
