from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler

from memtk.config import build
from memtk.errors import UserError
from memtk.imaging.patches import fold
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.training.devices import Blocks
from memtk.training.footprint import peak_memory
from memtk_diffusers.config import Diffusers2dConfig
from memtk_diffusers.diffusion import Diffusers2d, divergence
from memtk_diffusers.noising import SAMPLERS, Noising, reverse

TINY = {
    "patch": 2,
    "norm_groups": 4,
    "channels": (4, 8),
    "latent_channels": 2,
    "res_blocks": 1,
    "unet_channels": (8,),
    "unet_res_blocks": 1,
    "unet_attention": (False,),
    "unet_head_channels": 8,
    "sampling_steps": 4,
    "kl_weight": 1e-6,
}


def make(*layers, shape=(16, 16), channels=1):
    torch.manual_seed(0)
    return Diffusers2d(build(Diffusers2dConfig, TINY, *layers), ImageSpec(shape, channels)).eval()


def images(count=4, shape=(16, 16), channels=1):
    generator = torch.Generator().manual_seed(1)
    return torch.rand((count, channels, *shape), generator=generator) * 2 - 1


def unit_weights(seconds):
    """A stand-in for a trained network: any smooth function of x and t."""
    return lambda x, t: torch.sin(x * seconds) * 0.5


@pytest.mark.parametrize("space", ["pixel", "latent"])
@pytest.mark.parametrize("preset", ["smoke", "demo", "paper-xray"])
def test_every_preset_makes_a_model_in_both_spaces(space, preset):
    with torch.device("meta"):
        config = build(Diffusers2dConfig, Diffusers2d.presets[preset], {"space": space})
        model = Diffusers2d(config, ImageSpec((64, 64)))
    names = ["diffusion"] if space == "pixel" else ["autoencoder", "diffusion"]
    assert [phase.name for phase in model.phases()] == names


def test_the_model_of_x_rays_has_the_latents_and_the_widths_of_the_paper():
    with torch.device("meta"):
        config = build(Diffusers2dConfig, Diffusers2d.presets["paper-xray"])
        model = Diffusers2d(config, ImageSpec((512, 512)))
        posterior = model.encode(torch.empty(1, 1, 512, 512))
    assert posterior.shape == (1, 6, 64, 64)
    assert model.noised_shape == (3, 64, 64)
    assert sum(p.numel() for p in model.autoencoder.parameters()) == 6_755_197
    assert sum(p.numel() for p in model.unet.parameters()) == 171_254_787
    assert tuple(model.unet.config.block_out_channels) == (256, 512, 768)
    blocks = model.unet.config.down_block_types
    assert tuple("Attn" in block for block in blocks) == (False, True, True)
    assert model.unet.mid_block.attentions[0].heads == 768 // 256


def test_a_shape_that_does_not_fit_is_refused_with_the_nearest_that_does():
    with pytest.raises(
        UserError, match=r"images of 30x21.*\n.*nearest shape that it takes is 32x24"
    ):
        make({"unet_channels": (8, 8)}, shape=(30, 21))
    with pytest.raises(UserError, match="works on 2D images; these are 8x8x8"):
        make(shape=(8, 8, 8))
    assert make(shape=(12, 20)).noised_shape == (2, 3, 5)
    assert make({"space": "pixel"}, shape=(12, 20), channels=3).noised_shape == (12, 6, 10)


def test_an_autoencoder_trained_on_crops_samples_whole_images():
    model = make({"unet_channels": (8, 8), "space": "latent"})
    coding, diffusing = model.phases()
    coding.crops(ImageSpec((8, 12)))  # 12 can be halved twice, by the autoencoder alone
    assert diffusing.crops is None
    with pytest.raises(UserError, match="a multiple of 4.*\n.*takes is 8x12"):
        coding.crops(ImageSpec((8, 13)))
    model("autoencoder", "autoencoder", images(shape=(8, 12)), Noise(0, range(4)))["l1"].backward()
    assert model.sample(Noise(0, [0])).shape == (1, 1, 16, 16)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(UserError, match="sampling_steps = 30 does not divide.* is 25"):
        make({"sampling_steps": 30})
    with pytest.raises(UserError, match="sampling_steps = 3 is more than timesteps = 2"):
        make({"timesteps": 2, "sampling_steps": 3})
    with pytest.raises(UserError, match="clip = range is for ddpm and ddim"):
        make({"clip": "range", "sampler": "euler"})
    with pytest.raises(UserError, match="12 has attention and is not a multiple of"):
        make({"unet_channels": (12,), "unet_attention": (True,)})


