from __future__ import annotations

import json
import subprocess

import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers import LatentDiffusionInferer
from monai.networks.nets import VQVAE, AutoencoderKL, DiffusionModelUNet

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.testing import check_generator
from memtk_monai.bundle import MonaiBundle, MonaiBundleConfig

DEFINITIONS = {
    "imports": ["$import torch"],
    "bundle_root": ".",
    "model_dir": "$@bundle_root + '/models'",
    "output_dir": "$@bundle_root + '/output'",
    "create_output_dir": "$__import__('pathlib').Path('ran').touch()",
    "device": "$torch.device('cpu')",
    "spatial_dims": 2,
    "image_channels": 1,
    "latent_channels": 2,
    "latent_shape": ["@latent_channels", 8, 8],
    "autoencoder_def": {
        "_target_": "monai.networks.nets.AutoencoderKL",
        "spatial_dims": "@spatial_dims",
        "in_channels": "@image_channels",
        "out_channels": "@image_channels",
        "latent_channels": "@latent_channels",
        "channels": [4, 8],
        "num_res_blocks": 1,
        "norm_num_groups": 4,
        "attention_levels": [False, False],
        "with_encoder_nonlocal_attn": False,
        "with_decoder_nonlocal_attn": False,
    },
    "network_def": {
        "_target_": "monai.networks.nets.diffusion_model_unet.DiffusionModelUNet",
        "spatial_dims": "@spatial_dims",
        "in_channels": "@latent_channels",
        "out_channels": "@latent_channels",
        "channels": "$[4] + [2 * 4]",
        "attention_levels": [False, True],
        "num_head_channels": [0, 8],
        "num_res_blocks": 1,
        "norm_num_groups": 4,
    },
    "load_autoencoder_path": "$@bundle_root + '/models/model_autoencoder.pt'",
    "load_autoencoder": "$@autoencoder_def.load_state_dict("
    "torch.load(@load_autoencoder_path, weights_only=True))",
    "autoencoder": "$@autoencoder_def.to(@device)",
    "load_diffusion_path": "$@model_dir + '/model.pt'",
    "load_diffusion": "$@network_def.load_state_dict("
    "torch.load(@load_diffusion_path, weights_only=True))",
    "diffusion": "$@network_def.to(@device)",
    "noise_scheduler": {
        "_target_": "monai.networks.schedulers.DDIMScheduler",
        "_requires_": ["@load_diffusion", "@load_autoencoder"],
        "num_train_timesteps": 20,
        "beta_start": 0.0015,
        "beta_end": 0.0195,
        "schedule": "scaled_linear_beta",
        "clip_sample": False,
    },
    "noise": "$torch.randn([1]+@latent_shape).to(@device)",
    "set_timesteps": "$@noise_scheduler.set_timesteps(num_inference_steps=5)",
    "sampler": {"_target_": "scripts.ldm_sampler.LDMSampler", "_requires_": "@set_timesteps"},
    "run": ["$@create_output_dir"],
}
"""As the bundles of unconditional latent diffusion models in MONAI's model zoo are written."""


def definitions(**changes):
    made = json.loads(json.dumps(DEFINITIONS))
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(made.get(key), dict) and "_target_" not in value:
            made[key] |= value
        elif value is None:
            made.pop(key)
        else:
            made[key] = value
    return made


def networks(content):
    """The networks as MONAI itself reads the file."""
    torch.manual_seed(0)
    parser = ConfigParser(content)
    parts = [parser.get_parsed_content(key) for key in ("autoencoder_def", "network_def")]
    last = parts[1].out[2].conv.weight
    torch.nn.init.normal_(last, std=0.1)  # MONAI starts it at zero
    return [part.eval() for part in parts]


def write(folder, wrap=lambda weights: weights, **changes):
    content = definitions(**changes)
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(content))
    autoencoder, unet = networks(content)
    torch.save(autoencoder.state_dict(), folder / "models" / "model_autoencoder.pt")
    torch.save(wrap(unet.state_dict()), folder / "models" / "model.pt")
    return folder


