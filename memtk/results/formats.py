"""Figures in words, for readers who decide by them."""

from __future__ import annotations

from collections.abc import Sequence

from memtk.errors import many

TAILS = {
    "gumbel": "Gumbel distribution",
    "pareto": "generalised Pareto",
    "ranks": "none: ranks alone",
}
"""Models of the strangers' tail, for a reader."""


def share(fraction: float) -> str:
    """Return a fraction to a tenth of a per cent; what is not nothing or all is never shown so.

    >>> share(0.0534), share(0.05), share(0), share(0.00004), share(0.99999), share(1)
    ('5.3%', '5%', '0%', '0.1%', '99.9%', '100%')
    """
    value = 100 * fraction
    if value not in (0, 100):
        value = min(max(round(value, 1), 0.1), 99.9)
    return f"{value:g}%"


_SHARES = (
    (0.03, "A few"), (0.07, "About one in 20"), (0.12, "About one in 10"), (0.17, "About one in 7"),
    (0.225, "About a fifth"), (0.29, "About a quarter"), (0.37, "About a third"),
    (0.45, "About two fifths"), (0.55, "About half"), (0.63, "About three fifths"),
    (0.71, "About two thirds"), (0.8, "About three quarters"), (0.95, "Most"), (1.0, "Nearly all"),
)  # fmt: skip
"""Shares in words, each up to the one that stands with it."""


def about(fraction: float, low: float, high: float) -> str:
    """Return about how many of them a fraction is: in words, or by an interval that crosses half.

    >>> about(0.27, 0.1, 0.4), about(0.01, 0, 0.1), about(0.99, 0.9, 1), about(1, 0.95, 1)
    ('About a quarter', 'A few', 'Nearly all', 'All')
    >>> about(0.87, 0.4, 1.0), about(1, 0.7, 1)
    ('Between 40 and 100%', 'Most, perhaps all,')
    """
    if low < 0.5 < high:
        return f"Between {round(100 * low)} and {round(100 * high)}%"
    if fraction >= 1:
        return "All" if low >= 0.9 else "Most, perhaps all,"
    return next(words for end, words in _SHARES if fraction <= end)


def apart(fraction: float, limit: float) -> str:
    """Return a fraction to as many digits as tell it from a limit; at the least a tenth of 1%.

    >>> apart(0.0534, 0.05), apart(0.05002, 0.05), apart(0.05, 0.05)
    ('5.3%', '5.002%', '5%')
    """
    for digits in range(1, 9):
        value = round(100 * fraction, digits)
        if value != round(100 * limit, digits):
            break
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + "%" if value > 0 else share(fraction)


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def part(count: int, total: int, noun: str) -> str:
    """Return a count of a total with its share.

    >>> part(3, 64, "training patient")
    '3 of 64 training patients (4.7%)'
    """
    return f"{count} of {many(total, noun)} ({share(count / total if total else 0)})"


def ends(low: float, high: float) -> str:
    """Return the ends of an interval of fractions.

    >>> ends(0.121, 0.243), ends(1, 1)
    ('12.1 to 24.3%', '100%')
    """
    least, most = share(low), share(high)
    return most if least == most else f"{least.removesuffix('%')} to {most}"


def interval(low: float, high: float, confidence: float) -> str:
    """Return an interval.

    >>> interval(0.121, 0.243, 0.95)
    '95% interval 12.1 to 24.3%'
    """
    return f"{share(confidence)} interval {ends(low, high)}"


def number(value: float | None) -> str:
    """Return a number with four digits, a dash for none.

    >>> number(12.34567), number(-0.00012346), number(None), number(54.0)
    ('12.35', '-0.0001235', '–', '54')
    """
    return "–" if value is None else f"{value:.4g}"


def p_value(p: float) -> str:
    """Return a p-value with up to three digits.

    >>> p_value(0.041234), p_value(1.0), p_value(2e-9)
    ('p = 0.0412', 'p = 1', 'p < 0.0001')
    """
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.3g}"


def duration(seconds: float) -> str:
    """Return a duration for a reader.

    >>> duration(0.42), duration(75), duration(8000)
    ('0.4 s', '1 min 15 s', '2 h 13 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def about_time(seconds: float) -> str:
    """Return about how long something takes, for a person.

    >>> [about_time(s) for s in (8, 95, 3700, 200_000)]
    ['8 s', '2 min', '1 h 2 min', '2 d 7 h']
    """
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{round(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
