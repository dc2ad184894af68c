"""Files with the names and shapes of the reference's own code, and its networks written out."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
import types
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk_meddiff.generator import MedDiff3d
from memtk_meddiff.layers import DistanceBias

TINY = {
    "base_channels": 4,
    "norm_groups": 32,
    "latent_channels": 2,
    "codes": 16,
    "compression": (2, 4, 4),
    "discriminator_channels": 2,
    "discriminator_layers": 1,
    "unet_dim": 8,
    "unet_multiples": (1, 2),
    "unet_heads": 2,
    "unet_head_channels": 32,
    "timesteps": 4,
}
SHAPE = (4, 8, 8)
STRIDES = [(2, 2, 2), (1, 2, 2)]


def numbers(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(shape, generator=generator) / max(1, shape[-1]) ** 0.5


def vqgan_file(h=4, width=2, codes=16, draw=None):
    draw, found = draw or numbers(), {}

    def conv(name, a, b, k, inner="conv"):
        shape = (b, a, k, k, k) if inner == "conv" else (a, b, k, k, k)
        found[f"{name}.{inner}.weight"], found[f"{name}.{inner}.bias"] = draw(*shape) / k, draw(b)

    def norm(name, c):
        found[f"{name}.weight"], found[f"{name}.bias"] = 1 + draw(c), draw(c)

    def block(name, c):
        for i in "12":
            norm(f"{name}.norm{i}", c)
            conv(f"{name}.conv{i}", c, c, 3)

    conv("encoder.conv_first", 1, h, 3)
    for i, c in enumerate((h, 2 * h)):
        conv(f"encoder.conv_blocks.{i}.down", c, 2 * c, 4)
        block(f"encoder.conv_blocks.{i}.res", 2 * c)
    norm("encoder.final_block.0", 4 * h)
    norm("decoder.final_block.0", 4 * h)
    for i, (a, b) in enumerate(((4 * h, 4 * h), (4 * h, 2 * h))):
        conv(f"decoder.conv_blocks.{i}.up", a, b, 4, "convt")
        block(f"decoder.conv_blocks.{i}.res1", b)
        block(f"decoder.conv_blocks.{i}.res2", b)
    conv("decoder.conv_last", 2 * h, 1, 3)
    conv("pre_vq_conv", 4 * h, width, 1)
    conv("post_vq_conv", width, 4 * h, 1)
    found["codebook.embeddings"], found["codebook.z_avg"] = draw(codes, width), draw(codes, width)
    found["codebook.N"] = draw(codes).abs()
    found["perceptual_model.lin0.model.1.weight"] = draw(1, 64, 1, 1)
    found["image_discriminator.model1.1.running_mean"] = draw(4)
    return found


def unet_file(dim=8, width=2, heads=2, head=32, mults=(1, 2), draw=None):
    draw, found = draw or numbers(1), {}
    time, inner = 4 * dim, heads * head

    def weights(name, *shape, bias=True):
        found[f"{name}.weight"] = draw(*shape) / shape[-1]
        if bias:
            found[f"{name}.bias"] = draw(shape[0])

    def block(name, a, b, t=True):
        if t:
            weights(f"{name}.mlp.1", 2 * b, time)
        for i, c in (("1", a), ("2", b)):
            weights(f"{name}.block{i}.proj", b, c, 1, 3, 3)
            found[f"{name}.block{i}.norm.weight"] = 1 + draw(b)
            found[f"{name}.block{i}.norm.bias"] = draw(b)
        if a != b:
            weights(f"{name}.res_conv", b, a, 1, 1, 1)

    def attention(name, c):
        found[f"{name}.fn.norm.gamma"] = 1 + draw(1, c, 1, 1, 1).abs()
        weights(f"{name}.fn.fn.fn.to_qkv", 3 * inner, c, bias=False)
        weights(f"{name}.fn.fn.fn.to_out", c, inner, bias=False)

    def temporal(name, c):
        attention(name, c)
        rates = 1.0 / 10_000 ** (torch.arange(0, head, 2) / head)
        found[f"{name}.fn.fn.fn.rotary_emb.freqs"] = rates

    def level(name, a, b):
        block(f"{name}.0", a, b)
        block(f"{name}.1", b, b)
        found[f"{name}.2.fn.norm.gamma"] = 1 + draw(1, b, 1, 1, 1).abs()
        weights(f"{name}.2.fn.fn.to_qkv", 3 * inner, b, 1, 1, bias=False)
        weights(f"{name}.2.fn.fn.to_out", b, inner, 1, 1)
        temporal(f"{name}.3", b)

    found["time_rel_pos_bias.relative_attention_bias.weight"] = draw(32, heads)
    weights("init_conv", dim, width, 1, 7, 7)
    temporal("init_temporal_attn", dim)
    weights("time_mlp.1", time, dim)
    weights("time_mlp.3", time, time)
    widths = [dim, *[dim * m for m in mults]]
    pairs = list(zip(widths[:-1], widths[1:], strict=True))
    for i, (a, b) in enumerate(pairs):
        level(f"downs.{i}", a, b)
        if i < len(pairs) - 1:
            weights(f"downs.{i}.4", b, b, 1, 4, 4)
    for i, (a, b) in enumerate(reversed(pairs)):
        level(f"ups.{i}", 2 * b, a)
        if i < len(pairs) - 1:
            weights(f"ups.{i}.4", a, a, 1, 4, 4)
    block("mid_block1", widths[-1], widths[-1])
    block("mid_block2", widths[-1], widths[-1])
    attention("mid_spatial_attn", widths[-1])
    temporal("mid_temporal_attn", widths[-1])
    block("final_conv.0", 2 * dim, dim, t=False)
    weights("final_conv.1", width, dim, 1, 1, 1)
    return found


def write_diffusion(path, steps=4, **changes):
    model = {f"denoise_fn.{k}": v for k, v in unet_file(**changes).items()}
    model |= {f"vqgan.{k}": v for k, v in vqgan_file().items()} | {"betas": torch.zeros(steps)}
    other = {k: v + 1 for k, v in model.items() if "freqs" not in k and k != "betas"}
    torch.save({"step": 7, "model": model | other, "ema": model, "scaler": {}}, path)
    return str(path)


def make(*layers):
    return MedDiff3d(build(MedDiff3d.Config, TINY, *layers), ImageSpec(SHAPE)).eval()


_spec = importlib.util.spec_from_file_location(
    "meddiff_written_out", Path(__file__).with_name("meddiff_written_out.py")
)
written_out = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(written_out)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "model-1.pt"
    return make({"diffusion_file": write_diffusion(path)}), str(path)


def test_a_diffusion_file_holds_all_and_leaves_nothing_to_train(loaded):
    model, _ = loaded
    assert model.phases() == ()
    x = model.sample(Noise(0, [0, 1]))
    assert x.shape == (2, 1, *SHAPE)


@torch.no_grad()
def test_the_vqgan_that_was_loaded_is_the_reference_written_out(loaded):
    model, weights = loaded[0], vqgan_file()
    x = torch.rand(2, 1, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    z = model.vqgan.encode(x)
    torch.testing.assert_close(z, written_out.plain_encoder(weights, x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        model.vqgan.decode(z), written_out.plain_decoder(weights, z), atol=1e-4, rtol=1e-3
    )
    low, high = weights["codebook.embeddings"].min(), weights["codebook.embeddings"].max()
    torch.testing.assert_close(model.scale(z), (z - low) / (high - low) * 2 - 1)


@torch.no_grad()
def test_the_unet_that_was_loaded_is_the_reference_written_out(loaded):
    model = loaded[0]
    x = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0, 3])
    expected = written_out.plain_unet(unet_file(), x, t)
    torch.testing.assert_close(model.unet(x, t), expected, atol=1e-4, rtol=1e-3)


def test_either_set_of_weights_can_be_taken(loaded):
    averaged, path = loaded
    last = make({"diffusion_file": path, "diffusion_weights": "model"})
    torch.testing.assert_close(last.unet.last.bias, averaged.unet.last.bias + 1)


def test_a_vqgan_file_leaves_the_diffusion_to_train(tmp_path):
    path = tmp_path / "vqgan.ckpt"
    torch.save({"state_dict": vqgan_file(), "epoch": 3}, path)
    model = make({"vqgan_file": str(path)})
    assert [phase.name for phase in model.phases()] == ["diffusion"]
    assert not any(p.requires_grad for p in model.vqgan.parameters())
    assert torch.equal(model.vqgan.codebook.codes, vqgan_file()["codebook.embeddings"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": 32}, r"codes = 16 \(here 32\).\nTo use it: --set generator.codes=16"),
        ({"base_channels": 8, "latent_channels": 4}, r"base_channels = 4 \(here 8\), latent"),
        (
            {"compression": (2, 2, 2)},
            r"largest compression = 4 \(here 2\).\nTo use it: set .*compr",
        ),
    ],
)
def test_a_vqgan_file_that_does_not_fit_says_what_would(tmp_path, changes, message):
    path = tmp_path / "vqgan.ckpt"
    torch.save(vqgan_file(), path)
    with pytest.raises(UserError, match=message):
        make(changes, {"vqgan_file": str(path)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unet_dim": 16}, r"unet_dim = 8 \(here 16\)"),
        ({"unet_multiples": (1, 4)}, r"unet_multiples = 1,2 \(here 1,4\).*\n.*unet_multiples=1,2"),
        ({"unet_heads": 4}, r"unet_heads = 2"),
        ({"timesteps": 9}, r"timesteps = 4 \(here 9\)"),
    ],
)
def test_a_diffusion_file_that_does_not_fit_says_what_would(loaded, changes, message):
    with pytest.raises(UserError, match=message):
        make(changes, {"diffusion_file": loaded[1]})


def test_missing_strange_and_superfluous_weights_are_refused(tmp_path):
    path = str(tmp_path / "vqgan.ckpt")
    weights = vqgan_file()
    for changed, message in (
        ({k: v for k, v in weights.items() if "conv_last" not in k}, "conv_last.*is missing"),
        (weights | {"surprise": torch.zeros(1)}, "no place for surprise"),
        ({"step": 3}, "holds no weights"),
    ):
        torch.save(changed, path)
        with pytest.raises(UserError, match=message):
            make({"vqgan_file": path})
    with pytest.raises(UserError, match="there is no file"):
        make({"vqgan_file": str(tmp_path / "none.ckpt")})
    unet = {f"denoise_fn.{k}": v for k, v in unet_file().items()}
    torch.save({"ema": unet}, path)
    with pytest.raises(UserError, match="holds no VQ-GAN.*\n?.*vqgan_file=FILE"):
        make({"diffusion_file": path})
    unet["denoise_fn.init_temporal_attn.fn.fn.fn.rotary_emb.freqs"] += 1
    torch.save({"ema": unet}, path)
    with pytest.raises(UserError, match="rotary"):
        make({"diffusion_file": path, "vqgan_file": path})


def test_settings_of_another_library_beside_the_weights_are_passed_over(tmp_path, monkeypatch):
    module = types.ModuleType("omegaconf.dictconfig")
    module.DictConfig = type("DictConfig", (), {"__module__": module.__name__})
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    config = module.DictConfig()
    config.content = {"lr": 1, "kind": dict, "hint": Any, "cache": defaultdict(dict)}
    path = tmp_path / "vqgan.ckpt"
    torch.save({"state_dict": vqgan_file(), "hyper_parameters": {"args": config}}, path)
    monkeypatch.delitem(sys.modules, module.__name__)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)  # torch alone refuses the file
    assert [phase.name for phase in make({"vqgan_file": str(path)}).phases()] == ["diffusion"]
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)  # and still does: nothing was allowed for good


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_that_lies_in_a_file_is_run(tmp_path):
    path, trace = tmp_path / "vqgan.ckpt", tmp_path / "was-run"
    torch.save({"state_dict": vqgan_file(), "callbacks": Touch(trace)}, path)
    with pytest.raises(UserError, match="Memtk runs nothing that lies in a file"):
        make({"vqgan_file": str(path)})
    path.write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="cannot be read"):
        make({"vqgan_file": str(path)})
    assert not trace.exists()


def test_the_bias_of_distances_is_read_from_its_table(loaded):
    bias = DistanceBias(2)
    bias.table.weight.data.copy_(unet_file()["time_rel_pos_bias.relative_attention_bias.weight"])
    torch.testing.assert_close(bias(4), loaded[0].unet.bias(4))
