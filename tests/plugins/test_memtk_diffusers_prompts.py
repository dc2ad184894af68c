from __future__ import annotations

import json
import shutil
from itertools import zip_longest

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.config import build
from memtk.data.images import open_images
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.registry import open_registry
from memtk.results.validate import check_result
from memtk.testing import check_generator
from memtk_diffusers.pipeline import DiffusersPipeline, PipelineConfig, read_prompts

transformers = pytest.importorskip("transformers")

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PROMPTS = ("no finding", "pleural effusion, left", "cardiomegaly")


def tokenizer(folder):
    """A tokenizer of letters: what the real one needs is two files."""
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), ",</w>"]
    vocabulary = {word: n for n, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    files = (str(folder / "vocab.json"), str(folder / "merges.txt"))
    return transformers.CLIPTokenizer(*files, model_max_length=77)


def text_encoder(cls, **asked):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "vocab_size": 60, "eos_token_id": 54, "projection_dim": 16}
    return cls(transformers.CLIPTextConfig(**sizes | asked)).eval()


def unet(**asked):
    torch.manual_seed(0)
    sizes = {"sample_size": 8, "in_channels": 4, "out_channels": 4, "layers_per_block": 1}
    sizes |= {"block_out_channels": (8, 8), "norm_num_groups": 4, "attention_head_dim": 4}
    blocks = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    return UNet2DConditionModel(**sizes | blocks | {"cross_attention_dim": 16} | asked).eval()


def vae():
    torch.manual_seed(0)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        sample_size=16,
    ).eval()


