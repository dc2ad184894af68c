"""What readers say of pairs: a section of the page, and tables of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from memtk.errors import many
from memtk.report.page import Section, figure_section, make_section
from memtk.report.terminal_tables import make_table
from memtk.results import Audit, Result, has_arrays, read_arrays
from memtk.results.formats import interval, share
from memtk.results.reference import PaperRow, paper_numbers, reported
from memtk.results.review import ReadShare, Review, hash_of, read_review

MEANINGS = (
    ("sensitivity", "of the pairs that readers call a copy, those that the rule flags"),
    ("specificity", "of those that they call novel, those that it does not flag"),
    ("PPV", "of the pairs that the rule flags, those that readers call a copy"),
    ("NPV", "of those that it does not flag, those that they call novel"),
)
"""What stands in the columns. The paper prints PPV as sensitivity, and NPV as specificity."""

ANOTHER = (
    "People have read pairs, but of other images than those of this report: the run has changed "
    "since. `memtk review RUN --show` reads the labels again, or says why they are of no more use."
)
"""Stands in place of a reading of another set."""


def papers(record: Audit | Result) -> tuple[PaperRow, ...]:
    """Return what the paper's radiologist says of the same images; nothing of other data."""
    if isinstance(record, Audit):
        return ()
    return tuple(row for row in reported(record) if row.agreement is not None)


def review_section(home: Path, record: Audit | Result) -> Section | None:
    """Return what readers said of a synthetic set; None where nobody has read.

    Of pairs of another set, such as an earlier checkpoint, it says no more than that.

    Args:
        home: the folder of an audit, or of a cell of a bench.

    Raises:
        UserError: if the record of the reading is damaged, naming it.
    """
    found = read_review(home)
    if found is None or not found.readers:
        return None
    name, title = "readers", "What people see"
    if not _same_set(found, home, record):
        return figure_section(name, title, note=ANOTHER)
    return make_section(
        name,
        title,
        "readers.html",
        review=found,
        method=method(found),
        sentences=sentences(found),
        meanings=MEANINGS,
        papers=papers(record),
        version=paper_numbers().version,
    )


def _same_set(found: Review, home: Path, record: Audit | Result) -> bool:
    """Tell whether pairs of this very set were read, as far as its arrays are there."""
    label = "audit" if isinstance(record, Audit) else record.last.label
    name = label if isinstance(record, Audit) else f"{record.cell}/{label}"
    path = home / "arrays.h5"
    if found.set != name or not has_arrays(path, label):
        return found.set == name
    return found.evidence == hash_of(name, read_arrays(path, label))


def method(found: Review) -> str:
    """Say how the intervals were made."""
    if found.weighted:
        return (
            f"{share(found.confidence)} intervals, weighted by the sizes of the strata of the draw "
            "(Clopper-Pearson, melded over the strata)"
        )
    return f"{share(found.confidence)} intervals of Clopper and Pearson"


def sentences(found: Review) -> list[str]:
    """Say what was read, how far readers agree, and what would agree best."""
    said = [
        f"Of {many(found.drawn, 'pair')}, drawn {'near the threshold above all' if found.weighted else 'at random'} "  # noqa: E501
        f"over {found.over} images, {found.read} have a clear label: readers call "
        f"{found.copies.count} a copy{_rate(found.copies, found.confidence)}."
    ]
    if found.unclear:
        said.append(
            f"{many(found.unclear, 'pair')} that readers were unsure of, or of two minds about, "
            f"{'is' if found.unclear == 1 else 'are'} left out."
        )
    for each in found.kappas:
        kappa = "not defined" if each.kappa is None else f"{each.kappa:.2f}"
        said.append(
            f"Cohen's kappa of {each.readers[0]} and {each.readers[1]} is {kappa} on "
            f"{many(each.pairs, 'pair')}."
        )
    if len(found.readers) > 2 and found.fleiss is not None:
        said.append(
            f"Fleiss' kappa of all {many(len(found.readers), 'reader')} is {found.fleiss:.2f} on "
            f"{many(found.fleiss_pairs, 'pair')}."
        )
    if found.disagreements:
        said.append(
            f"Readers disagree on {many(len(found.disagreements), 'pair')}: "
            "`memtk review RUN --consensus` shows these."
        )
    if found.best is not None:
        said.append(
            f"A threshold of {found.best.similarity:.3f} ({share(found.confidence)} interval "
            f"{found.best.low:.3f} to {found.best.high:.3f}, bootstrap) would agree best with the "
            f"readers, on {share(found.best.agreement)} of the pairs. It was found afterwards: no "
            "rule may use it on these images."
        )
    if found.shared:
        said.append(
            f"{many(found.shared, 'pair')} share a training patient with another pair; the "
            "intervals take pairs as independent."
        )
    return said


def review_summary(found: Review, rows: Sequence[PaperRow] = ()) -> RenderableType:
    """Return what readers say, and the paper's radiologist of the same images, for the terminal."""
    if not found.readers:
        return Text(f"{many(found.drawn, 'pair', 'is/are')} drawn, and nobody has read any yet.")
    readers = make_table("reader", "copy", "novel", "unsure", "s a pair", "planted", "strangers")
    for each in found.readers:
        readers.add_row(
            Text(each.name),
            str(each.copies),
            str(each.novel),
            str(each.unsure),
            "-" if each.seconds is None else f"{each.seconds:g}",
            _brief(each.sensitivity),
            _brief(each.specificity),
        )
    rules = make_table("rule", *(name for name, _ in MEANINGS))
    for rule in found.rules:
        rules.add_row(
            Text(rule.title),
            *(_brief(x) for x in (rule.sensitivity, rule.specificity, rule.ppv, rule.npv)),
        )
    for row in rows:
        if (said := row.agreement) is not None:
            about = "~" if said.replayed else ""
            rules.add_row(
                Text(f"paper, dar: {row.system}"),
                *(
                    f"{about}{x:.0f}%"
                    for x in (said.sensitivity, said.specificity, said.ppv, said.npv)
                ),
                style="dim",
            )
    legend = [
        "planted, strangers: controls whose truth is known, rightly called copy and novel",
        *(f"{name}: {meaning}" for name, meaning in MEANINGS),
        "The paper prints PPV as sensitivity and NPV as specificity.",
        f"[in brackets: {method(found)}]",
    ]
    return Group(
        readers,
        *([rules] if found.read else []),
        *(Text(line) for line in sentences(found)),
        Text("\n".join(legend), style="dim"),
    )


def _brief(found: ReadShare) -> str:
    if found.rate is None:
        return "-"
    ends = f"{share(found.low).removesuffix('%')}-{share(found.high)}"
    return f"{share(found.rate)}, {found.count} of {found.n}\n[{ends}]"


def _rate(found: ReadShare, confidence: float) -> str:
    if found.rate is None:
        return ""
    return f" ({share(found.rate)}, {interval(found.low, found.high, confidence)})"
