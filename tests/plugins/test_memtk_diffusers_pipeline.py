from __future__ import annotations

import json
import shutil

import diffusers
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    CMStochasticIterativeScheduler,
    ConsistencyModelPipeline,
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    KarrasVePipeline,
    KarrasVeScheduler,
    LDMPipeline,
    PNDMPipeline,
    PNDMScheduler,
    ScoreSdeVePipeline,
    ScoreSdeVeScheduler,
    UNet2DModel,
    VQModel,
)

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.testing import check_generator
from memtk_diffusers.pipeline import DiffusersPipeline, PipelineConfig
from memtk_diffusers.saved import SCHEDULERS

LEVELS = {"block_out_channels": (8, 8), "norm_num_groups": 4}


def unet(channels, size, **asked):
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        **LEVELS,
        **asked,
    )


def vae(kind, channels, latents):
    torch.manual_seed(0)
    return kind(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=latents,
        scaling_factor=0.5,
        **LEVELS,
    )


def dit():
    torch.manual_seed(0)
    return DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        norm_num_groups=4,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=1000,
    ).eval()  # in training it forgets some of the classes


def pipelines():
    plain = DDIMScheduler(20, clip_sample=False, prediction_type="v_prediction")
    return {
        "ddpm": DDPMPipeline(unet(1, 16), DDPMScheduler(20)),
        "ddim": DDIMPipeline(unet(3, (16, 8)), DDIMScheduler(20)),
        "ldm": LDMPipeline(vae(VQModel, 1, 3), unet(3, 8), plain),
        "pndm": PNDMPipeline(unet(1, 16), PNDMScheduler(20)),
        "cm": ConsistencyModelPipeline(unet(1, 16), CMStochasticIterativeScheduler()),
        "cm-classes": ConsistencyModelPipeline(
            unet(1, 16, num_class_embeds=5), CMStochasticIterativeScheduler()
        ),
        "karras": KarrasVePipeline(unet(3, 16), KarrasVeScheduler(s_churn=80.0, s_min=0.0)),
        "sde": ScoreSdeVePipeline(unet(3, 16), ScoreSdeVeScheduler(20)),
        "dit": DiTPipeline(dit(), vae(AutoencoderKL, 1, 4), plain),
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipelines")
    made = pipelines()
    for name, pipeline in made.items():
        pipeline.set_progress_bar_config(disable=True)
        pipeline.save_pretrained(folder / name)
    return folder, made


@pytest.fixture
def copied(saved, tmp_path):
    """A folder of a ddpm pipeline that a test may damage."""
    return shutil.copytree(saved[0] / "ddpm", tmp_path / "pipe")


def make(path, spec=None, **asked):
    config = build(PipelineConfig, {"path": str(path)}, asked, where="diffusers-pipeline")
    return DiffusersPipeline(config, spec or ImageSpec((16, 16)))


def theirs(pipeline, **asked):
    """What diffusers' own pipeline makes with the same streams, in [-1, 1]."""
    made = pipeline(generator=Noise(3, range(3)).generators(), output_type="np", **asked).images
    return torch.from_numpy(made).permute(0, 3, 1, 2) * 2 - 1


@torch.no_grad()
def ours(model):
    return model.sample(Noise(3, range(3)))


def test_pixels_are_those_of_the_pipelines_of_diffusers(saved):
    folder, made = saved
    found = ours(make(folder / "ddpm"))
    expected = theirs(made["ddpm"], batch_size=3, num_inference_steps=20)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    found = ours(make(folder / "ddim", ImageSpec((16, 8), 3), sampling_steps=5, eta=0.5))
    expected = theirs(made["ddim"], batch_size=3, num_inference_steps=5, eta=0.5)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_decoded_latents_are_those_of_the_pipelines_of_diffusers(saved):
    folder, made = saved
    found = ours(make(folder / "ldm", sampling_steps=5))
    expected = theirs(made["ldm"], batch_size=3, num_inference_steps=5)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    for guidance in (1.0, 4.0):
        found = ours(make(folder / "dit", sampling_steps=5, label=7, guidance=guidance))
        expected = theirs(
            made["dit"], class_labels=[7] * 3, num_inference_steps=5, guidance_scale=guidance
        )
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("steps", [1, 3])
def test_images_of_a_consistency_model_are_those_of_diffusers(saved, steps):
    folder, made = saved
    found = ours(make(folder / "cm", sampling_steps=steps))
    expected = theirs(made["cm"], batch_size=3, num_inference_steps=steps)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    found = ours(make(folder / "cm-classes", sampling_steps=steps, label=2))
    asked = {"class_labels": [2, 2, 2], "num_inference_steps": steps}
    expected = theirs(made["cm-classes"], batch_size=3, **asked)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    with pytest.raises(UserError, match="label = 5: .* knows the classes 0 to 4"):
        make(folder / "cm-classes", label=5)


def test_a_consistency_model_takes_one_step_unless_it_is_asked(saved):
    assert "in 1 step" in make(saved[0] / "cm").dry_run()


@pytest.mark.parametrize("name", ["pndm", "karras", "sde"])
def test_images_of_older_pipelines_are_those_of_diffusers(saved, name):
    folder, made = saved
    spec = ImageSpec((16, 16), 1 if name == "pndm" else 3)
    found = ours(make(folder / name, spec, sampling_steps=6))
    streams = Noise(3, range(3)).generators()
    for row, stream in zip(found, streams, strict=True):
        asked = {"num_inference_steps": 6, "output_type": "np"}
        theirs = made[name](batch_size=1, generator=stream, **asked).images[0]
        expected = torch.from_numpy(theirs).movedim(-1, 0) * 2 - 1
        torch.testing.assert_close(row, expected, atol=1e-3, rtol=0)


KINDS = ["ddpm", "ddim", "ldm", "dit", "pndm", "cm", "cm-classes", "karras", "sde"]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_keeps_the_rules_of_generators(saved, name):
    channels = 3 if name in ("ddim", "karras", "sde") else 1
    spec = ImageSpec((16, 8 if name == "ddim" else 16), channels)
    asked = {"path": str(saved[0] / name), "sampling_steps": 4}
    check_generator(DiffusersPipeline, asked, spec)


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_every_scheduler_draws_a_row_from_its_own_stream(saved, copied, scheduler):
    getattr(diffusers, scheduler)(num_train_timesteps=20).save_pretrained(copied / "scheduler")
    index = json.loads((copied / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", scheduler]
    (copied / "model_index.json").write_text(json.dumps(index))
    model = make(copied, sampling_steps=6)
    with torch.no_grad():
        together = model.sample(Noise(1, range(4)))
        alone = model.sample(Noise(1, [2]))
        again = model.sample(Noise(1, range(4)))
    torch.testing.assert_close(alone[0], together[2], atol=1e-4, rtol=0)
    assert torch.equal(together, again)
    assert float((together[0] - together[1]).abs().max()) > 1e-3


def test_it_comes_trained_and_nothing_of_it_moves(saved):
    model = make(saved[0] / "ldm")
    assert model.phases() == ()
    assert not any(p.requires_grad for p in model.parameters())
    names = list(model.state_dict())
    assert len(names) == len({p.data_ptr() for p in model.state_dict().values()})


def test_the_class_of_an_image_comes_from_its_own_stream(saved):
    model = make(saved[0] / "dit")
    labels = model._labels(Noise(0, range(6)))
    assert len(set(labels.tolist())) > 1
    assert model._labels(Noise(0, [4])).tolist() == [labels[4].item()]
    with pytest.raises(UserError, match="label = 1000: .* knows the classes 0 to 999"):
        make(saved[0] / "dit", label=1000)


def test_images_of_another_size_are_refused_with_what_the_pipeline_makes(saved):
    with pytest.raises(UserError, match=r"makes images of 16x16; the run's are 32x32(.|\n)*=16,16"):
        make(saved[0] / "ddpm", ImageSpec((32, 32)))
    with pytest.raises(UserError, match="makes images of 16x16; the run's are 16x16x16"):
        make(saved[0] / "ldm", ImageSpec((16, 16, 16)))


def test_a_network_without_a_size_takes_that_of_the_images(copied):
    config = copied / "unet/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": None}))
    for size in ((16, 16), (24, 16)):
        assert ours(make(copied, ImageSpec(size))).shape == (3, 1, *size)


