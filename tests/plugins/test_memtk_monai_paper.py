"""The presets that reproduce the paper: sizes, schedules, and a step at full width."""

from __future__ import annotations

import math

import pytest
import torch
from monai.networks.schedulers import DDPMScheduler

from memtk.config import build
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.training.batches import micro_batches
from memtk.training.devices import open_devices
from memtk.training.steps import Stepper, lr_factor, milestone_steps
from memtk_monai.latent_diffusion import MonaiLatentDiffusion2d, MonaiLatentDiffusion3d
from memtk_monai.schedule import Schedule

VOLUMES, PICTURES = MonaiLatentDiffusion3d, MonaiLatentDiffusion2d
PAPER = {"paper-mrnet": VOLUMES, "paper-pccta": VOLUMES, "paper-xray": PICTURES}
PLAIN = {"perceptual_weight": 0.0}
FEWER = {"res_blocks": 1, "unet_res_blocks": 1}


def config_of(name, *layers):
    return build(PAPER[name].Config, PAPER[name].presets[name], PLAIN, *layers)


def make(name, shape, *layers):
    torch.manual_seed(0)
    return PAPER[name](config_of(name, *layers), ImageSpec(shape))


def conv(inside, outside, side, dims):
    return inside * outside * side**dims + outside


def residual(inside, outside, dims, time=0):
    skip = conv(inside, outside, 1, dims) if inside != outside else 0
    embedded = time * outside + outside if time else 0
    both = conv(inside, outside, 3, dims) + conv(outside, outside, 3, dims)
    return 2 * inside + 2 * outside + both + skip + embedded


def autoencoder_size(widths, latent, dims, blocks=2):
    """Encoder: conv, blocks a level, strided conv between levels, norm, conv; decoder: mirrored."""
    total = 0
    for order, ends in ((widths, (1, latent)), (widths[::-1], (latent, 1))):
        total += conv(ends[0], order[0], 3, dims)
        before = order[0]
        for level, width in enumerate(order):
            for _ in range(blocks):
                total += residual(before, width, dims)
                before = width
            if level < len(order) - 1:
                total += conv(width, width, 3, dims)
        total += 2 * before + conv(before, ends[1], 3, dims)
    return total + 3 * conv(latent, latent, 1, dims)  # to mean, to spread, back


def unet_size(widths, attended, latent, dims, blocks=2):
    time, skips = 4 * widths[0], [widths[0]]
    attention = [2 * w + 4 * (w * w + w) if a else 0 for w, a in zip(widths, attended, strict=True)]
    total = conv(latent, widths[0], 3, dims) + widths[0] * time + time + time * time + time
    before = widths[0]
    for level, width in enumerate(widths):
        for _ in range(blocks):
            total += residual(before, width, dims, time) + attention[level]
            before = width
            skips.append(width)
        if level < len(widths) - 1:
            total += conv(width, width, 3, dims)
            skips.append(width)
    total += 2 * residual(before, before, dims, time) + 2 * before + 4 * (before**2 + before)
    for level in reversed(range(len(widths))):
        for _ in range(blocks + 1):
            total += residual(before + skips.pop(), widths[level], dims, time) + attention[level]
            before = widths[level]
        if level:
            total += conv(before, before, 3, dims)
    assert not skips
    return total + 2 * before + conv(before, latent, 3, dims)


def discriminator_size(width, layers, dims, normed):
    """Kernels of 4; the layers between the first and the last have no bias, batch norm has two."""
    total = conv(1, width, 4, dims)
    for _ in range(layers):
        total += 2 * width * width * 4**dims + (4 * width if normed else 0)
        width *= 2
    return total + conv(width, 1, 4, dims)


