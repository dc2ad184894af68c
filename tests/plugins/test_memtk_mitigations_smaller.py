from __future__ import annotations

import pytest
import torch

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.registry import open_registry
from memtk_mitigations.generator import Smaller

GENERATORS = {
    "monai2d": ImageSpec((32, 32)),
    "monai3d": ImageSpec((16, 16, 16)),
    "diffusers2d": ImageSpec((32, 32)),
    "meddiff3d": ImageSpec((16, 16, 16)),
}
LARGE = {
    "monai2d": ImageSpec((512, 512)),
    "monai3d": ImageSpec((32, 256, 256)),
    "diffusers2d": ImageSpec((512, 512)),
}


def adjust(settings, **config):
    return Smaller(build(Smaller.Config, config)).adjust(settings)


def both(name, preset, spec, **config):
    """A generator of a preset as it is and smaller, with their parameters."""
    cls = open_registry().load("generator", name)
    without = {"perceptual_weight": 0.0} if "perceptual_weight" in cls.Config.model_fields else {}
    whole = build(cls.Config, cls.presets[preset], without)
    less = build(cls.Config, adjust(whole.model_dump(), **config), where=name)
    with torch.device("meta" if preset.startswith("paper") else "cpu"):
        made = [cls(c, spec) for c in (whole, less)]
    return made, [sum(p.numel() for p in model.parameters()) for model in made]


@pytest.mark.parametrize("preset", ["smoke", "demo"])
@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_with_a_width_gets_fewer_parameters(name, preset):
    side = 32 if preset == "demo" else 16
    spec = ImageSpec((side,) * GENERATORS[name].dims)
    spec = ImageSpec((32, 32)) if spec.dims == 2 else spec
    (_, less), counts = both(name, preset, spec)
    assert 0.15 < counts[1] / counts[0] < 0.75
    assert sum(p.numel() for p in less.unet.parameters()) > 0


@pytest.mark.parametrize("name", GENERATORS)
def test_a_smaller_generator_still_samples(name):
    (_, less), _ = both(name, "smoke", GENERATORS[name])
    less.eval()
    with torch.no_grad():
        x = less.sample(Noise(0, [0]))
    assert tuple(x.shape) == (1, 1, *GENERATORS[name].shape) and x.isfinite().all()


@pytest.mark.parametrize("name", LARGE)
def test_the_published_sizes_can_be_made_smaller_too(name):
    presets = open_registry().load("generator", name).presets
    preset = next(p for p in presets if p.startswith("paper-"))
    _, counts = both(name, preset, LARGE[name])
    assert 0.2 < counts[1] / counts[0] < 0.35


def test_as_many_attention_heads_are_left():
    less = adjust({"unet_channels": (256, 512, 768), "unet_head_channels": 256})
    assert less == {"unet_channels": (128, 256, 384), "unet_head_channels": 128}


def test_groups_of_norms_go_along():
    less = adjust({"unet_dim": 8, "unet_groups": 8, "base_channels": 16, "norm_groups": 8})
    assert less == {"unet_dim": 4, "unet_groups": 4, "base_channels": 8, "norm_groups": 8}


def test_other_settings_and_the_given_ones_stay_as_they_are():
    given = {"channels": [8, 16], "latent_channels": 4, "discriminator_channels": 8, "steps": 3}
    less = adjust(given)
    assert less == given | {"channels": [4, 8]} and given["channels"] == [8, 16]


def test_settings_of_other_names_can_be_named():
    assert adjust({"width": 12, "hidden": (6, 9)}, keys=("width", "hidden"), divisor=3) == {
        "width": 4,
        "hidden": (2, 3),
    }


@pytest.mark.parametrize(
    ("settings", "config", "message"),
    [
        ({"rate": 0.5}, {}, "has no width.*it has rate.*smaller.keys=KEY"),
        ({}, {}, "no settings"),
        ({"channels": (8,)}, {"keys": ("width",)}, "no such setting; it has channels"),
        ({"channels": (7,)}, {}, "channels = 7 is not a multiple of 2"),
        ({"unet_dim": None, "unet_groups": 8}, {}, "--set generator.unet_dim=64"),
        ({"rate": 0.5}, {"keys": ("rate",)}, "no number of channels"),
    ],
)
def test_what_cannot_be_made_smaller_is_refused_with_a_way_out(settings, config, message):
    with pytest.raises(UserError, match=message):
        adjust(settings, **config)
