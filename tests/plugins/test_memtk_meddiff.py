from __future__ import annotations

import pytest
import torch

from memtk.config import build
from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.imaging.phantoms import phantom
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.testing.trainables import learn
from memtk.training.devices import Blocks, open_devices
from memtk.training.footprint import peak_memory
from memtk.training.loop import train
from memtk_meddiff.config import MedDiffConfig
from memtk_meddiff.generator import MedDiff3d
from memtk_meddiff.vqgan import strides

PRESETS = MedDiff3d.presets


def make(shape, *layers, channels=1):
    torch.manual_seed(0)
    return MedDiff3d(build(MedDiffConfig, *layers), ImageSpec(shape, channels)).eval()


def images(shape, count=4):
    return torch.rand((count, 1, *shape), generator=torch.Generator().manual_seed(1)) * 2 - 1


def numbers(parameters):
    return sum(p.numel() for p in parameters)


def conv(inward, outward, kernel):
    return inward * outward * kernel + outward


def vqgan_numbers(levels, base=16, width=8):
    """From the layer table of the VQ-GAN: channels double a level; two norms, two 3^3 a block."""

    def block(c):
        return 2 * (2 * c + conv(c, c, 27))

    top = base * 2**levels
    total = conv(1, base, 27) + 2 * top + conv(top, width, 1)
    total += sum(conv(c, 2 * c, 64) + block(2 * c) for c in (base * 2**i for i in range(levels)))
    total += conv(width, top, 1) + 2 * top + conv(2 * base, 1, 27)
    inner = [top // 2**i for i in range(levels)]
    outer = [top, *inner[:-1]]
    return total + sum(conv(a, b, 64) + 2 * block(b) for a, b in zip(outer, inner, strict=True))


def unet_numbers(dim, width=8, heads=8, head=32):
    """From the layer table of the U-Net, multiples 1, 2, 4, 8."""
    time, inner = 4 * dim, heads * head

    def block(a, b, t=time):
        film = t * 2 * b + 2 * b if t else 0
        return film + conv(a, b, 9) + conv(b, b, 9) + 4 * b + (conv(a, b, 1) if a != b else 0)

    def attention(c):
        return c + 4 * c * inner

    def level(a, b):
        return block(a, b) + block(b, b) + attention(b) + b + attention(b)

    widths = [dim, dim, 2 * dim, 4 * dim, 8 * dim]
    pairs = list(zip(widths[:-1], widths[1:], strict=True))
    total = conv(width, dim, 49) + attention(dim) + 32 * heads + conv(dim, time, 1)
    total += conv(time, time, 1) + sum(level(a, b) for a, b in pairs)
    total += sum(level(2 * b, a) for a, b in pairs) + 2 * sum(conv(c, c, 16) for c in widths[1:-1])
    total += 2 * block(8 * dim, 8 * dim) + 2 * attention(8 * dim)
    return total + block(2 * dim, dim, 0) + conv(dim, width, 1)


@pytest.mark.parametrize(
    ("preset", "shape", "latent", "levels"),
    [
        ("paper-mrnet", (32, 256, 256), (8, 8, 64, 64), 2),
        ("paper-pccta", (64, 64, 64), (8, 32, 32, 32), 1),
    ],
)
def test_the_paper_presets_have_the_sizes_of_the_layer_tables(preset, shape, latent, levels):
    with torch.device("meta"):
        model = make(shape, PRESETS[preset])
        x = torch.empty(2, 1, *shape)
        z = model.vqgan.encode(x)
        assert z.shape[1:] == model.latent_shape == latent
        assert model.vqgan.decode(z).shape == x.shape
        assert model.unet(z, torch.zeros(2, dtype=torch.int64)).shape == z.shape
    assert numbers(model.vqgan.generator()) == vqgan_numbers(levels)
    assert numbers(model.unet.parameters()) == unet_numbers(latent[-1])
    assert model.vqgan.codebook.codes.shape == (16_384, 8)
    assert len(model.schedule.kept) == 300


def test_the_numbers_of_parameters_are_these():
    assert (vqgan_numbers(2), unet_numbers(64)) == (1_391_081, 35_730_312)  # 32x256x256
    assert (vqgan_numbers(1), unet_numbers(32)) == (266_825, 9_981_512)  # 64x64x64
    with torch.device("meta"):
        vqgan = make((64, 64, 64)).vqgan
    # k4, channels 1-64-128-256-512-1; batch norm's two numbers a channel in the middle
    flat = conv(1, 64, 16) + conv(64, 128, 16) + conv(128, 256, 16) + conv(256, 512, 16)
    deep = conv(1, 64, 64) + conv(64, 128, 64) + conv(128, 256, 64) + conv(256, 512, 64)
    norms = 2 * (128 + 256 + 512)
    assert numbers(vqgan.slice_discriminator.parameters()) == flat + norms + conv(512, 1, 16)
    assert numbers(vqgan.volume_discriminator.parameters()) == deep + norms + conv(512, 1, 64)


@pytest.mark.parametrize(
    ("compression", "shape", "latent"),
    [
        ((8, 8, 8), (32, 256, 256), (8, 4, 32, 32)),
        ((4, 4, 4), (64, 64, 64), (8, 16, 16, 16)),
        ((8, 8, 8), (64, 64, 64), (8, 8, 8, 8)),
        ((2, 4, 4), (32, 64, 64), (8, 16, 16, 16)),
    ],
)
def test_other_compressions_give_the_latents_of_their_quotients(compression, shape, latent):
    with torch.device("meta"):
        model = make(shape, {"compression": compression})
        z = model.vqgan.encode(torch.empty(1, 1, *shape))
        assert z.shape[1:] == latent
        assert model.vqgan.decode(z).shape[2:] == shape


def test_axes_that_are_compressed_less_stop_earlier():
    assert strides((4, 32, 32)) == [(2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2), (1, 2, 2)]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_makes_a_model(preset):
    shape = (64, 64, 64) if preset.startswith("paper") else (32, 32, 32)
    if preset == "paper-mrnet":
        shape = (32, 256, 256)
    with torch.device("meta"):
        model = make(shape, PRESETS[preset])
    assert [phase.name for phase in model.phases()] == ["vqgan", "diffusion"]


def test_the_paper_presets_train_as_long_as_the_paper_says():
    for preset in ("paper-mrnet", "paper-pccta"):
        config = build(MedDiffConfig, PRESETS[preset])
        assert (config.vqgan.steps, config.vqgan.batch_size) == (150_000, 8)
        assert (config.diffusion.steps, config.diffusion.batch_size) == (150_000, 20)
        assert (config.diffusion.ema_decay, config.diffusion.ema_every) == (0.995, 10)
        assert config.vqgan_rate == pytest.approx(3e-4 / 8 * 8 / 4)


def test_a_setting_of_a_phase_leaves_its_other_defaults_as_they_are():
    config = build(MedDiffConfig, {"diffusion": {"steps": 7}, "vqgan": {"recompute": True}})
    assert config.diffusion == MedDiffConfig().diffusion.model_copy(update={"steps": 7})
    assert config.vqgan == MedDiffConfig().vqgan.model_copy(update={"recompute": True})
    assert build(MedDiffConfig, {"perceptual_files": "a.pth"}).perceptual_files == ("a.pth",)


def test_the_demo_takes_the_shapes_of_phantoms_and_of_the_hippocampus():
    for shape, latent in (((32, 32, 32), (4, 4, 4)), ((32, 48, 32), (4, 6, 4))):
        assert make(shape, PRESETS["demo"]).latent_shape[1:] == latent


def test_a_shape_that_does_not_fit_is_refused_with_the_nearest_that_does():
    with pytest.raises(UserError, match="images of 30x250x256.*4x32x32.\n.*takes is 32x256x256"):
        make((30, 250, 256))
    with pytest.raises(UserError, match=r"compression = 1,1,1"):
        make((32, 32, 32), {"compression": (1, 1, 1)})
    with pytest.raises(UserError, match=r"unet_dim = 4 \(the side.*set unet_dim=8"):
        make((32, 32, 32), {"compression": (8, 8, 8), "unet_multiples": (1, 2)})
    with pytest.raises(UserError, match=r"unet_dim = 20 is not .*set unet_dim=16"):
        make((32, 32, 32), {"unet_dim": 20})


@pytest.mark.parametrize(
    ("preset", "shape", "dim"), [("paper-mrnet", (4, 32, 32), 64), ("paper-pccta", (4, 16, 16), 32)]
)
def test_a_step_of_every_turn_at_the_width_of_the_paper_moves_its_own_weights_alone(
    preset, shape, dim
):
    model = make(shape, PRESETS[preset], {"unet_dim": dim, "discriminator_start": 0})
    learn(model, images(shape, 2))  # says so where a turn moves what is not its own
    with torch.no_grad():
        assert bool(model.reconstruct(images(shape, 1)).isfinite().all())


def test_every_weight_belongs_to_one_turn():
    model = make((16, 16, 16), PRESETS["smoke"])
    sets = [set(turn.parameters()) for phase in model.phases() for turn in phase.turns]
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert set.union(*sets) == set(model.parameters())


def test_discriminators_begin_at_the_step_that_is_set():
    model = make((16, 16, 16), PRESETS["smoke"], {"discriminator_start": 2}).train()
    x, seen = images((16, 16, 16)), []
    for step in range(4):
        model.zero_grad()
        terms = model("vqgan", "generator", x, Noise(step, range(4)))
        hinge = model("vqgan", "discriminators", x, Noise(step, range(4)))["hinge"]
        hinge.backward()
        moved = any(float(p.grad.abs().max()) > 0 for p in model.vqgan.discriminators())
        seen.append((bool(terms["features"] > 0), bool(hinge > 0), moved))
    assert seen == [(False,) * 3] * 2 + [(True,) * 3] * 2


def test_the_discriminators_turn_learns_nothing_for_the_generator():
    model = make((16, 16, 16), PRESETS["smoke"]).train()
    x = images((16, 16, 16))
    model("vqgan", "generator", x, Noise(0, range(4)))
    model("vqgan", "discriminators", x, Noise(0, range(4)))["hinge"].backward()
    assert all(p.grad is None for p in model.vqgan.generator())


@pytest.mark.parametrize(("twice", "same"), [(False, True), (True, False)])
def test_the_codebook_learns_in_the_second_turn_only_where_the_quirk_is_on(twice, same):
    model = make((16, 16, 16), PRESETS["smoke"], {"update_codebook_twice": twice}).train()
    x = images((16, 16, 16))
    model("vqgan", "generator", x, Noise(0, range(4)))
    before = model.vqgan.codebook.codes.clone()
    model("vqgan", "discriminators", x, Noise(1, range(4)))
    assert torch.equal(before, model.vqgan.codebook.codes) == same
    assert PRESETS["paper-mrnet"]["update_codebook_twice"]
    assert not MedDiffConfig().update_codebook_twice


def test_the_scaling_of_the_latents_is_undone_exactly_and_sends_the_codes_into_range():
    model = make((16, 16, 16), PRESETS["smoke"]).double()
    model.vqgan.codebook.codes.uniform_(-3, 11)
    z = torch.randn(2, *model.latent_shape, dtype=torch.float64) * 5
    torch.testing.assert_close(model.unscale(model.scale(z)), z, rtol=0, atol=1e-13)
    scaled = model.scale(model.vqgan.codebook.codes)
    assert (float(scaled.min()), float(scaled.max())) == (-1, 1)


def test_diffusion_sees_the_latents_before_quantisation_and_never_the_encoder():
    model = make((16, 16, 16), PRESETS["smoke"])
    x = images((16, 16, 16))
    phase = model.phases()[1]
    with torch.no_grad():
        rows = phase.encode(x)
        assert not torch.equal(rows, model.vqgan.codebook(rows))
        t = torch.tensor([0, 1, 4, 7])
        straight = model.denoising_loss(x, t, Noise(0, range(4)))
        cached = model._errors(rows, t, Noise(0, range(4)))
    assert torch.equal(straight, cached)
    assert straight.shape == (4,)
    alone = model.denoising_loss(x[2:3], t[2:3], Noise(0, [2]))
    torch.testing.assert_close(alone[0], straight[2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("preset", "shape"), [("paper-mrnet", (32, 256, 256)), ("paper-pccta", (64, 64, 64))]
)
def test_the_memory_of_the_paper_presets_can_be_told_beforehand(preset, shape):
    with torch.device("meta"):
        model = make(shape, PRESETS[preset])
    whole = [peak_memory(model, phase) for phase in model.phases()]
    thrifty = {"vqgan": {"recompute": True}, "diffusion": {"recompute": True}}
    with torch.device("meta"):
        model = make(shape, PRESETS[preset], thrifty)
    less = [peak_memory(model, phase) for phase in model.phases()]
    assert all(a < b for a, b in zip(less, whole, strict=True)), (less, whole)


def test_blocks_computed_again_give_the_same_gradients():
    shape, found = (16, 16, 16), []
    for recompute in (False, True):
        model = make(shape, PRESETS["smoke"], {"diffusion": {"recompute": recompute}}).train()
        phase, z = model.phases()[1], torch.randn(2, 4, 4, 4, 4, generator=torch.manual_seed(0))
        blocks = Blocks(model, phase)
        model("diffusion", "unet", z, Noise(0, range(2)))["l1"].backward()
        blocks.close()
        found.append(torch.cat([p.grad.flatten() for p in model.unet.parameters()]))
    torch.testing.assert_close(found[0], found[1])


def test_losses_fall_on_phantoms(tmp_path):
    x = torch.stack([torch.from_numpy(phantom(0, i, dims=3, size=8)) for i in range(8)])

    class Phantoms:
        spec = ImageSpec((8, 8, 8))

        def __len__(self):
            return len(x)

        def read(self, indices):
            return x[list(indices)]

    longer = {"vqgan": {"steps": 30}, "diffusion": {"steps": 80}, "discriminator_start": 15}
    model = make((8, 8, 8), PRESETS["smoke"], longer)
    found = train(model, Phantoms(), seed=0, folder=tmp_path, devices=open_devices("cpu"))
    for phase, term, share in (("vqgan", "generator.l1", 0.7), ("diffusion", "l1", 0.9)):
        course = [values[term] for _, values in found.losses[phase]]
        assert sum(course[-10:]) < share * sum(course[:10]), phase


def test_a_vqgan_trained_on_crops_samples_whole_images(tmp_path):
    steps = {"vqgan": {"steps": 2, "crop": (4, 8, 12)}, "diffusion": {"steps": 1}}
    model, x = make((16, 16, 16), PRESETS["smoke"], steps), MemoryImages(images((16, 16, 16)))
    loss, seen = model.vqgan.generator_loss, []
    model.vqgan.generator_loss = lambda x, n: seen.append(tuple(x.shape[2:])) or loss(x, n)
    train(model, x, seed=0, folder=tmp_path, devices=open_devices("cpu"))
    assert seen == [(4, 8, 12)] * 2
    with torch.no_grad():
        assert model.sample(Noise(0, [0])).shape == (1, 1, 16, 16, 16)
    with pytest.raises(UserError, match="multiples of 4x4x4.*\n.*takes is 4x8x8"):
        model.phases()[0].crops(ImageSpec((4, 6, 8)))


def test_a_shape_that_is_refused_comes_with_the_levels_that_take_it():
    settings = PRESETS["smoke"] | {"unet_multiples": (1, 2, 2)}
    for shape, levels in (((4, 24, 8), "1,2,"), ((4, 16, 12), "1,")):
        asked = "x".join(map(str, shape))
        with pytest.raises(UserError, match=f"unet_multiples={levels} it takes {asked} too"):
            make(shape, settings)
        make(shape, settings | {"unet_multiples": tuple(int(n) for n in levels[:-1].split(","))})
    with pytest.raises(UserError, match="takes is 8x16x16.$"):  # no levels take a depth of 6
        make((6, 16, 16), settings)


def test_every_setting_is_described():
    assert all(field.description for field in MedDiffConfig.model_fields.values())
