"""What every protocol must keep to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from memtk.interfaces import Levels, Measure, ProtocolTable, Similarities
from memtk.testing.assertions import applies, check_no_global_randomness, expect
from memtk.testing.case import Case

SIZES = {"train": 12, "validation": 9, "synthetic": 10}
"""Images of each set."""

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


PROTOCOL = (
    check_tables_have_measures_by_name,
    check_shares_lie_between_0_and_1,
    check_what_cannot_be_had_says_why,
    check_flags_fit_their_sets,
    check_the_same_table_each_time,
    check_tables_use_no_global_random_state,
    check_similarities_stay_as_they_are,
    check_only_the_copies_are_needed,
)