def test_each_turn_moves_its_own_network_and_together_they_move_all():
    model = make()
    sets = [set(turn.parameters()) for phase in model.phases() for turn in phase.turns]
    assert sets[0].isdisjoint(sets[1])
    assert sets[0] | sets[1] == set(model.parameters())
    assert set(make({"space": "pixel"}).phases()[0].turns[0].parameters())


@pytest.mark.parametrize("space", ["pixel", "latent"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_is_the_same_in_any_batch(space, sampler):
    model = make({"space": space, "sampler": sampler})
    with torch.no_grad():
        together = model.sample(Noise(5, range(5)))
        alone = model.sample(Noise(5, [3]))
    assert together.shape == (5, 1, 16, 16)
    assert float(together.abs().max()) <= 1
    torch.testing.assert_close(alone[0], together[3], atol=1e-5, rtol=0)
    assert float((together[0] - together[1]).abs().max()) > 1e-3


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("course", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_every_prediction_and_course_leads_back_to_the_image_if_the_network_is_right(
    prediction, course
):
    asked = {"prediction": prediction, "beta_schedule": course, "timesteps": 20}
    noising = Noising(build(Diffusers2dConfig, TINY, asked))
    truth = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))

    def network(x, t):
        kept = noising.kept[t]
        eps = (x - kept.sqrt() * truth) / (1 - kept).sqrt()
        return noising.target(truth, eps, t.expand(3))

    noise = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    back = reverse(noising.sampler(1.0), network, noise, 4, Noise(0, range(3)).generators())
    # Epsilon at the last of the times is divided by the little signal that is left.
    torch.testing.assert_close(back, truth, atol=0.02, rtol=0)


def test_ddim_is_the_formula_of_its_paper():
    noising = Noising(build(Diffusers2dConfig, TINY, {"timesteps": 20, "sampling_steps": 4}))
    network = unit_weights(1.3)
    x = expected = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    kept = noising.kept.double()
    for now, then in ((19, 14), (14, 9), (9, 4), (4, -1)):
        a, b = kept[now], kept[then] if then >= 0 else torch.tensor(1.0).double()
        v = network(expected, now)
        clean, eps = (
            a.sqrt() * expected - (1 - a).sqrt() * v,
            a.sqrt() * v + (1 - a).sqrt() * expected,
        )
        expected = b.sqrt() * clean + (1 - b).sqrt() * eps
    found = reverse(noising.sampler(1.0), network, x, 4, [])
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)


