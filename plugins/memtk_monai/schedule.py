"""The noising process and its reversal, row by row."""

from __future__ import annotations

from typing import Any, Literal

import torch
from monai.networks.schedulers import DDPMScheduler, RFlowScheduler
from torch import Tensor, nn

from memtk.errors import UserError
from memtk.noise import Noise
from memtk_monai.config import LatentDiffusionConfig


class Schedule(nn.Module):
    """`x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps` with MONAI's courses of a_t (`alphas_cumprod`).

    MONAI's own schedulers are not used to step back: they draw the noise of a whole batch from one
    stream, and for fewer steps than T they step to another time than the one that comes next.

    Raises:
        UserError: if sampling is to take more steps than there are times.
    """

    kept: Tensor

    def __init__(self, config: LatentDiffusionConfig) -> None:
        super().__init__()
        _check_steps(config)
        ends: dict[str, Any] = {"beta_start": config.beta_start, "beta_end": config.beta_end}
        if config.beta_schedule == "cosine":
            ends = {}
        with torch.device("cpu"):  # MONAI reads numbers off it, which tensors on `meta` lack
            course = DDPMScheduler(config.timesteps, config.beta_schedule, **ends)
        kept = course.alphas_cumprod.float().to(torch.get_default_device())
        self.prediction: Literal["epsilon", "v_prediction"] = config.prediction
        # Share of the signal's variance that is left at t = 0, ..., T - 1.
        self.register_buffer("kept", kept, persistent=False)

    def draw(self, noise: Noise) -> Tensor:
        """Return a time (B,) for each row of a training step."""
        return noise.integers(len(self.kept))

    def add_noise(self, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return x_t for each row's time `t` (B,)."""
        signal, noise = self._amplitudes(t, x)
        return signal * x + noise * eps

    def target(self, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return what the network is to predict: eps, or `sqrt(a_t) eps - sqrt(1 - a_t) x_0`."""
        if self.prediction == "epsilon":
            return eps
        signal, noise = self._amplitudes(t, x)
        return signal * eps - noise * x

    def split(self, x: Tensor, predicted: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Take x_t apart: return the predicted x_0 and eps."""
        signal, noise = self._amplitudes(t, x)
        if self.prediction == "epsilon":
            return (x - noise * predicted) / signal, predicted
        return signal * x - noise * predicted, signal * predicted + noise * x

    def noise_in(self, x: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """Return the eps that made x_t of `x_0`."""
        signal, noise = self._amplitudes(t, x)
        return (x - signal * x_0) / noise

    def times(self, steps: int) -> list[int]:
        """Return `steps` times, evenly spaced from T - 1 down to 0."""
        return torch.linspace(len(self.kept) - 1, 0, steps).round().long().tolist()

    def back(self, x_0: Tensor, eps: Tensor, now: int, then: int, fresh: Tensor | None) -> Tensor:
        """Step from time `now` back to `then` < now; -1 is the clean image.

        Args:
            x_0: predicted clean rows.
            eps: predicted noise, consistent with `x_0`.
            now: the time of the rows.
            then: the time to reach.
            fresh: N(0, 1) noise for the ancestral step of DDPM (Ho et al., arXiv 2006.11239,
                equations 6 and 7), None for the deterministic one of DDIM (Song et al., arXiv
                2010.02502, equation 12).
        """
        a_now = self.kept[now]
        a_then = self.kept[then] if then >= 0 else torch.ones_like(a_now)
        variance = torch.zeros_like(a_now)
        if fresh is not None and then >= 0:
            variance = (1 - a_then) / (1 - a_now) * (1 - a_now / a_then)
        x = a_then.sqrt() * x_0 + (1 - a_then - variance).clamp(min=0).sqrt() * eps
        return x if fresh is None else x + variance.sqrt() * fresh

    def _amplitudes(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.kept[t].reshape(-1, *[1] * (x.dim() - 1))
        return kept.sqrt(), (1 - kept).sqrt()


class Flow(nn.Module):
    """`x_t = (1 - s) x_0 + s eps` with s = t / T: the rectified flow of MONAI's RFlowScheduler.

    The network predicts the velocity `x_0 - eps`, which is the same all along the line. Sampling
    follows it in straight steps (Euler) from t = T, pure noise, to 0. Where `Schedule` has a share
    of the variance, here both parts are weighted; divided by the length of the weights, x_t is the
    same mixture with `kept = (1 - s)^2 / ((1 - s)^2 + s^2)`.

    Reference: Liu et al., arXiv 2209.03003; times drawn by logit-normal: Esser et al., arXiv
    2403.03206.
    """

    kept: Tensor

    def __init__(self, config: LatentDiffusionConfig) -> None:
        super().__init__()
        _check_steps(config)
        self._logit_normal = config.flow_times == "logit-normal"
        self.steps = config.timesteps  # T
        s = torch.arange(config.timesteps) / config.timesteps
        self.register_buffer("kept", (1 - s) ** 2 / ((1 - s) ** 2 + s**2), persistent=False)

    def draw(self, noise: Noise) -> Tensor:
        """Return a time (B,) in [0, T) for each row of a training step."""
        s = noise.normal().sigmoid() if self._logit_normal else noise.uniform()
        return s * self.steps

    def add_noise(self, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return x_t for each row's time `t` (B,)."""
        return self._monai().add_noise(x, eps, t.to(x.device))

    def target(self, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return the velocity, at any time."""
        return x - eps

    def split(self, x: Tensor, predicted: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Take x_t apart: return the predicted x_0 and eps."""
        s = self._share(t, x)
        return x + s * predicted, x - (1 - s) * predicted

    def noise_in(self, x: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """Return the eps that made x_t of `x_0`; t > 0."""
        s = self._share(t, x)
        return (x - (1 - s) * x_0) / s

    def times(self, steps: int) -> list[int]:
        """Return `steps` times, evenly spaced from T down."""
        monai = self._monai()
        monai.set_timesteps(steps)
        return monai.timesteps.tolist()

    def back(self, x_0: Tensor, eps: Tensor, now: int, then: int, fresh: Tensor | None) -> Tensor:
        """Step along the line from time `now` to `then` < now; -1 is the clean image."""
        s = max(then, 0) / self.steps
        return (1 - s) * x_0 + s * eps

    def length(self, t: Tensor, x: Tensor) -> Tensor:
        """Return `sqrt((1 - s)^2 + s^2)`, shaped so that it multiplies x (B, ...)."""
        s = self._share(t, x)
        return ((1 - s) ** 2 + s**2).sqrt()

    def _monai(self) -> RFlowScheduler:
        # Made anew: it is a module that was never initialised, which no module can hold.
        return RFlowScheduler(self.steps)

    def _share(self, t: Tensor, x: Tensor) -> Tensor:
        return (t.to(x) / self.steps).reshape(-1, *[1] * (x.dim() - 1))


def _check_steps(config: LatentDiffusionConfig) -> None:
    if config.sampling_steps > config.timesteps:
        raise UserError(
            f"sampling_steps = {config.sampling_steps} is more than timesteps = "
            f"{config.timesteps}: take {config.timesteps} at most"
        )
