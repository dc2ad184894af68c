from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk_meddiff.generator import MedDiff3d
from memtk_meddiff.losses import PerceptualDistance

PLACES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
WIDTHS = (64, 128, 256, 512, 512)


def write_files(folder, own_names=False):
    """Random weights, under the names of torchvision's vgg16 and LPIPS' own, in two files."""
    generator = torch.Generator().manual_seed(0)
    vgg, linear, inward = {}, {}, 3
    for stage, (places, width) in enumerate(zip(PLACES, WIDTHS, strict=True)):
        for place in places:
            name = f"net.slice{stage + 1}.{place}" if own_names else f"features.{place}"
            weight = torch.randn(width, inward, 3, 3, generator=generator)
            vgg[f"{name}.weight"] = weight * (2 / (9 * inward)) ** 0.5
            vgg[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1
            inward = width
        linear[f"lin{stage}.model.1.weight"] = torch.rand(1, width, 1, 1, generator=generator)
    vgg["classifier.0.weight"] = torch.zeros(2, 2)
    paths = [str(folder / "vgg16.pth"), str(folder / "lpips.pth")]
    torch.save(vgg, paths[0])
    torch.save(linear, paths[1])
    return paths, vgg | linear


def plain(weights, x, y):
    """LPIPS as it is defined, from torchvision's names."""
    shift = torch.tensor([-0.030, -0.088, -0.188]).reshape(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).reshape(1, 3, 1, 1)
    pair, total = [(image.expand(-1, 3, -1, -1) - shift) / scale for image in (x, y)], 0
    for stage, places in enumerate(PLACES):
        for place in places:
            w, b = weights[f"features.{place}.weight"], weights[f"features.{place}.bias"]
            pair = [F.relu(F.conv2d(h, w, b, padding=1)) for h in pair]
        unit = [h / (h.square().sum(1, keepdim=True).sqrt() + 1e-10) for h in pair]
        squared = (unit[0] - unit[1]).square()
        total = total + F.conv2d(squared, weights[f"lin{stage}.model.1.weight"]).mean((1, 2, 3))
        pair = [F.max_pool2d(h, 2) for h in pair]
    return total.mean()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("perceptual"))


def test_the_distance_is_lpips_written_out(files):
    paths, weights = files
    distance = PerceptualDistance(paths)
    x, y = torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(distance(x, y), plain(weights, x, y), rtol=1e-4, atol=1e-6)
    assert float(distance(x, x)) == 0


def test_the_names_of_lpips_own_files_are_known_too(files, tmp_path):
    paths, weights = files
    own, _ = write_files(tmp_path, own_names=True)
    same = torch.load(own[0], weights_only=True) | torch.load(own[1], weights_only=True)
    torch.save({"ema": {f"vqgan.perceptual_model.{k}": v for k, v in same.items()}}, own[0])
    x, y = torch.rand(2, 1, 1, 32, 32)
    assert torch.equal(PerceptualDistance(own[:1])(x, y), PerceptualDistance(paths)(x, y))


def test_weights_that_are_missing_are_named(files):
    paths, _ = files
    with pytest.raises(UserError, match=r"weights\.0 of VGG16 or LPIPS .* nothing"):
        PerceptualDistance(paths[:1])


def test_the_term_is_there_with_the_files_and_its_weights_are_not_the_models(files):
    def make(*layers):
        smoke = MedDiff3d.presets["smoke"]
        return MedDiff3d(build(MedDiff3d.Config, smoke, *layers), ImageSpec((16, 16, 16)))

    x = torch.rand(2, 1, 16, 16, 16) * 2 - 1
    without, with_it = make(), make({"perceptual_files": files[0], "perceptual_weight": 4.0})
    assert "perceptual" not in without("vqgan", "generator", x, Noise(0, range(2)))
    terms = with_it("vqgan", "generator", x, Noise(0, range(2)))
    assert float(terms["perceptual"].detach()) > 0
    terms["perceptual"].backward()
    assert float(with_it.vqgan.encoder.first.weight.grad.abs().max()) > 0
    assert set(with_it.state_dict()) == set(without.state_dict())
    assert len(list(with_it.parameters())) == len(list(without.parameters()))
