"""What can be done after an audit, as sentences with whole commands."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from memtk.errors import many
from memtk.report.next_steps import NextStep, embedder_steps, with_longer_embedder
from memtk.report.provenance import repeat_audit
from memtk.results import Answer, Audit, answer_audit, has_arrays, read_arrays, read_run_file
from memtk.results.case import Step

DEFAULTS = {
    "similarity": "pearson", "plants": 100, "alpha": 0.05, "fdr": 0.1, "seed": 0, "batch_size": 32,
}  # fmt: skip
"""Options of an audit that a command need not name, where they are as they are by default."""


CANNOT_PASS = (
    " Should it find nothing more, that is still no pass: no planted copy is left to test it with, "
    "for this audit noticed them all."
)
RETRAIN = (
    "Have the generator trained anew so that it copies less (stop earlier, a smaller model, more "
    "patients), and audit its new images."
)


def audit_steps(audit: Audit, folder: Path, *, paths: bool) -> list[NextStep]:
    """Return what can be done after an audit, the most helpful first.

    Args:
        paths: whether commands name the folder and the images, for a terminal; a page is opened
            in the folder, and names neither.
    """
    answer = answer_audit(audit)
    if answer.kind == "pass":
        look = (
            "Before you release them, have somebody who knows such images look at the nearest "
            "pairs, which the report shows: where two of them show one person, the answer is no. "
        )
        said = "This answer is for these images alone: audit any others anew."
        return [NextStep(look + said if audit.data else said)]
    asked = _Asked(audit, answer, folder, read_run_file(folder).recipe, paths)
    hopeless = audit.screened is not None and audit.selftest is None
    wanted: Mapping[Step, int | None] = {"retrain": None} if hopeless else answer.steps
    made = [each for each in map(asked.step, wanted, wanted.values()) if each is not None]
    made.sort(key=lambda each: each.said.endswith(CANNOT_PASS))
    return [_or(each) if each is not made[0] else each for each in made]


def _or(step: NextStep) -> NextStep:
    """Return a way out that stands behind another."""
    if step.said != RETRAIN and not step.said.endswith(CANNOT_PASS):
        return step
    return replace(step, said=f"Or {step.said[0].lower()}{step.said[1:]}")


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
            "check": lambda _: self._compared(
                "Take validation patients from where the training patients come from"
            ),
            "likeness": lambda _: self._compared(
                "Prepare both alike, or train the generator until its images look real"
            ),
            "sizes": lambda _: self._sizes(),
            "patients": self._patients,
            "images": lambda count: NextStep(
                f"Audit more synthetic images than {self.audit.counts['synthetic'].images}"
                f"{'' if count is None else f', about {count}'}."
            ),
            "plants": lambda count: NextStep(
                f"Plant {count} copies, so that the share that is noticed is known better.",
                self._again(plants=count) if self._named else "",
            ),
            "detector": self._detector,
            "retrain": lambda _: NextStep(RETRAIN),
        }
        return ways[step](count)

    @property
    def _named(self) -> bool:
        """Whether the images can be named in a command: files, not arrays of a Python session."""
        from memtk.data.config import ARRAY  # torch: seconds

        data = self.recipe.get("data") or {}
        sources = [str(v) for k, v in data.items() if k.endswith("source") and v is not None]
        return self.audit.data is not None and not any(s.startswith(ARRAY) for s in sources)

    @property
    def _by_images(self) -> bool:
        """Whether the images themselves were compared."""
        return self.audit.data is not None and self.audit.embedder is None

    def _again(
        self, command: str = "audit", settings: Mapping[str, Any] | None = None, **changes: Any
    ) -> str:
        asked = {**(self.recipe.get("audit") or {}), **changes}
        changed = {k: v for k, v in asked.items() if k not in DEFAULTS or v != DEFAULTS[k]}
        recipe = {**self.recipe, "audit": changed}
        if settings is not None:
            recipe["settings"] = settings
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
        from memtk.memorization import withhold  # torch: seconds

        arrays = read_arrays(path, "audit")
        gone = withhold(arrays)
        kept, total = int((~gone).sum()), len(gone)
        if kept == total:
            return None
        if not kept:
            return NextStep("Every image would be held back, so there is none to release.")
        policy = "" if self.audit.policy.is_default else " --policy YOUR_POLICY"
        place = shlex.quote(str(self.folder)) if self.paths else "."
        near = arrays["synthetic_train"][arrays["copies_flagged"].astype(bool)]
        planted = arrays.get("planted", np.zeros(0))
        blind = near.size and planted.size and (planted >= near.min()).all()
        why = CANNOT_PASS if blind else ""
        return NextStep(
            f"Hold {many(total - kept, 'image')} back that are or may be copies, and have the "
            f"other {kept} judged by a detector of another kind.{why}",
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

    def _compared(self, said: str) -> NextStep:
        if self._named:
            return NextStep(f"{said}; memtk check says how the two differ.", self._again("check"))
        return NextStep(f"{said}.")

    def _sizes(self) -> NextStep:
        said = f"No audit of {many(self.audit.counts['training'].patients, 'training patient')} "
        if self._named:
            said += "can pass; memtk check says how many it takes."
            return NextStep(said, self._again("check"))
        return NextStep(f"{said}can pass: it takes more.")

    def _patients(self, count: int | None) -> NextStep | None:
        now = self.audit.counts["validation"].patients
        said = f"Add validation patients: about {count} in place of {now}"
        if count is None:
            said = f"Add validation patients to the {now} there are"
        if self._named:
            said += "; memtk check says beforehand what so many can show."
            return NextStep(said, self._again("check"))
        return NextStep(f"{said}.")

    def _detector(self, _: int | None) -> NextStep | None:
        if not self._named:
            return NextStep("Take another embedder.") if self.audit.data is None else None
        if self._by_images:
            command = self._again(similarity="pearson")
            return NextStep(
                "Compare by a copy detector in place of the images themselves.", command
            )
        if self.recipe["audit"].get("weights"):
            return NextStep(
                "Train the copy detector on these images in place of the weights that were given.",
                self._again(weights=None),
            )
        settings = self.recipe.get("settings") or {}
        if self.recipe["audit"].get("preset") == "smoke":
            own = {k: v for k, v in settings.get("embedder", {}).items() if k != "training"}
            return NextStep(
                "Leave the preset smoke out, which is a trial: it sees too few of the copies.",
                self._again(preset=None, settings={**settings, "embedder": own}),
            )
        steps = embedder_steps(self.audit.embedder.config if self.audit.embedder else {})
        if steps is None:
            return None
        recipe = with_longer_embedder(self.recipe, steps)
        command = self._again(settings=recipe["settings"])
        return NextStep(
            "Train the copy detector longer, so that it sees more of the copies.", command
        )