def test_colour_becomes_gray_only_if_asked(saved):
    spec = ImageSpec((16, 8))
    with pytest.raises(UserError, match=r"3 channels; the run's have 1.\n.*pipeline.gray=true"):
        make(saved[0] / "ddim", spec)
    gray = ours(make(saved[0] / "ddim", spec, gray=True, sampling_steps=4))
    color = ours(make(saved[0] / "ddim", ImageSpec((16, 8), 3), sampling_steps=4))
    expected = 0.2126 * color[:, :1] + 0.7152 * color[:, 1:2] + 0.0722 * color[:, 2:]
    torch.testing.assert_close(gray, expected)
    with pytest.raises(UserError, match="makes images of 1 channel; the run's have 3"):
        make(saved[0] / "ddpm", ImageSpec((16, 16), 3), gray=True)


def test_weights_in_pickle_files_alone_are_refused_with_the_way_out(copied):
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    make(copied)
    weights.unlink()
    with pytest.raises(UserError, match=r"pickle files alone(.|\n)*safe_serialization=True"):
        make(copied)
    weights.with_suffix(".bin").unlink()
    with pytest.raises(UserError, match="has no weights: diffusion_pytorch_model.safetensors"):
        make(copied)


def test_a_variant_of_the_weights_is_taken_if_it_is_named(saved, tmp_path):
    saved[1]["ddpm"].save_pretrained(tmp_path / "half", variant="fp16")
    with pytest.raises(UserError, match=r"no diffusion_pytorch_model.safetensors: (.|\n)*variant"):
        make(tmp_path / "half")
    assert next(make(tmp_path / "half", variant="fp16").parameters()).dtype == torch.float32


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "_class_name",
            "FluxPipeline",
            "is a FluxPipeline, which memtk does not sample. Without a prompt(.|\\n)*command",
        ),
        ("_class_name", ["pipeline", "Mine"], "which memtk does not sample"),
        ("_class_name", "DDPMPipelin", "Did you mean 'DDPMPipeline'?"),
        ("unet", ["os", "system"], "its unet is os.system; memtk runs no code that a folder names"),
        ("unet", ["diffusers", "UNet2DConditionModel"], "only diffusers' UNet2DModel"),
        ("scheduler", ["diffusers", "DPMSolverSDEScheduler"], "its scheduler is diffusers.DPMSolv"),
        ("scheduler", None, "names no scheduler"),
    ],
)
def test_what_is_not_known_is_never_made(copied, key, value, message):
    index = json.loads((copied / "model_index.json").read_text())
    (copied / "model_index.json").write_text(json.dumps(index | {key: value}))
    with pytest.raises(UserError, match=message):
        make(copied)


