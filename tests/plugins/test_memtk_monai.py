from __future__ import annotations

import pytest
import torch
from monai.losses import PatchAdversarialLoss
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, RFlowScheduler

from memtk.config import build
from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.registry import open_registry
from memtk.testing import check_generator
from memtk.training.devices import Blocks, open_devices
from memtk.training.loop import train
from memtk_monai.config import PRESETS_3D, LatentDiffusionConfig
from memtk_monai.latent_diffusion import MonaiLatentDiffusion2d, MonaiLatentDiffusion3d
from memtk_monai.networks import divergence, verdict
from memtk_monai.schedule import Flow, Schedule

TINY = {
    "channels": (4, 8),
    "latent_channels": 2,
    "res_blocks": 1,
    "norm_groups": 4,
    "discriminator_channels": 2,
    "discriminator_layers": 1,
    "unet_channels": (8,),
    "unet_res_blocks": 1,
    "unet_head_channels": 8,
    "sampling_steps": 3,
}


def make(cls, shape, *layers, channels=1):
    torch.manual_seed(0)
    return cls(build(cls.Config, *layers), ImageSpec(shape, channels)).eval()


def images(shape, count=4, channels=1):
    generator = torch.Generator().manual_seed(1)
    return torch.rand((count, channels, *shape), generator=generator) * 2 - 1


@pytest.fixture(scope="module")
def small():
    model = make(MonaiLatentDiffusion2d, (16, 16), TINY, {"patch": 2})
    torch.nn.init.normal_(model.unet.out[2].conv.weight, std=0.1)  # MONAI starts it at zero
    return model


def test_the_demo_takes_the_shapes_of_phantoms_and_of_the_hippocampus():
    for shape, latent in (((32, 32, 32), (4, 4, 4)), ((32, 48, 32), (4, 6, 4))):
        model = make(MonaiLatentDiffusion3d, shape, MonaiLatentDiffusion3d.presets["demo"])
        assert model.latent_shape[1:] == latent


@pytest.mark.parametrize("name", ["monai2d", "monai3d"])
@pytest.mark.parametrize("preset", ["smoke", "demo"])
def test_every_small_preset_makes_a_model(name, preset):
    cls = open_registry().load("generator", name)
    with torch.device("meta"):
        model = make(cls, (32,) * int(name[-2]), cls.presets[preset])
    assert [phase.name for phase in model.phases()] == ["autoencoder", "adversarial", "diffusion"]


def test_a_shape_that_does_not_fit_is_refused_with_the_nearest_that_does():
    with pytest.raises(UserError, match="images of 30x47x9.*\n.*takes is 32x48x8"):
        make(MonaiLatentDiffusion3d, (30, 47, 9), TINY, {"channels": (4, 4, 8), "patch": 2})
    with pytest.raises(UserError, match="at least 8.*\n.*takes is 8x8"):
        make(MonaiLatentDiffusion2d, (4, 4), TINY)
    assert make(MonaiLatentDiffusion2d, (8, 8), TINY).reconstruct(images((8, 8))).shape[-1] == 8


def test_an_autoencoder_trained_on_crops_samples_whole_images(tmp_path):
    crops = {"autoencoder": {"crop": (8, 12, 16)}, "adversarial": {"crop": (8, 8, 8)}}
    model = make(MonaiLatentDiffusion3d, (16, 16, 16), PRESETS_3D["smoke"], crops)
    encode, seen = model.encode, []
    model.encode = lambda x: seen.append(tuple(x.shape[2:])) or encode(x)
    x = MemoryImages(images((16, 16, 16)))
    train(model, x, seed=0, folder=tmp_path, devices=open_devices("cpu"))
    assert list(dict.fromkeys(seen)) == [(8, 12, 16), (8, 8, 8), (16, 16, 16)]
    with torch.no_grad():
        assert model.sample(Noise(0, [0, 1])).shape == (2, 1, 16, 16, 16)


def test_a_crop_has_to_fit_the_autoencoder_not_the_unet():
    model = make(MonaiLatentDiffusion2d, (16, 16), TINY, {"unet_channels": (8, 8)})
    first, second, third = model.phases()
    first.crops(ImageSpec((10, 12)))
    assert third.crops is None
    with pytest.raises(UserError, match="multiple of 2 and at least 8.*\n.*takes is 8x12"):
        second.crops(ImageSpec((9, 12)))


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(UserError, match=r"12 is not a multiple of unet_head_channels = 8"):
        make(MonaiLatentDiffusion2d, (16, 16), TINY, {"unet_channels": (12,)})


