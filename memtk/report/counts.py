"""Every count of an audit or a cell, with what chance would give: for the page and the terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich import console
from rich.console import RenderableType
from rich.text import Text

from memtk.errors import many
from memtk.report.page import Section, make_section
from memtk.report.terminal_tables import COMPARED, between, make_table
from memtk.results import (
    Audit,
    ByCondition,
    Comparable,
    Evidence,
    GroupTest,
    MeasureRecord,
    QualityInterval,
    Result,
    SelfTest,
)
from memtk.results.case import ALIKE, BLUR
from memtk.results.formats import TAILS, interval, number, p_value, part, share
from memtk.results.measures import Measured, audit_measures, main_measures, measures_of

ABOUT = {
    "dar": "the reference rule, of Dar et al. (arXiv 2402.01054): nearer than 95% of the training "
    "images are to their nearest validation image",
    "dar-matched": "the reference rule, as it would count with as many synthetic as validation "
    "images",
    "conformal": "by ranks: nearer than all but 5% of strangers",
}
"""What the numbers of a protocol are, where they first stand; of others their own titles say it."""


@dataclass(frozen=True)
class Row:
    """One count.

    Args:
        chance: what chance would give; empty where nothing is known.
        note: interval, or what must be known.
    """

    title: str
    found: str
    chance: str = ""
    note: str = ""


@dataclass(frozen=True)
class Group:
    """Counts of one kind: those of a protocol, or, without a name, what the verdict rests on."""

    name: str
    about: str
    rows: tuple[Row, ...]


def counts_of_audit(audit: Audit) -> list[Group]:
    """Return the counts of an audit."""
    own = _own(audit.evidence, audit.selftest, audit.evidence.confidence or audit.policy.confidence)
    if audit.data is not None:
        total = audit.counts["synthetic"].images
        found = part(audit.identical_images, total, "synthetic image")
        own.append(Row("identical to a training image", found, "0", "voxel for voxel"))
    return [Group("", "what the verdict rests on", tuple(own)), *_protocols(audit_measures(audit))]


def counts_of_cell(result: Result) -> list[Group]:
    """Return the counts of a cell's last checkpoint."""
    found = result.last.evidence
    own = _own(found, result.selftest, found.confidence or 0.95)
    if found.copies is None:
        own += [_measured(m.record) for m in measures_of(result, result.last) if not m.protocol]
    groups = [Group("", "what the verdict rests on", tuple(own))] if own else []
    return [*groups, *_protocols(measures_of(result, result.last))]


def _own(found: Evidence, selftest: SelfTest | None, confidence: float) -> list[Row]:
    rows, rate, bound = [], found.copy_rate, found.copy_rate_upper_bound
    if rate is not None:
        said = interval(rate.low, rate.high, confidence)
        at_most = "" if bound is None else f"; one-sided: at most {share(bound)}"
        by = found.readers_note("; {}")
        rows.append(Row("copy rate", share(rate.estimate), "0%", f"{said}{at_most}{by}"))
    if found.exposed is None:
        rows.append(Row("training patients exposed", "not tested"))
    else:
        low, high, of = found.exposed.low, found.exposed.high, found.exposed.of
        rows.append(
            Row(
                "training patients exposed",
                f"{found.exposed.ends} of {of}",
                "0",
                f"{share(low / of if of else 0)} to {share(high / of if of else 0)}, "
                f"{share(confidence)} interval",
            )
        )
    if selftest is not None and selftest.sensitivity.conformal.n:
        seen = selftest.sensitivity.conformal
        rows.append(
            Row(
                "planted copies noticed",
                part(seen.count, seen.n, "planted copy"),
                share(found.alpha),
                interval(seen.low, seen.high, selftest.confidence),
            )
        )
    of_copies = "" if found.can_reject else "; none could be named at these sizes"
    if rate is None and found.copies is not None:
        of_copies = f"; without a model, at least {found.copies.at_least}{of_copies}"
    for title, named in (
        ("named as copies", found.copies),
        ("training images named as exposed", found.training_images),
        ("training patients named as exposed", found.patients),
    ):
        if named is not None:
            rows.append(
                Row(
                    title,
                    named.found,
                    "0",
                    f"up to {share(found.fdr)} of them wrongly"
                    f"{of_copies if named is found.copies else ''}",
                )
            )
    if (tail := found.copies) is not None:
        said = tail.reason if tail.check is None else f"its check: {p_value(tail.check)}"
        rows.append(Row("strangers' tail", TAILS[tail.model], "", said))
        if tail.margin_model is not None:
            said = "does not look like one tail: few or none can be sure"
            if tail.margin_check is not None:
                said = f"its check: {p_value(tail.margin_check)}"
            rows.append(Row("margins to a second patient", TAILS[tail.margin_model], "", said))
    for title, test, limit in _groups(found):
        alike = "alike" if test.p > limit else "not alike"
        rows.append(Row(title, alike, "", f"{p_value(test.p)}, {share(test.size)} apart"))
    return rows


