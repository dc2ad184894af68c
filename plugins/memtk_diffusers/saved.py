"""Loads the folder of a saved pipeline. It is untrusted: no pickle, no code, no network."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
from torch import nn

from memtk.config import load_json
from memtk.errors import UserError, did_you_mean, one_line
from memtk.files import folder_digest

SCHEDULERS = frozenset(
    {
        "DDIMScheduler",
        "DDPMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    }
)
"""Those whose noise can be drawn from one stream for each image, or that draw none."""

PIPELINES: dict[str, dict[str, frozenset[str]]] = {
    "DDPMPipeline": {"unet": frozenset({"UNet2DModel"}), "scheduler": SCHEDULERS},
    "DDIMPipeline": {"unet": frozenset({"UNet2DModel"}), "scheduler": SCHEDULERS},
    "PNDMPipeline": {"unet": frozenset({"UNet2DModel"}), "scheduler": SCHEDULERS},
    "ConsistencyModelPipeline": {
        "unet": frozenset({"UNet2DModel"}),
        "scheduler": frozenset({"CMStochasticIterativeScheduler"}),
    },
    "ScoreSdeVePipeline": {
        "unet": frozenset({"UNet2DModel"}),
        "scheduler": frozenset({"ScoreSdeVeScheduler"}),
    },
    "KarrasVePipeline": {
        "unet": frozenset({"UNet2DModel"}),
        "scheduler": frozenset({"KarrasVeScheduler"}),
    },
    "LDMPipeline": {
        "unet": frozenset({"UNet2DModel"}),
        "vqvae": frozenset({"VQModel", "AutoencoderKL"}),
        "scheduler": SCHEDULERS,
    },
    "DiTPipeline": {
        "transformer": frozenset({"DiTTransformer2DModel", "Transformer2DModel"}),
        "vae": frozenset({"AutoencoderKL"}),
        "scheduler": SCHEDULERS,
    },
}
"""The pipelines that need no prompt: the parts of each, and the classes that a part may be of."""

_OF_CLIP = {
    "vae": frozenset({"AutoencoderKL"}),
    "text_encoder": frozenset({"CLIPTextModel"}),
    "tokenizer": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
    "unet": frozenset({"UNet2DConditionModel"}),
    "scheduler": SCHEDULERS | {"LCMScheduler"},
}

PROMPTED: dict[str, dict[str, frozenset[str]]] = {
    "StableDiffusionPipeline": _OF_CLIP,
    "StableDiffusionXLPipeline": _OF_CLIP
    | {
        "text_encoder_2": frozenset({"CLIPTextModelWithProjection"}),
        "tokenizer_2": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
    },
    "LatentConsistencyModelPipeline": _OF_CLIP | {"scheduler": frozenset({"LCMScheduler"})},
}
"""The pipelines that make images of prompts, likewise; a checker of what they make is left out."""

CLASSES = {"Transformer2DModel": "DiTTransformer2DModel"}
"""Classes by the name under which older versions saved them."""

WEIGHTS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
"""Names of the files of weights, without what comes after a dot, by the library that wrote them."""

SUFFIXES = {".json", ".safetensors", ".txt"}
"""Of the files that a pipeline is loaded from."""


@dataclass(frozen=True)
class Saved:
    """A pipeline's parts.

    Args:
        kind: of `PIPELINES` or `PROMPTED`.
        networks: by the name of the part, in float32 and eval mode.
        scheduler: as it was saved.
        tokenizers: by the name of the part; none where there is no prompt.
    """

    kind: str
    networks: Mapping[str, nn.Module]
    scheduler: Any
    tokenizers: Mapping[str, Any]

    def pipeline(self) -> Any:
        """Return diffusers' own pipeline of these parts."""
        parts = {**self.networks, **self.tokenizers, "scheduler": self.scheduler}
        left_out: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
        left_out |= {"requires_safety_checker": False} if self.tokenizers else {}
        with _quiet_transformers(bool(self.tokenizers)):
            cls = getattr(diffusers, self.kind)
            taken = inspect.signature(cls.__init__).parameters
            made = cls(**parts, **{name: v for name, v in left_out.items() if name in taken})
        made.set_progress_bar_config(disable=True)
        return made


