"""Conditions of the images: columns of a manifest become what a conditional generator is told."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memtk.data.manifest import Row, few
from memtk.data.roles import check_spelled_alike, stratum_of
from memtk.errors import UserError, did_you_mean
from memtk.interfaces import Condition
from memtk.noise import derive

MOST_CLASSES = 20
"""A column of numbers with up to so many different ones holds classes, unless it is told apart."""

MEASURE = re.compile(r"[-+]?\d+(?:[.,]\d+)? *[A-Za-z%°µ/²]{0,8}")
"""A number as tables have it: `63,5`, DICOM's `063Y`, `71 kg`."""

MOST_WORDS = 200
"""A column with more words names images rather than kinds of images."""


def conditions_of(rows: Sequence[Row], columns: Sequence[str]) -> tuple[Condition, ...]:
    """Return what the columns of the real images hold.

    A column holds classes, coded by their order, unless all its values are numbers and there are
    more than `MOST_CLASSES` of them, which are standardised by the training images. `age:words` and
    `age:numbers` decide it.

    Raises:
        UserError: for a column that is missing, or not filled in all real images, naming some.
    """
    real = [row for row in rows if row.split != "synthetic"]
    return tuple(_condition(real, column) for column in columns)


def codes_of(
    row: Row, columns: Sequence[str], conditions: Sequence[Condition]
) -> tuple[float, ...]:
    """Return the code of each condition of an image, (K,).

    Raises:
        UserError: for a value that no real image has, naming the image.
    """
    names = [column.partition(":")[0] for column in columns]
    told = zip(names, conditions, strict=True)
    try:
        return tuple(condition.code(stratum_of(row, name)) for name, condition in told)
    except UserError as error:
        raise UserError(f"{row.name}: {error}") from error


def say_what_they_are(synthetic: Sequence[Row], columns: Sequence[str]) -> bool:
    """Tell whether synthetic images have values in all columns: every one of them, or none.

    Raises:
        UserError: if some do, naming others.
    """
    names = [column.partition(":")[0] for column in columns]
    lack = [row for row in synthetic if not all(stratum_of(row, name) for name in names)]
    if lack and len(lack) < len(synthetic):
        raise UserError(
            f"data.condition = {', '.join(names)}: {len(lack)} of {len(synthetic)} synthetic "
            f"images have no value there: {few([row.name for row in lack])}.\nSay of each what it "
            "was to be, or of none"
        )
    return bool(names and synthetic) and not lack


def make_condition(
    name: str, kind: str, values: Sequence[str], training: Sequence[str]
) -> Condition:
    """Return what a column holds; see `conditions_of`.

    Args:
        kind: "words", "numbers", or "" where the values decide.
        values: of all real images.
        training: of the training images.

    Raises:
        UserError: for too many words, or none that are numbers.
    """
    numbers = {value: _number(value) for value in dict.fromkeys(values)}
    all_numbers = all(map(math.isfinite, numbers.values()))
    if kind == "numbers" and not all_numbers:
        other = next(value for value, number in numbers.items() if not math.isfinite(number))
        raise UserError(f"data.condition = {name}:numbers, but {other!r} is none, as 63.5 is")
    if kind == "numbers" or (not kind and all_numbers and len(numbers) > MOST_CLASSES):
        known = np.array([numbers[value] for value in training])
        spread = float(known.std())
        return Condition(name, mean=float(known.mean()), spread=spread if spread > 0 else 1.0)
    other = next((value for value, number in numbers.items() if not math.isfinite(number)), "")
    if not kind and other and len(numbers) > MOST_CLASSES and all(map(MEASURE.fullmatch, numbers)):
        raise UserError(
            f"data.condition = {name}: {other!r} looks like a number with a comma or a unit: write "
            f"it as 63.5, or say {name}:words if these are words"
        )
    if len(numbers) > MOST_WORDS:
        raise UserError(
            f"data.condition = {name}: the column has {len(numbers)} different words, and up to "
            f"{MOST_WORDS} are taken: group them in a column of their own"
        )
    in_order = sorted(numbers, key=lambda value: (numbers[value] if all_numbers else 0.0, value))
    return Condition(name, tuple(in_order))


def described(conditions: Sequence[Condition]) -> list[dict[str, Any]]:
    """Return conditions for JSON; `from_description` reads them."""
    return [asdict(each) for each in conditions]


def from_description(found: Sequence[dict[str, Any]]) -> tuple[Condition, ...]:
    """Return the conditions that `described` wrote."""
    return tuple(Condition(**each | {"words": tuple(each["words"])}) for each in found)