def make(folder, spec=None, **asked):
    config = build(MonaiBundleConfig, {"path": str(folder)}, asked, where="monai-bundle")
    return MonaiBundle(config, spec or ImageSpec((16, 16)))


def change(folder, **changes):
    path = folder / "configs" / "inference.json"
    path.write_text(json.dumps(definitions(**changes)))


@pytest.fixture
def bundle(tmp_path):
    return write(tmp_path / "bundle")


def theirs(scheduler, scale, steps, noise, stream):
    """What MONAI's own inferer makes of the same noise; fresh noise it draws globally."""
    parser = ConfigParser(definitions(noise_scheduler=scheduler))
    autoencoder, unet = networks(definitions())
    made = parser.get_parsed_content("noise_scheduler", instantiate=True)
    made.set_timesteps(steps)
    inferer = LatentDiffusionInferer(made, scale_factor=scale)
    torch.set_rng_state(stream)
    image = inferer.sample(noise, autoencoder, unet, made, verbose=False)
    return (image * 2 - 1).clamp(-1, 1)


@pytest.mark.parametrize("name", ["DDIMScheduler", "DDPMScheduler", "PNDMScheduler"])
def test_images_are_those_of_monais_own_inferer(tmp_path, name):
    scheduler = {**DEFINITIONS["noise_scheduler"], "_requires_": []}
    scheduler["_target_"] = f"monai.networks.schedulers.{name}"
    if name == "PNDMScheduler":
        del scheduler["clip_sample"]
    write(tmp_path / "b", noise_scheduler=scheduler, scale_factor=0.7)
    with torch.no_grad():
        found = make(tmp_path / "b").sample(Noise(3, [5]))
    noise = Noise(3, [5])
    drawn = noise.normal(2, 8, 8)
    with torch.random.fork_rng(devices=[]):
        stream = noise.generators()[0].get_state()
        expected = theirs(scheduler, 0.7, 5, drawn, stream)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["DDIMScheduler", "DDPMScheduler", "PNDMScheduler"])
def test_a_bundle_keeps_the_rules_of_generators(tmp_path, name):
    scheduler = {"_target_": f"monai.networks.schedulers.{name}", "num_train_timesteps": 20}
    write(tmp_path / "b", noise_scheduler=scheduler)
    check_generator(MonaiBundle, {"path": str(tmp_path / "b")}, ImageSpec((16, 16)))


def test_a_bundle_of_volumes_is_sampled(tmp_path):
    write(tmp_path / "b", spatial_dims=3, latent_shape=["@latent_channels", 4, 4, 4])
    model = make(tmp_path / "b", ImageSpec((8, 8, 8)))
    assert model.sample(Noise(0, range(2))).shape == (2, 1, 8, 8, 8)
    with pytest.raises(UserError, match="makes 3D images; the run's are 2D"):
        make(tmp_path / "b")


def test_a_vector_quantised_autoencoder_is_sampled(tmp_path):
    vqvae = {
        "_target_": "monai.networks.nets.VQVAE",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "channels": [4],
        "num_res_layers": 1,
        "num_res_channels": [4],
        "downsample_parameters": [[2, 4, 1, 1]],
        "upsample_parameters": [[2, 4, 1, 1, 0]],
        "num_embeddings": 8,
        "embedding_dim": 2,
    }
    write(tmp_path / "b", autoencoder_def=vqvae)
    model = make(tmp_path / "b")
    assert isinstance(model.autoencoder, VQVAE)
    assert model.latent_shape == (2, 8, 8)
    check_generator(MonaiBundle, {"path": str(tmp_path / "b")}, ImageSpec((16, 16)))