SIZES = {
    "paper-mrnet": ((64, 128, 256), 8, (256, 256, 512), 3, 32, False),
    "paper-pccta": ((64, 128, 256), 8, (256, 256, 512), 3, 32, False),
    "paper-xray": ((64, 128, 128, 128), 3, (256, 512, 768), 2, 64, True),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_networks_have_the_parameters_of_their_layer_tables(name):
    widths, latent, unet, dims, judge, normed = SIZES[name]
    with torch.device("meta"):
        model = make(name, (32,) * dims)
    count = {n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()}
    assert count["autoencoder"] == autoencoder_size(widths, latent, dims)
    assert count["unet"] == unet_size(unet, (False, True, True), latent, dims)
    assert count["discriminator"] == discriminator_size(judge, 3, dims, normed)


@pytest.mark.parametrize(
    ("name", "millions"), [("paper-mrnet", (21.0, 191.2, 2.8)), ("paper-xray", (4.6, 171.3, 2.8))]
)
def test_the_networks_are_as_large_as_documented(name, millions):
    with torch.device("meta"):
        model = make(name, (32,) * SIZES[name][3])
    parts = (model.autoencoder, model.unet, model.discriminator)
    count = [sum(p.numel() for p in part.parameters()) / 1e6 for part in parts]
    assert count == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(
    ("name", "shape", "latent"),
    [
        ("paper-mrnet", (32, 256, 256), (8, 8, 64, 64)),
        ("paper-pccta", (64, 64, 64), (8, 16, 16, 16)),
        ("paper-xray", (512, 512), (3, 64, 64)),
    ],
)
def test_the_latents_have_the_shape_of_the_paper(name, shape, latent):
    with torch.device("meta"):
        model = make(name, shape)
        x = torch.empty(1, 1, *shape)
        posterior = model.encode(x)
        assert posterior.shape == (1, 2 * latent[0], *latent[1:])
        assert model.latent_shape == latent
        assert model.decode(posterior.chunk(2, dim=1)[0]).shape == x.shape
        z, t = torch.empty(1, *latent), torch.zeros(1, dtype=torch.long)
        assert model.unet(z, t).shape == z.shape


def test_the_old_name_of_the_paper_preset_is_an_alias():
    for cls, name in ((VOLUMES, "paper-mrnet"), (PICTURES, "paper-xray")):
        assert cls.presets["paper"] is cls.presets[name]


@pytest.mark.parametrize(
    ("name", "images", "epochs", "total", "batches", "diffusion"),
    [
        ("paper-mrnet", 904, 6, 150_000, 8, (150_000, 20)),
        ("paper-pccta", 242, 6, 150_000, 8, (150_000, 20)),
        ("paper-xray", 10_000, 5, 75 * math.ceil(10_000 / 96), 96, (200_000, 150)),
    ],
)
def test_iterations_and_batches_are_those_of_the_paper(
    name, images, epochs, total, batches, diffusion
):
    config = config_of(name)
    assert config.autoencoder.steps == epochs * math.ceil(images / batches)
    assert config.autoencoder.steps + config.adversarial.steps == total
    assert config.autoencoder.batch_size == config.adversarial.batch_size == batches
    assert (config.diffusion.steps, config.diffusion.batch_size) == diffusion
    assert config.timesteps == config.sampling_steps == 1000


@pytest.mark.parametrize(
    ("name", "images", "ends", "last"),
    [("paper-mrnet", 904, (4_554, 45_954), 0.69), ("paper-pccta", 242, (1_287, 12_987), 0.91)],
)
def test_the_learning_rate_drops_with_the_100th_and_the_1000th_epoch(name, images, ends, last):
    with torch.device("meta"):
        phase = make(name, (32, 32, 32)).phases()[2]
    drops, steps = milestone_steps(phase, images), phase.settings.steps
    assert drops == ends
    rates = [1e-5 * lr_factor("milestones", s, steps, drops, phase.settings.gamma) for s in ends]
    assert rates == pytest.approx([1e-6, 1e-7])
    assert 1e-5 * lr_factor("milestones", ends[0] - 1, steps, drops) == 1e-5
    assert 1 - ends[1] / steps == pytest.approx(last, abs=0.005)


def test_quirks_are_off_unless_a_preset_of_the_paper_has_them():
    plain = build(VOLUMES.Config)
    assert (plain.clip, plain.sampling_scale) == ("off", "measured")
    assert plain.diffusion.schedule == "constant"
    volumes, pictures = config_of("paper-mrnet"), config_of("paper-xray")
    assert (volumes.clip, volumes.sampling_scale) == ("unit", "one")
    assert (pictures.clip, pictures.sampling_scale) == ("off", "measured")


@pytest.mark.parametrize(("name", "end"), [("paper-mrnet", 0.0195), ("paper-xray", 0.0205)])
def test_the_noise_begins_and_ends_as_in_the_paper(name, end):
    kept = Schedule(config_of(name)).kept.double()
    first, last = math.sqrt(0.0015), math.sqrt(end)
    roots = [first + i / 999 * (last - first) for i in range(1000)]
    product = math.prod(1 - root**2 for root in roots)
    assert len(kept) == 1000
    assert float(kept[0]) == pytest.approx(1 - 0.0015, rel=1e-6)
    assert float(kept[-1]) == pytest.approx(product, rel=1e-3)
    assert product < 0.001  # nearly nothing of the image is left


def test_the_quirks_sample_as_monais_scheduler_does_with_its_defaults():
    """Clipped to [-1, 1] at each step, and decoded without the scale."""
    small = {"channels": (4, 8), "latent_channels": 2, "res_blocks": 1, "norm_groups": 4}
    small |= {"unet_channels": (8,), "unet_res_blocks": 1, "unet_head_channels": 8, "timesteps": 12}
    small |= {"sampling_steps": 12, "discriminator_channels": 2, "discriminator_layers": 1}
    model = make("paper-mrnet", (8, 8, 8), small).eval()
    model.latent_scale.fill_(0.3)
    torch.nn.init.normal_(model.unet.out[2].conv.weight, std=0.5)
    monai = DDPMScheduler(12, "scaled_linear_beta", beta_start=0.0015, beta_end=0.0195)
    noise, touched = Noise(0, [5]), 0
    (stream,) = Noise(0, [5]).generators()
    with torch.no_grad():
        found = model.sample(noise)
        x = torch.randn(model.latent_shape, generator=stream)[None]
        for t in reversed(range(12)):
            predicted = model.unet(x, torch.tensor([t]))
            x, x_0 = monai.step(predicted, t, x, generator=stream)
            touched += int((x_0.abs() == 1).sum())
        expected = model.decode(x).clamp(-1, 1)
    assert touched > 50
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "shape", "batch", "less"),
    [
        # as deep as 16 pixels allow; a block less makes no layer narrower
        ("paper-mrnet", (16, 16, 16), 1, {"discriminator_layers": 2, **FEWER}),
        ("paper-xray", (32, 32), 2, FEWER),
    ],
)
def test_a_step_at_full_width_moves_the_weights_of_its_turns_and_no_others(
    name, shape, batch, less
):
    model, devices = make(name, shape, less), open_devices("cpu")
    x = torch.rand(batch, 1, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    moved = {"autoencoder": {"autoencoder"}, "diffusion": {"unet"}}
    moved["adversarial"] = {"autoencoder", "discriminator"}
    for phase in model.phases():
        part = micro_batches(0, batch, 1, 0, 1)[0]
        with torch.no_grad():
            rows = phase.encode(x) if phase.encode else x
        if phase.begin:
            phase.begin(iter([rows]))
            drawn = model._scaled(model._draw(rows, Noise(0, range(batch))))
            assert float(drawn.std()) == pytest.approx(1, abs=0.1)
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        stepper = Stepper(model.train(), phase, 0, devices, None)
        losses = stepper.step(0, [(part, rows)])
        stepper.close()
        assert all(math.isfinite(value) for value in losses.values())
        changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
        assert {n.split(".")[0] for n in changed} == moved[phase.name]
        del before, stepper
