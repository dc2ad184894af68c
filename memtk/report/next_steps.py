"""What can be done next: the steps that an answer names, as sentences with whole commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtk.data.config import ARRAY
from memtk.memorization import withhold
from memtk.report.provenance import repeat_audit, repeat_command
from memtk.results import (
    Answer,
    Audit,
    Result,
    answer_audit,
    answer_cell,
    has_arrays,
    read_arrays,
    read_run_file,
)
from memtk.results.answer import truth
from memtk.results.case import Step
from memtk.results.formats import many, share

WIDTHS = ("channels", "unet_channels", "base_channels", "unet_dim")
"""Settings of a generator that `smaller` divides."""

DEFAULTS = {
    "canaries": 0, "embedder_preset": None, "batch_size": 16, "alpha": 0.05, "fdr": 0.1,
    "plants": 64, "exposure": "last",
}  # fmt: skip
"""Options of a bench that a command need not name, where they are as they are by default."""

LONGER = 2
"""By how much a copy detector is trained longer."""

Found = tuple[str, str]


@dataclass(frozen=True)
class NextStep:
    """Something to do.

    Args:
        said: what, and why.
        command: the whole command line, one option a line; empty where no command does it.
    """

    said: str
    command: str = ""


def audit_steps(audit: Audit, folder: Path, *, paths: bool) -> list[NextStep]:
    """Return what can be done after an audit, the most helpful first.

    Args:
        folder: of the run.
        paths: whether commands name the folder and the images, for a terminal; a page is opened
            in the folder, and names neither.
    """
    answer = answer_audit(audit)
    asked = _Asked(audit, answer, folder, read_run_file(folder).recipe, paths)
    hopeless = audit.screened is not None and audit.selftest is None
    wanted: Mapping[Step, int | None] = {"retrain": None} if hopeless else answer.steps
    made = [asked.step(step, count) for step, count in wanted.items()]
    return [step for step in made if step is not None]


@dataclass(frozen=True)
class _Asked:
    """An audit as it was asked for; returns steps with the commands that go on from it."""

    audit: Audit
    answer: Answer
    folder: Path
    recipe: Mapping[str, Any]
    paths: bool

    def step(self, step: Step, count: int | None) -> NextStep | None:
        """Return a step with its command; None where it does not apply to this audit."""
        ways: dict[Step, Callable[[int | None], NextStep | None]] = {
            "release": self._release,
            "second design": self._second_design,
            "exposure": self._exposure,
            "selftest": self._selftest,
            "policy": lambda _: NextStep("Apply the policy anew.", self._again()),
            "check": self._check,
            "patients": self._patients,
            "images": lambda _: NextStep(
                f"Audit more synthetic images than {self.audit.counts['synthetic'].images}."
            ),
            "plants": lambda count: NextStep(
                f"Plant {count} copies, so that the share that is noticed is known better.",
                self._again(plants=count) if self._named else "",
            ),
            "detector": self._detector,
            "retrain": lambda _: NextStep(
                "Or have the generator trained anew so that it copies less (stop earlier, a "
                "smaller model, more patients), and audit its new images."
            ),
        }
        return ways[step](count)

    @property
    def _named(self) -> bool:
        """Whether the images can be named in a command: files, not arrays of a Python session."""
        data = self.recipe.get("data") or {}
        sources = [str(v) for k, v in data.items() if k.endswith("source") and v is not None]
        return self.audit.data is not None and not any(s.startswith(ARRAY) for s in sources)

    @property
    def _by_images(self) -> bool:
        """Whether the images themselves were compared."""
        return self.audit.data is not None and self.audit.embedder is None

    def _again(self, command: str = "audit", **changes: Any) -> str:
        changed = {**(self.recipe.get("audit") or {}), **changes}
        recipe = {**self.recipe, "audit": changed}
        if changes.get("similarity") and not changes.get("embedder"):
            recipe["settings"] = {}  # were the embedder's
        return repeat_audit(recipe, self.audit.policy, paths=self.paths, command=command)

    def _other(self) -> str:
        """Return the option of a second audit by a detector of another design."""
        if self._by_images and self.audit.data is not None:
            return f"--second-embedder ntxent{len(self.audit.data.spec.shape)}d"
        return "--second-similarity ncc"

    def _release(self, _: int | None) -> NextStep | None:
        if not self._named:
            return NextStep("Hold the images back that copies.csv in the run folder names.")
        path = self.folder / "arrays.h5"
        if self.audit.screened is not None or not has_arrays(path, "audit"):
            return None
        gone = withhold(read_arrays(path, "audit"))
        kept, total = int((~gone).sum()), len(gone)
        if kept == total:
            return None
        if not kept:
            return NextStep(
                "Every image would be held back, so there is none to release: train the generator "
                "anew so that it copies less, and audit its images."
            )
        policy = "" if self.audit.policy.is_default else " --policy YOUR_POLICY"
        place = shlex.quote(str(self.folder)) if self.paths else "."
        return NextStep(
            f"Hold {many(total - kept, 'suspicious image')} back, and have the other {kept} judged "
            "by a detector of another kind.",
            f"memtk release {place} {self._other()}{policy}",
        )

    def _second_design(self, _: int | None) -> NextStep | None:
        first = self.folder.absolute().parent.parent
        if self.folder.absolute().parent.name != "release" or not (first / "audit.json").exists():
            return None
        place = shlex.quote(str(first)) if self.paths else "../.."
        out = shlex.quote(str(first / "release-other")) if self.paths else "../../release-other"
        return NextStep(
            "Have what is left judged by a detector of another kind.",
            f"memtk release {place} {self._other()} --out {out}",
        )

    def _exposure(self, _: int | None) -> NextStep | None:
        if self._named:
            return NextStep(
                "Test whether training patients are exposed.", self._again(exposure=True)
            )
        return NextStep(
            "Give embeddings of an embedder that saw the synthetic images alone too "
            "(--exposure-embeddings)."
        )

    def _selftest(self, _: int | None) -> NextStep | None:
        if self._named:
            return NextStep("Measure how many copies are noticed.", self._again(plants=100))
        return NextStep(
            "Embed copies of training images along: arrays planted and planted_source in the file."
        )

    def _check(self, _: int | None) -> NextStep | None:
        said = "Take validation patients from where the training patients come from"
        if self._named:
            return NextStep(f"{said}; this says how the two differ.", self._again("check"))
        return NextStep(f"{said}.")

    def _patients(self, count: int | None) -> NextStep | None:
        now = self.audit.counts["validation"].patients
        said = f"Add validation patients: about {count} in place of {now}"
        if count is None:
            said = f"Add validation patients to the {now} there are"
        if self._named:
            said += "; this says beforehand what an audit of so many can show."
            return NextStep(said, self._again("check"))
        return NextStep(f"{said}.")

    def _detector(self, _: int | None) -> NextStep | None:
        if not self._named:
            return NextStep("Take another embedder.") if self.audit.data is None else None
        if self._by_images:
            command = self._again(similarity="pearson")
            return NextStep("Compare by an embedder in place of the images themselves.", command)
        if self.recipe["audit"].get("weights"):
            return NextStep(
                "Train the embedder on these images in place of the weights that were given.",
                self._again(weights=None),
            )
        steps = _steps_of(self.audit.embedder.config if self.audit.embedder else {})
        if steps is None:
            return None
        recipe = _longer(self.recipe, steps)
        command = repeat_audit(recipe, self.audit.policy, paths=self.paths)
        return NextStep("Train the embedder longer, so that it sees more of the copies.", command)


def cell_steps(
    result: Result, folder: Path, recipe: Mapping[str, Any], *, paths: bool
) -> list[NextStep]:
    """Return what can be done after the bench of a generator, the most helpful first.

    Args:
        folder: of the run.
        recipe: of the run.
        paths: see `audit_steps`.
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
        "generator": [result.components.generator.name],
        "mitigation": [used.name for used in result.components.mitigations],
        "compare": [],
    }

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
    """Return what can be done after a bench, once for all generators; see `cell_steps`.

    Nothing is done about controls, unless there is nothing else.
    """
    tested = [r for r in results if not truth(r.components.generator)] or results
    found: dict[str, NextStep] = {}
    for result in tested:
        for step in cell_steps(result, folder, recipe, paths=paths):
            found.setdefault(step.said, step)
    return list(found.values())


