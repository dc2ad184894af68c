"""What a conditional generator is told of each image: columns, and values as numbers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from memtk.errors import UserError, did_you_mean
from memtk.noise import Noise


@dataclass(frozen=True)
class Condition:
    """One column of the manifest that a generator is told, such as a view, a finding or an age.

    Args:
        name: of the column.
        words: all its values in order, by number where all are numbers; the code of a word is its
            place. Empty where the column holds numbers: then the code is (value - mean) / spread.
        mean: of the training images' numbers.
        spread: their standard deviation.

    >>> Condition("view", ("AP", "PA")).code("PA")
    1.0
    """

    name: str
    words: tuple[str, ...] = ()
    mean: float = 0.0
    spread: float = 1.0

    def code(self, text: str) -> float:
        """Return the number that stands for a value as the manifest has it.

        Raises:
            UserError: for a word or number that is none of this column's.
        """
        if self.words:
            if text not in self.words:
                raise UserError(
                    f"{self.name} = {text!r}: the real images have {', '.join(self.words)}."
                    f"{did_you_mean(text, self.words)}"
                )
            return float(self.words.index(text))
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(f"{self.name} = {text!r}: a number is needed")
        return (value - self.mean) / self.spread

    def text(self, code: float) -> str:
        """Return the value that a code stands for."""
        return self.words[round(code)] if self.words else f"{code * self.spread + self.mean:g}"


class ConditionClasses:
    """One class for each combination of words, for a class embedding; and one for no condition.

    Class `sum_k code_k prod_(l > k) |words_l|`; `none`, the last one, stands for "not told".

    Args:
        conditions: what the generator is told, `spec.conditions`.
        who: the generator, for messages.

    Raises:
        UserError: if a condition holds numbers.

    >>> classes = ConditionClasses((Condition("view", ("AP", "PA")), Condition("sex", ("F", "M"))))
    >>> classes(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 2).tolist(), classes(None, 1).tolist()
    ([2, 1], [4])
    """

    def __init__(self, conditions: tuple[Condition, ...], who: str = "this generator") -> None:
        self.conditions = conditions
        for each in conditions:
            if not each.words:
                raise UserError(
                    f"{who} takes conditions by class, and {each.name} holds numbers: write bands "
                    f"into the column (such as 40-59), or say --condition {each.name}:words, where "
                    "each value is a class of its own"
                )
        self.none = math.prod(len(each.words) for each in conditions) if conditions else 0

    @property
    def count(self) -> int:
        """All classes with `none`: the rows of the embedding; 0 without conditions."""
        return self.none + 1 if self.conditions else 0

    def __call__(self, condition: Tensor | None, rows: int) -> Tensor:
        """Return the class of each row, int64 (B,); `none` where no condition is given.

        Args:
            condition: codes, (B, K).
            rows: B.
        """
        if condition is None:
            return torch.full((rows,), self.none)
        found = torch.zeros(len(condition), dtype=torch.int64, device=condition.device)
        for k, each in enumerate(self.conditions):
            found = found * len(each.words) + condition[:, k].round().long()
        return found

    def dropped(self, classes: Tensor, noise: Noise, share: float) -> Tensor:
        """Return the classes (B,) with a random share replaced by `none`.

        So that one network learns to predict with and without a condition, which classifier-free
        guidance needs. Ho and Salimans, arXiv 2207.12598.
        """
        gone = noise.uniform(1)[:, 0].to(classes.device) < share
        return torch.where(gone, torch.full_like(classes, self.none), classes)


def check_guidance(scale: float, conditions: tuple[Condition, ...]) -> None:
    """Refuse guidance in a run without conditions.

    Raises:
        UserError: with the way out.
    """
    if scale != 1 and not conditions:
        raise UserError(
            f"guidance = {scale:g} presses a condition, and this run has none: name a column with "
            "--condition, or leave guidance at 1"
        )


def guided(
    predict: Callable[[Tensor, Tensor, Tensor], Tensor],
    x: Tensor,
    t: Tensor,
    classes: Tensor,
    none: int,
    scale: float,
) -> Tensor:
    """Return a prediction under classifier-free guidance: `p_none + scale (p_class - p_none)`.

    In terms of the weight w of Ho and Salimans (arXiv 2207.12598), scale = 1 + w. Linear in the
    noise, the velocity and the clean image alike, so whichever the network predicts may be given.
    With scale 1 the network is asked once.

    Args:
        predict: `(x, t, classes (B,)) -> prediction`, of the shape of x.
        x: noised rows, (B, ...).
        t: their times.
        classes: of `ConditionClasses`, (B,).
        none: the class of no condition.
        scale: 0 forgets the condition.
    """
    told = predict(x, t, classes)
    if scale == 1:
        return told
    without = predict(x, t, torch.full_like(classes, none))
    return without + scale * (told - without)


def takes_condition(function: Callable[..., Any]) -> bool:
    """Tell whether a `loss` or `sample` has an argument `condition`: then the core gives it one.

    This is the one place that decides it; what has none is called as ever.
    """
    return _takes(getattr(function, "__func__", function))


@lru_cache(maxsize=256)
def _takes(function: Callable[..., Any]) -> bool:
    try:
        return "condition" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some that are written in C tell nothing
        return False
