"""How a check fails."""

from __future__ import annotations


def expect(true: bool, otherwise: str) -> None:
    """Go on if `true`.

    Raises:
        AssertionError: with the sentence `otherwise`. (`assert` itself is left out by `python -O`.)
    """
    if not true:
        raise AssertionError(otherwise)