def bench_command(recipe: Mapping[str, Any], *, paths: bool) -> str:
    """Return the command of a bench, without what is as it is by default."""
    bench = {
        key: value
        for key, value in (recipe.get("bench") or {}).items()
        if key not in DEFAULTS or value != DEFAULTS[key]
    }
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
    if suite and bench.get("preset") == "smoke":
        said = "The preset smoke is a trial of seconds; the next one has more patients."
        return [NextStep(said, again(preset="demo"))]
    if "patients" in answer.steps and not suite:
        count, now = answer.steps["patients"], result.data.counts["validation"].patients
        source = (recipe.get("data") or {}).get("source")
        if source is not None:
            place = shlex.quote(str(source)) if paths else "YOUR_DATA"
            steps.append(
                NextStep(
                    f"Give more validation patients than {now}"
                    f"{'' if count is None else f', about {count}'}; this says beforehand what so "
                    "many can show.",
                    f"memtk check {place}",
                )
            )
    if "images" in answer.steps:
        count = 2 * result.last.n_synthetic
        steps.append(NextStep("Judge more synthetic images.", again(samples=count)))
    if "selftest" in answer.steps and not bench.get("plants", 1):
        steps.append(NextStep("Measure how many copies are noticed.", again(plants=64)))
    if "exposure" in answer.steps and bench.get("exposure") == "none":
        steps.append(
            NextStep("Test whether training patients are exposed.", again(exposure="last"))
        )
    embedder = result.components.embedder
    longer = _steps_of(embedder.config) if embedder else None
    if "detector" in answer.steps and longer and not steps:
        steps.append(
            NextStep(
                "Train the copy detector longer, so that it sees more of the copies.",
                bench_command(_longer(recipe, longer), paths=paths),
            )
        )
    return steps


def _steps_of(config: Mapping[str, Any]) -> int | None:
    """Return for how many steps an embedder is trained; None where it is not."""
    training = config.get("training")
    steps = training.get("steps") if isinstance(training, Mapping) else None
    return steps if isinstance(steps, int) and steps > 0 and not config.get("weights") else None


def _longer(recipe: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Return a recipe whose embedder is trained longer."""
    settings = dict(recipe.get("settings") or {})
    own = dict(settings.get("embedder") or {})
    own["training"] = {**(own.get("training") or {}), "steps": LONGER * steps}
    return {**recipe, "settings": {**settings, "embedder": own}}
