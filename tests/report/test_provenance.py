from __future__ import annotations

import pytest

from memtk.report.provenance import provenance_of, provenance_of_audit
from memtk.results import Counts, read_audit
from memtk.results.formats import duration


def test_components_come_with_package_version_and_settings(results):
    found = provenance_of(results[0])
    roles = [part.role for part in found.components]
    assert roles == ["generator", "embedder", "similarity", "mitigation"]
    generator = found.components[0]
    assert generator.origin == "memtk 0.1.0, plugin toy"
    assert generator.settings == [("weights", "(not shown)"), ("steps", "200")]


def test_the_images_used_are_counted_where_a_mitigation_left_some_out(results):
    result = results[0]
    fewer = result.model_copy(update={"used_training": Counts(images=12, patients=9)})
    assert provenance_of(result).counts == [
        ("training", 24, 24),
        ("validation", 24, 24),
        ("synthetic, each checkpoint", 24, None),
    ]
    assert provenance_of(fewer).counts[1] == ("training, used", 12, 9)


def test_seed_versions_device_and_what_the_embedders_saw_are_named(results):
    facts = dict(provenance_of(results[0]).facts)
    assert facts["seed"] == "3" and facts["torch"] == "2.13.0"
    assert facts["images"] == "manifest, 12 × 12, 2 × 3 mm"
    assert facts["embedder for the exposure saw"] == "synthetic images"
    assert facts["suite"] == "none: own data" and facts["device"] == "cpu, 1 process"


def test_durations_are_for_people():
    assert [duration(s) for s in (59.94, 61, 3600)] == ["59.9 s", "1 min 1 s", "1 h 0 min"]


def test_an_audit_names_what_it_compared_and_no_patient_of_a_synthetic_image(audited):
    found = provenance_of_audit(read_audit(audited / "audit.json"))
    assert [part.role for part in found.components] == ["embedder", "similarity"]
    assert found.components[0].settings == [("weights", "(not shown)")]
    assert found.counts[-1] == ("synthetic", 40, None)
    assert dict(found.facts)["embedder for the copies saw"] == "training images"
    assert found.timing == [("searching", "1 min 15 s")] and found.recipe


def test_an_audit_of_embeddings_has_no_images_to_describe(make_audit_run):
    folder = make_audit_run(given=True, exposure=False)
    found = provenance_of_audit(read_audit(folder / "audit.json"))
    facts = dict(found.facts)
    assert facts["images"] == "none: embeddings were given" and not found.recipe
    assert facts["embedder for the copies saw"].startswith("given")
    assert facts["embedder for the exposure saw"] == "not asked for"


@pytest.mark.parametrize("seen", [5.0, -1.0, float("nan"), float("inf")])
def test_a_share_of_planted_copies_that_cannot_be_is_not_shown(audited, seen):
    audit = read_audit(audited / "audit.json")
    for value, words in ((0.9, "10 steps, 90% of planted copies seen"), (seen, "10 steps")):
        losses = {"copies": {"embedder": [(10, {"loss": 1.0, "seen": value})]}}
        facts = dict(provenance_of_audit(audit.model_copy(update={"training": losses})).facts)
        assert facts["embedder for the copies saw"] == f"training images, {words}"
