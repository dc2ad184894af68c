"""What every protocol must keep to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import permutations
from typing import Any

import numpy as np
import torch

from memtk.interfaces import Levels, Measure, ProtocolTable, Similarities
from memtk.memorization import cutoff
from memtk.testing.assertions import applies, check_no_global_randomness, expect
from memtk.testing.case import Case

SIZES = {"train": 12, "validation": 9, "synthetic": 10}
"""Images of each set."""

TRUTHS = ((40, 39, 40), (20, 19, 80), (80, 19, 20))
"""Training, validation and synthetic images of the sets whose truth is known: N, V, M."""

TRIALS = 100
"""Independent draws of such sets."""

FLAGGED = {"training": "train", "synthetic": "synthetic", "validation": "validation"}
"""The names of the sets in `ProtocolTable.flags`, and in the names of the arrays."""


def check_tables_have_measures_by_name(case: Case) -> None:
    """A protocol returns a table of measures, each by a name, with a title and a side."""
    name, table = case.cls.__name__, case.make()(_similarities(), Levels())
    expect(
        isinstance(table, ProtocolTable)
        and isinstance(table.measures, Mapping)
        and len(table.measures) > 0,
        f"{name} gives {table!r}; expected a ProtocolTable with at least one measure",
    )
    for key, measure in table.measures.items():
        expect(
            isinstance(key, str) and bool(key) and isinstance(measure, Measure),
            f"{name} gives {key!r} = {measure!r}; expected a name and a Measure",
        )
        expect(
            bool(measure.title.strip()) and measure.side in (*FLAGGED, ""),
            f"{name} gives {key!r} the title {measure.title!r} and the side {measure.side!r}; "
            f"expected a title, and one of {', '.join(FLAGGED)} or an empty side",
        )


def check_shares_lie_between_0_and_1(case: Case) -> None:
    """What counts of a number of images is a share of them; so is its null, its interval."""
    name = case.cls.__name__
    for key, measure in _measures(case):
        numbers = [measure.value, measure.null, *(measure.interval or ())]
        shown = f"{name} gives {key!r} the values {numbers}"
        finite = all(x is None or math.isfinite(x) for x in numbers)
        expect(finite, f"{shown}; expected finite numbers, or None")
        if measure.of is not None:
            shares = all(x is None or 0 <= x <= 1 for x in numbers)
            expect(shares, f"{shown} of {measure.of} images; expected shares between 0 and 1")
        if measure.of and measure.value is not None and measure.count is not None:
            share = measure.count / measure.of
            expect(
                abs(measure.value - share) < 1e-9,
                f"{name} gives {key!r} = {measure.value:g}, but counts {measure.count:g} of "
                f"{measure.of}: expected {share:g}",
            )
        expect(
            measure.count is None or measure.of is None or 0 <= measure.count <= measure.of,
            f"{name} counts {measure.count} of {measure.of} images in {key!r}",
        )


def check_what_cannot_be_had_says_why(case: Case) -> None:
    """A measure without a value has a note."""
    for key, measure in _measures(case):
        expect(
            measure.value is not None or bool(measure.note.strip()),
            f"{case.cls.__name__} gives {key!r} no value and no note that says why",
        )


def check_flags_fit_their_sets(case: Case) -> None:
    """What is flagged is a bool for each image of a set."""
    flags = case.make()(_similarities(), Levels()).flags
    applies(bool(flags), "it flags no single image")
    for name, flagged in flags.items():
        size = SIZES.get(FLAGGED.get(name, ""), -1)
        expect(
            isinstance(flagged, np.ndarray) and flagged.dtype == bool and flagged.shape == (size,),
            f"{case.cls.__name__} flags {name!r} with {flagged!r}; expected one bool for each of "
            f"the images of one of {', '.join(FLAGGED)}",
        )


def check_the_same_table_each_time(case: Case) -> None:
    """Same similarities in, same table out: a protocol is a pure function."""
    protocol, given = case.make(), _similarities()
    expect(
        dict(protocol(given, Levels()).measures) == dict(protocol(given, Levels()).measures),
        f"{case.cls.__name__} gives another table the second time",
    )


def check_tables_use_no_global_random_state(case: Case) -> None:
    """The global generators are neither used nor moved."""
    protocol, given = case.make(), _similarities()

    def values() -> torch.Tensor:
        found = protocol(given, Levels()).measures.values()
        return torch.tensor([math.nan if m.value is None else float(m.value) for m in found])

    check_no_global_randomness(case.cls.__name__, values)


def check_similarities_stay_as_they_are(case: Case) -> None:
    """The similarities it is given are not changed: other protocols read them too."""
    given, fresh = _similarities(), _similarities()
    case.make()(given, Levels())
    same = all(
        np.array_equal(getattr(given, f.name), getattr(fresh, f.name)) for f in fields(given)
    )
    expect(same, f"{case.cls.__name__} changes the similarities that it is given")


def check_only_the_copies_are_needed(case: Case) -> None:
    """Without exposure, indices, counts, planted copies and patients it says what it can."""
    given = _similarities()
    bare: dict[str, Any] = {
        f.name: () if f.name.endswith("patients") else None for f in fields(given)[4:]
    }
    name = case.cls.__name__
    try:
        table = case.make()(replace(given, **bare), Levels())
    except Exception as error:
        table, why = None, f"raises {type(error).__name__}"
    else:
        why = f"gives {table!r}"
    expect(
        isinstance(table, ProtocolTable),
        f"{name} {why} where the exposure was not tested and no copies were planted; leave such "
        "measures out of the table, or give them no value and a note",
    )


def check_flags_go_with_their_images(case: Case) -> None:
    """In another order of the images the same ones are flagged, and no number changes."""
    protocol, rng = case.make(), np.random.default_rng(1)
    training, validation, synthetic = _sets(0, TRUTHS[0])
    synthetic[:12] = training[:12]
    order = {"training": rng.permutation(len(training)), "synthetic": rng.permutation(40)}
    before = protocol(_compared(training, validation, synthetic), Levels())
    training, synthetic = training[order["training"]], synthetic[order["synthetic"]]
    after = protocol(_compared(training, validation, synthetic), Levels())
    name = case.cls.__name__
    for key, measure in before.measures.items():
        same = replace(measure, value=None, count=None) == replace(
            after.measures[key], value=None, count=None
        ) and np.isclose(measure.value or 0, after.measures[key].value or 0, atol=1e-9)
        expect(bool(same), f"{name} gives another {key!r} when the images come in another order")
    for key, flags in before.flags.items():
        expected = flags[order[key]] if key in order else flags
        expect(
            np.array_equal(after.flags[key], expected),
            f"{name} flags other {key} images when they come in another order",
        )


def check_more_copies_score_worse(case: Case) -> None:
    """With 0, 10, 20 and 40 copies among 40 images the first measure gets worse and worse."""
    found = [_planted(case, copies) for copies in (0, 10, 20, 40)]
    applies(all(m.value is not None for m in found), "its first measure has no value here")
    applies(found[0].better != "", "of its first measure no value is good")
    values = [float(m.value or 0) * (1 if m.better == "lower" else -1) for m in found]
    rising = all(a <= b for a, b in zip(values[:-1], values[1:], strict=True))
    expect(
        rising and values[0] < values[-1],
        f"{case.cls.__name__}: with 0, 10, 20 and 40 copies planted among 40 images "
        f"{found[0].title!r} is {', '.join(f'{m.value:.3g}' for m in found)}; each must be worse "
        "than the one before",
    )


def check_doubled_training_images_change_no_share(case: Case) -> None:
    """With every training image there twice all shares stay as they are."""
    training, validation, synthetic = _sets(0, TRUTHS[0])
    synthetic[:12] = training[:12] + 0.01
    twice = np.concatenate([training, training])
    once, doubled = (
        case.make()(_compared(real, validation, synthetic), Levels()).measures
        for real in (training, twice)
    )
    for key, measure in once.items():
        other = doubled[key].value
        if measure.of and measure.value is not None and other is not None:
            expect(
                abs(measure.value - other) <= 0.03,  # a percentile of 80 lies beside that of 40
                f"{case.cls.__name__} gives {key!r} = {measure.value:.0%}, and {other:.0%} when "
                "every training image is there twice",
            )


def check_nulls_are_what_strangers_score(case: Case) -> None:
    """Where nothing is memorized a measure has its null on average, whatever the sizes."""
    for sizes in TRUTHS:
        off: dict[str, list[float]] = {}  # by measure: value less null, in each trial
        for trial in range(TRIALS):
            found = case.make()(_compared(*_sets(trial, sizes)), Levels()).measures
            for key, measure in found.items():
                if measure.null is not None and measure.value is not None:
                    off.setdefault(key, []).append(measure.value - measure.null)
        for key, values in off.items():
            mean, spread = float(np.mean(values)), float(np.std(values)) / math.sqrt(len(values))
            expect(
                abs(mean) <= 4 * spread + 0.02,
                f"{case.cls.__name__}: where nothing is memorized, {key!r} is {mean:+.1%} off its "
                f"null on average over {TRIALS} draws of {sizes} images",
            )


def _sets(seed: int, sizes: tuple[int, int, int]) -> list[np.ndarray]:
    """Return independent training, validation and synthetic images, (n, 8) each."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(size, 8)) for size in sizes]