def test_each_turn_moves_its_own_network_and_together_they_move_all(small):
    first, second, third = small.phases()
    sets = [set(turn.parameters()) for turn in (*second.turns, *third.turns)]
    assert set(first.turns[0].parameters()) == sets[0]
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert set.union(*sets) == set(small.parameters())


def test_every_loss_is_finite_and_reaches_all_parameters_of_its_turn():
    model = make(MonaiLatentDiffusion3d, (8, 8, 8), TINY).train()
    torch.nn.init.normal_(model.unet.out[2].conv.weight, std=0.1)
    x = images((8, 8, 8))
    for phase in model.phases():
        rows = phase.encode(x).detach() if phase.encode else x
        for turn in phase.turns:
            model.zero_grad()
            terms = model(phase.name, turn.name, rows, Noise(0, range(4)))
            total = torch.stack(list(terms.values())).sum()
            total.backward()
            assert bool(total.isfinite())
            missing = [p for p in turn.parameters() if p.grad is None]
            assert not missing
        if phase.name == "adversarial":
            assert set(model(phase.name, "autoencoder", x, Noise(0, range(4)))) == {
                "l1", "kl", "adversarial"
            }  # fmt: skip


def test_the_discriminator_learns_nothing_for_the_autoencoder(small):
    small.zero_grad()
    loss = small("adversarial", "discriminator", images((16, 16)), Noise(0, range(4)))
    loss["discriminator"].backward()
    assert all(p.grad is None for p in small.autoencoder.parameters())
    assert all(p.grad is not None for p in small.discriminator.parameters())


def test_the_divergence_is_the_one_of_torch():
    mean, sigma = torch.randn(3, 2, 4, 4), torch.rand(3, 2, 4, 4) + 0.1
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, sigma), normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, sigma), expected.sum() / 3)


def test_the_scaled_latents_of_the_training_set_have_unit_spread(small):
    posterior = torch.cat([torch.randn(500, 2, 4, 4) * 3 + 1, torch.full((500, 2, 4, 4), 0.5)], 1)
    small._measure(posterior.split(128))
    drawn = small._draw(posterior, Noise(0, range(500))) * small.latent_scale
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)
    means = posterior[:, :2] * small.latent_scale
    torch.testing.assert_close(small.latent_low, means.min())
    torch.testing.assert_close(small.latent_high, means.max())
    assert {"latent_scale", "latent_low", "latent_high"} <= set(small.state_dict())


def test_unscaling_undoes_the_scaling_of_latents_to_the_last_digit(small):
    z = torch.randn(1000, dtype=torch.float64)
    for scale in (0.3, 1.0, 1e-3, 7.7):
        small.latent_scale.fill_(scale)
        back = small._unscaled(small._scaled(z))
        assert float(((back - z) / z).abs().max()) <= torch.finfo(torch.float64).eps
    small.latent_scale.fill_(1.0)


