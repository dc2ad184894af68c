"""What can be done after a bench, as sentences with whole commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtk.config import merge
from memtk.errors import many
from memtk.report.provenance import repeat_command
from memtk.results import Answer, Result, answer_cell, control
from memtk.results.formats import share

WIDTHS = ("channels", "unet_channels", "base_channels", "unet_dim")
"""Settings of a generator that `smaller` divides."""

DEFAULTS = {
    "similarity": "pearson", "seed": 0, "canaries": 0, "embedder_preset": None, "batch_size": 16,
    "alpha": 0.05, "fdr": 0.1, "plants": 64, "exposure": "last",
}  # fmt: skip
"""Options of a bench that a command need not name, where they are as they are by default."""

OF_DEMO = ("demo", 5)
"""The preset and the checkpoints that it has by default; those of another depend on the suite."""

LONGER = 2
"""By how much a copy detector, or a generator, is trained longer."""


@dataclass(frozen=True)
class NextStep:
    """Something to do, and why; the whole command, an option a line, where one does it."""

    said: str
    command: str = ""


def cell_steps(
    result: Result,
    folder: Path,
    recipe: Mapping[str, Any],
    *,
    paths: bool,
    generators: Sequence[str] = (),
) -> list[NextStep]:
    """Return what can be done after the bench of a generator, the most helpful first.

    Args:
        paths: whether commands name the folder and the images, for a terminal; a page is opened
            in the folder, and names neither.
        generators: that its commands are for; none: its own.
    """
    if result.last.evidence.copies is None:
        place = shlex.quote(str(folder)) if paths else "."
        return [
            NextStep(
                "Find the verdict anew, by the rules of this version.",
                f"memtk results recompute {place} --evidence",
            )
        ]
    answer = answer_cell(result)
    if answer.kind == "none":
        return []
    bench = {
        **(recipe.get("bench") or {}),
        "generator": list(generators or [result.components.generator.name]),
        "mitigation": [used.name for used in result.components.mitigations],
        "compare": [],
    }

    trial = answer.kind == "inconclusive" and bench.get("preset") == "smoke"
    if trial and (recipe.get("suite") or {"likeness", "detector"} & set(answer.steps)):
        whole = {**recipe, "bench": {**recipe["bench"], "preset": "demo", "checkpoints": None}}
        few = "of too few patients" if recipe.get("suite") else "trained for too few steps"
        said = f"Bench with the preset demo: smoke is a trial, {few} to tell."
        return [NextStep(said, bench_command(whole, paths=paths))]
    others = _names_in(recipe.get("bench") or {}) - _names_in(bench)
    kept = {k: v for k, v in (recipe.get("settings") or {}).items() if k not in others}
    recipe = {**recipe, "bench": bench, "settings": kept}

    def again(**changes: Any) -> str:
        return bench_command({**recipe, "bench": {**bench, **changes}}, paths=paths)

    if answer.kind == "memorized":
        return _less(result, bench, again)
    return _more(result, answer, recipe, bench, again, paths)


def run_steps(
    results: Sequence[Result], folder: Path, recipe: Mapping[str, Any], *, paths: bool
) -> list[NextStep]:
    """Return what can be done after a bench, in one command for all generators it helps.

    Nothing is done about controls, unless there is nothing else. See `cell_steps`.
    """
    tested = [result for result in results if not control(result)] or results
    every = list(dict.fromkeys(result.components.generator.name for result in tested))
    for_whom: dict[NextStep, list[Result]] = {}
    for result in tested:
        for step in cell_steps(result, folder, recipe, paths=paths, generators=every):
            for_whom.setdefault(step, []).append(result)
    steps = []
    for alike, found in for_whom.items():
        said = alike.said
        names = list(dict.fromkeys(result.components.generator.name for result in found))
        made = cell_steps(found[0], folder, recipe, paths=paths, generators=names)
        command = next(step.command for step in made if step.said == said)
        cells = "" if len(found) == len(tested) else f"{', '.join(r.cell for r in found)}: "
        steps.append(NextStep(cells + said, command))
    return steps


def bench_command(recipe: Mapping[str, Any], *, paths: bool) -> str:
    """Return the command of a bench, without what is as it is by default."""
    bench = {
        key: value
        for key, value in (recipe.get("bench") or {}).items()
        if key not in DEFAULTS or value != DEFAULTS[key]
    }
    if (bench.get("preset"), bench.get("checkpoints")) == OF_DEMO:
        del bench["preset"], bench["checkpoints"]
    return repeat_command({**recipe, "bench": bench}, paths=paths)


def _names_in(bench: Mapping[str, Any]) -> set[str]:
    """Return the names of the generators and mitigations of a bench."""
    said = (entry for key in ("generator", "mitigation", "compare") for entry in bench.get(key, ()))
    return {name for entry in said for name in re.findall(r"[\w.-]+", str(entry))}


def _less(result: Result, bench: Mapping[str, Any], again: Callable[..., str]) -> list[NextStep]:
    """Return what makes a generator memorize less."""
    if not result.training.get("generator"):
        return []  # a control, or one that came trained
    steps, used = [], {part.name for part in result.components.mitigations}
    last = result.last.evidence.copy_rate
    earlier = [
        (c.evidence.copy_rate.estimate, c.step)
        for c in result.checkpoints
        if c.step < result.last.step and c.evidence.copy_rate
    ]
    alike = not result.last.evidence.by_readers  # else earlier ones were corrected in another way
    if last and earlier and alike and min(earlier)[0] < last.low and "early-stop" not in used:
        rate, step = min(earlier)
        steps.append(
            NextStep(
                f"Stop earlier: after {step:,} steps {share(rate)} of its images were copies.",
                again(
                    mitigation=[*bench["mitigation"], "early-stop"],
                    quality=bench.get("quality") or ["fid"],
                ),
            )
        )
    config = result.components.generator.config
    fits = {"augment": True, "smaller": any(config.get(width) for width in WIDTHS)}
    tried = [name for name, can in fits.items() if can and name not in used]
    if tried:
        steps.append(
            NextStep(
                "See what makes it memorize less, and what that costs.",
                again(compare=tried, quality=bench.get("quality") or ["fid"]),
            )
        )
    return steps


def _more(
    result: Result,
    answer: Answer,
    recipe: Mapping[str, Any],
    bench: Mapping[str, Any],
    again: Callable[..., str],
    paths: bool,
) -> list[NextStep]:
    """Return what would tell more."""
    steps, suite = [], recipe.get("suite")
    if "likeness" in answer.steps:
        step = _train_longer(result, recipe, paths)
        return [] if step is None else [step]
    if "patients" in answer.steps and not suite:
        count, now = answer.steps["patients"], result.data.counts["validation"].patients
        source = (recipe.get("data") or {}).get("source")
        if source is not None:
            place = shlex.quote(str(source)) if paths else "YOUR_DATA"
            steps.append(
                NextStep(
                    f"Give more validation patients than {now}"
                    f"{'' if count is None else f', about {count}'}; memtk check says beforehand "
                    "what so many can show.",
                    f"memtk check {place}",
                )
            )
    if "images" in answer.steps:
        count = answer.steps["images"] or 2 * result.last.n_synthetic
        steps.append(NextStep("Judge more synthetic images.", again(samples=count)))
    if "selftest" in answer.steps and not bench.get("plants", 1):
        steps.append(NextStep("Measure how many copies are noticed.", again(plants=64)))
    if "exposure" in answer.steps and bench.get("exposure") == "none":
        steps.append(
            NextStep("Test whether training patients are exposed.", again(exposure="last"))
        )
    if "sizes" in answer.steps:
        trained = many(result.used_training.patients, "training patient")
        steps.append(
            NextStep(f"Train on more patients: no bench of {trained} can rule out enough of them.")
        )
    embedder = result.components.embedder
    longer = embedder_steps(embedder.config) if embedder else None
    if "detector" in answer.steps and longer and not steps:
        steps.append(
            NextStep(
                "Train the copy detector longer, so that it sees more of the copies.",
                bench_command(with_longer_embedder(recipe, longer), paths=paths),
            )
        )
    if "patients" in answer.steps and suite and not steps:
        people = many(result.data.counts["validation"].patients, "validation patient")
        steps.append(
            NextStep(
                f"The suite's {people} are too few to tell: bench images of your own for that."
            )
        )
    return steps


def _train_longer(result: Result, recipe: Mapping[str, Any], paths: bool) -> NextStep | None:
    """Return how a generator is trained longer; None of one that is not trained here."""
    used = result.components.generator
    phases = {
        name: {"steps": LONGER * phase["steps"]}
        for name, phase in used.config.items()
        if isinstance(phase, Mapping) and isinstance(phase.get("steps"), int) and phase["steps"]
    }
    if not phases or not result.training.get("generator"):
        return None
    settings = dict(recipe.get("settings") or {})
    settings[used.name] = merge(settings.get(used.name) or {}, phases)
    return NextStep(
        "Train it longer, until its images look real, and judge those.",
        bench_command({**recipe, "settings": settings}, paths=paths),
    )


def embedder_steps(config: Mapping[str, Any]) -> int | None:
    """Return for how many steps an embedder is trained; None where it is not."""
    training = config.get("training")
    steps = training.get("steps") if isinstance(training, Mapping) else None
    return steps if isinstance(steps, int) and steps > 0 and not config.get("weights") else None


def with_longer_embedder(recipe: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Return a recipe whose embedder is trained longer."""
    settings = dict(recipe.get("settings") or {})
    own = dict(settings.get("embedder") or {})
    own["training"] = {**(own.get("training") or {}), "steps": LONGER * steps}
    return {**recipe, "settings": {**settings, "embedder": own}}