def test_pixels_are_denoised_as_the_pipeline_of_diffusers_does():
    asked = {"space": "pixel", "patch": 1, "sampler": "ddpm", "timesteps": 20, "sampling_steps": 10}
    model = make(asked, {"prediction": "epsilon", "clip": "range"})
    shared = {"beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0205}
    scheduler = DDPMScheduler(20, timestep_spacing="trailing", **shared)
    pipeline = DDPMPipeline(model.unet, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        found = model.sample(Noise(3, range(3)))
    streams = Noise(3, range(3)).generators()
    theirs = pipeline(3, streams, num_inference_steps=10, output_type="np").images
    expected = torch.from_numpy(theirs).permute(0, 3, 1, 2) * 2 - 1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("course", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_noise_and_velocity_are_those_of_diffusers(course):
    noising = Noising(build(Diffusers2dConfig, TINY, {"timesteps": 20, "beta_schedule": course}))
    x, eps, t = torch.randn(3, 2), torch.randn(3, 2), torch.tensor([0, 7, 19])
    theirs = DDIMScheduler(20, 0.0015, 0.0205, course)
    torch.testing.assert_close(noising.add_noise(x, eps, t), theirs.add_noise(x, eps, t))
    torch.testing.assert_close(noising.target(x, eps, t), theirs.get_velocity(x, eps, t))


@pytest.mark.parametrize("space", ["pixel", "latent"])
def test_blocks_that_are_computed_again_give_the_same_gradients(space):
    model = make({"space": space}).train()
    for phase in model.phases():
        x = phase.encode(images()).detach() if phase.encode else images()
        found = []
        for again in (False, True):
            settings = phase.settings.model_copy(update={"recompute": again})
            model.zero_grad()
            blocks = Blocks(model, replace(phase, settings=settings))
            terms = model(phase.name, phase.turns[0].name, x, Noise(0, range(4)))
            sum(terms.values()).backward()
            blocks.close()
            found.append([p.grad.clone() for p in phase.turns[0].parameters()])
        assert all(map(torch.equal, *found))
        assert len(model.blocks_of(phase.name)) == len(set(model.blocks_of(phase.name))) > 2


def test_the_memory_of_the_x_ray_model_is_estimated_without_computing():
    with torch.device("meta"):
        model = Diffusers2d(build(Diffusers2dConfig), ImageSpec((512, 512))).to("meta")
    coding, denoising = (peak_memory(model, phase) for phase in model.phases())
    assert coding > denoising > 4 * 4 * sum(p.numel() for p in model.unet.parameters())


def test_clipping_keeps_clean_latents_in_the_range_of_the_training_set():
    model = make({"clip": "range"})
    model._measure([torch.cat([torch.full((8, 2, 4, 4), 0.4), torch.full((8, 2, 4, 4), 0.1)], 1)])
    scheduler = model.noising.sampler(float(model.reach))
    assert scheduler.config.clip_sample
    assert scheduler.config.clip_sample_range == pytest.approx(4.0)  # 0.4 / 0.1
    assert not make().noising.sampler(1.0).config.clip_sample


def test_the_scaled_latents_of_the_training_set_have_unit_spread():
    model = make()
    posterior = torch.cat([torch.randn(500, 2, 4, 4) * 3 + 1, torch.full((500, 2, 4, 4), 0.5)], 1)
    model._measure(posterior.split(128))
    drawn = model._draw(posterior, Noise(0, range(500)))
    assert drawn.shape == (500, 2, 4, 4)
    assert float((drawn * model.latent_scale).std()) == pytest.approx(1, abs=0.02)
    assert {"latent_scale", "reach"} <= set(model.state_dict())


def test_the_divergence_is_the_one_of_torch_and_of_diffusers():
    mean, sigma = torch.randn(3, 2, 4, 4), torch.rand(3, 2, 4, 4) + 0.1
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, sigma), normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, sigma), expected.sum() / 3)
    model, x = make(), images()
    latents = model.autoencoder.encode(fold(x, 2)).latent_dist
    torch.testing.assert_close(divergence(latents.mean, latents.std), latents.kl().mean())


def test_the_divergence_can_be_left_out():
    terms = [set(make({"kl_weight": w})._coding_loss(images(), Noise(0, range(4)))) for w in (0, 1)]
    assert terms == [{"l1"}, {"l1", "kl"}]


def test_only_latents_are_reconstructed():
    assert make({"space": "pixel"}).reconstruct is None
    with torch.no_grad():
        back = make().reconstruct(images())
    assert back.shape == (4, 1, 16, 16)
    assert float(back.abs().max()) <= 1


@pytest.mark.parametrize("space", ["pixel", "latent"])
def test_a_denoising_loss_is_one_number_a_row_that_depends_on_its_time_and_stream(space):
    model, x = make({"space": space}), images()
    with torch.no_grad():
        early = model.denoising_loss(x, torch.full((4,), 1), Noise(0, range(4)))
        late = model.denoising_loss(x, torch.full((4,), 900), Noise(0, range(4)))
        alone = model.denoising_loss(x[1:2], torch.tensor([900]), Noise(0, [1]))
    assert early.shape == (4,)
    assert not torch.equal(early, late)
    torch.testing.assert_close(alone[0], late[1], atol=1e-5, rtol=1e-5)


def test_the_last_layer_computes_in_float32_and_is_named_as_in_diffusers():
    model = make({"space": "pixel"})
    with torch.autocast("cpu", torch.bfloat16):
        predicted = model.unet(torch.randn(1, *model.noised_shape), torch.tensor([3])).sample
    assert predicted.dtype == torch.float32
    assert "conv_out.weight" in model.unet.state_dict()


def test_every_setting_is_described():
    assert all(field.description for field in Diffusers2dConfig.model_fields.values())