def _planted(case: Case, copies: int) -> Measure:
    """Return the first measure where some synthetic images are near copies."""
    training, validation, synthetic = _sets(0, TRUTHS[0])
    noise = np.random.default_rng(1).normal(size=synthetic.shape)
    synthetic[:copies] = training[:copies] + 0.01 * noise[:copies]
    table = case.make()(_compared(training, validation, synthetic), Levels())
    return next(iter(table.measures.values()))


def _compared(training: np.ndarray, validation: np.ndarray, synthetic: np.ndarray) -> Similarities:
    """Compare sets of images as a run does, by minus their squared distance."""
    sets = {"train": training, "validation": validation, "synthetic": synthetic}
    arrays: dict[str, np.ndarray] = {}
    for a, b in permutations(sets, 2):
        likeness = -np.square(sets[a][:, None] - sets[b][None]).sum(-1)  # (A, B)
        arrays[f"{a}_{b}"] = arrays[f"exposure_{a}_{b}"] = likeness.max(1)
        arrays[f"{a}_{b}_index"] = arrays[f"exposure_{a}_{b}_index"] = likeness.argmax(1)
        if "train_validation" in arrays and {a, b} == {"train", "synthetic"}:
            tau = cutoff(arrays["train_validation"])
            arrays[f"{a}_{b}_above"] = (likeness > tau).sum(1)
    return Similarities.of_arrays(arrays)


def _measures(case: Case) -> list[tuple[str, Measure]]:
    return list(case.make()(_similarities(), Levels()).measures.items())


def _similarities() -> Similarities:
    """Return made-up similarities with all that a run can have, the same each time."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    pairs = [(a, b) for a in SIZES for b in SIZES if a != b and "train" in (a, b)]
    seen = [(a, b) for a, b in pairs if "synthetic" in (a, b)]
    seen += [("validation", "synthetic"), ("synthetic", "validation")]
    for prefix, sets in (("", pairs), ("exposure_", seen)):
        for a, b in sets:
            arrays[f"{prefix}{a}_{b}"] = rng.uniform(0, 1, SIZES[a])
            arrays[f"{prefix}{a}_{b}_index"] = rng.integers(SIZES[b], size=SIZES[a])
            if not prefix and "synthetic" in (a, b):
                arrays[f"{a}_{b}_above"] = rng.integers(SIZES[b], size=SIZES[a])
    for name in ("training", "validation"):
        count = SIZES["train" if name == "training" else name]
        arrays[f"{name}_patient"] = np.arange(count) // 2
    return Similarities.of_arrays(arrays | {"planted": rng.uniform(0.5, 1, 6)})
