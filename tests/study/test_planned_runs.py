from __future__ import annotations

import dataclasses

import pytest

from memtk.errors import UserError
from memtk.study import parse_axes
from memtk.study.plan import plan_runs


def cells(base, texts, registry):
    return {c.name: c for c in plan_runs(base, parse_axes(texts, registry), registry)}


def test_every_combination_is_a_cell_named_after_its_values(base, registry):
    made = cells(base(), ["copycat.rate=0,1", "seed=0,1"], registry)
    assert list(made) == [f"copycat.rate-{rate}_seed-{seed}" for rate in (0, 1) for seed in (0, 1)]
    last = made["copycat.rate-1_seed-1"]
    assert last.plan.generators["copycat"].config.rate == 1
    assert last.plan.recipe.bench.seed == 1


def test_settings_of_one_generator_are_not_asked_of_another(base, registry):
    common = base(generator=None, sets=("copycat.rate=0.5", "data.phantom.held_out=8"))
    made = cells(common, ["generator=copycat,independent"], registry)
    assert made["generator-copycat"].plan.generators["copycat"].config.rate == 0.5
    assert list(made["generator-independent"].plan.generators) == ["independent"]


def test_a_varied_mitigation_joins_those_that_every_cell_has(base, registry):
    common = base(mitigation=("datasize",))
    made = cells(common, ["mitigation.augment=off,on"], registry)
    found = [c.plan.recipe.bench.mitigation for c in made.values()]
    assert found == [("datasize",), ("datasize", "augment")]
    off = cells(common, ["mitigation.datasize=off,on"], registry)
    assert [c.plan.recipe.bench.mitigation for c in off.values()] == [(), ("datasize",)]


def test_cells_share_a_detector_if_seed_images_and_embedder_are_the_same(base, registry):
    made = cells(base(similarity="pearson"), ["copycat.rate=0,1", "seed=0,1"], registry)
    by_seed = {}
    for cell in made.values():
        by_seed.setdefault(cell.plan.recipe.bench.seed, set()).add(cell.stored.detector)
    assert [len(keys) for keys in by_seed.values()] == [1, 1]
    assert by_seed[0] != by_seed[1]
    assert len({cell.stored.images for cell in made.values()}) == 1
    other = cells(base(similarity="pearson"), ["embedder.training.steps=1,2"], registry)
    assert len({cell.stored.detector for cell in other.values()}) == 2


def test_without_an_embedder_there_is_no_detector_to_share(base, registry):
    assert {c.stored.detector for c in cells(base(), ["seed=0,1"], registry).values()} == {None}


def test_a_long_name_is_cut_and_stays_unique(base, registry):
    texts = [f"bench.alpha={','.join('0.0' + '1' * n for n in (60, 70, 80, 90))}"]
    names = list(cells(base(), texts, registry))
    assert len(set(names)) == 4 and max(map(len, names)) <= 80


def test_what_is_both_set_and_varied_is_refused(base, registry):
    with pytest.raises(UserError, match="copycat.rate is both set and varied"):
        cells(base(sets=("copycat.rate=1",)), ["copycat.rate=0,1"], registry)
    with pytest.raises(UserError, match="generator is both set and varied"):
        cells(base(), ["generator=copycat,independent"], registry)


def test_a_mistake_names_the_cell_that_it_is_in(base, registry):
    with pytest.raises(UserError, match="That is cell copycat.rate-7"):
        cells(base(), ["copycat.rate=0,7"], registry)


def test_two_cells_that_would_share_a_folder_are_refused(base, registry):
    with pytest.raises(UserError, match="would share the folder"):
        cells(base(), ["data.patient_pattern=(a)/b,(a)%b"], registry)


def test_a_file_of_settings_names_mitigations_that_every_cell_has(base, registry, tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('[bench]\nmitigation = "datasize"\n')
    common = dataclasses.replace(base(), config=file)
    made = cells(common, ["mitigation.augment=off,on"], registry)
    found = [c.plan.recipe.bench.mitigation for c in made.values()]
    assert found == [("datasize",), ("datasize", "augment")]


def test_a_study_of_one_cell_speaks_of_no_cell(base, registry):
    (cell,) = plan_runs(base(), (), registry)
    assert cell.name == "run"
    with pytest.raises(UserError) as said:
        plan_runs(base(sets=("copycat.rate=7",)), (), registry)
    assert "That is cell" not in str(said.value)