def test_a_row_of_latents_is_drawn_by_its_own_stream(small):
    posterior = small.encode(images((16, 16))).detach()
    together = small._draw(posterior, Noise(0, range(4)))
    alone = small._draw(posterior[2:3], Noise(0, [2]))
    torch.testing.assert_close(alone[0], together[2])


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("clip", ["off", "range", "unit"])
def test_a_sample_is_the_same_in_any_batch(small, sampler, clip):
    model = make(
        MonaiLatentDiffusion2d, (16, 16), TINY, {"patch": 2, "sampler": sampler, "clip": clip}
    )
    model.load_state_dict(small.state_dict())
    with torch.no_grad():
        together = model.sample(Noise(5, range(6)))
        alone = model.sample(Noise(5, [4]))
    assert together.shape == (6, 1, 16, 16)
    assert float(together.abs().max()) <= 1
    torch.testing.assert_close(alone[0], together[4], atol=1e-4, rtol=0)
    assert float((together[0] - together[1]).abs().max()) > 1e-3


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("course", ["scaled_linear_beta", "cosine"])
def test_noise_and_target_are_those_of_monai(prediction, course):
    schedule, monai = schedules(DDPMScheduler, prediction, course)
    x, eps, t = torch.randn(5, 2, 3), torch.randn(5, 2, 3), torch.tensor([0, 3, 9, 17, 19])
    noisy = schedule.add_noise(x, eps, t)
    torch.testing.assert_close(noisy, monai.add_noise(x, eps, t))
    target = schedule.target(x, eps, t)
    torch.testing.assert_close(
        target, eps if prediction == "epsilon" else monai.get_velocity(x, eps, t)
    )
    for found, true in zip(schedule.split(noisy, target, t), (x, eps), strict=True):
        torch.testing.assert_close(found, true, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(schedule.noise_in(noisy, x, t), eps, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("course", ["scaled_linear_beta", "cosine"])
def test_ddim_goes_the_way_of_monai(prediction, course):
    schedule, monai = schedules(DDIMScheduler, prediction, course)
    x = expected = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    for now in schedule.times(20):
        expected = monai.step(torch.sin(expected), now, expected)[0]
        x = step(schedule, x, now, None)
    torch.testing.assert_close(x, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("course", ["scaled_linear_beta", "cosine"])
def test_ddpm_goes_the_way_of_monai_with_one_stream(prediction, course):
    schedule, monai = schedules(DDPMScheduler, prediction, course)
    streams = [torch.Generator().manual_seed(0) for _ in range(2)]
    x = expected = torch.randn(1, 2, 4, generator=torch.Generator().manual_seed(0))
    for now in schedule.times(20):
        expected = monai.step(torch.sin(expected), now, expected, generator=streams[0])[0]
        fresh = torch.randn(1, 2, 4, generator=streams[1])
        x = step(schedule, x, now, fresh if now else None)
    torch.testing.assert_close(x, expected, atol=1e-4, rtol=1e-4)


def test_fewer_steps_end_at_the_clean_image_of_a_perfect_network():
    schedule, _ = schedules(DDIMScheduler, "v_prediction", "scaled_linear_beta")
    truth = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    x = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1))
    times = schedule.times(7)
    assert times[0] == 19
    assert times[-1] == 0
    for now, then in zip(times, [*times[1:], -1], strict=True):
        t = torch.full((4,), now)
        x = schedule.back(truth, schedule.noise_in(x, truth, t), now, then, None)
    torch.testing.assert_close(x, truth, atol=1e-5, rtol=1e-5)


def test_more_sampling_steps_than_times_are_refused():
    with pytest.raises(UserError, match="sampling_steps = 3 is more than timesteps = 2"):
        make(MonaiLatentDiffusion2d, (16, 16), TINY, {"timesteps": 2})


def schedules(cls, prediction, course):
    config = build(
        LatentDiffusionConfig,
        {"timesteps": 20, "sampling_steps": 20, "prediction": prediction, "beta_schedule": course},
    )
    ends = {} if course == "cosine" else {"beta_start": 0.0015, "beta_end": 0.0195}
    monai = cls(20, course, clip_sample=False, prediction_type=prediction, **ends)
    return Schedule(config), monai


def step(schedule, x, now, fresh):
    t = torch.full((len(x),), now)
    return schedule.back(*schedule.split(x, torch.sin(x), t), now, now - 1, fresh)


def test_a_denoising_loss_is_one_number_a_row_and_zero_noise_levels_differ(small):
    x = images((16, 16))
    with torch.no_grad():
        early = small.denoising_loss(x, torch.full((4,), 1), Noise(0, range(4)))
        late = small.denoising_loss(x, torch.full((4,), 900), Noise(0, range(4)))
        alone = small.denoising_loss(x[1:2], torch.tensor([900]), Noise(0, [1]))
    assert early.shape == (4,)
    assert not torch.equal(early, late)
    torch.testing.assert_close(alone[0], late[1], atol=1e-5, rtol=1e-5)


def test_every_setting_is_described():
    assert all(field.description for field in LatentDiffusionConfig.model_fields.values())


def test_blocks_hold_most_weights_and_none_twice(small):
    for phase, network in (("autoencoder", small.autoencoder), ("diffusion", small.unet)):
        inside = [p for block in small.blocks_of(phase) for p in block.parameters()]
        assert len(set(inside)) == len(inside)
        assert set(inside) <= set(network.parameters())
        whole = sum(p.numel() for p in network.parameters())
        assert sum(p.numel() for p in inside) > 0.5 * whole
    assert small.blocks_of("adversarial") == small.blocks_of("autoencoder")


def test_blocks_that_are_computed_again_give_the_same_gradients():
    found = []
    for again in (False, True):
        settings = {"recompute": again}
        model = make(MonaiLatentDiffusion2d, (16, 16), TINY, {"diffusion": settings}).train()
        torch.nn.init.normal_(model.unet.out[2].conv.weight, std=0.1)
        phase = model.phases()[2]
        blocks = Blocks(model, phase)
        rows = model.encode(images((16, 16))).detach()
        model("diffusion", "unet", rows, Noise(0, range(4)))["mse"].backward()
        blocks.close()
        found.append([p.grad for p in model.unet.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("activation", ["leaky_relu", "none"])
def test_the_discriminators_verdict_is_weighed_as_in_monai(activation):
    monai = PatchAdversarialLoss(
        criterion="least_squares", no_activation_leastsq=activation == "none"
    )
    judged = torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    for real in (True, False):
        found = verdict(judged, float(real), activation)
        torch.testing.assert_close(found, monai(judged, real, True))
    torch.testing.assert_close(verdict(judged, 1, activation), monai(judged, True, False))


def test_with_batch_norm_the_adversarial_phase_is_never_split():
    for norm, whole in (("instance", False), ("batch", True)):
        model = make(MonaiLatentDiffusion2d, (16, 16), TINY, {"discriminator_norm": norm})
        assert model.phases()[1].whole_batch is whole
        assert any("running_mean" in key for key in model.state_dict()) is whole


def flow(**asked):
    layers = {"timesteps": 20, "sampling_steps": 5, "process": "rectified-flow"}
    return Flow(build(LatentDiffusionConfig, layers, asked))


def test_a_rectified_flow_goes_the_way_of_monai():
    found, monai = flow(), RFlowScheduler(20)
    monai.set_timesteps(5)
    times = found.times(5)
    assert times == monai.timesteps.tolist() == [20, 16, 12, 8, 4]
    x = expected = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    for now, then in zip(times, [*times[1:], -1], strict=True):
        expected = monai.step(torch.sin(expected), now, expected, max(then, 0))[0]
        x = found.back(*found.split(x, torch.sin(x), torch.full((3,), now)), now, then, None)
    torch.testing.assert_close(x, expected)


def test_what_a_rectified_flow_learns_leads_from_any_time_to_the_image():
    found, t = flow(), torch.tensor([1.0, 7.5, 20.0])
    x_0, eps = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    x = found.add_noise(x_0, eps, t)
    torch.testing.assert_close(x[2], eps[2])
    for part, true in zip(found.split(x, found.target(x_0, eps, t), t), (x_0, eps), strict=True):
        torch.testing.assert_close(part, true, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.noise_in(x, x_0, t), eps, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("times", ["uniform", "logit-normal"])
def test_the_times_of_a_flow_are_those_that_monai_draws(times):
    torch.manual_seed(0)
    drawn = flow(flow_times=times).draw(Noise(0, range(4000))) / 20
    monai = RFlowScheduler(20, use_discrete_timesteps=False, sample_method=times)
    theirs = monai.sample_timesteps(torch.zeros(4000, 1)) / 20
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert abs(float(drawn.quantile(share) - theirs.quantile(share))) < 0.03


def test_a_flow_shows_attacks_the_noise_of_a_process_of_unit_variance():
    model = make(MonaiLatentDiffusion2d, (16, 16), TINY, {"patch": 2, "process": "rectified-flow"})
    torch.nn.init.normal_(model.unet.out[2].conv.weight, std=0.1)
    seen, t = model.diffusion(), torch.tensor([0, 300, 700, 999])
    z, eps = (torch.randn(4, *model.latent_shape) for _ in range(2))
    mixed = model.schedule.add_noise(z, eps, t)
    length = model.schedule.length(t, z)
    torch.testing.assert_close(seen.noised(z, eps, t), mixed / length, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        found = seen.noise(mixed / length, t)
        velocity = model.unet(mixed, t)
    s = (t / 1000).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(found, mixed - (1 - s) * velocity, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("clip", ["off", "range"])
def test_a_rectified_flow_keeps_the_rules_of_generators(clip):
    asked = {"process": "rectified-flow", "clip": clip}
    check_generator(MonaiLatentDiffusion2d, asked, ImageSpec((32, 32)))


def test_a_flow_learns_to_end_at_the_one_image_that_it_knows():
    asked = {"process": "rectified-flow", "flow_times": "logit-normal", "latent_channels": 4}
    model = make(MonaiLatentDiffusion2d, (16, 16), TINY, asked, {"sampling_steps": 20}).train()
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).expand(8, -1, -1, -1)
    posterior = torch.cat([z, torch.zeros_like(z)], 1)
    adam = torch.optim.Adam(model.unet.parameters(), 5e-3)
    for number in range(150):
        adam.zero_grad()
        model("diffusion", "unet", posterior, Noise(number, range(8)))["mse"].backward()
        adam.step()
    model.eval().decode = lambda x: x
    with torch.no_grad():
        ends = model.sample(Noise(0, range(4)))
    assert float((ends - z[:4].clamp(-1, 1)).abs().mean()) < 0.2
