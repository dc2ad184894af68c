"""Ranks that do not tell apart what the numbers do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memtk.leaderboard.row import Interval


@dataclass(frozen=True)
class Rank:
    """The places that an entry may hold; `best` is 1 at the least."""

    best: int
    worst: int

    def __str__(self) -> str:
        """Return "2", or "1–3" where the numbers leave it open."""
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def ranks(intervals: Sequence[Interval | None]) -> list[Rank | None]:
    """Return the rank of each entry by its copy rate, lower being better; None has none.

    An entry is behind another only if its interval lies wholly above the other's. Its best place
    is one more than the number of entries that it is behind, its worst one the number of entries
    that are not behind it. So two entries with overlapping intervals always share a place, and of
    two that do not the one has the better best and the better worst place.

    >>> [str(r) for r in ranks([Interval(0, 0, 0.1), Interval(0.2, 0.05, 0.4),
    ...                         Interval(0.3, 0.2, 0.5)])]
    ['1–2', '1–3', '2–3']
    """
    known = [each for each in intervals if each is not None]
    found: list[Rank | None] = []
    for own in intervals:
        if own is None:
            found.append(None)
            continue
        behind = sum(other.high < own.low for other in known)
        ahead = sum(other.low > own.high for other in known)
        found.append(Rank(behind + 1, len(known) - ahead))
    return found
