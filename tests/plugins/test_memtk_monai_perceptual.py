"""LPIPS on SqueezeNet, against networks put together by hand, with random weights."""

from __future__ import annotations

import pytest
import torch
from monai.losses import PerceptualLoss
from torch import nn

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk_monai.latent_diffusion import MonaiLatentDiffusion2d, MonaiLatentDiffusion3d
from memtk_monai.perceptual import Perceptual, distance

SMALL = MonaiLatentDiffusion2d.presets["smoke"]


class Fire(nn.Module):
    def __init__(self, before, inner, wide):
        super().__init__()
        self.squeeze = nn.Conv2d(before, inner, 1)
        self.expand1x1 = nn.Conv2d(inner, wide, 1)
        self.expand3x3 = nn.Conv2d(inner, wide, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


def pool():
    return nn.MaxPool2d(3, 2, ceil_mode=True)


class Squeeze(nn.Module):
    """SqueezeNet 1.1 with the names of the published file."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(),
            Fire(64, 16, 64), Fire(128, 16, 64), pool(),
            Fire(128, 32, 128), Fire(256, 32, 128), pool(),
            Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, 1000, 1))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = Squeeze().eval()
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d):  # so that deep layers tell images apart too
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)
    return made


@pytest.fixture(scope="module")
def heads():
    widths = (64, 128, 256, 384, 384, 512, 512)
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(1, width, 1, 1, generator=generator) for width in widths]


@pytest.fixture(scope="module")
def files(network, heads, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.save(network.state_dict(), folder / "squeezenet.pth")
    torch.save({f"lin{i}.model.1.weight": w for i, w in enumerate(heads)}, folder / "heads.pth")
    return str(folder / "squeezenet.pth"), str(folder / "heads.pth")


def pictures(count, side=40, channels=1):
    generator = torch.Generator().manual_seed(2)
    return torch.rand((2, count, channels, side, side), generator=generator) * 2 - 1


def by_hand(network, heads, x, y):
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406),
                                                         (0.229, 0.224, 0.225)))  # fmt: skip
    total = torch.zeros(len(x))
    a, b = (((v.expand(-1, 3, -1, -1) + 1) / 2 - mean) / std for v in (x, y))
    tap = 0
    for number, layer in enumerate(network.features):
        a, b = layer(a), layer(b)
        if number in (1, 4, 7, 9, 10, 11, 12):
            cosines = [nn.functional.normalize(v, dim=1) for v in (a, b)]
            squares = (cosines[0] - cosines[1]) ** 2
            total += (squares * heads[tap]).sum(1).mean((1, 2))
            tap += 1
    assert tap == 7
    return total


@pytest.mark.parametrize("channels", [1, 3])
def test_the_distance_is_lpips(network, heads, files, channels):
    x, y = pictures(3, channels=channels)
    found = Perceptual(files)(x, y)
    torch.testing.assert_close(found, by_hand(network, heads, x, y), rtol=1e-4, atol=1e-6)
    assert torch.equal(Perceptual(files)(x, x), torch.zeros(3))


def test_the_saved_state_of_lpips_itself_is_read(network, heads, files, tmp_path):
    slices = [(0, 1), (2, 5), (5, 8), (8, 10), (10, 11), (11, 12), (12, 13)]
    state = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
    for name, value in network.features.state_dict().items():
        number = int(name.split(".")[0])
        (part,) = [i for i, (a, b) in enumerate(slices) if a <= number < b or (i, number) == (0, 1)]
        state[f"net.slice{part + 1}.{name}"] = value
    for i, weight in enumerate(heads):
        state |= {f"lin{i}.model.1.weight": weight, f"lins.{i}.model.1.weight": weight}
    torch.save(state, tmp_path / "lpips.pth")
    x, y = pictures(2)
    both = [Perceptual(f)(x, y) for f in (files, [str(tmp_path / "lpips.pth")])]
    assert torch.equal(*both)


def test_volumes_are_seen_slice_by_slice_as_monai_does(files):
    network = Perceptual(files)
    x, y = torch.rand(2, 2, 1, 17, 18, 20, generator=torch.Generator().manual_seed(3)) * 2 - 1
    monai = PerceptualLoss.__new__(PerceptualLoss)  # its own way would download weights
    nn.Module.__init__(monai)
    monai.spatial_dims, monai.is_fake_3d, monai.channel_wise = 3, True, False
    monai.perceptual_function, monai.fake_3d_ratio = network, 1.0
    found = distance(network, x, y, 1.0, Noise(0, range(2)))
    torch.testing.assert_close(found, monai(x, y), rtol=1e-5, atol=1e-6)


def test_each_volume_draws_its_slices_from_its_own_stream(files):
    network = Perceptual(files)
    x, y = torch.rand(2, 3, 1, 20, 20, 20, generator=torch.Generator().manual_seed(3)) * 2 - 1
    together = distance(network, x, y, 0.2, Noise(0, range(3)))
    alone = [distance(network, x[i : i + 1], y[i : i + 1], 0.2, Noise(0, [i])) for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone).mean())
    other = distance(network, x, y, 0.2, Noise(1, range(3)))
    assert not torch.equal(together, other)


def test_the_term_reaches_the_autoencoder_and_its_weights_stay_out_of_the_model(files):
    layer = {"perceptual_weight": 0.5, "perceptual_weights": files}
    model = make(MonaiLatentDiffusion3d, (32, 32, 32), layer)
    plain = make(MonaiLatentDiffusion3d, (32, 32, 32))
    assert model.state_dict().keys() == plain.state_dict().keys()
    x, noise = torch.rand(1, 1, 32, 32, 32) * 2 - 1, Noise(0, [0])
    terms = model("autoencoder", "autoencoder", x, noise)
    assert set(terms) == {"l1", "kl", "perceptual"}
    terms["perceptual"].backward()
    assert all(p.grad is not None for p in model.autoencoder.decoder.parameters())
    before = plain("autoencoder", "autoencoder", x, Noise(0, [0]))
    assert torch.equal(before["l1"], terms["l1"])
    assert set(model("adversarial", "autoencoder", x, Noise(0, [0]))) == {
        "l1", "kl", "perceptual", "adversarial"
    }  # fmt: skip


def test_without_the_files_an_error_says_what_to_fetch_and_from_where():
    with pytest.raises(UserError) as error:
        make(MonaiLatentDiffusion2d, (32, 32), {"perceptual_weight": 0.1})
    text = str(error.value)
    assert "squeezenet1_1-b8a52dc0.pth" in text and "weights/v0.1/squeeze.pth" in text
    assert "https://" in text and "perceptual_weight=0" in text


def test_files_that_are_not_the_weights_are_named(files, tmp_path):
    with pytest.raises(UserError, match=r"no file gone\.pth"):
        Perceptual(["gone.pth"])
    with pytest.raises(UserError, match=r"lin0.model.1.weight is missing in .*squeezenet.pth"):
        Perceptual(files[:1])
    (tmp_path / "a.pth").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"a\.pth is no file of weights"):
        Perceptual([str(tmp_path / "a.pth")])
    torch.save({"lin0.model.1.weight": torch.zeros(1, 3, 1, 1)}, tmp_path / "b.pth")
    with pytest.raises(UserError, match=r"has the shape \(1, 3, 1, 1\)"):
        Perceptual([*files, str(tmp_path / "b.pth")])
    torch.save([1], tmp_path / "c.pth")
    with pytest.raises(UserError, match=r"c\.pth holds no state_dict"):
        Perceptual([str(tmp_path / "c.pth")])


def test_images_that_the_network_cannot_take_are_refused(files):
    layer = {"perceptual_weight": 0.1, "perceptual_weights": files}
    with pytest.raises(UserError, match="sides of 17 at least; the images are 16x16 with 1"):
        make(MonaiLatentDiffusion2d, (16, 16), layer)
    with pytest.raises(UserError, match="the images are 16x32 with 1"):
        make(MonaiLatentDiffusion2d, (32, 32), layer).phases()[0].crops(ImageSpec((16, 32)))
    with pytest.raises(UserError, match="the images are 32x32 with 2"):
        make(MonaiLatentDiffusion2d, (32, 32), layer, channels=2)


def test_one_file_may_be_given_without_a_comma():
    config = build(MonaiLatentDiffusion2d.Config, {"perceptual_weights": "a.pth"})
    assert config.perceptual_weights == ("a.pth",)


def make(cls, shape, *layers, channels=1):
    torch.manual_seed(0)
    return cls(build(cls.Config, SMALL, *layers), ImageSpec(shape, channels))
