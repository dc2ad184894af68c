"""What the checks of the images found, one finding a check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from memtk.errors import UserError

Outcome = Literal["accepted", "note", "refused"]
"""accepted: as it should be. note: allowed, to be known. refused: an audit would mean nothing."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Args:
        check: what is checked, as the sentence that should be true ("images can be read").
        outcome: see `Outcome`.
        found: what was found, with the first names.
        way_out: what to do about it, "" where nothing has to be done.
        names: of all images or patients that it is about.
    """

    check: str
    outcome: Outcome
    found: str
    way_out: str = ""
    names: tuple[str, ...] = ()

    def text(self) -> str:
        """Return what was found and the way out, for an error or a note."""
        return f"{self.found}.\n{self.way_out}" if self.way_out else self.found


@dataclass(frozen=True)
class Group:
    """How many images of a split, or synthetic images, there are, and of what size.

    Args:
        images: their number.
        patients: their number; 0 for synthetic images.
        shapes: (*S) as prepared, most frequent first.
        spacing: of a voxel in millimetres, as prepared; () if it is unknown or not the same in all.
    """

    images: int
    patients: int
    shapes: tuple[tuple[int, ...], ...] = ()
    spacing: tuple[float, ...] = ()


@dataclass(frozen=True)
class Report:
    """All findings about the images of a run.

    Args:
        findings: one of every check that could be made.
        groups: by split, and "synthetic".
    """

    findings: tuple[Finding, ...]
    groups: dict[str, Group]

    @property
    def accepted(self) -> bool:
        """Whether nothing is refused."""
        return all(finding.outcome != "refused" for finding in self.findings)


def refuse(findings: Iterable[Finding]) -> None:
    """Raise one error about all that is refused.

    Raises:
        UserError: if any is.
    """
    texts = [finding.text() for finding in findings if finding.outcome == "refused"]
    if texts:
        raise UserError("\n".join(texts))
