"""A saved diffusers pipeline as a generator that comes trained, and a file of prompts for it."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import DDIMScheduler, PNDMScheduler
from pydantic import Field, model_validator
from torch import Tensor, nn

from memtk.data.sources import GRAY
from memtk.errors import UserError, many
from memtk.files import file_digest
from memtk.interfaces import ComponentConfig, Generator, ImageSpec, Phase
from memtk.noise import Noise
from memtk_diffusers.noising import reverse
from memtk_diffusers.saved import Saved, contents_of, open_saved


@dataclass(frozen=True)
class Prompts:
    """Prompts in the order of their file; sample i takes prompt i modulo their number.

    Args:
        texts: one at least.
        images: of each, the training image that it was written for, as the manifest of the
            training images has it; empty where the file does not say.
    """

    texts: tuple[str, ...]
    images: tuple[str, ...] = ()

    def of(self, sample: int) -> str:
        """Return the prompt of a sample."""
        return self.texts[sample % len(self.texts)]


def read_prompts(path: Path) -> Prompts:
    """Read a CSV file with a column `prompt`, and perhaps one `image`.

    Raises:
        UserError: for a file that is none, an empty prompt or no prompt at all, naming the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"cannot read the prompts {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file in UTF-8 ({error})") from error
    if not rows or "prompt" not in rows[0]:
        there = f"its first line has {', '.join(map(str, rows[0]))}" if rows else "it has no rows"
        raise UserError(f"{path} needs a first line with `prompt`, and prompts below; {there}")
    texts = tuple((row["prompt"] or "").strip() for row in rows)
    if "" in texts:
        raise UserError(f"{path}: the prompt of row {texts.index('') + 1} is empty")
    if "image" not in rows[0]:
        return Prompts(texts)
    return Prompts(texts, tuple((row["image"] or "").strip() for row in rows))


STEPS = {
    "DDPMPipeline": 1000,
    "ConsistencyModelPipeline": 1,
    "ScoreSdeVePipeline": 2000,
    "LatentConsistencyModelPipeline": 4,
}
"""Steps of sampling that a pipeline takes if nobody says how many; the others take 50."""

GUIDANCE = {
    "DiTPipeline": 4.0,
    "StableDiffusionPipeline": 7.5,
    "StableDiffusionXLPipeline": 5.0,
    "LatentConsistencyModelPipeline": 8.5,
}
"""Likewise the weight of what is asked for."""

CLASSES = {"DiTPipeline": "num_embeds_ada_norm", "ConsistencyModelPipeline": "num_class_embeds"}
"""Where a network that takes classes says how many it knows."""

OWN_STEPS = ("ScoreSdeVePipeline", "KarrasVePipeline")
"""Pipelines with steps of their own, some of which depend on a whole batch: run row by row."""


class PipelineConfig(ComponentConfig):
    """Where the pipeline lies, and how it is sampled."""

    path: str = Field(..., min_length=1, description="folder that save_pretrained wrote")
    variant: str | None = Field(
        None, pattern=r"^\w+$", description="of the files of weights, as fp16; none: plain files"
    )
    sampling_steps: int | None = Field(
        None, ge=1, description="steps of sampling; none: as many as the pipeline takes by itself"
    )
    eta: float = Field(0.0, ge=0, le=1, description="share of fresh noise in a step of ddim")
    gray: bool = Field(False, description="make gray images of a pipeline that makes colour")
    label: int | Literal["random"] = Field(
        "random",
        description="class of the images of a DiT or consistency model that knows classes; random: "
        "another one for each image",
    )
    prompts: str | None = Field(
        None,
        description="CSV file with a column prompt, for a pipeline that makes images of texts: "
        "sample i takes prompt i modulo their number. A column image may name the training image "
        "that a prompt was written for: it is counted how often that one is the nearest",
    )
    guidance: float | None = Field(
        None,
        ge=1,
        description="weight of a DiT's class or of the prompt, against none; 1: no such guidance; "
        "none: as the pipeline takes by itself",
    )
    contents: str = Field("", description="hash of the files; memtk fills it in")

    @model_validator(mode="before")
    @classmethod
    def _look_at_the_files(cls, values: Any) -> Any:
        """Let a run know its pipeline again, so that it is not gone on with on another one."""
        if not isinstance(values, dict) or not isinstance(values.get("path"), str):
            return values
        folder = Path(values["path"]).expanduser()
        found = contents_of(folder)
        if isinstance(values.get("prompts"), str):
            written = file_digest(Path(values["prompts"]).expanduser())
            found = hashlib.sha256(f"{found} {written}".encode()).hexdigest()[:32]
        if values.get("contents") not in (None, "", found):
            raise UserError(
                f"{folder} is not the pipeline it was: its files, or its prompts, have changed"
            )
        return {**values, "contents": found}