def _groups(found: Evidence) -> list[tuple[str, GroupTest, float]]:
    """Return what was asked of those that are compared, with the p-value up to which it is no."""
    tests = found.comparable or Comparable()
    far = tests.likeness is not None and tests.unlike is tests.likeness
    asked = (
        ("training and validation patients", tests.population, ALIKE),
        ("other synthetic images and strangers", tests.synthetic, BLUR),
        ("synthetic and validation images", tests.likeness, 1.0 if far else 0.0),
    )
    return [(title, group, limit) for title, group, limit in asked if group is not None]


def _protocols(measures: Sequence[Measured]) -> list[Group]:
    """Return the main measures by protocol."""
    by: dict[str, list[Row]] = {}
    for each in main_measures(measures):
        by.setdefault(each.protocol, []).append(_measured(each.record))
    return [Group(name, ABOUT.get(name, ""), tuple(rows)) for name, rows in by.items()]


def _measured(record: MeasureRecord) -> Row:
    """Return a measure, or why it cannot be had."""
    if record.value is None:
        return Row(record.title, "–", "", record.note)
    if record.of is None:
        null = "" if record.null is None else number(record.null)
        return Row(record.title, number(record.value), null, record.note)
    nouns = {"training": "training image", "synthetic": "synthetic image"}
    found = share(record.value)
    if record.count is not None:
        count = f"{record.count:.1f}".removesuffix(".0")
        noun = nouns.get(record.side, "image")
        found = f"{count} of {many(record.of, noun)} ({share(record.value)})"
    return Row(record.title, found, "" if record.null is None else share(record.null), record.note)


@dataclass(frozen=True)
class ConditionRow:
    """One group of images of a condition, in words.

    Args:
        group: "view = AP".
        samples: how many synthetic images were to be of it.
        rate: of copies, and `rate_interval` with what it is of.
        exposed: training patients, low to high.
        against: the strangers that it is compared with.
        quality: by measure: the number, and its interval.
    """

    group: str
    samples: int
    rate: str
    rate_interval: str
    exposed: str
    named: str
    against: str
    quality: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Told:
    """What was found by condition in one set of synthetic images.

    Args:
        cell: the generator's, "" in an audit.
        found: in each group; empty where the generator was told nothing.
        measures: of quality, of the whole set.
    """

    cell: str
    found: Sequence[ByCondition]
    evidence: Evidence
    measures: Collection[str]

    @classmethod
    def of(cls, record: Result | Audit) -> Told:
        """Return that of a cell's last checkpoint, or of an audit."""
        if isinstance(record, Audit):
            return cls("", record.by_condition, record.evidence, record.quality)
        last = record.last
        return cls(record.cell, last.by_condition, last.evidence, last.quality)

    @property
    def confidence(self) -> float:
        """Of the intervals."""
        return self.evidence.confidence or 0.95

    def remarks(self) -> str:
        """Say what is other in some groups, or in all of them, than in the whole set."""
        planted = (
            "Copy rates of groups take their sensitivity from planted copies, not from readers."
        )
        unmeasured = _unmeasured(self.found) if self.measures else ""
        said = (_pooled(self.found), unmeasured, planted if self.evidence.by_readers else "")
        return " ".join(filter(None, said))

    def rows(self) -> list[ConditionRow]:
        """Return a row for each group."""
        return [_row(found, self.confidence) for found in self.found]


