"""A bench whose copy detector comes trained: nothing is trained, and it serves both sides."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import ResNet

from memtk.bench import describe_plan, make_plan, read_recipe, run_bench
from memtk.errors import UserError
from memtk.results import read_arrays


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A narrow network in the layout of MedicalNet's files."""
    torch.manual_seed(0)
    network = ResNet(
        "basic", [1, 1, 1, 1], [8, 8, 16, 24], n_input_channels=1, bias_downsample=False,
        feed_forward=False,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("weights") / "resnet_10_23dataset.pth"
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state}, path)
    return path


def plan_of(registry, weights, *sets, **asked):
    small = ("data.phantom.training=20", "data.phantom.validation=24", "data.phantom.held_out=8")
    asked = {"generator": ("copycat",), "preset": "smoke"} | asked
    sets = (*small, "bench.plants=4", f"medicalnet3d.weights={weights}", *sets)
    return make_plan(read_recipe(registry, asked, sets=sets), registry)


@pytest.fixture(scope="module")
def run(tmp_path_factory, registry, weights):
    events = []
    plan = plan_of(registry, weights, embedder="medicalnet3d", quality=("fid",))
    done = run_bench(
        plan, registry, out=tmp_path_factory.mktemp("runs") / "run", device="cpu",
        watch=events.append,
    )  # fmt: skip
    return done, events


def test_nothing_is_trained_for_it(run):
    assert not [e for e in run[1] if "medicalnet3d" in e.stage and e.stage.startswith("training")]
    assert run[0].results[0].training["embedder"] == {}


def test_it_serves_the_copies_and_the_exposure_alike(run):
    done, _ = run
    result = done.results[0]
    assert result.embedder_trained_on.copies == result.embedder_trained_on.exposure == "given"
    assert not (done.folder / "cells/copycat/exposure").exists()
    arrays = read_arrays(done.folder / "cells/copycat/arrays.h5", "step-000000")
    assert (arrays["exposure_train_synthetic"] == arrays["train_synthetic"]).all()


def test_it_finds_the_copies_and_is_the_extractor(run):
    result = run[0].results[0]
    assert result.last.evidence.n_mem == result.last.evidence.n_copies == 20
    assert result.extractor_trained_on == "given" and set(result.last.quality) == {
        "fid[medicalnet3d]"
    }
    assert "20 images for 24 features" in result.last.measure_info["fid[medicalnet3d]"].note
    assert "came trained" in run[0].report.read_text()


def test_it_may_be_the_extractor_beside_a_copy_detector_that_is_trained(
    registry, weights, tmp_path
):
    plan = plan_of(
        registry, weights, "bench.plants=0", "bench.exposure=none", "embedder.training.steps=2",
        quality=("kid",), extractor="medicalnet3d",
    )  # fmt: skip
    done = run_bench(plan, registry, out=tmp_path / "run", device="cpu")
    result = done.results[0]
    assert (
        set(result.last.quality) == {"kid[medicalnet3d]"} and result.extractor_trained_on == "given"
    )
    assert result.components.embedder.name == "ntxent3d"
    assert (done.folder / "extractor/real images.h5").exists()
    shown = describe_plan(plan, registry)
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as text:
        console.print(shown)
    assert "medicalnet3d (extractor)" in text.get() and "comes trained" in text.get()


def test_a_network_for_volumes_is_refused_for_pictures(registry, weights, tmp_path):
    plan = plan_of(
        registry, weights, quality=("fid",), extractor="medicalnet3d",
        embedder="ntxent2d",
    )  # fmt: skip
    from memtk.interfaces import ImageSpec

    with pytest.raises(UserError, match="works on 3D images"):
        plan.check_dims(ImageSpec((32, 32)), registry)
