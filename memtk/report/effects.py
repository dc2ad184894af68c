"""What mitigations did, in sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memtk.errors import many
from memtk.results import MitigationEffect, Privacy, Result


def effects_in_words(result: Result) -> list[tuple[str, str]]:
    """Return each mitigation of a cell with what it did."""
    return [(e.mitigation, effect_sentence(e, result)) for e in result.mitigation_effects]


def effect_sentence(effect: MitigationEffect, result: Result) -> str:
    """Return what a mitigation did, in a sentence or two; of an older file the one that it has."""
    said = _SENTENCES[effect.did](effect, result) if effect.did else effect.text
    return f"{said} {effect.why}".strip()


def _settings(effect: MitigationEffect) -> str:
    said = "; ".join(f"{c.key} {_value(c.before)} became {_value(c.after)}" for c in effect.changes)
    return f"The generator's settings were changed: {said}."


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _patients(effect: MitigationEffect) -> str:
    return (
        f"{effect.kept} of {many(effect.of or 0, 'training image')} were used, of "
        f"{effect.kept_patients} of {many(effect.of_patients or 0, 'patient')}."
    )


def _augmented(effect: MitigationEffect) -> str:
    drawn = ""
    if effect.variants:
        drawn = "changed versions of each, as many as its setting `variants` says"
        if len(effect.variants) == 1:
            drawn = f"{effect.variants[0]} changed versions of each"
        drawn = f"; a phase with a frozen encoder drew from {drawn}"
    return f"The training images were changed anew each time they were shown{drawn}."


def _private(privacy: Privacy | None) -> str:
    if privacy is None:
        return "Trained with differential privacy."
    return (
        f"Trained with differential privacy: epsilon {privacy.epsilon:.3g} at delta "
        f"{privacy.delta:.2g} for each {privacy.unit}, over {privacy.steps:,} noisy steps."
    )


def _checkpoint(effect: MitigationEffect) -> str:
    steps = ", ".join(f"{step:,}" for step in effect.of_steps)
    return f"Of the checkpoints at the steps {steps}, step {effect.step or 0:,} was taken."


def _reevaluated(effect: MitigationEffect) -> str:
    fresh = ["fresh samples"] if effect.fresh_samples else []
    second = ["a second embedder, trained anew"] if effect.second_embedder else []
    by = " and ".join(fresh + second) or "the same eyes: read it as no test"
    return (
        "What was chosen by a score cannot be tested by that score again. The verdict rests on a "
        f"new judgement, with {by}."
    )


def _away(effect: MitigationEffect, noun: str) -> str:
    """Return how many images are gone, with their verb."""
    total = effect.of or 0
    gone = total - (effect.kept or 0)
    return f"{gone} of {many(total, noun)} {'was' if gone == 1 else 'were'}"


_SENTENCES: dict[str, Callable[[MitigationEffect, Result], str]] = {
    "settings": lambda effect, _: _settings(effect),
    "patients": lambda effect, _: _patients(effect),
    "thinned": lambda effect, _: f"{_away(effect, 'training image')} left out.",
    "augmented": lambda effect, _: _augmented(effect),
    "private": lambda _, result: _private(result.privacy),
    "taught": lambda effect, _: (
        f"A first generator was trained on the training images; of {many(effect.of or 0, 'image')} "
        f"that it made, {effect.kept} taught the one that is judged."
    ),
    "checkpoint": lambda effect, _: _checkpoint(effect),
    "released": lambda effect, _: (
        f"{effect.kept} of {many(effect.of or 0, 'synthetic image')} of the last checkpoint were "
        "let out."
    ),
    "screened": lambda effect, _: f"{_away(effect, 'synthetic image')} held back.",
    "nothing left": lambda *_: (
        "Nothing is left to release: the verdict is on the images as they were."
    ),
    "reevaluated": lambda effect, _: _reevaluated(effect),
}
"""By what a mitigation did."""