class DiffusersPipeline(Generator):
    """Samples a saved pipeline as diffusers does, each image from its own stream.

    All that need no prompt are taken; of those that do, Stable Diffusion, its XL version and
    latent consistency models, with a file of prompts. DiT and consistency models may know classes.
    The images are what the pipeline makes in [-1, 1]: it must have been trained on images that were
    scaled as the run's. Nothing is resized, and no checker of harmful content is run.
    """

    Config = PipelineConfig
    config: PipelineConfig

    def __init__(self, config: PipelineConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        folder = Path(config.path).expanduser()
        saved = open_saved(folder, config.variant)
        self.kind, self.networks = saved.kind, nn.ModuleDict(saved.networks)
        self._scheduler = _scheduler(saved)
        self._pipeline: Any = None
        if saved.tokenizers or self.kind in OWN_STEPS:
            self._pipeline = saved.pipeline()
        self._prompts = self._read_prompts(folder, bool(saved.tokenizers))
        self._check(folder)

    @property
    def _network(self) -> Any:
        return self.networks["transformer" if self.kind == "DiTPipeline" else "unet"]

    @property
    def _decoder(self) -> Any:
        """What makes images of latents; None where pixels are denoised."""
        decoders = [name for name in ("vae", "vqvae") if name in self.networks]
        return self.networks[decoders[0]] if decoders else None

    @property
    def noised_shape(self) -> tuple[int, int, int]:
        """Shape (L, h, w) of what the network denoises."""
        size = self._network.config.sample_size
        if size is None:  # a network of any size makes images of the run's
            size = [side // self._factor for side in self.spec.shape]
        height, width = (size, size) if isinstance(size, int) else size
        return int(self._network.config.in_channels), int(height), int(width)

    @property
    def made_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of the images of the pipeline itself."""
        channels, height, width = self.noised_shape
        if self._decoder is not None:
            channels = int(self._decoder.config.out_channels)
        return channels, height * self._factor, width * self._factor

    @property
    def _factor(self) -> int:
        """How many times larger the images are than what is denoised, along each side."""
        decoder = self._decoder
        return 1 if decoder is None else int(2 ** (len(decoder.config.block_out_channels) - 1))

    def phases(self) -> tuple[Phase, ...]:
        """Return none: it comes trained."""
        return ()

    def sample(self, noise: Noise) -> Tensor:
        """Return one image (C, H, W) for each stream."""
        if self._pipeline is not None and len(noise):
            return self._gray(self._of_pipeline(noise).float().clamp(-1, 1))
        labels = self._labels(noise)
        x = noise.normal(*self.noised_shape).to(next(self.parameters()).device)  # (B, L, h, w)
        if not len(x):
            return x.new_empty(0, self.spec.channels, *self.spec.shape)
        scheduler = type(self._scheduler).from_config(self._scheduler.config)
        predict = self._with_labels(labels.to(x.device)) if labels is not None else self._predict
        x = reverse(scheduler, predict, x, self._steps(), noise.generators(), self.config.eta)
        if self._decoder is not None:
            x = self._decoder.decode(x / self._decoder.config.scaling_factor).sample
        return self._gray(x.float().clamp(-1, 1))

    def dry_run(self) -> str:
        """Say what is sampled, for the plan of a dry run."""
        what = f"{self.config.path} is a {self.kind}, sampled in {many(self._steps(), 'step')}"
        if self._prompts is None:
            return what
        return f"{what}, of {many(len(self._prompts.texts), 'prompt')} in turn"

    def written_for(self, sample: int) -> str:
        """Return the training image that the prompt of a sample was written for; "" if none."""
        images = self._prompts.images if self._prompts else ()
        return images[sample % len(images)] if images else ""

    def _of_pipeline(self, noise: Noise) -> Tensor:
        """Return what diffusers' own pipeline makes, (B, C, H, W) in [-1, 1]."""
        asked: dict[str, Any] = {"num_inference_steps": self._steps(), "output_type": "np"}
        self._pipeline.scheduler = type(self._scheduler).from_config(self._scheduler.config)
        if self._prompts is None:
            streams = noise.generators()
            rows = [self._pipeline(generator=each, **asked).images[0] for each in streams]
            made = np.stack(rows)  # (B, H, W, C) in [0, 1]
        else:
            made = self._pipeline(
                prompt=[self._prompts.of(index) for index in noise.indices],
                generator=noise.generators(),
                guidance_scale=self._guidance,
                height=self.spec.shape[0],
                width=self.spec.shape[1],
                **asked,
            ).images
        return torch.from_numpy(made).movedim(-1, 1).to(noise.device) * 2 - 1

    def _gray(self, x: Tensor) -> Tensor:
        if self._to_gray:
            x = torch.einsum("c,bchw->bhw", x.new_tensor(GRAY), x)[:, None]  # (B, 1, H, W)
        return x

    @property
    def _to_gray(self) -> bool:
        return self.config.gray and self.made_shape[0] == 3 and self.spec.channels == 1

    def _steps(self) -> int:
        return self.config.sampling_steps or min(STEPS.get(self.kind, 50), self._most_steps)

    @property
    def _most_steps(self) -> int:
        config = self._scheduler.config  # an offset moves all times up by so many
        offset = getattr(config, "steps_offset", 0)
        return int(getattr(config, "num_train_timesteps", 1000)) - offset

    @property
    def _guidance(self) -> float:
        asked = self.config.guidance
        return GUIDANCE[self.kind] if asked is None else asked

    @property
    def _classes(self) -> int | None:
        """How many classes the network knows; None if it knows none."""
        found = getattr(self._network.config, CLASSES.get(self.kind, ""), None)
        return None if found is None else int(found)

    def _read_prompts(self, folder: Path, needed: bool) -> Prompts | None:
        if self.config.prompts is None:
            if needed:
                raise UserError(
                    f"{folder} is a {self.kind}, which needs a file of prompts: "
                    "--set diffusers-pipeline.prompts=FILE.csv"
                )
            return None
        if not needed:
            raise UserError(f"{folder} is a {self.kind}, which takes no prompts: leave them out")
        return read_prompts(Path(self.config.prompts).expanduser())

    def _predict(self, x: Tensor, t: Tensor) -> Tensor:
        predicted: Tensor = self._network(x, t).sample
        return predicted

    def _labels(self, noise: Noise) -> Tensor | None:
        """Return the class of each image (B,); None for a network without classes."""
        if self._classes is None:
            return None
        if self.config.label == "random":
            return noise.integers(self._classes)
        return torch.full((len(noise),), self.config.label)

    def _with_labels(self, labels: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the network with these classes, guided by what it predicts without any.

        `e = e_none + w (e_class - e_none)`: Ho and Salimans, arXiv 2207.12598.
        """
        if self.kind == "ConsistencyModelPipeline":
            return lambda x, t: self._network(x, t, class_labels=labels).sample
        weight, channels = self._guidance, self.noised_shape[0]
        none = torch.full_like(labels, int(self._network.config.num_embeds_ada_norm))

        def predict(x: Tensor, t: Tensor) -> Tensor:
            guided = weight > 1
            given = torch.cat([labels, none]) if guided else labels
            x = torch.cat([x, x]) if guided else x
            times = t.reshape(1).expand(len(x)).to(x.device)
            # A DiT predicts the spread of the noise in further channels, which are not used.
            eps: Tensor = self._network(x, timestep=times, class_labels=given).sample[:, :channels]
            if not guided:
                return eps
            of_class, of_none = eps.chunk(2)
            return of_none + weight * (of_class - of_none)

        return predict

    def _check(self, folder: Path) -> None:
        """Refuse what cannot be sampled, and images that are not the run's.

        Raises:
            UserError: with what the pipeline makes.
        """
        config = self._network.config
        classed = getattr(config, "num_class_embeds", None) and self._classes is None
        if classed or getattr(config, "class_embed_type", None):
            raise UserError(
                f"{folder}: its network needs a class for each image, which a {self.kind} has not"
            )
        classes = self._classes
        if isinstance(self.config.label, int) and classes and not 0 <= self.config.label < classes:
            raise UserError(
                f"label = {self.config.label}: {folder} knows the classes 0 to {classes - 1}"
            )
        most = self._most_steps
        if (self.config.sampling_steps or 1) > most:
            raise UserError(
                f"sampling_steps = {self.config.sampling_steps} is more than the "
                f"{many(most, 'step')} that {folder} can take"
            )
        channels, *shape = self.made_shape
        made, wanted = ("x".join(map(str, s)) for s in (shape, self.spec.shape))
        if made != wanted:
            raise UserError(
                f"{folder} makes images of {made}; the run's are {wanted}.\nNothing is resized: "
                f"crop or pad the run's images with --set data.shape={made.replace('x', ',')}, or "
                "take a pipeline of that size."
            )
        if channels != self.spec.channels and not self._to_gray:
            way = ""
            if (channels, self.spec.channels) == (3, 1):
                way = "\nMake them gray: --set diffusers-pipeline.gray=true"
            raise UserError(
                f"{folder} makes images of {many(channels, 'channel')}; the run's have "
                f"{self.spec.channels}.{way}"
            )


def _scheduler(saved: Saved) -> Any:
    if saved.kind == "DDIMPipeline":  # it steps as DDIM does, whatever was saved
        return DDIMScheduler.from_config(saved.scheduler.config)
    if saved.kind == "PNDMPipeline":
        return PNDMScheduler.from_config(saved.scheduler.config)
    return saved.scheduler
