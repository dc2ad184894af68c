"""What an audit found, for a person at a Python prompt or in a notebook."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtk.auditing.lists import COPIES, EXPOSED
from memtk.errors import UserError
from memtk.files import explain, write_text
from memtk.report.page import render
from memtk.report.terminal import audit_summary
from memtk.results import Audit
from memtk.results.formats import interval, many, part, share
from memtk.results.sentences import explain as in_words

TITLES = {"pass": "Pass", "fail": "Fail", "inconclusive": "Inconclusive"}


@dataclass(frozen=True)
class Pair:
    """A suspicious image and the one that it is nearest to.

    Args:
        image: its row in the array that was given, or its file.
        nearest: the same of the nearest image on the other side.
        similarity: of the two.
        p: conformal p-value.
        flagged: whether it is named at the false discovery rate of the audit.
    """

    image: int | str
    nearest: int | str
    similarity: float
    p: float
    flagged: bool


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

    def copies(self, *, flagged: bool = True) -> list[Pair]:
        """Return the synthetic images that are named as copies, the most suspicious first.

        Args:
            flagged: False returns all synthetic images in that order.
        """
        return self._pairs(COPIES, "synthetic", "nearest_training", flagged)

    def exposed(self, *, flagged: bool = True) -> list[Pair]:
        """Return the training images that are flagged as exposed, the most suspicious first.

        Args:
            flagged: False returns all training images in that order; none if it was not tested.
        """
        return self._pairs(EXPOSED, "training", "nearest_synthetic", flagged)

    def report(self, path: str | Path | None = None) -> Path:
        """Return where the HTML report lies; with a path, copy it there first.

        Raises:
            UserError: if it cannot be written.
        """
        page = self.folder / "report.html"
        if path is None:
            return page
        path = Path(path)
        with explain(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page, path)
        return path

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the record as JSON; with a path, write it there too.

        Raises:
            UserError: if it cannot be written.
        """
        text = self.audit.model_dump_json(indent=1)
        if path is not None:
            write_text(Path(path), text + "\n")
        return text

    def __rich__(self) -> Any:
        """Return what `rich` prints."""
        return audit_summary(self.audit)

    def __repr__(self) -> str:
        lines = [f"{TITLES[self.outcome]}: {self.reasons[0]}", *self.reasons[1:]]
        lines += [f"{name}: {value}" for name, value in self._figures()]
        return "\n".join([*lines, f"report: {self.report()}"])

    def _repr_html_(self) -> str:
        """Return a card for a notebook. It names no file and no patient."""
        return render(
            "card.html",
            outcome=self.outcome,
            title=TITLES[self.outcome],
            reasons=self.reasons,
            figures=self._figures(),
            explanation=self.explanation,
        )

    def _figures(self) -> list[tuple[str, str]]:
        """Return the numbers that matter, with what they are."""
        audit, found, dar = self.audit, self.audit.protocols.conformal, self.audit.protocols.dar
        n, m = audit.counts["training"].images, audit.counts["synthetic"].images
        sure = found.confidence or audit.policy.confidence
        rows = [("named as copies", part(found.n_copies, m, "synthetic image"))]
        if found.copy_rate:
            rate = found.copy_rate
            rows.append(
                ("copy rate", f"{share(rate.estimate)}, {interval(rate.low, rate.high, sure)}")
            )
        if found.copy_rate_upper_bound is not None:
            rows.append(("copy rate at most", share(found.copy_rate_upper_bound)))
        if found.patients_exposed is not None:
            patients = audit.counts["training"].patients
            rows.append(("exposed", part(found.patients_exposed, patients, "training patient")))
        if audit.selftest and audit.selftest.sensitivity.conformal.n:
            noticed = audit.selftest.sensitivity.conformal
            rows.append(("planted copies noticed", part(noticed.count, noticed.n, "planted copy")))
        null = share(dar.expected_mem_fraction)
        rows.append(
            (
                "reference rule (dar)",
                f"{many(dar.n_mem, 'training image')} of {n} memorized ({share(dar.mem_fraction)}; "
                f"a generator that has memorized nothing scores about {null})",
            )
        )
        return rows

    def _pairs(self, name: str, image: str, nearest: str, flagged: bool) -> list[Pair]:
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
                float(row["similarity"]),
                float(row["p"]),
                row["flagged"] == "yes",
            )
            for row in rows
            if row["flagged"] == "yes" or not flagged
        ]


def _row(name: str) -> int | str:
    """Return the row that a file stands for which an array was written to, or the file's name."""
    stem = Path(name).name.removesuffix(".npy")
    return int(stem) if stem.isdigit() and len(stem) == 6 or name.isdigit() else name
