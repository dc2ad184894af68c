"""All that it takes to know where a cell's numbers come from, as rows of text."""

from __future__ import annotations

from dataclasses import dataclass

from memtk.report.redaction import flatten, redact
from memtk.results import Result, Used

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Component:
    """A component as the page lists it: its role, origin and settings."""

    role: str
    name: str
    origin: str
    settings: Rows


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of a cell come from.

    Args:
        components: with package, version and settings.
        counts: split, images, patients.
        recipe: what was done to the voxels.
        facts: seed, versions, device and so on.
        timing: stages and their durations.
    """

    components: list[Component]
    counts: list[tuple[str, int, int]]
    recipe: Rows
    facts: Rows
    timing: Rows


def provenance_of(result: Result) -> Provenance:
    """Return the provenance of a cell. It names no path, no file and no patient."""
    parts = result.components
    used: list[tuple[str, Used | None]] = [
        ("generator", parts.generator),
        ("embedder", parts.embedder),
        ("similarity", parts.similarity),
        *(("mitigation", mitigation) for mitigation in parts.mitigations),
    ]
    counts = [(name, c.images, c.patients) for name, c in result.data.counts.items()]
    seen = result.used_training
    if seen != result.data.counts.get("training"):
        counts.insert(1, ("training, used", seen.images, seen.patients))
    return Provenance(
        components=[_component(role, part) for role, part in used if part is not None],
        counts=[(name.replace("_", " "), images, patients) for name, images, patients in counts],
        recipe=flatten(redact(result.data.recipe)),
        facts=_facts(result),
        timing=[(stage, duration(seconds)) for stage, seconds in result.timing.items()],
    )


def _component(role: str, part: Used) -> Component:
    origin = f"{part.distribution} {part.version}, plugin {part.plugin}"
    return Component(role, part.name, origin, flatten(redact(part.config)))


def _facts(result: Result) -> Rows:
    suite, device, saw = result.suite, result.device, result.embedder_saw
    spec = result.data.spec
    size = " × ".join(map(str, spec.shape)) + (f", {spec.channels} channels" * (spec.channels > 1))
    spacing = " × ".join(f"{value:g}" for value in spec.spacing)
    rows = [
        ("images", f"{result.data.source}, {size}{f', {spacing} mm' if spacing else ''}"),
        ("data fingerprint", result.data.fingerprint),
        ("suite", f"{suite.name}, version {suite.version}" if suite else "none: own data"),
        ("preset", result.preset),
        ("seed", str(result.seed)),
        ("memtk", result.memtk_version),
        *result.versions.items(),
        ("device", f"{device.name}, {device.processes} process{'es' * (device.processes > 1)}"),
        *((f"precision, {phase}", what) for phase, what in device.precision.items()),
    ]
    if saw:
        rows.append(("embedder for the copies saw", f"{saw.copies} images"))
        rows.append(("embedder for the exposure saw", f"{saw.exposure} images"))
    return rows


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
