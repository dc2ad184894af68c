"""A cell is repeated from its file alone, and with the same numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from memtk.bench.reproduce import changed_packages, plan_of, recipe_of, reproduce
from memtk.errors import UserError
from memtk.results import Result, read_result
from memtk.results.collect import add
from memtk.results.differences import compare
from memtk.results.redact import HIDDEN

TINY = ("data.phantom.training=6", "data.phantom.validation=6", "copycat.rate=0.5")


@pytest.fixture(scope="module")
def stored(tmp_path_factory, run_small):
    """A cell without an embedder, which takes a second."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = run_small(folder, ("copycat",), TINY, similarity="ncc", checkpoints=1, plants=3)
    return done.results[0]


@pytest.fixture(scope="module")
def own(tmp_path_factory, run_small):
    """Likewise of images in a file: the file, and the run folder."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    images = {f"{part}_images": rng.integers(0, 255, (6, 9, 8), dtype=np.uint8) for part in SPLITS}
    np.savez(folder / "images.npz", **images)
    options = {"similarity": "ncc", "checkpoints": 1, "plants": 3}
    run_small(folder / "run", ("copycat",), data=str(folder / "images.npz"), **options)
    return folder / "images.npz", folder / "run"


SPLITS = ("train", "val")


def changed(result, **changes):
    return Result.model_validate(json.loads(result.model_dump_json()) | changes)


def test_a_cell_comes_out_again_from_its_file_alone(stored, registry, tmp_path):
    repeated = reproduce(stored, registry, out=tmp_path / "run", device="cpu")
    assert {line.outcome for line in compare(stored, repeated, 0)} == {"equal"}
    assert (
        repeated.components == stored.components
        and repeated.request["bench"] == stored.request["bench"]
    )
    assert changed_packages(stored, repeated) == []


def test_an_attack_that_found_nothing_to_look_at_is_not_asked_for_again(stored, registry):
    counted = dict.fromkeys(("member_images", "member_patients"), 6)
    counted |= dict.fromkeys(("non_member_images", "non_member_patients"), 6)
    lacking = {**counted, "confidence": 0.95, "reason": "this generator offers no diffusion"}
    part = stored.components.similarity.model_copy(update={"name": "pia", "plugin": "attacks"})
    request = json.loads(json.dumps(stored.request))
    request["bench"]["attack"] = ["pia"]
    parts = stored.components.model_copy(update={"attacks": [part]})
    skipped = changed(
        stored, request=request, components=parts.model_dump(), membership={"pia": lacking}
    )
    assert plan_of(skipped, registry).attacks == ()


def test_settings_that_a_mitigation_adjusted_are_not_adjusted_twice(stored, registry):
    from memtk.bench import make_plan, read_recipe

    asked = {"generator": ("monai2d",), "preset": "smoke", "mitigation": ("smaller",)}
    [(cell, part)] = make_plan(read_recipe(registry, asked), registry).generators.items()
    plain = {**asked, "mitigation": ()}
    [(_, before)] = make_plan(read_recipe(registry, plain), registry).generators.items()
    assert part.config != before.config  # or this shows nothing
    asked = stored.request["bench"] | {"generator": ["monai2d"], "mitigation": ["smaller"]}
    used = {"name": "monai2d", "plugin": "monai", "distribution": "memtk", "version": "0"}
    parts = stored.components.model_dump() | {
        "generator": used | {"config": part.config.model_dump(mode="json")},
        "mitigations": [used | {"name": "smaller", "plugin": "mitigations"}],
    }
    file = changed(stored, request=stored.request | {"bench": asked}, components=parts)
    [(again, repeated)] = plan_of(file, registry).generators.items()
    assert again == cell and repeated.config == part.config


def test_own_images_must_be_given_and_must_be_the_same(own, registry, tmp_path):
    source, run = own
    [folder] = add(run, tmp_path / "all")
    stored = read_result(folder / "result.json")
    assert str(source.parent) not in (folder / "result.json").read_text()
    assert stored.request["data"]["source"] == HIDDEN
    with pytest.raises(UserError, match="--data PATH"):
        reproduce(stored, registry, out=tmp_path / "a")
    repeated = reproduce(stored, registry, out=tmp_path / "b", data=str(source), device="cpu")
    assert {line.outcome for line in compare(stored, repeated, 0)} == {"equal"}
    rng = np.random.default_rng(1)
    other = {f"{part}_images": rng.integers(0, 255, (6, 9, 8), dtype=np.uint8) for part in SPLITS}
    np.savez(tmp_path / "other.npz", **other)
    with pytest.raises(UserError, match=r"these are not the images of the result"):
        reproduce(stored, registry, out=tmp_path / "c", data=str(tmp_path / "other.npz"))


def test_public_images_are_found_by_their_name(stored):
    public = {"source": "public:hippocampus", "patient_pattern": r"_(\d+)"}
    assert recipe_of(changed(stored, request=stored.request | {"data": public})).data == public


def test_places_of_own_images_are_hidden_and_those_of_public_ones_are_not(registry):
    from memtk.bench import make_plan, read_recipe
    from memtk.bench.record import request_of

    asked = {"generator": ("copycat",), "similarity": "ncc", "preset": "smoke"}
    pattern = r"data.patient_pattern=_(\d+)"
    for source, shown in (("public:hippocampus", True), ("mine/anna", False)):
        recipe = read_recipe(registry, asked, data=source, sets=[pattern])
        [part] = make_plan(recipe, registry).generators.values()
        data = request_of(recipe, part, [])["data"]
        assert (data["source"], data["patient_pattern"]) == (
            (source, r"_(\d+)") if shown else (HIDDEN, HIDDEN)
        )


def test_images_are_not_given_for_phantoms(stored):
    with pytest.raises(UserError, match="leave out --data"):
        recipe_of(stored, data="x")


def test_what_the_file_hides_is_asked_for_and_nothing_else_can_be_changed(stored):
    parts = stored.components.model_dump()
    parts["generator"]["config"] |= {"weights": HIDDEN}
    file = changed(stored, components=parts)
    with pytest.raises(UserError, match=r"say --set generator\.weights=\.\.\."):
        recipe_of(file)
    recipe = recipe_of(file, sets=["generator.weights=net.pt"])
    assert recipe.settings["generator"]["weights"] == "net.pt"
    with pytest.raises(UserError, match=r"a repetition changes nothing.*generator\.weights"):
        recipe_of(file, sets=["generator.rate=3"])
    with pytest.raises(UserError, match="nothing is hidden"):
        recipe_of(stored, sets=["generator.rate=3"])


def test_a_component_that_is_not_installed_is_named_with_its_package(stored, registry):
    parts = stored.components.model_dump()
    parts["generator"] |= {"name": "unet9", "plugin": "nine", "distribution": "memtk-nine"}
    with pytest.raises(UserError, match="pip install memtk-nine"):
        plan_of(changed(stored, components=parts), registry)


def test_a_file_of_schema_1_says_what_it_lacks(stored):
    with pytest.raises(UserError, match="does not say how many checkpoints"):
        recipe_of(changed(stored, request=None))


def test_other_versions_are_told(stored):
    other = changed(stored, versions={**stored.versions, "torch": "9.9"}, memtk_version="9")
    told = changed_packages(other, stored)
    assert len(told) == 2 and told[0].startswith("memtk was 9, is ")
    assert told[1].startswith("torch was 9.9, is ")