def test_nothing_of_a_bundle_is_run(bundle, monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise AssertionError("a command was run")

    monkeypatch.setattr(subprocess, "Popen", fail)
    monkeypatch.chdir(tmp_path)
    evil = {"_target_": "subprocess.Popen", "args": ["true"]}
    change(bundle, evil=evil, sampler=evil)
    model = make(bundle)
    assert isinstance(model.autoencoder, AutoencoderKL)
    assert isinstance(model.diffusion, DiffusionModelUNet)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"autoencoder_def": {"_target_": "os.system"}}, "the autoencoder, one of .*os.system"),
        ({"network_def": {"_target_": "nets.DiffusionModelUNet"}}, "the diffusion, .*nets.Diff"),
        ({"noise_scheduler": {"_target_": "monai.networks.schedulers.X"}}, "the scheduler, one of"),
        ({"second": DEFINITIONS["network_def"]}, "defines 2: network_def, second"),
        ({"network_def": {"with_conditioning": True, "cross_attention_dim": 4}}, "attends to a"),
        ({"network_def": {"in_channels": 3}}, "takes 3 channels and the latents have 2"),
        ({"network_def": {"channels": "$list(range(4))"}}, r"network_def.channels = .* is code"),
        ({"network_def": {"channels": "@nowhere"}}, "refers to @nowhere, which is not there"),
        ({"latent_channels": "@latent_channels"}, "refers to itself by @latent_channels"),
        ({"latent_channels": {"_target_": "os.getpid"}}, "is an object of os.getpid"),
        ({"latent_channels": "$2 ** 9"}, "is code, which memtk does not run"),
        ({"latent_channels": "$("}, "is code, which memtk does not run"),
        ({"network_def": {"norm_num_groups": 3}}, "its diffusion cannot be made"),
        ({"network_def": {"nobody": 3}}, "its diffusion cannot be made: TypeError"),
        ({"noise_scheduler": {"schedule": "mine"}}, "its scheduler cannot be made"),
        ({"scale_factor": "$compute(@autoencoder)"}, r"code(.|\n)*bundle.scale_factor=NUMBER"),
        ({"load_diffusion_path": "../other/model.pt"}, "lies outside the bundle"),
        ({"load_diffusion_path": "models/none.pt"}, r"none.pt, the .*model.pt(.|\n)*_weights"),
        ({"image_channels": 3}, "makes images of 3 channels; the run's have 1"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(bundle, changes, message):
    change(bundle, **changes)
    with pytest.raises(UserError, match=message):
        make(bundle)


def test_images_of_another_size_are_refused_with_what_the_bundle_makes(bundle):
    with pytest.raises(UserError, match=r"makes images of 16x16; the run's are 32x32(.|\n)*=16,16"):
        make(bundle, ImageSpec((32, 32)))
    change(bundle, latent_shape=None)
    assert make(bundle, ImageSpec((32, 12))).latent_shape == (2, 16, 6)
    with pytest.raises(UserError, match=r"a multiple of 4.\n.* is 20x12"):
        make(bundle, ImageSpec((19, 12)))


def test_weights_are_found_in_the_tables_that_trainers_write(tmp_path):
    plain = make(write(tmp_path / "a")).sample(Noise(0, [0]))
    for name, wrap in {
        "b": lambda w: {"model": w},
        "c": lambda w: {"unet_state_dict": w, "scale_factor": torch.tensor(1.0)},
        "d": lambda w: {"epoch": 3, "network": {f"module.{k}": v for k, v in w.items()}},
    }.items():
        assert torch.equal(make(write(tmp_path / name, wrap)).sample(Noise(0, [0])), plain)


def test_the_scale_factor_is_what_is_said_then_the_bundles_then_the_weights(tmp_path):
    folder = write(tmp_path / "b", lambda w: {"unet_state_dict": w, "scale_factor": 0.25})
    assert make(folder).scale_factor == 0.25
    inferer = {"_target_": "monai.inferers.LatentDiffusionInferer", "scale_factor": 0.5}
    change(folder, inferer=inferer)
    assert make(folder).scale_factor == 0.5
    change(folder, scale_factor="$1 - 0.25")
    assert make(folder).scale_factor == 0.75
    change(folder, scale_factor="$code()")
    assert make(folder, scale_factor=0.9).scale_factor == 0.9
    assert make(write(tmp_path / "c")).scale_factor == 1


def test_steps_are_those_that_the_bundle_asks_for(bundle):
    assert make(bundle).steps == 5
    assert make(bundle, sampling_steps=7).steps == 7
    change(bundle, set_timesteps="$@noise_scheduler.set_timesteps(@n)", n=4)
    assert make(bundle).steps == 4
    change(bundle, set_timesteps=None, num_inference_steps=3)
    assert make(bundle).steps == 3
    change(bundle, set_timesteps=None)
    assert make(bundle).steps == 20
    with pytest.raises(UserError, match="sampling_steps = 21 is more than the 20 steps"):
        make(bundle, sampling_steps=21)


def test_bundles_from_before_the_networks_were_monais_are_read(tmp_path):
    old = json.loads(json.dumps(definitions()))
    for key in ("autoencoder_def", "network_def"):
        name = old[key]["_target_"].rpartition(".")[2]
        old[key]["_target_"] = f"generative.networks.nets.{name}"
        old[key]["num_channels"] = old[key].pop("channels")
    scheduler = old["noise_scheduler"]
    scheduler["_target_"] = "generative.networks.schedulers.DDIMScheduler"
    scheduler["beta_schedule"] = scheduler.pop("schedule").removesuffix("_beta")
    folder = write(tmp_path / "b")
    new = make(folder).sample(Noise(0, [0]))
    (folder / "configs" / "inference.json").write_text(json.dumps(old))
    path = folder / "models" / "model.pt"
    weights = torch.load(path, weights_only=True)
    torch.save({_before(key): value for key, value in weights.items()}, path)
    path = folder / "models" / "model_autoencoder.pt"
    weights = torch.load(path, weights_only=True)
    torch.save({_before(key): value for key, value in weights.items()}, path)
    torch.testing.assert_close(make(folder).sample(Noise(0, [0])), new)


def _before(key):
    """The name of a weight in the package that the networks came from."""
    for now, then in (
        (".attn.out_proj.", ".proj_attn."),
        (".attn.to_", ".to_"),
        ("postconv", "conv"),
    ):
        key = key.replace(now, then)
    return key


def test_weights_that_would_run_code_or_do_not_fit_are_refused(bundle):
    path = bundle / "models" / "model.pt"
    weights = torch.load(path, weights_only=True)
    torch.save({"model": weights, "trainer": UserError("code")}, path)
    with pytest.raises(UserError, match=r"more than weights(.|\n)*state_dict alone"):
        make(bundle)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="model.pt is damaged"):
        make(bundle)
    torch.save({"epoch": 3}, path)
    with pytest.raises(UserError, match="holds no state_dict of the diffusion"):
        make(bundle)
    torch.save(dict(list(weights.items())[:-1]), path)
    with pytest.raises(UserError, match="does not fit the diffusion that the bundle defines"):
        make(bundle)