def pipelines(folder):
    words, steps = tokenizer(folder / "words"), DDIMScheduler(20, clip_sample=False)
    with_pool = transformers.CLIPTextModelWithProjection
    parts = {"vae": vae(), "text_encoder": text_encoder(transformers.CLIPTextModel)}
    parts["tokenizer"] = words
    plain = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    xl = unet(
        cross_attention_dim=32,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
        transformer_layers_per_block=(1, 1),
    )
    return {
        "sd": StableDiffusionPipeline(**parts, unet=unet(), scheduler=steps, **plain),
        "xl": StableDiffusionXLPipeline(
            **parts,
            text_encoder_2=text_encoder(with_pool),
            tokenizer_2=words,
            unet=xl,
            scheduler=steps,
            add_watermarker=False,
        ),
        "lcm": LatentConsistencyModelPipeline(
            **parts, unet=unet(time_cond_proj_dim=8), scheduler=LCMScheduler(), **plain
        ),
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipelines")
    made = pipelines(folder)
    for name, pipeline in made.items():
        pipeline.set_progress_bar_config(disable=True)
        pipeline.save_pretrained(folder / name)
    rows = [f'"{text}",images/{n}.png' for n, text in enumerate(PROMPTS)]
    (folder / "prompts.csv").write_text("\n".join(["prompt,image", *rows]) + "\n")
    return folder, made


def make(saved, name, spec=None, **asked):
    given = {"path": str(saved[0] / name), "prompts": str(saved[0] / "prompts.csv")} | asked
    config = build(PipelineConfig, {"sampling_steps": 4}, given, where="diffusers-pipeline")
    return DiffusersPipeline(config, spec or ImageSpec((16, 16), 3))


@pytest.mark.parametrize(("name", "guidance"), [("sd", 7.5), ("xl", 5.0), ("lcm", 8.5)])
def test_images_are_those_of_the_pipelines_of_diffusers_prompt_by_prompt(saved, name, guidance):
    with torch.no_grad():
        found = make(saved, name).sample(Noise(3, range(4)))
    asked = {"num_inference_steps": 4, "height": 16, "width": 16, "output_type": "np"}
    streams = Noise(3, range(4)).generators()
    for row, stream, text in zip(found, streams, (*PROMPTS, PROMPTS[0]), strict=True):
        theirs = saved[1][name](text, generator=stream, guidance_scale=guidance, **asked)
        expected = torch.from_numpy(theirs.images[0]).movedim(-1, 0) * 2 - 1
        torch.testing.assert_close(row, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["sd", "xl", "lcm"])
def test_every_kind_keeps_the_rules_of_generators(saved, name):
    asked = {"path": str(saved[0] / name), "prompts": str(saved[0] / "prompts.csv")}
    check_generator(DiffusersPipeline, asked | {"sampling_steps": 2}, ImageSpec((16, 16), 3))


def test_the_prompt_changes_the_image_and_so_does_guidance(saved, tmp_path):
    (tmp_path / "other.csv").write_text("prompt\nnodule\n")
    with torch.no_grad():
        first = make(saved, "sd").sample(Noise(3, [0]))
        other = make(saved, "sd", prompts=str(tmp_path / "other.csv")).sample(Noise(3, [0]))
        freely = make(saved, "sd", guidance=1.0).sample(Noise(3, [0]))
    assert float((first - other).abs().max()) > 1e-3
    assert float((first - freely).abs().max()) > 1e-3


def test_prompts_are_needed_where_there_are_some_and_refused_where_not(saved, tmp_path):
    with pytest.raises(UserError, match="needs a file of prompts: --set diffusers-pipeline.promp"):
        make(saved, "sd", prompts=None)
    for text, message in (
        ("", "it has no rows"),
        ("text\nno finding\n", "its first line has text"),
        ("prompt\nno finding\n \n", "the prompt of row 2 is empty"),
        (b"prompt\n\xff\n", "is no CSV file in UTF-8"),
    ):
        path = tmp_path / "bad.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UserError, match=message):
            read_prompts(path)
    with pytest.raises(UserError, match="there is no file"):
        make(saved, "sd", prompts=str(tmp_path / "none.csv"))


def test_a_scheduler_that_moves_its_times_up_takes_no_more_steps_than_there_are(saved):
    assert float(make(saved, "sd", sampling_steps=19).sample(Noise(3, [0])).abs().max()) <= 1
    plan = make(saved, "sd", sampling_steps=None).dry_run()
    assert plan.endswith("sampled in 19 steps, of 3 prompts in turn")
    with pytest.raises(UserError, match="20 is more than the 19 steps"):
        make(saved, "sd", sampling_steps=20)


def test_what_transformers_says_of_a_pipeline_stays_out_of_the_terminal(saved, capfd):
    state = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
    make(saved, "xl").sample(Noise(3, [0]))
    assert capfd.readouterr() == ("", "")
    now = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
    assert now == state


def test_its_configuration_changes_with_the_prompts(saved, tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("prompt\nno finding\n")
    asked = {"path": str(saved[0] / "sd"), "prompts": str(path)}
    config = build(PipelineConfig, asked)
    assert build(PipelineConfig, config.model_dump()) == config
    path.write_text("prompt\neffusion\n")
    assert build(PipelineConfig, asked).contents != config.contents
    with pytest.raises(UserError, match="its files, or its prompts, have changed"):
        build(PipelineConfig, config.model_dump())


def test_a_text_encoder_that_a_folder_names_is_not_run(saved, tmp_path):
    folder = shutil.copytree(saved[0] / "sd", tmp_path / "sd")
    index = json.loads((folder / "model_index.json").read_text())
    for entry in (["my_code", "CLIPTextModel"], ["transformers", "T5EncoderModel"]):
        changed = json.dumps(index | {"text_encoder": entry})
        (folder / "model_index.json").write_text(changed)
        with pytest.raises(UserError, match=r"its text_encoder is .*; memtk runs no code"):
            make(saved, folder)
    (folder / "model_index.json").write_text(json.dumps(index))
    weights = folder / "text_encoder" / "model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match=r"pickle files alone \(model.bin\)"):
        make(saved, folder)
    (folder / "tokenizer" / "tokenizer_config.json").write_text("{")
    with pytest.raises(UserError, match="tokenizer: no CLIPTokenizer can be loaded"):
        make(saved, folder)


@pytest.fixture(scope="module")
def images(saved, tmp_path_factory):
    """A manifest whose training images are what the pipeline makes of its three prompts."""
    folder = tmp_path_factory.mktemp("images")
    made, rows = folder / "made", ["path,patient_id,split"]
    made.mkdir()
    rng = np.random.default_rng(0)
    for number in range(9):
        np.save(made / f"{number}.npy", rng.random((16, 16), np.float32))
        rows.append(f"made/{number}.npy,P{number},{'train' if number < 3 else 'val'}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    bench(saved, folder / "first", folder / "manifest.csv")
    [file] = (folder / "first/run/cells").glob("*/synthetic/*.h5")
    for number, x in enumerate(open_images(file).read(range(3))):
        np.save(made / f"{number}.npy", x[0].numpy())
    return folder / "manifest.csv"


def bench(saved, folder, images, names=()):
    """Bench three samples, of prompts that were written for the images of these names."""
    folder.mkdir()
    prompts = [f'"{text}",{name}' for text, name in zip_longest(PROMPTS, names, fillvalue="")]
    (folder / "prompts.csv").write_text("\n".join(["prompt,image", *prompts]) + "\n")
    sets = [f"data.source={images}", "bench.plants=0", "diffusers-pipeline.gray=true"]
    sets += [f"diffusers-pipeline.path={saved[0] / 'sd'}", "diffusers-pipeline.sampling_steps=2"]
    sets += [f"diffusers-pipeline.prompts={folder / 'prompts.csv'}", "bench.samples=3"]
    asked = {"generator": ("diffusers-pipeline",), "similarity": "ncc", "preset": "smoke"}
    registry = open_registry()
    plan = make_plan(read_recipe(registry, asked, sets=sets), registry)
    return run_bench(plan, registry, out=folder / "run", device="cpu").results[0]


@pytest.mark.parametrize(
    ("names", "own", "of", "chance"),
    [
        (("made/0.npy", "made/1.npy", "made/2.npy"), 3, 3, 1 / 3),
        (("made/1.npy", "made/2.npy", "made/0.npy"), 0, 3, 1 / 3),
        (("0.npy", "", "0.npy"), 1, 2, 1 / 2),
    ],
)
def test_it_is_counted_how_often_the_image_of_a_prompt_is_the_nearest(
    saved, images, tmp_path, names, own, of, chance
):
    result = bench(saved, tmp_path / "run", images, names)
    found = result.last.protocols["prompts"]["own_image"]
    assert (found.count, found.of) == (own, of)
    assert (found.value, found.null) == (pytest.approx(own / of), pytest.approx(chance))
    wrong = {each.name for each in check_result(result) if each.outcome == "failed"}
    assert wrong == {"names no path and no patient"}  # `memtk results add` hides where files lie
    assert "0.npy" not in json.dumps(result.model_dump(mode="json"))


def test_a_prompt_for_an_image_that_is_not_there_is_refused_and_without_any_nothing_is_counted(
    saved, images, tmp_path
):
    with pytest.raises(UserError, match=r"written for the image made/3.npy: none of the training"):
        bench(saved, tmp_path / "none", images, ("made/3.npy",))
    assert "prompts" not in bench(saved, tmp_path / "run", images).last.protocols


def test_a_bench_goes_through_the_prompts_and_its_result_names_none(saved, tmp_path):
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("prompt\nno finding\nan effusion\n")
    sets = ["data.source=phantom2d", "data.phantom.size=16", "data.phantom.training=6"]
    sets += ["data.phantom.validation=6", "bench.plants=0", "diffusers-pipeline.gray=true"]
    sets += [f"diffusers-pipeline.path={saved[0] / 'sd'}", "diffusers-pipeline.sampling_steps=2"]
    sets += [f"diffusers-pipeline.prompts={prompts}"]
    asked = {"generator": ("diffusers-pipeline",), "similarity": "ncc", "preset": "smoke"}
    registry = open_registry()
    plan = make_plan(read_recipe(registry, asked, sets=sets), registry)
    [result] = run_bench(plan, registry, out=tmp_path / "run", device="cpu").results
    assert result.checkpoints[-1].protocols["dar"]["n_copies"].of == 6
    assert json.dumps(result.model_dump(mode="json")).count("no finding") == 0
