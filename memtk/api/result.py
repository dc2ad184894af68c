"""What an audit found, for a person at a Python prompt or in a notebook."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtk.api.paths import path_of
from memtk.auditing.lists import COPIES, EXPOSED
from memtk.errors import UserError
from memtk.files import check_output, copy_file, is_record, write_output
from memtk.report.audit_steps import audit_steps
from memtk.report.counts import counts_of_audit
from memtk.report.next_steps import NextStep
from memtk.report.page import is_page, render
from memtk.report.terminal import audit_summary
from memtk.results import Answer, Audit, Evidence, answer_audit
from memtk.results.verdicts import explain as in_words


@dataclass(frozen=True)
class Pair:
    """A synthetic and a training image that are near each other.

    Args:
        image: the suspicious one: its row in the array that was given, or its file.
        nearest: the same of the nearest image on the other side.
        patient: whose the training image is.
        similarity: of the two.
        p: p-value, by the tail of the strangers.
        named: "sure", "suspect" at the false discovery rate of the audit, or empty.
        at_least: of it and all that are more suspicious so many are copies, or exposed, at least.
    """

    image: int | str
    nearest: int | str
    patient: str
    similarity: float
    p: float
    named: str
    at_least: int


@dataclass(frozen=True, repr=False)
class AuditResult:
    """What an audit found.

    At a prompt it shows the verdict with its numbers, in a notebook a card with the same.

    Args:
        folder: the run folder, with everything that was computed.
        audit: the record that `memtk audit --json` prints; see its schema in the reference.
    """

    folder: Path
    audit: Audit

    @property
    def outcome(self) -> str:
        """The verdict by the policy: "pass", "fail" or "inconclusive"."""
        return self.audit.verdict.outcome

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, one sentence each."""
        return tuple(self.audit.verdict.reasons)

    @property
    def explanation(self) -> str:
        """One paragraph for a lay reader."""
        return in_words(self.audit)

    @property
    def copies(self) -> list[Pair]:
        """The synthetic images that are named as copies, the most suspicious first."""
        return [pair for pair in self.synthetic_images if pair.named]

    @property
    def synthetic_images(self) -> list[Pair]:
        """All synthetic images with their nearest training images, the most suspicious first."""
        return self._pairs(COPIES, "synthetic", "nearest_training")

    @property
    def exposed_images(self) -> list[Pair]:
        """The training images that are named as exposed, the most suspicious first."""
        return [pair for pair in self.training_images if pair.named]

    @property
    def training_images(self) -> list[Pair]:
        """All training images with their nearest synthetic ones; none if exposure was not tested.

        The most suspicious come first.
        """
        return self._pairs(EXPOSED, "training", "nearest_synthetic")

    @property
    def exposed_patients(self) -> tuple[int, int] | None:
        """Between how many and how many training patients are exposed; None if not tested."""
        exposed = self._found.exposed
        return (exposed.low, exposed.high) if exposed else None

    @property
    def copy_rate(self) -> float | None:
        """The share of the synthetic images that are copies, in excess of what chance gives.

        It is corrected by the share of the planted copies that are noticed, or `by_readers`; None
        if it cannot be estimated.
        """
        return self._found.copy_rate.estimate if self._found.copy_rate else None

    @property
    def by_readers(self) -> bool:
        """Whether the copy rate takes its sensitivity from readers, who saw pairs of the images."""
        return self._found.by_readers

    @property
    def copy_rate_interval(self) -> tuple[float, float] | None:
        """The interval of the copy rate, at the confidence of the policy."""
        rate = self._found.copy_rate
        return (rate.low, rate.high) if rate else None

    @property
    def copy_rate_upper_bound(self) -> float | None:
        """The largest copy rate that the numbers allow."""
        return self._found.copy_rate_upper_bound

    @property
    def sensitivity(self) -> float | None:
        """The share of the planted copies that are noticed; None if none were planted."""
        found = self.audit.selftest and self.audit.selftest.sensitivity.conformal
        return found.count / found.n if found and found.n else None

    @property
    def _found(self) -> Evidence:
        return self.audit.evidence

    def report(self, path: str | Path | None = None) -> Path:
        """Return where the HTML report lies; with a path, copy it there first.

        Raises:
            UserError: if it cannot be written, or another file is there.
        """
        page = self.folder / "report.html"
        if path is None:
            return page
        path = path_of(path, "path")
        check_output(path, is_page)
        copy_file(page, path)
        return path

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the record as JSON; with a path, write it there too.

        Raises:
            UserError: if it cannot be written, or another file is there.
        """
        text = self.audit.model_dump_json(indent=1)
        if path is not None:
            write_output(path_of(path, "path"), text + "\n", is_record)
        return text

    @property
    def answer(self) -> Answer:
        """The answer to "May these images be released?", its two numbers, and why."""
        return answer_audit(self.audit)

    @property
    def next_steps(self) -> list[NextStep]:
        """What can be done now, each with the whole command where one does it."""
        return audit_steps(self.audit, self.folder, paths=True)

    def __rich__(self) -> Any:
        """Return what `rich` prints."""
        return audit_summary(self.audit, self.folder)

    def __repr__(self) -> str:
        said = self.answer
        lines = [f"{said.badge}: {said.first}", *said.numbers, *(f"- {why}" for why in said.why)]
        steps = self.next_steps
        lines += ["What now:"] if steps else []
        for step in steps:
            lines += [f"- {step.said}", *(f"    {line}" for line in step.command.splitlines())]
        return "\n".join([*lines, f"report: {self.report()}"])

    def _repr_html_(self) -> str:
        """Return a card for a notebook. It names no file and no patient."""
        return render(
            "card.html",
            said=self.answer,
            steps=audit_steps(self.audit, self.folder, paths=False),
            groups=counts_of_audit(self.audit),
            explanation=self.explanation,
        )

    def _pairs(self, name: str, image: str, nearest: str) -> list[Pair]:
        path = self.folder / name
        if not path.exists():
            return []
        try:
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        return [
            Pair(
                _row(row[image]),
                _row(row[nearest]),
                row["patient"],
                float(row["similarity"]),
                float(row["p"]),
                row["named"],
                int(row["at_least"]),
            )
            for row in rows
        ]


def _row(name: str) -> int | str:
    """Return the row of the array that an image is, or the name of its file.

    >>> _row("synthetic[6]"), _row("12"), _row("made/6.png")
    (6, 12, 'made/6.png')
    """
    found = re.fullmatch(r"(?:[a-z_]+\[)?(\d+)\]?", name)
    return int(found[1]) if found else name
