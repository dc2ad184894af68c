"""Weights from files of others: ImageNet's, and the reference's own embedders."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk_contrastive.embedder import Contrastive2d, Contrastive3d

WIDTH = 4
SMALL = {"network": "resnet50", "width": WIDTH, "embedding": 6}
SHAPE = (4, 8, 16)
"""Halved once along the second axis and twice along the third: two levels."""


def numbers(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(shape, generator=generator)


def resnet_file(width=WIDTH, classes=1000, channels=3, prefix="", blocks=(3, 4, 6, 3)):
    """torchvision's names and shapes of ResNet-50, at any width."""
    draw, found = numbers(width), {}

    def conv(name, outputs, inputs, kernel):
        scale = (2 / (inputs * kernel**2)) ** 0.5
        found[f"{name}.weight"] = draw(outputs, inputs, kernel, kernel) * scale

    def norm(name, c):
        found[f"{name}.weight"], found[f"{name}.bias"] = 1 + 0.1 * draw(c), 0.1 * draw(c)
        found[f"{name}.running_mean"] = 0.1 * draw(c)
        found[f"{name}.running_var"] = 1 + 0.1 * draw(c).abs()
        found[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("conv1", width, channels, 7)
    norm("bn1", width)
    inputs = width
    for stage, count in enumerate(blocks, 1):
        inner = width * 2 ** (stage - 1)
        for i in range(count):
            name = f"layer{stage}.{i}"
            for j, (a, b, k) in enumerate(
                ((inputs, inner, 1), (inner, inner, 3), (inner, 4 * inner, 1)), 1
            ):
                conv(f"{name}.conv{j}", b, a, k)
                norm(f"{name}.bn{j}", b)
            if i == 0:
                conv(f"{name}.downsample.0", 4 * inner, inputs, 1)
                norm(f"{name}.downsample.1", 4 * inner)
            inputs = 4 * inner
    found["fc.weight"], found["fc.bias"] = draw(classes, inputs) / inputs, draw(classes)
    return {f"{prefix}{key}": value for key, value in found.items()}


def plain_resnet(w, x, blocks=(3, 4, 6, 3)):
    """ResNet v1.5 written out: the stride lies in the second convolution of a block."""

    def norm(x, name):
        return F.batch_norm(
            x, *(w[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        )

    x = F.conv2d(x, w["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(norm(x, "bn1").relu(), 3, 2, 1)
    for stage, count in enumerate(blocks, 1):
        for i in range(count):
            name, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            h = norm(F.conv2d(x, w[f"{name}.conv1.weight"]), f"{name}.bn1").relu()
            h = F.conv2d(h, w[f"{name}.conv2.weight"], stride=stride, padding=1)
            h = F.conv2d(norm(h, f"{name}.bn2").relu(), w[f"{name}.conv3.weight"])
            around = x
            if i == 0:
                around = F.conv2d(x, w[f"{name}.downsample.0.weight"], stride=stride)
                around = norm(around, f"{name}.downsample.1")
            x = (norm(h, f"{name}.bn3") + around).relu()
    return F.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"])


def encoder_file(levels=2, width=16, hidden=128, embedding=32, features=8 * 64):
    """The names and shapes of the reference's 3D embedder, with the layer that it never uses."""
    draw, found = numbers(levels), {}

    def conv(name, outputs, inputs, kernel):
        weight = draw(outputs, inputs, *[kernel] * 3) / (inputs * kernel**3) ** 0.5
        found[f"{name}.conv.weight"], found[f"{name}.conv.bias"] = weight, 0.1 * draw(outputs)

    def norm(name, c):
        found[f"{name}.weight"], found[f"{name}.bias"] = 1 + 0.1 * draw(c), 0.1 * draw(c)

    def dense(name, outputs, inputs):
        found[f"{name}.weight"] = draw(outputs, inputs) / inputs**0.5
        found[f"{name}.bias"] = draw(outputs)

    conv("encoder.conv_first", width, 1, 3)
    for i in range(levels):
        c, block = width * 2 ** (i + 1), f"encoder.conv_blocks.{i}"
        conv(f"{block}.down", c, c // 2, 4)
        for j in "12":
            norm(f"{block}.res.norm{j}", c)
            conv(f"{block}.res.conv{j}", c, c, 3)
    norm("encoder.final_block.0", width * 2**levels)
    conv("conv3D", 8, width * 2**levels, 1)
    dense("dense.1", hidden, features)
    dense("dense.4", embedding, hidden)
    dense("sup_layer.1", 1, embedding)
    return found


def plain_encoder(w, x, strides):
    """The reference's 3D embedder written out, in evaluation."""

    def conv(x, name, stride=(1, 1, 1)):
        kernel = w[f"{name}.conv.weight"].shape[-1]
        pad = []
        for s in reversed(stride):
            total = kernel - s
            pad += [total - total // 2, total // 2]
        x = F.pad(x, pad, mode="replicate") if any(pad) else x
        return F.conv3d(x, w[f"{name}.conv.weight"], w[f"{name}.conv.bias"], stride)

    def norm(x, name):
        return F.silu(F.group_norm(x, 32, w[f"{name}.weight"], w[f"{name}.bias"], 1e-6))

    x = conv(x, "encoder.conv_first")
    for i, stride in enumerate(strides):
        block = f"encoder.conv_blocks.{i}"
        x = conv(x, f"{block}.down", stride)
        h = conv(norm(x, f"{block}.res.norm1"), f"{block}.res.conv1")
        x = x + conv(norm(h, f"{block}.res.norm2"), f"{block}.res.conv2")
    x = conv(norm(x, "encoder.final_block.0"), "conv3D").flatten(1)
    x = F.linear(x, w["dense.1.weight"], w["dense.1.bias"]).relu()
    return F.linear(x, w["dense.4.weight"], w["dense.4.bias"])


def make(cls, shape, *layers, channels=1):
    torch.manual_seed(0)
    return cls(build(cls.Config, *layers), ImageSpec(shape, channels)).eval()


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def write(path, tensors):
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    return str(path)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    return write(tmp_path_factory.mktemp("imagenet") / "resnet50.pth", resnet_file())


@torch.no_grad()
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_imagenets_weights_make_torchvisions_resnet(tmp_path, suffix):
    weights = resnet_file()
    path = write(tmp_path / f"resnet50{suffix}", weights)
    model = make(
        Contrastive2d,
        (40, 48),
        SMALL,
        {"start": "imagenet", "imagenet": path, "stem": "imagenet"},
        channels=3,
    )
    x = images(2, 3, 40, 48)
    own = model.resnet.network.fc  # the last layer is new
    weights |= {"fc.weight": own.weight, "fc.bias": own.bias}
    expected = plain_resnet(weights, (x + 1) / 2)
    torch.testing.assert_close(model.embed(x), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_stem_for_gray_images_is_new_or_the_sum_of_the_files_colours(imagenet):
    start = {"start": "imagenet", "imagenet": imagenet}
    fresh = make(Contrastive2d, (32, 32), SMALL, start)
    random = make(Contrastive2d, (32, 32), SMALL)
    assert torch.equal(fresh.resnet.network.conv1.weight, random.resnet.network.conv1.weight)
    assert torch.equal(fresh.resnet.network.fc.weight, random.resnet.network.fc.weight)
    assert not torch.equal(
        fresh.resnet.network.layer4[2].conv3.weight, random.resnet.network.layer4[2].conv3.weight
    )
    gray = make(Contrastive2d, (32, 32), SMALL, start, {"stem": "imagenet"})
    colour = make(Contrastive2d, (32, 32), SMALL, start, {"stem": "imagenet"}, channels=3)
    colour.resnet.network.fc.load_state_dict(gray.resnet.network.fc.state_dict())
    x = images(2, 1, 32, 32)
    expected = colour.embed(x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(gray.embed(x), expected, atol=1e-5, rtol=1e-5)


def test_a_missing_file_of_imagenet_is_told_with_its_source():
    with pytest.raises(UserError, match=r"Fetch\n  https://download\.pytorch\.org/.*resnet50"):
        make(Contrastive2d, (32, 32), Contrastive2d.presets["paper-xray"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"layer3.5.conv2.weight": None},
            r"layer3\.5\.conv2\.weight is missing, expected \(16, 16",
        ),
        ({"bn1.bias": torch.zeros(9)}, r"bn1\.bias has the shape \(9,\), expected \(4,\)"),
        ({"layer3.6.conv1.weight": torch.zeros(1)}, "no place for layer3.6.conv1.weight"),
    ],
)
def test_another_networks_file_is_refused_with_the_source_of_the_right_one(
    tmp_path, change, message
):
    weights = {k: v for k, v in (resnet_file() | change).items() if v is not None}
    path = write(tmp_path / "other.pth", weights)
    with pytest.raises(UserError, match=rf"{message}[\s\S]*The file is https"):
        make(Contrastive2d, (32, 32), SMALL, {"start": "imagenet", "imagenet": path})


def test_a_narrower_network_is_told_which_width_the_file_has(tmp_path):
    path = write(tmp_path / "resnet50.pth", resnet_file(width=8))
    with pytest.raises(UserError, match=r"expected \(4, 3, 7, 7\)\. It has width 64, .* it is 4"):
        make(Contrastive2d, (32, 32), SMALL, {"start": "imagenet", "imagenet": path})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"start": "imagenet"}, "set network=resnet50"),
        ({"network": "resnet50", "stem": "imagenet"}, "stem = imagenet .* set start=imagenet"),
    ],
)
def test_settings_of_imagenet_that_have_no_effect_are_refused(layer, message):
    with pytest.raises(UserError, match=message):
        build(Contrastive2d.Config, layer)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "model_199"  # they have no suffix
    return write(path, encoder_file())


@torch.no_grad()
def test_a_published_3d_checkpoint_is_the_reference_written_out(published):
    model = make(Contrastive3d, SHAPE, {"weights": published})
    x = images(3, 1, *SHAPE)
    expected = plain_encoder(encoder_file(), x, [(1, 2, 2), (1, 1, 2)])
    torch.testing.assert_close(model.embed(x), expected, atol=1e-4, rtol=1e-4)
    assert model.phases() == ()
    assert not any(p.requires_grad for p in model.parameters())


@torch.no_grad()
def test_a_published_2d_checkpoint_is_the_reference_written_out(tmp_path):
    weights = resnet_file(classes=6, channels=1)
    named = {f"model.{k}": v for k, v in weights.items()}
    named |= {"fc_end.weight": torch.ones(1, 6), "fc_end.bias": torch.ones(1)}
    path = write(tmp_path / "model_best", named)
    # what the preset asks for besides is not looked for: the file holds all weights
    model = make(Contrastive2d, (32, 48), SMALL, {"start": "imagenet", "weights": path})
    x = images(2, 1, 32, 48)
    expected = plain_resnet(weights, (x + 1) / 2)
    torch.testing.assert_close(model.embed(x), expected, atol=1e-4, rtol=1e-4)
    assert model.phases() == ()


@pytest.mark.parametrize(
    ("levels", "shape", "layer", "message"),
    [
        # more levels, another width, another head, and equal shapes with other strides
        (6, (64, 64, 64), {"width": 1}, r"paper-mrnet, for images of 32x256x256 \(here 64x64x64"),
        (4, (64, 64, 64), {"width": 2}, r"conv_first.* shape \(1, 1, 3, 3, 3\), expected \(2, 1"),
        (2, SHAPE, {"width": 1, "embedding": 7}, r"dense\.4.* \(32, 128\), expected \(7, 128\)"),
        (4, (4, 8, 64), {"width": 1}, r"strides .*Nearest: .*paper-pccta, for images of 64x64x64"),
    ],
)
def test_a_published_checkpoint_that_does_not_fit_says_what_would(
    tmp_path, levels, shape, layer, message
):
    path = write(tmp_path / "model", encoder_file(levels, width=1))
    with pytest.raises(UserError, match=message):
        make(Contrastive3d, shape, layer, {"weights": path})


def test_a_checkpoint_of_the_other_kind_names_its_embedder_and_preset(tmp_path, published):
    path = write(tmp_path / "model_best", resnet_file(prefix="model.", classes=6, channels=1))
    with pytest.raises(UserError, match="Nearest: ntxent2d with the preset paper-xray"):
        make(Contrastive3d, SHAPE, {"weights": path})
    with pytest.raises(UserError, match="Nearest: ntxent3d with the preset paper-pccta"):
        make(Contrastive2d, (32, 32), SMALL, {"weights": published})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no checkpoint", "cannot be read.*\n.*runs nothing"),
        ({"state": 1}, "holds no weights"),
        (
            {"conv.weight": torch.zeros(1)},
            "no checkpoint of the reference's embedders.*conv.weight",
        ),
        ({"format": 1, "step": 0, "model": {}}, "memtk's own.*\n.*--weights FILE"),
        ({"sup_layer": print}, "cannot be read"),
    ],
)
def test_files_that_are_no_published_checkpoint_are_refused(tmp_path, content, message):
    path = tmp_path / "model"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=message):
        make(Contrastive3d, SHAPE, {"weights": str(path)})


def test_missing_and_superfluous_weights_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        make(Contrastive3d, SHAPE, {"weights": str(tmp_path / "none")})
    weights = encoder_file()
    path = write(tmp_path / "more", weights | {"surprise": torch.zeros(1)})
    with pytest.raises(UserError, match="no place for surprise"):
        make(Contrastive3d, SHAPE, {"weights": path})
    path = write(tmp_path / "less", {k: v for k, v in weights.items() if k != "dense.4.bias"})
    with pytest.raises(UserError, match=r"dense\.4\.bias is missing, expected \(32,\)"):
        make(Contrastive3d, SHAPE, {"weights": path})


def test_a_configuration_knows_its_files_again(tmp_path):
    path = write(tmp_path / "model", encoder_file())
    config = build(Contrastive3d.Config, {"weights": path})
    assert config == Contrastive3d.Config.model_validate(config.model_dump())
    assert build(Contrastive3d.Config).contents == ""
    write(tmp_path / "model", encoder_file(levels=3))
    assert build(Contrastive3d.Config, {"weights": path}) != config
    with pytest.raises(UserError, match="has changed"):
        Contrastive3d.Config.model_validate(config.model_dump())
