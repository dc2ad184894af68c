from __future__ import annotations

import pytest
import torch
from torch import nn

from memtk.components import check_dims, find_component
from memtk.errors import PluginError, UserError
from memtk.interfaces import Embedder, ImageSpec


def test_settings_lie_above_those_of_the_preset(registry):
    plain = find_component(registry, "generator", "monai2d", {}, "smoke")
    asked = find_component(registry, "generator", "monai2d", {"sampling_steps": 7}, "smoke")
    assert plain.config.sampling_steps != asked.config.sampling_steps == 7
    assert plain.config.diffusion == asked.config.diffusion
    assert asked.name == "monai2d" and asked.make(ImageSpec((32, 32))).config is asked.config


@pytest.mark.parametrize(
    "settings",
    [{"sampling_steps": "x"}, {"diffusion": {"steps": -1}}, {"diffusion": 3}, {"nothing": 1}],
)
def test_a_setting_that_does_not_fit_is_no_fault_of_the_plugin(settings, registry):
    with pytest.raises(UserError, match="monai2d") as told:
        find_component(registry, "generator", "monai2d", settings, "smoke")
    assert not isinstance(told.value, PluginError)


def test_a_model_with_layers_that_find_their_size_when_they_run_is_made(registry, monkeypatch):
    part = find_component(registry, "embedder", "ntxent2d", {}, "smoke")

    def make(self, config, spec):
        Embedder.__init__(self, config, spec)
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.LazyBatchNorm1d())
        self.width = self.layers(torch.zeros(2, 1, 32, 32)).shape[1]

    monkeypatch.setattr(part.cls, "__init__", make)
    monkeypatch.setattr(part.cls, "phases", lambda self: ())
    made = part.make(ImageSpec((32, 32)))
    assert made.width == 8 and made.layers[1].weight.shape == (8, 1024)


def test_a_preset_that_a_model_lacks_is_refused_with_the_nearest(registry):
    with pytest.raises(UserError, match="no preset 'smok': it has .*Did you mean 'smoke'"):
        find_component(registry, "generator", "monai2d", {}, "smok")


def test_a_component_of_other_images_is_refused_with_those_that_fit(registry):
    part = find_component(registry, "generator", "monai2d", {}, "smoke")
    check_dims(part, ImageSpec((32, 32)), registry)
    with pytest.raises(UserError, match=r"works on 2D images; the data are 3D \(8x8x8\).*monai3d"):
        check_dims(part, ImageSpec((8, 8, 8)), registry)
