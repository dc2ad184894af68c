"""All that it takes to know where numbers come from, as rows of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memtk.report.redaction import flatten, redact
from memtk.results import Audit, Counts, Data, Device, EmbedderSaw, Result, Used

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
    """Where the numbers of a cell or an audit come from.

    Args:
        components: with package, version and settings.
        counts: split, images, patients; None of synthetic images, whom no patient is known of.
        recipe: what was done to the voxels.
        facts: seed, versions, device and so on.
        timing: stages and their durations.
    """

    components: list[Component]
    counts: list[tuple[str, int, int | None]]
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
        *(("quality", metric) for metric in parts.quality),
        ("extractor", parts.extractor),
        *(("attack", attack) for attack in parts.attacks),
    ]
    counts = _counts(result.data.counts)
    seen = result.used_training
    if seen != result.data.counts.get("training"):
        counts.insert(1, ("training, used", seen.images, seen.patients))
    counts.append(("synthetic, each checkpoint", result.last.n_synthetic, None))
    suite = result.suite
    return Provenance(
        components=[_component(role, part) for role, part in used if part is not None],
        counts=counts,
        recipe=flatten(redact(result.data.recipe)),
        facts=[
            *_images(result.data),
            ("suite", f"{suite.name}, version {suite.version}" if suite else "none: own data"),
            ("preset", result.preset),
            *_run(result.seed, result.memtk_version, result.versions, result.device),
            *_saw(result.embedder_saw),
        ],
        timing=_timing(result.timing),
    )


def provenance_of_audit(audit: Audit) -> Provenance:
    """Return the provenance of an audit. It names no path, no file and no patient."""
    used = [("embedder", audit.embedder), ("similarity", audit.similarity)]
    return Provenance(
        components=[_component(role, part) for role, part in used if part is not None],
        counts=_counts(audit.counts),
        recipe=flatten(redact(audit.data.recipe)) if audit.data else [],
        facts=[
            *(_images(audit.data) if audit.data else [("images", "none: embeddings were given")]),
            *_run(audit.seed, audit.memtk_version, audit.versions, audit.device),
            *_saw(audit.embedder_saw),
        ],
        timing=_timing(audit.timing),
    )


def _counts(counts: Mapping[str, Counts]) -> list[tuple[str, int, int | None]]:
    return [
        (name.replace("_", " "), c.images, None if name == "synthetic" else c.patients)
        for name, c in counts.items()
    ]


def _images(data: Data) -> Rows:
    spec = data.spec
    size = " × ".join(map(str, spec.shape)) + (f", {spec.channels} channels" * (spec.channels > 1))
    spacing = " × ".join(f"{value:g}" for value in spec.spacing)
    return [
        ("images", f"{data.source}, {size}{f', {spacing} mm' if spacing else ''}"),
        ("data fingerprint", data.fingerprint),
    ]


def _run(seed: int, version: str, versions: Mapping[str, str], device: Device) -> Rows:
    return [
        ("seed", str(seed)),
        ("memtk", version),
        *versions.items(),
        ("device", f"{device.name}, {device.processes} process{'es' * (device.processes > 1)}"),
        *((f"precision, {phase}", what) for phase, what in device.precision.items()),
    ]


def _saw(saw: EmbedderSaw | None) -> Rows:
    if saw is None:
        return []
    said = {
        "none": "not asked for",
        "given": "given, with all that it has seen",
        "training": "training images",
        "synthetic": "synthetic images",
    }
    return [
        ("embedder for the copies saw", said.get(saw.copies, saw.copies)),
        ("embedder for the exposure saw", said.get(saw.exposure, saw.exposure)),
    ]


def _timing(timing: Mapping[str, float]) -> Rows:
    return [(stage, duration(seconds)) for stage, seconds in timing.items()]


def _component(role: str, part: Used) -> Component:
    origin = f"{part.distribution} {part.version}, plugin {part.plugin}"
    return Component(role, part.name, origin, flatten(redact(part.config)))


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