def test_the_autoencoder_makes_its_round_trip_in_memtks_range(bundle):
    model = make(bundle, range=(-2, 2))
    x = torch.rand(2, 1, 16, 16) * 2 - 1
    expected = (model.autoencoder.reconstruct(x * 2) / 2).clamp(-1, 1)
    torch.testing.assert_close(model.reconstruct(x), expected)
    with pytest.raises(UserError, match="two ascending numbers"):
        make(bundle, range=(1, 1))


def test_its_configuration_changes_with_its_files(bundle, tmp_path):
    config = build(MonaiBundleConfig, {"path": str(bundle)})
    assert build(MonaiBundleConfig, config.model_dump()) == config
    change(bundle, latent_shape=None)
    assert build(MonaiBundleConfig, {"path": str(bundle)}).contents != config.contents
    with pytest.raises(UserError, match="is not the bundle it was"):
        build(MonaiBundleConfig, config.model_dump())
    with pytest.raises(UserError, match="there is no such folder"):
        make(tmp_path / "nowhere")
    (bundle / "configs" / "inference.json").write_text("[")
    with pytest.raises(UserError, match="inference.json cannot be read as JSON"):
        make(bundle)
    (bundle / "configs" / "inference.json").unlink()
    with pytest.raises(UserError, match="inference.json is missing"):
        make(bundle)


def test_every_setting_is_described():
    assert all(field.description for field in MonaiBundleConfig.model_fields.values())