def contents_of(folder: Path) -> str:
    """Return 32 characters that stand for names and contents of a pipeline's files.

    Raises:
        UserError: if there is no such folder, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder. Give one that save_pretrained wrote.")
    return folder_digest(folder, SUFFIXES)


def open_saved(folder: Path, variant: str | None = None) -> Saved:
    """Load a pipeline that `save_pretrained` wrote.

    Only classes of `PIPELINES` and `PROMPTED` are made, whatever the files ask for.

    Args:
        folder: with a `model_index.json`.
        variant: of the weights' files ("fp16"), None for those without.

    Raises:
        UserError: for a folder, a pipeline or a part that cannot be used, naming it.
    """
    index = _read_json(folder / "model_index.json")
    kind = index.get("_class_name")
    known = PIPELINES | PROMPTED
    if not isinstance(kind, str) or kind not in known:
        raise UserError(
            f"{folder} is a {kind}, which memtk does not sample. Without a prompt there are "
            f"{', '.join(PIPELINES)}, with prompts {', '.join(PROMPTED)}."
            f"{did_you_mean(str(kind), known)}\n"
            "Or run it by a script of your own: generator command."
        )
    parts = {role: _class_of(folder, index, role, names) for role, names in known[kind].items()}
    scheduler = _scheduler(folder / "scheduler", parts.pop("scheduler"))
    words = {role: parts.pop(role) for role in list(parts) if role.startswith("tokenizer")}
    with _quiet_transformers(bool(words)):
        tokenizers = {role: _tokenizer(folder / role, name) for role, name in words.items()}
        networks = {role: _network(folder / role, name, variant) for role, name in parts.items()}
    return Saved(kind, networks, scheduler, tokenizers)


def _class_of(folder: Path, index: Mapping[str, Any], role: str, known: frozenset[str]) -> str:
    entry = index.get(role)
    if not isinstance(entry, list) or len(entry) != 2:
        raise UserError(f"{folder / 'model_index.json'} names no {role}")
    library, name = entry
    # Some of diffusers' own classes are saved as of "deprecated", a module of it.
    if library not in (_library(role), "deprecated") or name not in known:
        raise UserError(
            f"{folder / 'model_index.json'}: its {role} is {library}.{name}; memtk runs no code "
            f"that a folder names, only {_library(role)}' {', '.join(sorted(known))}"
        )
    return str(name)


def _library(role: str) -> str:
    """Return the library that a part comes from."""
    return "transformers" if role.startswith(("text_encoder", "tokenizer")) else "diffusers"


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            "a pipeline with prompts needs the package transformers: pip install transformers"
        ) from error
    return transformers


@contextmanager
def _quiet_transformers(needed: bool) -> Iterator[None]:
    """Keep warnings and bars of transformers from the terminal; what matters is checked here."""
    if not needed:
        yield
        return
    logging = _transformers().logging
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _tokenizer(folder: Path, name: str) -> Any:
    cls = getattr(_transformers(), name)
    try:
        return cls.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise UserError(f"{folder}: no {name} can be loaded ({one_line(error)[:300]})") from error


def _scheduler(folder: Path, name: str) -> Any:
    config = _read_json(folder / "scheduler_config.json")
    try:
        return getattr(diffusers, name).from_config(config)
    except Exception as error:  # whatever a damaged file makes of it
        raise UserError(f"{folder}: no {name} can be made of it ({one_line(error)})") from error


def _network(folder: Path, name: str, variant: str | None) -> nn.Module:
    config = _read_json(folder / "config.json")
    if "quantization_config" in config:
        raise UserError(f"{folder} is quantized, which memtk does not load: save it in float32")
    library = _library(folder.name)
    _check_files(folder, WEIGHTS[library], variant)
    home = _transformers() if library == "transformers" else diffusers
    cls = getattr(home, CLASSES.get(name, name))
    try:
        network, report = cls.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            variant=variant,
            output_loading_info=True,
        )
    except Exception as error:
        raise UserError(f"{folder}: no {name} can be loaded ({one_line(error)[:300]})") from error
    # Text encoders are often saved with buffers that later versions make anew.
    problems = ("missing_keys", "mismatched_keys", "unexpected_keys")
    for problem in problems[:2] if library == "transformers" else problems:
        if report.get(problem):
            raise UserError(
                f"{folder}: the weights do not fit its config.json: "
                f"{problem.replace('_', ' ')} {str(sorted(report[problem])[0])[:100]}"
            )
    made: nn.Module = network.float().eval().requires_grad_(False)
    return made


def _check_files(folder: Path, stem: str, variant: str | None) -> None:
    """Say what is there instead, where there is no file of weights that can be loaded.

    Raises:
        UserError: with the way out.
    """
    middle = f".{variant}" if variant else ""
    there = sorted(p.name for p in folder.iterdir() if p.name.startswith(stem))
    safe = [name for name in there if ".safetensors" in name]
    wanted = (f"{stem}{middle}.safetensors", f"{stem}.safetensors.index{middle}.json")
    if any(name in wanted for name in safe):
        return
    if safe:
        raise UserError(
            f"{folder} has no {wanted[0]}: there are {', '.join(safe[:3])}.\nThe word between the "
            "dots is the variant: --set diffusers-pipeline.variant=fp16, or none without one."
        )
    if there:
        raise UserError(
            f"{folder} has its weights in pickle files alone ({there[0]}), and loading those may "
            "run code.\nWhere you trust it, save the pipeline again as safetensors: "
            "pipeline.save_pretrained(FOLDER, safe_serialization=True)."
        )
    raise UserError(f"{folder} has no weights: {stem}{middle}.safetensors is missing")


def _read_json(path: Path) -> dict[str, Any]:
    return load_json(path, "a pipeline that save_pretrained wrote is needed")