def test_damaged_files_are_named(copied, tmp_path):
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        make(tmp_path / "nowhere")
    with pytest.raises(UserError, match="model_index.json is missing"):
        make(tmp_path)
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="unet: no UNet2DModel can be loaded"):
        make(copied)
    weights.write_bytes(whole)
    config = json.loads((copied / "unet" / "config.json").read_text())
    (copied / "unet" / "config.json").write_text(json.dumps(config | {"layers_per_block": 2}))
    with pytest.raises(UserError, match="the weights do not fit its config.json: missing keys"):
        make(copied)
    (copied / "unet" / "config.json").write_text(json.dumps(config | {"quantization_config": {}}))
    with pytest.raises(UserError, match="is quantized"):
        make(copied)
    (copied / "unet" / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json cannot be read as JSON"):
        make(copied)


def test_a_network_that_needs_classes_is_refused(tmp_path):
    pipeline = DDPMPipeline(unet(1, 16, num_class_embeds=3), DDPMScheduler(20))
    pipeline.save_pretrained(tmp_path / "classes")
    with pytest.raises(UserError, match="needs a class for each image"):
        make(tmp_path / "classes")


def test_more_steps_than_it_was_trained_with_are_refused(saved):
    with pytest.raises(UserError, match="sampling_steps = 21 is more than the 20 steps"):
        make(saved[0] / "ddpm", sampling_steps=21)


def test_its_configuration_changes_with_its_files(copied):
    config = build(PipelineConfig, {"path": str(copied)})
    assert build(PipelineConfig, config.model_dump()) == config
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert build(PipelineConfig, {"path": str(copied)}).contents != config.contents
    with pytest.raises(UserError, match="is not the pipeline it was"):
        build(PipelineConfig, config.model_dump())


def test_a_transformer_that_an_older_version_saved_is_loaded(saved, tmp_path):
    folder = shutil.copytree(saved[0] / "dit", tmp_path / "old")
    index = json.loads((folder / "model_index.json").read_text())
    index["transformer"] = ["diffusers", "Transformer2DModel"]
    (folder / "model_index.json").write_text(json.dumps(index))
    path = folder / "transformer" / "config.json"
    path.write_text(path.read_text().replace("DiTTransformer2DModel", "Transformer2DModel"))
    asked = {"sampling_steps": 3, "label": 1}
    assert torch.equal(ours(make(folder, **asked)), ours(make(saved[0] / "dit", **asked)))
