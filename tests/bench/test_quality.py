from __future__ import annotations

import numpy as np
import pytest

from memtk.bench import make_plan, read_recipe
from memtk.components import find_component
from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.evaluation import EmbeddedSets
from memtk.evaluation.quality import measure_quality
from memtk.interfaces import QualityMeasure
from memtk.results import read_arrays


def plan_of(registry, sets=(), **asked):
    asked = {"generator": ("copycat",), "preset": "smoke"} | asked
    return make_plan(read_recipe(registry, asked, sets=sets), registry)


def view(*sizes):
    rng = np.random.default_rng(0)
    return EmbeddedSets(*(rng.normal(size=(n, 4)).astype(np.float32) for n in sizes))


@pytest.fixture(scope="module")
def measured(tmp_path_factory, run_small):
    """A bench with its copy detector as the extractor of features."""
    folder = tmp_path_factory.mktemp("runs") / "measured"
    quick = ("bench.plants=0", "bench.exposure=none", "embedder.training.steps=2")
    cells, metrics = ("copycat", "independent"), ("fid", "authpct", "ms-ssim")
    return run_small(folder, cells, quick, quality=metrics)


def test_a_measure_of_features_is_never_without_its_extractors_name(measured):
    result = measured.results[0]
    assert set(result.last.quality) == {"fid[ntxent3d]", "authpct[ntxent3d]", "ms-ssim"}
    found = result.last.measure_info["fid[ntxent3d]"]
    assert found.extractor == "ntxent3d" and found.better == "lower" and found.real is not None
    assert (
        result.components.extractor.name == "ntxent3d" and result.extractor_trained_on == "training"
    )


def test_features_are_those_that_the_copy_detector_made_already(measured):
    rows = read_arrays(measured.folder / "embedder" / "real images.h5", "embeddings")
    made = read_arrays(measured.folder / "embedder" / "copycat step-000000.h5", "embeddings")
    part = find_part_of(measured, "fid")
    again, _ = measure_quality(
        [part],
        EmbeddedSets(rows["training"], rows["validation"], made["synthetic"]),
        MemoryImages(np_images(2)),
        MemoryImages(np_images(2)),
        "ntxent3d",
    )
    assert again["fid[ntxent3d]"] == measured.results[0].last.quality["fid[ntxent3d]"]
    assert not (measured.folder / "extractor").exists()


def test_copies_and_strangers_differ_as_they_should(measured):
    copied, strange = (r.last.quality["authpct[ntxent3d]"] for r in measured.results)
    assert copied == 0 < strange


def find_part_of(run, name):
    from memtk.registry import open_registry

    return find_component(open_registry(), "quality", name, {}, "smoke")


def np_images(count):
    import torch

    return torch.rand((count, 1, 8, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_an_undefined_number_is_left_out_and_its_word_stays(registry):
    images = MemoryImages(np_images(3))
    part = find_component(registry, "quality", "nndr", {}, "smoke")
    quality, measured = measure_quality([part], view(1, 4, 4), images, images, "net")
    assert quality == {} and measured["nndr[net]"].real is None and measured["nndr[net]"].note


def test_a_plain_number_of_a_metric_is_one_without_a_line(registry):
    class Plain:
        def __call__(self, real, fake):
            return {"plain": 2.0, "other": QualityMeasure(3.0, 1.0, "higher")}

    part = find_component(registry, "quality", "ms-ssim", {}, "smoke")
    part = type(part)(part.entry, Plain, part.config)
    images = MemoryImages(np_images(3))
    quality, measured = measure_quality([part], None, images, images, "")
    assert quality == {"ms-ssim.plain": 2.0, "ms-ssim.other": 3.0}
    assert measured["ms-ssim.plain"].real is None and measured["ms-ssim.other"].better == "higher"


def test_without_an_embedder_features_need_an_extractor(registry):
    with pytest.raises(UserError, match=r"'fid' compares features.*\n.*--extractor"):
        plan_of(registry, similarity="ncc", quality=("ms-ssim", "fid"))
    assert plan_of(registry, similarity="ncc", quality=("ms-ssim",)).extractor is None
    named = plan_of(registry, similarity="ncc", quality=("fid",), extractor="ntxent3d")
    assert named.extractor.name == "ntxent3d" and named.embedder is None


def test_an_extractor_that_nothing_uses_is_told(registry):
    with pytest.raises(UserError, match=r"no quality metric that compares features"):
        plan_of(registry, quality=("ms-ssim",), extractor="ntxent3d")
    with pytest.raises(UserError, match="unknown embedder 'ntxent4d'"):
        plan_of(registry, quality=("fid",), extractor="ntxent4d")


def test_the_copy_detector_serves_where_it_is_named_or_no_other_is(registry):
    for asked in ({}, {"extractor": "ntxent3d"}):
        plan = plan_of(registry, quality=("fid",), **asked)
        assert plan.extractor is plan.embedder
    sets = ("extractor.width=6",)
    plan = plan_of(registry, sets, quality=("fid",), extractor="ntxent3d")
    assert plan.extractor.config.width == 6 != plan.embedder.config.width
    assert any(key.startswith("extractor ") for key in plan.identity()["components"])


def test_all_is_every_metric_that_is_installed(registry):
    recipe = read_recipe(
        registry, {"generator": ("copycat",), "quality": ("all",)}, sets=("prdc.k=3",)
    )
    assert set(recipe.bench.quality) == {e.name for e in registry.entries("quality")}
    assert make_plan(recipe, registry).quality[-2].config is not None
    one = read_recipe(registry, {"generator": ("copycat",)}, sets=("bench.quality=all",))
    assert one.bench.quality == recipe.bench.quality