def drawn_conditions(training: Tensor, count: int, seed: int) -> Tensor:
    """Return conditions for `count` samples that are distributed as the training images', (M, K).

    The rows of the training images in random order, over and over in new orders: for M = N each
    once, so that the shares are exactly those of the training set.

    Args:
        training: (N, K).
    """
    rounds = -(-count // len(training))
    orders = [
        torch.randperm(
            len(training), generator=torch.Generator().manual_seed(derive(seed, "condition", r))
        )
        for r in range(rounds)
    ]
    return training[torch.cat(orders)[:count]]


def read_conditions(path: Path, conditions: Sequence[Condition], count: int) -> Tensor:
    """Return the conditions of `count` samples as a file says them, one a line, (M, K).

    A CSV with a column for each condition; others are not read. A file with fewer lines is begun
    again from its first one.

    Raises:
        UserError: for a missing column, or a value that no real image has, naming the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            header = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            table = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--condition-from: cannot read {path}: {error}") from error
    for each in conditions:
        if each.name not in header:
            raise UserError(
                f"{path} has no column {each.name!r}; it has {few(header) or 'none'}."
                f"{did_you_mean(each.name, header)}"
            )
    if not table:
        raise UserError(f"{path} has no line below its header: one for each sample is needed")
    codes = []
    for line, row in table:
        try:
            codes.append([each.code((row[each.name] or "").strip()) for each in conditions])
        except UserError as error:
            raise UserError(f"{path}: line {line}: {error}") from error
    rows = torch.tensor(codes, dtype=torch.float32)
    return rows[torch.arange(count) % len(rows)]


def groups_of(conditions: Sequence[Condition], codes: Tensor, training: Tensor) -> list[Tensor]:
    """Return which images belong to each group that `group_names` names, bool (M,) each.

    Args:
        codes: of the images, (M, K).
        training: those of the training images, (N, K), whose median halves a column of numbers.
    """
    found: list[Tensor] = []
    for k, each in enumerate(conditions):
        if each.words:
            found += [codes[:, k].round() == place for place in range(len(each.words))]
        else:
            middle = training[:, k].median()
            found += [codes[:, k] <= middle, codes[:, k] > middle]
    return found


def group_names(conditions: Sequence[Condition], training: Tensor) -> list[tuple[str, str]]:
    """Return the groups that results are split by: the column, and its value or range.

    Each column by itself: a word each, and two halves of numbers.
    """
    names = []
    for k, each in enumerate(conditions):
        if each.words:
            names += [(each.name, word) for word in each.words]
        else:
            middle = each.text(float(training[:, k].median()))
            names += [(each.name, f"up to {middle}"), (each.name, f"above {middle}")]
    return names


def shares_in_words(conditions: Sequence[Condition], codes: Tensor) -> str:
    """Say how images are spread over the groups.

    >>> shares_in_words((Condition("view", ("AP", "PA")),), torch.tensor([[0.0], [1.0], [1.0]]))
    'view: AP 1, PA 2'
    """
    counts = [int(rows.sum()) for rows in groups_of(conditions, codes, codes)]
    by: dict[str, list[str]] = {}
    for (column, value), count in zip(group_names(conditions, codes), counts, strict=True):
        by.setdefault(column, []).append(f"{value} {count}")
    return "; ".join(f"{column}: {', '.join(parts)}" for column, parts in by.items())


def _condition(real: Sequence[Row], column: str) -> Condition:
    name, _, kind = column.partition(":")
    if not any(name in row.extra for row in real):
        there = sorted({key for row in real for key in row.extra})
        has = f"the manifest has {', '.join(there)}" if there else "the images come without columns"
        raise UserError(
            f"data.condition = {name}: there is no such column; {has}.{did_you_mean(name, there)}\n"
            "Name the images in a manifest (CSV) that has it beside path, patient_id and split, or "
            "leave --condition out"
        )
    lack = [row for row in real if not stratum_of(row, name)]
    if lack:
        raise UserError(
            f"data.condition = {name}: {len(lack)} of {len(real)} images have no value there: "
            f"{few([row.name for row in lack])}.\nFill the column (one word for all that is "
            "unknown is a class too), or leave these images or --condition out"
        )
    values = [stratum_of(row, name) for row in real]
    training = [stratum_of(row, name) for row in real if row.split == "training"]
    condition = make_condition(name, kind, values, training)
    if condition.words:  # of numbers 63 and 63.0 are one
        check_spelled_alike(values, f"data.condition = {name}")
    return condition


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