def conditions_section(record: Result | Audit) -> Section | None:
    """Return the section of the page; None where the generator was told nothing."""
    told = Told.of(record)
    rows = told.rows()
    if not rows:
        return None
    return make_section(
        "conditions",
        "By condition",
        "conditions.html",
        rows=rows,
        measures=list(dict.fromkeys(name for row in rows for name, _, _ in row.quality)),
        remarks=told.remarks(),
        confidence=told.confidence,
    )


def _pooled(groups: Sequence[ByCondition]) -> str:
    """Say which groups are not compared within, "" if all are."""
    wide = [found for found in groups if not found.within]
    if not wide:
        return ""
    few = ", ".join(f"{_name(f)} ({f.validation_patients})" for f in wide)
    return (
        f"Too few validation patients for a comparison within the group, which takes 20: {few}. "
        "There the strangers are all validation images, and a group whose images are much alike "
        "may look memorized."
    )


def _unmeasured(groups: Sequence[ByCondition]) -> str:
    """Say which groups with samples have no number of quality, "" if all have some."""
    few = ", ".join(_name(found) for found in groups if found.n_synthetic and not found.quality)
    return f"No quality, which takes 20 samples and 20 validation images: {few}." if few else ""


def conditions_table(records: Sequence[Result] | Sequence[Audit]) -> RenderableType | None:
    """Return the table of the terminal; None where no generator was told anything."""
    told = [each for record in records if (each := Told.of(record)).found]
    if not told:
        return None
    measures = list(dict.fromkeys(m for each in told for f in each.found for m in f.quality))
    measures = measures[:COMPARED]
    table = make_table("by condition", "samples", "copy rate", "exposed", *measures, gap=2)
    for each in told:
        if len(records) > 1:
            table.add_row(Text(each.cell))
        for row, found in zip(each.rows(), each.found, strict=True):
            ends = found.copy_rate
            rate = "–" if ends is None else f" {between(ends.low, ends.high)}"
            quality = [_brief(found.quality.get(name)) for name in measures]
            cells = (str(row.samples), f"{row.rate}{rate}" if ends else rate, row.exposed, *quality)
            table.add_row(Text(row.group), *(Text(cell) for cell in cells))
    of_quality = "; quality: against validation images of the group [interval]"
    note = (
        "copy rate: of the samples of the group [interval in %]; exposed: training patients, by "
        f"their images of the group{of_quality if measures else ''}. "
        "Strangers are validation images of the same group."
    )
    said = dict.fromkeys([note, *(each.remarks() for each in told)])
    return console.Group(table, Text(" ".join(filter(None, said)), style="dim"))


def _brief(found: QualityInterval | None) -> str:
    return "–" if found is None else f"{found.estimate:.3g} [{found.low:.2g}, {found.high:.2g}]"


def _row(found: ByCondition, confidence: float) -> ConditionRow:
    rate, exposed, named = found.copy_rate, found.exposed, found.copies
    strangers = "all validation images"
    if found.within:
        strangers = f"{many(found.validation_patients, 'validation patient')} of the group"
    return ConditionRow(
        group=_name(found),
        samples=found.n_synthetic,
        rate="–" if rate is None else share(rate.estimate),
        rate_interval="" if rate is None else interval(rate.low, rate.high, confidence),
        exposed="–" if exposed is None else f"{exposed.ends} of {exposed.of}",
        named="–" if named is None else named.found,
        against=strangers,
        quality=tuple(
            (name, number(q.estimate), f"{number(q.low)} to {number(q.high)}")
            for name, q in found.quality.items()
        ),
    )


def _name(found: ByCondition) -> str:
    return f"{found.column} = {found.value}"
