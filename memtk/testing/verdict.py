"""How a check fails, and how it says that it does not apply."""

from __future__ import annotations


class DoesNotApply(Exception):
    """Raised by a check that has nothing to look at in this component; the message says why."""


def expect(true: bool, otherwise: str) -> None:
    """Go on if `true`.

    Raises:
        AssertionError: with the sentence `otherwise`. (`assert` itself is left out by `python -O`.)
    """
    if not true:
        raise AssertionError(otherwise)


def applies(true: bool, otherwise: str) -> None:
    """Go on if `true`.

    Raises:
        DoesNotApply: with the sentence `otherwise`.
    """
    if not true:
        raise DoesNotApply(otherwise)
