"""What mitigations change: the generator and its samples, or only what becomes of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import isfunction
from typing import TypeVar

from memtk.errors import UserError
from memtk.interfaces import Mitigation

Made = TypeVar("Made", bound=Mitigation)

AFTERWARDS = frozenset({"stop", "screen"})
"""Methods that leave the training and the samples of every checkpoint as they are."""

BY_SCORE = ("teach", "stop", "screen")
"""Methods that choose by a score: what comes of them is judged by a second embedder."""


def overridden(cls: type[Mitigation]) -> frozenset[str]:
    """Return the methods that a mitigation brings of its own; not `check`, which does nothing."""
    methods = {n for n, v in vars(Mitigation).items() if isfunction(v) and not n.startswith("_")}
    return frozenset(
        n for n in methods - {"check"} if getattr(cls, n) is not getattr(Mitigation, n)
    )


def with_method(mitigations: Iterable[Made], *methods: str) -> list[Made]:
    """Return those mitigations that bring any of the methods."""
    return [m for m in mitigations if overridden(type(m)) & set(methods)]


def is_afterwards(cls: type[Mitigation]) -> bool:
    """Tell whether a mitigation leaves the training and the samples as they are.

    A cell with such mitigations alone shares both with the cell that has none of them.
    """
    own = overridden(cls)
    return bool(own) and own <= AFTERWARDS


def split_names(entry: str, generators: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the generator that an entry of `compare` is for, and its mitigations.

    None: for every generator.

    Raises:
        UserError: if a name is empty or none is left.

    >>> split_names("augment+smaller", ["monai2d"])
    (None, ('augment', 'smaller'))
    >>> split_names("monai2d+augment", ["monai2d"])
    ('monai2d', ('augment',))
    """
    names = [name.strip() for name in entry.split("+")]
    only = names.pop(0) if names[0] in generators else None
    if not names or not all(names):
        raise UserError(
            f"--compare {entry!r}: name a mitigation, or several joined by +, as in "
            "augment+release-filter"
        )
    return only, tuple(names)
