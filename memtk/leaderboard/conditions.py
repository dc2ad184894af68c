"""What two results must share to stand in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memtk.leaderboard.collection import Run
from memtk.results import Used
from memtk.results.collect import key_of


def benchmark(run: Run) -> str:
    """Return the name of what was benched: a suite with its version, or somebody's own data."""
    suite = run.result.suite
    if suite is not None:
        return f"{suite.name}, version {suite.version}"
    return f"own data, {run.result.data.fingerprint[:8]}"


def dims(run: Run) -> str:
    """Return "2D" or "3D"."""
    return f"{len(run.result.data.spec.shape)}D"


def conditions(run: Run) -> dict[str, str]:
    """Return all that a table's numbers have in common, by what it is.

    The preset is not among them: it changes the generator, which is the entry's own, and the sizes
    and the embedder, which are here.
    """
    result = run.result
    spec, test = result.data.spec, result.last.evidence
    drawn = result.checkpoints[-1].n_synthetic  # a mitigation may let fewer of them out
    counts, seen = result.data.counts["validation"], result.used_training
    shape = " × ".join(map(str, spec.shape))
    channels = f", {spec.channels} channels" if spec.channels > 1 else ""
    saw = result.embedder_trained_on
    confidence = "none" if test.confidence is None else f"{test.confidence:.0%}".replace("%", " %")
    return {
        "benchmark": benchmark(run),
        "images": f"{dims(run)}, {shape}{channels}, fingerprint {result.data.fingerprint[:12]}",
        "sizes": f"N {seen.images}, M {drawn}, V {counts.images}",
        "patients": f"{seen.patients} training, {counts.patients} validation",
        "embedder": _component(result.components.embedder) or "none: the images themselves",
        "embedder trained on": "nothing" if saw is None else f"{saw.copies} images",
        "similarity": _component(result.components.similarity),
        "levels": f"alpha {test.alpha:g}, false discovery rate {test.fdr:g}, "
        f"intervals of {confidence}",
        "copies planted": "no: the copy rate is not corrected for copies that go unnoticed"
        if result.selftest is None
        else "yes: the copy rate is corrected by the sensitivity",
        "schema of the files": str(run.schema),
    }


def apart(here: Run, elsewhere: list[Run]) -> list[str]:
    """Return why a table stands apart from others of its kind, a sentence each.

    Args:
        here: a run of the table.
        elsewhere: one of each other table that it could be taken for.
    """
    own, reasons = conditions(here), []
    others = [conditions(run) for run in elsewhere]
    for name, value in own.items():
        different = sorted({other[name] for other in others} - {value})
        if not different:
            continue
        more = f" and {len(different) - 2} more" if len(different) > 2 else ""
        text = f"{name}: {value} here, {' or '.join(different[:2])}{more} elsewhere"
        if name == "embedder":
            text += _settings(here, elsewhere)
        reasons.append(text)
    return reasons


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys in which two configurations differ.

    >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}, "d": 4})
    ['a.b', 'd']
    """
    found: list[str] = []
    for key in sorted({*one, *other}):
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}")
    return found


def _settings(here: Run, elsewhere: list[Run]) -> str:
    own = here.result.components.embedder
    keys: set[str] = set()
    for run in elsewhere:
        other = run.result.components.embedder
        if own and other and own.name == other.name:
            keys |= set(differences(own.config, other.config))
    more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
    return f" ({', '.join(sorted(keys)[:4])}{more})" if keys else ""


def _component(used: Used | None) -> str:
    if used is None:
        return ""
    settings = f", settings {key_of(used.config)}" if used.config else ""
    return f"{used.name} of {used.distribution} {used.version}{settings}"
