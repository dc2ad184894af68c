"""The reference's embedders whole: their sizes, their training, a step at true width."""

from __future__ import annotations

import math

import pytest
import torch

from memtk.config import build
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.testing import check_embedder
from memtk.training.footprint import peak_memory
from memtk.training.steps import lr_factor, make_adam
from memtk_contrastive.config import trained_as_there
from memtk_contrastive.embedder import Contrastive2d, Contrastive3d

RANDOM = {"start": "random"}
"""The preset's ResNet-50 without a file of ImageNet's weights."""


def make(cls, preset, shape, *layers, channels=1):
    torch.manual_seed(0)
    return cls(build(cls.Config, cls.presets[preset], *layers), ImageSpec(shape, channels))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("cls", "preset", "shape", "expected", "width"),
    [
        (Contrastive3d, "paper-mrnet", (32, 256, 256), 120_301_960, 32),
        (Contrastive3d, "paper-pccta", (64, 64, 64), 7_561_608, 32),
        # torchvision's 25 557 032, less its classifier and two of three colours
        (
            Contrastive2d,
            "paper-xray",
            (512, 512),
            25_557_032 - 2_049_000 - 2 * 64 * 49 + 2049 * 128,
            128,
        ),
    ],
)
def test_the_paper_presets_have_the_parameters_of_the_papers_networks(
    cls, preset, shape, expected, width
):
    with torch.device("meta"):
        model = make(cls, preset, shape, RANDOM if cls is Contrastive2d else {})
        assert model.embed(torch.empty(2, 1, *shape)).shape == (2, width)
    assert count(model) == expected
    kept = peak_memory(model, model.phases()[0])
    assert kept is not None and kept > 4 * 4 * expected  # weights, gradients, two moments


def test_a_resnet_50_for_colour_with_a_classifier_is_torchvisions_in_size():
    with torch.device("meta"):
        model = make(Contrastive2d, "paper-xray", (64, 64), RANDOM, {"embedding": 1000}, channels=3)
    assert count(model) == 25_557_032


def test_every_paper_preset_of_a_generator_has_its_embedder():
    assert {"paper", "paper-mrnet", "paper-pccta"} <= set(Contrastive3d.presets)
    assert {"paper", "paper-xray"} <= set(Contrastive2d.presets)
    assert Contrastive3d.presets["paper"] is Contrastive3d.presets["paper-mrnet"]
    assert Contrastive2d.presets["paper"] is Contrastive2d.presets["paper-xray"]


@pytest.mark.parametrize(
    ("cls", "preset", "images", "batch", "steps"),
    [
        (Contrastive3d, "paper-mrnet", 904, 10, 18_200),
        (Contrastive3d, "paper-pccta", 242, 10, 5_000),
        (Contrastive2d, "paper-xray", 10_000, 64, 31_400),
    ],
)
def test_they_are_trained_as_long_as_the_reference_was(cls, preset, images, batch, steps):
    loader = torch.utils.data.DataLoader(range(images), batch)
    config = build(cls.Config, cls.presets[preset])
    assert config.training.steps == steps == 200 * len(loader)
    assert config.training.batch_size == batch
    assert (config.temperature, config.learning_rate) == (0.07, 1e-4)
    assert config.training.clip_norm is None and config.training.precision == "float32"
    assert config.augmentation == "paper" and not config.deformed and not config.mirror


def test_their_rate_falls_to_half_along_torchs_cosine():
    settings = trained_as_there(7, 1, epochs=6)
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, settings["steps"], 0.5e-4)
    for step in range(settings["steps"]):
        rate = lr_factor(settings["schedule"], step, settings["steps"], floor=settings["floor"])
        assert 1e-4 * rate == pytest.approx(adam.param_groups[0]["lr"])
        adam.step()
        schedule.step()


def a_step(model, shape, rows):
    (phase,) = model.phases()
    (turn,) = phase.turns
    model.train()
    adam = make_adam(turn, list(turn.parameters()))
    x = torch.rand(rows, 1, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    loss = model(phase.name, turn.name, x, Noise(0, range(rows)))["ntxent"]
    loss.backward()
    first = [p.detach().flatten()[:3].clone() for p in model.parameters()]
    adam.step()
    assert math.isfinite(loss.item()) and loss.item() > 0
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    moved = [
        bool((p.flatten()[:3] != f).any()) for p, f in zip(model.parameters(), first, strict=True)
    ]
    assert sum(moved) > 0.9 * len(moved)


@pytest.mark.parametrize(
    ("cls", "preset", "shape", "rows", "layers", "expected"),
    [
        # six levels of up to 1024 channels, as for 32x256x256; the head sees fewer voxels
        (Contrastive3d, "paper-mrnet", (1, 1, 256), 2, {}, 120_301_960 - 128 * (512 - 32)),
        (Contrastive3d, "paper-pccta", (32, 32, 64), 2, {}, 7_561_608),
        (Contrastive2d, "paper-xray", (64, 64), 4, RANDOM, 23_764_032),
    ],
)
def test_a_step_of_training_at_true_width_moves_the_weights(
    cls, preset, shape, rows, layers, expected
):
    model = make(cls, preset, shape, layers)
    assert count(model) == expected
    a_step(model, shape, rows)


def test_a_quarter_of_the_papers_pairs_are_equal_images_and_the_rest_keep_their_range():
    model = make(Contrastive3d, "smoke", (8, 8, 8))
    x = torch.rand(400, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    first, second = model._views(x, Noise(0, range(400))).chunk(2)
    assert torch.equal(first, x)
    same = (first == second).flatten(1).all(1).double().mean()
    assert float(same) == pytest.approx(0.25, abs=0.07)
    assert second.min() >= -1 and second.max() <= 1


def test_batch_norm_takes_the_statistics_of_each_view_by_itself():
    model = make(Contrastive2d, "smoke", (32, 32), {"network": "resnet50"}).train()
    x = torch.rand(4, 1, 32, 32) * 2 - 1
    views = model._views(x, Noise(0, range(4)))
    first, second = model._pair(x, Noise(0, range(4)))
    reference = make(Contrastive2d, "smoke", (32, 32), {"network": "resnet50"}).train()
    assert torch.equal(first, reference.resnet(views[:4]))
    assert torch.equal(second, reference.resnet(views[4:]))
    assert not torch.allclose(first, reference.resnet(views)[:4], atol=1e-4)
    buffers = dict(reference.named_buffers())
    assert all(buffers[k].isfinite().all() for k in buffers)


def test_a_resnet_keeps_the_rules_of_embedders():
    check_embedder(
        Contrastive2d, {"network": "resnet50", "embedding": 16}, spec=ImageSpec((32, 32))
    )


@pytest.mark.parametrize(
    ("cls", "spec"),
    [(Contrastive2d, ImageSpec((32, 32))), (Contrastive3d, ImageSpec((16, 16, 16)))],
)
@pytest.mark.parametrize("preset", ["demo", "audit"])
def test_small_presets_keep_the_rules_of_embedders(cls, spec, preset):
    check_embedder(cls, cls.presets[preset], spec=spec)
