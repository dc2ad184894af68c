"""The noising process as diffusers' schedulers define it, for training and for sampling."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)
from torch import Tensor, nn

from memtk_diffusers.config import Diffusers2dConfig

SAMPLERS: dict[str, Any] = {
    "ddpm": DDPMScheduler,
    "ddim": DDIMScheduler,
    "dpm-solver": DPMSolverMultistepScheduler,
    "euler": EulerDiscreteScheduler,
    "euler-ancestral": EulerAncestralDiscreteScheduler,
}


class Noising(nn.Module):
    """`x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps` with diffusers' courses of a_t (`alphas_cumprod`).

    Fewer sampling steps than T begin at T - 1, where the network has seen (almost) pure noise
    ("trailing" spacing: Lin et al., arXiv 2305.08891).
    """

    kept: Tensor

    def __init__(self, config: Diffusers2dConfig) -> None:
        super().__init__()
        self._config = config
        self._shared: dict[str, Any] = {
            "num_train_timesteps": config.timesteps,
            "beta_schedule": config.beta_schedule,
            "beta_start": config.beta_start,
            "beta_end": config.beta_end,
            "prediction_type": config.prediction,
        }
        course: Any = DDPMScheduler(**self._shared)
        # Share of the signal's variance that is left at t = 0, ..., T - 1.
        self.register_buffer("kept", course.alphas_cumprod.float(), persistent=False)

    def add_noise(self, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return x_t for each row's time `t` (B,)."""
        signal, noise = self._amplitudes(t, x)
        return signal * x + noise * eps

    def target(self, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return what the network is to predict: eps, x_0, or `sqrt(a_t) eps - sqrt(1-a_t) x_0`."""
        if self._config.prediction == "epsilon":
            return eps
        if self._config.prediction == "sample":
            return x
        signal, noise = self._amplitudes(t, x)
        return signal * eps - noise * x

    def noise_in(self, x: Tensor, predicted: Tensor, t: Tensor) -> Tensor:
        """Return the eps that a prediction finds in x_t, for each row's time `t` (B,)."""
        if self._config.prediction == "epsilon":
            return predicted
        signal, noise = self._amplitudes(t, x)
        if self._config.prediction == "sample":
            return (x - signal * predicted) / noise
        return signal * predicted + noise * x

    def sampler(self, reach: float) -> Any:
        """Return a scheduler that steps back.

        Args:
            reach: largest absolute value of what is clean, to which `clip` clips.
        """
        asked = self._shared | {"timestep_spacing": "trailing"}
        if self._config.sampler in ("ddpm", "ddim"):
            asked["clip_sample"] = self._config.clip == "range"
            asked["clip_sample_range"] = reach
        return SAMPLERS[self._config.sampler](**asked)

    def _amplitudes(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.kept[t].reshape(-1, *[1] * (x.dim() - 1))
        return kept.sqrt(), (1 - kept).sqrt()


def reverse(
    scheduler: Any,
    network: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    steps: int,
    streams: Sequence[torch.Generator],
    eta: float = 0.0,
) -> Tensor:
    """Turn noise `x` (B, L, h, w) into clean rows, one random stream for each row.

    Args:
        scheduler: of diffusers, not used before.
        network: `(x_t, t) -> prediction`, of the shape of x.
        x: N(0, 1).
        steps: of sampling.
        streams: B generators; row i takes its fresh noise from streams[i] alone.
        eta: share of the fresh noise of DDIM (Song et al., arXiv 2010.02502); for others unused.
    """
    scheduler.set_timesteps(steps, device=x.device)
    x = x * scheduler.init_noise_sigma
    taken = inspect.signature(scheduler.step).parameters
    extra: dict[str, Any] = {"generator": list(streams), "eta": eta}
    extra = {name: value for name, value in extra.items() if name in taken}
    for t in scheduler.timesteps:
        predicted = network(scheduler.scale_model_input(x, t), t).float()
        x = scheduler.step(predicted, t, x, **extra).prev_sample
    return x
