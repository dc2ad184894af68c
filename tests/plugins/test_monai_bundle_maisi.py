from __future__ import annotations

import json

import pytest
import torch
from monai.apps.generation.maisi.networks.autoencoderkl_maisi import AutoencoderKlMaisi
from monai.apps.generation.maisi.networks.diffusion_model_unet_maisi import DiffusionModelUNetMaisi
from monai.networks.schedulers import RFlowScheduler

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.testing import check_generator
from memtk_monai.bundle import MonaiBundle, MonaiBundleConfig

SPEC = ImageSpec((16, 16, 16), spacing=(1.5, 1.5, 2.0))
KEYS = {
    "autoencoder_key": "autoencoder_def",
    "diffusion_key": "diffusion_unet_def",
    "scheduler_key": "noise_scheduler",
}
CODER = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 1,
    "latent_channels": 4,
    "num_channels": [8, 8, 8],
    "num_res_blocks": [1, 1, 1],
    "norm_num_groups": 4,
    "norm_eps": 1e-06,
    "attention_levels": [False, False, False],
    "with_encoder_nonlocal_attn": False,
    "with_decoder_nonlocal_attn": False,
    "use_checkpointing": False,
    "use_convtranspose": False,
    "norm_float16": True,
    "num_splits": 1,
    "dim_split": 1,
}
UNET = {
    "spatial_dims": 3,
    "in_channels": 4,
    "out_channels": 4,
    "num_channels": [8, 8],
    "attention_levels": [False, True],
    "num_head_channels": [0, 8],
    "num_res_blocks": 1,
    "norm_num_groups": 4,
    "use_flash_attention": True,
    "include_top_region_index_input": False,
    "include_bottom_region_index_input": False,
    "include_spacing_input": True,
    "num_class_embeds": 128,
    "resblock_updown": True,
    "include_fc": True,
}
FLOW = {
    "num_train_timesteps": 1000,
    "use_discrete_timesteps": False,
    "use_timestep_transform": True,
    "sample_method": "logit-normal",
}
PLACE = "monai.apps.generation.maisi.networks"


def definitions(**unet):
    """As the bundle maisi_ct_generative of MONAI's model zoo is written, but small."""
    coder = {"_target_": f"{PLACE}.autoencoderkl_maisi.AutoencoderKlMaisi", **CODER}
    network = f"{PLACE}.diffusion_model_unet_maisi.DiffusionModelUNetMaisi"
    return {
        "imports": ["$import torch", "$import scripts"],
        "bundle_root": ".",
        "model_dir": "$@bundle_root + '/models'",
        "trained_autoencoder_path": "$@model_dir + '/autoencoder_epoch273.pt'",
        "trained_diffusion_path": "$@model_dir + '/diff_unet.pt'",
        "num_inference_steps": 3,
        "output_size": [16, 16, 16],
        "latent_shape": [4, *[f"$@output_size[{n}]//4" for n in range(3)]],
        "autoencoder_def": coder,
        "diffusion_unet_def": {"_target_": network, **UNET, **unet},
        "mask_generation_autoencoder_def": coder | {"in_channels": 8, "out_channels": 5},
        "mask_generation_diffusion_def": {
            "_target_": "monai.networks.nets.diffusion_model_unet.DiffusionModelUNet",
            "with_conditioning": True,
        },
        "scale_factor": "$@checkpoint_diffusion_unet['scale_factor'].to(@device)",
        "noise_scheduler": {"_target_": "scripts.rectified_flow.RFlowScheduler", **FLOW},
        "mask_generation_noise_scheduler": {
            "_target_": "monai.networks.schedulers.ddpm.DDPMScheduler"
        },
    }


def networks(**unet):
    torch.manual_seed(0)
    coder = AutoencoderKlMaisi(**CODER | {"norm_float16": False}).eval()
    made = DiffusionModelUNetMaisi(**UNET | unet | {"use_flash_attention": False}).eval()
    for weight in made.parameters():
        if not weight.any():  # MONAI starts them at zero, and the conditions count for nothing
            torch.nn.init.normal_(weight, std=0.1)
    return coder, made


@pytest.fixture
def written(tmp_path):
    def write(**unet):
        folder = tmp_path / "bundle"
        for name in ("configs", "models"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "configs" / "inference.json").write_text(json.dumps(definitions(**unet)))
        coder, network = networks(**unet)
        torch.save(coder.state_dict(), folder / "models" / "autoencoder_epoch273.pt")
        content = {"epoch": 3, "unet_state_dict": network.state_dict()}
        content["scale_factor"] = torch.tensor(1.25)
        torch.save(content, folder / "models" / "diff_unet.pt")
        return folder

    return write


def make(folder, **asked):
    given = {"path": str(folder), "label": 1} | KEYS | asked
    return MonaiBundle(build(MonaiBundleConfig, given, where="monai-bundle"), SPEC)


def theirs(spacing, label, regions=None, **unet):
    """What MONAI's own networks and scheduler make of the same noise, image by image."""
    coder, network = networks(**unet)
    told = {"class_labels": torch.tensor([label]), "spacing_tensor": 100 * torch.tensor([spacing])}
    for end, region in zip(("top", "bottom"), regions or (), strict=False):
        told[f"{end}_region_index_tensor"] = 100 * torch.eye(4)[None, region]
    rows = []
    for x in Noise(3, range(2)).normal(4, 4, 4, 4)[:, None]:
        flow = RFlowScheduler(**FLOW)
        flow.set_timesteps(3, input_img_size_numel=64)
        times = [*flow.timesteps.tolist(), 0.0]
        for now, then in zip(times, times[1:], strict=False):
            velocity = network(x, torch.tensor([now]), **told)
            end = flow.step(velocity, now, x)[1]  # where the line through x ends
            x = end + (x - end) * then / now
        rows.append(coder.decode_stage_2_outputs(x / 1.25))
    return (torch.cat(rows) * 2 - 1).clamp(-1, 1)


@torch.no_grad()
def test_a_bundle_like_maisi_is_sampled_as_monai_does(written):
    found = make(written()).sample(Noise(3, range(2)))
    torch.testing.assert_close(found, theirs((1.5, 1.5, 2.0), 1), atol=1e-3, rtol=0)
    regions = {"include_top_region_index_input": True, "include_bottom_region_index_input": True}
    found = make(written(**regions), regions=(1, 2)).sample(Noise(3, range(2)))
    expected = theirs((1.5, 1.5, 2.0), 1, (1, 2), **regions)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@torch.no_grad()
def test_the_class_and_the_size_of_voxels_change_the_image(written):
    folder = written()
    first, other = (make(folder, label=n).sample(Noise(3, [0])) for n in (1, 2))
    assert float((first - other).abs().max()) > 1e-4
    config = make(folder).config
    wide = MonaiBundle(config, ImageSpec((16, 16, 16), spacing=(3.0, 3.0, 3.0)))
    assert float((first - wide.sample(Noise(3, [0]))).abs().max()) > 1e-4


def test_it_keeps_the_rules_of_generators(written):
    check_generator(MonaiBundle, {"path": str(written()), "label": 1, **KEYS}, SPEC)


def test_what_a_bundle_leaves_open_is_asked_for_by_name(written):
    folder = written()
    for role, keys in (
        ("autoencoder", "autoencoder_def, mask_generation_autoencoder_def"),
        ("diffusion", "diffusion_unet_def, mask_generation_diffusion_def"),
        ("scheduler", "noise_scheduler, mask_generation_noise_scheduler"),
    ):
        with pytest.raises(UserError, match=rf"defines 2: {keys}.\n.*monai-bundle.{role}_key=KEY"):
            make(folder, **{f"{role}_key": None})
        with pytest.raises(UserError, match=f"has no {role} other, but {keys}"):
            make(folder, **{f"{role}_key": "other"})
    for asked, message in (
        ({"label": None}, "knows the classes 0 to 127: .*monai-bundle.label=NUMBER"),
        ({"label": 128}, "knows the classes 0 to 127"),
        ({"regions": (1, 2)}, "is told 0 regions of the body: leave out"),
        ({"regions": (1, 4)}, "two numbers from 0 to 3"),
        ({"diffusion_key": "mask_generation_diffusion_def"}, "cannot be made"),
    ):
        with pytest.raises(UserError, match=message):
            make(folder, **asked)
    with pytest.raises(UserError, match=r"is told 2 regions of the body: .*regions=1,2"):
        make(written(include_top_region_index_input=True, include_bottom_region_index_input=True))
